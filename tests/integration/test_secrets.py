"""Storage options hold secrets: they are in nothing that is written or said."""

import logging

import pytest

from dtopics import Corpus, TopicModel
from dtopics.errors import BlockError, DTopicsError
from dtopics.store import Location
from dtopics.testing import HashingEmbedder, made_up
from dtopics.testing.failing import Failures, Rule

SECRET = "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY"


@pytest.fixture
def documents(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    made = made_up(400, 3, random_state=9)
    pq.write_table(pa.table({"text": made.texts}), tmp_path / "x.parquet", row_group_size=50)
    return Corpus(str(tmp_path / "x.parquet"), text_column="text")


def model_of(tmp_path, **more):
    failures = Failures(tmp_path / "failures")
    failures.set([])
    options = {**failures.storage_options, "secret": SECRET}
    return failures, TopicModel(
        run=f"failing://{tmp_path}/run", storage_options=options, min_topic_size=15,
        sample_size=200, block_size=100, refine=False, verbose=True,
        **{"embedding_model": HashingEmbedder(), **more},
    )  # fmt: skip


def written(tmp_path):
    return b"".join(path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file())


def said_by(client):
    return "".join(line for lines in client.get_worker_logs().values() for _, line in lines)


class Large(HashingEmbedder):
    """Too large to travel through the scheduler: it lies in the run, under its hash."""

    ballast = bytes(10**6)

    def __reduce__(self):
        return (_large, (self.ballast,))


def _large(_):
    return Large()


@pytest.mark.parametrize("embedder", [HashingEmbedder(), Large()])
def test_a_fit_writes_none(tmp_path, documents, client, caplog, embedder):
    caplog.set_level(logging.DEBUG)
    _, model = model_of(tmp_path, embedding_model=embedder)
    model.fit(documents, client=client)
    assert SECRET.encode() not in written(tmp_path)
    shown = "".join(model._repr_mimebundle_().values())
    assert "***" in shown
    assert SECRET not in caplog.text + said_by(client) + repr(model._run.location) + shown


class Tells(HashingEmbedder):
    def encode(self, texts):
        raise RuntimeError(f"403 for key {SECRET}")


@pytest.mark.parametrize("rule", [Rule("denied", "write", "*/stages/*", 99),
                                  Rule("full", "write", "*/stages/*", 99)])  # fmt: skip
def test_an_error_says_none(tmp_path, documents, client, rule):
    failures, model = model_of(tmp_path)
    failures.set([rule])
    with pytest.raises(DTopicsError) as raised:
        model.fit(documents, client=client)
    assert SECRET not in str(raised.value)


def test_what_a_library_says_of_it_is_hidden(tmp_path, documents, client):
    _, model = model_of(tmp_path, embedding_model=Tells())
    with pytest.raises(BlockError, match=r"403 for key \*\*\*") as raised:
        model.fit(documents, client=client)
    assert SECRET not in str(raised.value)
    assert SECRET.encode() not in written(tmp_path)


class Chokes(HashingEmbedder):
    def encode(self, texts):
        if any("POISON" in text for text in texts):
            raise RuntimeError(f"403 for key {SECRET}")
        return super().encode(texts)


def test_what_a_document_was_left_out_for_is_hidden_too(tmp_path, client, caplog):
    texts = made_up(300, 3, random_state=9).texts
    texts[7] = "POISON"
    _, model = model_of(tmp_path, embedding_model=Chokes())
    model.fit(texts, client=client)
    assert model.quarantined_["reason"].tolist() == ["RuntimeError: 403 for key ***"]
    assert SECRET.encode() not in written(tmp_path)
    assert SECRET not in caplog.text


def test_an_unknown_option_is_not_shown():
    with pytest.raises(DTopicsError) as raised:
        Location("s4://bucket/x", {"key": SECRET}).exists()
    assert SECRET not in str(raised.value)
