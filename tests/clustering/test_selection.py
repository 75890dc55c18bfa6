"""`max_cluster_size` as a share, and choices in trees made by hand."""

import numpy as np
import pytest
from clustering_contract import blobs
from hypothesis import given, settings
from hypothesis import strategies as st

from dtopics.clustering import GIANT_SHARE, HDBSCAN, as_clusterer
from dtopics.clustering.selection import CondensedTree, Selection, choose, label_points


def tree_of(parent, birth, falls):
    """Return a tree; `falls` holds (node, λ) for each point."""
    node, lambdas = (np.array(column) for column in zip(*falls, strict=True))
    size = np.bincount(node, minlength=len(parent))
    for child in range(len(parent) - 1, 0, -1):
        size[parent[child]] += size[child]
    return CondensedTree(
        node.astype(np.int32),
        lambdas.astype(float),
        np.array(parent, np.int32),
        np.array(birth, float),
        size.astype(np.int64),
    )


def giant_and_two_within():
    """A root of 100; under it a giant of 90, which holds two of 40 late, and a small one of 10.

    The giant has the larger excess of mass: 90 points from λ 1 to 5, its two from 5 to 6.
    """
    falls = [(2, 3.0)] * 10 + [(1, 4.0)] * 10 + [(3, 6.0)] * 40 + [(4, 6.0)] * 40
    return tree_of([-1, 0, 0, 1, 1], [0, 1, 1, 5, 5], falls)


def labels(tree, **selection):
    choice = Selection(**selection)
    return label_points(choose(tree, choice), tree.point_node, tree.point_lambda)[0]


def test_a_giant_gives_way_to_the_clusters_within_it():
    tree = giant_and_two_within()
    whole = [1] * 10 + [0] * 90
    parted = [0] * 10 + [-1] * 10 + [1] * 40 + [2] * 40
    np.testing.assert_array_equal(labels(tree), whole)
    np.testing.assert_array_equal(labels(tree, max_cluster_size=0.8), parted)
    np.testing.assert_array_equal(labels(tree, max_cluster_size=0.89), parted)
    np.testing.assert_array_equal(labels(tree, max_cluster_size=0.9), whole)
    np.testing.assert_array_equal(labels(tree, max_cluster_size=1.0), whole)
    np.testing.assert_array_equal(labels(tree, max_cluster_size=0.0), whole)
    np.testing.assert_array_equal(labels(tree, max_cluster_size=89), parted)
    np.testing.assert_array_equal(labels(tree, max_cluster_size=90), whole)


def test_a_giant_without_clusters_within_it_stays():
    tree = tree_of([-1, 0, 0], [0, 1, 1], [(1, 4.0)] * 90 + [(2, 3.0)] * 10)
    both = [0] * 90 + [1] * 10
    for share in (0.8, 0.5, 0.05, 1e-9):
        np.testing.assert_array_equal(labels(tree, max_cluster_size=share), both)
    # As a number of points it is hdbscan's: the giant is outliers.
    np.testing.assert_array_equal(labels(tree, max_cluster_size=80), [-1] * 90 + [0] * 10)


def test_leaves_have_no_limit():
    tree = giant_and_two_within()
    parted = [0] * 10 + [-1] * 10 + [1] * 40 + [2] * 40
    for limit in (0, 5, 0.01, 0.8):
        np.testing.assert_array_equal(labels(tree, method="leaf", max_cluster_size=limit), parted)


def test_the_root_alone():
    tree = tree_of([-1], [0], [(0, 1.0)] * 5 + [(0, 2.0)] * 5)
    np.testing.assert_array_equal(labels(tree), [-1] * 10)
    np.testing.assert_array_equal(labels(tree, method="leaf"), [-1] * 10)
    np.testing.assert_array_equal(labels(tree, allow_single_cluster=True), [-1] * 5 + [0] * 5)
    found = labels(tree, allow_single_cluster=True, epsilon=1.0)
    np.testing.assert_array_equal(found, [0] * 10)


def two_near_and_a_little_one():
    """Two clusters that nearly touch, and a small one far away."""
    rng = np.random.default_rng(0)
    near = [rng.normal(size=(200, 2)) * 0.5 + [x, 0] for x in (0, 2.0)]
    return np.concatenate([*near, rng.normal(size=(20, 2)) * 0.5 + [300, 300]])


def test_real_points_of_a_giant():
    X = two_near_and_a_little_one()
    plain = HDBSCAN(15).fit(X).model_
    shared = plain.reselect(max_cluster_size=GIANT_SHARE)
    sizes = np.bincount(plain.labels[plain.labels >= 0])
    assert sizes.max() > 0.8 * len(X), "the case that the share is for"
    sizes = np.bincount(shared.labels[shared.labels >= 0])
    assert len(sizes) == 3
    assert sizes.max() < 0.5 * len(X)


@settings(deadline=None, max_examples=12, derandomize=True)
@given(
    n_points=st.integers(40, 200),
    seed=st.integers(0, 10_000),
    n_clusters=st.integers(1, 6),
    single=st.booleans(),
)
def test_a_share_changes_nothing_where_no_cluster_is_so_large(n_points, seed, n_clusters, single):
    X = blobs(n_points, 20, seed, n_clusters=n_clusters)
    plain = HDBSCAN(5, allow_single_cluster=single).fit(X).model_
    chosen = plain._chosen.clusters
    sizes = plain.tree.size[chosen]
    shared = plain.reselect(max_cluster_size=GIANT_SHARE)
    if not len(sizes) or sizes.max() <= GIANT_SHARE * len(X):
        np.testing.assert_array_equal(shared.labels, plain.labels)
        np.testing.assert_array_equal(shared.probabilities, plain.probabilities)
    else:
        assert shared.n_clusters >= plain.n_clusters


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_labels_do_not_depend_on_the_unit(scale):
    X = blobs()
    expected = HDBSCAN(8, max_cluster_size=GIANT_SHARE).fit(X).labels_
    found = HDBSCAN(8, max_cluster_size=GIANT_SHARE).fit(X * scale).labels_
    assert (found == expected).mean() > 0.99


def test_the_default_has_the_share():
    clusterer = as_clusterer(None, min_topic_size=15)
    assert clusterer.min_cluster_size == 15
    assert clusterer.selection == Selection(max_cluster_size=GIANT_SHARE)
    X = two_near_and_a_little_one()
    assert clusterer.fit(X).n_clusters == 3
    assert HDBSCAN(15).fit(X).model_.n_clusters == 2


def test_the_root_is_as_large_as_the_clusters_in_it():
    """Points that leave before the first split do not count towards its limit, as in hdbscan."""
    falls = [(0, 4.0)] * 20 + [(1, 5.1)] * 40 + [(2, 5.1)] * 40
    tree = tree_of([-1, 0, 0], [0, 5, 5], falls)
    together = [-1] * 20 + [0] * 80
    apart = [-1] * 20 + [0] * 40 + [1] * 40
    for limit, expected in ((0, together), (90, together), (80, together), (79, apart)):
        found = labels(tree, allow_single_cluster=True, max_cluster_size=limit)
        np.testing.assert_array_equal(found, expected)
