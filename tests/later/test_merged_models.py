"""merge_models: counted as one."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer

from dtopics import KeyBERTInspired, TopicModel
from dtopics.errors import InputError, NotFittedError
from dtopics.exchange import as_backend
from dtopics.testing import HashingEmbedder, made_up

pytestmark = pytest.mark.filterwarnings("ignore")  # BERTopic's and its dependencies' own


def manual():
    from bertopic.cluster import BaseCluster

    return BaseCluster()


def model_of(made, rows, **params):
    settings = {"hdbscan_model": manual(), "block_size": 2_000} | params
    vectors = made.embeddings[rows]
    texts = [made.texts[row] for row in rows]
    return TopicModel(**settings).fit(texts, vectors, y=made.labels[rows].tolist())


@pytest.fixture(scope="module")
def made():
    return made_up(1_200, 6, outliers=0.1, empty=0.02, random_state=3)


@pytest.fixture(scope="module")
def halves(made):
    """Rows of two models that have two topics in common, and two of their own each."""
    first = np.flatnonzero(np.isin(made.labels, [-1, 0, 1, 2, 3]))
    second = np.flatnonzero(np.isin(made.labels, [-1, 2, 3, 4, 5]))
    shared = np.flatnonzero(np.isin(made.labels, [-1, 2, 3]))
    return np.setdiff1d(first, shared[::2]), np.setdiff1d(second, shared[1::2])


@pytest.mark.parametrize("vectorizer", [None, CountVectorizer(ngram_range=(1, 2))])
def test_counts_sizes_and_centroids_are_those_of_all(made, halves, vectorizer):
    models = [model_of(made, rows, vectorizer_model=vectorizer) for rows in halves]
    merged = TopicModel.merge_models(models, min_similarity=0.9)
    whole = model_of(made, np.sort(np.concatenate(halves)), vectorizer_model=vectorizer)
    assert len(merged.topic_sizes_) == 7
    nearest = [
        int(np.abs(whole.topic_embeddings_ - row).sum(axis=1).argmin())
        for row in merged.topic_embeddings_
    ]
    assert sorted(nearest) == list(range(7))
    ids = sorted(whole.topic_sizes_)
    for topic, row in zip(sorted(merged.topic_sizes_), nearest, strict=True):
        assert merged.topic_sizes_[topic] == whole.topic_sizes_[ids[row]]
        assert merged.get_topic(topic) == whole.get_topic(ids[row])
    assert (merged.topic_embeddings_ == whole.topic_embeddings_[nearest]).all()
    assert (merged.c_tf_idf_ != whole.c_tf_idf_[nearest]).nnz == 0


def test_topics_like_bertopic(made, halves):
    from bertopic import BERTopic
    from bertopic.dimensionality import BaseDimensionalityReduction

    theirs = []
    for rows in halves:
        model = BERTopic(umap_model=BaseDimensionalityReduction(), hdbscan_model=manual(),
                         language="multilingual")  # fmt: skip
        model.fit([made.texts[row] for row in rows], made.embeddings[rows], y=made.labels[rows])
        theirs.append(model)
    merged = TopicModel.merge_models([model_of(made, rows) for rows in halves], 0.9)
    expected = BERTopic.merge_models(theirs, min_similarity=0.9)
    assert dict(merged.topic_sizes_) == dict(sorted(expected.topic_sizes_.items()))


def test_the_firsts_topics_keep_their_numbers(made, halves):
    one, other = (model_of(made, rows) for rows in halves)
    one.set_topic_labels({0: "mine"})
    other.set_topic_labels({topic: f"theirs {topic}" for topic in other.topic_sizes_})
    before = one.get_topics()
    merged = TopicModel.merge_models([one, other], min_similarity=0.9)
    for topic, words in before.items():
        if topic >= 0 and one.topic_sizes_[topic] == merged.topic_sizes_[topic]:
            assert {word for word, _ in merged.get_topic(topic)} & {word for word, _ in words}
    assert merged.custom_labels_[1] == "mine"
    assert one.get_topics() == before
    for topic in merged.topic_sizes_:
        assert len(merged.get_representative_docs(topic)) == 3


@pytest.mark.parametrize(("least", "n"), [(-1.0, 4), (1.1, 8)])
def test_all_alike_or_none(made, halves, least, n):
    merged = TopicModel.merge_models([model_of(made, rows) for rows in halves], least)
    assert sum(topic >= 0 for topic in merged.topic_sizes_) == n
    assert sum(merged.topic_sizes_.values()) == sum(map(len, halves))


def test_steps_after_merging(made, halves, tmp_path):
    folder = str(tmp_path / "merged")
    merged = TopicModel.merge_models([model_of(made, rows) for rows in halves], 0.9, run=folder)
    assert len(merged.hierarchical_topics()) == 5
    sizes = dict(merged.topic_sizes_)
    merged.merge_topics(topics_to_merge=[0, 1])
    assert merged.topic_sizes_[0] == sizes[0] + sizes[1]
    assert TopicModel.load(folder).topic_sizes_ == merged.topic_sizes_
    assert merged.undo().topic_sizes_ == sizes
    assert merged.visualize_barchart().data
    found, _ = merged.transform(["a"] * 3, merged.topic_embeddings_[1:4])
    assert found == [0, 1, 2]
    bertopic = merged.to_bertopic(as_backend(HashingEmbedder()))
    assert bertopic.get_topics().keys() == merged.get_topics().keys()
    again = TopicModel.merge_models([merged, TopicModel.load(folder)], 0.99)
    assert again.topic_sizes_ == {topic: 2 * size for topic, size in sizes.items()}


def test_given_names_stay(made, halves):
    parts = []
    for name, rows in zip(("one", "two"), halves, strict=True):
        model = model_of(made, rows)
        model._fitted_topics = replace(model._topics, given={0: name})
        parts.append(model)
    merged = TopicModel.merge_models(parts, min_similarity=1.1)
    assert list(merged._topics.given.values()) == ["one", "two"]
    last = max(merged.topic_sizes_)
    merged.merge_topics(topics_to_merge=[last, last - 1])
    assert set(merged._topics.given.values()) == {"one", "two"}


def test_three_models_and_words_by_a_model(made):
    parts = np.array_split(np.arange(len(made.texts)), 3)
    keybert = {"representation_model": KeyBERTInspired(), "embedding_model": HashingEmbedder(64)}
    models = [TopicModel(hdbscan_model=manual(), block_size=2_000, **keybert).fit(
        [made.texts[row] for row in rows], y=made.labels[rows].tolist()) for rows in parts
    ]  # fmt: skip
    merged = TopicModel.merge_models(models, 0.5)
    assert sum(merged.topic_sizes_.values()) == len(made.texts)
    assert set(merged.get_topics()) == set(merged.topic_sizes_)
    assert merged.transform([made.texts[5]])[0]


def test_what_cannot_be_merged(made, halves, tmp_path):
    model = model_of(made, halves[0])
    with pytest.raises(InputError, match="two or more"):
        TopicModel.merge_models([model])
    narrow = TopicModel(hdbscan_model=manual()).fit(
        made.texts[:50], made.embeddings[:50, :8], y=made.labels[:50].tolist()
    )
    with pytest.raises(InputError, match="one width"):
        TopicModel.merge_models([model, narrow])
    model.save(str(tmp_path / "saved"))
    with pytest.raises(NotFittedError, match="counts"):
        TopicModel.merge_models([model, TopicModel.load(str(tmp_path / "saved"))])
    with pytest.raises(InputError, match="not empty"):
        TopicModel.merge_models([model, model], run=str(tmp_path / "saved"))
