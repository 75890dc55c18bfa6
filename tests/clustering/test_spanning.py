"""The spanning tree: hdbscan's weights to the bit, and the same edges for any number of parts."""

import hdbscan
import numba
import numpy as np
import pytest
from clustering_contract import blobs
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.datasets import make_moons
from sklearn.metrics import adjusted_rand_score

from dtopics.clustering import HDBSCAN
from dtopics.clustering.spanning.memory import Splits, spanning_tree

RNG = np.random.default_rng(0)
SHAPES = {
    "blobs": blobs(800, 200, n_components=5),
    "float32": blobs(800, 200, n_components=5).astype(np.float32),
    "uniform": RNG.uniform(size=(700, 2)),
    "moons": make_moons(800, noise=0.08, random_state=0)[0],
    "heaps": np.repeat(RNG.normal(size=(12, 2)), 70, axis=0),
    "grid": RNG.integers(0, 9, (600, 3)).astype(float),
    "10 dimensions": blobs(500, 100, n_components=10),
    "50 dimensions": blobs(250, 50, n_components=50).astype(np.float32),
}


def canonical(tree):
    """Return the edges with their smaller end first, in the tree's order."""
    ends = np.sort(np.column_stack([tree.one, tree.other]), axis=1)
    return ends.tolist(), tree.weight.tolist(), tree.core_to_join.tolist()


@pytest.mark.parametrize("k", [1, 10, 60])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_weights_are_hdbscans_to_the_bit(shape, k):
    X = SHAPES[shape]
    theirs = hdbscan.HDBSCAN(
        min_samples=k, approx_min_span_tree=False, core_dist_n_jobs=1, gen_min_span_tree=True
    ).fit(X.astype(float))
    expected = np.sort(theirs._min_spanning_tree[:, 2])
    one = spanning_tree(X, min_samples=k)
    np.testing.assert_array_equal(one.weight, expected)
    for n_parts in (2, 7, 16):
        many = spanning_tree(X, min_samples=k, n_parts=n_parts)
        assert canonical(many) == canonical(one)


@settings(deadline=None, max_examples=25, derandomize=True)
@given(
    n_points=st.integers(2, 300),
    n_components=st.integers(1, 4),
    levels=st.sampled_from([2, 5, 1_000_000]),
    k=st.integers(1, 60),
    n_parts=st.sampled_from([2, 3, 4, 16, 64]),
    seed=st.integers(0, 10_000),
)
def test_any_division_gives_the_same_edges(n_points, n_components, levels, k, n_parts, seed):
    X = np.random.default_rng(seed).integers(0, levels, (n_points, n_components)).astype(np.float32)
    one = spanning_tree(X, min_samples=k)
    assert canonical(spanning_tree(X, min_samples=k, n_parts=n_parts)) == canonical(one)


@pytest.mark.parametrize("levels", [3, 1_000])
@pytest.mark.parametrize("k", [1, 4, 40])
def test_the_edges_are_the_first_in_the_total_order(k, levels):
    X = np.random.default_rng(k).integers(0, levels, (40, 2)).astype(float)
    squared = cdist(X, X, "sqeuclidean")
    core = np.sort(squared, axis=1)[:, min(k, 39)]
    edges = sorted(
        (max(squared[a, b], core[a], core[b]), squared[a, b], a, b)
        for a in range(40)
        for b in range(a + 1, 40)
    )
    component, expected = list(range(40)), []
    for _, _, a, b in edges:  # Kruskal
        if component[a] != component[b]:
            expected.append([a, b])
            component = [component[a] if c == component[b] else c for c in component]
    for n_parts in (1, 5):
        found, _, _ = canonical(spanning_tree(X, min_samples=k, n_parts=n_parts))
        assert found == expected


def test_threads_change_nothing():
    X = blobs(25_000, 5_000, n_components=3).astype(np.float32)
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        one = spanning_tree(X, min_samples=8)
        numba.set_num_threads(min(2, numba.config.NUMBA_NUM_THREADS))
        assert canonical(spanning_tree(X, min_samples=8)) == canonical(one)
    finally:
        numba.set_num_threads(before)


def test_labels_are_hdbscans_but_for_ties():
    X = blobs(40_000, 10_000, n_components=5, n_clusters=30)  # few ties a cluster
    theirs = hdbscan.HDBSCAN(50, min_samples=10, approx_min_span_tree=False, core_dist_n_jobs=1)
    ours = HDBSCAN(50, min_samples=10).fit(X)
    theirs.fit(X)
    assert adjusted_rand_score(theirs.labels_, ours.labels_) >= 0.999
    both = (theirs.labels_ >= 0) == (ours.labels_ >= 0)
    alike = np.isclose(theirs.probabilities_, ours.probabilities_, rtol=0, atol=1e-6)
    assert (both & alike).mean() >= 0.995
    scores = np.isclose(theirs.outlier_scores_, ours.model_.outlier_scores, rtol=0, atol=1e-6)
    assert scores.mean() >= 0.995


def test_parts_are_about_as_large():
    X = RNG.normal(size=(20_000, 4))
    sizes = np.bincount(Splits.of(X[::4], 13).part_of(X), minlength=13)
    assert sizes.min() > 0.8 * len(X) / 13
    assert sizes.max() < 1.2 * len(X) / 13


def test_identical_points_cannot_be_divided():
    assert Splits.of(np.ones((50, 2)), 8).n_parts == 1
