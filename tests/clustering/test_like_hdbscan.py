"""The same input to dtopics and to the hdbscan package: the same clusters."""

import hdbscan
import numpy as np
import pytest
from clustering_contract import blobs
from hdbscan._hdbscan_linkage import label
from hdbscan.hdbscan_ import _tree_to_labels
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import HDBSCAN as SklearnHDBSCAN
from sklearn.datasets import make_moons
from sklearn.metrics import adjusted_rand_score

from dtopics.clustering import HDBSCAN, as_clusterer
from dtopics.clustering.spanning.memory import spanning_tree


def uniform(n_points=300, seed=0):
    return np.random.default_rng(seed).uniform(size=(n_points, 2))


def moons(n_points=300, seed=0):
    return make_moons(n_points, noise=0.08, random_state=seed)[0]


def in_pairs(n_points=300, seed=0):
    """Return blobs in which a point in five is there twice: ties, but no distance of zero."""
    X = blobs(n_points, 40, seed)
    X[: len(X) // 5] = X[-(len(X) // 5) :]
    return X


SHAPES = {"blobs": blobs, "uniform": uniform, "moons": moons, "in pairs": in_pairs}
SETTINGS = [
    {},
    {"min_cluster_size": 5},
    {"min_cluster_size": 15, "min_samples": 4},
    {"min_samples": 1},
    {"cluster_selection_method": "leaf"},
    {"cluster_selection_method": "leaf", "min_cluster_size": 6, "min_samples": 3},
    {"cluster_selection_method": "leaf", "max_cluster_size": 30},
    {"cluster_selection_epsilon": 0.05},
    {"cluster_selection_epsilon": 0.9, "min_cluster_size": 5},
    {"cluster_selection_epsilon": 0.9, "cluster_selection_method": "leaf", "min_samples": 3},
    {"max_cluster_size": 40, "min_cluster_size": 5},
    {"max_cluster_size": 100},
    {"allow_single_cluster": True},
    {"allow_single_cluster": True, "cluster_selection_epsilon": 0.5},
    {"allow_single_cluster": True, "cluster_selection_method": "leaf"},
    {"allow_single_cluster": True, "max_cluster_size": 150},
    {"allow_single_cluster": True, "cluster_selection_epsilon": 50.0},
    {"cluster_selection_epsilon": 50.0},
]


def theirs(X, **params):
    params = {"min_cluster_size": 10, **params}
    return hdbscan.HDBSCAN(approx_min_span_tree=False, core_dist_n_jobs=1, **params).fit(X)


def renamed(labels, expected):
    """Return labels under the numbers that most of their points have in `expected`."""
    found = labels.copy()
    for number in range(labels.max() + 1):
        theirs = expected[labels == number]
        found[labels == number] = np.bincount(theirs[theirs >= 0], minlength=1).argmax()
    return found


def theirs_of_our_edges(X, **params):
    """Return a fit of hdbscan whose spanning tree is ours: edges of equal weight have one order."""
    fitted = theirs(X, **params)
    spanned = spanning_tree(X, min_samples=fitted.min_samples or fitted.min_cluster_size)
    edges = np.column_stack([spanned.one, spanned.other, spanned.weight])
    options = ("min_cluster_size", "cluster_selection_method", "allow_single_cluster",
               "cluster_selection_epsilon", "max_cluster_size")  # fmt: skip
    found = _tree_to_labels(X, label(edges), **{name: getattr(fitted, name) for name in options})
    fitted.labels_, fitted.probabilities_, _, fitted._condensed_tree, _ = found
    return fitted


def same(X, **params):
    expected, found = theirs_of_our_edges(X, **params), HDBSCAN(**params).fit(X)
    np.testing.assert_array_equal(renamed(found.labels_, expected.labels_), expected.labels_)
    assert found.labels_.max() == expected.labels_.max()
    np.testing.assert_allclose(found.probabilities_, expected.probabilities_, atol=1e-6)
    return found.labels_


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("params", SETTINGS, ids=str)
def test_labels_and_probabilities(shape, params):
    same(SHAPES[shape](), **params)


def test_the_settings_matter():
    """Or the test above would compare one clustering with itself."""
    found = {tuple(same(moons(), **params)) for params in SETTINGS}
    assert len(found) >= 9


@settings(deadline=None, max_examples=15, derandomize=True)
@given(
    shape=st.sampled_from(sorted(SHAPES)),
    n_points=st.integers(30, 250),
    seed=st.integers(0, 10_000),
    min_cluster_size=st.integers(2, 20),
    min_samples=st.none() | st.integers(1, 20),
    method=st.sampled_from(["eom", "leaf"]),
    epsilon=st.sampled_from([0.0, 0.1, 1.0]),
    max_cluster_size=st.sampled_from([0, 25, 80]),
    single=st.booleans(),
)
def test_any_settings(
    shape, n_points, seed, min_cluster_size, min_samples, method, epsilon, max_cluster_size, single
):
    same(
        SHAPES[shape](n_points, seed=seed),
        min_cluster_size=min_cluster_size,
        min_samples=min_samples,
        cluster_selection_method=method,
        cluster_selection_epsilon=epsilon,
        max_cluster_size=max_cluster_size,
        allow_single_cluster=single,
    )


@pytest.mark.parametrize("params", SETTINGS[:7], ids=str)
@pytest.mark.parametrize("shape", SHAPES)
def test_predictions(shape, params):
    X = SHAPES[shape](600, seed=1)
    new = np.concatenate([SHAPES[shape](1_000, seed=1), uniform(200) * 4 - 2 if X.shape[1] == 2 else
                          np.random.default_rng(5).uniform(-15, 15, (200, X.shape[1]))])  # fmt: skip
    reference = theirs_of_our_edges(X, **params)
    reference.generate_prediction_data()
    expected, strengths = hdbscan.approximate_predict(reference, new)
    labels, probabilities = HDBSCAN(**params).fit(X).model_.predict(new)
    agree = renamed(labels, expected) == expected
    assert agree.mean() >= 0.999
    np.testing.assert_allclose(probabilities[agree], strengths[agree], atol=1e-6)


@pytest.mark.parametrize("params", [{}, {"min_samples": 4}, {"min_cluster_size": 7}], ids=str)
def test_scikit_learn_counts_the_point_itself(params):
    X = blobs(200, 40)
    expected = SklearnHDBSCAN(copy=True, **params).fit(X)
    found = as_clusterer(SklearnHDBSCAN(copy=True, **params)).fit(X)
    # It numbers clusters, and takes edges of equal length, in another order.
    assert adjusted_rand_score(found.labels, expected.labels_) > 0.99
    alike = np.isclose(found.probabilities, expected.probabilities_, rtol=0, atol=1e-6)
    assert alike.mean() > 0.98
    miscounted = HDBSCAN(params.get("min_cluster_size", 5), params.get("min_samples")).fit(X)
    alike = np.isclose(miscounted.probabilities_, expected.probabilities_, rtol=0, atol=1e-6)
    assert alike.mean() < 0.9


def test_splits_at_distance_zero_are_the_one_difference():
    """The hdbscan package parts identical points by the order of ties; dtopics keeps them together."""
    places = np.random.default_rng(0).uniform(-9, 9, (10, 2))
    X = np.repeat(places, 100, axis=0)
    parted = theirs(X, min_cluster_size=5, min_samples=3).condensed_tree_.to_numpy()
    splits = parted[parted["child_size"] > 1]
    assert np.isinf(splits["lambda_val"]).any(), "the case that this test is for"
    for method in ("eom", "leaf"):
        found = HDBSCAN(5, 3, method).fit(X)
        np.testing.assert_array_equal(np.sort(found.labels_[::100]), np.arange(10))
        np.testing.assert_array_equal(found.labels_, np.repeat(found.labels_[::100], 100))
        np.testing.assert_array_equal(found.probabilities_, 1)
        assert np.isfinite(found.model_.tree.birth).all()


@pytest.mark.parametrize("epsilon", [0.0, 0.25, 0.5])
@pytest.mark.parametrize("seed", range(3))
def test_a_single_cluster_takes_new_points_as_dense_as_its_own(seed, epsilon):
    """The hdbscan package forgets half of it, or takes everything."""
    X = np.random.default_rng(seed).normal(size=(400, 2))
    fitted = HDBSCAN(10, cluster_selection_epsilon=epsilon, allow_single_cluster=True).fit(X)
    inside = fitted.labels_ == 0
    assert fitted.labels_.max() == 0
    assert 0 < inside.mean() < 1, "the case that this test is for"
    labels, probabilities = fitted.model_.predict(X + 1e-7)
    assert (labels == fitted.labels_).mean() > 0.97
    np.testing.assert_array_equal(probabilities > 0, labels == 0)
    far, _ = fitted.model_.predict(np.full((1, 2), 50.0))
    np.testing.assert_array_equal(far, [-1])


def test_a_cluster_that_splits_before_any_point_leaves_it_is_predicted_whole():
    """The hdbscan package maps one of its two halves only, and calls the other outliers."""
    rng = np.random.default_rng(0)
    halves = [rng.normal(size=(30, 2)) * 0.4 + place for place in ([0, 0], [2, 0], [40, 0])]
    model = HDBSCAN(10, 3, "eom", 3.0).fit(np.concatenate(halves)).model_
    joined = model.labels[0]
    assert joined >= 0
    np.testing.assert_array_equal(model.labels[:60], joined)
    assert not np.isin(model._chosen.clusters, model.tree.point_node).all(), "the case"
    np.testing.assert_array_equal(model.predict(np.concatenate(halves[:2]))[0], joined)
