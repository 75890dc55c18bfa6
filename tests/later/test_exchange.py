"""To BERTopic and back: what one writes, the other opens and works on."""

import json
import pickle

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.feature_extraction.text import CountVectorizer

from dtopics import KeyBERTInspired, TopicModel
from dtopics.cli import cli
from dtopics.errors import InputError, RunError
from dtopics.testing import HashingEmbedder

pytestmark = pytest.mark.filterwarnings("ignore")  # BERTopic's and its dependencies' own


def test_bertopic_opens_what_is_exported(twins, tmp_path):
    from bertopic import BERTopic

    vectorizer = CountVectorizer(stop_words="english", min_df=2)
    ours = twins.ours(vectorizer_model=vectorizer).set_topic_labels({0: "zero"})
    ours.export_bertopic(str(tmp_path / "model"))
    assert not [
        p for p in (tmp_path / "model").iterdir() if p.suffix in {".pkl", ".bin", ".pickle"}
    ]
    theirs = BERTopic.load(str(tmp_path / "model"))
    assert theirs.topics_ == ours.topics_
    assert theirs.get_topics() == {t: [list(p) for p in w] for t, w in ours.get_topics().items()}
    assert theirs.custom_labels_ == ours.custom_labels_
    np.testing.assert_allclose(theirs.c_tf_idf_.toarray(), ours.c_tf_idf_.toarray())
    found, _ = theirs.transform(twins.texts[:60], twins.vectors[:60])
    expected, _ = ours._topics.nearest(twins.vectors[:60])
    assert list(found) == expected.tolist()
    assert len(theirs.visualize_barchart(top_n_topics=3).data) == 3
    one = theirs.hierarchical_topics(twins.texts)
    two = ours.hierarchical_topics()
    assert one["Topics"].tolist() == two["Topics"].tolist()
    theirs.reduce_topics(twins.texts, nr_topics=4)
    assert theirs.topics_ == ours.reduce_topics(nr_topics=4).topics_


def test_to_bertopic(twins):
    ours = twins.ours()
    theirs = ours.to_bertopic()
    assert theirs.get_representative_docs() == ours.get_representative_docs()
    assert theirs.get_topic_info()["Count"].tolist() == ours.get_topic_info()["Count"].tolist()
    distributions, _ = theirs.approximate_distribution(twins.texts[:50])
    np.testing.assert_allclose(
        distributions, ours.approximate_distribution(twins.texts[:50])[0], atol=1e-9
    )


def test_aspects_travel(tmp_path):
    from bertopic.cluster import BaseCluster

    texts = ["apple pear plum"] * 30 + ["engine wheel car"] * 30
    model = TopicModel(hdbscan_model=BaseCluster(), embedding_model=HashingEmbedder(),
                       representation_model={"Key": KeyBERTInspired()})  # fmt: skip
    model.fit(texts, y=[0] * 30 + [1] * 30)
    theirs = model.to_bertopic()
    assert [w for w, _ in theirs.topic_aspects_["Key"][0]] == [
        w for w, _ in model.topic_aspects_["Key"][0]
    ]
    back = TopicModel.from_bertopic(theirs, HashingEmbedder())
    assert back.topic_aspects_ == model.topic_aspects_


@pytest.mark.parametrize("held", [False, True])
def test_from_bertopic(twins, tmp_path, held, client):
    theirs = twins.theirs()
    theirs.set_topic_labels({1: "one"})
    path = str(tmp_path / "model")
    theirs.save(path, serialization="safetensors", save_ctfidf=True)
    ours = TopicModel.from_bertopic(theirs if held else path)
    assert ours.topic_sizes_ == {int(t): int(n) for t, n in sorted(theirs.topic_sizes_.items())}
    assert ours.custom_labels_ == theirs.custom_labels_
    assert {t: [w for w, _ in words] for t, words in ours.get_topics().items()} == {
        t: [w for w, _ in words] for t, words in theirs.get_topics().items()}  # fmt: skip
    if held:
        assert ours.get_representative_docs(0) == theirs.get_representative_docs(0)
    from bertopic import BERTopic

    expected, chances = BERTopic.load(path).transform(twins.texts, twins.vectors)
    ours.block_size = 200
    found, probabilities = ours.transform(twins.texts, twins.vectors, client=client)
    assert found == list(expected)
    np.testing.assert_allclose(probabilities, chances, atol=1e-5)


def test_from_bertopic_is_kept_where_it_is_told(twins, tmp_path):
    kept = str(tmp_path / "kept")
    ours = TopicModel.from_bertopic(twins.theirs(), run=kept)
    assert TopicModel.load(kept).get_topics() == ours.get_topics()
    with pytest.raises(InputError, match="not empty"):
        TopicModel.from_bertopic(twins.theirs(), run=kept)


def test_what_is_not_bertopics_is_said(twins, tmp_path):
    with pytest.raises(RunError, match=r"topics\.json"):
        TopicModel.from_bertopic(str(tmp_path / "nothing"))
    (tmp_path / "pickled").mkdir()
    (tmp_path / "pickled" / "model.pkl").write_bytes(pickle.dumps(print))
    with pytest.raises(RunError, match="a pickle can execute code"):
        TopicModel.from_bertopic(str(tmp_path / "pickled"))
    path = tmp_path / "model"
    twins.theirs().save(str(path), serialization="safetensors")
    about = json.loads((path / "topics.json").read_text())
    about["topic_representations"].pop("3")
    (path / "topics.json").write_text(json.dumps(about))
    with pytest.raises(RunError, match="9 topics and embeddings of shape"):
        TopicModel.from_bertopic(str(path))
    (path / "topics.json").write_text("{")
    with pytest.raises(RunError, match="is not JSON"):
        TopicModel.from_bertopic(str(path))
    (path / "topics.json").write_text("{}")
    with pytest.raises(RunError, match="not what BERTopic"):
        TopicModel.from_bertopic(str(path))


def test_export_by_the_command_line(twins, tmp_path):
    from bertopic import BERTopic

    run, out = str(tmp_path / "run"), str(tmp_path / "out")
    ours = twins.ours(run=run)
    done = CliRunner().invoke(cli, ["export", run, out, "--to", "bertopic"])
    assert done.exit_code == 0, done.output
    assert BERTopic.load(out).topics_ == ours.topics_
    again = CliRunner().invoke(cli, ["export", run, out])
    assert again.exit_code == 2
