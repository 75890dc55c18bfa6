import json

import numba
import numpy as np
import pytest

from dtopics.errors import EmbeddingError, SettingError
from dtopics.reduction import UMAP, ExactNeighbors, load_model
from dtopics.reduction import _cell_kernels as kernels
from dtopics.reduction import cells as module
from dtopics.reduction import umap as umap_module
from dtopics.reduction.cells import CellNeighbors, Cells, cells_to_look_at, encoded, fit_cells
from dtopics.reduction.products import Multiply, by_floats, by_integers, products

from .contract import clustered, same_bits

K = 10


def indexed(X, metric, k=K):
    """Return the index of a sample as a fit makes it."""
    probes = np.arange(0, len(X), max(1, len(X) // 200))
    distances = ExactNeighbors(X, metric).query(X[probes], k + 1)[1]
    return CellNeighbors(X, metric, fit_cells(X, metric, probes, distances))


@pytest.fixture(scope="module", params=["cosine", "euclidean"])
def metric(request):
    return request.param


@pytest.fixture(scope="module")
def data(metric):
    """Return an index and rows to look for."""
    X = clustered(3_600, 48, 30, seed=1, scale=0.8)[0]
    if metric == "euclidean":
        X = X * np.float32(40) + np.float32(1000)
    X[50] = X[51] = X[7]
    return indexed(X[:3_000], metric), X[:3_000], np.concatenate([X[3_000:], X[:200]])


def test_most_neighbours_are_found_and_no_distance_is_too_small(data, metric):
    index, X, Q = data
    indices, distances = index.query(Q, K)
    exact = ExactNeighbors(X, metric).query(Q, K)[1]
    assert (distances >= exact * (1 - 1e-9)).all()
    assert (distances <= exact[:, -1:] * (1 + 1e-9)).mean() >= module.RECALL - 0.03
    assert module.RECALL <= index.cells.recall < 1
    assert index.cells.n_look < len(X) / 2
    for row in indices:
        assert len(set(row.tolist())) == K
    assert (np.diff(distances, axis=1) >= 0).all()


def test_distances_are_those_of_the_rows_found(data, metric):
    index, X, Q = data
    indices, distances = index.query(Q[:50], K)
    for i, (found, far) in enumerate(zip(indices, distances, strict=True)):
        q, rows = Q[i].astype(np.float64), X[found].astype(np.float64)
        if metric == "cosine":
            expected = 1 - rows @ q / np.linalg.norm(rows, axis=1) / np.linalg.norm(q)
            np.testing.assert_allclose(far, expected, atol=1e-12)
        else:
            np.testing.assert_allclose(far, np.linalg.norm(rows - q, axis=1), rtol=1e-12)


def test_a_row_of_the_sample_is_found_at_distance_zero(data):
    index, X, _ = data
    indices, distances = index.query(X, 3)
    assert (distances[:, 0] == 0).all()
    assert indices[7].tolist() == indices[50].tolist() == indices[51].tolist() == [7, 50, 51]


@pytest.mark.parametrize("rows", [1, 7, 256])
def test_a_row_finds_the_same_in_any_company(data, monkeypatch, rows):
    index, _, Q = data
    Q = Q[:60] if rows == 1 else Q
    indices, distances = index.query(Q, K)
    monkeypatch.setattr(module, "TILE", rows)
    monkeypatch.setattr(module, "CHOICE", max(1, rows // 2))
    order = np.random.default_rng(0).permutation(len(Q))
    for part in np.array_split(order, -(-len(Q) // (3 * rows))):
        found = index.query(Q[part], K)
        np.testing.assert_array_equal(found[0], indices[part])
        np.testing.assert_array_equal(found[1], distances[part])


def test_threads_change_nothing(data, metric):
    from threadpoolctl import threadpool_limits

    index, X, Q = data
    before = numba.get_num_threads()
    found = index.query(Q, K)
    with threadpool_limits(1):
        numba.set_num_threads(1)
        try:
            again = indexed(X, metric)
            single = again.query(Q, K)
        finally:
            numba.set_num_threads(before)
    np.testing.assert_array_equal(found[0], single[0])
    np.testing.assert_array_equal(found[1], single[1])
    for name, array in index.cells.to_arrays()[1].items():
        np.testing.assert_array_equal(array, again.cells.to_arrays()[1][name])


def test_products_of_codes_are_exact(data):
    index, _, Q = data
    cells = index.cells
    codes = encoded(Q, index.cells)
    exact = codes.astype(np.int64) @ cells.codes.T.astype(np.int64)
    for multiply in map(Multiply, (by_integers, by_floats)):
        np.testing.assert_array_equal(multiply(codes, cells.codes), exact)
        assert multiply(codes[:0], cells.codes).shape == (0, len(cells.codes))
    largest_half = (module.AXES + 1) * kernels.LARGEST_CODE**2 * (1 + 4 * module.SPREAD) / 2
    assert (module.AXES + 1) * kernels.LARGEST_CODE**2 + largest_half < 2**24


def test_looking_at_all_of_it_finds_the_best_candidates(data):
    index, X, Q = data
    cells = Cells(**{**vars(index.cells), "n_look": len(X)})
    everywhere = CellNeighbors(X, index.metric, cells)
    codes = encoded(Q[:40], cells)
    keys = codes.astype(np.int64) @ cells.codes.T.astype(np.int64) - everywhere._code_halves.astype(
        np.int64
    )
    expected = np.argsort(-keys, axis=1, kind="stable")[:, :30]
    heaps = everywhere._candidates(codes, 30, Multiply(by_floats))
    found = kernels.LAST - (-np.sort(-heaps, axis=1) & kernels.LAST)
    np.testing.assert_array_equal(found, expected)


def test_cells_are_chosen_until_they_hold_enough_rows(data):
    index, _, Q = data
    cells = index.cells
    codes = encoded(Q, index.cells)
    sizes = np.diff(cells.offsets)
    keys = codes.astype(np.int64) @ cells.centres.T - cells.centre_halves
    for n_look in (1, 100, 1_000, len(cells.codes)):
        with products() as multiply:
            rows, starts = cells_to_look_at(codes, index.cells, sizes, n_look, multiply)
        held = np.zeros(len(Q), dtype=int)
        least = np.full(len(Q), np.inf)
        for cell in range(len(sizes)):
            who = rows[starts[cell] : starts[cell + 1]]
            held[who] += sizes[cell]
            least[who] = np.minimum(least[who], keys[who, cell])
        assert (held >= n_look).all()
        assert held.mean() <= n_look + 0.1 * len(cells.codes)
        not_taken = (keys < least[:, None]) @ sizes
        np.testing.assert_array_equal(held + not_taken, len(cells.codes))


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_length_is_no_matter(metric, size):
    X = clustered(2_500, 20, 12, seed=4, scale=0.8)[0]
    plain = indexed(X, metric).query(X[:100], K)
    found = indexed(X * np.float32(size), metric).query(X[:100] * np.float32(size), K)
    assert (plain[0] == found[0]).mean() > 0.95
    assert np.isfinite(found[1]).all()


def test_hostile_samples_are_searched(metric):
    same = np.ones((2_200, 6), dtype=np.float32)
    index = indexed(same, metric)
    _, distances = index.query(same[:2], 4)
    np.testing.assert_array_equal(distances, 0)
    zeros = np.concatenate([clustered(2_200, 6, 4)[0], np.zeros((3, 6), np.float32)])
    index = indexed(zeros, metric)
    _, distances = index.query(np.zeros((2, 6)), 3)
    assert np.isfinite(distances).all()
    huge = np.full((1, 6), 3e38, dtype=np.float32)
    assert np.isfinite(index.query(huge, 3)[1]).all()


def test_what_cannot_be_asked_is_refused(data):
    index, X, _ = data
    for k in (0, len(X) + 1):
        with pytest.raises(SettingError, match="k must be from 1"):
            index.query(X, k)
    with pytest.raises(EmbeddingError, match="dimensions"):
        index.query(X[:, :5], 3)
    assert index.query(X[:0], 3)[0].shape == (0, 3)


def test_too_flat_a_sample_is_searched_whole(monkeypatch):
    monkeypatch.setattr(module, "AXES", 2)
    monkeypatch.setattr(module, "CANDIDATES", (2,))
    X = np.random.default_rng(0).normal(size=(2_200, 60)).astype(np.float32)
    probes = np.arange(100)
    distances = ExactNeighbors(X, "euclidean").query(X[probes], K + 1)[1]
    assert fit_cells(X, "euclidean", probes, distances) is None


def test_umap_places_by_cells_and_keeps_them_as_data(monkeypatch):
    monkeypatch.setattr(umap_module, "CELLS_FROM", 600)
    X, labels = clustered(1_600, 24, 6, seed=1, scale=0.5)
    model = UMAP(n_neighbors=8, n_components=2, parameters={"n_epochs": 60}).fit(X[:800])
    params, arrays = model.to_arrays()
    assert model.cells is not None
    again = load_model(json.loads(json.dumps(params)), {k: v.copy() for k, v in arrays.items()})
    places, nearest = model.place(X[800:])
    same_bits(places, again.transform(X[800:]))
    same_bits(nearest, again.distance_to_sample(X[800:]))
    for part in (slice(0, 1), slice(3, 90), slice(799, 800)):
        same_bits(places[part], model.transform(X[800:][part]))
    exact = load_model({**params, "cells": None}, {k: arrays[k] for k in ("sample", "embedding")})
    assert isinstance(exact._index, ExactNeighbors)
    centres = np.stack([model.embedding[labels[:800] == c].mean(axis=0) for c in range(6)])
    of = [
        ((p[:, None] - centres) ** 2).sum(-1).argmin(axis=1)
        for p in (places, exact.transform(X[800:]))
    ]
    assert (of[0] == of[1]).mean() > 0.99
