import json

import numpy as np
import pytest
from clustering_contract import Thirds, blobs, same_labels
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.cluster import DBSCAN, OPTICS, AgglomerativeClustering, KMeans, MiniBatchKMeans
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

from dtopics.clustering import as_clusterer, load_model
from dtopics.errors import InputError, RunError, SettingError


@pytest.mark.parametrize("kind", [KMeans, MiniBatchKMeans])
def test_k_means_labels_by_the_nearest_centre(kind):
    X, new = blobs(), blobs(seed=4)
    expected = kind(5, random_state=3).fit(X)
    model = as_clusterer(kind(5), random_state=3).fit(X)
    np.testing.assert_allclose(model.centroids, expected.cluster_centers_)
    np.testing.assert_array_equal(model.predict(new)[0], expected.predict(new))
    np.testing.assert_array_equal(model.predict(X)[0], model.labels)
    np.testing.assert_array_equal(model.probabilities, 1)


def test_k_means_does_not_depend_on_threads():
    X = blobs(3_000, 0)
    clusterer = as_clusterer(KMeans(8, n_init=1), random_state=0)
    models = []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads):
            models.append(clusterer.fit(X))
    np.testing.assert_array_equal(models[0].centroids, models[1].centroids)


def test_every_fit_is_of_a_new_clone():
    clusterer = as_clusterer(Thirds())
    model, other = clusterer.fit(blobs()), clusterer.fit(blobs(seed=1))
    assert not hasattr(clusterer.estimator, "labels_")
    assert model.estimator is not other.estimator


def test_ties_between_centres_go_to_the_smaller_label():
    params = {"kind": "centroids"}
    arrays = {
        "centroids": np.array([[0.0], [2.0], [2.0]]),
        "point_label": np.zeros(0, np.int32),
        "point_probability": np.zeros(0, np.float32),
    }
    labels, _ = load_model(params, arrays).predict([[1.0], [2.0], [0.9]])
    np.testing.assert_array_equal(labels, [0, 1, 0])


@pytest.mark.parametrize(
    "estimator", [DBSCAN(eps=1.5), AgglomerativeClustering(4), OPTICS(min_samples=10)]
)
def test_without_predict_the_nearest_mean_decides(estimator):
    X, new = blobs(), blobs(seed=4)
    model = as_clusterer(estimator).fit(X)
    expected = estimator.fit(X).labels_
    np.testing.assert_array_equal(model.labels, expected)
    np.testing.assert_array_equal(model.probabilities, expected >= 0)
    means = np.stack([X[expected == label].mean(axis=0) for label in range(expected.max() + 1)])
    nearest = np.linalg.norm(new[:, None] - means, axis=2).argmin(axis=1)
    np.testing.assert_array_equal(model.predict(new)[0], nearest)


def test_outliers_only():
    model = as_clusterer(DBSCAN(eps=1e-9)).fit(blobs())
    np.testing.assert_array_equal(model.labels, -1)
    labels, probabilities = model.predict(blobs(seed=2))
    np.testing.assert_array_equal(labels, -1)
    np.testing.assert_array_equal(probabilities, 0)


class Gaps(ClusterMixin, BaseEstimator):
    """Leaves out a label, and calls outliers what it likes."""

    def fit(self, X, y=None):
        self.labels_ = np.where(X[:, 0] > 0, 3, np.where(X[:, 1] > 0, 0, -7))
        self.probabilities_ = np.full(len(X), 0.5)
        self.probabilities_[:2] = np.nan
        return self


def test_labels_with_gaps_and_probabilities_of_its_own():
    X = blobs()
    model = as_clusterer(Gaps()).fit(X)
    assert set(model.labels) == {-1, 0, 3}
    inside = model.labels >= 0
    np.testing.assert_array_equal(model.probabilities[2:], np.where(inside, 0.5, 0)[2:])
    np.testing.assert_array_equal(model.probabilities[:2], 0)
    params, arrays = model.to_arrays()
    labels, _ = load_model(params, arrays).predict(blobs(seed=3))
    assert set(labels) == {0, 3}


def test_a_mixture_predicts_by_itself():
    X, new = blobs(), blobs(seed=4)
    model = as_clusterer(GaussianMixture(3), random_state=1).fit(X)
    expected = GaussianMixture(3, random_state=1).fit(X)
    np.testing.assert_array_equal(model.predict(new)[0], expected.predict(new))
    params, arrays = model.to_arrays()
    assert params["class"].endswith("GaussianMixture")
    same_labels(load_model(params, arrays, trust=True).predict(new), model.predict(new))
    with pytest.raises(RunError, match=r"GaussianMixture is kept as a pickle.*trust=True"):
        load_model(params, arrays)


class Answers(Thirds):
    """Gives what it was told to give."""

    def __init__(self, answer=None):
        self.answer = answer

    def fit(self, X, y=None):
        self.labels_ = self.answer
        return self


@pytest.mark.parametrize(
    "answer",
    [np.zeros(5, int), np.zeros(60), np.zeros((60, 1), int), ["a"] * 60],
    ids=["few", "floats", "column", "strings"],
)
def test_labels_that_are_none(answer):
    with pytest.raises(InputError, match=r"Answers gave labels of .*expected 60 integers"):
        as_clusterer(Answers(answer)).fit(blobs(50, 10))


def test_too_few_points_for_the_clusterer():
    with pytest.raises(InputError, match=r"KMeans cannot cluster 3 points of 2 components: n_samp"):
        as_clusterer(KMeans(8)).fit(np.zeros((3, 2)))


def test_an_object_that_leaves_no_labels():
    with pytest.raises(SettingError, match="PCA, whose fit leaves no labels_"):
        as_clusterer(PCA(2)).fit(blobs())


def test_the_seed_fills_what_is_not_set():
    assert as_clusterer(KMeans(3), random_state=4).estimator.random_state == 4
    assert as_clusterer(KMeans(3, random_state=0), random_state=4).estimator.random_state == 0
    assert as_clusterer(KMeans(3)).estimator.random_state is None
    as_clusterer(DBSCAN(), random_state=4)


def test_settings_change_the_description():
    estimators = [
        KMeans(3),
        KMeans(4),
        KMeans(4, init=np.zeros((4, 2))),
        KMeans(4, init=np.ones((4, 2))),
        MiniBatchKMeans(4),
        OPTICS(max_eps=np.inf),
        DBSCAN(metric=lambda x, y: abs(x - y).sum()),
        DBSCAN(metric=lambda x, y: abs(x - y).max()),
        Thirds(1.0),
    ]
    described = [json.dumps(as_clusterer(e, random_state=1).describe()) for e in estimators]
    assert len(set(described)) == len(estimators)
    assert '"version"' in described[0]


@pytest.mark.parametrize("kind", ["gmm", None, "foreign2"])
def test_an_unknown_kind_of_model(kind):
    with pytest.raises(RunError, match=r"unknown kind of clusterer.*newer dtopics"):
        load_model({"kind": kind}, {})
