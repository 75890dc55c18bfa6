import logging

import hdbscan
import numpy as np
import pytest
import sklearn.cluster
from clustering_contract import Thirds, blobs
from sklearn.base import BaseEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression

import dtopics.clustering
from dtopics.clustering import HDBSCAN, HDBSCANClusterer, HDBSCANModel, as_clusterer
from dtopics.clustering.selection import Selection
from dtopics.clustering.wrapped import WrappedClusterer
from dtopics.errors import SettingError


def test_an_hdbscan_of_hdbscan_is_ours_with_its_settings():
    given = hdbscan.HDBSCAN(
        12, 4, cluster_selection_method="leaf", cluster_selection_epsilon=0.25, prediction_data=True
    )
    before = dict(vars(given))
    assert as_clusterer(given) == HDBSCANClusterer(12, 4, Selection("leaf", 0.25))
    assert vars(given) == before
    given = hdbscan.HDBSCAN(9, max_cluster_size=70, allow_single_cluster=True, core_dist_n_jobs=2)
    assert as_clusterer(given) == HDBSCANClusterer(9, None, Selection("eom", 0.0, 70, True))
    assert as_clusterer(hdbscan.HDBSCAN(metric="l2")) == HDBSCANClusterer(5)
    assert as_clusterer(hdbscan.HDBSCAN(metric="minkowski", p=2)) == HDBSCANClusterer(5)


def test_a_users_own_hdbscan_keeps_its_giants():
    assert as_clusterer(hdbscan.HDBSCAN()).selection.max_cluster_size == 0
    assert as_clusterer(HDBSCAN()).selection.max_cluster_size == 0


def test_scikit_learns_counts_the_point_itself():
    kind = sklearn.cluster.HDBSCAN
    assert as_clusterer(kind(copy=True)) == HDBSCANClusterer(5, 4)
    assert as_clusterer(kind(8, copy=True)) == HDBSCANClusterer(8, 7)
    given = kind(8, min_samples=4, max_cluster_size=50, cluster_selection_method="leaf", copy=True)
    assert as_clusterer(given) == HDBSCANClusterer(8, 3, Selection("leaf", 0.0, 50))


@pytest.mark.parametrize(
    "given",
    [
        hdbscan.HDBSCAN(metric="manhattan"),
        hdbscan.HDBSCAN(metric="minkowski", p=3),
        hdbscan.HDBSCAN(alpha=0.7),
        hdbscan.HDBSCAN(cluster_selection_epsilon_max=2.0),
        sklearn.cluster.HDBSCAN(metric="cosine", copy=True),
        sklearn.cluster.HDBSCAN(min_samples=1, copy=True),
    ],
    ids=["metric", "p", "alpha", "epsilon_max", "sklearn metric", "no neighbours"],
)
def test_what_means_something_else_runs_as_it_is(given):
    clusterer = as_clusterer(given)
    assert isinstance(clusterer, WrappedClusterer)
    assert type(clusterer.estimator) is type(given)
    assert clusterer.estimator is not given


class StandIn(BaseEstimator):
    """The parameters of ``cuml.cluster.HDBSCAN``, which needs a GPU to be made."""

    def __init__(
        self,
        min_cluster_size=5,
        min_samples=None,
        cluster_selection_epsilon=0.0,
        max_cluster_size=0,
        metric="euclidean",
        alpha=1.0,
        p=None,
        cluster_selection_method="eom",
        allow_single_cluster=False,
        gen_min_span_tree=False,
        build_algo="brute_force",
    ):
        self.min_cluster_size = min_cluster_size
        self.min_samples = min_samples
        self.cluster_selection_epsilon = cluster_selection_epsilon
        self.max_cluster_size = max_cluster_size
        self.metric = metric
        self.alpha = alpha
        self.p = p
        self.cluster_selection_method = cluster_selection_method
        self.allow_single_cluster = allow_single_cluster
        self.gen_min_span_tree = gen_min_span_tree
        self.build_algo = build_algo

    def fit(self, X):
        self.labels_ = np.zeros(len(X), np.int32)
        return self


StandIn.__name__ = "HDBSCAN"
StandIn.__module__ = "cuml.cluster.hdbscan.hdbscan"


def test_cumls_is_ours_with_its_settings():
    given = StandIn(15, cluster_selection_method="leaf", build_algo="nn_descent")
    assert as_clusterer(given) == HDBSCANClusterer(15, None, Selection("leaf"))
    assert as_clusterer(StandIn(15, 6)) == HDBSCANClusterer(15, 6)
    assert isinstance(as_clusterer(StandIn(alpha=0.5)), WrappedClusterer)


def test_what_became_of_the_users_object_is_logged(caplog):
    caplog.set_level(logging.INFO, "dtopics")
    as_clusterer(hdbscan.HDBSCAN(15))
    as_clusterer(hdbscan.HDBSCAN(15, metric="manhattan"))
    as_clusterer(sklearn.cluster.KMeans(3))
    assert [record.getMessage() for record in caplog.records] == [
        "hdbscan's HDBSCAN: run by dtopics with its settings, exact, over all workers",
        "hdbscan's HDBSCAN: run as it is, on one worker, which holds all reduced points",
        "sklearn's KMeans: run as it is, on one worker, which holds all reduced points",
    ]


@pytest.mark.filterwarnings("ignore::FutureWarning:sklearn")
def test_a_foreign_hdbscan_that_runs_as_it_is():
    X = blobs()
    model = as_clusterer(hdbscan.HDBSCAN(8, metric="manhattan")).fit(X)
    expected = hdbscan.HDBSCAN(8, metric="manhattan").fit(X)
    np.testing.assert_array_equal(model.labels, expected.labels_)
    np.testing.assert_allclose(model.probabilities, expected.probabilities_, atol=1e-6)


def test_ours_and_clusterers_pass_through():
    ours = HDBSCAN(6, 3).clusterer()
    assert as_clusterer(ours) is ours
    assert as_clusterer(HDBSCAN(6, 3)) == ours

    class Mine:
        def describe(self):
            return {}

        def fit(self, X):
            return None

    mine = Mine()
    assert as_clusterer(mine) is mine


def test_bertopics_base_cluster_is_no_clustering():
    cluster = pytest.importorskip("bertopic.cluster")
    assert as_clusterer(cluster.BaseCluster()) is None


@pytest.mark.parametrize("kind", [HDBSCAN, hdbscan.HDBSCAN, sklearn.cluster.KMeans, Thirds])
def test_a_class_is_not_an_instance(kind):
    with pytest.raises(SettingError, match=rf"the class {kind.__name__}; give an instance"):
        as_clusterer(kind)


@pytest.mark.parametrize("given", ["hdbscan", 5, {"a": 1}, object(), np.zeros(3), print])
def test_what_cannot_cluster(given):
    with pytest.raises(SettingError, match=r"expected None, dtopics.HDBSCAN or a clusterer"):
        as_clusterer(given)


def test_a_classifier_learns_and_a_regressor_does_not():
    assert as_clusterer(LogisticRegression()).classifies
    with pytest.raises(SettingError, match="finds numbers"):
        as_clusterer(LinearRegression())


@pytest.mark.parametrize("size", [1, 0, -5, 2.0, "10", None, True])
def test_a_wrong_min_topic_size(size):
    with pytest.raises(SettingError, match="at least 2 documents"):
        as_clusterer(None, min_topic_size=size)


def test_names_of_the_package():
    assert dtopics.clustering.HDBSCANModel is HDBSCANModel
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = dtopics.clustering.nothing
