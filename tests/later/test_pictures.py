"""Every picture is the one that BERTopic draws of the same topics."""

import sys

import numpy as np
import pytest

from dtopics import TopicModel
from dtopics.errors import InputError, MissingPackageError

pytestmark = pytest.mark.filterwarnings("ignore")  # BERTopic's and its dependencies' own


@pytest.fixture(scope="module")
def models(twins):
    return twins.ours(), twins.theirs()


def traces(figure):
    """What a figure shows, rounded: the places of bars, lines and cells, and their texts."""

    def plain(value):
        if value is None or isinstance(value, str):
            return value
        array = np.asarray(value)
        if array.dtype.kind in "iuf":
            return np.round(array.astype(float), 5).tolist()
        return [str(item) for item in array.ravel()]

    return [[plain(getattr(trace, name, None)) for name in ("x", "y", "z", "name")]
            for trace in figure.data]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "options"),
    [("visualize_barchart", {"top_n_topics": 6, "n_words": 4}), ("visualize_barchart", {"topics": [2, 4]}),
     ("visualize_heatmap", {}), ("visualize_heatmap", {"n_clusters": 3, "use_ctfidf": True}),
     ("visualize_hierarchy", {}), ("visualize_hierarchy", {"orientation": "bottom", "use_ctfidf": False}),
     ("visualize_term_rank", {"log_scale": True})],
)  # fmt: skip
def test_pictures_of_topics(models, name, options):
    ours, theirs = (traces(getattr(model, name)(**options)) for model in models)
    assert len(ours) == len(theirs) > 0
    numbers = [trace[:1] + trace[2:3] for trace in ours]
    assert numbers == [trace[:1] + trace[2:3] for trace in theirs]


def test_pictures_with_merges_and_labels(models, twins):
    ours, _ = models
    hierarchy = ours.hierarchical_topics()
    figure = ours.visualize_hierarchy(hierarchical_topics=hierarchy)
    assert any(
        hierarchy["Parent_Name"][0].split("_")[0] in str(trace.text) for trace in figure.data
    )
    labelled = twins.ours().set_topic_labels({0: "my very own label"})
    assert "my very own label" in str(labelled.visualize_barchart(custom_labels=True).layout)


def test_pictures_of_slices_and_documents(models, twins):
    ours, theirs = models
    over_time = ours.topics_over_time(None, twins.times, nr_bins=8)
    for model in models:
        assert len(model.visualize_topics_over_time(over_time, top_n_topics=4).data) == 4
    one, two = (traces(m.visualize_topics_over_time(over_time)) for m in (ours, theirs))
    assert [trace[1] for trace in one] == [trace[1] for trace in two]
    per_class = ours.topics_per_class(None, twins.classes)
    one, two = (traces(m.visualize_topics_per_class(per_class)) for m in (ours, theirs))
    assert [trace[0] for trace in one] == [trace[0] for trace in two]
    chances = np.linspace(0, 0.5, 9)
    one, two = (traces(m.visualize_distribution(chances)) for m in (ours, theirs))
    assert [trace[0] for trace in one] == [trace[0] for trace in two]


def test_the_map_of_topics(models):
    ours, theirs = (model.visualize_topics() for model in models)
    assert len(ours.data) == len(theirs.data)
    assert ours.data[0].customdata.tolist() == theirs.data[0].customdata.tolist()


def test_too_few_topics_are_said(twins):
    model = TopicModel(hdbscan_model=twins.ours().hdbscan_model, block_size=2_000)
    model.fit(twins.texts, twins.vectors, y=np.arange(len(twins.texts)) % 2)
    with pytest.raises(InputError, match="needs 4 topics, there are 2"):
        model.visualize_topics()


def test_without_bertopic(models, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "bertopic"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingPackageError, match=r"dtopics\[bertopic\]"):
        models[0].visualize_barchart()
