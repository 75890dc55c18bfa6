from __future__ import annotations

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer

from dtopics.corpus import Corpus, as_corpus
from dtopics.report.counting_forecast import forecast_counting
from dtopics.report.forecast import forecast
from dtopics.representation.tokens import tokenize_block
from dtopics.representation.vectorizer import as_counting
from dtopics.representation.vocabulary import many_terms
from dtopics.store.tables import table_bytes


def texts_of(n, seed=0):
    """Words by Zipf's law, so that new ones keep coming."""
    words = np.random.default_rng(seed).zipf(1.3, (n, 12))
    return [" ".join(f"w{word}" for word in row) for row in words]


@pytest.mark.parametrize(
    "parameters",
    [{}, {"ngram_range": (1, 2), "min_df": 5}, {"min_df": 0.01}, {"max_features": 50}],
    ids=str,
)
def test_a_sample_of_a_quarter_tells_the_whole(parameters):
    texts = texts_of(8_000)
    vectorizer = CountVectorizer(**parameters)
    found = forecast_counting(texts[:2_000], as_counting(vectorizer), len(texts), 1_000)
    n_terms = len(vectorizer.fit(texts).vocabulary_)
    assert found.n_sampled == 2_000
    assert 0.6 < found.n_terms / n_terms < 1.7
    stored = len(table_bytes(tokenize_block(texts, as_counting(vectorizer))))
    assert 0.6 < found.tokens / stored < 1.7
    assert found.terms > 0 < found.counts


def test_a_fixed_vocabulary_is_its_size():
    counting = as_counting(CountVectorizer(vocabulary=["a", "b"]))
    assert forecast_counting(["aa", "bb"], counting, 10, 10).n_terms == 2


def test_the_plan_has_it_where_there_are_texts():
    corpus = as_corpus(texts_of(50))
    estimate = corpus.estimate()
    without, with_ = forecast(estimate, {}), forecast(estimate, {}, corpus.head(20))
    assert without.counting is None
    assert with_.counting.n_sampled == 20


def test_the_first_texts_of_files(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text("\n".join(f"{name}{i}" for i in range(9)))
    corpus = Corpus([str(tmp_path / "a.txt"), str(tmp_path / "b.txt")])
    assert corpus.head(4) == ["a0", "a1", "b0", "b1"]
    assert len(corpus.head(100)) == 18


@pytest.mark.parametrize(
    ("parameters", "n", "warned"),
    [
        ({"ngram_range": (1, 2)}, 2_000_000, True),
        ({"ngram_range": (1, 2), "min_df": 1e-7}, 2_000_000, True),
        ({"ngram_range": (1, 2)}, 900_000, False),
        ({"ngram_range": (1, 1)}, 2_000_000, False),
        ({"ngram_range": (1, 2), "min_df": 2}, 2_000_000, False),
        ({"ngram_range": (1, 2), "max_features": 10_000}, 2_000_000, False),
        ({"ngram_range": (1, 2), "vocabulary": ["a"]}, 2_000_000, False),
    ],
    ids=str,
)
def test_many_terms_are_warned_of(parameters, n, warned):
    found = many_terms(as_counting(CountVectorizer(**parameters)), n)
    assert (found is not None) == warned
    if warned:
        assert "min_df=10" in found
