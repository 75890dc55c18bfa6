"""What a fit of HDBSCAN* leaves, as plain arrays: the tree, its clusters, labels of new points."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dtopics.clustering.points import as_new_points
from dtopics.clustering.prediction import (
    Clusters,
    HeldPoints,
    Joined,
    join_in_batches,
    predict,
)
from dtopics.clustering.principal import Projection
from dtopics.clustering.selection import (
    Chosen,
    CondensedTree,
    Selection,
    choose,
    giant_share,
    label_points,
    outlier_scores,
)
from dtopics.protocols import Arrays

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, eq=False)
class HDBSCANModel:
    """A fitted HDBSCAN*.

    Attributes
    ----------
    min_cluster_size, min_samples : int
    selection : Selection
    points : ndarray of float32 or float64, shape (n_points, n_components)
    core_distances : ndarray of float64, shape (n_points,)
        As prediction uses them: to the `min_samples`-th neighbour, the point itself counted.
    tree : CondensedTree
    projection : Projection or None
        What `points` were made by, where they are not the points that were given.
    """

    min_cluster_size: int
    min_samples: int
    selection: Selection
    points: NDArray[Any]
    core_distances: NDArray[np.float64]
    tree: CondensedTree
    projection: Projection | None = None

    @property
    def n_features(self) -> int:
        """Coordinates of a point that was given."""
        given = self.points if self.projection is None else self.projection.components
        return int(given.shape[1])

    def project(self, X: NDArray[Any]) -> NDArray[Any]:
        """Return points as they were clustered."""
        return X if self.projection is None else self.projection(X)

    @property
    def labels(self) -> NDArray[np.int32]:
        """Cluster of each training point, −1 for outliers, shape (n_points,)."""
        return self._labelled[0]

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """Strength of membership of each training point, shape (n_points,)."""
        return self._labelled[1]

    @property
    def n_clusters(self) -> int:
        """Number of clusters, outliers not counted."""
        return len(self._chosen.clusters)

    @property
    def outlier_scores(self) -> NDArray[np.float64]:
        """GLOSH outlier score of each training point, shape (n_points,)."""
        tree = self.tree
        return outlier_scores(tree.largest_lambda(), tree.point_node, tree.point_lambda)

    @cached_property
    def gave_way(self) -> float:
        """Share of all points of the largest cluster that was divided as too large; 0 for none."""
        return giant_share(self.tree, self.selection)

    @cached_property
    def _chosen(self) -> Chosen:
        return choose(self.tree, self.selection)

    @cached_property
    def _labelled(self) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        return label_points(self._chosen, self.tree.point_node, self.tree.point_lambda)

    def __getstate__(self) -> dict[str, Any]:
        derived = ("gave_way", "_chosen", "_labelled", "_held")
        return {name: value for name, value in self.__dict__.items() if name not in derived}

    def reselect(
        self,
        *,
        cluster_selection_method: str | None = None,
        cluster_selection_epsilon: float | None = None,
        max_cluster_size: int | float | None = None,
        allow_single_cluster: bool | None = None,
    ) -> HDBSCANModel:
        """Choose other clusters from the same tree, without a fit.

        Parameters
        ----------
        cluster_selection_method, cluster_selection_epsilon, max_cluster_size, allow_single_cluster
            As in `HDBSCAN`; ``None`` keeps what the model has.

        Returns
        -------
        HDBSCANModel
            It shares its arrays with this one.
        """
        changes = {
            "method": cluster_selection_method,
            "epsilon": cluster_selection_epsilon,
            "max_cluster_size": max_cluster_size,
            "allow_single_cluster": allow_single_cluster,
        }
        given: dict[str, Any] = {
            name: value for name, value in changes.items() if value is not None
        }
        return replace(self, selection=replace(self.selection, **given))

    def predict(self, X: ArrayLike) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Label new points by the rule of ``hdbscan.approximate_predict``.

        A point joins the tree at its nearest training point by mutual reachability, among its
        ``2 * min_samples`` nearest by distance. Two faults of that function are not repeated: it
        forgets parts of clusters that split before any point leaves them, and of a single cluster
        (``allow_single_cluster``), which here takes new points as dense as the fit's.

        Parameters
        ----------
        X : array-like of float, shape (n_new, n_components)

        Returns
        -------
        labels : ndarray of int32, shape (n_new,)
        probabilities : ndarray of float32, shape (n_new,)

        Raises
        ------
        InputError
            The number of components differs, or there are NaN or infinity.
        """
        new = self.project(as_new_points(X, self.n_features))
        return predict(self._held, self.clusters, new, min_samples=self.min_samples)

    def join(self, X: NDArray[Any]) -> Iterator[tuple[slice, Joined]]:
        """Find where new points, projected, join the tree, some rows at a time."""
        return join_in_batches(self._held, X, min_samples=self.min_samples)

    @property
    def clusters(self) -> Clusters:
        """What labels new points."""
        tree = self.tree
        return Clusters(tree.parent, tree.birth, tree.max_lambda(), self._chosen)

    @property
    def point_arrays(self) -> dict[str, NDArray[Any]]:
        """What the tree says of each training point, beside its label."""
        return {
            "node": self.tree.point_node,
            "lambda": self.tree.point_lambda,
            "outlier_scores": self.outlier_scores.astype(np.float32),
        }

    @cached_property
    def _held(self) -> HeldPoints:
        return HeldPoints(self.points, self.core_distances, self.tree)

    def to_arrays(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return JSON-able parameters and arrays; those named ``point_*`` have a row a point."""
        params = {
            "kind": "hdbscan",
            "min_cluster_size": self.min_cluster_size,
            "min_samples": self.min_samples,
            "selection": asdict(self.selection),
        }
        arrays = {
            "point_coordinates": self.points,
            "point_core_distance": self.core_distances,
            "point_node": self.tree.point_node,
            "point_lambda": self.tree.point_lambda,
            "node_parent": self.tree.parent,
            "node_birth": self.tree.birth,
            "node_size": self.tree.size,
        }
        if self.projection is not None:
            more, projection = self.projection.to_arrays()
            params, arrays = {**params, **more}, {**arrays, **projection}
        return params, arrays

    @classmethod
    def from_arrays(cls, params: Mapping[str, Any], arrays: Arrays) -> HDBSCANModel:
        """Return the model that `to_arrays` was called on."""
        get = {name: np.asarray(array) for name, array in arrays.items()}
        tree = CondensedTree(
            get["point_node"],
            get["point_lambda"],
            get["node_parent"],
            get["node_birth"],
            get["node_size"],
        )
        return cls(
            int(params["min_cluster_size"]),
            int(params["min_samples"]),
            Selection(**params["selection"]),
            get["point_coordinates"],
            get["point_core_distance"],
            tree,
            Projection.from_arrays(params, get),
        )


def explained(projection: Projection | None) -> float:
    """Return the share of the variance that was clustered."""
    return 1.0 if projection is None else projection.explained
