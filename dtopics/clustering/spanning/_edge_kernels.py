"""Edges, their order, and what they join; numba only.

Edges have a strict total order: by weight, then by distance, then by the smaller id, then by the
larger. It makes the spanning tree unique, however the points are divided.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dtopics._jit import jit

Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Points = NDArray[np.floating]


@jit()
def comes_first(
    weight: float, distance: float, a: int, b: int,
    other_weight: float, other_distance: float, other_a: int, other_b: int,
) -> bool:  # fmt: skip
    """Return whether an edge comes before another in the total order."""
    if weight != other_weight:
        return weight < other_weight
    if distance != other_distance:
        return distance < other_distance
    low, other_low = min(a, b), min(other_a, other_b)
    if low != other_low:
        return low < other_low
    return max(a, b) < max(other_a, other_b)


@jit()
def root_of(parent: Ints, node: int) -> int:
    """Return the root of a node's tree, halving the path to it."""
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


@jit()
def seed_edges(
    core: Floats,
    ids: Ints,
    nearest: Floats,
    rows: Ints,
    settled: Bools,
    weight: Floats,
    distance: Floats,
    target: Ints,
    target_id: Ints,
) -> None:
    """Find the lightest edge of each point that has one in its list of nearest points.

    That is an edge to the nearest point with no larger core distance. One at the list's very end
    could tie with points that the list has no room for, and is left to be looked for.
    """
    k = nearest.shape[1]
    for i in range(core.shape[0]):
        for place in range(k):
            row, reach = rows[i, place], nearest[i, place]
            if row < 0 or reach >= min(core[i], nearest[i, k - 1]):
                break
            if target[i] >= 0 and reach > distance[i]:
                break
            if row == i or core[row] > core[i]:
                continue
            if target[i] < 0 or ids[row] < target_id[i]:
                weight[i], distance[i], target[i], target_id[i] = core[i], reach, row, ids[row]
                settled[i] = True


@jit()
def lightest_known(
    component: Ints,
    ids: Ints,
    weight: Floats,
    distance: Floats,
    target: Ints,
    target_id: Ints,
    settled: Bools,
    best: Ints,
) -> None:
    """Write for each component the row of the lightest edge known, and forget edges within one."""
    best[:] = -1
    for i in range(component.shape[0]):
        if target[i] < 0:
            continue
        own = component[i]
        if component[target[i]] == own:
            weight[i] = distance[i] = np.inf
            target[i] = target_id[i] = -1
            settled[i] = False
            continue
        j = best[own]
        if j < 0 or comes_first(
            weight[i], distance[i], ids[i], target_id[i],
            weight[j], distance[j], ids[j], target_id[j],
        ):  # fmt: skip
            best[own] = i


@jit()
def join_components(
    parent: Ints,
    component: Ints,
    best: Ints,
    target: Ints,
    left_out: int,
    one: Ints,
    other: Ints,
    n_edges: int,
) -> int:
    """Add each component's lightest edge to the tree; return the number of edges then."""
    for i_component in range(best.shape[0]):
        i = best[i_component]
        if i < 0 or i_component == left_out:
            continue
        a, b = root_of(parent, component[i]), root_of(parent, component[target[i]])
        if a != b:
            if a > b:
                a, b = b, a
            parent[b] = a
            one[n_edges], other[n_edges] = i, target[i]
            n_edges += 1
    for i in range(component.shape[0]):
        component[i] = root_of(parent, component[i])
    return n_edges


@jit()
def break_ties(
    order: Longs, weight: Floats, distance: Floats, one: Ints, other: Ints, ids: Ints
) -> None:
    """Put edges, in an order by weight, into the total order.

    `ids` are those of the rows that edges join; without any, the edges join ids.
    """
    n, first = order.shape[0], 0
    named = ids.shape[0] == 0
    while first < n:
        last = first + 1
        while last < n and weight[order[last]] == weight[order[first]]:
            last += 1
        # Shell's gaps: with many identical points, a run of ties is as long as the corpus.
        gap = 1
        while gap < (last - first) // 9:
            gap = 3 * gap + 1
        while gap > 0:
            for i in range(first + gap, last):
                moved, j = order[i], i
                a, b = one[moved], other[moved]
                if not named:
                    a, b = ids[a], ids[b]
                while j - gap >= first:
                    before = order[j - gap]
                    c, d = one[before], other[before]
                    if not named:
                        c, d = ids[c], ids[d]
                    if not comes_first(0.0, distance[moved], a, b, 0.0, distance[before], c, d):
                        break
                    order[j] = before
                    j -= gap
                order[j] = moved
            gap //= 3
        first = last


@jit()
def contract(one: Ints, other: Ints, weight: Floats, outside: Floats) -> tuple[Ints, Bools]:
    """Join what edges of a part's tree, in their order, are sure to join in the tree of all points.

    Parameters
    ----------
    outside : ndarray of float64, shape (n_points,)
        No edge of a point that leaves the part weighs less.

    Returns
    -------
    component : ndarray of int32, shape (n_points,)
    sure : ndarray of bool, shape (n_edges,)
    """
    n = outside.shape[0]
    parent, least = np.arange(n).astype(np.int32), outside.copy()
    sure = np.zeros(one.shape[0], np.bool_)
    for edge in range(one.shape[0]):
        a, b = root_of(parent, one[edge]), root_of(parent, other[edge])
        if least[a] > weight[edge] or least[b] > weight[edge]:
            if a > b:
                a, b = b, a
            parent[b] = a
            least[a] = min(least[a], least[b])
            sure[edge] = True
    for i in range(n):
        parent[i] = root_of(parent, i)
    return parent, sure


@jit()
def keep_lightest(
    slot: Ints,
    one: Ints,
    other: Ints,
    other_component: Ints,
    weight: Floats,
    distance: Floats,
    best_one: Ints,
    best_other: Ints,
    best_component: Ints,
    best_weight: Floats,
    best_distance: Floats,
) -> None:
    """Keep the first edge of each slot in the total order."""
    for i in range(slot.shape[0]):
        s = slot[i]
        if best_one[s] < 0 or comes_first(
            weight[i], distance[i], one[i], other[i],
            best_weight[s], best_distance[s], best_one[s], best_other[s],
        ):  # fmt: skip
            if best_weight[s] < 0.0:
                continue
            best_one[s], best_other[s] = one[i], other[i]
            best_component[s] = other_component[i]
            best_weight[s], best_distance[s] = weight[i], distance[i]


@jit()
def join_parts(
    parent: Ints,
    size: Longs,
    component: Ints,
    other_component: Ints,
    one: Ints,
    other: Ints,
    weight: Floats,
    distance: Floats,
) -> Bools:
    """Join components by the first edge of each in the total order.

    Parameters
    ----------
    parent : ndarray of int32, shape (n_components,)
        The component that each belongs to; changed, with every path of length one.
    size : ndarray of int64, shape (n_components,)
        Points of each; changed.

    Returns
    -------
    ndarray of bool, shape (n_candidates,)
        The edges that joined two.
    """
    best = np.full(parent.shape[0], -1, np.int32)
    for i in range(component.shape[0]):
        j = best[component[i]]
        if j < 0 or comes_first(
            weight[i], distance[i], one[i], other[i], weight[j], distance[j], one[j], other[j]
        ):  # fmt: skip
            best[component[i]] = i
    joins = np.zeros(component.shape[0], np.bool_)
    for c in range(best.shape[0]):
        i = best[c]
        if i < 0:
            continue
        a, b = root_of(parent, component[i]), root_of(parent, other_component[i])
        if a != b:
            if a > b:
                a, b = b, a
            parent[b] = a
            size[a] += size[b]
            size[b] = 0
            joins[i] = True
    for c in range(parent.shape[0]):
        parent[c] = root_of(parent, c)
    return joins
