"""Array kernels of UMAP's layout, an epoch at a time: every row moves, all others as they were.

umap-learn moves both ends of an edge at once, so that its result depends on the order of the
edges, and on the race of its threads. Here a row is moved by its own edges only, against where all
others stood when the epoch began: the result is the same for any division of the rows.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from dtopics._jit import jit
from dtopics.reduction._cell_kernels import LAST, NOTHING
from dtopics.reduction._placing_kernels import (
    _GOLDEN,
    _S32,
    _STEP,
    _clipped,
    _factor,
    _mix,
    fill_strengths,
)
from dtopics.reduction.layout import PUSHES

#: The share of an edge that pulls in every epoch.
ALWAYS = np.uint16(2**16 - 1)
#: Rows that share what a thread works in.
TOGETHER = 1_024

Floats = NDArray[Any]


@jit(parallel=True)
def draw_rows(n_rows: int, n_drawn: int, seed: int, epoch: int) -> Any:
    """Return rows drawn with equal chances, int64; the same for the same seed and epoch."""
    start = _mix(np.uint64(seed) + _mix(np.uint64(epoch) + _GOLDEN))
    drawn = np.empty(n_drawn, dtype=np.int64)
    for i in prange(n_drawn):
        bits = _mix(start + np.uint64(i) * _GOLDEN) >> _S32
        drawn[i] = np.int64((bits * np.uint64(n_rows)) >> _S32)
    return drawn


def shares(weights: Floats) -> Any:
    """Return weights, at most 1, as uint16: the part of the epochs that an edge pulls in."""
    return np.minimum(np.rint(np.asarray(weights, np.float64) * 2.0**16), ALWAYS).astype(np.uint16)


@functools.cache
def mover(width: int) -> Any:
    """Return `move_rows` for places of `width` components: known, its loops take less time."""

    @jit(parallel=True)
    def move_rows(
        places: Floats,
        first: int,
        offsets: Floats,
        tails: Floats,
        weights: Floats,
        drawn: Floats,
        seed: int,
        epoch: int,
        n_epochs: int,
        rate: float,
        curve: Floats,
        negatives: float,
    ) -> Any:
        """Return where some rows are after an epoch.

        The i-th stands in ``places[first + i]``, and its edges are ``offsets[i] : offsets[i + 1]``,
        to the rows `tails`. An edge pulls in its part of the epochs, as in umap-learn; `weights`
        are of `shares`. When it pulls, up to PUSHES of the `drawn` places push, all at once, as
        hard as `negatives` of them. Rows that have edges to the same rows are best one after the
        other: they find them in the cache.
        """
        n_moved = offsets.size - 1
        moved = np.empty((n_moved, width), dtype=np.float32)
        alpha, now = np.float32(rate * (1.0 - epoch / n_epochs)), np.uint16(epoch + 1)
        n_pushes = int(min(PUSHES, np.ceil(negatives)))
        beta = np.float32(alpha * negatives / max(1, n_pushes))
        salt, n_drawn = _mix(np.uint64(seed) + _GOLDEN), np.uint64(drawn.shape[0])
        n_together = -(-n_moved // TOGETHER)
        for part in prange(n_together):
            begin, end = part * TOGETHER, min((part + 1) * TOGETHER, n_moved)
            most = 0
            for i in range(begin, end):
                most = max(most, offsets[i + 1] - offsets[i])
            due = np.empty(most + 1, dtype=np.int32)
            near = np.empty((most, width), dtype=np.float32)
            push = np.empty(width, dtype=np.float32)
            for i in range(begin, end):
                n = 0
                for j in range(offsets[i], offsets[i + 1]):
                    due[n] = tails[j]
                    n += (np.uint16(now * weights[j]) < weights[j]) | (weights[j] == ALWAYS)
                for j in range(n):  # all at once, so that one's way from memory hides the others'
                    for c in range(width):
                        near[j, c] = places[due[j], c]
                place = moved[i]
                for c in range(width):
                    place[c] = places[first + i, c]
                state = _mix(salt + _mix((np.uint64(first + i) << _S32) + np.uint64(epoch)))
                for j in range(n):
                    squared = np.float32(0.0)
                    for c in range(width):
                        apart = place[c] - near[j, c]
                        squared += apart * apart
                    factor = _factor(curve, squared, 0)
                    for c in range(width):
                        place[c] += _clipped(factor * (place[c] - near[j, c])) * alpha
                        push[c] = np.float32(0.0)
                    for _ in range(n_pushes):
                        state = state * _STEP + _GOLDEN
                        other = np.int64(((state >> _S32) * n_drawn) >> _S32)
                        squared = np.float32(0.0)
                        for c in range(width):
                            apart = place[c] - drawn[other, c]
                            squared += apart * apart
                        factor = _factor(curve, squared, 2)
                        for c in range(width):
                            push[c] += _clipped(factor * (place[c] - drawn[other, c]))
                    for c in range(width):
                        place[c] += push[c] * beta
        return moved

    return move_rows


@jit(parallel=True)
def in_order(heaps: Floats, first: int, squares: Floats, nearest: Floats, apart: Floats) -> None:
    """Fill each row's nearest, itself first, and how far apart they are, squared, ascending.

    The rows' numbers start at `first`; `squares` are their squared lengths. Where there are not so
    many, it is −1, infinitely far.
    """
    for i in prange(heaps.shape[0]):
        heap = np.sort(heaps[i])[::-1]
        nearest[i, 0], apart[i, 0], n = first + i, 0.0, 1
        for entry in heap:
            if entry == NOTHING or n == nearest.shape[1]:
                break
            other = LAST - (entry & LAST)
            if other != first + i:
                nearest[i, n] = other
                apart[i, n] = max(0.0, squares[i] - 2.0 * np.float64(entry >> 32))
                n += 1
        nearest[i, n:], apart[i, n:] = -1, np.inf


@jit(parallel=True)
def strengths_of_all(
    distances: Floats, connectivity: float, mean_distance: float, disconnection: float
) -> Any:
    """Return UMAP's membership strengths of all rows, float32, whose first is the row itself: 0."""
    strengths = np.empty(distances.shape, dtype=np.float32)
    for i in prange(distances.shape[0]):
        own = np.empty(distances.shape[1])
        fill_strengths(distances[i], connectivity, mean_distance, disconnection, own)
        strengths[i] = own.astype(np.float32)
        strengths[i, 0] = 0.0
    return strengths
