"""partial_fit and dtopics update: counted exactly, resumed, undone."""

import re

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from sklearn.feature_extraction.text import CountVectorizer

from dtopics import Corpus, TopicModel
from dtopics.cli import cli
from dtopics.errors import EmbeddingError, InputError
from dtopics.testing import HashingEmbedder, made_up

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def made():
    return made_up(1_600, 6, outliers=0.1, empty=0.02, random_state=3)


def fitted(made, n=1_000, run=None, client=None, **params):
    params = {"min_topic_size": 20, "block_size": 400, **params}
    return TopicModel(run=run, **params).fit(made.texts[:n], made.embeddings[:n], client=client)


def as_one(made, model):
    """All documents at once, with the topics that the model gave them as classes."""
    from bertopic.cluster import BaseCluster

    topics = np.array(model.topics_)
    whole = TopicModel(hdbscan_model=BaseCluster(), block_size=2_000,
                       vectorizer_model=model.vectorizer_model)  # fmt: skip
    whole.fit(made.texts[: len(topics)], made.embeddings[: len(topics)], y=topics)
    order = {}
    for topic, other in zip(model.topics_, whole.topics_, strict=True):
        assert order.setdefault(topic, other) == other
    return whole, order


def assert_counted_as_one(made, model):
    whole, order = as_one(made, model)
    ids = sorted(order)
    rows = [sorted(order.values()).index(order[topic]) for topic in ids]
    assert model.topic_sizes_ == {topic: whole.topic_sizes_[order[topic]] for topic in ids}
    assert (model.c_tf_idf_ != whole.c_tf_idf_[rows]).nnz == 0
    assert (model.topic_embeddings_ == whole.topic_embeddings_[rows]).all()
    for topic in ids:
        assert model.get_topic(topic) == whole.get_topic(order[topic])


@pytest.mark.parametrize(
    "vectorizer", [None, CountVectorizer(min_df=5, max_df=0.5, ngram_range=(1, 2)),
                   CountVectorizer(max_features=40), CountVectorizer(vocabulary=["common1", "common2"])],
    ids=["default", "min_df", "max_features", "vocabulary"])  # fmt: skip
def test_an_update_counts_all_documents_as_one(made, client, vectorizer):
    model = fitted(made, vectorizer_model=vectorizer, client=client)
    before, predicted = (
        model.topics_,
        model.transform(made.texts[1_000:], made.embeddings[1_000:])[0],
    )
    assert model.partial_fit(made.texts[1_000:], made.embeddings[1_000:], client=client) is model
    assert model.topics_ == before + predicted
    assert_counted_as_one(made, model)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("size", [100, pytest.param(6, marks=pytest.mark.slow)])
def test_many_batches_equal_one_count(made, client, size):
    """The small size makes a hundred batches."""
    model = fitted(made, vectorizer_model=CountVectorizer(min_df=3), client=client)
    for start in range(1_000, 1_600, size):
        rows = slice(start, start + size)
        model.partial_fit(made.texts[rows], made.embeddings[rows], client=client)
    assert len(model.topics_) == 1_600
    assert_counted_as_one(made, model)
    assert model.drift_["documents"].tolist() == [1_000] + [size] * (600 // size)


def test_steps_after_an_update(made, tmp_path, client):
    run = str(tmp_path / "run")
    model = fitted(made, run=run, client=client)
    fit = (model.topics_, model.get_topics())
    model.partial_fit(made.texts[1_000:1_300], made.embeddings[1_000:1_300], client=client)
    model.merge_topics(topics_to_merge=[0, 1])
    sizes = model.topic_sizes_
    assert sum(sizes.values()) == 1_300
    classes = [f"c{i % 3}" for i in range(1_300)]
    per_class = model.topics_per_class(classes=classes)
    assert per_class.groupby("Topic")["Frequency"].sum().to_dict() == sizes
    new = model.reduce_outliers(strategy="embeddings")
    assert len(new) == 1_300
    model.update_topics(topics=new)
    assert model.topics_ == new
    model.partial_fit(made.texts[1_300:], made.embeddings[1_300:], client=client)
    assert model.topics_[:1_300] == new
    assert_counted_as_one(made, model)
    opened = TopicModel.load(run)
    assert opened.topics_.compute().tolist() == model.topics_
    assert opened.get_topics() == model.get_topics()
    assert len(opened.get_document_info()) == 1_600
    parts = sorted((tmp_path / "run" / "assignments").glob("part-*.parquet"))
    assert (
        np.concatenate([pq.read_table(p)["topic"].to_numpy() for p in parts]).tolist()
        == model.topics_
    )
    made_ = model.versions_["made"].tolist()
    assert made_[1] == "update(300 documents)"
    assert made_[-1] == "update(300 documents)"
    opened.undo(opened.versions_["version"][0])
    assert (opened.topics_.compute().tolist(), opened.get_topics()) == fit
    parts = sorted((tmp_path / "run" / "assignments").glob("part-*.parquet"))
    assert np.concatenate([pq.read_table(p)["topic"].to_numpy() for p in parts]).tolist() == fit[0]
    # another batch, then the first: neither sees what was undone
    opened.partial_fit(made.texts[1_300:], made.embeddings[1_300:], client=client)
    assert opened.topics_.shape == (1_300,)
    opened.partial_fit(made.texts[1_000:1_300], made.embeddings[1_000:1_300], client=client)
    expected = fitted(made, client=client)
    expected.partial_fit(made.texts[1_000:], made.embeddings[1_000:], client=client)
    assert opened.get_topics() == expected.get_topics()


def test_the_same_documents_again_change_nothing(made):
    model = fitted(made, block_size=2_000)
    with pytest.raises(InputError, match="were fitted"):
        model.partial_fit(made.texts[:1_000], made.embeddings[:1_000])
    for _ in range(2):
        model.partial_fit(made.texts[1_000:1_100], made.embeddings[1_000:1_100])
    assert len(model.topics_) == 1_100
    assert len(model.versions_) == 2


def test_an_update_that_was_broken_off_goes_on(made, tmp_path, monkeypatch):
    from dtopics import updating

    run = str(tmp_path / "run")
    model = fitted(made, run=run, block_size=2_000)
    before = model.get_topics()

    def breaks(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(updating, "recount", breaks)
    with pytest.raises(KeyboardInterrupt):
        model.partial_fit(made.texts[1_000:], made.embeddings[1_000:])
    monkeypatch.undo()
    for seen in (model, TopicModel.load(run)):
        assert seen.get_topics() == before
        assert len(seen.topics_) == 1_000
    stage = model._run.fitted("embeddings")
    written = {p: p.stat().st_mtime_ns for p in (tmp_path / "run" / "stages" / "embeddings").rglob("*")
               if p.is_file() and "0001" in str(p)}  # fmt: skip
    assert written
    assert stage.done("0001")
    model.partial_fit(made.texts[1_000:], made.embeddings[1_000:])
    assert {p: p.stat().st_mtime_ns for p in written} == written  # embedded once
    assert_counted_as_one(made, model)


def test_files_by_the_command_line(tmp_path):
    made = made_up(900, 4, random_state=1)
    for name, rows in (("one", slice(0, 600)), ("two", slice(600, 900))):
        pd.DataFrame({"text": made.texts[rows], "at": np.arange(rows.start, rows.stop)}).to_parquet(
            tmp_path / f"{name}.parquet")  # fmt: skip
    run = str(tmp_path / "run")
    corpus = Corpus(str(tmp_path / "one.parquet"), timestamp_column="at")
    TopicModel(run=run, min_topic_size=20, embedding_model=HashingEmbedder(), block_size=900).fit(
        corpus
    )
    lacking = CliRunner().invoke(cli, ["update", run, str(tmp_path / "two.parquet")])
    assert lacking.exit_code == 2
    assert "give it again" in lacking.output
    model = TopicModel.load(run, embedding_model=HashingEmbedder())
    with pytest.raises(InputError, match="keeps timestamp"):
        model.partial_fit(Corpus(str(tmp_path / "two.parquet")))
    model.partial_fit(Corpus(str(tmp_path / "two.parquet"), timestamp_column="at"))
    over_time = model.topics_over_time(nr_bins=3)
    assert over_time["Frequency"].sum() == 900
    shown = CliRunner().invoke(cli, ["topics", run, "--versions"])
    assert "update(300 documents)" in shown.output
    status = CliRunner().invoke(cli, ["status", run])
    assert "900" in status.output
    assert "not finished" not in status.output
    done = re.findall(r"(\d+) / (\d+)", status.output)
    assert len(done) > 10
    assert all(one == every for one, every in done)


def test_memberships_of_what_is_added(made):
    model = fitted(made, calculate_probabilities=True, block_size=2_000)
    model.partial_fit(made.texts[1_000:], made.embeddings[1_000:])
    assert model.probabilities_.shape == (1_600, len(model.topic_sizes_) - 1)


def test_bad_updates_are_said(made):
    model = fitted(made, block_size=2_000)
    with pytest.raises(EmbeddingError, match="give those of the new documents"):
        model.partial_fit(made.texts[1_000:])
    with pytest.raises(EmbeddingError, match="features"):
        model.partial_fit(made.texts[1_000:], made.embeddings[1_000:, :7])
    with pytest.raises(InputError):
        model.partial_fit(made.texts[1_000:], made.embeddings)
    assert len(model.topics_) == 1_000
    model.partial_fit(made.texts[1_000:], made.embeddings[1_000:])
    assert_counted_as_one(made, model)


def test_drift_is_said(made, caplog):
    model = fitted(made, sample_size=500, block_size=2_000)
    model.partial_fit(made.texts[1_000:1_200], made.embeddings[1_000:1_200])
    assert "fit again" not in caplog.text
    model.partial_fit([f"something else {i}" for i in range(200)], -made.embeddings[:200])
    drift = model.drift_
    assert drift["far"][2] > drift["far"][1] + 0.2
    assert "fit again" in caplog.text


def test_partial_fit_of_a_model_that_is_not_fitted(made):
    model = TopicModel(min_topic_size=20, block_size=400)
    model.partial_fit(made.texts[:800], made.embeddings[:800])
    assert len(model.topics_) == 800


def test_an_update_where_the_points_were_clustered_in_parts(made, client):
    import dask

    with dask.config.set({"dtopics.clustering.part-points": 300}):
        model = fitted(made, client=client)
    stages = {stage.name for stage in model._run.in_use()}
    assert "forests" in stages
    predicted, _ = model.transform(made.texts[1_000:], made.embeddings[1_000:], client=client)
    before = model.topics_
    model.partial_fit(made.texts[1_000:], made.embeddings[1_000:], client=client)
    assert model.topics_ == before + predicted
    assert_counted_as_one(made, model)


def test_an_update_that_is_undone_leaves_no_assignments(made, tmp_path):
    model = fitted(made, run=str(tmp_path / "run"), block_size=2_000)
    model.partial_fit(made.texts[1_000:], made.embeddings[1_000:])
    model.undo()
    folder = tmp_path / "run" / "assignments"
    assert pq.read_table(folder).num_rows == 1_000
    model.partial_fit(made.texts[1_000:], made.embeddings[1_000:])
    assert pq.read_table(folder).num_rows == 1_600


def test_other_embeddings_are_not_taken_for_those_of_an_update_that_was_undone(made):
    right = fitted(made, block_size=2_000)
    right.partial_fit(made.texts[1_000:], made.embeddings[1_000:])
    model = fitted(made, block_size=2_000)
    model.partial_fit(made.texts[1_000:], -made.embeddings[1_000:])
    model.undo().partial_fit(made.texts[1_000:], made.embeddings[1_000:])
    assert model.topics_ == right.topics_
    assert (model.topic_embeddings_ == right.topic_embeddings_).all()


def test_labels_of_given_classes_do_not_depend_on_what_was_merged(made):
    from bertopic.cluster import BaseCluster

    def manual():
        model = TopicModel(hdbscan_model=BaseCluster(), block_size=2_000)
        return model.fit(made.texts[:1_000], made.embeddings[:1_000], y=made.labels[:1_000])

    one, two = manual(), manual()
    one.partial_fit(made.texts[1_000:], made.embeddings[1_000:])
    two.merge_topics(topics_to_merge=[[0, 1, 2]])
    two.partial_fit(made.texts[1_000:], made.embeddings[1_000:])
    one.merge_topics(topics_to_merge=[[0, 1, 2]])
    one_labels, two_labels = (m._run.labelled.dask_array("labels").compute() for m in (one, two))
    assert (one_labels == two_labels).all()


def test_classes_are_of_the_first_documents(made, caplog):
    from bertopic.cluster import BaseCluster

    model = TopicModel(hdbscan_model=BaseCluster(), block_size=2_000)
    model.partial_fit(made.texts[:300], made.embeddings[:300], y=made.labels[:300].tolist())
    first = list(model.topics_)
    assert len(set(first)) == len(set(made.labels[:300].tolist()))
    model.partial_fit(made.texts[300:400], made.embeddings[300:400], y=[0] * 100)
    assert "y is not looked at" in caplog.text
    assert model.topics_[:300] == first
    assert len(set(model.topics_[300:])) > 1
