"""What is done within one part of the points: its tree, core distances, forest, lightest edges.

A *part* is a box of a k-d division and the points in it. Where a point's neighbourhood reaches
other parts, these are looked into, nearest first. All functions are pure: the same part and the
same others give the same bits, in any process and on any number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtopics.clustering.spanning import _edge_kernels as edges
from dtopics.clustering.spanning import _foreign_kernels as foreign
from dtopics.clustering.spanning import _tree_kernels as trees

#: Arrays of int32 and of float64; the kernels insist on them.
Ints = NDArray[Any]
Floats = NDArray[Any]

#: Bytes of lists of neighbours that are held at once.
LIST_BYTES = 64 * 2**20
#: Rows below which a second thread is not worth its start.
THREAD_ROWS = 4_096
#: Nearest points of the part that are kept, to find the first edges among them.
KEPT = 12
_NO_ROWS = np.empty((0, 0), np.int32)
_nearest_distances: Callable[..., None] = trees.nearest_distances
_nearest_foreign: Callable[..., None] = foreign.nearest_foreign


@dataclass(frozen=True, eq=False)
class Part:
    """Points in the order of their tree.

    Attributes
    ----------
    points : ndarray of float32 or float64, shape (n_points, n_components)
    ids : ndarray of int32, shape (n_points,)
        Rows among all points.
    start, stop, child : ndarray of int32, shape (n_nodes,)
        The tree, as `_tree_kernels.build_tree` returns it.
    """

    points: NDArray[Any]
    ids: Ints
    start: Ints
    stop: Ints
    child: Ints

    @classmethod
    def of(cls, points: NDArray[Any], ids: Ints) -> Part:
        """Build the tree of some points."""
        order, start, stop, child = trees.build_tree(points)
        return cls(np.ascontiguousarray(points[order]), ids[order], start, stop, child)

    @cached_property
    def tree(self) -> Any:
        """What the kernels' walks take first: coordinates by leaf, nodes and their boxes."""
        low, high = trees.node_boxes(self.points, self.start, self.stop, self.child)
        packed = trees.pack(self.points, self.start, self.stop, self.child)
        return packed, self.start, self.stop, self.child, low, high

    @property
    def nbytes(self) -> int:
        """Bytes of memory, the boxes included."""
        tree = 2 * self.points.nbytes + 4 * len(self.start) * (3 + 2 * self.points.shape[1])
        return int(tree + self.ids.nbytes)

    def __len__(self) -> int:
        """Return the number of points."""
        return len(self.ids)


@dataclass(frozen=True, eq=False)
class Grown:
    """A part with what a walk for foreign points needs.

    Attributes
    ----------
    part : Part
    core : ndarray of float64, shape (n_points,)
        Squared core distances.
    component : ndarray of int32, shape (n_points,)
    """

    part: Part
    core: Floats
    component: Ints

    @cached_property
    def walk(self) -> Any:
        """What `_foreign_kernels.nearest_foreign` takes of the tree."""
        part = self.part
        shape = len(part.start)
        nodes = np.empty(shape, np.int32), np.empty(shape), np.empty(shape)
        foreign.summarise(part.start, part.stop, part.child, self.core, self.component, *nodes)
        return *part.tree, self.core, part.ids, self.component, *nodes


@dataclass(frozen=True, eq=False)
class Boxes:
    """The boxes of all parts, shape (n_parts, n_components) each."""

    low: NDArray[Any]
    high: NDArray[Any]

    def __len__(self) -> int:
        """Return the number of parts."""
        return len(self.low)

    def nearest(self, own: int) -> NDArray[Any]:
        """Return the other parts, nearest first."""
        gap = np.maximum(self.low - self.high[own], self.low[own] - self.high).clip(min=0)
        others = np.argsort((gap.astype(np.float64) ** 2).sum(axis=1), kind="stable")
        return np.asarray(others[others != own])


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """What is known of the points around each point of a part.

    Attributes
    ----------
    core : ndarray of float64, shape (n_points,)
        Squared distance to the `min_samples`-th other point.
    core_to_join : ndarray of float64, shape (n_points,)
        The same, the point itself counted: what prediction compares new points with.
    outside : ndarray of float64, shape (n_points,)
        Least squared distance at which another part's points can lie.
    nearest, rows : ndarray, shape (n_points, at most KEPT), or no rows
        Squared distances to the nearest points of the part, and which they are.
    """

    core: Floats
    core_to_join: Floats
    outside: Floats
    nearest: Floats
    rows: Ints


def neighbourhood(
    part: Part,
    own: int,
    boxes: Boxes,
    other: Callable[[int], Part],
    *,
    min_samples: int,
    n_points: int,
) -> Neighbourhood:
    """Measure the core distances of a part's points, exact over all parts.

    Parameters
    ----------
    part : Part
    own : int
        Its number.
    boxes : Boxes
    other : callable
        Gives another part by its number.
    min_samples : int
        Neighbours, the point itself not counted.
    n_points : int
        Of all parts.
    """
    k = min(min_samples, n_points - 1) + 1
    joins = min(min_samples, n_points) - 1
    keeps = k <= trees.INSERTION
    outside = trees.nearest_boxes(part.points, boxes.low, boxes.high, own)
    core, core_to_join = np.empty(len(part)), np.empty(len(part))
    kept: list[tuple[Floats, Ints]] = []
    for rows in batches(len(part), max(1, LIST_BYTES // (8 * k))):
        queries = part.points[rows]
        lists, found = _within_part(part, queries, k, keeps=keeps)
        kept.append((lists[:, :KEPT].copy(), found[:, :KEPT].copy()))
        _look_further(queries, outside[rows], lists, own, boxes, other)
        if not keeps:
            lists.sort(axis=1)
        core[rows], core_to_join[rows] = lists[:, k - 1], lists[:, joins]
    nearest, found = (np.concatenate(columns) for columns in zip(*kept, strict=True))
    return Neighbourhood(core, core_to_join, outside, nearest, found)


def _within_part(part: Part, queries: NDArray[Any], k: int, *, keeps: bool) -> tuple[Floats, Ints]:
    """Return the nearest distances within the part, and whose they are where that is kept."""
    lists = np.full((len(queries), k), np.inf)
    rows = np.full(lists.shape, -1, np.int32) if keeps else _NO_ROWS

    def some(s: slice) -> None:
        _nearest_distances(*part.tree, queries[s], lists[s], rows[s])

    in_threads(some, len(queries))
    return lists, rows


def _look_further(
    queries: NDArray[Any],
    outside: Floats,
    lists: Floats,
    own: int,
    boxes: Boxes,
    other: Callable[[int], Part],
) -> None:
    """Lower lists of nearest distances by the points of other parts."""
    front = lists.shape[1] - 1 if lists.shape[1] <= trees.INSERTION else 0
    reaching = np.flatnonzero(outside < lists[:, front])
    if not len(reaching):
        return
    points, found = queries[reaching], lists[reaching]
    for number in boxes.nearest(own):
        near = np.flatnonzero(
            trees.gaps_to_box(points, boxes.low[number], boxes.high[number]) < found[:, front]
        )
        if len(near):
            some = found[near]
            _nearest_distances(*other(number).tree, points[near], some, _NO_ROWS)
            found[near] = some
    lists[reaching] = found


@dataclass(frozen=True, eq=False)
class Forest:
    """The spanning tree of a part's points, cut where other parts may know a lighter edge.

    Attributes
    ----------
    component : ndarray of int32, shape (n_points,)
        What is still together, numbered from 0.
    n_components : int
    one, other : ndarray of int32
        Rows of the part that each edge joins; the edges in their total order.
    weight, distance : ndarray of float64
        Squared.
    sure : ndarray of bool
        Edges of the spanning tree of all points; the others are candidates.
    """

    component: Ints
    n_components: int
    one: Ints
    other: Ints
    weight: Floats
    distance: Floats
    sure: NDArray[np.bool_]


def grow_forest(part: Part, around: Neighbourhood) -> Forest:
    """Build the spanning tree within a part, by core distances over all parts.

    An edge that the tree within the part has not is the heaviest of a cycle, whatever lies outside.
    An edge of it is in the tree of all points if, on one of its sides, nothing outside is as near
    as its weight.

    References
    ----------
    Borůvka's rounds with a k-d tree: March, Ram & Gray (2010), "Fast Euclidean minimum spanning
    tree", KDD.
    """
    one, other, weight, distance = _spanning_edges(part, around)
    order = np.argsort(weight, kind="stable")
    edges.break_ties(order, weight, distance, one, other, part.ids)
    one, other, weight, distance = one[order], other[order], weight[order], distance[order]
    component, sure = edges.contract(one, other, weight, np.maximum(around.core, around.outside))
    component = np.unique(component, return_inverse=True)[1].astype(np.int32)
    n_components = len(part) - int(sure.sum())
    return Forest(component, n_components, one, other, weight, distance, sure)


def _spanning_edges(part: Part, around: Neighbourhood) -> tuple[Ints, Ints, Floats, Floats]:
    n, core = len(part), around.core
    component = np.arange(n, dtype=np.int32)
    parent = component.copy()
    search = Search.begin(core)
    ends = np.empty((2, max(n - 1, 0)), np.int32)
    weights = np.empty((2, max(n - 1, 0)))
    if len(around.rows):
        edges.seed_edges(
            core, part.ids, around.nearest, around.rows, search.settled, search.weight,
            search.distance, search.target, search.target_id,
        )  # fmt: skip
    best, n_edges = np.empty(n, np.int32), 0
    while n_edges < n - 1:
        known = component, part.ids, search.weight, search.distance, search.target, search.target_id
        edges.lightest_known(*known, search.settled, best)
        bounds = _bounds(best, search.weight), _bounds(best, search.distance)
        largest = int(np.bincount(component, minlength=n).argmax()) if n_edges else -1
        if largest >= 0:
            bounds[0][largest] = -1.0
        search.run(Grown(part, core, component), part.points, core, component, component, bounds)
        edges.lightest_known(*known, search.settled, best)
        before = n_edges
        n_edges = edges.join_components(
            parent, component, best, search.target, largest, ends[0], ends[1], n_edges
        )
        added = slice(before, n_edges)
        weights[0][added] = search.weight[ends[0][added]]
        weights[1][added] = search.distance[ends[0][added]]
    return ends[0], ends[1], weights[0], weights[1]


def _bounds(best: Ints, values: Floats) -> Floats:
    return np.where(best >= 0, values[best], np.inf)


@dataclass(frozen=True, eq=False)
class Search:
    """The state of queries between walks; see `_foreign_kernels.nearest_foreign`."""

    settled: NDArray[np.bool_]
    at_least: Floats
    weight: Floats
    distance: Floats
    target: Ints
    target_id: Ints

    @classmethod
    def begin(cls, core: Floats) -> Search:
        """Return the state of queries of which nothing is known but their core distances."""
        n = len(core)
        nothing = np.full(n, -1, np.int32)
        return cls(
            np.zeros(n, np.bool_), core.copy(), np.full(n, np.inf), np.full(n, np.inf),
            nothing, nothing.copy(),
        )  # fmt: skip

    def run(
        self,
        tree: Grown,
        queries: NDArray[Any],
        core: Floats,
        component: Ints,
        slot: Ints,
        bounds: tuple[Floats, Floats],
    ) -> None:
        """Walk a tree for all queries; each thread lowers bounds of its own."""
        walk = tree.walk

        def some(rows: slice) -> None:
            own = bounds if rows.stop - rows.start == len(queries) else tuple(map(np.copy, bounds))
            _nearest_foreign(
                *walk, queries[rows], core[rows], component[rows], slot[rows], self.settled[rows],
                self.at_least[rows], *own, self.weight[rows], self.distance[rows],
                self.target[rows], self.target_id[rows],
            )  # fmt: skip

        in_threads(some, len(queries))


@dataclass(frozen=True, eq=False)
class Candidates:
    """The lightest edge that a part knows out of each of its components.

    Attributes
    ----------
    component, other_component : ndarray of int32, shape (n_components,)
    one, other : ndarray of int32
        Ids of the points that it joins.
    weight, distance : ndarray of float64
        Squared.
    """

    component: Ints
    other_component: Ints
    one: Ints
    other: Ints
    weight: Floats
    distance: Floats

    @classmethod
    def none(cls) -> Candidates:
        """Return those of a part in which all points belong together."""
        nothing, zero = np.empty(0, np.int32), np.empty(0)
        return cls(nothing, nothing, nothing, nothing, zero, zero)


def lightest_edges(
    grown: Grown,
    own: int,
    forest: Forest,
    outside: Floats,
    boxes: Boxes,
    other: Callable[[int], Grown],
    *,
    left_out: int,
) -> Candidates:
    """Find the lightest edge from each component of a part to another component.

    Parameters
    ----------
    grown : Grown
        The part, its points' components numbered over all parts.
    own : int
        The part's number.
    forest : Forest
        Its edges that are not sure are all that can join components within the part.
    outside : ndarray of float64, shape (n_points,)
    boxes : Boxes
    other : callable
        Gives another part by its number.
    left_out : int
        A component, the largest, that nothing is looked for.
    """
    part, core, component = grown.part, grown.core, grown.component
    present, inverse = np.unique(component, return_inverse=True)
    slot: Ints = inverse.astype(np.int32)
    best = _within(forest, part.ids, component, slot, len(present))
    best.weight[present == left_out] = -1.0
    active = np.flatnonzero((core <= best.weight[slot]) & (outside <= best.weight[slot]))
    queries, slot = part.points[active], slot[active]
    core, component, ids = core[active], component[active], part.ids[active]
    for number in boxes.nearest(own) if len(active) else ():
        gap = trees.gaps_to_box(queries, boxes.low[number], boxes.high[number])
        near = np.flatnonzero(np.maximum(gap, core) <= best.weight[slot])
        if not len(near):
            continue
        there = other(int(number))
        search, bounds = Search.begin(core[near]), (best.weight.copy(), best.distance.copy())
        search.run(there, queries[near], core[near], component[near], slot[near], bounds)
        found = np.flatnonzero(search.target >= 0)
        edges.keep_lightest(
            slot[near[found]], ids[near[found]], search.target_id[found],
            there.component[search.target[found]], search.weight[found], search.distance[found],
            best.one, best.other, best.other_component, best.weight, best.distance,
        )  # fmt: skip
    known = np.flatnonzero((best.one >= 0) & (present != left_out))
    return Candidates(
        present[known].astype(np.int32), best.other_component[known], best.one[known],
        best.other[known], best.weight[known], best.distance[known],
    )  # fmt: skip


def _within(forest: Forest, ids: Ints, component: Ints, slot: Ints, n_slots: int) -> Candidates:
    """Return the lightest edges within the part, by slot."""
    a, b, c, d = (np.full(n_slots, -1, np.int32) for _ in range(4))
    best = Candidates(a, b, c, d, np.full(n_slots, np.inf), np.full(n_slots, np.inf))
    open_edges = np.flatnonzero(~forest.sure)
    one, other = forest.one[open_edges], forest.other[open_edges]
    apart = component[one] != component[other]
    one, other, rows = one[apart], other[apart], open_edges[apart]
    for a, b in ((one, other), (other, one)):
        edges.keep_lightest(
            slot[a], ids[a], ids[b], component[b], forest.weight[rows], forest.distance[rows],
            best.one, best.other, best.other_component, best.weight, best.distance,
        )  # fmt: skip
    return best


def batches(n_rows: int, size: int) -> Iterator[slice]:
    """Return runs of rows, at most `size` long."""
    return (slice(start, min(start + size, n_rows)) for start in range(0, n_rows, size))


def in_threads(work: Callable[[slice], None], n_rows: int) -> None:
    """Do runs of rows on as many threads as numba may use."""
    import numba

    width = min(numba.get_num_threads(), n_rows // THREAD_ROWS)
    if width <= 1:
        work(slice(0, n_rows))
        return
    runs = batches(n_rows, -(-n_rows // (4 * width) // trees.LEAF + 1) * trees.LEAF)
    with ThreadPoolExecutor(width) as pool:
        list(pool.map(work, runs))
