"""What every clusterer must keep: subclass `ClustererContract`, say how to make one."""

import io
import json
import pickle

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.datasets import make_blobs

from dtopics.clustering import as_clusterer, load_model
from dtopics.clustering.selection import CondensedTree
from dtopics.errors import InputError, RunError


def blobs(n_points=300, n_noise=60, seed=0, n_components=3, n_clusters=5):
    """Return points around centres, and some anywhere."""
    rng = np.random.default_rng(seed)
    X, _ = make_blobs(n_points, n_components, centers=n_clusters, random_state=seed)
    return np.concatenate([X, rng.uniform(-12, 12, (n_noise, n_components))])


def stored(arrays):
    """Return arrays as a store gives them back: read-only, from bytes."""
    back = {}
    for name, array in arrays.items():
        file = io.BytesIO()
        np.save(file, array, allow_pickle=False)
        file.seek(0)
        back[name] = np.load(file, allow_pickle=False)
        back[name].flags.writeable = False
    return back


def tree_of_rows(rows, n_points):
    """Return hdbscan's structured array as our tree; splits at distance zero are folded."""
    is_node = rows["child"] >= n_points
    nodes, points = rows[is_node], rows[~is_node]
    n_nodes = len(nodes) + 1
    parent = np.full(n_nodes, -1, np.int64)
    birth, size = np.zeros(n_nodes), np.full(n_nodes, n_points, np.int64)
    child = nodes["child"] - n_points
    parent[child] = nodes["parent"] - n_points
    birth[child], size[child] = nodes["lambda_val"], nodes["child_size"]

    kept = np.isfinite(birth)
    number = np.cumsum(kept) - 1
    for node in np.flatnonzero(~kept):
        number[node] = number[parent[node]]
    point_node = np.empty(n_points, np.int32)
    point_lambda = np.empty(n_points)
    point_node[points["child"]] = number[points["parent"] - n_points]
    point_lambda[points["child"]] = points["lambda_val"]
    new_parent = number[parent[kept]].astype(np.int32)
    new_parent[0] = -1
    return CondensedTree(point_node, point_lambda, new_parent, birth[kept], size[kept])


def same_labels(found, expected):
    for one, other, dtype in zip(found, expected, (np.int32, np.float32), strict=True):
        assert one.dtype == other.dtype == dtype
        np.testing.assert_array_equal(one, other)


def state(estimator):
    """Return all that an object holds, to see that it was left alone."""
    return {name: repr(value) for name, value in vars(estimator).items()}


class ClustererContract:
    """Hooks: `make`, the object that a user gives; `trust` for a foreign pickle."""

    trust = False

    def make(self):
        raise NotImplementedError

    def clusterer(self):
        return as_clusterer(self.make(), random_state=7)

    @pytest.fixture(scope="class")
    @classmethod
    def points(cls):
        return blobs().astype(np.float32)

    @pytest.fixture(scope="class")
    @classmethod
    def rows(cls, points):
        new = blobs(seed=0, n_points=120, n_noise=30)
        return np.concatenate([points[:5], new, points[7:8], points[7:8]]).astype(np.float32)

    @pytest.fixture(scope="class")
    @classmethod
    def model(cls, points):
        return cls().clusterer().fit(points)

    def test_it_is_described_as_json(self):
        described = json.dumps(self.clusterer().describe())
        assert described == json.dumps(self.clusterer().describe())
        assert described == json.dumps(pickle.loads(pickle.dumps(self.clusterer())).describe())

    def test_labels_and_probabilities(self, model, points):
        labels, probabilities = model.labels, model.probabilities
        assert (labels.dtype, probabilities.dtype) == (np.int32, np.float32)
        assert labels.shape == probabilities.shape == (len(points),)
        assert labels.min() >= -1
        assert labels.max() >= 1
        assert ((probabilities >= 0) & (probabilities <= 1)).all()
        assert (probabilities[labels < 0] == 0).all()

    def test_a_fit_gives_the_same_again(self, model, points):
        again = self.clusterer().fit(points.copy())
        same_labels((again.labels, again.probabilities), (model.labels, model.probabilities))

    def test_neither_the_users_object_nor_the_points_are_changed(self, points):
        mine = self.make()
        before = state(mine)
        X = points.copy()
        X.flags.writeable = False
        clusterer = as_clusterer(mine, random_state=7)
        model = clusterer.fit(X)
        model.predict(X)
        assert state(mine) == before
        np.testing.assert_array_equal(X, points)

    def test_arrays_and_json_keep_the_model_exactly(self, model, rows):
        params, arrays = model.to_arrays()
        assert all(isinstance(a, np.ndarray) and a.dtype != object for a in arrays.values())
        back = load_model(json.loads(json.dumps(params)), stored(arrays), trust=self.trust)
        same_labels((back.labels, back.probabilities), (model.labels, model.probabilities))
        same_labels(back.predict(rows), model.predict(rows))

    def test_only_trust_opens_a_pickle(self, model):
        params, arrays = model.to_arrays()
        if self.trust:
            with pytest.raises(RunError, match="trust=True"):
                load_model(params, arrays)
        else:
            assert not any("pickle" in name for name in arrays)

    def test_pickle_keeps_the_model_exactly(self, model, rows):
        expected = model.predict(rows)
        same_labels(pickle.loads(pickle.dumps(model)).predict(rows), expected)

    @pytest.mark.parametrize("size", [1, 7, 100])
    def test_predictions_do_not_depend_on_the_block(self, model, rows, size):
        blocks = [model.predict(rows[i : i + size]) for i in range(0, len(rows), size)]
        whole = tuple(map(np.concatenate, zip(*blocks, strict=True)))
        same_labels(whole, model.predict(rows))

    def test_predictions_do_not_depend_on_the_order(self, model, rows):
        order = np.random.default_rng(3).permutation(len(rows))
        labels, probabilities = model.predict(rows)
        same_labels(model.predict(rows[order]), (labels[order], probabilities[order]))

    def test_a_row_alone_and_no_rows(self, model, rows):
        labels, probabilities = model.predict(rows)
        same_labels(model.predict(rows[11:12]), (labels[11:12], probabilities[11:12]))
        same_labels(model.predict(rows[:0]), (labels[:0], probabilities[:0]))

    def test_unusable_points_are_refused(self, model, points):
        broken = points.copy()
        broken[4, 1], broken[9, 0] = np.nan, np.inf
        for act in (self.clusterer().fit, model.predict):
            with pytest.raises(InputError, match=r"2 of .* the first in row 4"):
                act(broken)
            with pytest.raises(InputError, match=r"shape \(360,\)"):
                act(points[:, 0])
        with pytest.raises(InputError, match="2 components; the model was fit on 3"):
            model.predict(points[:, :2])


class Thirds(BaseEstimator):
    """A clusterer of nobody's library: by the first component, in three parts."""

    def __init__(self, low=-3.0, high=3.0):
        self.low = low
        self.high = high

    def fit(self, X, y=None):
        self.labels_ = self.predict(X)
        return self

    def predict(self, X):
        return np.digitize(X[:, 0], [self.low, self.high]) - 1
