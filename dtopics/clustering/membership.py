"""How much each point belongs to each cluster of HDBSCAN*, one batch of points at a time.

The rules are hdbscan's: ``all_points_membership_vectors`` for the points of the fit and
``membership_vector`` for new ones. A membership is the product of the closeness to the cluster's
*exemplars* (the points that leave its leaves last), the λ at which the point's node merges with
the cluster, and the probability that the point lies in any cluster at all.

References
----------
McInnes, Healy & Astels, "How soft clustering for HDBSCAN works", hdbscan 0.8.44's documentation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dtopics.clustering.selection import Chosen, CondensedTree
from dtopics.data import OUTLIER
from dtopics.errors import InputError, SettingError
from dtopics.protocols import Arrays

if TYPE_CHECKING:
    from dtopics.clustering._membership_kernels import Nodes


def exemplar_rows(
    tree: CondensedTree, chosen: Chosen
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return the training points that stand for the clusters.

    They are the points that leave a leaf of the tree at its largest λ; each stands for the
    clusters that the leaf lies in.

    Returns
    -------
    rows : ndarray of int64, shape (n_exemplars,)
        Rows of the training points, in the order of labels and then of rows. A row is repeated
        where a cluster lies in another, as ties at ``cluster_selection_epsilon`` can make it.
    labels : ndarray of int32, shape (n_exemplars,)
    """
    if not len(chosen.clusters):
        return np.empty(0, np.int64), np.empty(0, np.int32)
    leaf = np.ones(tree.n_nodes, np.bool_)
    leaf[tree.parent[1:]] = False
    last = tree.point_lambda == tree.max_lambda()[tree.point_node]
    rows = np.flatnonzero(last & leaf[tree.point_node])
    labels = chosen.node_label[tree.point_node[rows]]
    found: list[tuple[NDArray[np.int64], NDArray[np.int32]]] = []
    while (inside := labels >= 0).any():
        rows, labels = rows[inside], labels[inside]
        found.append((rows, labels))
        above = tree.parent[chosen.clusters[labels]]
        labels = np.where(above >= 0, chosen.node_label[above], np.int32(OUTLIER))
    rows, labels = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((rows, labels))
    return rows[order], labels[order]


@dataclass(frozen=True, eq=False)
class Membership:
    """What memberships are computed from; small, since nothing in it has a row a point.

    A row's memberships depend on that row alone, never on the batch.

    Attributes
    ----------
    parent : ndarray of int32, shape (n_nodes,)
    birth : ndarray of float64, shape (n_nodes,)
        As in `CondensedTree`.
    max_lambda : ndarray of float64, shape (n_nodes,)
        The largest λ at which a point or a child leaves each node; may be infinite.
    node_label : ndarray of int32, shape (n_nodes,)
    clusters : ndarray of int32, shape (n_clusters,)
        As in `Chosen`.
    exemplars : ndarray of float64, shape (n_exemplars, n_components)
    exemplar_label : ndarray of int32, shape (n_exemplars,)
        The cluster that each stands for, rising; every cluster has one at least.

    Notes
    -----
    Where hdbscan gives NaN the limit is taken, so that all is finite and each row sums to the
    probability of lying in some cluster, 1 at most:

    - A point with infinite λ is in the cluster around it with probability 1. The other points of
      a cluster whose own node has such points have λ / ∞ = 0, as they have in hdbscan, there and
      in their probabilities.
    - A point at the place of an exemplar belongs to the clusters with exemplars at that place
      only; this decides even where the tree says otherwise.

    Two of its faults are not repeated. It takes for a cluster the first node below it that a
    point falls out of, which is a part only where the cluster splits before any point leaves it.
    And it raises `KeyError` where the tree has no node but the root.
    """

    parent: NDArray[np.int32]
    birth: NDArray[np.float64]
    max_lambda: NDArray[np.float64]
    node_label: NDArray[np.int32]
    clusters: NDArray[np.int32]
    exemplars: NDArray[np.float64]
    exemplar_label: NDArray[np.int32]

    @classmethod
    def of(
        cls,
        parent: NDArray[np.int32],
        birth: NDArray[np.float64],
        max_lambda: NDArray[np.float64],
        chosen: Chosen,
        exemplars: NDArray[Any],
        exemplar_labels: NDArray[np.int32],
    ) -> Membership:
        """Return what the memberships in the clusters of a tree are computed from.

        Parameters
        ----------
        parent : ndarray of int32, shape (n_nodes,)
        birth : ndarray of float64, shape (n_nodes,)
            Those of the `CondensedTree`.
        max_lambda : ndarray of float64, shape (n_nodes,)
            What its ``max_lambda()`` returns; empty where it has no node.
        chosen : Chosen
        exemplars : ndarray of float, shape (n_exemplars, n_components)
            Coordinates of the rows that `exemplar_rows` returns; any order will do.
        exemplar_labels : ndarray of int32, shape (n_exemplars,)
            Its labels.

        Raises
        ------
        InputError
            Exemplars and labels differ in number, or a cluster has none.
        """
        labels = np.asarray(exemplar_labels, np.int32)
        if np.ndim(exemplars) != 2 or len(exemplars) != len(labels):
            raise InputError(
                f"exemplars of shape {np.shape(exemplars)}: expected ({len(labels)}, n_components)"
            )
        if not np.array_equal(np.unique(labels), np.arange(len(chosen.clusters))):
            raise InputError(
                f"the exemplars stand for {len(np.unique(labels))} of {len(chosen.clusters)} "
                "clusters: expected what exemplar_rows returns for the same tree and clusters"
            )
        order = np.argsort(labels, kind="stable")
        return cls(
            parent,
            birth,
            max_lambda,
            chosen.node_label,
            chosen.clusters,
            np.asarray(exemplars, np.float64)[order],
            labels[order],
        )

    @property
    def n_clusters(self) -> int:
        """Number of clusters, outliers not counted."""
        return len(self.clusters)

    def of_fitted(
        self,
        points: NDArray[Any],
        point_node: NDArray[np.int32],
        point_lambda: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Return memberships of training points, as ``all_points_membership_vectors`` does.

        With d the distance to a cluster's nearest exemplar, h the λ at which the cluster merges
        with the point's node (the point's λ where one lies within the other) and m the node's
        largest λ, they are in proportion to exp(exp(−m / h)) / d. They sum to the greatest h over
        the largest λ of its cluster.

        Parameters
        ----------
        points : ndarray of float, shape (m, n_components)
            Finite coordinates of any of the training points.
        point_node : ndarray of int32, shape (m,)
        point_lambda : ndarray of float64, shape (m,)
            Their rows of the `CondensedTree`.

        Returns
        -------
        ndarray of float64, shape (m, n_clusters)
        """
        from dtopics.clustering import _membership_kernels as kernels

        vectors, node, lambda_ = self._distances(points, point_node, point_lambda)
        if vectors.size:
            kernels.of_fitted(vectors, node, lambda_, self._nodes)
        return vectors

    def of_new(
        self,
        points: NDArray[Any],
        joined_node: NDArray[np.int32],
        joined_lambda: NDArray[np.float64],
        own_lambda: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Return memberships of new points, as ``membership_vector`` does.

        A new point leaves the tree with the training point that it joins, or before it: its λ is
        the smaller of `joined_lambda` and `own_lambda`. With d, h and m as in `of_fitted`,
        memberships are in proportion to √(1 / d) · exp(2 m / (m − h)), another rule than that of
        the fit. hdbscan rounds the point's λ to float32 in that formula, and so does this.

        Parameters
        ----------
        points : ndarray of float, shape (m, n_components)
            Finite coordinates.
        joined_node : ndarray of int32, shape (m,)
        joined_lambda : ndarray of float64, shape (m,)
            ``point_node`` and ``point_lambda`` of the training point that each joins: the nearest
            by mutual reachability among its ``2 * min_samples`` nearest by distance, as in
            `HDBSCANModel.predict`. The node is that of the training point itself, even where the
            new point is less dense than the node's birth.
        own_lambda : ndarray of float64, shape (m,)
            1 / that mutual reachability distance; infinite where it is 0.

        Returns
        -------
        ndarray of float64, shape (m, n_clusters)
        """
        from dtopics.clustering import _membership_kernels as kernels

        leaving = np.minimum(joined_lambda, own_lambda)
        vectors, node, lambda_ = self._distances(points, joined_node, leaving)
        if vectors.size:
            kernels.of_new(vectors, node, lambda_, self._nodes)
        return vectors

    def to_arrays(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return JSON-able parameters and arrays; none has a row a point."""
        arrays: dict[str, NDArray[Any]] = {
            "node_parent": self.parent,
            "node_birth": self.birth,
            "node_max_lambda": self.max_lambda,
            "node_label": self.node_label,
            "cluster_node": self.clusters,
            "exemplar_coordinates": self.exemplars,
            "exemplar_label": self.exemplar_label,
        }
        return {"kind": "membership"}, arrays

    @classmethod
    def from_arrays(cls, params: Mapping[str, Any], arrays: Arrays) -> Membership:  # noqa: ARG003
        """Return the object that `to_arrays` was called on."""
        names = (
            "node_parent",
            "node_birth",
            "node_max_lambda",
            "node_label",
            "cluster_node",
            "exemplar_coordinates",
            "exemplar_label",
        )
        return cls(*(np.asarray(arrays[name]) for name in names))

    def __getstate__(self) -> dict[str, Any]:
        derived = ("_nodes", "_starts")
        return {name: value for name, value in self.__dict__.items() if name not in derived}

    @cached_property
    def _nodes(self) -> Nodes:
        from dtopics.clustering import _membership_kernels as kernels

        # Copies: numba compiles once more for arrays that are read-only.
        parent, clusters = np.array(self.parent), np.array(self.clusters)
        order, first, last = kernels.subtrees(parent, clusters)
        return kernels.Nodes(
            parent,
            np.array(self.birth),
            np.array(self.max_lambda),
            np.array(self.node_label),
            clusters,
            order,
            first,
            last,
        )

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        return np.searchsorted(self.exemplar_label, np.arange(self.n_clusters + 1))

    def _distances(
        self, points: NDArray[Any], node: NDArray[np.int32], lambda_: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.float64]]:
        from dtopics.clustering import _membership_kernels as kernels

        # Copies, for the reason above.
        exact = np.array(points, np.float64, order="C")
        nodes, lambdas = np.array(node, np.int32), np.array(lambda_, np.float64)
        if exact.ndim != 2 or exact.shape[1] != self.exemplars.shape[1]:
            raise InputError(
                f"points of shape {exact.shape}: expected (m, {self.exemplars.shape[1]})"
            )
        if nodes.shape != (len(exact),) or lambdas.shape != (len(exact),):
            raise InputError(
                f"nodes of shape {nodes.shape} and λ of shape {lambdas.shape} for "
                f"{len(exact):,} points: expected one each"
            )
        squared = np.empty((len(exact), self.n_clusters))
        if squared.size:
            exemplars = np.array(self.exemplars, order="C")
            kernels.nearest_exemplars(exact, exemplars, self._starts, squared)
        return squared, nodes, lambdas


def top(vectors: NDArray[np.float64], m: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return the largest memberships of each row, in falling order.

    Parameters
    ----------
    vectors : ndarray of float64, shape (n_rows, n_clusters)
    m : int
        How many, 1 or more.

    Returns
    -------
    labels : ndarray of int32, shape (n_rows, m)
        Of equal memberships, in float64, the smaller label comes first. −1 where there are fewer
        than `m` clusters.
    values : ndarray of float32, shape (n_rows, m)
        0 there.

    Raises
    ------
    SettingError
        `m` is less than 1.
    """
    from dtopics.clustering import _membership_kernels as kernels

    if m < 1:
        raise SettingError(f"m={m!r}: expected the number of memberships to keep, 1 or more")
    labels = np.full((len(vectors), m), OUTLIER, np.int32)
    values = np.zeros((len(vectors), m))
    if vectors.size:
        kernels.largest(np.array(vectors, np.float64, order="C"), labels, values)
    return labels, values.astype(np.float32)
