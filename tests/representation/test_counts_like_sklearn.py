"""Tokens, terms, vocabulary and counts together against scikit-learn's CountVectorizer."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
from corpus import docstrings, splits
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer

from dtopics.errors import SettingError
from dtopics.representation.counts import count_block, document_counts, merge_counts, to_csr
from dtopics.representation.terms import block_terms
from dtopics.representation.tokens import token_block, tokenize_block
from dtopics.representation.vectorizer import as_counting
from dtopics.representation.vocabulary import (
    Vocabulary,
    block_term_table,
    merge_term_tables,
    prune,
)


def spaced(text):
    """Tokens with spaces in them: one string, several token sequences."""
    return re.findall(r"\w \w|\w+|^$", text)


def ours(vectorizer, texts, seed=0):
    counting = as_counting(vectorizer)
    cuts = splits(len(texts), seed)
    blocks = [
        block_terms(token_block(tokenize_block(texts[cut], counting)), counting) for cut in cuts
    ]
    table = merge_term_tables([block_term_table(block) for block in blocks])
    pruned = prune(table, counting, len(texts))
    vocabulary = Vocabulary.of(pruned)
    labels = np.arange(len(texts))
    counts = [count_block(b, vocabulary, labels[cut]) for b, cut in zip(blocks, cuts, strict=True)]
    X = to_csr(merge_counts(counts), labels, len(vocabulary))
    return X, vocabulary.tolist(), pruned, [document_counts(b, vocabulary) for b in blocks]


def assert_same(vectorizer, texts, seed=0):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # parameters that are not used
        try:
            expected = vectorizer.fit_transform(texts)
        except ValueError:
            with pytest.raises(SettingError):
                ours(vectorizer, texts, seed)
            return
        X, terms, pruned, blocks = ours(vectorizer, texts, seed)
    assert terms == vectorizer.get_feature_names_out().tolist()
    assert X.dtype == np.int64
    assert (expected != X).nnz == 0
    assert np.array_equal(np.concatenate([b.toarray() for b in blocks]), expected.toarray())
    assert pruned["cf"].to_pylist() == np.asarray(expected.sum(axis=0)).ravel().tolist()
    df = np.asarray((expected > 0).sum(axis=0)).ravel()
    assert pruned["df"].to_pylist() == df.tolist()


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"ngram_range": (1, 3)},
        {"ngram_range": (2, 2), "stop_words": "english"},
        {"min_df": 5, "max_df": 0.4},
        {"min_df": 0.03, "max_df": 100, "ngram_range": (1, 2)},
        {"binary": True, "min_df": 2},
        {"lowercase": False, "stop_words": ["the", "of"]},
        {"strip_accents": "unicode", "token_pattern": r"(?u)\w+"},
        {"analyzer": "char_wb", "ngram_range": (2, 3)},
        {"analyzer": "char", "ngram_range": (1, 2), "max_df": 0.9},
        {"analyzer": str.split},
        {"tokenizer": spaced, "token_pattern": None, "ngram_range": (1, 3)},
        {"preprocessor": str.upper},
        {"token_pattern": r"(?u)\w*"},
        {"vocabulary": ["zebra", "array", "the"], "min_df": 50},
        {"vocabulary": {"array of": 1, "the array": 0}, "ngram_range": (2, 2)},
        {"max_df": 1, "min_df": 2},
    ],
    ids=lambda parameters: re.sub(" at 0x[0-9a-f]+", "", str(parameters)),
)
def test_docstrings(parameters):
    texts = [*docstrings()[:120], "", "Été à l’île, naïve", ""]
    assert_same(CountVectorizer(**parameters), texts)


@settings(deadline=None, max_examples=150)
@given(
    texts=st.lists(
        st.text(alphabet="ab AßİéÉ\x00 \n日😀\u0301", max_size=12), min_size=1, max_size=8
    ),
    n_gram_range=st.sampled_from([(1, 1), (1, 2), (2, 3), (1, 4), (3, 3)]),
    min_df=st.sampled_from([1, 2, 0.3]),
    max_df=st.sampled_from([1.0, 0.6, 3]),
    stop_words=st.sampled_from([None, ["a"], ["b", "日"]]),
    analyzer=st.sampled_from(["word", "char", "char_wb", spaced]),
    strip_accents=st.sampled_from([None, "ascii", "unicode"]),
    binary=st.booleans(),
    seed=st.integers(0, 9),
)
def test_any_text(texts, n_gram_range, seed, **parameters):
    vectorizer = CountVectorizer(token_pattern=r"(?u)\w", ngram_range=n_gram_range, **parameters)
    assert_same(vectorizer, texts, seed)


@settings(deadline=None, max_examples=30)
@given(
    texts=st.lists(st.text(max_size=20), min_size=1, max_size=6),
    n_gram_range=st.sampled_from([(1, 1), (1, 3)]),
    seed=st.integers(0, 9),
)
def test_all_of_unicode(texts, n_gram_range, seed):
    texts = [text.encode("utf-8", "replace").decode() for text in texts]
    assert_same(CountVectorizer(analyzer="char", ngram_range=n_gram_range), texts, seed)


@pytest.mark.parametrize("limit", [1, 7, 60, 10_000])
def test_max_features_keeps_the_highest_totals(limit):
    texts = docstrings()[:80]
    vectorizer = CountVectorizer(max_features=limit, min_df=2)
    expected = vectorizer.fit_transform(texts)
    X, terms, pruned, _ = ours(vectorizer, texts)
    assert sorted(X.sum(axis=0).A1) == sorted(np.asarray(expected.sum(axis=0)).ravel())
    assert terms == sorted(terms)
    lowest = min(pruned["cf"].to_pylist())
    theirs = set(vectorizer.get_feature_names_out()) ^ set(terms)
    everything = CountVectorizer(min_df=2)
    totals = np.asarray(everything.fit_transform(texts).sum(axis=0)).ravel()
    assert all(totals[everything.vocabulary_[term]] == lowest for term in theirs)


def test_max_features_breaks_ties_alphabetically():
    _, terms, _, _ = ours(CountVectorizer(max_features=2, token_pattern=r"\w"), ["d c b a a"])
    assert terms == ["a", "b"]


def test_the_split_into_blocks_changes_nothing():
    texts = docstrings()[:60]
    vectorizer = CountVectorizer(ngram_range=(1, 2), min_df=2, max_features=50)
    X, terms, pruned, _ = ours(vectorizer, texts)
    for seed in range(1, 4):
        again, terms_again, pruned_again, _ = ours(vectorizer, texts, seed)
        assert terms_again == terms
        assert pruned_again.equals(pruned)
        assert (again != X).nnz == 0
