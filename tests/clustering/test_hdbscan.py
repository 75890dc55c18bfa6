import json
import pickle

import numpy as np
import pytest
from clustering_contract import blobs, same_labels
from sklearn.base import clone

from dtopics.clustering import HDBSCAN, as_clusterer, load_model
from dtopics.errors import InputError, NotFittedError, SettingError


@pytest.mark.parametrize("n_points", [0, 1, 2, 3, 9])
def test_too_few_points_are_all_outliers(n_points):
    X = np.random.default_rng(0).normal(size=(n_points, 3))
    model = HDBSCAN(10).fit(X).model_
    params, arrays = model.to_arrays()
    for found in (model, load_model(json.loads(json.dumps(params)), arrays)):
        np.testing.assert_array_equal(found.labels, np.full(n_points, -1))
        np.testing.assert_array_equal(found.probabilities, np.zeros(n_points))
        labels, probabilities = found.predict(np.zeros((4, 3)))
        np.testing.assert_array_equal(labels, [-1] * 4)
        np.testing.assert_array_equal(probabilities, [0] * 4)
        assert found.n_clusters == 0


@pytest.mark.parametrize("n_points", [2, 3, 5, 30])
@pytest.mark.parametrize("method", ["eom", "leaf"])
def test_min_samples_beyond_the_points(n_points, method):
    X = np.arange(n_points, dtype=float)[:, None] ** 2
    model = HDBSCAN(2, min_samples=40, cluster_selection_method=method).fit(X).model_
    assert model.labels.shape == (n_points,)
    same_labels(model.predict(X[:1]), tuple(part[:1] for part in model.predict(X)))


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("method", ["eom", "leaf"])
@pytest.mark.parametrize("n_points", [10, 57])
def test_identical_points(n_points, method, single):
    X = np.full((n_points, 2), 0.25)
    model = HDBSCAN(5, cluster_selection_method=method, allow_single_cluster=single).fit(X).model_
    assert len(set(model.labels)) == 1
    assert np.isfinite(model.probabilities).all()
    labels, probabilities = model.predict(np.array([[0.25, 0.25], [3.0, 4.0]]))
    assert np.isfinite(probabilities).all()
    assert set(labels) <= {-1, 0}


def test_identical_points_may_be_one_cluster():
    model = HDBSCAN(5, allow_single_cluster=True).fit(np.full((20, 2), 0.25)).model_
    np.testing.assert_array_equal(model.labels, np.zeros(20))
    np.testing.assert_array_equal(model.probabilities, np.ones(20))


@pytest.mark.parametrize("method", ["eom", "leaf"])
def test_many_exact_duplicates_stay_together(method):
    rng = np.random.default_rng(1)
    places = rng.uniform(-10, 10, (12, 2))
    which = np.repeat(np.arange(12), 15)
    X = np.concatenate([places[which], rng.uniform(-10, 10, (60, 2))])
    model = HDBSCAN(10, min_samples=5, cluster_selection_method=method).fit(X).model_
    for place in range(12):
        assert len(set(model.labels[: len(which)][which == place])) == 1
    assert model.n_clusters >= 2
    assert np.isfinite(model.probabilities).all()
    labels, probabilities = model.predict(places)
    np.testing.assert_array_equal(labels, model.labels[: len(which) : 15])
    np.testing.assert_array_equal(probabilities[labels >= 0], 1)


def test_float32_points_are_their_float64_values():
    X = blobs().astype(np.float32)
    single, double = HDBSCAN(8).fit(X), HDBSCAN(8).fit(X.astype(np.float64))
    np.testing.assert_array_equal(single.labels_, double.labels_)
    np.testing.assert_array_equal(single.probabilities_, double.probabilities_)
    assert single.model_.points.dtype == np.float32
    new = blobs(seed=3).astype(np.float32)
    same_labels(single.model_.predict(new), double.model_.predict(new.astype(np.float64)))


def test_integers_lists_and_strided_rows_are_points():
    X = np.round(blobs() * 10).astype(np.int64)
    expected = HDBSCAN(8).fit(X.astype(float)).labels_
    assert expected.max() > 0
    np.testing.assert_array_equal(HDBSCAN(8).fit(X).labels_, expected)
    np.testing.assert_array_equal(HDBSCAN(8).fit(X.tolist()).labels_, expected)
    wide = np.asfortranarray(np.repeat(X, 2, axis=0))
    np.testing.assert_array_equal(HDBSCAN(8).fit(wide[::2]).labels_, expected)


@pytest.mark.parametrize(
    "X", [np.zeros((4, 0)), np.zeros(4), np.zeros((2, 2, 2)), [["a"]], [[1], [2, 3]], [[1j]]]
)
def test_what_is_no_array_of_points(X):
    with pytest.raises(InputError):
        HDBSCAN().fit(X)


def test_an_estimator_of_scikit_learns_kind():
    estimator = HDBSCAN(7, cluster_selection_epsilon=0.3, max_cluster_size=0.5)
    copy = clone(estimator)
    assert copy.get_params() == estimator.get_params()
    with pytest.raises(NotFittedError, match="call fit first"):
        copy.predict([[0.0]])
    X = blobs()
    np.testing.assert_array_equal(copy.fit_predict(X), copy.labels_)
    np.testing.assert_array_equal(copy.predict(X), copy.model_.predict(X)[0])
    assert copy.n_features_in_ == 3
    back = pickle.loads(pickle.dumps(copy))
    np.testing.assert_array_equal(back.labels_, copy.labels_)


def test_reselect_is_a_fit_with_other_settings():
    X = blobs()
    model = HDBSCAN(5).fit(X).model_
    for changes in (
        {"cluster_selection_method": "leaf"},
        {"cluster_selection_epsilon": 2.0},
        {"max_cluster_size": 30},
        {"max_cluster_size": 0.1},
        {"allow_single_cluster": True},
    ):
        expected, found = HDBSCAN(5, **changes).fit(X).model_, model.reselect(**changes)
        same_labels((found.labels, found.probabilities), (expected.labels, expected.probabilities))
        same_labels(found.predict(X), expected.predict(X))
    changed = model.reselect(cluster_selection_method="leaf")
    assert changed.reselect(max_cluster_size=9).selection.method == "leaf"
    assert len(set(changed.labels)) != len(set(model.labels))
    with pytest.raises(SettingError, match="expected 'eom' or 'leaf'"):
        model.reselect(cluster_selection_method="best")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("min_cluster_size", value) for value in (1, 0, -3, 2.5, "5", None, True)],
        *[("min_samples", value) for value in (0, -1, 2.5, "5", True)],
        *[("cluster_selection_method", value) for value in ("EOM", None, 1)],
        *[
            ("cluster_selection_epsilon", value)
            for value in (-0.1, np.inf, np.nan, "0.1", None, True)
        ],
        *[
            ("max_cluster_size", value)
            for value in (-1, -0.5, 1.5, np.nan, np.inf, "9", True, [9], np.float32(1.5))
        ],
    ],
)
def test_wrong_settings(name, value):
    with pytest.raises(SettingError, match=f"{name}=.*expected"):
        HDBSCAN(**{name: value}).fit(blobs())
    with pytest.raises(SettingError, match=f"{name}=.*expected"):
        as_clusterer(HDBSCAN(**{name: value}))


def test_numpys_numbers_are_settings():
    plain = HDBSCAN(5, 3, "eom", 0.5, 0.25).clusterer()
    numpys = HDBSCAN(
        np.int64(5), np.int32(3), "eom", np.float64(0.5), np.float32(0.25), np.bool_(False)
    ).clusterer()
    assert json.dumps(numpys.describe()) == json.dumps(plain.describe())
    X = blobs()
    found, expected = numpys.fit(X), plain.fit(X)
    json.dumps(found.to_arrays()[0])
    np.testing.assert_array_equal(found.labels, expected.labels)
    assert HDBSCAN(5, max_cluster_size=None).clusterer() == HDBSCAN(5).clusterer()
    assert HDBSCAN(5, max_cluster_size=np.int64(9)).clusterer().selection.max_cluster_size == 9


def test_every_setting_is_in_the_description():
    changes = [
        {},
        {"min_cluster_size": 11},
        {"min_samples": 3},
        {"cluster_selection_method": "leaf"},
        {"cluster_selection_epsilon": 0.5},
        {"max_cluster_size": 40},
        {"max_cluster_size": 0.4},
        {"allow_single_cluster": True},
    ]
    described = [json.dumps(HDBSCAN(**c).clusterer().describe(), sort_keys=True) for c in changes]
    assert len(set(described)) == len(changes)
    assert HDBSCAN(10).clusterer().describe() == HDBSCAN(10, 10).clusterer().describe()


def test_a_query_in_parts_is_the_same(monkeypatch):
    model = HDBSCAN(8).fit(blobs()).model_
    expected = model.predict(blobs(seed=5))
    monkeypatch.setattr("dtopics.clustering.prediction.HELD_NEIGHBOURS", 112)
    same_labels(model.predict(blobs(seed=5)), expected)
