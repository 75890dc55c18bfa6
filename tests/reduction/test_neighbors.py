import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtopics.errors import EmbeddingError, SettingError
from dtopics.reduction import ExactNeighbors
from dtopics.reduction import neighbors as module

from .contract import clustered


def brute_force(X, Q, metric, k):
    """Return neighbours by float64 distances, ties to the smaller index."""
    X, Q = X.astype(np.longdouble), Q.astype(np.longdouble)
    if metric == "euclidean":
        distances = np.sqrt(((Q[:, None] - X[None]) ** 2).sum(-1))
    else:
        lengths = np.sqrt((Q**2).sum(1))[:, None] * np.sqrt((X**2).sum(1))[None]
        zeros = (~Q.any(axis=1))[:, None], (~X.any(axis=1))[None]
        distances = 1 - np.divide(Q @ X.T, lengths, out=np.zeros_like(lengths), where=lengths > 0)
        distances[zeros[0] & zeros[1]] = 0
    distances = np.round(distances.astype(np.float64), 13)
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(distances, order, axis=1)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize(("n_features", "k"), [(3, 1), (37, 15), (384, 5)])
def test_neighbours_are_those_of_brute_force(monkeypatch, metric, n_features, k):
    monkeypatch.setattr(module, "TILE_QUERIES", 16)
    monkeypatch.setattr(module, "TILE_ROWS", 64)
    X, Q = clustered(300, n_features, seed=1)[0], clustered(50, n_features, seed=2)[0]
    indices, distances = ExactNeighbors(X, metric).query(Q, k)
    expected, exact = brute_force(X, Q, metric, k)
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_allclose(distances, exact, rtol=0, atol=1e-12)
    assert indices.dtype == np.int32
    assert distances.dtype == np.float64


@given(
    seed=st.integers(0, 10_000),
    metric=st.sampled_from(["cosine", "euclidean"]),
    k=st.integers(1, 12),
)
@settings(max_examples=40, deadline=None)
def test_ties_and_duplicates_go_to_the_smaller_index(seed, metric, k):
    # Small whole numbers: many rows are equal, parallel, zero, or equally far.
    rng = np.random.default_rng(seed)
    X = rng.integers(-1, 2, size=(40, 2)).astype(np.float32)
    Q = rng.integers(-1, 2, size=(10, 2)).astype(np.float32)
    indices, distances = ExactNeighbors(X, metric).query(Q, k)
    expected, exact = brute_force(X, Q, metric, k)
    np.testing.assert_allclose(distances, exact, rtol=0, atol=1e-12)
    if metric == "euclidean":  # squares of whole numbers are exact, cosines are not
        np.testing.assert_array_equal(indices, expected)
    key = np.lexsort((indices, distances), axis=1)
    np.testing.assert_array_equal(key, np.tile(np.arange(k), (len(Q), 1)))


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_rows_that_float32_products_cannot_tell_apart(metric):
    # Cosines differ by about 1e-11, far less than a float32 product of 200 terms is off by.
    rng = np.random.default_rng(0)
    X = np.tile(rng.normal(size=200), (500, 1))
    X[np.arange(500), rng.integers(0, 200, 500)] += np.linspace(1e-3, 2e-3, 500)[::-1]
    X = X.astype(np.float32)
    indices, distances = ExactNeighbors(X, metric).query(X[:20], 8)
    expected, exact = brute_force(X, X[:20], metric, 8)
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_allclose(distances, exact, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(distances[:, 0], 0.0)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("size", [1e-30, 1e-3, 1e15, 1e30])
def test_the_size_of_vectors_does_no_harm(metric, size):
    X, Q = clustered(80, seed=1)[0], clustered(9, seed=2)[0]
    plain, _ = ExactNeighbors(X, metric).query(Q, 6)
    scaled, distances = ExactNeighbors(X * np.float32(size), metric).query(Q * np.float32(size), 6)
    np.testing.assert_array_equal(scaled, plain)
    assert np.isfinite(distances).all()


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_answers_do_not_depend_on_tiles(monkeypatch, metric):
    X, Q = clustered(200, seed=1)[0], clustered(40, seed=2)[0]
    expected = ExactNeighbors(X, metric).query(Q, 7)
    for queries, rows in [(1, 1), (3, 200), (64, 33)]:
        monkeypatch.setattr(module, "TILE_QUERIES", queries)
        monkeypatch.setattr(module, "TILE_ROWS", rows)
        found = ExactNeighbors(X, metric).query(Q, 7)
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])


def test_unusable_questions_are_refused():
    X, _ = clustered(5)
    with pytest.raises(SettingError, match=r"'manhattan'.*'cosine', 'euclidean'"):
        ExactNeighbors(X, "manhattan")
    for k in (0, 6):
        with pytest.raises(SettingError, match="from 1 to 5"):
            ExactNeighbors(X, "cosine").query(X, k)
    with pytest.raises(EmbeddingError, match="empty"):
        ExactNeighbors(X[:0], "cosine")
