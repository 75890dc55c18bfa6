"""Types of the text and kept columns."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpus_helpers import documents, read_all

from dtopics.corpus import Corpus


def write(path, table, **options):
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    path.write_bytes(sink.getvalue())


@pytest.mark.parametrize(
    "type_",
    [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())],
    ids=str,
)
def test_text_types(tmp_path, type_):
    texts = [*documents(20), None]
    write(tmp_path / "a.parquet", pa.table({"x": pa.array(texts).cast(type_)}), row_group_size=8)
    corpus = Corpus(str(tmp_path / "a.parquet"), id_column=None)
    _, found, _, _ = read_all(corpus, tmp_path / "s", block_rows=5)
    assert found == [*documents(20), ""]


def test_bad_bytes_in_parquet(tmp_path):
    texts = pa.array([b"fine", b"bad \xff", None]).cast(pa.binary())
    bad = pa.Array.from_buffers(pa.string(), 3, texts.buffers())
    write(tmp_path / "a.parquet", pa.table({"text": bad, "id": bad}))
    for block_rows in (3, 1):
        corpus = Corpus(str(tmp_path / "a.parquet"), id_column="id")
        _, found, ids, blocks = read_all(corpus, tmp_path / f"s{block_rows}", block_rows=block_rows)
        assert found == ["fine", "bad \ufffd", ""]
        assert ids == ["fine", "bad \ufffd", None]
        assert sum(block.n_replaced for block in blocks) == 1
        assert sum(block.n_null for block in blocks) == 1


@pytest.mark.parametrize("block_rows", [2, 1], ids=["in place", "spooled"])
@pytest.mark.parametrize(
    "values",
    [
        pa.array([1, None, 3, 4, 5, 6], pa.int32()),
        pa.array(np.arange(6), pa.timestamp("us", "UTC")),
        pa.array(list("aabbcc")).dictionary_encode(),
        pa.array(list("abcdef"), pa.large_string()),
        pa.array([b"\xff"] * 6),
        pa.array([1.5] * 6, pa.float64()),
        pa.nulls(6),
    ],
    ids=lambda a: str(a.type),
)
def test_kept_types(tmp_path, values, block_rows):
    table = pa.table({"text": list("abcdef"), "i": values, "t": values, "c": values})
    write(tmp_path / "a.parquet", table, row_group_size=5)
    corpus = Corpus(
        str(tmp_path / "a.parquet"), id_column="i", timestamp_column="t", class_column="c"
    )
    _, _, ids, blocks = read_all(corpus, tmp_path / "s", block_rows=block_rows)
    assert ids == values.to_pylist()
    assert [x for b in blocks for x in b.timestamps.to_pylist()] == ids
    assert [x for b in blocks for x in b.classes.to_pylist()] == ids
    assert len({(b.ids.type, b.timestamps.type, b.classes.type) for b in blocks}) == 1


def test_kept_types_of_jsonl_are_those_of_the_whole_file(tmp_path):
    """A block of nulls, or of whole numbers, must come to the types of the others."""
    rows = ['{"text": "a", "i": 1, "t": 1, "c": true}', '{"text": "b", "t": 2.5}'] * 3
    (tmp_path / "a.jsonl").write_text("\n".join(rows))
    corpus = Corpus(
        str(tmp_path / "a.jsonl"), id_column="i", timestamp_column="t", class_column="c"
    )
    _, _, ids, blocks = read_all(corpus, tmp_path / "s", block_rows=1)
    assert ids == [1, None] * 3
    assert {str(b.ids.type) for b in blocks} == {"int64"}
    assert {str(b.timestamps.type) for b in blocks} == {"double"}
    assert {str(b.classes.type) for b in blocks} == {"bool"}


def test_mixed_values_of_jsonl_are_strings(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "a", "i": 1}\n{"text": "b", "i": "x"}\n')
    assert read_all(Corpus(str(tmp_path), id_column="i"), tmp_path / "s")[2] == ["1", "x"]


def test_id_may_be_the_text(tmp_path):
    (tmp_path / "a.csv").write_text("text\na\nb\n")
    assert read_all(Corpus(str(tmp_path), id_column="text"), tmp_path / "s")[2] == ["a", "b"]
