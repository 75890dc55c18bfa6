"""A document on which a step fails each time, from the texts to the command line."""

from dataclasses import dataclass

import pytest
from click.testing import CliRunner

from dtopics import TopicModel
from dtopics.cli import cli
from dtopics.cli.running import say_quarantined
from dtopics.testing import HashingEmbedder, made_up

POISON = {17: "POISON of one kind", 131: "of another POISON"}


@dataclass(frozen=True)
class Choosy:
    """An embedder that cannot embed some texts."""

    cache_key = "choosy"

    def encode(self, texts):
        if any("POISON" in text for text in texts):
            raise RuntimeError("a CUDA error: device-side assert triggered")
        return HashingEmbedder().encode(texts)


@pytest.fixture(scope="module")
def texts():
    return made_up(240, 3, outliers=0.05, random_state=6).texts


def with_poison(texts, words=POISON):
    return [words.get(row, text) for row, text in enumerate(texts)]


@pytest.fixture(scope="module")
def model(texts, tmp_path_factory):
    run = tmp_path_factory.mktemp("poisoned") / "run"
    made = TopicModel(embedding_model=Choosy(), run=str(run), min_topic_size=10)
    return made.fit(with_poison(texts))


def test_the_rest_is_done_and_they_are_named(model, texts):
    found = model.quarantined_
    assert found["row"].tolist() == list(POISON)
    assert found["doc_id"].tolist() == ["17", "131"]
    assert set(found["stage"]) == {"embeddings"}
    assert found["reason"].str.contains("CUDA error").all()
    assert [model.topics_[row] for row in POISON] == [-1, -1]
    assert len(model.topics_) == len(texts)


def test_all_others_are_as_if_they_were_empty(model, texts):
    other = TopicModel(embedding_model=HashingEmbedder(), min_topic_size=10)
    other.fit(with_poison(texts, dict.fromkeys(POISON, "")))
    assert model.topics_ == other.topics_
    assert model.topic_sizes_ == other.topic_sizes_


def test_a_second_fit_does_nothing_again(model, texts):
    again = TopicModel(embedding_model=Choosy(), run=model.run_, min_topic_size=10)
    before = again_receipts(model)
    again.fit(with_poison(texts))
    assert again_receipts(model) == before
    assert again.quarantined_.equals(model.quarantined_)


def again_receipts(model):
    from pathlib import Path

    return {
        path: path.read_bytes() for path in Path(model.run_).glob("stages/*/*/receipts/**/*.json")
    }


def test_the_command_line_names_them_and_ends_with_3(model, capsys):
    with pytest.raises(SystemExit) as ended:
        say_quarantined(model._run)
    assert ended.value.code == 3
    assert "Quarantined: 17: RuntimeError: a CUDA error" in capsys.readouterr().err
    said = CliRunner().invoke(cli, ["status", model.run_])
    assert "quarantined: 131: RuntimeError" in said.output


def test_new_documents_and_updates(model, texts, tmp_path):
    new = made_up(60, 3, outliers=0.05, random_state=7).texts
    new[5] = "POISON again"
    topics, _ = model.transform(new)
    assert topics[5] == -1
    assert len(topics) == 60
    model.partial_fit(new)
    assert len(model.topics_) == 300
    assert model.topics_[245] == -1
    assert model.quarantined_["segment"].tolist() == ["0000", "0000", "0001"]
    assert sum(model.topic_sizes_.values()) == 300


def test_on_workers(client, texts, tmp_path, model):
    other = TopicModel(
        embedding_model=Choosy(), run=str(tmp_path / "run"), min_topic_size=10, block_size=50
    )
    other.fit(with_poison(texts), client=client)
    assert other.topics_ == model.topics_[: len(texts)]
    assert other.quarantined_["row"].tolist() == list(POISON)
