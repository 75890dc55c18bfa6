"""What cannot be read says so early, and names the file, the row or the column."""

import gzip
import io
import lzma
import pickle
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from corpus_helpers import plan_of, read_all, write_jsonl, write_parquet

from dtopics.corpus import Corpus, as_corpus
from dtopics.errors import CorpusError, SettingError
from dtopics.store.location import Location


def fails(match, source, tmp_path, **options):
    """Both the check and the plan may find it; one of them must, before any block is read."""

    def use():
        corpus = as_corpus(source, **options)
        corpus.check()
        plan_of(corpus, tmp_path / "_spool")

    with pytest.raises(CorpusError, match=match) as caught:
        use()
    assert type(pickle.loads(pickle.dumps(caught.value))) is CorpusError
    return caught.value


def parquet(**columns):
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def test_missing(tmp_path):
    fails(r"nowhere\.csv does not exist; expected a file", str(tmp_path / "nowhere.csv"), tmp_path)
    fails(r"no file matches .*\*\.csv", str(tmp_path / "*.csv"), tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "_SUCCESS").write_bytes(b"")
    fails(r"folder .* holds no documents; looked for", str(tmp_path / "folder"), tmp_path)


def test_format(tmp_path):
    (tmp_path / "a.docx").write_bytes(b"x")
    fails(r"cannot tell the format of .*a\.docx", str(tmp_path / "a.docx"), tmp_path)
    fails(r"format='docx' is unknown", str(tmp_path / "a.docx"), tmp_path, format="docx")
    (tmp_path / "a.csv").write_bytes(b"text\nx\n")
    (tmp_path / "a.txt").write_bytes(b"x\n")
    fails(r"several formats \(csv, text\).*format=", str(tmp_path), tmp_path)
    (tmp_path / "a.parquet.gz").write_bytes(gzip.compress(parquet(text=["a"])))
    fails(r"decompress it", str(tmp_path / "a.parquet.gz"), tmp_path)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.txt", b""),
        ("a.csv", b"text\n\n"),
        ("a.jsonl", b"\n \n"),
        ("a.txt.gz", gzip.compress(b"", mtime=0)),
        ("a.parquet", parquet(text=pa.array([], pa.string()))),
    ],
)
def test_empty(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    fails("the corpus is empty", str(tmp_path / name), tmp_path)


def test_empty_collections(tmp_path):
    pd = pytest.importorskip("pandas")
    for nothing in (
        [],
        np.array([], "U1"),
        pd.Series([], dtype=object),
        pd.DataFrame({"text": []}),
    ):
        fails("the corpus is empty|has the type", nothing, tmp_path)


def test_truncated_parquet(tmp_path):
    data = write_parquet(["a", "b"], ["1", "2"])
    (tmp_path / "a.parquet").write_bytes(data)
    footer = int.from_bytes(data[-8:-4], "little") + 8
    garbled = data[:-footer] + b"\xff" * (footer - 8) + data[-8:]
    for broken in (data[: len(data) // 2], b"PAR1", garbled, b"x" * 99):
        (tmp_path / "b.parquet").write_bytes(broken)
        fails(r"cannot read .*b\.parquet: ", str(tmp_path), tmp_path)


@pytest.mark.parametrize(
    ("ending", "compress"),
    [
        (".gz", gzip.compress),
        (".xz", lzma.compress),
        (".zst", lambda data: zstandard.ZstdCompressor().compress(data)),
    ],
)
def test_truncated_compression(tmp_path, ending, compress):
    data = compress(write_jsonl([f"{i}" * 50 for i in range(99)], list(range(99))))
    path = tmp_path / f"a.jsonl{ending}"
    for broken in (data[: len(data) // 2], data[:-1], b"not compressed at all"):
        path.write_bytes(broken)
        with pytest.raises(CorpusError, match=r"cannot read .*a\.jsonl"):
            plan_of(Corpus(str(path), text_column="text"), tmp_path / "s")
    path.write_bytes(data + data)  # two members, one after the other, are one file
    corpus = Corpus(str(path), text_column="text")
    assert plan_of(corpus, tmp_path / "s2").n_rows == 198


def test_zstandard_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "zstandard", None)
    (tmp_path / "a.txt.zst").write_bytes(b"x")
    fails(r"needs the package zstandard: pip install", str(tmp_path / "a.txt.zst"), tmp_path)


def test_columns(tmp_path):
    path = tmp_path / "a.parquet"
    path.write_bytes(parquet(a=["x"], b=["y"], n=[1], many=[[1, 2]]))
    fails(r"cannot tell which column .* 'a', 'b', 'n', 'many'", str(path), tmp_path)
    fails(r"no column 'c'; its columns are 'a', 'b'", str(path), tmp_path, text_column="c")
    fails(r"text column 'n' .* type int64", str(path), tmp_path, text_column="n")
    fails(r"'many' .* one value", str(path), tmp_path, text_column="a", id_column="many")
    (tmp_path / "a.txt").write_bytes(b"x\n")
    fails(r"has no columns; found 'c'", str(tmp_path / "a.txt"), tmp_path, text_column="c")
    assert as_corpus(str(path), id_column="a").check().columns.text == "b"
    twice = pa.table([["x"], ["y"], ["z"]], names=["text", "text", "once"])
    pq.write_table(twice, path)
    fails("several columns 'text'", str(path), tmp_path)
    assert as_corpus(str(path), text_column="once").check().columns.text == "once"


def test_schemas_that_differ(tmp_path):
    (tmp_path / "a.parquet").write_bytes(parquet(text=["x"], id=[1]))
    (tmp_path / "b.parquet").write_bytes(parquet(title=["x"], id=[1]))
    fails(
        r"b\.parquet has no column 'text'; its columns are 'title', 'id'", str(tmp_path), tmp_path
    )
    (tmp_path / "b.parquet").write_bytes(parquet(text=["x"], id=["1"]))
    fails(
        r"'id' of .*b\.parquet has the type string; .* int64",
        str(tmp_path),
        tmp_path,
        id_column="id",
    )
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "a.csv").write_bytes(b"text,id\nx,1\n")
    (tmp_path / "c" / "b.csv").write_bytes(b"body,id\nx,1\n")
    fails(r"b\.csv has no column 'text'", str(tmp_path / "c"), tmp_path)


def test_rows_of_jsonl(tmp_path):
    good = b'{"text": "x", "id": 1}\n'
    path = tmp_path / "a.jsonl"
    for bad, match in [
        (b"{not json}\n", "row 2002: this is not JSON"),
        (b"[1]\n", "row 2002: this is a JSON list; expected one object a line"),
        (b'{"body": "x"}\n', "row 2002: there is no key 'text'; its keys are 'body'"),
        (b'{"text": 5}\n', "row 2002: the text 'text' is a int"),
        (b'{"text": "x", "id": "one"}\n', "row 2002: the value of 'id' is a str"),
        (b'{"text": "x", "id": [1]}\n', "row 2002: the value of 'id' is a list"),
        (b"[" * 100_000 + b"\n", "row 2002: this is not JSON"),
    ]:
        path.write_bytes(good * 2000 + b"\n" + good + bad + good)
        corpus = Corpus(str(path), id_column="id")
        for range_bytes in (5_000, 32 << 20):
            with pytest.raises(CorpusError, match=rf"a\.jsonl, {match}"):
                plan_of(corpus, tmp_path / "s", range_bytes=range_bytes)
        (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(path.read_bytes()))
        with pytest.raises(CorpusError, match=rf"a\.jsonl\.gz, {match}"):
            plan_of(Corpus(str(path) + ".gz", id_column="id"), tmp_path / "s")


def test_json_that_is_no_lines(tmp_path):
    (tmp_path / "a.json").write_bytes(b'[\n {"text": "x"}\n]\n')
    fails("row 1: .*expected one object a line", str(tmp_path / "a.json"), tmp_path)


def test_rows_of_csv(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"text,id\nfine,1\na text, with a comma,2\n")
    fails(r"a\.csv, row 2: found 3 values; expected 2", str(path), tmp_path)
    path.write_bytes(b'text,id\n"never closed,1\nx,2\n')
    fails(r"a\.csv.*unexpected end of data", str(path), tmp_path)
    path.write_bytes(b'text,id\n"x"y"",1\n')
    fails(r"a\.csv, line 2: this is not CSV", str(path), tmp_path)


@pytest.mark.parametrize(("name", "sign"), [("a.csv", ";"), ("a.csv", "\t"), ("a.tsv", ",")])
def test_another_delimiter(tmp_path, name, sign):
    (tmp_path / name).write_text(f"text{sign}id\na word{sign}1\n")
    fails("columns seem to be divided by that", str(tmp_path / name), tmp_path)


class NoCredentialsError(Exception):
    """As botocore's: no OSError."""


def test_a_store_that_refuses(tmp_path, monkeypatch):
    def refuse(self):
        raise NoCredentialsError("unable to locate credentials")

    monkeypatch.setattr(Location, "info", refuse)
    fails("cannot look for .*NoCredentialsError: unable", str(tmp_path / "a.csv"), tmp_path)


def test_items_that_are_not_strings(tmp_path):
    fails("document 2 is a int; expected a string", ["a", None, 5], tmp_path)
    fails("document 1 is a float", ["a", float("nan")], tmp_path)
    fails("document 0 is a bytes", [b"a"], tmp_path)
    fails(r"array of shape \(2, 2\)", np.zeros((2, 2)), tmp_path)
    fails("found a generator; expected", (x for x in "ab"), tmp_path)
    fails("found a dict", {"text": ["a"]}, tmp_path)
    fails("a list of documents has no columns", ["a"], tmp_path, text_column="text")


def test_list_of_urls():
    with pytest.raises(CorpusError, match="item 1 is a int; expected URLs"):
        Corpus(["a.txt", 3])
    with pytest.raises(CorpusError, match="the list of URLs is empty"):
        Corpus([])
    with pytest.raises(CorpusError, match="is empty; expected a path"):
        Corpus("")


def test_block_rows(tmp_path):
    with pytest.raises(SettingError, match="block_rows=0"):
        read_all(["a"], tmp_path / "s", block_rows=0)


def test_parquet_whose_pages_are_broken(tmp_path):
    """The footer does not tell; the read does, and names the file."""
    data = write_parquet(["a long text"] * 99, ["1"] * 99)
    path = tmp_path / "a.parquet"
    path.write_bytes(data[:4] + b"\xff" * 200 + data[204:])
    with pytest.raises(CorpusError, match=r"cannot read .*a\.parquet"):
        read_all(Corpus(str(path), text_column="text", id_column="id"), tmp_path / "s")


def test_parquet_whose_column_is_not_named_in_unicode(tmp_path):
    """Arrow itself fails there, with a UnicodeDecodeError."""
    data = write_parquet(["a text"], ["1"])
    path = tmp_path / "a.parquet"
    path.write_bytes(data.replace(b"text", b"t\xe5xt"))
    with pytest.raises(CorpusError, match=r"cannot read .*a\.parquet"):
        read_all(Corpus(str(path), text_column="text", id_column="id"), tmp_path / "s")


def varint(number):
    """Return a number's bytes in a footer: seven bits each, signs in the lowest."""
    number = 2 * number if number >= 0 else -2 * number - 1
    groups = []
    while number >= 128:
        groups.append(number % 128 + 128)
        number //= 128
    return bytes([*groups, number])


@pytest.mark.parametrize(
    ("said", "where"), [(-70_001, "everywhere"), (-70_001, "last"), (1_000_000, "last")]
)
def test_parquet_whose_row_group_lies(said, where, tmp_path):
    """The last that a row group says is how many rows it has; else all of the footer says so."""
    data = write_parquet([None] * 70_001, ["1"] * 70_001, row_group_size=70_001)
    footer = int.from_bytes(data[-8:-4], "little") + 8
    truth, lie = varint(70_001), varint(said)
    assert len(truth) == len(lie)
    if where == "everywhere":
        crafted = data[-footer:].replace(truth, lie)
    else:
        head, tail = data[-footer:].rsplit(truth, 1)
        crafted = head + lie + tail
    (tmp_path / "a.parquet").write_bytes(data[:-footer] + crafted)
    fails(r"cannot read .*a\.parquet", str(tmp_path), tmp_path)


def test_source_that_shrank_while_it_was_read(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\ntwo\n")
    corpus = Corpus(str(path))
    segment = plan_of(corpus, tmp_path / "s")
    from dtopics.corpus import reader_for
    from dtopics.store.location import Location

    read = reader_for(segment, {}, Location(str(tmp_path / "s")))
    path.write_bytes(b"one\n")
    with pytest.raises(CorpusError, match=r"a\.txt holds 1 rows where the plan counted 2"):
        read(segment.blocks[0])
    path.unlink()
    with pytest.raises(CorpusError, match=r"a\.txt does not exist any more"):
        read(segment.blocks[0])
