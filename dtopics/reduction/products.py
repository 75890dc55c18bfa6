"""Products of rows of codes: whole numbers, so that every way to make them gives the same bits."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtopics.execution.threads import one_blas_thread

#: Multiplies int8 rows, shapes (n, n_codes) and (m, n_codes), into int32, shape (n, m).
Multiply = Callable[[NDArray[np.int8], NDArray[np.int8]], NDArray[np.int32]]

#: Rows of the products that are timed, and how often.
TIMED_ROWS, TIMED = 512, 5


@contextlib.contextmanager
def products() -> Iterator[Multiply]:
    """Give what multiplies codes fastest on this machine, on one thread; numba has all it has."""
    multiply = _fastest()
    with one_blas_thread():
        yield multiply


def by_floats(rows: NDArray[np.int8], others: NDArray[np.int8]) -> NDArray[np.int32]:
    """Multiply by BLAS in float32, which holds these sums exactly."""
    return (rows.astype(np.float32) @ others.astype(np.float32).T).astype(np.int32)


def by_integers(rows: NDArray[np.int8], others: NDArray[np.int8]) -> NDArray[np.int32]:
    """Multiply by torch's integers: three times as fast where the CPU has instructions for them."""
    import torch

    if not (len(rows) and len(others)):
        return np.empty((len(rows), len(others)), np.int32)
    found = torch._int_mm(  # noqa: SLF001 (it has no public name)
        _tensor(rows), _tensor(others).T
    )
    return np.asarray(found.numpy())


def _tensor(rows: NDArray[np.int8]) -> Any:
    import torch

    return torch.from_numpy(np.require(rows, requirements=("C", "W")))


@functools.cache
def _fastest() -> Multiply:
    try:
        import torch
    except ImportError:
        return by_floats
    if not hasattr(torch, "_int_mm"):
        return by_floats
    codes = np.arange(TIMED_ROWS * 256).astype(np.int8).reshape(TIMED_ROWS, 256)
    with one_blas_thread():
        try:
            seconds = {way: _seconds(way, codes) for way in (by_integers, by_floats)}
        except RuntimeError:  # torch has no such product for this CPU
            return by_floats
    return min(seconds, key=seconds.__getitem__)


def _seconds(multiply: Multiply, codes: NDArray[np.int8]) -> float:
    spent = []
    for _ in range(TIMED):
        start = time.perf_counter()
        multiply(codes, codes)
        spent.append(time.perf_counter() - start)
    return min(spent)
