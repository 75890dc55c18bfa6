"""Words, weights and counts beside BERTopic's and scikit-learn's, given the same clusters.

``python -m benchmarks parity``: 20 Newsgroups with its true labels as clusters, BERTopic in its
manual mode, which does not clean the text, ``min_df=1``, unigrams.
"""

import warnings

import numpy as np

from benchmarks.corpora import load


def main(_options):
    from bertopic import BERTopic
    from bertopic.backend import BaseEmbedder
    from bertopic.cluster import BaseCluster
    from bertopic.dimensionality import BaseDimensionalityReduction
    from sklearn.feature_extraction.text import CountVectorizer

    from dtopics import TopicModel

    corpus = load("20newsgroups")
    manual = {"umap_model": BaseDimensionalityReduction(), "hdbscan_model": BaseCluster()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = BERTopic(language="multilingual", embedding_model=BaseEmbedder(), **manual)
        topics, _ = theirs.fit_transform(corpus.texts, corpus.embeddings, y=corpus.labels)
    ours = TopicModel(run="memory://parity", block_size=1_000, **manual)
    found, _ = ours.fit_transform(corpus.texts, corpus.embeddings, y=corpus.labels)
    weights = np.abs(ours.c_tf_idf_ - theirs.c_tf_idf_).max()
    words = [
        abs(dict(ours.get_topic(topic))[word] - weight)
        for topic, listed in theirs.get_topics().items()
        for word, weight in listed
    ]
    expected = CountVectorizer().fit_transform(corpus.texts)
    stage = ours._run.fitted("topics")
    total = stage.whole_table("counts")["count"].to_numpy().sum()
    shared = [
        len(set(documents) & set(ours.get_representative_docs(topic)))
        for topic, documents in theirs.get_representative_docs().items()
    ]
    print(f"topics of all {len(found):,} documents equal: {found == topics}")
    print(f"c-TF-IDF: largest difference {weights:.1e} over {theirs.c_tf_idf_.shape}")
    print(f"top words: largest difference of a weight {max(words):.1e} over {len(words)} words")
    print(f"counts: {total:,} here, {expected.sum():,} by CountVectorizer")
    print(f"representative documents in common: {sum(shared)} of {3 * len(shared)}")
