"""One numeric pool per process: BLAS, OpenMP, numba and torch told the same width.

Results never depend on the width: kernels write each row from one iteration, and the sums that
BLAS may split are either recomputed in a fixed order or done under a width of one.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController


#: Libraries that bring numeric pools of their own into the process.
_POOLED = ("numpy", "scipy", "sklearn", "numba", "torch", "pyarrow", "umap", "hdbscan")


@functools.cache
def _controller(loaded: frozenset[str]) -> ThreadpoolController:  # noqa: ARG001 (the cache's key)
    """Return what controls the pools; finding them costs milliseconds, so not for each block."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def available_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def numeric_threads(width: int) -> Iterator[None]:
    """Give numeric libraries `width` threads inside the ``with``, and what they had after it."""
    if width < available_cores():
        # Loaded later, in the first step of a worker, it would begin with all cores: two workers
        # with two threads each on two cores took four times as long.
        importlib.import_module("numba")
    numba, torch = sys.modules.get("numba"), sys.modules.get("torch")
    before_numba = numba.get_num_threads() if numba else 0
    before_torch = torch.get_num_threads() if torch else 0
    loaded = frozenset(name for name in _POOLED if name in sys.modules)
    with _controller(loaded).limit(limits=width):
        if numba:
            numba.set_num_threads(min(width, numba.config.NUMBA_NUM_THREADS))
        if torch:
            torch.set_num_threads(width)
        try:
            yield
        finally:
            if numba:
                numba.set_num_threads(before_numba)
            if torch:
                torch.set_num_threads(before_torch)


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Give BLAS and torch one thread inside the ``with``, and numba what it has.

    For small products in turns with numba's kernels: the threads of either wait by spinning, and
    take the cores from the other's (two of each on two cores were ten times slower than one).
    """
    loaded = frozenset(name for name in _POOLED if name in sys.modules)
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else 0
    with _controller(loaded).limit(limits=1, user_api="blas"):
        if torch:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            if torch:
                torch.set_num_threads(before)
