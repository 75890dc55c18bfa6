"""Words, weights, c-TF-IDF and representative documents against BERTopic itself."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from corpus import docstrings, splits
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import CountVectorizer

from dtopics.representation.counts import count_block, document_counts, merge_counts, to_csr
from dtopics.representation.ctfidf import as_ctfidf, weigh
from dtopics.representation.examples import (
    Examples,
    best_examples,
    candidate_rows,
    draw_candidates,
    similarities,
)
from dtopics.representation.terms import block_terms
from dtopics.representation.tokens import select_documents, token_block, tokenize_block
from dtopics.representation.vectorizer import as_counting
from dtopics.representation.vocabulary import (
    Vocabulary,
    block_term_table,
    merge_term_tables,
    prune,
    topic_term_table,
)
from dtopics.representation.words import top_words, topic_name

pytestmark = pytest.mark.filterwarnings("ignore")  # BERTopic's and its dependencies' own


@pytest.fixture(scope="module")
def vectorizers():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("bertopic.vectorizers")


def fit_bertopic(texts, labels, vectorizer, ctfidf, seed_topic_list=None):
    from bertopic import BERTopic
    from bertopic.cluster import BaseCluster
    from bertopic.dimensionality import BaseDimensionalityReduction

    model = BERTopic(
        language="multilingual",
        umap_model=BaseDimensionalityReduction(),
        hdbscan_model=BaseCluster(),
        vectorizer_model=vectorizer,
        ctfidf_model=ctfidf,
        top_n_words=10,
    )
    model.embedding_model = None
    model.seed_topic_list = seed_topic_list
    embeddings = np.random.default_rng(0).random((len(texts), 4))
    topics, _ = model.fit_transform(texts, embeddings=embeddings, y=np.array(labels))
    return model, np.array(topics)


def sizes_of(topics):
    return dict(zip(*(v.tolist() for v in np.unique(topics, return_counts=True)), strict=True))


def ours(texts, topics, vectorizer, ctfidf_model, seed_topic_list=None):
    counting = as_counting(vectorizer, min_df_scope="topic")
    cuts = splits(len(texts), 3)
    tokens = [token_block(tokenize_block(texts[cut], counting)) for cut in cuts]
    blocks = [block_terms(block, counting) for block in tokens]
    table = merge_term_tables([block_term_table(block) for block in blocks])

    def counts_over(vocabulary):
        return merge_counts(
            [count_block(b, vocabulary, topics[cut]) for b, cut in zip(blocks, cuts, strict=True)]
        )

    ids = np.unique(topics)
    by_topic = topic_term_table(table, counts_over(Vocabulary.of(table)))
    vocabulary = Vocabulary.of(prune(by_topic, counting, len(ids)))
    X = to_csr(counts_over(vocabulary), ids, len(vocabulary))
    model = as_ctfidf(ctfidf_model)
    model.fit(X, multiplier=model.multiplier_for(vocabulary.tolist(), seed_topic_list))
    weights = model.transform(X)

    candidates = draw_candidates(sizes_of(topics))
    parts = []
    for block, cut in zip(tokens, cuts, strict=True):
        rows = candidate_rows(topics[cut], sizes_of(topics[: cut.start]), candidates)
        drawn = block_terms(select_documents(block, rows), counting)
        documents = weigh(document_counts(drawn, vocabulary), model.idf_,
                          reduce_frequent_words=model.reduce_frequent_words)  # fmt: skip
        own = topics[cut][rows].astype(np.int32)
        parts.append(Examples(own, rows + cut.start, similarities(documents, own, weights, ids)))
    return vocabulary.tolist(), weights, parts


@pytest.mark.parametrize(
    ("counting", "weighting", "seed_topic_list"),
    [
        ({}, {}, None),
        ({"stop_words": "english", "min_df": 2}, {"reduce_frequent_words": True}, None),
        ({"max_df": 0.9, "ngram_range": (1, 1)}, {"bm25_weighting": True}, None),
        ({}, {"seed_words": ["array", "matrix"], "seed_multiplier": 3}, [["matrix", "sparse"]]),
    ],
    ids=["default", "stop words and square roots", "bm25", "seeds"],
)
def test_words_weights_and_examples(vectorizers, counting, weighting, seed_topic_list):
    texts = [f"{text} a{i}" for i, text in enumerate(docstrings())]  # no two alike
    labels = np.random.default_rng(7).choice(
        [-1, 0, 1, 2, 3], size=len(texts), p=[0.1, 0.5, 0.3, 0.09, 0.01]
    )
    vectorizer = CountVectorizer(**counting)
    weigher = vectorizers.ClassTfidfTransformer(**weighting)
    model, topics = fit_bertopic(texts, labels, vectorizer, weigher, seed_topic_list)
    terms, weights, parts = ours(texts, topics, vectorizer, weigher, seed_topic_list)

    assert terms == model.vectorizer_model.get_feature_names_out().tolist()
    np.testing.assert_allclose(weights.toarray(), model.c_tf_idf_.toarray(), atol=1e-12)
    for topic, row in zip(np.unique(topics).tolist(), top_words(weights, terms, 10), strict=True):
        expected = model.get_topic(topic)
        np.testing.assert_allclose([w for _, w in row], [w for _, w in expected], atol=1e-12)
        assert_same_above_the_last(dict(row), dict(expected))
        assert topic_name(topic, expected) == model.topic_labels_[topic]
    best = best_examples(parts)
    everyone = Examples(*(np.concatenate(each) for each in zip(*parts, strict=True)))
    for topic, found in model.representative_docs_.items():
        own = everyone.topics == topic
        alike = dict(
            zip([texts[row] for row in everyone.rows[own]], everyone.similarities[own], strict=True)
        )
        chosen = {texts[row]: alike[texts[row]] for row in best.rows[best.topics == topic]}
        assert len(chosen) == len(found) == min(3, own.sum())
        assert_same_above_the_last(chosen, {text: alike[text] for text in found})


def assert_same_above_the_last(one, two):
    """BERTopic's order is arbitrary, and so is its choice among those as heavy as the last."""
    np.testing.assert_allclose(sorted(one.values()), sorted(two.values()), atol=1e-12)
    last = min(one.values()) + 1e-12
    assert {k for k, v in one.items() if v > last} == {k for k, v in two.items() if v > last}


def test_the_transformer_alone(vectorizers):
    X = csr_matrix(np.random.default_rng(0).poisson(1.5, size=(9, 60)) + np.eye(9, 60, dtype=int))
    for bm25_weighting in (False, True):
        for reduce_frequent_words in (False, True):
            weigher = vectorizers.ClassTfidfTransformer(bm25_weighting, reduce_frequent_words)
            expected = weigher.fit(X.copy()).transform(X.astype(float)).toarray()
            found = as_ctfidf(weigher).fit_transform(X).toarray()
            np.testing.assert_allclose(found, expected, atol=1e-12, rtol=0)


def test_the_online_vectorizer(vectorizers, caplog):
    online = vectorizers.OnlineCountVectorizer(stop_words="english", min_df=2)
    assert as_counting(online).min_df == 2
    assert as_counting(online).describe_tokens() == as_counting().describe_tokens()
    as_counting(vectorizers.OnlineCountVectorizer(decay=0.1))
    assert "none is forgotten" in caplog.text
