"""Topics over time and per class: beside BERTopic, and independent of how they are counted."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.preprocessing import normalize

from dtopics import Corpus, TopicModel
from dtopics.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore")  # BERTopic's and its dependencies' own


class Dense:
    """Weights of every term of each topic in each slice, by the formulas and dense matrices."""

    def __init__(self, texts, topics):
        self.vectorizer = CountVectorizer().fit(texts)
        self.terms = self.vectorizer.get_feature_names_out()
        self.X, self.topics = self.vectorizer.transform(texts), np.array(topics)
        self.ids = sorted(set(topics))
        self.whole = np.vstack([self.X[self.topics == t].toarray().sum(axis=0) for t in self.ids])
        self.idf = np.log(int(self.whole.sum(axis=1).mean()) / self.whole.sum(axis=0) + 1)

    def weights(self, slices, *, global_tuning, evolution_tuning=False):
        everywhere, before, found = self.of_sum_one(self.whole), {}, {}
        slices = np.array(slices)
        for number in sorted(set(slices)):
            now = {}
            for row, topic in enumerate(self.ids):
                chosen = (slices == number) & (self.topics == topic)
                if chosen.any():
                    here = self.of_sum_one(self.X[chosen].toarray().sum(axis=0)[None])[0]
                    if global_tuning:
                        here = (here + everywhere[row]) / 2
                    if evolution_tuning and topic in before:
                        here = (here + before[topic]) / 2
                    now[topic] = here
                    found[topic, number] = chosen.sum(), here
            before = now
        return found

    def of_sum_one(self, counts):
        return normalize(normalize(counts.astype(float), "l1") * self.idf, "l1")

    def check(self, table, column, weights):
        """Each row has the heaviest words; which of words that weigh the same is left open."""
        assert len(table) == len(weights)
        for row in table.itertuples():
            frequency, here = weights[row.Topic, getattr(row, column)]
            assert row.Frequency == frequency
            words = [word for word in row.Words.split(", ") if word]  # filled up by empty ones
            ids = [self.vectorizer.vocabulary_[word] for word in words]
            best = np.sort(here[here > 0])[::-1][:5]
            np.testing.assert_allclose(here[ids], best, atol=1e-12)


@pytest.mark.parametrize("global_tuning", [True, False])
@pytest.mark.parametrize("nr_bins", [None, 6])
def test_over_time_like_bertopic(twins, nr_bins, global_tuning):
    ours, theirs = twins.ours(), twins.theirs()
    options = {"nr_bins": nr_bins, "evolution_tuning": False, "global_tuning": global_tuning}
    found, expected = (
        m.topics_over_time(twins.texts, twins.times, **options) for m in (ours, theirs)
    )
    assert list(found.columns) == list(expected.columns)
    times = pd.Series(twins.times)
    if nr_bins is not None:
        times = pd.cut(times, bins=nr_bins).apply(lambda bin_: bin_.left).astype("datetime64[us]")
    dense = Dense(twins.texts, ours.topics_)
    weights = dense.weights(list(times), global_tuning=global_tuning)
    for table in (found, expected):
        dense.check(table, "Timestamp", weights)


@pytest.mark.parametrize("global_tuning", [True, False])
def test_per_class_like_bertopic(twins, global_tuning):
    ours, theirs = twins.ours(), twins.theirs()
    found, expected = (
        m.topics_per_class(twins.texts, twins.classes, global_tuning=global_tuning)
        for m in (ours, theirs)
    )
    assert list(found.columns) == list(expected.columns)
    dense = Dense(twins.texts, ours.topics_)
    weights = dense.weights(twins.classes, global_tuning=global_tuning)
    for table in (found, expected):
        dense.check(table, "Class", weights)


@pytest.mark.parametrize("global_tuning", [True, False])
def test_evolution_averages_with_the_time_before(twins, global_tuning):
    """What BERTopic means to do; its own average goes into a temporary (its issue 2370)."""
    model = twins.ours()
    dense = Dense(twins.texts, model.topics_)
    weights = dense.weights(twins.times, global_tuning=global_tuning, evolution_tuning=True)
    found = model.topics_over_time(None, twins.times, global_tuning=global_tuning)
    dense.check(found, "Timestamp", weights)


@pytest.fixture(scope="module")
def kept(twins, tmp_path_factory):
    """A Parquet file with times and classes, some of them missing."""
    path = tmp_path_factory.mktemp("kept") / "documents.parquet"
    times = [None if i % 50 == 0 else t for i, t in enumerate(twins.times)]
    classes = [None if i % 70 == 0 else c for i, c in enumerate(twins.classes)]
    table = pd.DataFrame({"text": twins.texts, "at": times, "kind": classes})
    table.to_parquet(path)
    return str(path), times, classes


def of_file(twins, path, client=None, block_size=4_000):
    from bertopic.cluster import BaseCluster

    corpus = Corpus(path, text_column="text", timestamp_column="at", class_column="kind")
    model = TopicModel(hdbscan_model=BaseCluster(), block_size=block_size)
    return model.fit(corpus, twins.vectors, y=twins.labels, client=client)


def test_columns_of_the_corpus(twins, kept):
    path, times, classes = kept
    stored, given = of_file(twins, path), twins.ours()
    for nr_bins in (None, 4):
        one = stored.topics_over_time(nr_bins=nr_bins)
        two = given.topics_over_time(twins.texts, times, nr_bins=nr_bins)
        pd.testing.assert_frame_equal(one, two)
        assert one["Frequency"].sum() == sum(time is not None for time in times)
    pd.testing.assert_frame_equal(
        stored.topics_per_class(), given.topics_per_class(twins.texts, classes)
    )


def test_blocks_and_workers_do_not_matter(twins, kept, client, monkeypatch):
    from dtopics import slicing

    path, _, _ = kept
    expected = of_file(twins, path, block_size=4_000).topics_over_time(nr_bins=9)
    monkeypatch.setattr(slicing, "SHARE_COUNTS", 9_000)  # several shares
    for block_size in (64, 300):
        model = of_file(twins, path, client, block_size=block_size)
        found = model.topics_over_time(nr_bins=9, client=client)
        pd.testing.assert_frame_equal(found, expected)
    stage = next(s for s in model._run.in_use() if s.name == "slice words")
    assert len(stage.done("0000")) > 1


def test_after_a_merge(twins):
    model = twins.ours().merge_topics(topics_to_merge=[[0, 1, 2]])
    per_class = model.topics_per_class(classes=twins.classes)
    sizes = per_class.groupby("Topic")["Frequency"].sum().to_dict()
    assert sizes == model.topic_sizes_


def test_other_topics_for_the_documents(twins):
    model = twins.ours()
    other = [0 if topic == -1 else topic for topic in model.topics_]
    found = model.topics_over_time(None, twins.times, topics=other)
    sizes = found.groupby("Topic")["Frequency"].sum()
    assert sizes[0] == other.count(0)
    with pytest.raises(InputError, match="which there are not"):
        model.topics_over_time(None, twins.times, topics=[55] * len(other))
    with pytest.raises(InputError, match="whole number"):
        model.topics_over_time(None, twins.times, topics=other[:3])


def test_strings_and_numbers_are_times(twins):
    model = twins.ours()
    expected = model.topics_over_time(None, twins.times)
    written = [time.strftime("%d/%m/%Y") for time in twins.times]
    found = model.topics_over_time(None, written, datetime_format="%d/%m/%Y")
    assert (found["Words"] == expected["Words"]).all()
    numbers = [time.toordinal() for time in twins.times]
    found = model.topics_over_time(None, numbers)
    assert found["Frequency"].tolist() == expected["Frequency"].tolist()
    dates = [time.date() for time in twins.times]
    found = model.topics_over_time(None, dates)
    assert found["Frequency"].tolist() == expected["Frequency"].tolist()


def test_what_cannot_be_sliced_is_said(twins):
    model = twins.ours()
    with pytest.raises(InputError, match="keeps no timestamps"):
        model.topics_over_time()
    with pytest.raises(InputError, match="keeps no classes"):
        model.topics_per_class()
    with pytest.raises(InputError, match="expected one for each"):
        model.topics_per_class(classes=["a"])
    with pytest.raises(InputError, match="datetime_format"):
        model.topics_over_time(None, ["yesterday"] * len(twins.texts))
    with pytest.raises(InputError, match="no document has a timestamp"):
        model.topics_over_time(None, [None] * len(twins.texts))
    with pytest.raises(InputError, match="nr_bins"):
        model.topics_over_time(None, twins.times, nr_bins=0)
    with pytest.raises(InputError, match="several kinds"):
        model.topics_per_class(classes=["a", 1] * (len(twins.texts) // 2))


def test_too_many_times(twins, monkeypatch):
    from dtopics.representation import slices

    monkeypatch.setattr(slices, "MOST_SLICES", 10)
    with pytest.raises(InputError, match="nr_bins"):
        twins.ours().topics_over_time(None, twins.times)
    start = dt.datetime(2020, 1, 1)
    assert (
        twins.ours().topics_over_time(None, [start] * len(twins.texts))["Timestamp"].nunique() == 1
    )
