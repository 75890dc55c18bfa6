"""Dask collections: each partition is spooled where it is computed, in order."""

import dask
import dask.bag as db
import dask.dataframe as dd
import pandas as pd
import pytest
from corpus_helpers import documents, read_all

from dtopics.corpus import Corpus, as_corpus
from dtopics.errors import CorpusError


@pytest.fixture(autouse=True)
def _in_threads():
    with dask.config.set(scheduler="threads"):
        yield


def frame(n):
    return pd.DataFrame({"text": documents(n), "id": range(100, 100 + n), "other": 1.5})


@pytest.mark.parametrize("npartitions", [1, 4])
def test_frame(tmp_path, npartitions):
    data = dd.from_pandas(frame(60), npartitions=npartitions)
    corpus = as_corpus(data, id_column="id")
    assert not corpus.in_memory
    assert corpus.check().columns.text == "text"
    _, found, ids, _ = read_all(corpus, tmp_path / "s", block_rows=13)
    assert found == documents(60)
    assert ids == list(range(100, 160))
    before = as_corpus(data, id_column="id").fingerprint()
    assert corpus.fingerprint() == before
    assert as_corpus(data).fingerprint() != before


def test_series(tmp_path):
    data = dd.from_pandas(frame(40)["text"], npartitions=3)
    _, found, ids, _ = read_all(data, tmp_path / "s", block_rows=9)
    assert (found, ids) == (documents(40), list(range(40)))


def test_nulls_and_empty_partitions(tmp_path):
    data = dd.from_pandas(pd.DataFrame({"text": ["a", None, "c", "d"]}), npartitions=2)
    data = data[data["text"].fillna("a") == "a"]
    _, found, _, (block,) = read_all(data, tmp_path / "s")
    assert (found, block.n_null) == (["a", ""], 1)


def test_bag_of_strings(tmp_path):
    texts = [*documents(30), None, "lone \ud800"]
    _, found, _, blocks = read_all(db.from_sequence(texts, npartitions=4), tmp_path / "s")
    assert found == [*documents(30), "", "lone \ufffd"]
    assert blocks[-1].n_null == blocks[-1].n_replaced == 1


def test_bag_of_dicts(tmp_path):
    rows = [{"text": text, "id": i} for i, text in enumerate(documents(30))]
    corpus = Corpus(db.from_sequence(rows, npartitions=4).map(dict), id_column="id")
    _, found, ids, _ = read_all(corpus, tmp_path / "s", block_rows=7)
    assert (found, ids) == (documents(30), list(range(30)))
    assert corpus.estimate().documents > 0


def test_bad_input(tmp_path):
    data = dd.from_pandas(pd.DataFrame({"n": [1, 2], "m": [1, 2]}), npartitions=1)
    with pytest.raises(CorpusError, match=r"cannot tell which column .* 'n', 'm'"):
        as_corpus(data).check()
    with pytest.raises(CorpusError, match=r"text column 'n' .* int64"):
        as_corpus(data, text_column="n").check()
    with pytest.raises(CorpusError, match="partition 1: document 0 is a int"):
        read_all(db.from_sequence(["a", 5], npartitions=2), tmp_path / "s")
    with pytest.raises(
        CorpusError, match="partition 1, row 1: expected a dict with the key 'text'"
    ):
        read_all(db.from_sequence([{"text": "a"}, {"body": "b"}], npartitions=2), tmp_path / "s")
    with pytest.raises(CorpusError, match="the corpus is empty"):
        read_all(db.from_sequence(["a"], npartitions=1).filter(lambda x: x == "b"), tmp_path / "s")
