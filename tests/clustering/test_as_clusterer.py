import hdbscan
import numpy as np
import pytest
import sklearn.cluster
from clustering_contract import Thirds, blobs
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


@pytest.mark.parametrize("given", [LogisticRegression(), LinearRegression()])
def test_what_needs_known_topics(given):
    with pytest.raises(SettingError, match="needs known topics"):
        as_clusterer(given)


@pytest.mark.parametrize("size", [1, 0, -5, 2.0, "10", None, True])
def test_a_wrong_min_topic_size(size):
    with pytest.raises(SettingError, match="at least 2 documents"):
        as_clusterer(None, min_topic_size=size)


def test_names_of_the_package():
    assert dtopics.clustering.HDBSCANModel is HDBSCANModel
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = dtopics.clustering.nothing
