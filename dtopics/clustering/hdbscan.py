"""HDBSCAN*, as an estimator of scikit-learn's kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, ClusterMixin

from dtopics.clustering.hdbscan_clusterer import HDBSCANClusterer
from dtopics.clustering.hdbscan_model import HDBSCANModel, explained
from dtopics.clustering.points import as_new_points, is_dask_array
from dtopics.clustering.selection import Selection
from dtopics.errors import NotFittedError

if TYPE_CHECKING:
    from dtopics.clustering.collections import Clustered
    from dtopics.clustering.distributed import PartsModel


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
