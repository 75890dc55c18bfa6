"""Real text for the tests: the docstrings of packages that are installed anyway."""

from __future__ import annotations

import functools
import inspect

import numpy as np


@functools.cache
def docstrings(n: int = 300) -> list[str]:
    import scipy.sparse
    import scipy.stats

    found = []
    for module in (np, scipy.sparse, scipy.stats):
        for name in sorted(vars(module)):
            text = inspect.getdoc(vars(module)[name]) if not name.startswith("_") else None
            if text:
                found.append(text[:700])
    texts = sorted(set(found))[:n]
    assert len(texts) == n
    return texts


def splits(n: int, seed: int) -> list[slice]:
    """Cut n rows into blocks at random, some of them empty."""
    cuts = np.sort(np.random.default_rng(seed).integers(0, n + 1, size=4)).tolist()
    return [slice(a, b) for a, b in zip([0, *cuts], [*cuts, n], strict=True)]
