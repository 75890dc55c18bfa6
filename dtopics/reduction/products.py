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

#: Rows of the products that are timed, and how often.
TIMED_ROWS, TIMED = 512, 5

#: Multiplies int8 rows, shapes (n, n_codes) and (m, n_codes), into the third, int32, shape (n, m).
Way = Callable[[NDArray[np.int8], NDArray[np.int8], NDArray[np.int32]], None]


class Multiply:
    """Multiplies codes, in memory that is used again.

    New memory for each product costs a worker as much as the product: Dask has the allocator give
    every large piece back at once.
    """

    def __init__(self, way: Way) -> None:
        self._way = way
        self._held: dict[Any, NDArray[Any]] = {
            np.int8: np.empty(0, np.int8), np.int32: np.empty(0, np.int32)
        }  # fmt: skip

    def __call__(self, rows: NDArray[np.int8], others: NDArray[np.int8]) -> NDArray[np.int32]:
        """Return the products of rows with others; the next call overwrites them.

        Parameters
        ----------
        rows : ndarray of int8, shape (n, n_codes)
        others : ndarray of int8, shape (m, n_codes)

        Returns
        -------
        ndarray of int32, shape (n, m)
        """
        out = self._memory(np.int32, (len(rows), len(others)))
        if out.size:
            self._way(rows, others, out)
        return out

    def chosen(
        self, rows: NDArray[np.int8], who: NDArray[np.integer[Any]], others: NDArray[np.int8]
    ) -> NDArray[np.int32]:
        """Return the products of some rows, by their numbers, as a call does."""
        taken = self._memory(np.int8, (len(who), rows.shape[1]))
        np.take(rows, who, axis=0, out=taken, mode="clip")
        return self(taken, others)

    def _memory(self, dtype: Any, shape: tuple[int, int]) -> NDArray[Any]:
        size = shape[0] * shape[1]
        if size > self._held[dtype].size:
            self._held[dtype] = np.empty(size + size // 4, dtype)
        return self._held[dtype][:size].reshape(shape)


@contextlib.contextmanager
def products() -> Iterator[Multiply]:
    """Give what multiplies codes fastest on this machine, on one thread; numba has all it has."""
    way = fastest()
    with one_blas_thread():
        yield Multiply(way)


def by_floats(rows: NDArray[np.int8], others: NDArray[np.int8], out: NDArray[np.int32]) -> None:
    """Multiply by BLAS in float32, which holds these sums exactly."""
    out[:] = rows.astype(np.float32) @ others.astype(np.float32).T


def by_integers(rows: NDArray[np.int8], others: NDArray[np.int8], out: NDArray[np.int32]) -> None:
    """Multiply by torch's integers: three times as fast where the CPU has instructions for them."""
    import torch

    a, b, found = (torch.from_numpy(np.require(x, None, ("C", "W"))) for x in (rows, others, out))
    torch._int_mm(a, b.T, out=found)  # noqa: SLF001 (it has no public name)


@functools.cache
def fastest() -> Way:
    """Return the way that is fastest on this machine; all give the same."""
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


def _seconds(way: Way, codes: NDArray[np.int8]) -> float:
    spent, out = [], np.empty((len(codes), len(codes)), np.int32)
    for _ in range(TIMED):
        start = time.perf_counter()
        way(codes, codes, out)
        spent.append(time.perf_counter() - start)
    return min(spent)
