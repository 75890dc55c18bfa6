"""From any kind of corpus, on any store, to the same topics."""

import gzip
import json

import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import zarr
from runs import KNOWN

from dtopics import Corpus, TopicModel


def frame(corpus):
    return pd.DataFrame(
        {
            "key": [f"doc-{i}" for i in range(len(corpus.texts))],
            "text": corpus.texts,
            "when": pd.date_range("2020-01-01", periods=len(corpus.texts), freq="h"),
            "kind": corpus.labels,
        }
    )


def write(corpus, folder, kind):
    table = frame(corpus)
    match kind:
        case "parquet":
            table.to_parquet(folder / "x.parquet", row_group_size=70)
            return str(folder / "x.parquet")
        case "many files":
            for i in range(4):
                table[i * 100 : i * 100 + 100].to_parquet(folder / f"part-{i}.parquet")
            return str(folder / "*.parquet")
        case "jsonl":
            table.to_json(folder / "x.jsonl", orient="records", lines=True, date_format="iso")
            return str(folder / "x.jsonl")
        case "jsonl.gz":
            with gzip.open(folder / "x.jsonl.gz", "wt") as file:
                file.writelines(json.dumps({"text": text}) + "\n" for text in corpus.texts)
            return str(folder / "x.jsonl.gz")
        case "csv":
            table.to_csv(folder / "x.csv", index=False)
            return str(folder / "x.csv")
        case "text":
            (folder / "x.txt").write_text("".join(f"{text}\n" for text in corpus.texts))
            return str(folder / "x.txt")
        case "series":
            return table["text"]
        case "frame":
            return table
        case "array":
            return np.array(corpus.texts)
        case "dask frame":
            return dd.from_pandas(table, npartitions=3)
        case "dask series":
            return dd.from_pandas(table, npartitions=3)["text"]
        case _:
            return db.from_sequence(corpus.texts, npartitions=3)


KINDS = ["parquet", "many files", "jsonl", "jsonl.gz", "csv", "text", "series", "frame", "array",
         "dask frame", "dask series", "dask bag"]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_any_corpus(known, tmp_path, client, kind):
    corpus, topics, words = known
    (tmp_path / "corpus").mkdir()
    documents = write(corpus, tmp_path / "corpus", kind)
    if isinstance(documents, str):
        documents = Corpus(documents, text_column=None if kind == "text" else "text")
    model = TopicModel(run=str(tmp_path / "run"), **KNOWN)
    with client.as_current():
        found, probabilities = model.fit_transform(documents, corpus.embeddings, client=client)
    if kind != "array":
        assert hasattr(found, "dask")
        assert hasattr(probabilities, "dask")
    assert np.asarray(found).tolist() == topics
    assert model.get_topics() == words


@pytest.mark.parametrize("kind", ["list", "dask", "zarr", "npy"])
def test_any_embeddings(known, tmp_path, client, kind):
    import dask.array as da

    corpus, topics, _ = known
    path = str(tmp_path / "vectors.zarr")
    match kind:
        case "list":
            given = corpus.embeddings.tolist()
        case "dask":
            given = da.from_array(corpus.embeddings, chunks=(90, 20))
        case "zarr":
            zarr.create_array(path, data=corpus.embeddings, chunks=(37, 32))
            given = path
        case _:
            given = str(tmp_path / "vectors.npy")
            np.save(given, corpus.embeddings)
    model = TopicModel(run=str(tmp_path / "run"), **KNOWN)
    with client.as_current():
        found, _ = model.fit_transform(corpus.texts, given, client=client)
    assert found == topics


def test_ids_times_and_classes_are_kept(known, tmp_path):
    corpus, topics, _ = known
    url = write(corpus, tmp_path, "parquet")
    source = Corpus(url, id_column="key", timestamp_column="when", class_column="kind")
    model = TopicModel(run=str(tmp_path / "run"), **{**KNOWN, "block_size": 400})
    model.fit(source, corpus.embeddings)
    assigned = pd.read_parquet(tmp_path / "run" / "assignments")
    assert assigned.columns.tolist() == ["doc_id", "topic", "probability"]
    assert assigned["doc_id"].tolist() == [f"doc-{i}" for i in range(400)]
    assert assigned["topic"].tolist() == topics
    described = pd.concat(
        pd.read_parquet(path)
        for path in sorted((tmp_path / "run").glob("stages/documents/*/documents/0000/*"))
    )
    assert described["class"].tolist() == corpus.labels.tolist()
    assert described["timestamp"].is_monotonic_increasing
    info = model.get_document_info().compute(scheduler="threads")
    assert info["doc_id"].tolist() == assigned["doc_id"].tolist()
    assert {"Topic", "Name", "Representation", "Probability"} <= set(info.columns)
    assert model.embeddings.shape == (400, 32)
