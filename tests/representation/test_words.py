from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from dtopics.errors import SettingError
from dtopics.representation.words import NO_WORD, top_words, topic_name


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.lists(st.sampled_from([0.0, 0.1, 0.5, 0.9, -0.2]), min_size=5, max_size=5), max_size=4
    ),
    st.integers(1, 7),
    st.permutations("abcde"),
)
def test_like_sorting_everything(weights, n, terms):
    rows = top_words(csr_matrix(np.array(weights).reshape(-1, 5)), terms, n)
    assert len(rows) == len(weights)
    for row, given_ in zip(rows, weights, strict=True):
        ranked = sorted((-w, t) for w, t in zip(given_, terms, strict=True) if w > 0)
        assert row == ([(t, -w) for w, t in ranked] + [NO_WORD] * n)[:n]


def test_types_and_bounds():
    [[(word, weight)]] = top_words(csr_matrix([[0.0, 2.0]]), np.array(["a", "b"]), 1)
    assert (type(word), type(weight)) == (str, float)
    with pytest.raises(SettingError, match="top_n_words=0"):
        top_words(csr_matrix([[1.0]]), ["a"], 0)


def test_name():
    assert topic_name(-1, [("a", 1.0), ("b", 0.5)]) == "-1_a_b"
