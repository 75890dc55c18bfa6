"""UMAP's layout, an epoch at a time, and the fit of large samples that is made of it."""

import numba
import numpy as np
import pytest

from dtopics.reduction import UMAP
from dtopics.reduction import _layout_kernels as kernels
from dtopics.reduction import umap as umap_module
from dtopics.reduction._placing_kernels import force_curve
from dtopics.reduction.layout import lay_out

from .contract import clustered, same_bits

A, B = 1.9, 0.79
FORCES = force_curve(A, B, 1.0)


def moved(places, edges, *, first=0, n_moved=None, epoch=0, n_epochs=10, rate=0.1, negatives=0.0,
          drawn=None, seed=7):  # fmt: skip
    """Move rows that have edges ``{row: [(other, weight), …]}``."""
    n_moved = len(places) - first if n_moved is None else n_moved
    listed = [sorted(edges.get(first + i, [])) for i in range(n_moved)]
    offsets = np.cumsum([0, *map(len, listed)])
    tails = np.array([t for one in listed for t, _ in one], np.int32)
    weights = np.array([w for one in listed for _, w in one], np.float32)
    drawn = places if drawn is None else drawn
    return kernels.mover(3)(
        places, first, offsets, tails, kernels.shares(weights), drawn, seed, epoch, n_epochs, rate,
        FORCES, negatives,
    )  # fmt: skip


def pull(x, y):
    """UMAP's attraction, as its paper has it."""
    squared = ((x - y) ** 2).sum()
    factor = -2 * A * B * squared ** (B - 1) / (1 + A * squared**B)
    return np.clip(factor * (x - y), -4, 4)


def push(x, y):
    squared = ((x - y) ** 2).sum()
    return np.clip(2 * B / ((0.001 + squared) * (1 + A * squared**B)) * (x - y), -4, 4)


@pytest.fixture
def places():
    return np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)


def test_an_edge_pulls_as_umap_s_does(places):
    found = moved(places, {0: [(5, 1.0)]})
    np.testing.assert_allclose(found[0], places[0] + 0.1 * pull(places[0], places[5]), rtol=1e-4)
    same_bits(found[1:], places[1:])


def test_places_that_are_drawn_push_all_at_once(places):
    found = moved(places, {0: [(0, 1.0)]}, negatives=3.0, drawn=places[4:5])
    np.testing.assert_allclose(found[0], places[0] + 0.3 * push(places[0], places[4]), rtol=1e-4)


@pytest.mark.parametrize("negatives", [0.0, 0.5, 2.5, 5.0, 40.0])
def test_as_hard_a_push_as_of_so_many(places, negatives):
    found = moved(places, {0: [(0, 1.0)]}, negatives=negatives, drawn=places[4:5], epoch=3)
    step = 0.1 * (1 - 3 / 10) * negatives * push(places[0], places[4])
    np.testing.assert_allclose(found[0], places[0] + step, rtol=1e-4)


@pytest.mark.parametrize(("weight", "times"), [(1.0, 200), (0.25, 50), (0.0101, 2), (0.004, 0)])
def test_an_edge_pulls_in_its_part_of_the_epochs(places, weight, times):
    found = [
        (moved(places, {0: [(1, weight)]}, epoch=epoch, n_epochs=200)[0] != places[0]).any()
        for epoch in range(200)
    ]
    assert sum(found) == times


def test_rows_move_alike_in_any_company(places):
    edges = {i: [(j, 0.9) for j in range(12) if (i * j) % 3 == 1] for i in range(12)}
    whole = moved(places, edges, negatives=5.0, epoch=3)
    parts = [moved(places, edges, first=a, n_moved=n, negatives=5.0, epoch=3)
             for a, n in ((0, 5), (5, 1), (6, 6))]  # fmt: skip
    same_bits(whole, np.concatenate(parts))


def test_rows_drawn():
    drawn = kernels.draw_rows(1_000, 50_000, 3, 8)
    np.testing.assert_array_equal(drawn, kernels.draw_rows(1_000, 50_000, 3, 8))
    assert (drawn != kernels.draw_rows(1_000, 50_000, 3, 9)).mean() > 0.9
    counts = np.bincount(drawn, minlength=1_000)
    assert len(counts) == 1_000
    assert counts.min() > 20
    assert counts.max() < 90


def test_a_layout_parts_what_is_not_bound():
    import scipy.sparse

    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 600)
    near = scipy.sparse.random(600, 600, 0.05, random_state=2).tocoo()
    kept = labels[near.row] == labels[near.col]
    ends = near.row[kept], near.col[kept]
    graph = scipy.sparse.csr_matrix((np.ones(kept.sum()), ends), (600, 600))
    graph = graph.maximum(graph.T).tocsr()
    start = rng.normal(size=(600, 2)).astype(np.float32)
    places = lay_out(graph, start, FORCES, n_epochs=100, rate=1.0, negatives=2.5, seed=1)
    means = np.stack([places[labels == label].mean(axis=0) for label in range(3)])
    nearest = ((places[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert (nearest == labels).mean() > 0.99


@pytest.fixture
def large_from(monkeypatch):
    """Have samples from 2,500 rows fitted as large ones are."""
    monkeypatch.setattr(umap_module, "EXACT_ROWS", 2_500)
    monkeypatch.setattr(umap_module, "PAIRWISE_ROWS", 2_500)


def trust(X, places):
    from sklearn.manifold import trustworthiness

    return trustworthiness(X[::3], places[::3], metric="cosine")


def test_a_large_sample_is_laid_out_as_well_as_by_umap_learn(large_from):
    X, labels = clustered(3_000, n_features=20, n_clusters=6, scale=0.7)
    model = UMAP(n_components=3).fit(X)
    theirs = umap_module._umap_learn()(
        n_components=3, min_dist=0.0, metric="cosine", random_state=42, n_jobs=1
    ).fit(X)
    assert trust(X, model.embedding) > trust(X, theirs.embedding_) - 0.01
    means = np.stack([model.embedding[labels == label].mean(axis=0) for label in range(6)])
    nearest = ((model.embedding[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert (nearest == labels).mean() > 0.95
    placed = model.transform(X[:500])
    assert np.linalg.norm(placed - model.embedding[:500], axis=1).mean() < 1.0


def test_a_large_sample_on_any_threads(large_from):
    X, _ = clustered(2_600, n_features=12)
    before = numba.get_num_threads()
    found = []
    try:
        for threads in (1, before):
            numba.set_num_threads(threads)
            found.append(UMAP(n_components=2, parameters={"n_epochs": 20}).fit(X).embedding)
    finally:
        numba.set_num_threads(before)
    same_bits(*found)
    other = UMAP(n_components=2, random_state=1, parameters={"n_epochs": 20}).fit(X).embedding
    assert (other != found[0]).any()
    drawn = [
        UMAP(n_components=2, random_state=None, parameters={"n_epochs": 20}).fit(X).embedding
        for _ in range(2)
    ]
    assert (drawn[0] != drawn[1]).any()


def test_a_large_sample_with_classes(large_from):
    X, labels = clustered(2_600, n_features=12, n_clusters=2, scale=1.0)
    told = UMAP(n_components=2).fit(X, labels).embedding
    means = np.stack([told[labels == label].mean(axis=0) for label in range(2)])
    nearest = ((told[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert (nearest == labels).mean() > 0.95


@pytest.mark.filterwarnings("ignore:A few of your vertices were disconnected")
def test_rows_without_any_neighbour_stand_at_the_origin(large_from):
    X, _ = clustered(2_600, n_features=12)
    far = {"disconnection_distance": 0.5, "n_epochs": 10}
    X[7] = 0.0  # at distance 1 from every other
    model = UMAP(n_components=2, parameters=far).fit(X)
    assert np.isfinite(model.embedding).all()
    np.testing.assert_array_equal(model.embedding[7], 0.0)
