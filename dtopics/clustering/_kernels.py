"""Selection of clusters in a condensed tree, and labels of new points; numba only.

Nodes of the condensed tree are numbered so that a parent comes before its children; node 0 is
the root and its parent is −1. A node's *birth* is the λ = 1 / distance at which it parts from its
sibling. All sums are in float64.
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
def project(points: Points, mean: Floats, components: Floats, out: Points) -> None:
    """Write points in other components, each row by itself and in one order of adding up."""
    for i in range(points.shape[0]):
        for k in range(components.shape[0]):
            total = 0.0
            for j in range(points.shape[1]):
                total += (points[i, j] - mean[j]) * components[k, j]
            out[i, k] = total


@jit()
def excess_of_mass(
    parent: Ints,
    size: Longs,
    stability: Floats,
    max_cluster_size: int,
    allow_root: bool,  # noqa: FBT001
) -> Bools:
    """Return the nodes, none above another, whose stabilities have the greatest sum."""
    n_nodes = parent.shape[0]
    below = np.zeros(n_nodes)
    selected = np.zeros(n_nodes, np.bool_)
    for node in range(n_nodes - 1, -1, -1):
        if node == 0 and not allow_root:
            continue
        best = stability[node]
        if below[node] > best or size[node] > max_cluster_size:
            best = below[node]
        else:
            selected[node] = True
        if parent[node] >= 0:
            below[parent[node]] += best
    covered = np.zeros(n_nodes, np.bool_)
    for node in range(1, n_nodes):
        covered[node] = covered[parent[node]] or selected[parent[node]]
        if covered[node]:
            selected[node] = False
    return selected


@jit()
def leaves(parent: Ints) -> Bools:
    """Return the nodes without children; a root alone is none."""
    n_nodes = parent.shape[0]
    found = np.ones(n_nodes, np.bool_)
    for node in range(1, n_nodes):
        found[parent[node]] = False
    if n_nodes == 1:
        found[0] = False
    return found


@jit()
def merge_below_epsilon(
    selected: Bools,
    parent: Ints,
    birth: Floats,
    epsilon: float,
    allow_root: bool,  # noqa: FBT001
) -> Bools:
    """Replace nodes born closer than `epsilon` by the first ancestor born farther apart."""
    merged = np.zeros_like(selected)
    for start in range(1, parent.shape[0]):
        if not selected[start]:
            continue
        node = start
        if 1.0 / birth[node] < epsilon:
            while True:
                above = parent[node]
                if above == 0:
                    node = 0 if allow_root else node
                    break
                node = above
                if 1.0 / birth[node] > epsilon:
                    break
        merged[node] = True
    return merged


@jit()
def largest_within(parent: Ints, values: Floats) -> Floats:
    """Return the largest value of each node and all nodes below it."""
    largest = values.copy()
    for node in range(parent.shape[0] - 1, 0, -1):
        largest[parent[node]] = max(largest[parent[node]], largest[node])
    return largest


@jit()
def nearest_selected(parent: Ints, selected: Bools) -> Ints:
    """Return for each node itself if selected, else its nearest selected ancestor, else −1."""
    n_nodes = parent.shape[0]
    owner = np.full(n_nodes, -1, np.int32)
    for node in range(n_nodes):
        if selected[node]:
            owner[node] = node
        elif parent[node] >= 0:
            owner[node] = owner[parent[node]]
    return owner


@jit()
def find_joined(
    distances: Floats, ids: Ints, core: Floats, core_column: int, column: Longs, density: Floats
) -> None:
    """Find the training point at which each new point joins the tree, among its nearest.

    Column `core_column` of `distances` is a new point's own core distance. It joins at its nearest
    neighbour by mutual reachability; ties go to the smaller distance, then to the smaller id.
    `column` gets that neighbour's place in the lists, `density` 1 / its mutual reachability.
    """
    for row in range(distances.shape[0]):
        own_core, joined = distances[row, core_column], 0
        reach = max(own_core, core[row, 0], distances[row, 0])
        for j in range(1, distances.shape[1]):
            mutual = max(own_core, core[row, j], distances[row, j])
            if mutual < reach or (
                mutual == reach
                and (distances[row, j], ids[row, j]) < (distances[row, joined], ids[row, joined])
            ):
                reach, joined = mutual, j
        column[row] = joined
        density[row] = 1.0 / reach if reach > 0.0 else np.inf


@jit()
def label_joined(
    joined_node: Ints,
    joined_lambda: Floats,
    density: Floats,
    parent: Ints,
    birth: Floats,
    node_label: Ints,
    node_max_lambda: Floats,
    root_lambda: float,
    labels: Ints,
    probabilities: NDArray[np.float32],
) -> None:
    """Label new points by the node of the training point that each joins.

    Cluster 0 takes a point at λ of `root_lambda` and more only, as in the fit; that is 0 unless
    the root is a cluster.
    """
    for row in range(joined_node.shape[0]):
        node = joined_node[row]
        if joined_lambda[row] > density[row]:
            while node > 0 and birth[node] >= density[row]:
                node = parent[node]
        labels[row] = node_label[node]
        if labels[row] == 0 and density[row] < root_lambda:
            labels[row] = -1
        if labels[row] < 0:
            probabilities[row] = 0.0
        elif node_max_lambda[node] == 0.0 or not np.isfinite(density[row]):
            probabilities[row] = 1.0
        else:
            most = node_max_lambda[node]
            probabilities[row] = min(density[row], most) / most


@jit()
def nearest_centroid(X: Floats, centroids: Floats, labels: Ints) -> None:
    """Write the index of each row's nearest centroid; ties go to the smaller index."""
    for row in range(X.shape[0]):
        least, nearest = np.inf, 0
        for k in range(centroids.shape[0]):
            distance = 0.0
            for j in range(X.shape[1]):
                step = X[row, j] - centroids[k, j]
                distance += step * step
            if distance < least:
                least, nearest = distance, k
        labels[row] = nearest


@jit()
def condense(
    one: Ints, other: Ints, weight: Floats, min_cluster_size: int
) -> tuple[Ints, Floats, Ints, Floats, Longs]:
    """Condense the dendrogram of a spanning tree, without making it.

    Edges join components from the bottom up. A component of fewer than `min_cluster_size` points
    is a ring of points; a larger one stands for a node. Where two nodes meet, they get a parent;
    where a ring meets a node, its points fall out of that node. Edges of weight zero join before
    there are nodes, so that identical points are never parted.

    Parameters
    ----------
    one, other, weight
        The edges, lightest first.

    Returns
    -------
    point_node, point_lambda, parent, birth, size
        As `CondensedTree` has them; no node where there are too few points.
    """
    n = one.shape[0] + 1
    # A root holds minus its component's size; the others point towards it.
    above = np.full(n, -1, np.int32)
    ring, node_of = np.arange(n).astype(np.int32), np.full(n, -1, np.int32)
    point_node, point_lambda = np.full(n, -1, np.int32), np.zeros(n)
    room = 2 * (n // min_cluster_size) + 2
    parent, birth = np.full(room, -1, np.int32), np.zeros(room)
    size, n_nodes, n_same = np.zeros(room, np.int64), 0, 0
    while n_same < n - 1 and weight[n_same] == 0.0:
        large, small = _by_size(above, one[n_same], other[n_same])
        ring[large], ring[small] = ring[small], ring[large]
        above[large], above[small] = above[large] + above[small], large
        n_same += 1
    for i in range(n):
        root = _root(above, i)
        if above[root] <= -min_cluster_size and node_of[root] < 0:
            node_of[root], n_nodes = n_nodes, n_nodes + 1
            _fall_out(ring, point_node, point_lambda, root, node_of[root], np.inf)
    for edge in range(n_same, n - 1):
        large, small = _by_size(above, one[edge], other[edge])
        together, density = above[large] + above[small], 1.0 / weight[edge]
        if above[small] <= -min_cluster_size:
            for root in (large, small):
                node = node_of[root]
                parent[node], birth[node], size[node] = n_nodes, density, -above[root]
            node_of[large], n_nodes = n_nodes, n_nodes + 1
        elif above[large] <= -min_cluster_size:
            _fall_out(ring, point_node, point_lambda, small, node_of[large], density)
        else:
            ring[large], ring[small] = ring[small], ring[large]
            if together <= -min_cluster_size:
                node_of[large], n_nodes = n_nodes, n_nodes + 1
                _fall_out(ring, point_node, point_lambda, large, node_of[large], density)
        above[large], above[small] = together, large
    if n_nodes > 0:
        size[n_nodes - 1] = n
    # Children were made before their parents.
    for i in range(n):
        point_node[i] = n_nodes - 1 - point_node[i] if n_nodes > 0 else -1
    for node in range(n_nodes):
        parent[node] = n_nodes - 1 - parent[node] if parent[node] >= 0 else -1
    return (
        point_node,
        point_lambda,
        parent[:n_nodes][::-1].copy(),
        birth[:n_nodes][::-1].copy(),
        size[:n_nodes][::-1].copy(),
    )


@jit()
def _by_size(above: Ints, one: int, other: int) -> tuple[int, int]:
    """Return the roots of two points, that of the larger component first."""
    a, b = _root(above, one), _root(above, other)
    return (a, b) if above[a] <= above[b] else (b, a)


@jit()
def _root(above: Ints, i: int) -> int:
    """Return the root of a component, halving the path to it."""
    while above[i] >= 0:
        if above[above[i]] >= 0:
            above[i] = above[above[i]]
        i = above[i]
    return i


@jit()
def _fall_out(
    ring: Ints, point_node: Ints, point_lambda: Floats, first: int, node: int, density: float
) -> None:
    """Let the points of a ring fall out of a node."""
    i = first
    while True:
        point_node[i], point_lambda[i] = node, density
        i = ring[i]
        if i == first:
            break
