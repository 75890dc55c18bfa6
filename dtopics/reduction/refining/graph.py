"""UMAP's graph of a whole corpus, a span of rows at a time.

Rows are compared by their codes in the cells of a sample (see `dtopics.reduction.cells`), whose
products are exact whole numbers; so a row's neighbours are the same in any division of the rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtopics.reduction.cells import Cells, cells_to_look_at, halves_of
from dtopics.reduction.products import Multiply, products

#: Rows of the corpus that a row is compared with, those of the cells nearest to it.
LOOK_ROWS = 16_384
#: Bytes of other spans' codes that are held at once: a row's own codes are brought together with
#: those of a cell once for each.
TOGETHER = 2**26
#: Products that are held at once: a cell of many rows is looked at by many.
PRODUCTS = 2**22
#: Rows whose cells are chosen together.
TILE = 16_384


@dataclass(frozen=True, eq=False)
class Coded:
    """The codes of some rows of a corpus, cell by cell.

    Attributes
    ----------
    codes : ndarray of int8, shape (n_rows, n_codes)
    ids : ndarray of int32, shape (n_rows,)
        The rows' numbers in the corpus.
    offsets : ndarray of int32, shape (n_cells + 1,)
    """

    codes: NDArray[np.int8]
    ids: NDArray[np.int32]
    offsets: NDArray[np.int32]


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
    mine: Coded, others: Iterable[Coded], cells: Cells, sizes: NDArray[np.int64], n_neighbors: int
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Find the nearest rows of a corpus to each row of a span.

    Parameters
    ----------
    mine : Coded
    others : iterable of Coded
        All spans of the corpus, this one too, in any order.
    cells : Cells
    sizes : ndarray of int64, shape (n_cells,)
        Rows of the corpus in each cell.
    n_neighbors : int

    Returns
    -------
    nearest : ndarray of int32, shape (n_rows, n_neighbors)
        Numbers in the corpus, each row's own first; −1 where so many were not found.
    apart : ndarray of float64, shape (n_rows, n_neighbors)
        Squared distances of the codes, ascending.
    """
    from dtopics.reduction import _cell_kernels, _layout_kernels

    n = len(mine.codes)
    if not n:
        return np.empty((0, n_neighbors), np.int32), np.empty((0, n_neighbors))
    heaps = np.full((n, n_neighbors), _cell_kernels.NOTHING, dtype=np.int64)
    least = np.full(n, _cell_kernels.NOTHING >> 32, dtype=np.int32)
    with products() as multiply:
        rows, starts = _looking(mine.codes, cells, sizes, multiply)
        for some in _together(others):
            counts = np.sum([np.diff(other.offsets) for other in some], axis=0)
            for cell in np.flatnonzero(np.diff(starts) * counts):
                parts = [slice(*other.offsets[cell : cell + 2].tolist()) for other in some]
                listed = list(zip(some, parts, strict=True))
                codes = np.concatenate([other.codes[part] for other, part in listed])
                ids = np.concatenate([other.ids[part] for other, part in listed])
                half = halves_of(codes)
                looking = rows[starts[cell] : starts[cell + 1]]
                for start in range(0, len(looking), step := max(1, PRODUCTS // len(ids))):
                    who = looking[start : start + step]
                    found = multiply.chosen(mine.codes, who, codes)
                    _layout_kernels.take_nearest(found, who, ids, half, heaps, least)
    nearest = np.empty((n, n_neighbors), dtype=np.int32)
    apart = np.empty((n, n_neighbors))
    squares = np.einsum("ij,ij->i", mine.codes, mine.codes, dtype=np.float64)
    _layout_kernels.in_order(heaps, mine.ids, squares, nearest, apart)
    return nearest, apart


def _together(spans: Iterable[Coded]) -> Iterator[list[Coded]]:
    """Return spans some at a time, as many as TOGETHER bytes hold."""
    some: list[Coded] = []
    for span in spans:
        some.append(span)
        if sum(one.codes.nbytes for one in some) >= TOGETHER:
            yield some
            some = []
    if some:
        yield some


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
        ids: NDArray[np.int32],
        bounds: NDArray[np.int64],
    ) -> Edges:
        """Return the edges of a span's rows; `bounds` are the spans' first rows, and the end."""
        heads = np.repeat(ids, nearest.shape[1])
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
