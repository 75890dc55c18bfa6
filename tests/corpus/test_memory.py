"""Lists, arrays and pandas."""

import datetime as dt

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from corpus_helpers import documents, plan_of, read_all

from dtopics.corpus import Corpus, as_corpus
from dtopics.errors import CorpusError
from dtopics.store.location import Location


@pytest.mark.parametrize(
    "make",
    [
        list,
        tuple,
        np.array,
        lambda t: np.array(t, object),
        pd.Series,
        lambda t: pd.Series(t, dtype=object),
    ],
    ids=["list", "tuple", "array", "objects", "series", "object series"],
)
def test_texts(tmp_path, make):
    texts = documents(50)
    corpus = as_corpus(make(texts))
    assert corpus.in_memory
    assert corpus.check().documents == corpus.estimate().documents == 50
    for i, block_rows in enumerate((None, 7, 50)):
        segment, found, ids, _ = read_all(corpus, tmp_path / f"s{i}", block_rows=block_rows)
        assert found == texts
        assert ids == list(range(50))
        assert all(len(block.pieces) == 1 for block in segment.blocks)
    assert segment.sources == ()


def test_surrogates_and_nulls(tmp_path):
    texts = ["fine", "lone \ud800 one", None, "\udcff\udcfe"]
    _, found, _, blocks = read_all(texts, tmp_path / "s", block_rows=2)
    assert found == ["fine", "lone \ufffd one", "", "\ufffd\ufffd"]
    assert [(b.n_null, b.n_replaced) for b in blocks] == [(0, 1), (1, 1)]


def test_frame(tmp_path):
    days = pd.to_datetime(["2020-01-01", None, "2021-05-05"])
    frame = pd.DataFrame(
        {
            "body": ["a", None, "c"],
            "key": [5, 6, 7],
            "when": days,
            "kind": pd.Categorical(list("xyx")),
        },
        index=[9, 9, 9],
    )
    corpus = Corpus(
        frame, text_column="body", id_column="key", timestamp_column="when", class_column="kind"
    )
    segment, found, ids, (block,) = read_all(corpus, tmp_path / "s")
    assert (found, ids, block.n_null) == (["a", "", "c"], [5, 6, 7], 1)
    assert pa.types.is_timestamp(block.timestamps.type)
    assert block.timestamps.to_pylist()[2] == dt.datetime(2021, 5, 5)
    assert block.timestamps.null_count == 1
    assert block.classes.to_pylist() == ["x", "y", "x"]
    assert segment.columns.text == "body"


def test_frame_with_mixed_ids(tmp_path):
    frame = pd.DataFrame({"text": ["a", "b", "c"], "id": pd.Series([1, "x", None], dtype=object)})
    assert read_all(Corpus(frame, id_column="id"), tmp_path / "s")[2] == ["1", "x", None]


def test_frame_of_other_things(tmp_path):
    frame = pd.DataFrame({"text": pd.Series(["a", 5], dtype=object)})
    with pytest.raises(CorpusError, match="document 1 is a int"):
        as_corpus(frame).check()


def test_fingerprint_is_of_the_content(tmp_path):
    same = {
        as_corpus(kind(["a", "b"])).fingerprint() for kind in (list, tuple, np.array, pd.Series)
    }
    assert len(same) == 1
    others = [["a", "c"], ["ab", ""], ["a", "b", ""], ["a", None], ["b", "a"]]
    assert len(same | {as_corpus(other).fingerprint() for other in others}) == 6
    frame = pd.DataFrame({"text": ["a", "b"], "id": [1, 2]})
    with_ids = {Corpus(f, id_column="id").fingerprint() for f in (frame, frame.assign(id=[1, 3]))}
    assert len(same | with_ids) == 3


def test_parts_that_are_there_are_kept(tmp_path):
    texts = documents(2000)
    spool = Location(str(tmp_path / "s"))
    first = plan_of(as_corpus(texts), spool)
    times = {name: (tmp_path / "s" / name).stat().st_mtime_ns for name in spool.names()}
    missing = spool.names()[1]
    (spool / missing).remove()
    assert plan_of(as_corpus(texts), spool) == first
    again = {name: (tmp_path / "s" / name).stat().st_mtime_ns for name in spool.names()}
    assert {n for n in times if times[n] != again[n]} == {missing}
    plan_of(as_corpus([*texts[:-1], "other"]), spool)
    assert len(spool.names()) == 2 * len(times)


def test_corpus_stays_what_it_is(tmp_path):
    corpus = as_corpus(["a"])
    assert as_corpus(corpus) is corpus
    with pytest.raises(CorpusError, match="has its own columns"):
        as_corpus(corpus, text_column="text")
