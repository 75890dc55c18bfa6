"""The spanning tree of points that one process holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtopics.clustering.spanning import _edge_kernels as edges
from dtopics.clustering.spanning import _tree_kernels as trees
from dtopics.clustering.spanning.parts import (
    Boxes,
    Candidates,
    Forest,
    Grown,
    Neighbourhood,
    Part,
    grow_forest,
    lightest_edges,
    neighbourhood,
)


@dataclass(frozen=True, eq=False)
class SpanningTree:
    """The minimum spanning tree by mutual reachability, its edges in their total order.

    Attributes
    ----------
    one, other : ndarray of int32, shape (n_points - 1,)
        Rows of the points that each edge joins.
    weight : ndarray of float64, shape (n_points - 1,)
        Mutual reachability distances, ascending.
    core_to_join : ndarray of float64, shape (n_points,)
        Distance to the `min_samples`-th point, the point itself counted.
    """

    one: NDArray[np.int32]
    other: NDArray[np.int32]
    weight: NDArray[np.float64]
    core_to_join: NDArray[np.float64]


def spanning_tree(points: NDArray[Any], *, min_samples: int, n_parts: int = 1) -> SpanningTree:
    """Build the tree; the number of parts changes what it costs, and nothing else.

    Parameters
    ----------
    points : ndarray of float32 or float64, shape (n_points, n_components)
        At least two, finite, C-ordered.
    min_samples : int
        Neighbours, the point itself not counted, within a point's core distance.
    n_parts : int, default=1
    """
    n = len(points)
    splits = Splits.of(points, n_parts)
    where = splits.part_of(points)
    rows = [np.flatnonzero(where == number).astype(np.int32) for number in range(n_parts)]
    parts = [Part.of(points[own], own) for own in rows if len(own)]
    boxes = Boxes(*(np.array([f(p.points, axis=0) for p in parts]) for f in (np.min, np.max)))
    around = [
        neighbourhood(part, own, boxes, parts.__getitem__, min_samples=min_samples, n_points=n)
        for own, part in enumerate(parts)
    ]
    forests = [grow_forest(*both) for both in zip(parts, around, strict=True)]
    found = [_sure(*both) for both in zip(parts, forests, strict=True)]
    found += _rounds(parts, around, forests, boxes)
    weight, distance, one, other = map(np.concatenate, zip(*found, strict=True))
    order = edge_order(weight, distance, one, other)
    core_to_join = np.empty(n)
    for part, near in zip(parts, around, strict=True):
        core_to_join[part.ids] = np.sqrt(near.core_to_join)
    return SpanningTree(one[order], other[order], np.sqrt(weight[order]), core_to_join)


def edge_order(
    weight: NDArray[np.float64],
    distance: NDArray[np.float64],
    one: NDArray[np.int32],
    other: NDArray[np.int32],
) -> NDArray[np.int64]:
    """Return the total order of edges between points with these ids."""
    order = np.argsort(weight, kind="stable")
    edges.break_ties(order, weight, distance, one, other, np.empty(0, np.int32))
    return order


def _sure(part: Part, forest: Forest) -> tuple[NDArray[Any], ...]:
    rows = np.flatnonzero(forest.sure)
    ends = part.ids[forest.one[rows]], part.ids[forest.other[rows]]
    return forest.weight[rows], forest.distance[rows], *ends


def _rounds(
    parts: list[Part], around: list[Neighbourhood], forests: list[Forest], boxes: Boxes
) -> list[tuple[NDArray[Any], ...]]:
    """Join the parts' components until one is left; return the edges that did."""
    first = np.cumsum([0, *(forest.n_components for forest in forests)])
    size = np.concatenate([np.bincount(f.component, minlength=f.n_components) for f in forests])
    parent = np.arange(len(size), dtype=np.int32)
    joined = []
    while (size > 0).sum() > 1:
        left_out = int(size.argmax())
        grown = [
            Grown(part, near.core, parent[start + forest.component])
            for part, near, forest, start in zip(parts, around, forests, first[:-1], strict=True)
        ]
        found = [
            lightest_edges(
                grown[own], own, forests[own], around[own].outside, boxes, grown.__getitem__,
                left_out=left_out,
            )
            for own in range(len(parts))
        ]  # fmt: skip
        joined.append(join(parent, size, found))
    return joined


def join(
    parent: NDArray[np.int32], size: NDArray[np.int64], found: list[Candidates]
) -> tuple[NDArray[Any], ...]:
    """Join components in place; return weight, distance and ends of the edges that did."""
    fields = ("component", "other_component", "one", "other", "weight", "distance")
    columns = [np.concatenate([getattr(part, field) for part in found]) for field in fields]
    joins = edges.join_parts(parent, size, *columns)
    _, _, one, other, weight, distance = (column[joins] for column in columns)
    return weight, distance, one, other


@dataclass(frozen=True, eq=False)
class Splits:
    """A k-d division of space into boxes.

    Attributes
    ----------
    axis : ndarray of int32, shape (n_nodes,)
        The component that a node is divided by; −1 for a box.
    threshold : ndarray of float64, shape (n_nodes,)
        What lies below it goes to the first child.
    child : ndarray of int32, shape (n_nodes,)
        The first child, which the second follows; for a box, its number.
    """

    axis: NDArray[np.int32]
    threshold: NDArray[np.float64]
    child: NDArray[np.int32]

    @classmethod
    def of(cls, sample: NDArray[Any], n_parts: int) -> Splits:
        """Divide a sample into boxes that hold about as many points each."""
        axis, threshold, child, n_boxes = [-1], [0.0], [-1], 0
        waiting = [(0, sample.astype(np.float64), n_parts)]
        while waiting:
            node, points, parts = waiting.pop()
            spread = np.ptp(points, axis=0) if len(points) else np.zeros(1)
            if parts == 1 or spread.max() == 0.0:
                child[node], n_boxes = n_boxes, n_boxes + 1
                continue
            below = parts // 2
            axis[node] = int(spread.argmax())
            column = points[:, axis[node]]
            threshold[node] = _cut(column, below / parts)
            child[node] = len(axis)
            axis += [-1, -1]
            threshold += [0.0, 0.0]
            child += [-1, -1]
            left = column < threshold[node]
            waiting.append((child[node] + 1, points[~left], parts - below))
            waiting.append((child[node], points[left], below))
        return cls(np.array(axis, np.int32), np.array(threshold), np.array(child, np.int32))

    @property
    def n_parts(self) -> int:
        """Number of boxes; fewer than were asked for where points coincide."""
        return int((self.axis < 0).sum())

    def part_of(self, points: NDArray[Any]) -> NDArray[np.int32]:
        """Return the box of each point, shape (n_points,)."""
        return trees.part_of(points, self.axis, self.threshold, self.child)


def _cut(column: NDArray[np.float64], share: float) -> float:
    """Return a threshold with about that share of the values below it, and some on both sides."""
    threshold = float(np.partition(column, int(len(column) * share))[int(len(column) * share)])
    if threshold > column.min():
        return threshold
    return float(column[column > threshold].min())
