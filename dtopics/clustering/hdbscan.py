"""HDBSCAN*: the tree, its clusters, and labels for new points.

`HDBSCAN` is scikit-learn's kind of estimator; `HDBSCANClusterer` plays the `Clusterer` role in the
pipeline; `HDBSCANModel` is what a fit leaves, as plain arrays.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClusterMixin

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
from dtopics.errors import InputError, NotFittedError, SettingError
from dtopics.protocols import Arrays

if TYPE_CHECKING:
    from dtopics.clustering.collections import Clustered
    from dtopics.clustering.distributed import PartsModel
    from dtopics.data import Block
    from dtopics.execution import Executor
    from dtopics.store import Run, Stage

logger = logging.getLogger("dtopics")

#: hdbscan's tree of fewer points than this has no split to look at.
MIN_POINTS = 3


def is_integer(value: object) -> bool:
    """Whether it is an integer, and no truth value."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def is_dask_array(X: object) -> bool:
    """Whether it is a Dask array; Dask is not loaded for the answer."""
    module = sys.modules.get("dask.array")
    return module is not None and isinstance(X, module.Array)


def as_points(X: ArrayLike) -> NDArray[Any]:
    """Return `X` as a C-ordered array of floats, shape (n_points, n_features), all finite.

    Raises
    ------
    InputError
        It has another number of dimensions, or rows with NaN or infinity.
    """
    try:
        points = np.asarray(X)
    except ValueError as error:
        raise InputError(f"points are no array, their rows differ in length: {error}") from error
    if points.dtype.kind not in "fiub":
        raise InputError(f"points are of type {points.dtype}: expected numbers")
    if points.ndim != 2 or points.shape[1] == 0:
        raise InputError(f"points of shape {points.shape}: expected (n_points, n_features)")
    points = np.ascontiguousarray(points, np.float32 if points.dtype == np.float32 else np.float64)
    bad = np.flatnonzero(~np.isfinite(points).all(axis=1))
    if len(bad):
        raise not_finite(len(bad), len(points), bad[0])
    return points


def as_new_points(X: ArrayLike, n_components: int) -> NDArray[Any]:
    """Return `X` as `as_points` does; a model of `n_components` is to label it.

    Raises
    ------
    InputError
        As `as_points`, or the number of components is another.
    """
    new = as_points(X)
    if new.shape[1] != n_components:
        raise InputError(
            f"points have {new.shape[1]} components; the model was fit on {n_components}"
        )
    return new


def not_finite(n_bad: int, n_points: int, first: int | np.integer) -> InputError:
    """Return the error for rows with NaN or infinity, the first of which is given."""
    return InputError(
        f"{n_bad:,} of {n_points:,} points have NaN or infinity, the first in row "
        f"{first:,}: leave these rows out before clustering"
    )


@dataclass(frozen=True)
class HDBSCANClusterer:
    """HDBSCAN* in the `Clusterer` role; parameters as in `HDBSCAN`."""

    min_cluster_size: int = 10
    min_samples: int | None = None
    selection: Selection = field(default_factory=Selection)
    principal_components: int | None = None

    @property
    def n_neighbours(self) -> int:
        """`min_samples` where it is given, else `min_cluster_size`."""
        return int(self.min_samples or self.min_cluster_size)

    def __post_init__(self) -> None:
        if not is_integer(self.min_cluster_size) or self.min_cluster_size < 2:
            raise SettingError(
                f"min_cluster_size={self.min_cluster_size!r}: expected an integer of at least 2"
            )
        if self.min_samples is not None and (
            not is_integer(self.min_samples) or self.min_samples < 1
        ):
            raise SettingError(
                f"min_samples={self.min_samples!r}: expected an integer of at least 1, or None"
            )
        if self.principal_components is not None and (
            not is_integer(self.principal_components) or self.principal_components < 1
        ):
            raise SettingError(
                f"principal_components={self.principal_components!r}: expected an integer of at "
                "least 1, or None"
            )

    def describe(self) -> dict[str, Any]:
        """Return what the labels depend on, as JSON."""
        return {
            "clusterer": "hdbscan",
            "min_cluster_size": int(self.min_cluster_size),
            "min_samples": self.n_neighbours,
            **_plain(self.selection),
            **self._approximation,
            "version": 2,
        }

    @property
    def _approximation(self) -> dict[str, Any]:
        n_components = self.principal_components
        return {} if n_components is None else {"principal_components": int(n_components)}

    def approximates(self, n_features: int) -> bool:
        """Whether points of so many coordinates are clustered in fewer."""
        return self.principal_components is not None and self.principal_components < n_features

    def fit(self, X: ArrayLike) -> HDBSCANModel:
        """Cluster the points in this process.

        Parameters
        ----------
        X : array-like of float, shape (n_points, n_components)

        Returns
        -------
        HDBSCANModel
            With fewer points than `min_cluster_size`, or than three, all are outliers.

        Raises
        ------
        InputError
            `X` is not two-dimensional or has NaN or infinity.
        """
        from dtopics.clustering.spanning.memory import spanning_tree

        points, projection = as_points(X), None
        if self.approximates(points.shape[1]) and len(points):
            assert self.principal_components is not None
            projection = Projection.of(points, int(self.principal_components))
            logger.info("%s", projection)
            points = projection(points)
        size = int(self.min_cluster_size)
        min_samples = self.n_neighbours
        if len(points) < max(size, MIN_POINTS):
            tree, core = CondensedTree.without_clusters(len(points)), np.zeros(len(points))
        else:
            spanned = spanning_tree(points, min_samples=min_samples)
            tree = CondensedTree.of_edges(spanned.one, spanned.other, spanned.weight, size)
            core = spanned.core_to_join
        return HDBSCANModel(size, min_samples, self.selection, points, core, tree, projection)

    def fit_blocks(
        self, run: Run, reduced: Stage, blocks: Sequence[Block], executor: Executor
    ) -> Stage | None:
        """Cluster the points of a run over all workers; None where one worker does it sooner."""
        from dtopics.clustering.distributed import cluster_by_parts, part_points

        if sum(block.n_rows for block in blocks) <= part_points():
            return None
        return cluster_by_parts(run, self, reduced, blocks, executor)


class HDBSCAN(ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """Hierarchical density-based clustering, exact.

    Parameters
    ----------
    min_cluster_size : int, default=10
        The least number of points of a cluster.
    min_samples : int, optional
        Neighbours, the point itself not counted, within a point's core distance; as many as
        `min_cluster_size` where it is ``None``.
    cluster_selection_method : {"eom", "leaf"}, default="eom"
        Excess of mass, or the leaves of the tree.
    cluster_selection_epsilon : float, default=0.0
        Clusters that part at a smaller distance are merged.
    max_cluster_size : int or float, default=0
        Larger clusters give way to the clusters within them; 0 for no limit. One without clusters
        within it becomes outliers, as in hdbscan. A float is a share of all points, and then such
        a one stays a cluster.
    allow_single_cluster : bool, default=False
        Whether all points may be one cluster.
    principal_components : int, optional
        The approximate mode, for points of more than about 15 features, in which an exact search
        compares nearly all pairs: the points are clustered, exactly, in so many of their principal
        components. Points of no more features than that are clustered as they are.
    run : str, optional
        For Dask arrays: the URL of a run directory that every worker sees. It is kept, and the same
        fit goes on there where an earlier one was broken off. By default a temporary folder, which
        goes with the estimator and the arrays that it gave. Results do not depend on it.

    Attributes
    ----------
    labels_ : ndarray or dask.array.Array of int32, shape (n_points,)
        −1 for outliers.
    probabilities_ : ndarray or dask.array.Array of float32, shape (n_points,)
    outlier_scores_ : ndarray or dask.array.Array of float32, shape (n_points,)
        GLOSH.
    model_ : HDBSCANModel or PartsModel
        The latter, which has `predict` only, where a Dask array was clustered in parts.
    n_features_in_ : int
    explained_variance_ratio_ : float
        The share of the variance in the components that were clustered; 1 where that is exact.

    Notes
    -----
    Labels, their numbers and probabilities are those of ``hdbscan.HDBSCAN`` with
    ``approx_min_span_tree=False``, but for splits at distance zero: they would part identical
    points at random and are not made.

    A Dask array gives Dask arrays of the same values as NumPy's, and no process holds all of its
    coordinates unless they are few: the workers write its chunks to the run directory and cluster
    them there by parts. A block is as long as the longest chunk, and what a fit gives has one chunk
    for each.

    References
    ----------
    Campello, Moulavi & Sander (2013), "Density-based clustering based on hierarchical density
    estimates", PAKDD.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.concatenate([np.linspace(0, 1, 20), np.linspace(9, 10, 20)])[:, None]
    >>> np.bincount(HDBSCAN(min_cluster_size=5).fit(X).labels_).tolist()
    [20, 20]

    A Dask array gives lazy labels:

    >>> import dask.array as da
    >>> HDBSCAN(min_cluster_size=5).fit(da.from_array(X, chunks=(20, 1))).labels_
    dask.array<labels, shape=(40,), dtype=int32, chunksize=(20,), chunktype=numpy.ndarray>
    """

    def __init__(
        self,
        min_cluster_size: int = 10,
        min_samples: int | None = None,
        cluster_selection_method: str = "eom",
        cluster_selection_epsilon: float = 0.0,
        max_cluster_size: int | float = 0,
        allow_single_cluster: bool = False,  # noqa: FBT001, FBT002 (as hdbscan has it)
        principal_components: int | None = None,
        run: str | None = None,
    ) -> None:
        self.min_cluster_size = min_cluster_size
        self.min_samples = min_samples
        self.cluster_selection_method = cluster_selection_method
        self.cluster_selection_epsilon = cluster_selection_epsilon
        self.max_cluster_size = max_cluster_size
        self.allow_single_cluster = allow_single_cluster
        self.principal_components = principal_components
        self.run = run

    def clusterer(self) -> HDBSCANClusterer:
        """Return the object that plays the `Clusterer` role with these parameters."""
        selection = Selection(
            self.cluster_selection_method,
            self.cluster_selection_epsilon,
            0 if self.max_cluster_size is None else self.max_cluster_size,
            self.allow_single_cluster,
        )
        return HDBSCANClusterer(
            self.min_cluster_size, self.min_samples, selection, self.principal_components
        )

    model_: HDBSCANModel | PartsModel
    _clustered: Clustered | None = None

    def fit(self, X: Any, y: object = None, *, client: Any = None) -> HDBSCAN:  # noqa: ARG002
        """Cluster the points.

        Parameters
        ----------
        X : array-like or dask.array.Array of numbers, shape (n_points, n_features)
            All finite. A Dask array is computed, once, block by block.
        y : object
            Ignored; scikit-learn's.
        client : distributed.Client or str, optional
            For Dask arrays: a client or a scheduler's address. By default the current client, else
            ``DASK_SCHEDULER_ADDRESS``, else this process for one or two blocks, else a local
            cluster for as long as the fit takes.

        Returns
        -------
        HDBSCAN
            This one.

        Raises
        ------
        InputError
            `X` has another number of dimensions, NaN or infinity, or chunks of unknown size.
        """
        if is_dask_array(X):
            from dtopics.clustering.collections import cluster_array

            fitted = cluster_array(X, self.clusterer(), self.run, client)
            self._clustered, self.model_ = fitted, fitted.model()
            self.explained_variance_ratio_ = explained(self.model_.projection)
            self.labels_ = fitted.rows("labels")
            self.probabilities_ = fitted.rows("probabilities")
            self.outlier_scores_ = fitted.rows("outlier_scores")
            self.n_features_in_ = int(X.shape[1])
            return self
        self._clustered, self.model_ = None, self.clusterer().fit(X)
        self.labels_ = self.model_.labels
        self.probabilities_ = self.model_.probabilities
        self.outlier_scores_ = self.model_.outlier_scores.astype(np.float32)
        self.n_features_in_ = self.model_.n_features
        self.explained_variance_ratio_ = explained(self.model_.projection)
        return self

    def predict(self, X: Any) -> Any:
        """Return the labels of new points, by the rule of `HDBSCANModel.predict`.

        Parameters
        ----------
        X : array-like or dask.array.Array of numbers, shape (n_new, n_features)

        Returns
        -------
        ndarray or dask.array.Array of int32, shape (n_new,)
            For a Dask array lazy, with its chunks; NaN is found when it is computed.

        Raises
        ------
        InputError
            The number of features differs, or there are NaN or infinity.
        NotFittedError
        """
        if not hasattr(self, "model_"):
            raise NotFittedError("this HDBSCAN has no clusters yet: call fit first")
        if is_dask_array(X):
            from dtopics.clustering.collections import label_array

            return label_array(X, self.n_features_in_, self._clustered, self.model_)
        return self.model_.predict(as_new_points(X, self.n_features_in_))[0]


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
            "selection": _plain(self.selection),
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


def from_foreign(estimator: Any) -> HDBSCANClusterer | None:
    """Return ours with the settings of another library's HDBSCAN, where they mean the same.

    ``algorithm``, ``leaf_size`` and the like change the speed only; ``approx_min_span_tree`` and
    cuML's ``build_algo`` the exactness, and ours is exact. cuML counts `min_samples` as hdbscan
    does.
    """
    kind = type(estimator)
    origin = kind.__module__.partition(".")[0]
    if kind.__name__ != "HDBSCAN" or origin not in ("hdbscan", "sklearn", "cuml"):
        return None
    params = estimator.get_params(deep=False)
    neutral = {
        "alpha": 1.0,
        "cluster_selection_persistence": 0.0,
        "cluster_selection_epsilon_max": float("inf"),
        "match_reference_implementation": False,
    }
    euclidean = params["metric"] in ("euclidean", "l2") or (
        params["metric"] == "minkowski" and params.get("p") == 2
    )
    if not euclidean or any(params.get(name, value) != value for name, value in neutral.items()):
        return None
    min_samples = params["min_samples"]
    if origin == "sklearn":  # it counts the point itself among min_samples
        min_samples = (min_samples or params["min_cluster_size"]) - 1
        if min_samples == 0:
            return None
    selection = Selection(
        params["cluster_selection_method"],
        float(params["cluster_selection_epsilon"]),
        int(params["max_cluster_size"] or 0),
        bool(params["allow_single_cluster"]),
    )
    return HDBSCANClusterer(params["min_cluster_size"], min_samples, selection)


def explained(projection: Projection | None) -> float:
    """Return the share of the variance that was clustered."""
    return 1.0 if projection is None else projection.explained


def _plain(selection: Selection) -> dict[str, Any]:
    return asdict(selection)
