"""k-d trees of points and the nearest points in them; numba only.

Points are in the order of the tree, so that a node is a run of rows. Distances are squared and in
float64, summed over the components in their order: they are bit for bit those of any other code
that does the same. Within a leaf the coordinates are kept component by component (`packed`), so
that the distances from one query to a whole leaf are a vector loop.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dtopics._jit import jit

Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Floats = NDArray[np.float64]
Points = NDArray[np.floating]

#: Points of a leaf, at most.
LEAF = 32
#: A stack of a depth-first walk; no tree is deeper.
DEPTH = 96
#: Levels at which nodes are divided in the middle; deeper ones hold as many points on both sides.
HALVINGS = 48
#: Longer lists of neighbours are heaps.
INSERTION = 48


@jit()
def build_tree(points: Points) -> tuple[Ints, Ints, Ints, Ints]:
    """Divide points by the middle of the widest side of their box, down to leaves.

    Returns
    -------
    order : ndarray of int32, shape (n_points,)
        The points in the order of the tree.
    start, stop : ndarray of int32, shape (n_nodes,)
        Each node's run of that order.
    child : ndarray of int32, shape (n_nodes,)
        A node's first child, which the second follows; −1 for leaves. Parents come first.
    """
    n, d = points.shape
    order = np.arange(n).astype(np.int32)
    room = max(4 * n // LEAF, 1) + 2 * DEPTH
    start, stop = np.empty(room, np.int32), np.empty(room, np.int32)
    child, level = np.empty(room, np.int32), np.empty(room, np.int32)
    start[0], stop[0], level[0], n_nodes, node = 0, n, 0, 1, 0
    while node < n_nodes:
        first, last = start[node], stop[node]
        child[node] = -1
        if last - first > LEAF:
            axis, widest, centre = 0, -1.0, 0.0
            for q in range(d):
                least = most = points[order[first], q]
                for i in range(first + 1, last):
                    value = points[order[i], q]
                    least = value if value < least else least
                    most = value if value > most else most
                if np.float64(most) - np.float64(least) > widest:
                    widest = np.float64(most) - np.float64(least)
                    axis, centre = q, (np.float64(most) + np.float64(least)) / 2
            middle = first
            if level[node] < HALVINGS:
                j = last - 1
                while middle <= j:
                    if points[order[middle], axis] <= centre:
                        middle += 1
                    else:
                        order[middle], order[j] = order[j], order[middle]
                        j -= 1
            if middle in (first, last):
                middle = (first + last) // 2
                _select(points, order, first, last, middle, axis)
            if n_nodes + 2 > room:
                room *= 2
                start, stop = _longer(start, room), _longer(stop, room)
                child, level = _longer(child, room), _longer(level, room)
            child[node] = n_nodes
            start[n_nodes], stop[n_nodes] = first, middle
            start[n_nodes + 1], stop[n_nodes + 1] = middle, last
            level[n_nodes] = level[n_nodes + 1] = level[node] + 1
            n_nodes += 2
        node += 1
    return order, start[:n_nodes].copy(), stop[:n_nodes].copy(), child[:n_nodes].copy()


@jit()
def _longer(values: Ints, room: int) -> Ints:
    longer = np.empty(room, np.int32)
    longer[: values.shape[0]] = values
    return longer


@jit()
def _select(points: Points, order: Ints, first: int, last: int, k: int, axis: int) -> None:
    """Order ``order[first:last]`` so that the k-th is in its place along an axis."""
    last -= 1
    while first < last:
        middle = (first + last) >> 1
        a, b, c = (
            points[order[first], axis],
            points[order[middle], axis],
            points[order[last], axis],
        )
        pivot = max(min(a, b), min(max(a, b), c))
        i, j = first, last
        while i <= j:
            while points[order[i], axis] < pivot:
                i += 1
            while points[order[j], axis] > pivot:
                j -= 1
            if i <= j:
                order[i], order[j] = order[j], order[i]
                i += 1
                j -= 1
        if k <= j:
            last = j
        elif k >= i:
            first = i
        else:
            return


@jit()
def node_boxes(points: Points, start: Ints, stop: Ints, child: Ints) -> tuple[Points, Points]:
    """Return the least and the largest coordinates of each node, shape (n_nodes, n_components)."""
    n_nodes, d = start.shape[0], points.shape[1]
    low, high = np.empty((n_nodes, d), points.dtype), np.empty((n_nodes, d), points.dtype)
    for node in range(n_nodes - 1, -1, -1):
        if child[node] >= 0:
            one, other = child[node], child[node] + 1
            for q in range(d):
                low[node, q] = min(low[one, q], low[other, q])
                high[node, q] = max(high[one, q], high[other, q])
            continue
        for q in range(d):
            low[node, q] = high[node, q] = points[start[node], q]
        for i in range(start[node] + 1, stop[node]):
            for q in range(d):
                value = points[i, q]
                low[node, q] = min(low[node, q], value)
                high[node, q] = max(high[node, q], value)
    return low, high


@jit()
def pack(points: Points, start: Ints, stop: Ints, child: Ints) -> Points:
    """Return the coordinates leaf by leaf, each component by component, as one run."""
    n_nodes, d = start.shape[0], points.shape[1]
    packed = np.empty(points.shape[0] * d, points.dtype)
    for node in range(n_nodes):
        if child[node] >= 0:
            continue
        first, size = start[node], stop[node] - start[node]
        for q in range(d):
            for i in range(size):
                packed[first * d + q * size + i] = points[first + i, q]
    return packed


@jit()
def box_gap(low: Points, high: Points, node: int, a_low: Floats, a_high: Floats) -> float:
    """Return the least squared distance between a node's box and another."""
    total = 0.0
    for q in range(a_low.shape[0]):
        below = np.float64(low[node, q]) - a_high[q]
        above = a_low[q] - np.float64(high[node, q])
        gap = below if below > above else above
        gap = gap if gap > 0.0 else np.float64(0.0)
        total += gap * gap
    return total


@jit()
def point_gap(low: Points, high: Points, node: int, points: Points, i: int) -> float:
    """Return the least squared distance between a node's box and a point."""
    total = 0.0
    for q in range(points.shape[1]):
        x = np.float64(points[i, q])
        below, above = np.float64(low[node, q]) - x, x - np.float64(high[node, q])
        gap = below if below > above else above
        gap = gap if gap > 0.0 else np.float64(0.0)
        total += gap * gap
    return total


@jit()
def measure(packed: Points, first: int, size: int, points: Points, i: int, out: Floats) -> None:
    """Write the squared distances from a point to a leaf."""
    d = points.shape[1]
    base = first * d
    x = np.float64(points[i, 0])
    for j in range(size):
        step = np.float64(packed[base + j]) - x
        out[j] = step * step
    for q in range(1, d):
        x = np.float64(points[i, q])
        row = base + q * size
        for j in range(size):
            step = np.float64(packed[row + j]) - x
            out[j] += step * step


@jit()
def frame(queries: Points, first: int, last: int, low: Floats, high: Floats) -> None:
    """Write the box of some queries."""
    for q in range(queries.shape[1]):
        low[q] = high[q] = np.float64(queries[first, q])
        for i in range(first + 1, last):
            value = np.float64(queries[i, q])
            low[q] = min(low[q], value)
            high[q] = max(high[q], value)


@jit()
def nearest_distances(
    packed: Points,
    start: Ints,
    stop: Ints,
    child: Ints,
    low: Points,
    high: Points,
    queries: Points,
    nearest: Floats,
    rows: Ints,
) -> None:
    """Lower each query's list of smallest squared distances by the points of a tree.

    Lists come in as another tree left them, or full of infinities. `rows`, of the same shape, gets
    the tree's rows at those distances; without any rows it is left alone, as it is for lists of
    more than `INSERTION`.
    """
    k = nearest.shape[1]
    front = k - 1 if k <= INSERTION else 0
    stack, gaps, distances = np.empty(DEPTH, np.int32), np.empty(DEPTH), np.empty(LEAF)
    for i in range(queries.shape[0]):
        most = nearest[i, front]
        stack[0], gaps[0], top = 0, point_gap(low, high, 0, queries, i), 1
        while top > 0:
            top -= 1
            node, gap = stack[top], gaps[top]
            while gap < most and child[node] >= 0:
                one, other = child[node], child[node] + 1
                gap = point_gap(low, high, one, queries, i)
                far = point_gap(low, high, other, queries, i)
                if far < gap:
                    one, other, gap, far = other, one, far, gap
                if far < most:
                    stack[top], gaps[top] = other, far
                    top += 1
                node = one
            if gap >= most:
                continue
            size = stop[node] - start[node]
            measure(packed, start[node], size, queries, i, distances)
            for j in range(size):
                if distances[j] < most:
                    most = _push(nearest, rows, i, distances[j], start[node] + j)


@jit()
def _push(nearest: Floats, rows: Ints, i: int, value: float, row: int) -> float:
    """Put a smaller distance into a query's list of nearest; return the largest that is left.

    A short list is sorted, with the rows where those are kept; a long one is a heap with the
    largest in front.
    """
    k = nearest.shape[1]
    if k <= INSERTION:
        place, keeps_rows = k - 1, rows.shape[0] > 0
        while place > 0 and nearest[i, place - 1] > value:
            nearest[i, place] = nearest[i, place - 1]
            if keeps_rows:
                rows[i, place] = rows[i, place - 1]
            place -= 1
        nearest[i, place] = value
        if keeps_rows:
            rows[i, place] = row
        return float(nearest[i, k - 1])
    place = 0
    while True:
        child = 2 * place + 1
        if child >= k:
            break
        if child + 1 < k and nearest[i, child + 1] > nearest[i, child]:
            child += 1
        if nearest[i, child] <= value:
            break
        nearest[i, place] = nearest[i, child]
        place = child
    nearest[i, place] = value
    return float(nearest[i, 0])


@jit()
def nearest_points(
    packed: Points,
    start: Ints,
    stop: Ints,
    child: Ints,
    low: Points,
    high: Points,
    ids: Ints,
    base: int,
    queries: Points,
    nearest: Floats,
    found: Ints,
    places: Longs,
) -> None:
    """Keep each query's nearest points, by distance and then by id, of a tree and those before.

    Parameters
    ----------
    ids : ndarray of int32, shape (n_points,)
    base : int
        Added to rows of this tree, to tell them from those of other trees.
    nearest, found, places : ndarray, shape (n_queries, k)
        Squared distances, ids and rows, nearest first; infinity where there is none yet.
    """
    k = nearest.shape[1]
    stack, gaps, distances = np.empty(DEPTH, np.int32), np.empty(DEPTH), np.empty(LEAF)
    for i in range(queries.shape[0]):
        stack[0], gaps[0], top = 0, point_gap(low, high, 0, queries, i), 1
        while top > 0:
            top -= 1
            node, gap = stack[top], gaps[top]
            while gap <= nearest[i, k - 1] and child[node] >= 0:
                one, other = child[node], child[node] + 1
                gap = point_gap(low, high, one, queries, i)
                far = point_gap(low, high, other, queries, i)
                if far < gap:
                    one, other, gap, far = other, one, far, gap
                if far <= nearest[i, k - 1]:
                    stack[top], gaps[top] = other, far
                    top += 1
                node = one
            if gap > nearest[i, k - 1]:
                continue
            first = start[node]
            measure(packed, first, stop[node] - first, queries, i, distances)
            for j in range(stop[node] - first):
                value, row = distances[j], first + j
                last = nearest[i, k - 1]
                if value > last or (value == last and ids[row] >= found[i, k - 1]):
                    continue
                place = k - 1
                while place > 0 and (
                    nearest[i, place - 1] > value
                    or (nearest[i, place - 1] == value and found[i, place - 1] > ids[row])
                ):
                    nearest[i, place] = nearest[i, place - 1]
                    found[i, place], places[i, place] = found[i, place - 1], places[i, place - 1]
                    place -= 1
                nearest[i, place], found[i, place], places[i, place] = value, ids[row], base + row


@jit()
def gaps_to_box(points: Points, low: Points, high: Points) -> Floats:
    """Return each point's least squared distance to a box."""
    gaps = np.empty(points.shape[0])
    for i in range(points.shape[0]):
        total = 0.0
        for q in range(points.shape[1]):
            x = np.float64(points[i, q])
            below, above = np.float64(low[q]) - x, x - np.float64(high[q])
            gap = below if below > above else above
            gap = gap if gap > 0.0 else np.float64(0.0)
            total += gap * gap
        gaps[i] = total
    return gaps


@jit()
def nearest_boxes(points: Points, low: Points, high: Points, own: int) -> Floats:
    """Return each point's least squared distance to any box but one, infinite where there is none.

    Points that follow one another should lie near one another: boxes far from all are passed over.
    """
    n, d = points.shape
    nearest = np.full(n, np.inf)
    frame_low, frame_high = np.empty(d), np.empty(d)
    gaps = np.empty(low.shape[0])
    for first in range(0, n, LEAF):
        last = min(first + LEAF, n)
        frame(points, first, last, frame_low, frame_high)
        for box in range(low.shape[0]):
            gaps[box] = np.inf if box == own else box_gap(low, high, box, frame_low, frame_high)
        for box in np.argsort(gaps):
            if box == own:
                continue
            worst = 0.0
            for i in range(first, last):
                worst = max(worst, nearest[i])
            if gaps[box] >= worst:
                break
            for i in range(first, last):
                nearest[i] = min(nearest[i], point_gap(low, high, box, points, i))
    return nearest


@jit()
def part_of(points: Points, axis: Ints, threshold: Floats, child: Ints) -> Ints:
    """Return the box that each point lies in; see `Splits`."""
    found = np.empty(points.shape[0], np.int32)
    for i in range(points.shape[0]):
        node = 0
        while axis[node] >= 0:
            below = np.float64(points[i, axis[node]]) < threshold[node]
            node = child[node] + (0 if below else 1)
        found[i] = child[node]
    return found
