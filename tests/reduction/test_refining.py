"""UMAP's graph of a whole corpus: like umap-learn's, and the same in any division."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtopics.reduction import ExactNeighbors
from dtopics.reduction import _layout_kernels as kernels
from dtopics.reduction._placing_kernels import force_curve
from dtopics.reduction.cells import cells_of, divide, encoded
from dtopics.reduction.refining import graph as module
from dtopics.reduction.refining.graph import Affinity, Coded, Edges, Graph, nearest_rows, strengths
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


def spans_of(X, cells, bounds):
    """Return the coded spans of rows."""
    found = []
    for a, b in itertools.pairwise(bounds):
        codes = encoded(X[a:b], cells)
        where = cells_of(codes, cells)
        order = np.argsort(where, kind="stable").astype(np.int32)
        offsets = np.searchsorted(where[order], np.arange(len(cells.centres) + 1))
        found.append(
            Coded(codes[order].astype(np.int8), order + np.int32(a), offsets.astype(np.int32))
        )
    return found


def sizes_of(spans):
    return np.diff(np.sum([span.offsets for span in spans], axis=0).astype(np.int64))


def graphs_of(X, cells, bounds, mix=1.0, least=0.0):
    bounds = np.array(bounds)
    spans = spans_of(X, cells, bounds)
    affinity = Affinity("cosine", 1.0, 0.1, 2.0)
    out = []
    for mine in spans:
        nearest, apart = nearest_rows(mine, spans[::-1], cells, sizes_of(spans), K)
        out.append(Edges.of(nearest, strengths(apart, cells, affinity), mine.ids, bounds))
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
    (span,) = spans_of(rows, cells, [0, N])
    nearest, apart = nearest_rows(span, [span], cells, sizes_of([span]), K)
    codes = encoded(rows, cells).astype(np.int64)
    halves = np.rint((codes**2).sum(axis=1) / 2).astype(np.int64)
    squares = (codes**2).sum(axis=1)
    for i, found, far in zip(span.ids, nearest, apart, strict=True):
        squared = np.maximum(0, squares[i] - 2 * (codes @ codes[i] - halves))
        keys = codes @ codes[i] - halves
        order = np.lexsort((np.arange(N), -keys))[:K]
        expected = [i, *order[order != i]][:K]
        assert found.tolist() == expected
        np.testing.assert_array_equal(far[1:], squared[expected[1:]])


def test_most_of_the_exact_neighbours_are_found(rows, cells, monkeypatch):
    exact, _ = ExactNeighbors(rows, "cosine").query(rows, K)
    wide = divide(rows[::3], "cosine", 10)
    (span,) = spans_of(rows, wide, [0, N])
    monkeypatch.setattr(module, "LOOK_ROWS", 300)
    nearest, _ = nearest_rows(span, [span], wide, sizes_of([span]), K)
    unlike = ~np.isin(span.ids, [10, *range(20, 30)])
    hits = [len(set(a) & set(b)) for a, b in zip(nearest, exact[span.ids], strict=True)]
    assert np.array(hits)[unlike].mean() / K > 0.85


def test_the_graph_is_umap_learn_s_of_the_same_distances(rows, cells):
    _umap_learn()  # imported without its word about Tensorflow
    from umap.umap_ import fuzzy_simplicial_set

    (span,) = spans_of(rows, cells, [0, N])
    nearest, apart = nearest_rows(span, [span], cells, sizes_of([span]), K)
    by_row = np.argsort(span.ids)
    distances = (apart[by_row] / (2 * cells.scale**2)).astype(np.float32)
    for mix in (1.0, 0.3):
        theirs, _, _ = fuzzy_simplicial_set(
            rows, K, np.random.RandomState(0), "cosine", knn_indices=nearest[by_row],
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
