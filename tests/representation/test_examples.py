from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from sklearn.metrics.pairwise import cosine_similarity

from dtopics.errors import InputError
from dtopics.representation.examples import (
    Examples,
    best_examples,
    candidate_rows,
    draw_candidates,
    similarities,
)


def test_the_draw_is_that_of_pandas():
    topics = np.random.default_rng(1).choice(
        [-1, 0, 1, 2, 5], size=3000, p=[0.2, 0.5, 0.2, 0.09, 0.01]
    )
    frame = pd.DataFrame({"Topic": topics, "ID": np.arange(3000)})
    theirs = frame.groupby("Topic").sample(n=500, replace=True, random_state=42).drop_duplicates()
    sizes = dict(zip(*(v.tolist() for v in np.unique(topics, return_counts=True)), strict=True))
    candidates = draw_candidates(dict(reversed(sizes.items())))
    for topic, positions in candidates.items():
        rows = np.flatnonzero(topics == topic)[positions]
        assert rows.tolist() == sorted(theirs.ID[theirs.Topic == topic])
    found = []
    for start in range(0, 3000, 700):
        before = {t: int((topics[:start] == t).sum()) for t in sizes}
        found += (start + candidate_rows(topics[start : start + 700], before, candidates)).tolist()
    assert found == sorted(theirs.ID)


def test_empty_topics_and_blocks():
    assert draw_candidates({}) == {}
    assert list(draw_candidates({0: 0, 1: 2})) == [1]
    assert candidate_rows(np.array([], dtype=int), {}, {}).tolist() == []


def test_similarities_are_cosines():
    rng = np.random.default_rng(0)
    documents, weights = (
        csr_matrix(rng.random((n, 30)) * (rng.random((n, 30)) < 0.3)) for n in (40, 3)
    )
    topics = rng.choice([-1, 0, 4], size=40)
    expected = cosine_similarity(documents, weights)[
        np.arange(40), np.searchsorted([-1, 0, 4], topics)
    ]
    found = similarities(documents, topics, weights, [-1, 0, 4])
    np.testing.assert_allclose(found, expected, atol=1e-14)
    alone = [
        similarities(documents[i], topics[i : i + 1], weights, [-1, 0, 4])[0] for i in range(40)
    ]
    assert found.tolist() == alone


def test_documents_and_topics_without_terms():
    documents, weights = csr_matrix([[0.0, 0.0], [1.0, 0.0]]), csr_matrix([[1.0, 1.0], [0.0, 0.0]])
    assert similarities(documents, [0, 1], weights, [0, 1]).tolist() == [0.0, 0.0]
    with pytest.raises(InputError, match="topic 7"):
        similarities(documents, [0, 7], weights, [0, 1])


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.integers(-1, 2), st.sampled_from([0.0, 0.5, 0.9])), max_size=25),
    st.integers(0, 25),
)
def test_best_examples_merge_in_any_grouping(drawn, cut):
    topics = np.array([t for t, _ in drawn], dtype=np.int32)
    alike = np.array([s for _, s in drawn], dtype=np.float64)
    whole = Examples(topics, np.arange(len(drawn)), alike)
    parts = [Examples(*(v[:cut] for v in whole)), Examples(*(v[cut:] for v in whole))]
    best = best_examples([whole])
    merged = best_examples([best_examples(parts[1:]), best_examples(parts[:1])])
    assert [v.tolist() for v in best] == [v.tolist() for v in merged]
    for topic in set(topics.tolist()):
        ranked = sorted((-s, row) for row, (t, s) in enumerate(drawn) if t == topic)
        assert best.rows[best.topics == topic].tolist() == [row for _, row in ranked[:3]]


def test_nothing_to_choose_from():
    assert len(best_examples([]).rows) == 0
