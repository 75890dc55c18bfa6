"""Nearest neighbours in the sample by cells: approximate, and the same on every call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtopics.reduction._rows import checked
from dtopics.reduction.neighbors import check_k
from dtopics.reduction.products import Multiply, products

#: Axes that candidates are chosen in. With 64, half of the neighbours of 100,000 Reddit titles
#: (256 dimensions) are not among the candidates.
AXES = 127
#: Rows of the sample to a cell, and rows to a cell that k-means sees.
CELL_ROWS, TRAINING_ROWS = 32, 16
#: Regions that cells, and rows that are looked for together, are sorted by.
REGIONS = 128
#: Cells are numbered in 16 bits.
MAX_CELLS = 2**15
#: Rows that the axes are found on.
AXES_ROWS = 20_000
ROUNDS = 5
#: How much of a cell's own spread (the mean squared distance of its rows to its centre) counts as
#: distance to it: of two centres as near, the one of the narrower cell has the nearer rows.
SPREAD = 0.5
#: The part of the exact neighbours that must be found, and the part that is enough. umap-learn's
#: search finds 0.88 among 100,000 Reddit titles in 256 dimensions.
RECALL, ENOUGH = 0.87, 0.95
#: What may be spent on finding more than must be, in axes of rows looked at.
BUDGET = 650_000
#: What a fit may choose from: parts of the sample to look at, and candidates to
#: measure for each neighbour wanted.
PARTS = (0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09, 0.1, 0.11, 0.12, 0.13, 0.14,
         0.16, 0.18, 0.2, 0.25, 0.3, 0.5, 1.0)  # fmt: skip
CANDIDATES = (2, 3, 4, 5, 6, 8)
#: What measuring one feature of a candidate costs, in axes of a row looked at.
MEASURING = 30.0
#: Rows that are worked on together, and rows whose cells are chosen together.
TILE, CHOICE = 16_384, 2_048
#: Two ways of summing a distance differ by less, in units of the largest.
ROUNDING = 1e-12
#: Components larger than this part of the others are cut to it.
CUT_QUANTILE = 0.9999


@dataclass(frozen=True, eq=False, repr=False)
class Cells:
    """What a fit keeps of the index, beside the sample itself.

    Attributes
    ----------
    unit : float
        Factor of every row; 0 where each is brought to length 1.
    centre : ndarray of float32, shape (n_features,)
    rotation : ndarray of float32, shape (n_features, n_axes)
        The sample's principal axes.
    middle : float
        The typical length of what the axes leave out.
    scale : float
        Codes to a unit of distance.
    codes : ndarray of int8, shape (n_sample, n_axes + 1)
        The sample's rows, cell by cell; the last code is of the length left out.
    order : ndarray of int32, shape (n_sample,)
        The place in the sample of each row of `codes`.
    offsets : ndarray of int32, shape (n_cells + 1,)
    centres : ndarray of int8, shape (n_cells, n_axes + 1)
    centre_halves : ndarray of int32, shape (n_cells,)
        Half of their squared lengths, and of what counts of the cells' spread. With it, the cell
        that is nearest to a row of the sample is the row's own.
    n_look : int
        Rows of the sample that each query looks at, in the cells nearest to it.
    n_candidates : int
        Of these, how many are measured for each neighbour wanted.
    recall : float
        The part of the exact neighbours found, over rows of the sample.
    """

    unit: float
    centre: NDArray[np.float32]
    rotation: NDArray[np.float32]
    middle: float
    scale: float
    codes: NDArray[np.int8]
    order: NDArray[np.int32]
    offsets: NDArray[np.int32]
    centres: NDArray[np.int8]
    centre_halves: NDArray[np.int32]
    n_look: int
    n_candidates: int
    recall: float

    def to_arrays(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return the numbers and the arrays."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
        return {name: values[name] for name in values.keys() - arrays.keys()}, arrays

    @classmethod
    def from_arrays(cls, params: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Cells:
        """Return what `to_arrays` took apart."""
        values: dict[str, Any] = {name: np.asarray(array) for name, array in arrays.items()}
        return cls(**params, **values)


class CellNeighbors:
    """The k nearest rows of a sample among the candidates of the nearest cells.

    The sample is rotated to its principal axes, of which the first 128 are kept, rounded to whole
    numbers, and divided into cells by k-means. Matrix products of such codes are exact, so that
    they choose the same candidates in any company; the candidates are measured in float64 over
    all features, in one fixed order. A distance is never too small; it is too large where a
    nearer row was missed.

    Parameters
    ----------
    X : ndarray of shape (n_sample, n_features)
    metric : {"cosine", "euclidean"}
    cells : Cells
    """

    def __init__(self, X: NDArray[Any], metric: str, cells: Cells) -> None:
        from dtopics.reduction import _cell_kernels as kernels

        self.metric = metric
        self.cells = cells
        self._X = checked(X)
        self._xx = kernels.squared_lengths(self._X)
        self._code_halves = halves_of(cells.codes)
        self._regions = _spread(cells.centres, REGIONS)

    @property
    def n_features(self) -> int:
        """The length of the vectors."""
        return int(self._X.shape[1])

    def query(self, Q: NDArray[Any], k: int) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Return about the `k` nearest rows of the sample to each row of `Q`.

        Parameters
        ----------
        Q : ndarray of shape (n_rows, n_features)
        k : int
            From 1 to n_sample.

        Returns
        -------
        indices : ndarray of int32, shape (n_rows, k)
            Ascending by (distance, index).
        distances : ndarray of float64, shape (n_rows, k)
        """
        from dtopics.reduction import _cell_kernels as kernels

        check_k(k, len(self._X))
        Q = checked(Q, self.n_features)
        n_candidates = min(self.cells.n_candidates * k, len(self._X))
        indices = np.full((len(Q), k), -1, dtype=np.int32)
        distances = np.full((len(Q), k), np.inf)
        with products() as multiply:
            for start in range(0, len(Q), TILE):
                tile = Q[start : start + TILE]
                codes = encoded(tile, self.cells)
                # Rows near each other, one after the other, find more of what they need in the
                # cache.
                near = _assigned(codes, self._regions, halves_of(self._regions), multiply)
                by = np.argsort(near, kind="stable")
                found = np.full((len(tile), k), -1, dtype=np.int32)
                far = np.full((len(tile), k), np.inf)
                kernels.measure_candidates(
                    tile[by],
                    self._X,
                    self._xx,
                    self.cells.order,
                    self._candidates(codes[by], n_candidates, multiply),
                    self.metric == "euclidean",
                    found,
                    far,
                )
                indices[start + by], distances[start + by] = found, far
        return indices, distances

    def _candidates(self, codes: NDArray[np.int8], n: int, multiply: Multiply) -> NDArray[np.int64]:
        """Return the entries of the `n` rows with the best keys, for each row of codes."""
        from dtopics.reduction import _cell_kernels as kernels

        cells = self.cells
        of_cells = np.diff(cells.offsets)
        rows, starts = cells_to_look_at(codes, cells, of_cells, max(n, cells.n_look), multiply)
        heaps = np.full((len(codes), n), kernels.NOTHING, dtype=np.int64)
        least = np.full(len(codes), kernels.NOTHING >> 32, dtype=np.int32)
        for cell in np.flatnonzero(np.diff(starts)):
            who = rows[starts[cell] : starts[cell + 1]]
            first, stop = int(cells.offsets[cell]), int(cells.offsets[cell + 1])
            found = multiply.chosen(codes, who, cells.codes[first:stop])
            halves = self._code_halves[first:stop]
            kernels.take_candidates(found, who, first, halves, heaps, least)
        return heaps


def encoded(rows: NDArray[np.float32], cells: Cells) -> NDArray[np.int8]:
    """Return the codes of rows, shape (n_rows, n_axes + 1)."""
    from dtopics.reduction import _cell_kernels as kernels

    rotated = kernels.rotate(rows, cells.unit, cells.centre, cells.rotation)
    return np.asarray(kernels.encode(rotated, cells.middle, cells.scale))


def cells_of(codes: NDArray[np.int8], cells: Cells) -> NDArray[np.int32]:
    """Return the cell that each row of codes lies in."""
    with products() as multiply:
        return _assigned(codes, cells.centres, cells.centre_halves, multiply)


def cells_to_look_at(
    codes: NDArray[np.int8], cells: Cells, sizes: NDArray[Any], n_look: int, multiply: Multiply
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Choose the nearest cells of each row of codes, until they hold `n_look` rows.

    Parameters
    ----------
    codes : ndarray of int8, shape (n_rows, n_axes + 1)
    cells : Cells
    sizes : ndarray of int, shape (n_cells,)
        Rows in each cell.
    n_look : int
    multiply : Multiply

    Returns
    -------
    rows : ndarray of int32
        The rows that look at each cell, one cell after the other.
    starts : ndarray of int64, shape (n_cells + 1,)
        Where each cell's begin.
    """
    from dtopics.reduction import _cell_kernels as kernels

    centres, halves = cells.centres, cells.centre_halves
    chosen = np.empty((min(CHOICE, len(codes)), len(centres) + 1), dtype=np.int16)
    counts = np.empty(len(codes), dtype=np.int32)
    found = []
    for start in range(0, len(codes), CHOICE):
        of_part = counts[start : start + CHOICE]
        tile = multiply(codes[start : start + CHOICE], centres)
        kernels.choose_cells(tile, halves, sizes, n_look, chosen, of_part)
        found.append(kernels.packed(chosen, of_part))
    return kernels.rows_by_cell(np.concatenate(found), counts, len(centres))  # type: ignore[no-any-return]


def fit_cells(
    X: NDArray[np.float32], metric: str, probes: NDArray[np.int64], distances: NDArray[np.float64]
) -> Cells | None:
    """Divide a sample into cells, and find out how many of them must be looked at.

    Parameters
    ----------
    X : ndarray of float32, shape (n_sample, n_features)
    metric : {"cosine", "euclidean"}
    probes : ndarray of int64, shape (n_probes,)
        Rows of the sample that are looked for.
    distances : ndarray of float64, shape (n_probes, k + 1)
        To their exact nearest rows, the first of them themselves.

    Returns
    -------
    Cells or None
        ``None`` if candidates in the principal axes miss more than `RECALL` allows.
    """
    return _calibrated(divide(X, metric, AXES), X, metric, probes, distances)


def divide(X: NDArray[np.float32], metric: str, n_axes: int) -> Cells:
    """Divide a sample into cells by its principal axes; all of them are looked at."""
    from dtopics.reduction import _cell_kernels as kernels

    unit = 0.0 if metric == "cosine" else _unit(X)
    centre, rotation = _principal_axes(X, unit, n_axes)
    rotated = kernels.rotate(X, unit, centre, rotation)
    middle = float(rotated[:, -1].mean(dtype=np.float64))
    cut = float(np.quantile(np.abs(_spread(rotated[:, :-1], AXES_ROWS)), CUT_QUANTILE))
    scale = kernels.LARGEST_CODE / cut if cut > 0 else 0.0
    codes = kernels.encode(rotated, middle, scale)
    with products() as multiply:
        centres = _centres(codes, multiply)
        near = _assigned(codes, centres, halves_of(centres), multiply)
        centre_halves = halves_of(centres, _spreads(codes, near, centres))
        cells = _assigned(codes, centres, centre_halves, multiply)
    order = np.argsort(cells, kind="stable").astype(np.int32)
    return Cells(
        unit=unit,
        centre=centre,
        rotation=rotation,
        middle=middle,
        scale=scale,
        codes=codes[order],
        order=order,
        offsets=np.searchsorted(cells[order], np.arange(len(centres) + 1)).astype(np.int32),
        centres=centres,
        centre_halves=centre_halves,
        n_look=len(X),
        n_candidates=max(CANDIDATES),
        recall=1.0,
    )


def _calibrated(
    cells: Cells,
    X: NDArray[np.float32],
    metric: str,
    probes: NDArray[np.int64],
    distances: NDArray[np.float64],
) -> Cells | None:
    index, (n, d) = CellNeighbors(X, metric, cells), X.shape
    k, axes = distances.shape[1] - 1, cells.codes.shape[1]
    costs = {
        (part, m): axes * part * n + MEASURING * d * m * k for part in PARTS for m in CANDIDATES
    }
    best = replace(cells, recall=0.0)
    for part, n_candidates in sorted(costs, key=costs.__getitem__):
        if best.recall >= (RECALL if costs[part, n_candidates] > BUDGET else ENOUGH):
            break
        n_look = int(np.ceil(part * n))
        if n_look < n_candidates * k:
            continue
        index.cells = replace(cells, n_look=n_look, n_candidates=n_candidates)
        _, found = index.query(X[probes], k + 1)
        hits = (found <= distances[:, -1:] + ROUNDING * distances.max()).sum(axis=1) - 1
        if hits.mean() / k > best.recall:
            best = replace(index.cells, recall=float(hits.mean() / k))
    return best if best.recall >= RECALL else None


def _principal_axes(
    X: NDArray[np.float32], unit: float, n_axes: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the mean of a sample and its principal axes, the widest first."""
    from threadpoolctl import threadpool_limits

    rows = _spread(X, AXES_ROWS).astype(np.float64)
    if unit:
        rows *= unit
    else:
        lengths = np.sqrt((rows * rows).sum(axis=1, keepdims=True))
        rows = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    centre = rows.mean(axis=0)
    rows -= centre
    with threadpool_limits(1):
        _, axes = np.linalg.eigh(rows.T @ rows)
    widest = axes[:, ::-1][:, :n_axes]
    return centre.astype(np.float32), np.ascontiguousarray(widest, dtype=np.float32)


def _centres(codes: NDArray[np.int8], multiply: Multiply) -> NDArray[np.int8]:
    """Return the centres of k-means, as whole numbers, those of a region together."""
    from dtopics.reduction import _cell_kernels as kernels

    n_cells = min(max(1, len(codes) // CELL_ROWS), MAX_CELLS)
    rows = _spread(codes, TRAINING_ROWS * n_cells)
    centres = _spread(rows, n_cells).copy()
    for _ in range(ROUNDS):
        near = _assigned(rows, centres, halves_of(centres), multiply)
        kernels.cell_means(rows, near, centres)
    regions = _spread(centres, REGIONS)
    near = _assigned(centres, regions, halves_of(regions), multiply)
    return centres[np.argsort(near, kind="stable")]


def _assigned(
    codes: NDArray[np.int8],
    centres: NDArray[np.int8],
    halves: NDArray[np.int32],
    multiply: Multiply,
) -> NDArray[np.int32]:
    """Return the nearest centre of each row."""
    from dtopics.reduction import _cell_kernels as kernels

    nearest = np.empty(len(codes), dtype=np.int32)
    for start in range(0, len(codes), CHOICE):
        part = slice(start, start + CHOICE)
        kernels.nearest_centres(multiply(codes[part], centres), halves, nearest[part])
    return nearest


def halves_of(codes: NDArray[np.int8], spreads: Any = 0.0) -> NDArray[np.int32]:
    """Return half of the codes' squared lengths, and of what counts of a spread, rounded."""
    squared = np.einsum("ij,ij->i", codes, codes, dtype=np.float64) + SPREAD * spreads
    return np.asarray(np.rint(squared / 2), dtype=np.int32)


def _spreads(
    codes: NDArray[np.int8], cells: NDArray[np.int32], centres: NDArray[np.int8]
) -> NDArray[np.float64]:
    """Return the mean squared distance of each cell's rows to its centre; 0 without rows."""
    apart = codes.astype(np.int16) - centres[cells]
    squared = np.einsum("ij,ij->i", apart, apart, dtype=np.float64)
    sizes = np.bincount(cells, minlength=len(centres))
    return np.bincount(cells, squared, len(centres)) / np.maximum(sizes, 1)


def _spread(rows: NDArray[Any], n: int) -> NDArray[Any]:
    """Return `n` rows, evenly over all of them."""
    if n >= len(rows):
        return rows
    return rows[np.linspace(0, len(rows) - 1, n).astype(np.int64)]


def _unit(X: NDArray[np.float32]) -> float:
    """Return the power of two that brings the largest component into [0.5, 1)."""
    largest = float(np.abs(X).max())
    return float(2.0 ** -np.frexp(largest)[1]) if largest > 0 else 1.0
