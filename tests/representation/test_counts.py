from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer

from dtopics.data import TermCounts
from dtopics.errors import InputError
from dtopics.representation.counts import (
    count_block,
    counts_table,
    from_table,
    merge_counts,
    regroup,
    reterm,
    to_csr,
)
from dtopics.representation.terms import block_terms
from dtopics.representation.tokens import token_block, tokenize_block
from dtopics.representation.vectorizer import as_counting
from dtopics.representation.vocabulary import Vocabulary

SPLIT = as_counting(CountVectorizer(tokenizer=str.split, token_pattern=None))


def counts_of(pairs):
    total = sorted(Counter(pairs).items())
    return TermCounts(
        np.array([g for (g, _), _ in total], dtype=np.int32),
        np.array([t for (_, t), _ in total], dtype=np.int32),
        np.array([n for _, n in total], dtype=np.int64),
    )


def assert_equal(one, two):
    for a, b in zip(one, two, strict=True):
        assert a.dtype == b.dtype
        assert a.tolist() == b.tolist()


pairs = st.lists(st.tuples(st.integers(-1, 3), st.integers(0, 4)), max_size=20)


def test_count_block_sums_documents_by_label():
    terms = block_terms(token_block(tokenize_block(["a b a", "", "b c", "x a"], SPLIT)), SPLIT)
    counts = count_block(terms, Vocabulary.of(["a", "b", "c"]), [1, 1, -1, 1])
    assert_equal(counts, TermCounts(*(np.array(v, dtype=d) for v, d in [
        ([-1, -1, 1, 1], np.int32), ([1, 2, 0, 1], np.int32), ([1, 1, 3, 1], np.int64)])))  # fmt: skip
    with pytest.raises(InputError, match="block of 4 documents"):
        count_block(terms, Vocabulary.of(["a"]), [0, 1])


@settings(deadline=None, max_examples=50)
@given(pairs, pairs, pairs)
def test_merging_is_associative_and_commutative(a, b, c):
    expected = counts_of(a + b + c)
    A, B, C = map(counts_of, (a, b, c))
    assert_equal(merge_counts([A, B, C]), expected)
    assert_equal(merge_counts([C, merge_counts([B, A])]), expected)
    assert_equal(
        merge_counts([merge_counts([A, merge_counts([])]), merge_counts([C, B])]), expected
    )
    assert_equal(from_table(counts_table(expected)), expected)


@settings(deadline=None, max_examples=50)
@given(pairs)
def test_regroup_and_reterm(a):
    mapping = {-1: -1, 0: 2, 1: 0, 2: 2, 3: -1}
    assert_equal(regroup(counts_of(a), mapping), counts_of([(mapping[g], t) for g, t in a]))
    ids = np.array([2, -1, 0, 1, -1], dtype=np.int32)
    kept = [(g, int(ids[t])) for g, t in a if ids[t] >= 0]
    assert_equal(reterm(counts_of(a), ids), counts_of(kept))


def test_regroup_needs_every_group():
    with pytest.raises(InputError, match=r"groups \[3\]"):
        regroup(counts_of([(3, 0)]), {0: 0})


def test_matrix():
    X = to_csr(counts_of([(-1, 0), (2, 1), (2, 1)]), [-1, 0, 2], 3)
    assert X.toarray().tolist() == [[1, 0, 0], [0, 0, 0], [0, 2, 0]]
    assert type(X).__name__ == "csr_matrix"
    assert X.dtype == np.int64
    for groups in ([-1, 0], [0, 2], []):
        with pytest.raises(InputError, match="no row"):
            to_csr(counts_of([(-1, 0), (2, 1)]), groups, 3)
    assert to_csr(counts_of([]), [], 3).shape == (0, 3)


def test_large_counts_stay_exact():
    big = TermCounts(np.zeros(1, np.int32), np.zeros(1, np.int32), np.array([2**53]))
    one = big._replace(counts=np.array([1]))
    assert merge_counts([big, one]).counts.tolist() == [2**53 + 1]
