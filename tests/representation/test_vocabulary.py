from __future__ import annotations

import pickle

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer

from dtopics.errors import SettingError
from dtopics.representation.counts import count_block
from dtopics.representation.terms import block_terms
from dtopics.representation.tokens import token_block, tokenize_block
from dtopics.representation.vectorizer import as_counting
from dtopics.representation.vocabulary import (
    Vocabulary,
    block_term_table,
    merge_term_tables,
    prune,
    topic_term_table,
)


def terms_of(texts, counting):
    return block_terms(token_block(tokenize_block(texts, counting)), counting)


def term_table(terms):
    return merge_term_tables([block_term_table(terms)])


def table_of(totals):
    terms = sorted(totals)
    return pa.table(
        {
            "term": pa.array(terms, pa.large_string()),
            "df": pa.array([totals[t][0] for t in terms], pa.int64()),
            "cf": pa.array([totals[t][1] for t in terms], pa.int64()),
        }
    )


tables = st.dictionaries(
    st.text(alphabet="ab\x00é\U0001f600￿", max_size=3), st.tuples(st.integers(1, 9), st.integers(9, 99)),
    max_size=6,
).map(table_of)  # fmt: skip


@settings(deadline=None, max_examples=50)
@given(tables, tables, tables)
def test_merging_is_associative_and_commutative(a, b, c):
    merged = merge_term_tables([a, b, c])
    assert merged.equals(merge_term_tables([merge_term_tables([c, a]), b]))
    assert merged.equals(merge_term_tables([a, merge_term_tables([b, c])]))
    assert merged["term"].to_pylist() == sorted(merged["term"].to_pylist())
    assert sum(merged["cf"].to_pylist()) == sum(sum(t["cf"].to_pylist()) for t in (a, b, c))


def test_merging_nothing():
    assert merge_term_tables([]).equals(table_of({}))


def test_ids():
    vocabulary = Vocabulary.of(["pear", "fig", "\x00"])
    ids = vocabulary.ids_of(pa.array(["fig", "kiwi", "\x00", "", "pear"]))
    assert ids.tolist() == [1, -1, 2, -1, 0]
    assert ids.dtype == np.int32
    assert len(vocabulary) == 3
    assert vocabulary.ids_of([]).tolist() == []
    assert pickle.loads(pickle.dumps(vocabulary)).tolist() == ["pear", "fig", "\x00"]


def test_topic_scope_is_bertopics_reading():
    texts = ["apple pear", "apple fig", "apple", "fig fig", "kiwi"]
    topics = [0, 0, 0, 1, -1]
    vectorizer = CountVectorizer(min_df=2)
    joined = [
        " ".join(t for t, k in zip(texts, topics, strict=True) if k == topic)
        for topic in (-1, 0, 1)
    ]
    expected = vectorizer.fit(joined).get_feature_names_out().tolist()
    counting = as_counting(vectorizer, min_df_scope="topic")
    terms = terms_of(texts, counting)
    table = term_table(terms)
    by_topic = topic_term_table(table, count_block(terms, Vocabulary.of(table), topics))
    assert prune(by_topic, counting, 3)["term"].to_pylist() == expected == ["fig"]
    assert prune(table, as_counting(vectorizer), 5)["term"].to_pylist() == ["apple", "fig"]


@pytest.mark.parametrize(
    ("vectorizer", "texts", "said"),
    [
        (CountVectorizer(min_df=5), ["ab", "ab"], "none of 1 terms is in 5 to 2"),
        (CountVectorizer(min_df=3, max_df=2), ["ab"] * 4, "max_df=2 .* min_df=3"),
        (CountVectorizer(max_df=0.5), ["ab", "ab"], "commonest is in 2"),
        (CountVectorizer(), ["", "a"], "no document has a term: of 2 documents"),
        (CountVectorizer(stop_words=["ab"]), ["ab"], "stop words"),
    ],
)
def test_nothing_left(vectorizer, texts, said):
    counting = as_counting(vectorizer)
    table = term_table(terms_of(texts, counting))
    if counting.min_df == 5:
        said = "min_df=5"
    with pytest.raises(SettingError, match=said):
        prune(table, counting, len(texts))


def test_fixed_vocabulary_keeps_its_order_and_its_missing_terms():
    counting = as_counting(CountVectorizer(vocabulary=["pear", "zebra", "apple"]))
    table = prune(term_table(terms_of(["apple pear", "apple apple"], counting)), counting, 2)
    assert table.to_pydict() == {
        "term": ["pear", "zebra", "apple"],
        "df": [1, 0, 2],
        "cf": [1, 0, 3],
    }
