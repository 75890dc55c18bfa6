"""Memberships of points in clusters; numba only.

A cluster is *related* to a node of the condensed tree if one lies within the other. Distances are
squared throughout, and every sum is in float64, in the order of components or labels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dtopics._jit import jit

Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Floats = NDArray[np.float64]

#: What hdbscan adds to, or takes in place of, a denominator that could be 0.
TINY = 1e-8
#: Above every score that matters, and small enough to be doubled.
HUGE = 1e100
#: Rows whose distances are computed side by side.
TILE = 64


class Nodes(NamedTuple):
    """The condensed tree, reduced by node.

    The labels of the clusters at and below a node are ``order[first[node]:last[node]]``;
    ``cluster`` has the node of each label, ``label`` the innermost cluster of each node.
    """

    parent: Ints
    birth: Floats
    max_lambda: Floats
    label: Ints
    cluster: Ints
    order: Ints
    first: Ints
    last: Ints


@jit()
def subtrees(parent: Ints, cluster: Ints) -> tuple[Ints, Ints, Ints]:
    """Return ``order``, ``first`` and ``last`` of `Nodes`."""
    n_nodes = parent.shape[0]
    count = np.zeros(n_nodes, np.int32)
    own = np.full(n_nodes, -1, np.int32)
    for label in range(cluster.shape[0]):
        count[cluster[label]] = 1
        own[cluster[label]] = label
    for node in range(n_nodes - 1, 0, -1):
        count[parent[node]] += count[node]
    order = np.empty(cluster.shape[0], np.int32)
    first = np.zeros(n_nodes, np.int32)
    free = np.zeros(n_nodes, np.int32)
    for node in range(n_nodes):
        if node > 0:
            first[node] = free[parent[node]]
            free[parent[node]] += count[node]
        free[node] = first[node]
        if own[node] >= 0:
            order[first[node]] = own[node]
            free[node] += 1
    return order, first, first + count


@jit()
def nearest_exemplars(points: Floats, exemplars: Floats, start: Longs, squared: Floats) -> None:
    """Write the squared distance of each point to the nearest exemplar of each cluster.

    Exemplars of cluster k are rows ``start[k]`` to ``start[k + 1]``. The rows of a tile share the
    exemplars in the cache; each has its own lane, so the bits do not depend on the tile.
    """
    n_components = points.shape[1]
    tile = np.zeros((n_components, TILE))
    sums, least = np.empty(TILE), np.empty(TILE)
    for begin in range(0, points.shape[0], TILE):
        rows = min(TILE, points.shape[0] - begin)
        for row in range(rows):
            for j in range(n_components):
                tile[j, row] = points[begin + row, j]
        for k in range(start.shape[0] - 1):
            least[:] = np.inf
            for exemplar in range(start[k], start[k + 1]):
                sums[:] = 0.0
                for j in range(n_components):
                    place = exemplars[exemplar, j]
                    for lane in range(TILE):
                        step = tile[j, lane] - place
                        sums[lane] += step * step
                for lane in range(TILE):
                    least[lane] = sums[lane] if sums[lane] < least[lane] else least[lane]
            for row in range(rows):
                squared[begin + row, k] = least[row]


@jit()
def merge_heights(node: int, nodes: Nodes, heights: Floats) -> None:
    """Write the λ at which each cluster merges with `node`; infinite for related ones."""
    label = nodes.label[node]
    if label >= 0:
        # All of a cluster without another inside merges as the cluster does.
        outer = nodes.cluster[label]
        if nodes.last[outer] - nodes.first[outer] == 1:
            node = outer
    for i in range(nodes.first[node], nodes.last[node]):
        heights[nodes.order[i]] = np.inf
    while nodes.parent[node] >= 0:
        above = nodes.parent[node]
        for i in range(nodes.first[above], nodes.first[node]):
            heights[nodes.order[i]] = nodes.birth[node]
        for i in range(nodes.last[node], nodes.last[above]):
            heights[nodes.order[i]] = nodes.birth[node]
        label = nodes.label[above]
        if label >= 0 and nodes.cluster[label] == above:
            heights[label] = np.inf
        node = above


@jit()
def share_in_clusters(heights: Floats, lambda_: float, nodes: Nodes, floor: float) -> float:
    """Return the probability of lying in some cluster: the greatest height over its cluster's."""
    highest, nearest = -1.0, 0
    for k in range(heights.shape[0]):
        height = lambda_ if heights[k] == np.inf else heights[k]
        if height > highest:
            highest, nearest = height, k
    most = max(nodes.max_lambda[nodes.cluster[nearest]], lambda_) + floor
    if highest == np.inf:
        return 1.0
    return highest / most if most > 0.0 else 0.0


@jit()
def closeness(nearest: float, squared: float) -> float:
    """Return log (√nearest / √squared): 0 for the nearest, −∞ for others where its is 0."""
    if squared == nearest:
        return 0.0
    return 0.5 * np.log(nearest / squared)  # type: ignore[no-any-return]


@jit()
def combine(
    row: Floats, scores: Floats, distance_power: float, score_power: float, share: float
) -> None:
    """Replace squared distances by memberships that sum to `share`.

    They are in proportion to distance^−distance_power · exp(scores)^score_power, multiplied as
    logarithms: a product of tiny numbers would leave nothing to divide by.
    """
    nearest, best = row.min(), scores.max()
    for k in range(row.shape[0]):
        log_distance = closeness(nearest, row[k])
        scores[k] = distance_power * log_distance + score_power * (scores[k] - best)
    best, total = scores.max(), 0.0
    for k in range(row.shape[0]):
        row[k] = np.exp(scores[k] - best)
        total += row[k]
    for k in range(row.shape[0]):
        row[k] = row[k] / total * share


@jit()
def fitted_score(most: float, height: float) -> float:
    """Return exp (−most / height), at the limits too."""
    if height == np.inf:
        return np.exp(-1.0)  # type: ignore[no-any-return]
    return np.exp(-most / height) if height > 0.0 else 0.0


@jit()
def of_fitted(vectors: Floats, node: Ints, lambda_: Floats, nodes: Nodes) -> None:
    """Replace squared distances by memberships of training points, in place."""
    heights, scores = np.empty(vectors.shape[1]), np.empty(vectors.shape[1])
    for row in range(vectors.shape[0]):
        merge_heights(node[row], nodes, heights)
        most = nodes.max_lambda[node[row]] + TINY
        for k in range(heights.shape[0]):
            own = lambda_[row] if heights[k] == np.inf else heights[k]
            scores[k] = fitted_score(most, own)
        share = share_in_clusters(heights, lambda_[row], nodes, 0.0)
        combine(vectors[row], scores, 1.0, 1.0, share)


@jit()
def new_score(most: float, height: float) -> float:
    """Return most / (most − height), at the limits too."""
    if most == np.inf:
        return HUGE if height == np.inf else 1.0
    gap = most - height
    return min(most / gap if gap > 0.0 else most / TINY, HUGE)


@jit()
def of_new(vectors: Floats, node: Ints, lambda_: Floats, nodes: Nodes) -> None:
    """Replace squared distances by memberships of new points, in place."""
    heights, scores = np.empty(vectors.shape[1]), np.empty(vectors.shape[1])
    for row in range(vectors.shape[0]):
        merge_heights(node[row], nodes, heights)
        most = nodes.max_lambda[node[row]]
        rounded = np.float64(np.float32(lambda_[row]))  # hdbscan's scores take λ as float32
        for k in range(heights.shape[0]):
            scores[k] = new_score(most, rounded if heights[k] == np.inf else heights[k])
        share = share_in_clusters(heights, lambda_[row], nodes, TINY)
        combine(vectors[row], scores, 0.5, 2.0, share)


@jit()
def largest(vectors: Floats, labels: Ints, values: Floats) -> None:
    """Write the largest of each row in falling order; of equal ones the smaller column first."""
    for row in range(vectors.shape[0]):
        found = 0
        for k in range(vectors.shape[1]):
            value, place = vectors[row, k], found
            while place > 0 and values[row, place - 1] < value:
                place -= 1
            if place >= labels.shape[1]:
                continue
            found = min(found + 1, labels.shape[1])
            for i in range(found - 1, place, -1):
                labels[row, i], values[row, i] = labels[row, i - 1], values[row, i - 1]
            labels[row, place], values[row, place] = k, value
