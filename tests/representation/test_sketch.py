from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer

from dtopics.representation.sketch import Sketch, least_documents, sketch_size
from dtopics.representation.terms import block_terms
from dtopics.representation.tokens import token_block, tokenize_block
from dtopics.representation.vectorizer import as_counting

COUNTING = as_counting(CountVectorizer(token_pattern=r"\w", ngram_range=(1, 2)))

blocks = st.lists(
    st.lists(st.text("abcdeé ", max_size=9), min_size=1, max_size=5), min_size=1, max_size=4
)


def terms_of(texts):
    return block_terms(token_block(tokenize_block(texts, COUNTING)), COUNTING)


@settings(deadline=None, max_examples=80)
@given(blocks, st.sampled_from([2, 3, 300]), st.sampled_from([2, 8, 1 << 16]))
def test_no_term_is_thought_rarer_than_it_is(parts, most, size):
    whole = terms_of([text for part in parts for text in part])
    sketch = Sketch.empty(size, most)
    for part in parts:
        sketch.add(terms_of(part))
    reached = sketch.may_reach(whole.grams)
    assert not np.any(~reached & (whole.df >= most))
    if size == 1 << 16:  # hardly anything collides
        assert np.array_equal(reached, whole.df >= most)


@settings(deadline=None, max_examples=30)
@given(blocks, st.sampled_from([2, 300]), st.randoms())
def test_merged_in_any_order_it_is_the_same(parts, most, random):
    together = Sketch.empty(64, most)
    sketches = []
    for part in parts:
        terms = terms_of(part)
        together.add(terms)
        sketches.append(Sketch.empty(64, most))
        sketches[-1].add(terms)
    random.shuffle(sketches)
    merged = Sketch.empty(64, most)
    merged.merge(Sketch.from_table(sketch.to_table()) for sketch in sketches)
    assert np.array_equal(merged.counters, together.counters)


@pytest.mark.parametrize(
    ("parameters", "scope", "least"),
    [
        ({}, "document", 1),
        ({"min_df": 4}, "document", 4),
        ({"min_df": 4}, "topic", 4),
        ({"min_df": 0.3}, "document", 3),
        ({"min_df": 0.31}, "document", 4),
        ({"min_df": 0.0}, "document", 1),
        ({"min_df": 0.3}, "topic", 1),
        ({"min_df": 4, "vocabulary": ["a"]}, "document", 1),
    ],
)
def test_least_documents(parameters, scope, least):
    counting = as_counting(CountVectorizer(**parameters), min_df_scope=scope)
    assert least_documents(counting, 10) == least


def test_size_is_a_power_of_two_within_bounds():
    assert sketch_size(0) == sketch_size(100) == 1 << 16
    assert sketch_size(1 << 20) == 1 << 18
    assert sketch_size(1 << 40) == 1 << 26
