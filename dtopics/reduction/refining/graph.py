"""UMAP's graph of a whole corpus, a span of rows at a time.

Rows are compared by their codes in the cells of a sample (see `dtopics.reduction.cells`), whose
products are exact whole numbers; so a row's neighbours are the same in any division of the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtopics.reduction.cells import Cells, cells_to_look_at, halves_of
from dtopics.reduction.products import Multiply, products

#: Rows of the corpus that a row is compared with, those of the cells nearest to it.
LOOK_ROWS = 16_384
#: Bytes of the corpus's codes that are read and held at once, and bytes that are read in vain
#: rather than asked for apart: what comes while a request is on its way.
TOGETHER, GAP = 2**25, 2**21
#: Products that are held at once, and rows of a cell that are multiplied at once: more leave the
#: caches, fewer take more calls.
PRODUCTS, COLUMNS = 2**20, 2**11
#: Rows whose cells are chosen together.
TILE = 16_384


@dataclass(frozen=True)
class Affinity:
    """How distances become weights: UMAP's parameters, by its names.

    Attributes
    ----------
    metric : {"cosine", "euclidean"}
    local_connectivity : float
    mean_distance : float
        Of rows to their neighbours.
    disconnection_distance : float
    """

    metric: str
    local_connectivity: float
    mean_distance: float
    disconnection_distance: float


def nearest_rows(
    codes: NDArray[np.int8],
    first: int,
    firsts: NDArray[np.int64],
    cells: Cells,
    read: Callable[[int, int], NDArray[np.int8]],
    n_neighbors: int,
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Find the nearest rows of a corpus to each of a run of its rows.

    The corpus's rows are numbered cell by cell.

    Parameters
    ----------
    codes : ndarray of int8, shape (n_rows, n_codes)
        Of the run's rows.
    first : int
        The number of the first of them.
    firsts : ndarray of int64, shape (n_cells + 1,)
        The first number of each cell; then how many rows the corpus has.
    cells : Cells
    read : callable
        Gives the codes of the corpus's rows from one number to another.
    n_neighbors : int

    Returns
    -------
    nearest : ndarray of int32, shape (n_rows, n_neighbors)
        Numbers in the corpus, each row's own first; −1 where so many were not found.
    apart : ndarray of float64, shape (n_rows, n_neighbors)
        Squared distances of the codes, ascending.
    """
    from dtopics.reduction import _cell_kernels as kernels
    from dtopics.reduction._layout_kernels import in_order

    n = len(codes)
    if not n:
        return np.empty((0, n_neighbors), np.int32), np.empty((0, n_neighbors))
    heaps = np.full((n, n_neighbors), kernels.NOTHING, dtype=np.int64)
    least = np.full(n, kernels.NOTHING >> 32, dtype=np.int32)
    with products() as multiply:
        rows, starts = _looking(codes, cells, np.diff(firsts), multiply)
        looked = np.flatnonzero(np.diff(starts) * np.diff(firsts))
        for start, stop in _runs(firsts, looked, codes.shape[1]):
            others = read(start, stop)
            halves = halves_of(others)
            for cell in looked[(firsts[looked] < stop) & (firsts[looked + 1] > start)]:
                a, b = max(start, int(firsts[cell])), min(stop, int(firsts[cell + 1]))
                looking = rows[starts[cell] : starts[cell + 1]]
                for some in range(a, b, COLUMNS):
                    part = slice(some - start, min(some + COLUMNS, b) - start)
                    step = PRODUCTS // (part.stop - part.start)
                    for one in range(0, len(looking), step):
                        who = looking[one : one + step]
                        found = multiply.chosen(codes, who, others[part])
                        kernels.take_candidates(found, who, some, halves[part], heaps, least)
    nearest = np.empty((n, n_neighbors), dtype=np.int32)
    apart = np.empty((n, n_neighbors))
    squares = np.einsum("ij,ij->i", codes, codes, dtype=np.float64)
    in_order(heaps, first, squares, nearest, apart)
    return nearest, apart


def _runs(
    firsts: NDArray[np.int64], looked: NDArray[np.intp], row_bytes: int
) -> Iterator[tuple[int, int]]:
    """Return runs of numbers that hold all rows of some cells, and few of others.

    None is of more than TOGETHER bytes; a cell is in two runs only where it is larger than that.
    """
    most, gap = max(1, TOGETHER // row_bytes), GAP // row_bytes
    start = stop = int(firsts[looked[0]]) if len(looked) else 0
    for cell in looked:
        a, b = firsts[cell : cell + 2].tolist()
        if a - stop > gap or b - start > most:
            if start < stop:
                yield start, stop
            start = a
        while b - start > most:
            yield start, start + most
            start += most
        stop = b
    if start < stop:
        yield start, stop


def _looking(
    queries: NDArray[np.int8], cells: Cells, sizes: NDArray[np.int64], multiply: Multiply
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return the rows that look at each cell, and where each cell's begin."""
    tiles = [
        cells_to_look_at(queries[start : start + TILE], cells, sizes, LOOK_ROWS, multiply)
        for start in range(0, len(queries), TILE)
    ]
    starts = np.sum([of_tile for _, of_tile in tiles], axis=0)
    rows = np.empty(starts[-1], dtype=np.int32)
    filled = starts[:-1].copy()
    for tile, (found, of_tile) in enumerate(tiles):
        counts = np.diff(of_tile)
        where = np.repeat(filled - of_tile[:-1], counts) + np.arange(len(found))
        rows[where] = found + np.int32(tile * TILE)
        filled += counts
    return rows, starts


def strengths(apart: NDArray[np.float64], cells: Cells, affinity: Affinity) -> NDArray[np.float32]:
    """Return how strongly each row is bound to its nearest, 0 to itself."""
    from dtopics.reduction._layout_kernels import strengths_of_all

    if affinity.metric == "cosine":
        distances = apart / (2.0 * cells.scale**2)
    else:
        distances = np.sqrt(apart) / (cells.scale * cells.unit)
    return np.asarray(
        strengths_of_all(
            distances,
            affinity.local_connectivity,
            affinity.mean_distance,
            affinity.disconnection_distance,
        )
    )


@dataclass(frozen=True, eq=False)
class Edges:
    """Directed edges, by the span of their tails.

    Attributes
    ----------
    ends : ndarray of int32, shape (n_edges, 2)
        Head and tail, ascending by tail and head.
    strengths : ndarray of float32, shape (n_edges,)
    offsets : ndarray of int64, shape (n_spans + 1,)
    """

    ends: NDArray[np.int32]
    strengths: NDArray[np.float32]
    offsets: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        nearest: NDArray[np.int32],
        strengths: NDArray[np.float32],
        first: int,
        bounds: NDArray[np.int64],
    ) -> Edges:
        """Return the edges of a span's rows, the `first` and those that follow.

        `bounds` are the spans' first rows, and the end.
        """
        n, k = nearest.shape
        heads = np.repeat(np.arange(first, first + n, dtype=np.int32), k)
        tails, held = nearest.ravel(), strengths.ravel()
        there = np.flatnonzero(held > 0.0)
        heads, tails, held = heads[there], tails[there], held[there]
        order = np.argsort((tails.astype(np.int64) << 32) + heads)
        ends = np.stack([heads[order], tails[order]], axis=1)
        return cls(ends, held[order], np.searchsorted(ends[:, 1], bounds))


@dataclass(frozen=True, eq=False)
class Graph:
    """The edges of a run of rows; as it is stored, `_layout_kernels.move_rows` takes it.

    Attributes
    ----------
    offsets : ndarray of int64, shape (n_rows + 1,)
    tails : ndarray of int32, shape (n_edges,)
    weights : ndarray, shape (n_edges,)
        float32; stored, the `shares` of them.
    """

    offsets: NDArray[np.int64]
    tails: NDArray[np.int32]
    weights: NDArray[Any]

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return self.offsets.nbytes + self.tails.nbytes + self.weights.nbytes

    @classmethod
    def of(
        cls,
        ends: NDArray[np.int32],
        strengths: NDArray[np.float32],
        ends_into: NDArray[np.int32],
        strengths_into: NDArray[np.float32],
        first: int,
        n_rows: int,
        *,
        mix: float,
        least: float,
    ) -> Graph:
        """Unite the edges that leave a span's rows and those that come to them.

        Parameters
        ----------
        ends, strengths : ndarray
            Heads, in the span, and tails; how strong the edges are.
        ends_into, strengths_into : ndarray
            The same of edges whose tails are in the span.
        first, n_rows : int
            The span's rows.
        mix : float
            1 for the fuzzy union, 0 for the intersection.
        least : float
            Weights below it are left out.
        """
        rows = np.concatenate([ends[:, 0], ends_into[:, 1]]) - np.int32(first)
        others = np.concatenate([ends[:, 1], ends_into[:, 0]])
        held = np.concatenate([strengths, strengths_into]).astype(np.float64)
        key = (rows.astype(np.int64) << 32) + others
        order = np.argsort(key, kind="stable")
        key, held = key[order], held[order]
        again = np.zeros(len(key) + 1, dtype=bool)  # whether an edge is the one before it, reversed
        again[1:-1] = key[1:] == key[:-1]
        once = np.flatnonzero(~again[:-1])
        a = held[once]
        b = np.where(again[once + 1], held[np.minimum(once + 1, len(key) - 1)], 0.0)
        weights = mix * (a + b - a * b) + (1.0 - mix) * a * b
        kept = weights >= least
        key, weights = key[once][kept], weights[kept]
        offsets = np.searchsorted(key >> 32, np.arange(n_rows + 1))
        return cls(offsets, (key & 0xFFFFFFFF).astype(np.int32), weights.astype(np.float32))
