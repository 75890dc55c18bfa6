"""Memberships of training and new points: those of the hdbscan package, row by row."""

import json

import hdbscan
import numpy as np
import pytest
from clustering_contract import blobs, stored, tree_of_rows
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from sklearn.datasets import make_moons

from dtopics.clustering.membership import Membership, exemplar_rows, top
from dtopics.clustering.selection import CondensedTree, Selection, choose
from dtopics.errors import InputError, SettingError


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
    {"min_samples": 2},
    {"cluster_selection_method": "leaf"},
    {"cluster_selection_method": "leaf", "min_cluster_size": 5, "min_samples": 3},
    {"cluster_selection_epsilon": 0.05, "min_cluster_size": 5},
    {"cluster_selection_epsilon": 0.9, "min_cluster_size": 5},
    {"cluster_selection_epsilon": 0.5, "cluster_selection_method": "leaf", "min_samples": 3},
    {"max_cluster_size": 60, "min_cluster_size": 5},
    {"allow_single_cluster": True},
]
CLOSE = {"rtol": 1e-9, "atol": 1e-12}


class Twin:
    """The hdbscan package's fit, and our membership of the very same tree."""

    def __init__(self, X, *, min_cluster_size=10, min_samples=None, **selection):
        self.X = X
        self.theirs = hdbscan.HDBSCAN(
            min_cluster_size=min_cluster_size,
            min_samples=min_samples,
            approx_min_span_tree=False,
            core_dist_n_jobs=1,
            prediction_data=True,
            **selection,
        ).fit(X)
        self.min_samples = min_samples or min_cluster_size
        self.tree = tree_of_rows(self.theirs.condensed_tree_.to_numpy(), len(X))
        names = {
            "cluster_selection_method": "method",
            "cluster_selection_epsilon": "epsilon",
            "max_cluster_size": "max_cluster_size",
            "allow_single_cluster": "allow_single_cluster",
        }
        self.chosen = choose(
            self.tree, Selection(**{names[name]: value for name, value in selection.items()})
        )
        self.ours = membership_of(self.tree, self.chosen, X)

    @property
    def comparable(self):
        """Whether the package takes the nodes that were chosen for the clusters.

        It does not where a cluster splits before any point leaves it, the root above all.
        """
        selected = self.theirs.condensed_tree_._select_clusters()
        return [c - len(self.X) for c in selected] == self.chosen.clusters.tolist()

    def fitted(self, points=None, rows=slice(None)):
        points = self.X if points is None else points
        return self.ours.of_fitted(
            points[rows], self.tree.point_node[rows], self.tree.point_lambda[rows]
        )

    def joins(self, new):
        """Return the node and λ of the point that each joins, and 1 / the distance of joining."""
        return joins(self.X, self.tree, self.min_samples, new)

    def new(self, new):
        return self.ours.of_new(new, *self.joins(new))


def membership_of(tree, chosen, X):
    rows, labels = exemplar_rows(tree, chosen)
    most = tree.max_lambda() if tree.n_nodes else np.empty(0)
    return Membership.of(tree.parent, tree.birth, most, chosen, X[rows], labels)


def joins(X, tree, min_samples, new):
    neighbours = cKDTree(X)
    core = neighbours.query(X, k=[min_samples])[0][:, 0]
    distances, index = neighbours.query(new, k=2 * min_samples)
    mutual = np.maximum(np.maximum(core[index], distances[:, [min_samples]]), distances)
    nearest = mutual.argmin(axis=1)
    rows = np.arange(len(new))
    joined, reach = index[rows, nearest], mutual[rows, nearest]
    with np.errstate(divide="ignore"):
        return tree.point_node[joined], tree.point_lambda[joined], 1.0 / reach


def around(X, n_points=60, seed=3):
    """Return new points: near old ones, and anywhere."""
    rng = np.random.default_rng(seed)
    near = X[rng.integers(len(X), size=n_points // 2)] + rng.normal(size=(n_points // 2, 1)) * 0.02
    low, high = X.min(axis=0) - 1, X.max(axis=0) + 1
    return np.concatenate([near, rng.uniform(low, high, (n_points // 2, X.shape[1]))])


def sound(vectors):
    assert vectors.dtype == np.float64
    assert np.isfinite(vectors).all()
    assert (vectors >= 0).all()
    assert (vectors.sum(axis=1) <= 1 + 1e-9).all()


def same(twin):
    """Compare with the package where it took the same clusters, and say whether it did."""
    found = twin.fitted()
    new = around(twin.X)
    of_new = twin.new(new)
    sound(found)
    sound(of_new)
    n_clusters = len(twin.chosen.clusters)
    assert found.shape == (len(twin.X), n_clusters)
    assert of_new.shape == (len(new), n_clusters)
    if n_clusters == 0 or not twin.comparable:
        return False
    np.testing.assert_allclose(found, hdbscan.all_points_membership_vectors(twin.theirs), **CLOSE)
    expected = hdbscan.membership_vector(twin.theirs, new)
    np.testing.assert_allclose(of_new, expected, **CLOSE)
    return True


@pytest.mark.parametrize("params", SETTINGS, ids=str)
def test_memberships(params):
    compared = [same(Twin(make(), **params)) for make in SHAPES.values()]
    assert sum(compared) >= 2


def test_both_rules_differ():
    """Or a mix-up of the two would not be seen."""
    twin = Twin(blobs())
    assert np.abs(twin.fitted() - twin.new(twin.X)).max() > 0.1


@settings(deadline=None, max_examples=10, derandomize=True)
@given(
    shape=st.sampled_from(sorted(SHAPES)),
    n_points=st.integers(40, 250),
    seed=st.integers(0, 10_000),
    min_cluster_size=st.integers(2, 20),
    min_samples=st.none() | st.integers(1, 20),
    method=st.sampled_from(["eom", "leaf"]),
    epsilon=st.sampled_from([0.0, 0.1, 1.0]),
)
def test_any_settings(shape, n_points, seed, min_cluster_size, min_samples, method, epsilon):
    same(
        Twin(
            SHAPES[shape](n_points, seed=seed),
            min_cluster_size=min_cluster_size,
            min_samples=min_samples,
            cluster_selection_method=method,
            cluster_selection_epsilon=epsilon,
        )
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_most_is_compared(shape):
    """Or `same` would let everything pass."""
    assert [same(Twin(SHAPES[shape](), **params)) for params in SETTINGS[:6]] == [True] * 6


def test_the_root_is_a_cluster():
    twin = Twin(uniform(), allow_single_cluster=True, cluster_selection_epsilon=0.9)
    assert twin.chosen.clusters.tolist() == [0]
    assert same(twin)
    twin = Twin(uniform(), allow_single_cluster=True)
    assert twin.chosen.clusters.tolist() == [0]
    assert not same(twin), "the package takes a half of it"


def test_a_root_without_splits_is_a_cluster():
    """The hdbscan package raises a KeyError."""
    X = np.random.default_rng(0).normal(size=(50, 2))
    twin = Twin(X, min_cluster_size=30, min_samples=5, allow_single_cluster=True)
    assert twin.tree.n_nodes == 1
    assert twin.chosen.clusters.tolist() == [0]
    found, of_new = twin.fitted(), twin.new(around(X))
    sound(found)
    sound(of_new)
    np.testing.assert_allclose(found[:, 0], twin.tree.point_lambda / twin.tree.max_lambda()[0])
    assert of_new[-1, 0] < of_new[:30].max()


def test_a_cluster_within_another():
    """A tie at the epsilon makes it."""
    rng = np.random.default_rng(37)
    X = np.unique(rng.integers(0, rng.integers(12, 60), (150, 2)), axis=0).astype(float)
    twin = Twin(
        X,
        min_cluster_size=4,
        min_samples=3,
        cluster_selection_method="leaf",
        cluster_selection_epsilon=5**0.5,
    )
    above = twin.tree.parent[twin.chosen.clusters]
    assert (twin.chosen.node_label[above[above >= 0]] >= 0).any(), "the case"
    assert same(twin)


def test_a_cluster_that_splits_before_any_point_leaves_it():
    rng = np.random.default_rng(0)
    halves = [rng.normal(size=(30, 2)) * 0.4 + place for place in ([0, 0], [2, 0], [40, 0])]
    X = np.concatenate(halves)
    twin = Twin(X, min_samples=3, cluster_selection_epsilon=3.0)
    assert not twin.comparable, "the case"
    for found in (twin.fitted(), twin.new(X)):
        sound(found)
        label = twin.theirs.labels_[[0, 60]]
        assert label[0] != label[1]
        np.testing.assert_array_equal(found.argmax(axis=1), np.repeat(label, [60, 30]))


@pytest.mark.parametrize("method", ["eom", "leaf"])
def test_exact_duplicates(method):
    """Their λ is infinite; the package gives NaN."""
    rng = np.random.default_rng(0)
    loose = blobs(200, 40, n_components=2)
    X = np.concatenate([np.repeat(rng.uniform(-9, 9, (6, 2)), 40, axis=0), loose])
    twin = Twin(X, min_cluster_size=8, min_samples=3, cluster_selection_method=method)
    endless = np.isinf(twin.tree.point_lambda)
    assert 0 < endless.sum() < len(X), "the case"
    found, new = twin.fitted(), np.concatenate([X, around(X)])
    of_new = twin.new(new)
    sound(found)
    sound(of_new)
    clustered = endless & (twin.chosen.node_label[twin.tree.point_node] >= 0)
    assert clustered.any()
    labels = twin.chosen.node_label[twin.tree.point_node[clustered]]
    for vectors in (found, of_new[: len(X)]):
        np.testing.assert_allclose(vectors[clustered].max(axis=1), 1)
        np.testing.assert_array_equal(vectors[clustered].argmax(axis=1), labels)


def test_a_new_point_at_an_exemplar_of_another_cluster():
    """Distance and tree exclude each other's cluster; the package divides 0 by 0."""
    twin = Twin(blobs(), min_cluster_size=5)
    rows, labels = exemplar_rows(twin.tree, twin.chosen)
    mine, other = rows[labels == 0][:1], rows[labels == 1][:1]
    node, lambda_ = twin.tree.point_node[other], twin.tree.point_lambda[other]
    found = twin.ours.of_new(twin.X[mine], node, lambda_, np.full(1, np.inf))
    sound(found)
    assert found.argmax() == 0


def test_coordinates_whose_squares_overflow():
    twin = Twin(blobs())
    far = np.full((1, 3), 1e200)
    sound(twin.ours.of_new(far, *twin.joins(twin.X[:1])))


@pytest.mark.parametrize("tree", [CondensedTree.without_clusters(5), "no selection"])
def test_no_clusters(tree):
    X = np.random.default_rng(0).normal(size=(5, 2))
    if tree == "no selection":
        tree = CondensedTree(np.zeros(5, np.int32), np.ones(5), np.full(1, -1, np.int32),
                             np.zeros(1), np.full(1, 5))  # fmt: skip
    ours = membership_of(tree, choose(tree, Selection()), X)
    assert ours.n_clusters == 0
    assert ours.of_fitted(X, tree.point_node, tree.point_lambda).shape == (5, 0)
    assert ours.of_new(X, tree.point_node, tree.point_lambda, np.ones(5)).shape == (5, 0)
    labels, values = top(ours.of_fitted(X, tree.point_node, tree.point_lambda), 2)
    np.testing.assert_array_equal(labels, np.full((5, 2), -1))
    np.testing.assert_array_equal(values, 0)


def test_no_rows():
    twin = Twin(blobs())
    assert twin.fitted(rows=slice(0, 0)).shape == (0, twin.ours.n_clusters)


@pytest.mark.parametrize("size", [1, 7, 64, 65, 300])
def test_batches_give_the_same_bits(size):
    twin = Twin(moons(), min_cluster_size=5, cluster_selection_method="leaf")
    new = around(twin.X, 360)
    node, joined, own = twin.joins(new)
    found, of_new = twin.fitted(), twin.new(new)
    for start in range(0, len(new), size):
        rows = slice(start, start + size)
        np.testing.assert_array_equal(twin.fitted(rows=rows), found[rows])
        np.testing.assert_array_equal(
            twin.ours.of_new(new[rows], node[rows], joined[rows], own[rows]), of_new[rows]
        )


def test_float32_coordinates_are_taken_at_their_value():
    single = blobs().astype(np.float32)
    twin = Twin(single.astype(np.float64))
    ours = membership_of(twin.tree, twin.chosen, single)
    found = ours.of_fitted(single, twin.tree.point_node, twin.tree.point_lambda)
    np.testing.assert_array_equal(found, twin.fitted())


def test_order_of_exemplars_does_not_matter():
    twin = Twin(blobs())
    rows, labels = exemplar_rows(twin.tree, twin.chosen)
    tree, mixed = twin.tree, np.random.default_rng(0).permutation(len(rows))
    ours = Membership.of(
        tree.parent, tree.birth, tree.max_lambda(), twin.chosen, twin.X[rows[mixed]], labels[mixed]
    )
    found = ours.of_fitted(twin.X, tree.point_node, tree.point_lambda)
    np.testing.assert_array_equal(found, twin.fitted())


def test_exemplars_are_the_packages():
    twin = Twin(moons(), min_cluster_size=5)
    rows, labels = exemplar_rows(twin.tree, twin.chosen)
    assert (rows.dtype, labels.dtype) == (np.int64, np.int32)
    for label, expected in enumerate(twin.theirs.prediction_data_.exemplars):
        found = twin.X[rows[labels == label]]
        np.testing.assert_array_equal(np.unique(found, axis=0), np.unique(expected, axis=0))


def test_round_trip():
    twin = Twin(blobs(), cluster_selection_method="leaf")
    params, arrays = twin.ours.to_arrays()
    assert json.loads(json.dumps(params)) == params
    assert not any(name.startswith("point_") for name in arrays)
    back = Membership.from_arrays(params, stored(arrays))
    found = back.of_fitted(twin.X, twin.tree.point_node, twin.tree.point_lambda)
    np.testing.assert_array_equal(found, twin.fitted())
    _, again = back.to_arrays()
    for name, array in arrays.items():
        assert again[name].dtype == array.dtype
        np.testing.assert_array_equal(again[name], array)


def test_inputs_that_do_not_fit():
    twin = Twin(blobs())
    tree, (rows, labels) = twin.tree, exemplar_rows(twin.tree, twin.chosen)
    with pytest.raises(InputError, match=r"expected \(m, 3\)"):
        twin.fitted(twin.X[:, :2])
    with pytest.raises(InputError, match="expected one each"):
        twin.ours.of_fitted(twin.X, tree.point_node[1:], tree.point_lambda)
    nodes = (tree.parent, tree.birth, tree.max_lambda(), twin.chosen)
    with pytest.raises(InputError, match="exemplars of shape"):
        Membership.of(*nodes, twin.X[rows[1:]], labels)
    with pytest.raises(InputError, match="stand for 3 of 4 clusters"):
        Membership.of(*nodes, twin.X[rows[labels > 0]], labels[labels > 0])


def test_top_breaks_ties_by_label():
    vectors = np.array([[0.2, 0.5, 0.2, 0.1], [0.0, 0.0, 0.0, 0.0], [0.1, 0.2, 0.3, 0.4]])
    labels, values = top(vectors, 3)
    assert (labels.dtype, values.dtype) == (np.int32, np.float32)
    np.testing.assert_array_equal(labels, [[1, 0, 2], [0, 1, 2], [3, 2, 1]])
    np.testing.assert_array_equal(values[0], np.float32([0.5, 0.2, 0.2]))
    labels, values = top(vectors, 6)
    np.testing.assert_array_equal(labels[0], [1, 0, 2, 3, -1, -1])
    np.testing.assert_array_equal(values[0, 4:], 0)
    with pytest.raises(SettingError, match="m=0"):
        top(vectors, 0)


@settings(deadline=None, max_examples=10, derandomize=True)
@given(seed=st.integers(0, 10_000), n_clusters=st.integers(1, 12), m=st.integers(1, 12))
def test_top_is_a_stable_sort(seed, n_clusters, m):
    vectors = np.random.default_rng(seed).integers(0, 5, (30, n_clusters)) / 8
    labels, values = top(vectors, m)
    expected = np.argsort(-vectors, axis=1, kind="stable")[:, :m]
    kept = expected.shape[1]
    np.testing.assert_array_equal(labels[:, :kept], expected)
    np.testing.assert_array_equal(values[:, :kept], np.take_along_axis(vectors, expected, axis=1))
