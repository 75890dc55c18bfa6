"""UMAP's graph of a whole corpus: like umap-learn's, and the same in any division."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtopics.reduction import ExactNeighbors
from dtopics.reduction import _layout_kernels as kernels
from dtopics.reduction._placing_kernels import force_curve
from dtopics.reduction.cells import cells_of, cells_to_look_at, divide, encoded
from dtopics.reduction.products import products
from dtopics.reduction.refining import graph as module
from dtopics.reduction.refining.graph import Affinity, Edges, Graph, nearest_rows, strengths
from dtopics.reduction.umap import _umap_learn

from .contract import clustered, same_bits

K, N = 6, 900
FORCES = force_curve(1.9, 0.79, 1.0)


@pytest.fixture(scope="module")
def rows():
    X = clustered(N, n_features=10, n_clusters=5, scale=0.5)[0]
    X[20:30] = X[10]  # more of a kind than neighbours are asked for
    return X


@pytest.fixture(scope="module")
def cells(rows):
    return divide(rows[::3], "cosine", 8)


class Numbered:
    """Rows numbered cell by cell, read from one number to another."""

    def __init__(self, X, cells):
        codes = encoded(X, cells)
        where = cells_of(codes, cells)
        self.ids = np.argsort(where, kind="stable")  # the row of each number
        self.codes, self.cells, self.read_runs = codes[self.ids], cells, []
        self.firsts = np.searchsorted(where[self.ids], np.arange(len(cells.centres) + 1))

    def read(self, start, stop):
        self.read_runs.append((start, stop))
        return self.codes[start:stop]

    def nearest(self, start=0, stop=N):
        mine = self.codes[start:stop]
        return nearest_rows(mine, start, self.firsts, self.cells, self.read, K)


def graphs_of(X, cells, bounds, mix=1.0, least=0.0):
    bounds, documents = np.array(bounds), Numbered(X, cells)
    affinity = Affinity("cosine", 1.0, 0.1, 2.0)
    out = []
    for a, b in itertools.pairwise(bounds.tolist()):
        nearest, apart = documents.nearest(a, b)
        out.append(Edges.of(nearest, strengths(apart, cells, affinity), a, bounds))
    graphs = []
    for i, edges in enumerate(out):
        into = [slice(int(e.offsets[i]), int(e.offsets[i + 1])) for e in out]
        graphs.append(
            Graph.of(
                edges.ends,
                edges.strengths,
                np.concatenate([e.ends[part] for e, part in zip(out, into, strict=True)]),
                np.concatenate([e.strengths[part] for e, part in zip(out, into, strict=True)]),
                int(bounds[i]),
                int(bounds[i + 1] - bounds[i]),
                mix=mix,
                least=least,
            )
        )
    return graphs


def as_matrix(graphs):
    import scipy.sparse

    starts = np.cumsum([0, *(graph.offsets[-1] for graph in graphs)])
    offsets = np.concatenate(
        [[0], *(g.offsets[1:] + s for g, s in zip(graphs, starts, strict=False))]
    )
    tails = np.concatenate([graph.tails for graph in graphs])
    weights = np.concatenate([graph.weights for graph in graphs])
    return scipy.sparse.csr_matrix((weights, tails, offsets), (N, N))


def test_nearest_by_codes(rows, cells):
    documents = Numbered(rows, cells)
    nearest, apart = documents.nearest()
    codes = documents.codes.astype(np.int64)
    halves = np.rint((codes**2).sum(axis=1) / 2).astype(np.int64)
    squares = (codes**2).sum(axis=1)
    for i, (found, far) in enumerate(zip(nearest, apart, strict=True)):
        squared = np.maximum(0, squares[i] - 2 * (codes @ codes[i] - halves))
        keys = codes @ codes[i] - halves
        order = np.lexsort((np.arange(N), -keys))[:K]
        expected = [i, *order[order != i]][:K]
        assert found.tolist() == expected
        np.testing.assert_array_equal(far[1:], squared[expected[1:]])


def test_most_of_the_exact_neighbours_are_found(rows, monkeypatch):
    exact, _ = ExactNeighbors(rows, "cosine").query(rows, K)
    documents = Numbered(rows, divide(rows[::3], "cosine", 10))
    monkeypatch.setattr(module, "LOOK_ROWS", 300)
    nearest, _ = documents.nearest()
    unlike = ~np.isin(documents.ids, [10, *range(20, 30)])
    hits = [
        len(set(documents.ids[a]) & set(b))
        for a, b in zip(nearest, exact[documents.ids], strict=True)
    ]
    assert np.array(hits)[unlike].mean() / K > 0.85


@pytest.mark.parametrize("together", [10, 64, 500, 2**25])
@pytest.mark.parametrize("gap", [0, 90, 2**21])
def test_only_what_is_looked_at_is_read(rows, cells, monkeypatch, together, gap):
    monkeypatch.setattr(module, "LOOK_ROWS", 100)
    expected = Numbered(rows, cells).nearest(200, 400)
    monkeypatch.setattr(module, "TOGETHER", together * 9)  # nine codes a row
    monkeypatch.setattr(module, "GAP", gap * 9)
    monkeypatch.setattr(module, "PRODUCTS", 40)
    monkeypatch.setattr(module, "COLUMNS", 7)
    documents = Numbered(rows, cells)
    found = documents.nearest(200, 400)
    for a, b in zip(found, expected, strict=True):
        same_bits(a, b)
    runs, firsts = np.array(documents.read_runs), documents.firsts
    assert (runs[1:, 0] >= runs[:-1, 1]).all()  # nothing twice
    assert (runs[:, 1] - runs[:, 0] <= together).all()
    assert ((runs[1:, 0] - runs[:-1, 1] > gap) | (runs[1:, 1] - runs[:-1, 0] > together)).all()
    if gap == 0:  # cells are read whole, and only those that somebody looks at
        with products() as multiply:
            sizes = np.diff(firsts)
            _, starts = cells_to_look_at(documents.codes[200:400], cells, sizes, 100, multiply)
        looked = np.repeat(np.diff(starts) > 0, sizes)
        read = np.zeros(N, bool)
        for a, b in runs:
            read[a:b] = True
        np.testing.assert_array_equal(read, looked)
        assert 200 < looked.sum() < N


def test_the_graph_is_umap_learn_s_of_the_same_distances(rows, cells):
    _umap_learn()  # imported without its word about Tensorflow
    from umap.umap_ import fuzzy_simplicial_set

    documents = Numbered(rows, cells)
    nearest, apart = documents.nearest()
    distances = (apart / (2 * cells.scale**2)).astype(np.float32)
    for mix in (1.0, 0.3):
        theirs, _, _ = fuzzy_simplicial_set(
            rows, K, np.random.RandomState(0), "cosine", knn_indices=nearest,
            knn_dists=distances, set_op_mix_ratio=mix,
        )  # fmt: skip
        ours = as_matrix(graphs_of(rows, cells, [0, N], mix=mix))
        assert abs(ours - theirs).max() < 2e-3
        assert abs(ours - ours.T).max() < 1e-6


def test_light_edges_are_left_out(rows, cells):
    whole = as_matrix(graphs_of(rows, cells, [0, N]))
    some = as_matrix(graphs_of(rows, cells, [0, N], least=0.2))
    whole.data[whole.data < 0.2] = 0
    whole.eliminate_zeros()
    assert (whole != some).nnz == 0
    assert some.nnz > 0


@given(cuts=st.sets(st.integers(1, N - 1), max_size=4))
@settings(max_examples=8, deadline=None)
def test_any_division_gives_the_same_places(rows, cells, cuts):
    def places_after(bounds):
        graphs = graphs_of(rows, cells, bounds)
        places = np.random.default_rng(5).normal(size=(N, 2)).astype(np.float32)
        for epoch in range(3):
            drawn = places[kernels.draw_rows(N, 64, 1, epoch)]
            places = np.concatenate([
                kernels.mover(2)(places, a, g.offsets, g.tails, kernels.shares(g.weights), drawn,
                                 1, epoch, 3, 0.5, FORCES, 5.0)
                for g, a in zip(graphs, bounds[:-1], strict=True)
            ])  # fmt: skip
        return places

    same_bits(places_after([0, N]), places_after([0, *sorted(cuts), N]))


def test_a_span_without_rows(rows, cells):
    graphs = graphs_of(rows, cells, [0, 0, N])
    assert graphs[0].offsets.tolist() == [0]
    assert abs(as_matrix(graphs) - as_matrix(graphs_of(rows, cells, [0, N]))).max() == 0
