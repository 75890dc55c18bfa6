"""From a condensed tree to labels: excess of mass or leaves, in float64 and without recursion.

The rules are hdbscan's, so that labels, their numbers and probabilities are the same.

References
----------
Campello, Moulavi, Zimek & Sander (2015), "Hierarchical density estimates for data clustering,
visualization, and outlier detection", ACM TKDD 10(1).
Malzer & Baum (2020), "A hybrid approach to hierarchical density-based cluster selection".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from numbers import Integral, Real

import numpy as np
from numpy.typing import NDArray

from dtopics.data import OUTLIER
from dtopics.errors import SettingError


@dataclass(frozen=True, slots=True)
class CondensedTree:
    """The tree of clusters of at least ``min_cluster_size`` points.

    Nodes are numbered parents first; node 0 is the root. Without any node (too few points) every
    point is an outlier.

    Attributes
    ----------
    point_node : ndarray of int32, shape (n_points,)
        The node that each point falls out of.
    point_lambda : ndarray of float64, shape (n_points,)
        1 / distance at which it does; infinite for points with enough exact duplicates.
    parent : ndarray of int32, shape (n_nodes,)
        −1 for the root.
    birth : ndarray of float64, shape (n_nodes,)
        1 / distance at which the node parts from its sibling; 0 for the root.
    size : ndarray of int64, shape (n_nodes,)
    """

    point_node: NDArray[np.int32]
    point_lambda: NDArray[np.float64]
    parent: NDArray[np.int32]
    birth: NDArray[np.float64]
    size: NDArray[np.int64]

    @classmethod
    def without_clusters(cls, n_points: int) -> CondensedTree:
        """Return the tree of points that are too few for a cluster."""
        return cls(
            np.full(n_points, -1, np.int32),
            np.zeros(n_points),
            np.empty(0, np.int32),
            np.empty(0),
            np.empty(0, np.int64),
        )

    @classmethod
    def of_edges(
        cls,
        one: NDArray[np.int32],
        other: NDArray[np.int32],
        weight: NDArray[np.float64],
        min_cluster_size: int,
    ) -> CondensedTree:
        """Return the tree of a spanning tree's edges, lightest first.

        A split at distance zero would part identical points by the order of ties alone: none is
        made.
        """
        from dtopics.clustering import _kernels

        return cls(*_kernels.condense(one, other, weight, min_cluster_size))

    @property
    def n_nodes(self) -> int:
        """Number of nodes, the root included."""
        return len(self.parent)

    def stability(self) -> NDArray[np.float64]:
        """Return each node's excess of mass: Σ (λ − birth) over its points and children."""
        points = np.bincount(
            self.point_node,
            weights=self.point_lambda - self.birth[self.point_node],
            minlength=self.n_nodes,
        )
        above = self.parent[1:]
        children = np.bincount(
            above,
            weights=(self.birth[1:] - self.birth[above]) * self.size[1:],
            minlength=self.n_nodes,
        )
        return np.asarray(points + children, np.float64)

    def max_lambda(self) -> NDArray[np.float64]:
        """Return the largest λ at which a point or a child leaves each node."""
        most = np.zeros(self.n_nodes)
        if not self.n_nodes:
            return most
        np.maximum.at(most, self.point_node, self.point_lambda)
        np.maximum.at(most, self.parent[1:], self.birth[1:])
        return most

    def largest_lambda(self) -> NDArray[np.float64]:
        """Return the largest λ of any point within each node."""
        from dtopics.clustering import _kernels

        return np.asarray(_kernels.largest_within(self.parent, self.max_lambda()))


@dataclass(frozen=True, slots=True)
class Selection:
    """How clusters are chosen from the tree; the meaning of each is hdbscan's.

    Attributes
    ----------
    method : {"eom", "leaf"}
    epsilon : float
        Clusters that part at a smaller distance are merged; 0 for none.
    max_cluster_size : int or float
        Larger ones give way to the clusters within them; 0 for no limit. A float is a share of
        all points, and then a larger one without clusters within it stays.
    allow_single_cluster : bool
        Whether the root may be the only cluster.
    """

    method: str = "eom"
    epsilon: float = 0.0
    max_cluster_size: int | float = 0
    allow_single_cluster: bool = False

    def __post_init__(self) -> None:
        if self.method not in ("eom", "leaf"):
            raise SettingError(
                f"cluster_selection_method={self.method!r}: expected 'eom' or 'leaf'"
            )
        if not _is_number(self.epsilon) or not 0.0 <= self.epsilon < np.inf:
            raise SettingError(
                f"cluster_selection_epsilon={self.epsilon!r}: expected a finite distance, 0 or more"
            )
        largest = self.max_cluster_size
        whole = isinstance(largest, Integral)
        if not _is_number(largest) or not 0 <= largest <= (np.inf if whole else 1):
            raise SettingError(
                f"max_cluster_size={largest!r}: expected 0 (no limit), a number of points, or a "
                "share of them as a float up to 1.0"
            )
        # NumPy's numbers are no JSON, and its float32 is no float.
        object.__setattr__(self, "epsilon", float(self.epsilon))
        object.__setattr__(self, "max_cluster_size", int(largest) if whole else float(largest))
        object.__setattr__(self, "allow_single_cluster", bool(self.allow_single_cluster))


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The clusters that a selection chose.

    Attributes
    ----------
    clusters : ndarray of int32, shape (n_clusters,)
        The node of each cluster.
    node_label : ndarray of int32, shape (n_nodes,)
        The cluster that each node lies in, or −1.
    node_max_lambda : ndarray of float64, shape (n_nodes,)
        The largest λ of that cluster's own node; 0 where there is none.
    root_lambda : float
        The least λ of a point of the root, where the root is a cluster: everything lies within
        it, so it keeps only what is dense enough. 0 where it is none.
    """

    clusters: NDArray[np.int32]
    node_label: NDArray[np.int32]
    node_max_lambda: NDArray[np.float64]
    root_lambda: float = 0.0


def choose(tree: CondensedTree, selection: Selection) -> Chosen:
    """Return the clusters of `tree`, numbered in the order of their nodes."""
    from dtopics.clustering import _kernels

    if tree.n_nodes == 0:
        return Chosen(np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0))
    selected = _select(tree, selection)
    owner = _kernels.nearest_selected(tree.parent, selected)
    number = np.cumsum(selected, dtype=np.int32) - np.int32(1)
    inside = owner >= 0
    label = np.where(inside, number[owner], np.int32(OUTLIER)).astype(np.int32)
    most = np.where(inside, tree.max_lambda()[owner], 0.0)
    root_lambda = 0.0
    if selected[0]:
        root_lambda = 1.0 / selection.epsilon if selection.epsilon > 0.0 else float(most[0])
    return Chosen(np.flatnonzero(selected).astype(np.int32), label, most, root_lambda)


def _select(tree: CondensedTree, selection: Selection) -> NDArray[np.bool_]:
    from dtopics.clustering import _kernels

    allow_root = selection.allow_single_cluster
    if selection.method == "leaf":
        selected = _kernels.leaves(tree.parent)
    else:
        size = tree.size.copy()
        # The root is as large as its children: points that leave before the split count for none.
        size[0] = size[1:][tree.parent[1:] == 0].sum()
        n_points = len(tree.point_node)
        limit = int(selection.max_cluster_size) or n_points + 1
        if isinstance(selection.max_cluster_size, float) and selection.max_cluster_size > 0:
            limit = int(selection.max_cluster_size * n_points)
            size[_kernels.leaves(tree.parent)] = 0
        selected = _kernels.excess_of_mass(tree.parent, size, tree.stability(), limit, allow_root)
    if selection.epsilon > 0.0 and not selected[0]:
        selected = _kernels.merge_below_epsilon(
            selected, tree.parent, tree.birth, float(selection.epsilon), allow_root
        )
    return selected


def label_points(
    chosen: Chosen, point_node: NDArray[np.int32], point_lambda: NDArray[np.float64]
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Label points that the tree was made of, or some of them.

    Parameters
    ----------
    chosen : Chosen
    point_node, point_lambda : ndarray, shape (n_points,)
        Of a `CondensedTree`.

    Returns
    -------
    labels : ndarray of int32, shape (n_points,)
    probabilities : ndarray of float32, shape (n_points,)
        λ of the point over the largest λ of its cluster, at most 1; 0 for outliers.
    """
    n_points = len(point_node)
    if not len(chosen.node_label):
        return np.full(n_points, OUTLIER, np.int32), np.zeros(n_points, np.float32)
    labels = chosen.node_label[point_node]
    most = chosen.node_max_lambda[point_node]
    if chosen.root_lambda > 0.0:
        dense = point_lambda >= chosen.root_lambda
        labels = np.where((labels > 0) | dense, labels, np.int32(OUTLIER))
    probabilities = np.zeros(n_points, np.float32)
    whole = (labels >= 0) & ((most == 0.0) | ~np.isfinite(point_lambda))
    part = (labels >= 0) & ~whole
    probabilities[whole] = 1.0
    probabilities[part] = np.minimum(point_lambda[part], most[part]) / most[part]
    return labels, probabilities


def giant_share(tree: CondensedTree, selection: Selection) -> float:
    """Return the share of all points of the largest cluster that was divided as too large."""
    if not selection.max_cluster_size or not tree.n_nodes:
        return 0.0
    unlimited = choose(tree, replace(selection, max_cluster_size=0))
    divided = np.setdiff1d(unlimited.clusters, choose(tree, selection).clusters)
    return float(tree.size[divided].max(initial=0)) / int(tree.size[0])


def outlier_scores(
    largest: NDArray[np.float64],
    point_node: NDArray[np.int32],
    point_lambda: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return GLOSH outlier scores of points that a tree was made of, shape (n_points,).

    `largest` is the tree's ``largest_lambda()``.

    1 − λ of the point over the largest λ of any point within the node that it falls out of; 0 for
    points with enough exact duplicates.

    References
    ----------
    Campello et al. (2015), section 6.
    """
    if not len(largest):
        return np.zeros(len(point_node))
    most = largest[point_node]
    scores = np.zeros(len(point_node))
    finite = np.isfinite(point_lambda) & (most > 0.0)
    scores[finite] = 1.0 - point_lambda[finite] / most[finite]
    return scores
