"""New points: where each joins the tree, and what cluster that is.

The rule is that of ``hdbscan.approximate_predict``: a point joins at its nearest training point by
mutual reachability, among its ``2 * min_samples`` nearest by distance. Training points lie in one
process (`HeldPoints`) or in the parts of a run (`distributed.StoredPoints`), with one answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dtopics.clustering.selection import Chosen, CondensedTree
from dtopics.clustering.spanning.parts import Boxes, Part, in_threads
from dtopics.data import OUTLIER

#: Neighbours that are held at once.
HELD_NEIGHBOURS = 2**21


@dataclass(frozen=True, eq=False)
class TrainedPart:
    """A part of the training points with what new points need of it.

    Attributes
    ----------
    part : Part
    core : ndarray of float64, shape (n_points,)
        Distances to the `min_samples`-th point, the point itself counted.
    node : ndarray of int32, shape (n_points,)
    lambdas : ndarray of float64, shape (n_points,)
        The node that each point falls out of, and 1 / distance at which it does.
    """

    part: Part
    core: NDArray[np.float64]
    node: NDArray[np.int32]
    lambdas: NDArray[np.float64]


class TrainingPoints(Protocol):
    """The points of a fit, in one part or many."""

    @property
    def boxes(self) -> Boxes:
        """The parts' boxes."""
        ...

    @property
    def first(self) -> NDArray[np.int64]:
        """The place of each part's first point among all, then their number."""
        ...

    def part(self, number: int) -> TrainedPart:
        """Return a part."""
        ...


@dataclass(frozen=True, eq=False)
class HeldPoints:
    """Training points that this process holds, as one part.

    Attributes
    ----------
    points : ndarray of float32 or float64, shape (n_points, n_components)
    core : ndarray of float64, shape (n_points,)
    tree : CondensedTree
    """

    points: NDArray[Any]
    core: NDArray[np.float64]
    tree: CondensedTree

    @cached_property
    def _only(self) -> TrainedPart:
        part = Part.of(self.points, np.arange(len(self.points), dtype=np.int32))
        tree, ids = self.tree, part.ids
        return TrainedPart(part, self.core[ids], tree.point_node[ids], tree.point_lambda[ids])

    @cached_property
    def boxes(self) -> Boxes:
        """The one part's box."""
        return Boxes(self.points.min(axis=0)[None], self.points.max(axis=0)[None])

    @property
    def first(self) -> NDArray[np.int64]:
        """Zero, and the number of points."""
        return np.array([0, len(self.points)])

    def part(self, number: int) -> TrainedPart:  # noqa: ARG002
        """Return the only part."""
        return self._only


@dataclass(frozen=True, eq=False)
class Clusters:
    """What labels new points: the nodes of the tree, and the clusters chosen.

    Attributes
    ----------
    parent : ndarray of int32, shape (n_nodes,)
    birth, max_lambda : ndarray of float64, shape (n_nodes,)
    chosen : Chosen
    """

    parent: NDArray[np.int32]
    birth: NDArray[np.float64]
    max_lambda: NDArray[np.float64]
    chosen: Chosen


@dataclass(frozen=True, eq=False)
class Joined:
    """Where new points join the tree, one row each.

    Attributes
    ----------
    node : ndarray of int32
    lambdas : ndarray of float64
        Of the training point that each joins.
    density : ndarray of float64
        1 / mutual reachability distance to that point.
    """

    node: NDArray[np.int32]
    lambdas: NDArray[np.float64]
    density: NDArray[np.float64]


def predict(
    points: TrainingPoints, clusters: Clusters, new: NDArray[Any], *, min_samples: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Label new points, shape (n_new, n_components)."""
    from dtopics.clustering import _kernels

    labels = np.full(len(new), OUTLIER, np.int32)
    probabilities = np.zeros(len(new), np.float32)
    chosen = clusters.chosen
    if not len(chosen.clusters):
        return labels, probabilities
    for rows, joined in join_in_batches(points, new, min_samples=min_samples):
        _kernels.label_joined(
            joined.node, joined.lambdas, joined.density, clusters.parent, clusters.birth,
            chosen.node_label, chosen.node_max_lambda, chosen.root_lambda, labels[rows],
            probabilities[rows],
        )  # fmt: skip
    return labels, probabilities


def join_in_batches(
    points: TrainingPoints, new: NDArray[Any], *, min_samples: int
) -> Iterator[tuple[slice, Joined]]:
    """Find where new points join the tree, some rows at a time."""
    k = int(min(2 * min_samples, points.first[-1]))
    size = max(1, HELD_NEIGHBOURS // max(k, len(points.boxes)))
    for start in range(0, len(new), size):
        rows = slice(start, min(start + size, len(new)))
        yield rows, _join(points, np.ascontiguousarray(new[rows]), k, min(min_samples, k - 1))


def _join(points: TrainingPoints, new: NDArray[Any], k: int, core_column: int) -> Joined:
    from dtopics.clustering import _kernels

    nearest = np.full((len(new), k), np.inf)
    ids = np.full((len(new), k), np.iinfo(np.int32).max, np.int32)
    places = np.zeros((len(new), k), np.int64)
    for number, rows in _reached(points.boxes, new, nearest):
        _look_into(points, number, new, rows, nearest, ids, places)
    owner = np.searchsorted(points.first, places, side="right") - 1
    core = np.empty(places.shape)
    for number in np.unique(owner):
        inside = owner == number
        core[inside] = points.part(int(number)).core[places[inside] - points.first[number]]
    column, density = np.empty(len(new), np.int64), np.empty(len(new))
    _kernels.find_joined(np.sqrt(nearest), ids, core, core_column, column, density)
    at = np.arange(len(new)), column
    node, lambdas = np.empty(len(new), np.int32), np.empty(len(new))
    for number in np.unique(owner[at]):
        inside = owner[at] == number
        there, trained = places[at][inside] - points.first[number], points.part(int(number))
        node[inside], lambdas[inside] = trained.node[there], trained.lambdas[there]
    return Joined(node, lambdas, density)


def _reached(
    boxes: Boxes, new: NDArray[Any], nearest: NDArray[np.float64]
) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Go through parts and the rows that look into them: first each row's nearest part.

    The lists in `nearest` are lowered by the caller meanwhile.
    """
    from dtopics.clustering.spanning._tree_kernels import gaps_to_box

    gaps = np.stack(
        [gaps_to_box(new, low, high) for low, high in zip(boxes.low, boxes.high, strict=True)],
        axis=1,
    )
    own = gaps.argmin(axis=1)
    for number in range(len(boxes)):
        rows = np.flatnonzero(own == number)
        if len(rows):
            yield number, rows
    for number in range(len(boxes)):
        rows = np.flatnonzero((own != number) & (gaps[:, number] <= nearest[:, -1]))
        if len(rows):
            yield number, rows


def _look_into(
    points: TrainingPoints,
    number: int,
    new: NDArray[Any],
    rows: NDArray[np.intp],
    nearest: NDArray[np.float64],
    ids: NDArray[np.int32],
    places: NDArray[np.int64],
) -> None:
    from dtopics.clustering.spanning import _tree_kernels

    search: Callable[..., None] = _tree_kernels.nearest_points
    part, base = points.part(number).part, int(points.first[number])
    queries, lists = new[rows], (nearest[rows], ids[rows], places[rows])

    def some(s: slice) -> None:
        search(*part.tree, part.ids, base, queries[s], *(held[s] for held in lists))

    in_threads(some, len(rows))
    nearest[rows], ids[rows], places[rows] = lists
