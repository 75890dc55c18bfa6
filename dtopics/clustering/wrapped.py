"""Clusterers of scikit-learn, and of libraries that keep to its methods.

How new points are labelled, in this order: k-means by the nearest centroid; a clusterer with
``predict`` by that; one without it by the nearest mean of its clusters in the reduced space, which
never gives an outlier.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dtopics.clustering.points import as_points
from dtopics.data import OUTLIER
from dtopics.errors import InputError, SettingError
from dtopics.protocols import Arrays
from dtopics.store import describe

Labels = tuple[NDArray[np.int32], NDArray[np.float32]]

#: Clusterers of scikit-learn whose ``predict`` is the nearest centroid.
K_MEANS = frozenset({"KMeans", "MiniBatchKMeans"})


def wrap(
    estimator: Any, *, random_state: int | None = None
) -> WrappedClusterer | WrappedClassifier:
    """Return a clone of a scikit-learn clusterer in the `Clusterer` role, or of a classifier.

    Raises
    ------
    SettingError
        It cannot cluster: no ``fit``, or a regressor.
    """
    name = type(estimator).__name__
    if not hasattr(estimator, "fit") or not hasattr(estimator, "get_params"):
        raise SettingError(
            f"hdbscan_model is a {name}: expected None, dtopics.HDBSCAN or a clusterer with "
            "scikit-learn's methods (fit, get_params, labels_)"
        )
    from sklearn.base import clone, is_classifier, is_regressor

    if is_regressor(estimator):
        raise SettingError(f"hdbscan_model is a {name}, which finds numbers: give a clusterer")
    copy = clone(estimator)
    if random_state is not None and copy.get_params().get("random_state", 0) is None:
        copy.set_params(random_state=random_state)
    return WrappedClassifier(copy) if is_classifier(copy) else WrappedClusterer(copy)


@dataclass(frozen=True)
class WrappedClusterer:
    """A scikit-learn clusterer in the `Clusterer` role; each fit is of a new clone."""

    estimator: Any

    def describe(self) -> dict[str, Any]:
        """Return what the labels depend on, as JSON."""
        return {"clusterer": "wrapped", "estimator": describe(self.estimator)}

    def fit(self, X: ArrayLike) -> CentroidModel | ForeignModel:
        """Cluster the points, shape (n_points, n_components), on one thread.

        Raises
        ------
        InputError
            `X` has NaN or infinity, or fewer points than the clusterer can do with.
        """
        from sklearn.base import clone
        from threadpoolctl import threadpool_limits

        points = as_points(X)
        fitted = clone(self.estimator)
        # k-means adds up in the order in which threads finish, and its centroids round by it.
        with threadpool_limits(limits=1):
            try:
                raw = _fit_labels(fitted, points)
            except ValueError as error:
                raise InputError(
                    f"{type(fitted).__name__} cannot cluster {len(points):,} points of "
                    f"{points.shape[1]} components: {error}"
                ) from error
        if raw is None:
            raise SettingError(
                f"hdbscan_model is a {type(fitted).__name__}, whose fit leaves no labels_: give a "
                "clusterer"
            )
        labels = _checked_labels(raw, len(points), type(fitted).__name__)
        probabilities = _probabilities(fitted, labels)
        if type(fitted).__name__ in K_MEANS and hasattr(fitted, "cluster_centers_"):
            centroids = np.asarray(fitted.cluster_centers_, np.float64)
            labels = CentroidModel(centroids, labels, probabilities).predict(points)[0]
            return CentroidModel(centroids, labels, probabilities)
        if hasattr(fitted, "predict"):
            return ForeignModel(fitted, points.shape[1], labels, probabilities)
        return CentroidModel(_means(points, labels), labels, probabilities)


@dataclass(frozen=True)
class WrappedClassifier:
    """A scikit-learn classifier in a clusterer's place: the classes (``y``) are the clusters."""

    estimator: Any

    classifies = True

    def describe(self) -> dict[str, Any]:
        """Return what the labels of new documents depend on, as JSON."""
        return {"classifier": describe(self.estimator)}

    def fit_classes(self, X: ArrayLike, y: NDArray[np.integer[Any]]) -> ForeignModel:
        """Learn the classes of points, shape (n_points, n_components), on one thread.

        Raises
        ------
        InputError
            The classifier cannot learn from these, as where they are of one class.
        """
        from sklearn.base import clone
        from threadpoolctl import threadpool_limits

        points, fitted = as_points(X), clone(self.estimator)
        with threadpool_limits(limits=1):
            try:
                fitted.fit(points, y)
            except ValueError as error:
                raise InputError(
                    f"{type(fitted).__name__} cannot learn from {len(points):,} points of "
                    f"{len(np.unique(y))} classes: {error}"
                ) from error
        labels = np.asarray(y, np.int32)
        return ForeignModel(fitted, points.shape[1], labels, np.ones(len(labels), np.float32))


@dataclass(frozen=True, eq=False)
class CentroidModel:
    """Clusters that stand for themselves by one point each.

    Attributes
    ----------
    centroids : ndarray of float64, shape (n_clusters, n_components)
    labels : ndarray of int32, shape (n_points,)
    probabilities : ndarray of float32, shape (n_points,)
        The clusterer's own where it has any, else 1, and 0 for outliers.
    """

    centroids: NDArray[np.float64]
    labels: NDArray[np.int32]
    probabilities: NDArray[np.float32]

    def predict(self, X: ArrayLike) -> Labels:
        """Give each row the nearest centroid's label; ties go to the smaller label."""
        from dtopics.clustering import _kernels

        new = as_points(X).astype(np.float64)
        _check_components(new.shape[1], self.centroids.shape[1])
        labels = np.full(len(new), OUTLIER, np.int32)
        if len(self.centroids):
            _kernels.nearest_centroid(new, np.ascontiguousarray(self.centroids), labels)
        return labels, (labels >= 0).astype(np.float32)

    def to_arrays(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return JSON-able parameters and arrays."""
        arrays: dict[str, NDArray[Any]] = {
            "centroids": self.centroids,
            "point_label": self.labels,
            "point_probability": self.probabilities,
        }
        return {"kind": "centroids"}, arrays

    @classmethod
    def from_arrays(cls, params: Mapping[str, Any], arrays: Arrays) -> CentroidModel:  # noqa: ARG003
        """Return the model that `to_arrays` was called on."""
        names = ("centroids", "point_label", "point_probability")
        return cls(*(np.asarray(arrays[name]) for name in names))


@dataclass(frozen=True, eq=False)
class ForeignModel:
    """A fitted estimator of another library, which labels new points by its own ``predict``.

    Attributes
    ----------
    estimator : object
    n_components : int
        Of the points that it was fit on.
    labels : ndarray of int32, shape (n_points,)
    probabilities : ndarray of float32, shape (n_points,)
    """

    estimator: Any
    n_components: int
    labels: NDArray[np.int32]
    probabilities: NDArray[np.float32]

    def predict(self, X: ArrayLike) -> Labels:
        """Label rows by the estimator's own rule."""
        new = as_points(X)
        _check_components(new.shape[1], self.n_components)
        if not len(new):
            return np.empty(0, np.int32), np.empty(0, np.float32)
        raw = self.estimator.predict(new)
        labels = _checked_labels(raw, len(new), type(self.estimator).__name__)
        return labels, (labels >= 0).astype(np.float32)

    def to_arrays(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return JSON-able parameters and arrays, one of them a pickle."""
        kind = type(self.estimator)
        arrays: dict[str, NDArray[Any]] = {
            "pickle": np.frombuffer(pickle.dumps(self.estimator, protocol=5), np.uint8),
            "point_label": self.labels,
            "point_probability": self.probabilities,
        }
        params = {
            "kind": "foreign",
            "class": f"{kind.__module__}.{kind.__qualname__}",
            "n_components": self.n_components,
        }
        return params, arrays

    @classmethod
    def from_arrays(cls, params: Mapping[str, Any], arrays: Arrays) -> ForeignModel:
        """Return the model that `to_arrays` was called on; this opens a pickle."""
        estimator = pickle.loads(np.asarray(arrays["pickle"]).tobytes())  # noqa: S301 (trusted)
        return cls(
            estimator,
            int(params["n_components"]),
            np.asarray(arrays["point_label"]),
            np.asarray(arrays["point_probability"]),
        )


def _fit_labels(estimator: Any, points: NDArray[Any]) -> Any:
    """Fit and return the labels; mixtures have ``fit_predict`` only."""
    from sklearn.base import is_clusterer

    if hasattr(estimator, "fit_predict") and not is_clusterer(estimator):
        return estimator.fit_predict(points)
    return getattr(estimator.fit(points), "labels_", None)


def _checked_labels(raw: Any, n_points: int, name: str) -> NDArray[np.int32]:
    labels = np.asarray(raw)
    if labels.shape != (n_points,) or labels.dtype.kind not in "iu":
        raise InputError(
            f"{name} gave labels of shape {labels.shape} and type {labels.dtype}: expected "
            f"{n_points:,} integers"
        )
    return np.where(labels < 0, OUTLIER, labels).astype(np.int32)


def _probabilities(fitted: Any, labels: NDArray[np.int32]) -> NDArray[np.float32]:
    inside = labels >= 0
    own = np.asarray(getattr(fitted, "probabilities_", inside), np.float32)
    return np.where(inside, np.nan_to_num(own), 0.0).astype(np.float32)


def _means(points: NDArray[Any], labels: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return each cluster's mean, added up in row order, shape (n_clusters, n_components)."""
    inside = labels >= 0
    n_clusters = int(labels.max(initial=-1)) + 1
    count = np.bincount(labels[inside], minlength=n_clusters)
    sums = [
        np.bincount(labels[inside], weights=column[inside], minlength=n_clusters)
        for column in points.T.astype(np.float64)
    ]
    # A label that no point has would be a centroid of NaN, which is nearest to nothing.
    with np.errstate(invalid="ignore"):
        return np.ascontiguousarray(np.stack(sums, axis=1) / count[:, None])


def _check_components(found: int, expected: int) -> None:
    if found != expected:
        raise InputError(f"points have {found} components; the model was fit on {expected}")
