"""The command line, as a person and as a script would use it."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import zarr
from click.testing import CliRunner

from dtopics.cli import cli, settings
from dtopics.errors import SettingError
from dtopics.testing import made_up


def invoke(*words):
    return CliRunner().invoke(cli, [str(word) for word in words])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    corpus = made_up(400, 4, outliers=0.05, random_state=5)
    folder = tmp_path_factory.mktemp("cli")
    table = pd.DataFrame({"id": [f"d{i}" for i in range(400)], "body": corpus.texts})
    table.to_parquet(folder / "x.parquet")
    table[:50].to_json(folder / "new.jsonl", orient="records", lines=True)
    zarr.create_array(str(folder / "v.zarr"), data=corpus.embeddings, chunks=(50, 32))
    np.save(folder / "new.npy", corpus.embeddings[:50])
    (folder / "settings.yaml").write_text(
        "min_topic_size: 12\ntop_n_words: 5\nsample_size: 200\nblock_size: 100\n"
        "refine: 0\n"
        "vectorizer_model: {min_df: 2, ngram_range: [1, 2]}\n"
    )
    return folder


@pytest.fixture(scope="module")
def fitted(folder, client):
    run = folder / "run"
    result = invoke(
        "fit", folder / "x.parquet", "--run", run, "--text-column", "body", "--id-column", "id",
        "--embeddings", folder / "v.zarr", "--config", folder / "settings.yaml",
        "--min-topic-size", 15, "--n-neighbors", 10, "--scheduler", client.scheduler.address,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    return run, result


def test_fit_prints_topics_and_where_they_are(fitted):
    run, result = fitted
    assert "400 documents, 4 topics" in result.output
    assert f"{run}/assignments/*.parquet" in result.output
    assert "reducer: done" in result.output


def test_flags_win_over_the_file_and_run_json_says_so(fitted):
    config = json.loads((fitted[0] / "run.json").read_text())["config"]
    assert config["min_topic_size"] == 15
    assert config["top_n_words"] == 5
    assert config["umap_model"]["params"]["n_neighbors"] == 10
    assert config["vectorizer_model"]["params"]["ngram_range"] == [1, 2]


def test_the_same_command_finds_everything_done(folder, fitted):
    result = invoke(
        "fit", folder / "x.parquet", "--run", fitted[0], "--text-column", "body",
        "--id-column", "id", "--embeddings", folder / "v.zarr",
        "--config", folder / "settings.yaml", "--min-topic-size", 15, "--n-neighbors", 10,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "reducer: reused" in result.output
    assert ": done" not in result.output


def test_topics_as_table_and_as_json(fitted):
    run = fitted[0]
    assert "400 documents" in invoke("topics", run).output
    topics = json.loads(invoke("topics", run, "--json").output)
    assert [topic["topic"] for topic in topics][-4:] == [0, 1, 2, 3]
    assert len(topics[-1]["words"]) == 5
    one = json.loads(invoke("topics", run, "--topic", 0, "--json").output)
    assert one == next(topic for topic in topics if topic["topic"] == 0)
    shown = invoke("topics", run, "--topic", 0).output
    assert one["words"][0][0] in shown
    assert one["examples"][0]["doc_id"] in shown
    missing = invoke("topics", run, "--topic", 99)
    assert missing.exit_code == 2
    assert "there is no topic 99" in missing.output


def test_status_needs_no_cluster(fitted):
    output = invoke("status", fitted[0]).output
    assert "400 documents; finished" in output
    assert "4 / 4" in output


def test_transform(folder, fitted, client):
    words = ("transform", fitted[0], folder / "new.jsonl", "--text-column", "body", "--id-column",
             "id", "--out", folder / "out", "--scheduler", client.scheduler.address)  # fmt: skip
    refused = invoke(*words)
    assert refused.exit_code == 2
    assert "given embeddings" in refused.output
    result = invoke(*words, "--embeddings", folder / "new.npy")
    assert result.exit_code == 0, result.output
    new = pd.read_parquet(folder / "out")
    assert new.columns.tolist() == ["doc_id", "topic", "probability"]
    assert new["doc_id"].tolist() == [f"d{i}" for i in range(50)]
    old = pd.read_parquet(fitted[0] / "assignments").set_index("doc_id")["topic"]
    assert (new.set_index("doc_id")["topic"] == old[:50]).mean() > 0.9


def test_plan_writes_nothing(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = invoke("plan", folder / "x.parquet", "--text-column", "body")
    assert result.exit_code == 0
    assert "400" in result.output
    assert list(tmp_path.iterdir()) == []


def test_plan_advises_on_many_documents(tmp_path):
    table = pd.DataFrame({"text": ["a b"] * 200_000})
    table.to_parquet(tmp_path / "x.parquet")
    output = invoke("plan", tmp_path / "x.parquet").output
    assert "200,000 in 13 blocks of 16,384" in output
    assert "--min-topic-size 40" in output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fit", "/no/such", "--run", "r"], "/no/such"),
        (["topics", "/no/such/run"], "no run at"),
        (["status", "/no/such/run"], "no run at"),
        (["fit", "x", "--run", "r", "--min-df", "many"], "neither a number"),
        (["fit", "x", "--run", "r", "--storage-options", "{"], "not JSON"),
    ],
)
def test_what_cannot_work_is_said_with_exit_code_two(words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = invoke(*words)
    assert result.exit_code == 2
    assert said in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    "text",
    [b"min_topic_sice: 3", b"- a", b"3", b"1: 2", b"a: !!python/object:os.system x", b"\xff\xfe"],
)
def test_a_configuration_that_is_none(folder, text):
    (folder / "bad.yaml").write_bytes(text)
    words = ["fit", folder / "x.parquet", "--run", "r", "--config", folder / "bad.yaml"]
    result = invoke(*words)
    assert result.exit_code == 2
    assert "bad.yaml" in result.output


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("n_gram_range: 3", "n_gram_range=3"),
        ("vectorizer_model: {ngram_range: 2}", "n_gram_range=2"),
        ("umap_model: 5", "umap_model is 5"),
        ("nr_topics: [1]", "nr_topics"),
    ],
)
def test_values_of_a_configuration_that_mean_nothing(folder, text, said):
    (folder / "bad.yaml").write_text(text)
    result = invoke("fit", folder / "x.parquet", "--run", folder / "none", "--n-neighbors", 9,
                    "--config", folder / "bad.yaml", "--text-column", "body")  # fmt: skip
    assert result.exit_code == 2, result.output
    assert said in result.output
    assert not (folder / "none").exists()


def test_an_embedding_model_with_settings_of_its_own(folder):
    from dtopics.embedding import SentenceTransformerEmbedder

    (folder / "model.yaml").write_text("embedding_model: {name: some/model, backend: onnx}\n")
    found = settings({"config": str(folder / "model.yaml")})["embedding_model"]
    assert found == SentenceTransformerEmbedder("some/model", backend="onnx")
    (folder / "model.yaml").write_text("embedding_model: {name: some/model, speed: high}\n")
    with pytest.raises(SettingError, match=r"embedding_model: .*speed"):
        settings({"config": str(folder / "model.yaml")})
    assert settings({"config": None, "embedding_model": "static"}) == {"embedding_model": "static"}


def test_an_empty_section_of_a_configuration_takes_flags(folder):
    (folder / "empty.yaml").write_text("umap_model:\n")
    found = settings({"config": str(folder / "empty.yaml"), "n_neighbors": 9})
    assert found["umap_model"].n_neighbors == 9


def test_help_is_quick_and_has_examples():
    command = [sys.executable, "-m", "dtopics.cli", "fit", "--help"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "dtopics fit reviews.parquet" in output
    assert "--min-topic-size" in output
