"""Blocks, their table, and the choice between reading in place and the spool."""

import gzip
import io
import pickle

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpus_helpers import documents, read_all, write_jsonl, write_parquet
from hypothesis import given, settings
from hypothesis import strategies as st

from dtopics.corpus import Corpus, default_block_rows, segment_from_table, segment_to_table
from dtopics.corpus.plan import Extents, cut_blocks
from dtopics.data import Block, Columns, Piece, Segment, Source
from dtopics.errors import RunError
from dtopics.store.location import Location


def test_default_block_rows():
    heights = [default_block_rows(n) for n in range(1, 200_000, 97)]
    assert heights == sorted(heights)
    assert {heights[0], heights[-1]} == {512, 16_384}
    assert all(h % 256 == 0 for h in heights)
    assert default_block_rows(18_846) == 2560
    assert default_block_rows(10**9) == 16_384


@settings(deadline=None, max_examples=60)
@given(
    files=st.lists(st.lists(st.integers(0, 9), max_size=6), max_size=6),
    block_rows=st.integers(1, 12),
)
def test_blocks_hold_every_row_once(files, block_rows):
    extents, rows = [], []
    for f, heights in enumerate(files):
        starts = np.arange(len(heights)) * 100
        extents.append(Extents(f"f{f}", starts, starts + 100, np.array(heights, np.int64)))
        rows += [(f"f{f}", g, i) for g, height in enumerate(heights) for i in range(height)]
    found = []
    blocks = cut_blocks("fit", extents, block_rows)
    for block in blocks:
        held = []
        for piece in block.pieces:
            groups = range(piece.start // 100, piece.stop // 100)
            within = [
                (piece.url, g, i) for g in groups for i in range(files[int(piece.url[1:])][g])
            ]
            held += within[piece.skip : piece.skip + piece.n_rows]
        assert len(held) == block.n_rows
        assert block.row_start == len(found)
        found += held
    assert found == rows
    assert all(block.n_rows == block_rows for block in blocks[:-1])


def a_segment(n_blocks):
    pieces = [
        (
            Piece(f"s3://b/{i % 7}.parquet", i, i + 1, 3, 10),
            Piece("spool:x.parquet", i, i + 2, 0, 6),
        )
        for i in range(n_blocks)
    ]
    blocks = tuple(Block("fit", i, 16 * i, 16, pieces[i]) for i in range(n_blocks))
    sources = tuple(Source(f"s3://b/{i}.parquet", "parquet", i, f"e{i}") for i in range(7))
    return Segment("fit", 16 * n_blocks, 16, Columns("text", class_="é"), sources, blocks)


def test_table_round_trip(tmp_path):
    for segment in (
        a_segment(5),
        Segment("empty", 0, 4, Columns(), (), ()),
        Segment("bare", 6, 4, Columns(), (), (Block("bare", 0, 0, 4), Block("bare", 1, 4, 2))),
    ):
        table = segment_to_table(segment)
        pq.write_table(table, tmp_path / "plan.parquet")
        again = segment_from_table(pq.read_table(tmp_path / "plan.parquet"))
        assert again == segment
    assert segment_to_table(a_segment(5))["row_start"].to_pylist()[:4] == [0, 10, 16, 26]
    with pytest.raises(RunError, match="not a plan"):
        segment_from_table(pa.table({"a": [1]}))


def test_table_of_many_blocks_is_small():
    segment = a_segment(100_000)
    sink = io.BytesIO()
    pq.write_table(segment_to_table(segment), sink)
    assert segment_from_table(pq.read_table(sink)) == segment
    assert sink.tell() < 4_000_000


def kinds_of(segment):
    urls = {piece.url for block in segment.blocks for piece in block.pieces}
    return {"spool" if url.startswith("spool:") else "in place" for url in urls}


def test_giant_row_group_is_spooled(tmp_path):
    texts, ids = documents(100), list(map(str, range(100)))
    (tmp_path / "a.parquet").write_bytes(write_parquet(texts, ids, 1000))
    corpus = Corpus(str(tmp_path / "a.parquet"), text_column="text", id_column="id")
    for block_rows, kind in [(25, "in place"), (24, "spool")]:
        spool = tmp_path / f"s{block_rows}"
        segment, found, found_ids, _ = read_all(corpus, spool, block_rows=block_rows)
        assert (kinds_of(segment), found, found_ids) == ({kind}, texts, ids)


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_tiny_files_are_spooled_together(tmp_path, kind):
    writer = {"parquet": write_parquet, "jsonl": write_jsonl}[kind]
    texts, ids = documents(140 + 600), list(map(str, range(740)))
    for i in range(70):
        rows = slice(2 * i, 2 * i + 2)
        (tmp_path / f"{i:03d}.{kind}").write_bytes(writer(texts[rows], ids[rows]))
    (tmp_path / f"z.{kind}").write_bytes(writer(texts[140:], ids[140:]))
    corpus = Corpus(str(tmp_path / f"*.{kind}"), text_column="text", id_column="id")
    segment, found, found_ids, _ = read_all(corpus, tmp_path / "s", block_rows=200)
    assert kinds_of(segment) == {"spool", "in place"}
    assert (found, found_ids) == (texts, ids)
    assert len([n for n in Location(str(tmp_path / "s")).names() if n.endswith(".parquet")]) == 1
    assert len(segment.sources) == 71


def test_quoted_newlines_are_spooled(tmp_path):
    (tmp_path / "a.csv").write_bytes(b'text\none\n"two ""2"""\n')
    (tmp_path / "b.csv").write_bytes(b'text\n"three\n3"\n')
    segment, found, _, _ = read_all(str(tmp_path), tmp_path / "s", range_bytes=4)
    assert found == ["one", 'two "2"', "three\n3"]
    assert kinds_of(segment) == {"spool", "in place"}


def test_spooling_resumes(tmp_path):
    for i in range(3):
        (tmp_path / f"{i}.csv").write_bytes(b'text\n"a\nb%d"\n' % i)
    corpus = Corpus(str(tmp_path / "*.csv"))
    spool = Location(str(tmp_path / "s"))

    def dies(function, items):
        for item in items:
            yield function(item)
        if "Spool" in type(function).__name__:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        corpus.plan(segment="fit", block_rows=2, spool=spool, map_=dies)
    names = spool.names()
    times = [(tmp_path / "s" / name).stat().st_mtime_ns for name in names]
    assert read_all(corpus, spool, block_rows=2)[1] == ["a\nb0", "a\nb1", "a\nb2"]
    assert spool.names() == names
    assert [(tmp_path / "s" / name).stat().st_mtime_ns for name in names] == times


def test_functions_given_to_map_pickle(tmp_path):
    """They go to workers, and what comes back must be small."""
    (tmp_path / "a.csv").write_bytes(b'text\n"a\nb"\n' + b"x\n" * 5_000)
    (tmp_path / "b.csv").write_bytes(b"text\n" + b"x\n" * 5_000)
    seen = []

    def travelling(function, items):
        for item in items:
            function_, item_ = pickle.loads(pickle.dumps((function, item)))
            result = pickle.dumps(function_(item_))
            seen.append(len(result))
            yield pickle.loads(result)

    corpus = Corpus(str(tmp_path))
    segment = corpus.plan(
        segment="fit", block_rows=None, spool=Location(str(tmp_path / "s")), map_=travelling
    )
    assert segment.n_rows == 10_001
    assert len(seen) == 3
    assert max(seen) < 1_000


def test_fingerprint_of_files(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"text,b\nx,y\n")
    first = Corpus(str(tmp_path / "*.csv"))
    assert Corpus(str(tmp_path)).fingerprint() == first.fingerprint()
    assert Corpus(str(tmp_path), text_column="b").fingerprint() != first.fingerprint()
    (tmp_path / "b.csv").write_bytes(b"text,b\nx,y\n")
    assert Corpus(str(tmp_path)).fingerprint() != first.fingerprint()


def test_estimates(tmp_path):
    (tmp_path / "a.parquet").write_bytes(write_parquet(documents(50), documents(50)))
    found = Corpus(str(tmp_path / "a.parquet"), text_column="text").estimate()
    assert (found.files, found.documents, found.exact) == (1, 50, True)
    (tmp_path / "a.txt").write_bytes(b"0123456789\n" * 300_000)
    found = Corpus(str(tmp_path / "a.txt")).estimate()
    assert (found.documents, found.exact, found.bytes) == (300_000, False, 3_300_000)
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress((tmp_path / "a.txt").read_bytes(), 1))
    found = Corpus(str(tmp_path / "b.txt.gz")).estimate()
    assert found.documents == pytest.approx(300_000, rel=0.2)
    assert found.compressed
    assert not found.exact


def test_globs(tmp_path):
    for name in (
        "b/2.txt",
        "a/1.txt",
        "a/_SUCCESS",
        "a/.3.txt",
        "_tmp/4.txt",
        "a/c/5.txt.gz",
        "a/x.md",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x\n")

    def names(url, **options):
        urls = [source.url for source in Corpus(url, **options)._source.sources]
        return [url.removeprefix(str(tmp_path) + "/") for url in urls]

    assert names(str(tmp_path)) == ["a/1.txt", "a/c/5.txt.gz", "b/2.txt"]
    assert names(f"{tmp_path}/**/*.txt") == ["a/1.txt", "b/2.txt"]
    assert names(f"{tmp_path}/_tmp/*.txt") == ["_tmp/4.txt"]
    assert names(f"{tmp_path}/_*/*.txt") == ["_tmp/4.txt"]
    assert names(tmp_path / "*" / "1.txt") == ["a/1.txt"]
    assert names([f"{tmp_path}/b/2.txt", f"{tmp_path}/a/1.txt"]) == ["b/2.txt", "a/1.txt"]
    assert names(f"{tmp_path}/a", format="files") == [
        "a/1.txt",
        "a/_SUCCESS",
        "a/c/5.txt.gz",
        "a/x.md",
    ]


def test_names_with_signs_of_globs(tmp_path):
    """A file that is there is that file, whatever its name."""
    (tmp_path / "a[1]*.txt").write_bytes(b"x\n")
    (tmp_path / "a1.txt").write_bytes(b"y\n")
    assert read_all(str(tmp_path / "a[1]*.txt"), tmp_path / "s")[1] == ["x"]
