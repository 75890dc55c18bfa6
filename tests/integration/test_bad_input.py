"""Bad input gets a clear error before work starts, or a defined result; nothing earlier is lost."""

import json

import numpy as np
import pandas as pd
import pytest
from runs import SETTINGS
from sklearn.feature_extraction.text import CountVectorizer

from dtopics import Corpus, TopicModel
from dtopics.errors import (
    CorpusError,
    EmbeddingError,
    InputError,
    NotFittedError,
    RunAccessError,
    RunError,
    RunMismatchError,
    SettingError,
)
from dtopics.testing import HashingEmbedder, made_up


def small(n=60, **changes):
    corpus = made_up(n, 2, outliers=0.0)
    settings = {"min_topic_size": 5, "run": "memory://bad-input", **changes}
    return corpus, TopicModel(**settings)


@pytest.fixture(autouse=True)
def _clean():
    yield
    from dtopics.store import Location

    Location("memory://bad-input").remove()


def nothing_was_done(path):
    return not (path / "run.json").exists() and not (path / "stages").exists()


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"min_topic_size": 1}, "min_topic_size"),
        ({"min_topic_size": "ten"}, "min_topic_size"),
        ({"top_n_words": 0}, "top_n_words"),
        ({"sample_size": 3}, "sample_size"),
        ({"random_state": -1}, "random_state"),
        ({"block_size": 0}, "block_size"),
        ({"min_df_scope": "word"}, "min_df_scope"),
        ({"nr_topics": [3]}, "nr_topics"),
        ({"language": None}, "language"),
        ({"n_gram_range": (2, 1)}, "n_gram_range"),
        ({"vectorizer_model": "english"}, "vectorizer_model"),
        ({"hdbscan_model": object()}, "hdbscan_model"),
        ({"umap_model": object()}, "umap_model"),
        ({"ctfidf_model": 3}, "ctfidf_model"),
        ({"embedding_model": 3.5}, "embedding_model"),
        ({"embedding_model": "/no/such/folder"}, "no folder"),
    ],
)
def test_settings_that_mean_nothing(tmp_path, settings, match):
    corpus = made_up(60, 2)
    model = TopicModel(**{"run": str(tmp_path), **settings})
    given = None if "embedding_model" in settings else corpus.embeddings
    with pytest.raises(InputError, match=match):
        model.fit(corpus.texts, given)
    assert nothing_was_done(tmp_path)


@pytest.mark.parametrize(
    ("documents", "match"),
    [
        ([], "empty"),
        (["a", 3], "int"),
        ("/no/such/file.parquet", "no/such/file"),
        (7, "int"),
        (pd.DataFrame({"a": ["x"], "b": ["y"]}), "text_column"),
        (pd.DataFrame({"a": [1, 2]}), "text"),
    ],
)
def test_documents_that_are_none(tmp_path, documents, match):
    with pytest.raises(CorpusError, match=match):
        TopicModel(run=str(tmp_path)).fit(documents, np.zeros((2, 4)))
    assert not (tmp_path / "stages").exists()


def test_a_missing_column_and_a_column_of_another_type(tmp_path):
    pd.DataFrame({"body": ["a b", "c d"], "n": [1, 2]}).to_parquet(tmp_path / "x.parquet")
    url = str(tmp_path / "x.parquet")
    for column, match in (("text", "body"), ("n", "int64")):
        with pytest.raises(CorpusError, match=match):
            TopicModel(run=str(tmp_path / "run")).fit(Corpus(url, text_column=column))
    assert not (tmp_path / "run" / "stages").exists()


def test_a_truncated_parquet_file_is_named(tmp_path):
    file = tmp_path / "half.parquet"
    pd.DataFrame({"text": ["a b"] * 100}).to_parquet(file)
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(CorpusError, match=r"half\.parquet"):
        TopicModel(run=str(tmp_path / "run")).fit(str(file))


def test_all_documents_empty():
    _, model = small()
    with pytest.raises(CorpusError, match="all 3 documents are empty"):
        model.fit(["", " ", "\n"], np.ones((3, 4)))


def test_all_documents_empty_of_a_vocabulary_is_said_before_the_embedding():
    class Never:
        cache_key = "never"

        def encode(self, texts):
            raise AssertionError("embedded")

    _, model = small(embedding_model=Never())
    with pytest.raises(SettingError, match="no document has a term"):
        model.fit(["! ?", "... ;"] * 20)


@pytest.mark.parametrize("n", [1, 2, 3, 8])
def test_fewer_documents_than_a_topic_needs_are_outliers(n):
    corpus, model = small(min_topic_size=10)
    topics, probabilities = model.fit_transform(corpus.texts[:n], corpus.embeddings[:n])
    assert topics == [-1] * n
    assert probabilities.tolist() == [0.0] * n
    assert model.topic_sizes_ == {-1: n}
    assert "outliers" in model.messages_[0]
    assert len(model.get_topic_info()) == 1


def test_null_texts_are_counted_and_are_outliers(corpus):
    _, model = small()
    texts = [None, *corpus.texts[:99]]
    topics, probabilities = model.fit_transform(texts, corpus.embeddings[:100])
    assert topics[0] == -1
    assert probabilities[0] == 0
    assert len(topics) == 100
    assert sum(model.topic_sizes_.values()) == 100


def test_a_document_of_ten_megabytes():
    corpus, model = small()
    texts = [*corpus.texts[:-1], "word " * 2_000_000]
    topics, _ = model.fit_transform(texts, corpus.embeddings)
    assert len(topics) == 60
    assert model.get_representative_docs()


def test_a_vocabulary_emptied_by_min_df_names_the_setting():
    corpus, model = small(vectorizer_model=CountVectorizer(min_df=61))
    with pytest.raises(SettingError, match="min_df=61"):
        model.fit(corpus.texts, corpus.embeddings)


def test_embeddings_of_another_length():
    corpus, model = small()
    with pytest.raises(EmbeddingError, match=r"59 embeddings for 60 documents"):
        model.fit(corpus.texts, corpus.embeddings[:-1])


def test_embeddings_with_nan_name_the_row():
    corpus, model = small()
    embeddings = corpus.embeddings.copy()
    embeddings[37, 2] = np.nan
    with pytest.raises(EmbeddingError, match="row 37"):
        model.fit(corpus.texts, embeddings)


def test_embeddings_of_empty_documents_may_be_nan():
    corpus, model = small()
    texts, embeddings = ["", *corpus.texts[1:]], corpus.embeddings.copy()
    embeddings[0] = np.nan
    topics, _ = model.fit_transform(texts, embeddings)
    assert topics[0] == -1
    assert np.isfinite(model.topic_embeddings_).all()


def test_an_embedder_that_returns_nan_or_too_few():
    class Broken(HashingEmbedder):
        cache_key = "broken"

        def encode(self, texts):
            return np.full((len(texts), 4), np.nan)

    corpus, model = small(embedding_model=Broken())
    with pytest.raises(EmbeddingError, match="NaN"):
        model.fit(corpus.texts)


def test_a_run_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    corpus, model = small(run=str(tmp_path / "file" / "run"))
    with pytest.raises(RunAccessError, match="cannot write"):
        model.fit(corpus.texts, corpus.embeddings)


def test_a_run_of_another_corpus_is_left_as_it_is(tmp_path):
    corpus = made_up(120, 2)
    settings = {"min_topic_size": 5, "run": str(tmp_path)}
    first = TopicModel(**settings).fit(corpus.texts, corpus.embeddings)
    before = (tmp_path / "run.json").read_bytes()
    with pytest.raises(RunMismatchError, match="another corpus"):
        TopicModel(**settings).fit(corpus.texts[:100], corpus.embeddings[:100])
    assert (tmp_path / "run.json").read_bytes() == before
    assert TopicModel.load(str(tmp_path)).topic_sizes_ == first.topic_sizes_


def test_a_source_that_changed_under_a_run(tmp_path):
    corpus = made_up(120, 2)
    file = tmp_path / "x.parquet"
    pd.DataFrame({"text": corpus.texts}).to_parquet(file)
    settings = {"min_topic_size": 5, "run": str(tmp_path / "run")}
    TopicModel(**settings).fit(str(file), corpus.embeddings)
    pd.DataFrame({"text": corpus.texts[::-1]}).to_parquet(file)
    with pytest.raises(RunMismatchError, match=r"the source .*x\.parquet changed"):
        TopicModel(**settings).fit(str(file), corpus.embeddings)


def test_a_source_that_changed_while_it_was_read(tmp_path):
    corpus = made_up(120, 2)
    file = tmp_path / "x.parquet"
    pd.DataFrame({"text": corpus.texts}).to_parquet(file)

    class Meddles(HashingEmbedder):
        cache_key = "meddles"

        def encode(self, texts):
            pd.DataFrame({"text": corpus.texts[::-1]}).to_parquet(file)
            return HashingEmbedder(8).encode(texts)

    model = TopicModel(min_topic_size=5, run=str(tmp_path / "run"), embedding_model=Meddles(8))
    with pytest.raises(RunMismatchError, match=r"x\.parquet changed.* while it was read"):
        model.fit(str(file))
    with pytest.raises(RunError, match="not finished"):
        TopicModel.load(str(tmp_path / "run"))


def test_files_that_a_transform_did_not_write_are_left(tmp_path):
    corpus = made_up(120, 2)
    run, data = tmp_path / "run", tmp_path / "data"
    model = TopicModel(min_topic_size=5, run=str(run)).fit(corpus.texts, corpus.embeddings)
    data.mkdir()
    pd.DataFrame({"text": corpus.texts[:9]}).to_parquet(data / "part-0000-000000.parquet")

    def contents():
        files = (path for path in tmp_path.rglob("*") if path.is_file())
        return {path: path.read_bytes() for path in files if path.name != "run.json"}

    before = contents()
    for out in (data, run, run / "assignments"):
        with pytest.raises((InputError, RunMismatchError), match=r"did not write|lies in the run"):
            model.transform(str(data), corpus.embeddings[:9], out=str(out))
    assert contents() == before
    out = str(tmp_path / "out")
    first = model.transform(corpus.texts[:9], corpus.embeddings[:9], out=out)
    assert model.transform(corpus.texts[:9], corpus.embeddings[:9], out=out)[0] == first[0]


def test_a_broken_second_fit_leaves_the_first(tmp_path):
    corpus = made_up(120, 2)
    settings = {"min_topic_size": 5, "run": str(tmp_path)}
    first = TopicModel(**settings).fit(corpus.texts, corpus.embeddings)
    with pytest.raises(SettingError):
        TopicModel(**settings, vectorizer_model=CountVectorizer(min_df=121)).fit(
            corpus.texts, corpus.embeddings
        )
    again = TopicModel.load(str(tmp_path))
    assert again.get_topics() == first.get_topics()
    state = json.loads((tmp_path / "run.json").read_text())
    assert state["fitted"]["stages"]["topics"] != state["stages"].get("topics")


def test_nothing_is_fitted_yet():
    for read in (lambda m: m.topics_, lambda m: m.get_topic_info(), lambda m: m.transform(["a"])):
        with pytest.raises(NotFittedError, match="fit"):
            read(TopicModel())


def test_y_of_another_length_or_type():
    corpus, model = small()
    with pytest.raises(InputError, match="59"):
        model.fit(corpus.texts, corpus.embeddings, y=corpus.labels[:-1])
    with pytest.raises(InputError, match="integers"):
        model.fit(corpus.texts, corpus.embeddings, y=["a"] * 60)


def test_one_row_group_of_many_rows(tmp_path):
    corpus = made_up(30_000, 3, n_features=8)
    file = tmp_path / "one.parquet"
    pd.DataFrame({"text": corpus.texts}).to_parquet(file, row_group_size=30_000)
    from dtopics.corpus import reader_for
    from dtopics.store import Location

    source = Corpus(str(file))
    spool = Location(str(tmp_path / "spool"))
    segment = source.plan(segment="0000", block_rows=1_000, spool=spool, map_=map)
    read = reader_for(segment, {}, spool)
    assert [t for block in segment.blocks for t in read(block).texts] == corpus.texts


def test_everything_an_outlier_is_defined():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(200, 16)).astype(np.float32)
    texts = [f"word{i} word{i + 1}" for i in range(200)]
    model = TopicModel(min_topic_size=190, run="memory://bad-input")
    topics, _ = model.fit_transform(texts, vectors)
    assert set(topics) == {-1}
    assert any("min_topic_size" in message for message in model.messages_)
    again, probabilities = model.transform(texts[:5], vectors[:5])
    assert again == [-1] * 5
    assert probabilities.tolist() == [0.0] * 5


def test_settings_of_the_suite_are_valid():
    assert SETTINGS["sample_size"] < 1_200
