"""The nearest points of other components, by mutual reachability; numba only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dtopics._jit import jit
from dtopics.clustering.spanning._tree_kernels import (
    DEPTH,
    LEAF,
    box_gap,
    frame,
    measure,
    point_gap,
)

Ints = NDArray[np.int32]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Points = NDArray[np.floating]


@jit()
def summarise(
    start: Ints,
    stop: Ints,
    child: Ints,
    core: Floats,
    component: Ints,
    densest: Ints,
    densest_core: Floats,
    other_core: Floats,
) -> None:
    """Write what a walk must know of each node to tell whether it has anything for a component.

    Parameters
    ----------
    densest : ndarray of int32, shape (n_nodes,)
        The component of the point with the least core distance.
    densest_core, other_core : ndarray of float64, shape (n_nodes,)
        That distance, and the least one of all points of other components, infinite where there
        are none.
    """
    n_nodes = start.shape[0]
    for node in range(n_nodes - 1, -1, -1):
        if child[node] >= 0:
            one, other = child[node], child[node] + 1
            if densest_core[other] < densest_core[one]:
                one, other = other, one
            first, least = densest[one], densest_core[one]
            rest = other_core[one]
            if densest[other] != first:
                rest = min(rest, densest_core[other])
            else:
                rest = min(rest, other_core[other])
            densest[node], densest_core[node], other_core[node] = first, least, rest
            continue
        first, least, rest = -1, np.inf, np.inf
        for i in range(start[node], stop[node]):
            if core[i] < least or first < 0:
                if component[i] != first:
                    rest = least
                first, least = component[i], core[i]
            elif component[i] != first:
                rest = min(rest, core[i])
        densest[node], densest_core[node], other_core[node] = first, least, rest


@jit()
def _foreign_core(
    densest: Ints, densest_core: Floats, other_core: Floats, node: int, own: int
) -> float:
    """Return the least core distance of a node's points that are of another component."""
    return float(other_core[node] if densest[node] == own else densest_core[node])


@jit()
def nearest_foreign(
    packed: Points,
    start: Ints,
    stop: Ints,
    child: Ints,
    low: Points,
    high: Points,
    core: Floats,
    ids: Ints,
    component: Ints,
    densest: Ints,
    densest_core: Floats,
    other_core: Floats,
    queries: Points,
    query_core: Floats,
    query_component: Ints,
    query_slot: Ints,
    settled: Bools,
    at_least: Floats,
    bound: Floats,
    bound_distance: Floats,
    weight: Floats,
    distance: Floats,
    target: Ints,
    target_id: Ints,
) -> None:
    """Find the lightest edge from each component to a point of another.

    The weight of an edge is often the core distance of one end, and then the same for many edges:
    bounds are pairs of weight and distance, and a node that can only equal a weight must be nearer.

    Parameters
    ----------
    core, ids, component
        Of the tree's points.
    densest, densest_core, other_core
        Of its nodes, by `summarise`.
    query_slot
        The place of a query's component in `bound`.
    settled
        Queries whose lightest edge is known; they are not looked at.
    at_least
        No edge of the query weighs less; one above its bound is not looked at. It is raised to
        what the walk has shown.
    bound, bound_distance
        Weight and distance of the lightest edge known for each component; lowered by what is
        found.
    weight, distance, target, target_id
        The lightest edge known for each query, lowered where a lighter one is found; `target` is
        a row of the tree. Only that of a settled query is sure to be its lightest.
    """
    m, d = queries.shape
    stack, gaps, distances = np.empty(DEPTH, np.int32), np.empty(DEPTH), np.empty(LEAF)
    frame_low, frame_high = np.empty(d), np.empty(d)
    for first in range(0, m, LEAF):
        last = min(first + LEAF, m)
        own, n_active = query_component[first], 0
        for i in range(first, last):
            most = bound[query_slot[i]]
            if not settled[i] and at_least[i] <= most and query_core[i] <= most:
                n_active += 1
            if query_component[i] != own:
                own = -1
        if n_active == 0:
            continue
        if own >= 0 and n_active > 2:
            frame(queries, first, last, frame_low, frame_high)
            most = bound[query_slot[first]]
            if not _any_foreign(
                child, low, high, densest, densest_core, other_core, own, frame_low, frame_high,
                most, bound_distance[query_slot[first]], stack,
            ):  # fmt: skip
                for i in range(first, last):
                    at_least[i] = max(at_least[i], min(weight[i], most))
                continue
        for i in range(first, last):
            slot, own, own_core = query_slot[i], query_component[i], query_core[i]
            if settled[i] or at_least[i] > bound[slot] or own_core > bound[slot]:
                continue
            most, near = bound[slot], bound_distance[slot]
            if weight[i] < most or (weight[i] == most and distance[i] < near):
                most, near = weight[i], distance[i]
            stack[0], gaps[0], top = 0, 0.0, 1
            while top > 0:
                top -= 1
                node, gap = stack[top], gaps[top]
                least = max(
                    gap, own_core, _foreign_core(densest, densest_core, other_core, node, own)
                )
                useful = least < most or (least == most and gap <= near)
                while useful and child[node] >= 0:
                    one, other = child[node], child[node] + 1
                    gap = point_gap(low, high, one, queries, i)
                    far = point_gap(low, high, other, queries, i)
                    if far < gap:
                        one, other, gap, far = other, one, far, gap
                    least = max(
                        far, own_core, _foreign_core(densest, densest_core, other_core, other, own)
                    )
                    if least < most or (least == most and far <= near):
                        stack[top], gaps[top] = other, far
                        top += 1
                    node = one
                    least = max(
                        gap, own_core, _foreign_core(densest, densest_core, other_core, node, own)
                    )
                    useful = least < most or (least == most and gap <= near)
                if not useful:
                    continue
                begin, size = start[node], stop[node] - start[node]
                measure(packed, begin, size, queries, i, distances)
                for j in range(size):
                    reach, row = distances[j], begin + j
                    if reach > most or core[row] > most or component[row] == own:
                        continue
                    w = max(reach, core[row], own_core)
                    better = w < weight[i]
                    if w == weight[i]:
                        better = reach < distance[i] or (
                            reach == distance[i] and ids[row] < target_id[i]
                        )
                    if better:
                        weight[i], distance[i], target[i], target_id[i] = w, reach, row, ids[row]
                        if w < most or (w == most and reach < near):
                            most, near = w, reach
            if most < bound[slot] or (most == bound[slot] and near < bound_distance[slot]):
                bound[slot], bound_distance[slot] = most, near
            at_least[i] = max(at_least[i], most)
            settled[i] = weight[i] == most and distance[i] == near


@jit()
def _any_foreign(
    child: Ints,
    low: Points,
    high: Points,
    densest: Ints,
    densest_core: Floats,
    other_core: Floats,
    own: int,
    frame_low: Floats,
    frame_high: Floats,
    most: float,
    near: float,
    stack: Ints,
) -> bool:
    """Return whether a leaf that a component could use lies near enough to a box."""
    stack[0], top = 0, 1
    while top > 0:
        top -= 1
        node = stack[top]
        least = _foreign_core(densest, densest_core, other_core, node, own)
        if least > most:
            continue
        gap = box_gap(low, high, node, frame_low, frame_high)
        if gap > most or (max(gap, least) == most and gap > near):
            continue
        if child[node] < 0:
            return True
        stack[top], stack[top + 1] = child[node], child[node] + 1
        top += 2
    return False
