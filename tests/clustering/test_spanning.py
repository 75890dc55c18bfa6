"""The spanning tree: hdbscan's weights to the bit, and the same edges for any number of parts."""

import hdbscan
import numba
import numpy as np
import pytest
from clustering_contract import blobs
from hdbscan._hdbscan_linkage import label
from hdbscan.hdbscan_ import _tree_to_labels
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import squareform
from sklearn.datasets import make_moons
from sklearn.metrics import adjusted_rand_score

from dtopics.clustering import HDBSCAN
from dtopics.clustering.spanning.memory import Splits, spanning_tree

RNG = np.random.default_rng(0)
SHAPES = {
    "blobs": blobs(800, 200, n_components=5),
    "float32": blobs(800, 200, n_components=5).astype(np.float32),
    "uniform": RNG.uniform(size=(700, 2)),
    "uniform float32": RNG.uniform(size=(700, 4)).astype(np.float32),
    "moons": make_moons(800, noise=0.08, random_state=0)[0],
    "heaps": np.repeat(RNG.normal(size=(12, 2)), 70, axis=0),
    "heaps and noise": np.concatenate(
        [np.repeat(RNG.normal(size=(6, 3)), 65, axis=0), RNG.normal(size=(300, 3))]
    ).astype(np.float32),
    "grid": RNG.integers(0, 9, (600, 3)).astype(float),
    "10 dimensions": blobs(500, 100, n_components=10),
    "20 dimensions": blobs(250, 50, n_components=20),
    "50 dimensions": blobs(250, 50, n_components=50).astype(np.float32),
}


def canonical(tree):
    """Return the edges with their smaller end first, in the tree's order."""
    ends = np.sort(np.column_stack([tree.one, tree.other]), axis=1)
    return ends.tolist(), tree.weight.tolist(), tree.core_to_join.tolist()


def theirs(X, k, min_cluster_size=5):
    options = {"approx_min_span_tree": False, "core_dist_n_jobs": 1, "gen_min_span_tree": True}
    return hdbscan.HDBSCAN(min_cluster_size, k, **options).fit(X.astype(float))


def squared_distances(X):
    """Return all squared distances, summed over the components in their order."""
    X = X.astype(float)
    total = np.zeros((len(X), len(X)))
    for column in X.T:
        total += (column[:, None] - column) ** 2
    return total


def mutual(squared, k):
    """Return all squared mutual reachability distances."""
    core = np.sort(squared, axis=1)[:, min(k, len(squared) - 1)]
    return np.maximum(squared, np.maximum(core[:, None], core))


def prim(X, k):
    """Return the edges that join each point in turn, by the total order alone."""
    squared = squared_distances(X)
    weight = mutual(squared, k)
    inside, edges = {0}, []
    while len(inside) < len(X):
        leaving = ((a, b) for a in inside for b in range(len(X)) if b not in inside)
        edges.append(min((weight[e], squared[e], min(e), max(e)) for e in leaving))
        inside |= set(edges[-1][2:])
    return sorted(edges)


def cut(tree, height):
    """Return the component of each point when only edges up to a height join."""
    kept = tree.weight <= height
    ends, n = (tree.one[kept], tree.other[kept]), len(tree.weight) + 1
    return connected_components(coo_array((np.ones(kept.sum()), ends), shape=(n, n)))[1]


def partition(labels):
    """Return labels that are numbered by the first point of each."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return first[inverse]


@pytest.mark.parametrize("k", [1, 2, 10, 48, 60])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_weights_are_hdbscans_to_the_bit(shape, k):
    X = SHAPES[shape]
    expected = np.sort(theirs(X, k)._min_spanning_tree[:, 2])
    one = spanning_tree(X, min_samples=k)
    assert np.array_equal(one.weight, expected)
    for n_parts in (2, 7, 16):
        many = spanning_tree(X, min_samples=k, n_parts=n_parts)
        assert canonical(many) == canonical(one)


@settings(deadline=None, max_examples=25, derandomize=True)
@given(
    n_points=st.integers(2, 400),
    n_components=st.integers(1, 6),
    levels=st.sampled_from([2, 5, 40, 1_000_000]),
    dtype=st.sampled_from([np.float32, np.float64]),
    k=st.integers(1, 60),
    seed=st.integers(0, 10_000),
)
@example(n_points=2, n_components=1, levels=2, dtype=np.float32, k=60, seed=0)
@example(n_points=400, n_components=2, levels=5, dtype=np.float32, k=3, seed=1)
@example(n_points=400, n_components=3, levels=5, dtype=np.float64, k=1, seed=2)
@example(n_points=400, n_components=2, levels=40, dtype=np.float64, k=55, seed=3)
def test_any_division_gives_the_same_edges(n_points, n_components, levels, dtype, k, seed):
    X = np.random.default_rng(seed).integers(0, levels, (n_points, n_components)).astype(dtype)
    one = canonical(spanning_tree(X, min_samples=k))
    for n_parts in (2, 3, 4, 16, 64):
        assert canonical(spanning_tree(X, min_samples=k, n_parts=n_parts)) == one


@settings(deadline=None, max_examples=25, derandomize=True)
@given(
    n_points=st.integers(2, 45),
    n_components=st.integers(1, 4),
    levels=st.sampled_from([2, 3, 6, None]),
    k=st.sampled_from([1, 2, 4, 10, 40, 60]),
    seed=st.integers(0, 10_000),
)
@example(n_points=45, n_components=2, levels=3, k=4, seed=0)
@example(n_points=45, n_components=2, levels=6, k=1, seed=1)
@example(n_points=45, n_components=2, levels=None, k=4, seed=2)
def test_the_edges_are_the_first_in_the_total_order(n_points, n_components, levels, k, seed):
    rng = np.random.default_rng(seed)
    shape = (n_points, n_components)
    X = rng.normal(size=shape) if levels is None else rng.integers(0, levels, shape).astype(float)
    expected = prim(X, k)
    core = np.sort(squared_distances(X), axis=1)[:, min(k, n_points) - 1]
    for n_parts in (1, 5):
        ends, weight, core_to_join = canonical(spanning_tree(X, min_samples=k, n_parts=n_parts))
        assert ends == [[a, b] for _, _, a, b in expected]
        assert weight == [np.sqrt(edge[0]) for edge in expected]
        assert core_to_join == np.sqrt(core).tolist()


@pytest.mark.parametrize("n_parts", [1, 6])
@pytest.mark.parametrize("k", [1, 8])
@pytest.mark.parametrize("shape", ["float32", "moons", "heaps and noise", "grid"])
def test_flat_cuts_are_those_of_single_linkage(shape, k, n_parts):
    X = SHAPES[shape]
    tree = spanning_tree(X, min_samples=k, n_parts=n_parts)
    reach = np.sqrt(mutual(squared_distances(X), k))
    np.fill_diagonal(reach, 0.0)
    merges, fitted = linkage(squareform(reach, checks=False), "single"), theirs(X, k)
    levels, sizes = np.unique(tree.weight), set()
    middles = (levels[1:] + levels[:-1]) / 2
    for height in middles[np.linspace(0, len(middles) - 1, 9).astype(int)]:
        found = partition(cut(tree, height))
        np.testing.assert_array_equal(found, partition(fcluster(merges, height, "distance")))
        by_hdbscan = fitted.single_linkage_tree_.get_clusters(height, min_cluster_size=1)
        np.testing.assert_array_equal(found, partition(by_hdbscan))
        sizes.add(len(np.unique(found)))
    for height in levels[:: max(1, len(levels) // 9)]:  # where edges are as long as the cut is high
        expected = fcluster(merges, height, "distance")
        np.testing.assert_array_equal(partition(cut(tree, height)), partition(expected))
    assert len(sizes) >= min(3, len(middles)), "the cuts differ"


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="numba has one thread")
@pytest.mark.parametrize("n_parts", [1, 2])
def test_threads_change_nothing(n_parts):
    X = blobs(25_000, 5_000, n_components=3).astype(np.float32)
    X[:3_000] = X[-3_000:].round()  # ties, and identical points
    before, found = numba.get_num_threads(), []
    try:
        for n_threads in (1, 2):
            numba.set_num_threads(n_threads)
            found.append(spanning_tree(X, min_samples=8, n_parts=n_parts))
    finally:
        numba.set_num_threads(before)
    for name in ("one", "other", "weight", "core_to_join"):
        np.testing.assert_array_equal(getattr(found[0], name), getattr(found[1], name))


def agreeing(labels, expected):
    """Return which points have the same cluster, whatever its number."""
    assert labels.max() == expected.max() > 5
    together = np.zeros((labels.max() + 2, labels.max() + 2), int)
    np.add.at(together, (labels, expected), 1)  # outliers come last
    return np.append(linear_sum_assignment(-together[:-1, :-1])[1], -1)[labels] == expected


@pytest.mark.parametrize("seed", [0, 1])
def test_labels_are_hdbscans_but_for_ties(seed):
    # Few clusters: with 30, ties alone make it 0.9987 to 0.9994 over four seeds, and 0.9988 to
    # 0.9998 between hdbscan's own fits of the points in two orders. The test below has no ties.
    X = blobs(16_000, 4_000, seed, n_components=5, n_clusters=10)
    expected, ours = theirs(X, 10, min_cluster_size=50), HDBSCAN(50, min_samples=10).fit(X)
    assert adjusted_rand_score(expected.labels_, ours.labels_) >= 0.999
    agree = agreeing(ours.labels_, expected.labels_)
    alike = np.isclose(expected.probabilities_, ours.probabilities_, rtol=0, atol=1e-6)
    assert alike[agree].mean() >= 0.995
    scores = np.isclose(expected.outlier_scores_, ours.model_.outlier_scores, rtol=0, atol=1e-6)
    assert scores.mean() >= 0.995


def test_labels_are_hdbscans_of_the_same_edges():
    X = blobs(16_000, 4_000, n_components=5, n_clusters=30)
    tree, ours = spanning_tree(X, min_samples=10), HDBSCAN(50, min_samples=10).fit(X)
    merges = label(np.column_stack([tree.one, tree.other, tree.weight]))
    labels, probabilities, *_ = _tree_to_labels(X, merges, min_cluster_size=50)
    assert agreeing(ours.labels_, labels).all()
    np.testing.assert_allclose(ours.probabilities_, probabilities, rtol=0, atol=1e-6)


@pytest.mark.parametrize("n_parts", [2, 13, 64])
@pytest.mark.parametrize("draw", [RNG.normal, RNG.uniform], ids=["normal", "uniform"])
def test_parts_are_about_as_large(draw, n_parts):
    X = draw(size=(64_000, 4))
    splits = Splits.of(X[::4], n_parts)
    assert splits.n_parts == n_parts
    sizes = np.bincount(splits.part_of(X), minlength=n_parts)
    assert sizes.min() > 0.8 * len(X) / n_parts
    assert sizes.max() < 1.2 * len(X) / n_parts


def test_identical_points_cannot_be_divided():
    splits = Splits.of(np.ones((50, 2)), 8)
    assert splits.n_parts == 1
    np.testing.assert_array_equal(splits.part_of(np.array([[1.0, 1.0], [-9.0, 9.0]])), 0)


def test_copies_of_a_point_stay_together():
    X = np.repeat([[0.0, 0.0], [0.0, 1.0], [5.0, 0.0]], [70, 20, 10], axis=0)
    splits = Splits.of(X, 8)
    assert splits.n_parts == 3
    parts = splits.part_of(X)
    assert [len(set(parts[rows])) for rows in (slice(70), slice(70, 90), slice(90, 100))] == [1] * 3
    assert len(set(parts)) == 3
