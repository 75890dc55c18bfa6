"""Pictures of documents: BERTopic's, of documents drawn from the run."""

import sys
import types

import numpy as np
import pytest

from dtopics import Corpus, TopicModel, drawing
from dtopics.drawing import draw_documents, places, shown
from dtopics.errors import InputError, MissingPackageError, NotFittedError
from dtopics.testing import HashingEmbedder

pytestmark = pytest.mark.filterwarnings("ignore")  # BERTopic's and its dependencies' own


@pytest.fixture(scope="module")
def model(twins):
    return twins.ours()


@pytest.fixture(scope="module")
def at(twins):
    return np.random.default_rng(0).normal(size=(len(twins.texts), 2)).astype(np.float32)


def points(figure):
    """The places of each trace, and what is shown of each document there."""
    return {
        trace.name: sorted(
            (round(float(x), 4), round(float(y), 4))
            for x, y in zip(trace.x, trace.y, strict=True)
            if x == x
        )
        for trace in figure.data
    }


def test_like_bertopics(twins, model, at):
    theirs = twins.theirs()
    options = {"hide_annotations": True, "reduced_embeddings": at}
    expected = points(theirs.visualize_documents(twins.texts, **options))
    found = points(model.visualize_documents(twins.texts, **options))
    assert [rows for _, rows in sorted(found.items())] == [
        rows for _, rows in sorted(expected.items())
    ]


def test_documents_of_chosen_topics(twins, model, at):
    figure = model.visualize_documents(
        topics=[1, 3], reduced_embeddings=at, sample=200, hide_annotations=True
    )
    assert len(figure.data) == 3  # the others are one trace
    assert "200 of 1,500 documents, drawn at random" in figure.layout.title.text
    shown_points = sum(len(trace.x) for trace in figure.data)
    assert 150 <= shown_points <= 202


def test_the_same_picture_each_time(model):
    one, other = (model.visualize_documents(sample=0.05).to_json() for _ in range(2))
    assert one == other


def test_texts_come_from_the_corpus_and_are_no_html(tmp_path):
    texts = [f"<b onclick='x'>{word}</b> & {'long ' * 200}" for word in ("apple", "pear")] * 30
    texts += ["engine & wheel <i>gear</i>"] * 30
    (tmp_path / "texts.txt").write_text("\n".join(texts))
    model = TopicModel(embedding_model=HashingEmbedder(), run=str(tmp_path / "run"), block_size=50)
    model.fit(Corpus(str(tmp_path / "texts.txt")))
    figure = model.visualize_documents()
    seen = {text for trace in figure.data for text in trace.hovertext if isinstance(text, str)}
    assert any("&lt;i&gt;gear&lt;/i&gt;" in text for text in seen)
    assert not any("<b" in text.replace("<br>", "") for text in seen)
    assert all(len(text) < 700 for text in seen)
    assert "drawn at random" not in figure.layout.title.text
    opened = TopicModel.load(str(tmp_path / "run"))
    assert opened.visualize_documents(sample=20).data


def test_levels_of_documents(twins, model, at):
    theirs = twins.theirs()
    merges = theirs.hierarchical_topics(twins.texts)
    options = {"reduced_embeddings": at, "nr_levels": 3, "hide_annotations": True}
    expected = theirs.visualize_hierarchical_documents(twins.texts, merges, **options)
    found = model.visualize_hierarchical_documents(twins.texts, **options)
    assert len(found.data) == len(expected.data)
    for ours, other in zip(found.data, expected.data, strict=True):
        assert sorted(map(float, ours.x)) == pytest.approx(sorted(map(float, other.x)))
    many = model.visualize_hierarchical_documents(sample=100, nr_levels=50)
    assert len(many.layout.sliders[0].steps) == len(merges) // 2


def test_the_share_of_a_document(twins, model):
    text = twins.texts[3]
    _, tokens = model.approximate_distribution(text, calculate_tokens=True)
    table = model.visualize_approximate_distribution(text, tokens[0])
    names = [name for topic, name in model.topic_labels_.items() if topic >= 0]
    assert set(table.data.index) <= set(names)
    assert [name.strip() for name in table.data.columns] == model._tokenizing.tokenize(text)
    sums = {names[i]: value for i, value in enumerate(tokens[0].sum(axis=0)) if value}
    assert table.data.sum(axis=1).to_dict() == pytest.approx(sums)
    assert "background-color: rgba" in table.to_html()
    whole = model.visualize_approximate_distribution(text, tokens[0], normalize=True)
    assert whole.data.to_numpy().sum() == pytest.approx(1)
    with pytest.raises(InputError, match="tokens"):
        model.visualize_approximate_distribution("other", tokens[0][:2])


def test_the_map(twins, model, at, monkeypatch):
    """DataMapPlot is given places and names; what it makes of them is its own."""
    given = {}

    def create_plot(where, names, **options):
        given.update(where=where, names=names, options=options)
        return "figure", None

    stand_in = types.ModuleType("datamapplot")
    stand_in.create_plot = create_plot
    stand_in.__spec__ = types.SimpleNamespace()
    monkeypatch.setitem(sys.modules, "datamapplot", stand_in)
    from bertopic.plotting import _datamap

    monkeypatch.setattr(_datamap, "datamapplot", stand_in, raising=False)
    monkeypatch.setattr("bertopic.plotting.visualize_document_datamap",
                        _datamap.visualize_document_datamap)  # fmt: skip
    figure = model.visualize_document_datamap(reduced_embeddings=at, sample=300)
    assert figure == "figure"
    assert given["where"].shape == (len(given["names"]), 2)
    assert given["options"]["sub_title"] == "300 of 1,500 documents, drawn at random"


def test_the_map_without_datamapplot(model, monkeypatch):
    monkeypatch.setattr("dtopics.pictures.draw_documents", None)  # it is known before any work
    with pytest.raises(MissingPackageError, match="datamap"):
        model.visualize_document_datamap()


@pytest.mark.parametrize("sample", [0, -1, "all", True, None])
def test_how_many(twins, model, sample):
    run, topics = model._run, model._topics
    if sample is None:
        drawn = draw_documents(run, topics, None, 0, model._around(None))
        assert len(drawn.rows) == drawn.n_documents == len(twins.texts)
        assert drawn.texts == twins.texts
        assert drawn.topics.tolist() == model.topics_
        assert np.abs(drawn.vectors - twins.vectors).max() < 1e-3
        return
    with pytest.raises(InputError, match="sample"):
        draw_documents(run, topics, sample, 0, model._around(None))


def test_of_many_blocks_some_are_read(client, monkeypatch):
    monkeypatch.setattr(drawing, "MOST_BLOCKS", 4)
    rng = np.random.default_rng(1)
    texts = [f"text {i}" for i in range(24)]
    y = rng.integers(0, 3, len(texts))
    from bertopic.cluster import BaseCluster

    model = TopicModel(hdbscan_model=BaseCluster(), block_size=2).fit(
        texts, rng.normal(size=(len(texts), 4)), y=y.tolist(), client=client
    )
    drawn = draw_documents(model._run, model._topics, None, 0, model._around(None))
    assert len(drawn.rows) == 8
    assert drawn.said == "8 of 24 documents, drawn at random"
    assert drawn.texts == [texts[row] for row in drawn.rows]
    assert drawn.topics.tolist() == [model.topics_[row] for row in drawn.rows]


def test_wrong_lengths_and_no_documents(twins, model, at, tmp_path):
    with pytest.raises(InputError, match="docs are 3"):
        model.visualize_documents(twins.texts[:3])
    with pytest.raises(InputError, match="reduced_embeddings are 5"):
        model.visualize_documents(reduced_embeddings=at[:5])
    model.save(str(tmp_path / "saved"))
    with pytest.raises(NotFittedError):
        TopicModel.load(str(tmp_path / "saved")).visualize_documents()


def test_few_vectors_have_places():
    vectors = np.random.default_rng(0).normal(size=(12, 6)).astype(np.float32)
    for n in (1, 2, 4, 6, 12):
        assert places(vectors[:n], 10, 0.0, 42).shape == (n, 2)


def test_shown_is_short():
    assert shown(["", "a" * 1000, "x < y"]) == ["", shown(["a" * 1000])[0], "x &lt; y"]
    assert len(shown(["word " * 500])[0]) < 500


def test_document_info_with_columns_beside(twins, model):
    import pandas as pd

    df = pd.DataFrame({"when": twins.times}, index=range(7, 7 + len(twins.texts)))
    table = model.get_document_info(twins.texts, df=df, metadata={"class": twins.classes})
    expected = twins.theirs().get_document_info(twins.texts, df=df.reset_index(drop=True),
                                                metadata={"class": twins.classes})  # fmt: skip
    assert set(expected.columns) <= set(table.columns) | {"Probability"}
    for name in ("when", "class", "Document", "Topic"):
        assert table[name].tolist() == expected[name].tolist()
    with pytest.raises(InputError, match="df are 2"):
        model.get_document_info(twins.texts, df=df[:2])
