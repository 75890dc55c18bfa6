"""The approximate mode: points in their principal components, however they are divided."""

import logging

import numpy as np
import pytest
from clustering_contract import blobs, same_labels
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from test_distributed import cluster, found_in
from test_membership_steps import read

from dtopics.clustering import HDBSCAN, load_model
from dtopics.clustering.distributed import PartsModel
from dtopics.clustering.membership_steps import find_memberships
from dtopics.clustering.principal import Projection, extent, merged, moments
from dtopics.errors import InputError, SettingError
from dtopics.execution import InProcessExecutor


def wide(n_points=1_200, seed=0, n_features=30):
    """Clusters in four directions of many, and a little noise in all of them."""
    rng = np.random.default_rng(seed)
    plane = np.linalg.qr(np.random.default_rng(1).normal(size=(n_features, 4)))[0]
    X = blobs(n_points, n_points // 4, seed, 4, 9) @ plane.T
    return (X + rng.normal(0, 0.05, X.shape) + 3).astype(np.float32)


def test_they_are_scikit_learns():
    X = wide()
    theirs = PCA(4, svd_solver="full").fit(X.astype(np.float64))
    ours = Projection.of(X, 4)
    np.testing.assert_allclose(np.abs(ours.components @ theirs.components_.T), np.eye(4), atol=2e-3)
    np.testing.assert_allclose(ours.mean, theirs.mean_, atol=1e-3)
    np.testing.assert_allclose(ours.explained, theirs.explained_variance_ratio_.sum(), atol=1e-4)
    expected = (X - ours.mean) @ ours.components.T
    np.testing.assert_allclose(ours(X), expected, rtol=1e-5, atol=1e-5)


@settings(deadline=None, max_examples=25, derandomize=True)
@given(
    n_points=st.integers(1, 300),
    n_features=st.integers(1, 20),
    cuts=st.lists(st.integers(0, 300), max_size=5),
    seed=st.integers(0, 1_000),
    scale=st.sampled_from([1e-20, 1.0, 1e15]),
)
def test_moments_do_not_depend_on_the_division(n_points, n_features, cuts, seed, scale):
    rng = np.random.default_rng(seed)
    X = (scale * rng.standard_cauchy((n_points, n_features))).astype(np.float32)
    low, high = extent(X)
    whole = moments(X, low, high)
    shuffled = X[rng.permutation(n_points)]
    pieces = np.split(shuffled, sorted(cut % n_points for cut in cuts))
    found = merged([moments(piece, low, high) for piece in pieces])
    for one, other in zip(found, whole, strict=True):
        np.testing.assert_array_equal(one, other)


def test_each_row_is_projected_by_itself():
    X = wide()
    projection = Projection.of(X, 3)
    whole = projection(X)
    for rows in (slice(0, 1), slice(7, 30), slice(None, None, 3)):
        np.testing.assert_array_equal(projection(X[rows]), whole[rows])


@pytest.mark.parametrize("X", [np.ones((40, 20)), np.zeros((1, 20))], ids=["equal", "one"])
def test_points_without_any_variance(X):
    found = HDBSCAN(10, principal_components=3).fit(X)
    assert found.explained_variance_ratio_ == 1
    assert np.isfinite(found.model_.points).all()


def test_the_points_are_clustered_in_them(caplog):
    caplog.set_level(logging.INFO, "dtopics")
    X, new = wide(), wide(seed=3)
    found = HDBSCAN(10, principal_components=4).fit(X)
    assert "approximate, in 4 principal components of 30, which keep 99" in caplog.text
    projection = found.model_.projection
    expected = HDBSCAN(10).fit(projection(X))
    assert expected.labels_.max() > 0, "the case"
    np.testing.assert_array_equal(found.labels_, expected.labels_)
    np.testing.assert_array_equal(found.predict(new), expected.predict(projection(new)))
    assert found.n_features_in_ == 30
    assert 0.99 < found.explained_variance_ratio_ < 1
    with pytest.raises(InputError, match="points have 4 components; the model was fit on 30"):
        found.predict(projection(new))
    again = load_model(*found.model_.to_arrays())
    same_labels(again.predict(new), found.model_.predict(new))


def test_few_features_are_clustered_as_they_are():
    X = wide(n_features=6)
    found, exact = HDBSCAN(10, principal_components=6).fit(X), HDBSCAN(10).fit(X)
    assert found.model_.projection is None
    assert found.explained_variance_ratio_ == exact.explained_variance_ratio_ == 1
    np.testing.assert_array_equal(found.labels_, exact.labels_)


@pytest.mark.parametrize("part_points", [10_000, 150])
def test_a_run_gives_what_one_process_gives(tmp_path, part_points):
    X, new = wide(), wide(seed=3)
    X[::9] = np.nan
    placed = np.isfinite(X).all(axis=1)
    estimator = HDBSCAN(10, principal_components=4)
    expected = estimator.fit(X[placed]).model_
    run, stage, blocks = cluster(tmp_path, X, estimator.clusterer(), part_points)
    labels, probabilities = found_in(stage, blocks, "labels", "probabilities")
    same_labels((labels[placed], probabilities[placed]), (expected.labels, expected.probabilities))
    executor, reduced = InProcessExecutor(), run.stage("reduced", {})
    memberships = find_memberships(run, "dense", reduced, stage, blocks, executor)
    at_its_own = read(memberships, blocks, "dense")[placed]
    inside = labels[placed] >= 0
    assert (at_its_own.argmax(axis=1) == labels[placed])[inside].mean() > 0.95
    if part_points < 1_000:
        model = PartsModel.of(stage)
        np.testing.assert_array_equal(model.projection.components, expected.projection.components)
        same_labels(model.predict(new), expected.predict(new))


def test_a_run_in_which_nothing_has_a_place(tmp_path):
    X = np.full((300, 20), np.nan, np.float32)
    clusterer = HDBSCAN(10, principal_components=4).clusterer()
    _, stage, blocks = cluster(tmp_path, X, clusterer, 50)
    np.testing.assert_array_equal(found_in(stage, blocks, "labels")[0], -1)


def test_exact_in_many_dimensions_is_said(tmp_path, caplog):
    cluster(tmp_path / "exact", wide(300), HDBSCAN(10).clusterer(), 100)
    assert "exact in 30 dimensions" in caplog.text
    assert "HDBSCAN(principal_components=15)" in caplog.text
    caplog.clear()
    cluster(tmp_path / "ours", wide(300), HDBSCAN(10, principal_components=5).clusterer(), 100)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_clusterer_without_it_is_described_as_before():
    """Or the clusterings of older runs would not be found."""
    assert "principal_components" not in HDBSCAN(10).clusterer().describe()
    described = HDBSCAN(10, principal_components=4).clusterer().describe()
    assert described["principal_components"] == 4


@pytest.mark.parametrize("value", [0, -1, 2.5, "4", True])
def test_what_is_no_number_of_components(value):
    with pytest.raises(SettingError, match="principal_components"):
        HDBSCAN(10, principal_components=value).clusterer()
