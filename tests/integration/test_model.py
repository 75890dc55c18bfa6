"""`TopicModel` as its users hold it."""

import numpy as np
import pandas as pd
import pytest
import sklearn.exceptions
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.utils.validation import check_is_fitted

from dtopics import HDBSCAN, UMAP, ClassTfidfTransformer, TopicModel
from dtopics.errors import EmbeddingError, InputError, NotFittedError
from dtopics.store import Location
from dtopics.testing import HashingEmbedder, made_up


@pytest.fixture(scope="module")
def known():
    corpus = made_up(400, 4, outliers=0.05, empty=0.01, random_state=5)
    model = TopicModel(min_topic_size=10, run="memory://model")
    model.fit(corpus.texts, corpus.embeddings)
    return corpus, model


def memory(name):
    Location(f"memory://{name}").remove()
    return f"memory://{name}"


def test_scikit_learns_habits():
    umap, counter = UMAP(n_neighbors=7), CountVectorizer(min_df=3)
    model = TopicModel(umap_model=umap, vectorizer_model=counter, min_topic_size=33)
    assert model.get_params(deep=False)["umap_model"] is umap
    copy = clone(model)
    assert copy.get_params(deep=False)["vectorizer_model"].min_df == 3
    assert copy.set_params(min_topic_size=5).min_topic_size == 5
    with pytest.raises(sklearn.exceptions.NotFittedError):
        check_is_fitted(model)


def test_what_comes_out(known):
    corpus, model = known
    check_is_fitted(model)
    assert isinstance(model.topics_, list)
    assert model.labels_.tolist() == model.topics_
    assert model.probabilities_.shape == (400,)
    sizes = model.topic_sizes_
    assert {t: model.topics_.count(t) for t in sizes} == sizes
    inside = [t for t in sizes if t >= 0]
    assert inside == sorted(inside, key=lambda t: -sizes[t])
    assert model.topic_embeddings_.shape == (len(sizes), 32)
    assert model.c_tf_idf_.shape[0] == len(sizes)
    assert model.embeddings.compute(scheduler="threads").shape == (400, 32)
    info = model.get_topic_info()
    assert info.columns.tolist() == [
        "Topic", "Count", "Name", "Representation", "Representative_Docs"
    ]  # fmt: skip
    assert info["Count"].sum() == 400
    assert model.get_topic_freq(0) == sizes[0]
    assert model.get_topic_freq()["Count"].is_monotonic_decreasing
    assert model.get_topic(99) is False
    assert len(model.get_topic(0)) == 10
    assert model.topic_labels_[0].startswith("0_")
    docs = model.get_representative_docs(0)
    assert len(docs) == 3
    assert set(docs) <= set(corpus.texts)
    documents = model.get_document_info(corpus.texts)
    assert documents["Topic"].tolist() == model.topics_
    assert documents["Representative_document"].sum() >= 3


def test_centroids_are_the_means_of_the_embeddings(known):
    corpus, model = known
    kept = corpus.embeddings.astype(np.float16).astype(np.float64)
    filled = np.array([bool(text) for text in corpus.texts])
    for row, topic in enumerate(model.topic_sizes_):
        mine = (model.labels_ == topic) & filled
        if not mine.any():  # the outliers may all be empty
            continue
        np.testing.assert_allclose(model.topic_embeddings_[row], kept[mine].mean(axis=0), atol=1e-7)


def test_new_documents_alone_and_together(known):
    corpus, model = known
    together, probabilities = model.transform(corpus.texts[:60], corpus.embeddings[:60])
    alone = [model.transform([corpus.texts[i]], corpus.embeddings[i : i + 1]) for i in (0, 7, 59)]
    assert [topics[0] for topics, _ in alone] == [together[i] for i in (0, 7, 59)]
    assert [p[0] for _, p in alone] == [probabilities[i] for i in (0, 7, 59)]
    assert np.mean(np.array(together) == np.array(model.topics_[:60])) > 0.9


def test_a_place_does_not_depend_on_block_or_order(known, tmp_path):
    corpus, model = known
    order = np.random.default_rng(0).permutation(400)

    def places(rows, block_size, name):
        model.set_params(block_size=block_size)
        out = tmp_path / name
        texts = [corpus.texts[i] for i in rows]
        model.transform(texts, corpus.embeddings[rows], out=str(out))
        from dtopics.store import Run

        stage = Run.open(Location(str(out / "_dtopics"))).fitted("reduced")
        return stage.dask_array("reduced").compute(scheduler="threads")

    expected = places(np.arange(400), 16_384, "all")
    np.testing.assert_array_equal(places(np.arange(400), 100, "blocks"), expected)
    np.testing.assert_array_equal(places(order, 1_000, "order"), expected[order])
    model.set_params(block_size=None)


def test_a_saved_predictor_is_small_and_needs_no_corpus(known, tmp_path):
    corpus, model = known
    model.save(str(tmp_path / "saved"))
    size = sum(path.stat().st_size for path in (tmp_path / "saved").rglob("*"))
    assert size < 200_000
    again = TopicModel.load(str(tmp_path / "saved"), embedding_model=HashingEmbedder(32))
    assert again.get_topics() == model.get_topics()
    assert again.get_topic_info().equals(model.get_topic_info())
    inside = model.labels_ >= 0
    topics, cosines = again.transform(corpus.texts, corpus.embeddings)
    assert np.mean(np.array(topics)[inside] == model.labels_[inside]) > 0.9
    assert ((cosines >= -1) & (cosines <= 1 + 1e-6)).all()
    assert all(t == -1 for t, text in zip(topics, corpus.texts, strict=True) if not text)
    with pytest.raises(NotFittedError, match="not its documents"):
        again.topics_  # noqa: B018
    with pytest.raises(NotFittedError, match="not their counts"):
        again.c_tf_idf_  # noqa: B018
    with pytest.raises(NotFittedError, match="not its documents"):
        again.embeddings  # noqa: B018
    with pytest.raises(InputError, match="already"):
        model.save(str(tmp_path / "saved"))


def test_a_run_that_is_opened_again(tmp_path):
    corpus = made_up(300, 3, random_state=1)
    embedder = HashingEmbedder(32)
    model = TopicModel(embedding_model=embedder, run=str(tmp_path), min_topic_size=10)
    model.fit(corpus.texts)
    expected = model.transform(corpus.texts[:20])
    with pytest.raises(EmbeddingError, match="embedding_model="):
        TopicModel.load(str(tmp_path)).transform(corpus.texts[:20])
    again = TopicModel.load(str(tmp_path), embedding_model=embedder)
    assert again.min_topic_size == 10
    assert again.topics_.compute(scheduler="threads").tolist() == model.topics_
    found = again.transform(corpus.texts[:20])
    assert found[0] == expected[0]
    np.testing.assert_array_equal(found[1], expected[1])


def test_a_pipeline_as_embedding_model(tmp_path):
    corpus = made_up(300, 3, outliers=0.0, random_state=1)
    pipe = make_pipeline(TfidfVectorizer(), TruncatedSVD(16))
    model = TopicModel(embedding_model=pipe, run=str(tmp_path), min_topic_size=10)
    model.fit(corpus.texts)
    assert not hasattr(pipe[-1], "components_")
    expected = model.transform(corpus.texts[:20])[0]
    with pytest.raises(EmbeddingError, match="trust=True"):
        TopicModel.load(str(tmp_path)).transform(corpus.texts[:20])
    assert TopicModel.load(str(tmp_path), trust=True).transform(corpus.texts[:20])[0] == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"umap_model": PCA(3)},
        {"umap_model": TruncatedSVD(3)},
        {"umap_model": UMAP(n_components=2)},
        {"hdbscan_model": HDBSCAN(20, cluster_selection_method="leaf")},
        {"hdbscan_model": KMeans(4)},
        {"umap_model": PCA(3), "hdbscan_model": KMeans(4)},
        {"nr_topics": 3},
        {"nr_topics": "auto"},
        {"ctfidf_model": ClassTfidfTransformer(bm25_weighting=True, reduce_frequent_words=True)},
        {"min_df_scope": "topic", "vectorizer_model": CountVectorizer(min_df=2)},
        {"n_gram_range": (1, 2), "top_n_words": 4},
        {"random_state": None},
    ],
    ids="-".join,
)
def test_other_strategies(known, changes):
    corpus, _ = known
    settings = {"min_topic_size": 15, "sample_size": 250, "refine": False,
                "run": memory("strategies"), **changes}  # fmt: skip
    model = TopicModel(**settings)
    topics, _ = model.fit_transform(corpus.texts, corpus.embeddings)
    assert len(topics) == 400
    assert sum(model.topic_sizes_.values()) == 400
    assert all(topics[i] == -1 for i, text in enumerate(corpus.texts) if not text)
    again, _ = model.transform(corpus.texts[:30], corpus.embeddings[:30])
    assert len(again) == 30
    if "nr_topics" in changes:
        assert len(model.topic_sizes_) <= 5
    if isinstance(changes.get("hdbscan_model"), KMeans):
        assert set(topics) - {-1} == {0, 1, 2, 3}


def test_classes_guide_the_reduction(known):
    corpus, _ = known
    model = TopicModel(min_topic_size=15, run=memory("guided"))
    topics, _ = model.fit_transform(corpus.texts, corpus.embeddings, y=corpus.labels)
    assert len(set(topics) - {-1}) == 4


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ImportWarning")
def test_like_bertopic_given_the_same_clusters():
    """Words, weights, sizes, centroids and examples equal BERTopic's, in its manual mode."""
    from bertopic import BERTopic
    from bertopic.backend import BaseEmbedder
    from bertopic.cluster import BaseCluster
    from bertopic.dimensionality import BaseDimensionalityReduction

    corpus = made_up(600, 5, outliers=0.1, random_state=8)
    embeddings = corpus.embeddings.astype(np.float16).astype(np.float32)
    reference = BERTopic(
        language="multilingual",
        umap_model=BaseDimensionalityReduction(),
        hdbscan_model=BaseCluster(),
        embedding_model=BaseEmbedder(),
    )
    expected, _ = reference.fit_transform(corpus.texts, embeddings, y=corpus.labels)
    model = TopicModel(
        umap_model=BaseDimensionalityReduction(), hdbscan_model=BaseCluster(), run=memory("manual")
    )
    topics, _ = model.fit_transform(corpus.texts, embeddings, y=corpus.labels)
    assert topics == expected
    assert model.topic_sizes_ == {int(k): int(v) for k, v in reference.topic_sizes_.items()}
    np.testing.assert_allclose(model.topic_embeddings_, reference.topic_embeddings_, atol=1e-6)
    np.testing.assert_allclose(
        model.c_tf_idf_.toarray(), reference.c_tf_idf_.toarray(), rtol=0, atol=1e-9
    )
    for topic, words in reference.get_topics().items():
        ours = dict(model.get_topic(topic))
        for word, weight in words:
            if weight > min(w for _, w in words):
                assert ours[word] == pytest.approx(weight, abs=1e-9)
    for topic, documents in reference.get_representative_docs().items():
        assert len(set(documents) & set(model.get_representative_docs(topic))) >= 2


def test_degenerate_results_are_said(caplog):
    corpus = made_up(700, 1, outliers=0.02, random_state=2)
    with caplog.at_level("WARNING", "dtopics"):
        model = TopicModel(
            min_topic_size=300, run=memory("degenerate"), hdbscan_model=KMeans(2)
        ).fit(corpus.texts, corpus.embeddings)
    assert model.messages_
    assert "min_topic_size" in caplog.text or "max_cluster_size" in caplog.text


def test_a_run_that_is_opened_says_what_looks_wrong(tmp_path, monkeypatch):
    corpus = made_up(60, 2)
    settings = {"min_topic_size": 59, "run": str(tmp_path / "run")}
    model = TopicModel(**settings).fit(corpus.texts, corpus.embeddings)
    assert "min_topic_size" in model.messages_[0]
    opened = TopicModel.load(str(tmp_path / "run"))
    assert opened.messages_ == model.messages_
    model.save(str(tmp_path / "saved"))
    assert TopicModel.load(str(tmp_path / "saved")).messages_ == []


def test_documents_beside_the_topics_of_a_run_that_is_opened(tmp_path):
    corpus = made_up(60, 2)
    model = TopicModel(min_topic_size=5, run=str(tmp_path)).fit(corpus.texts, corpus.embeddings)
    opened = TopicModel.load(str(tmp_path)).get_document_info(corpus.texts)
    assert opened.equals(model.get_document_info())


def test_documents_of_another_number_in_the_table(known):
    corpus, model = known
    with pytest.raises(InputError, match="docs are 3; expected the 400"):
        model.get_document_info(corpus.texts[:3])


def test_vectors_of_another_width_are_refused_before_the_work(tmp_path):
    corpus = made_up(120, 2)
    embedder = HashingEmbedder(32)
    model = TopicModel(min_topic_size=5, run=str(tmp_path / "run"), embedding_model=embedder)
    model.fit(corpus.texts)
    other = TopicModel.load(str(tmp_path / "run"), embedding_model=HashingEmbedder(16))
    out = tmp_path / "out"
    with pytest.raises(EmbeddingError, match="16 features, the topics were made of 32"):
        other.transform(corpus.texts, out=str(out))
    with pytest.raises(EmbeddingError, match="7 features"):
        other.transform(corpus.texts, np.ones((120, 7)), out=str(out))
    assert not (out / "_dtopics" / "stages").exists()
    assert len(model.transform(corpus.texts, out=str(out))[0]) == 120


def test_a_giant_gives_way_and_it_is_said():
    rng = np.random.default_rng(4)
    centres = np.concatenate([rng.normal(0, 0.4, (12, 3)), [[40.0, 0, 0]]])
    labels = np.repeat(np.arange(13), 60)
    vectors = (centres[labels] + rng.normal(0, 0.12, (780, 3))).astype(np.float32)
    texts = [f"word{label} other{i % 7}" for i, label in enumerate(labels)]

    def fit(share):
        clusterer = HDBSCAN(40, min_samples=5, max_cluster_size=share)
        model = TopicModel(umap_model="none", hdbscan_model=clusterer, run=memory("giant"))
        return model.fit(texts, vectors)

    collapsed, divided = fit(0), fit(0.8)
    assert collapsed._topics.n_topics == 2
    assert any("max_cluster_size" in message for message in collapsed.messages_)
    assert divided._topics.n_topics > 3
    assert any("92% of the documents gave way" in message for message in divided.messages_)


def test_a_temporary_run_goes_with_the_model():
    import gc
    from pathlib import Path

    corpus = made_up(60, 2)
    model = TopicModel(min_topic_size=5).fit(corpus.texts, corpus.embeddings)
    run = Path(model.run_)
    assert run.exists()
    assert isinstance(model.get_topic_info(), pd.DataFrame)
    del model
    gc.collect()
    assert not run.exists()
