"""Every format gives back the same documents, however the blocks and ranges are cut."""

import pickle

import pytest
from corpus_helpers import COMPRESS, WRITERS, documents, one_line, plan_of, read_all
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dtopics.corpus import Corpus, reader_for, verify_sources
from dtopics.errors import RunMismatchError
from dtopics.store.location import Location

KINDS = [
    (kind, ending) for kind in WRITERS for ending in COMPRESS if kind != "parquet" or not ending
]


def write(folder: Location, kind, ending, texts, n_files):
    """Write texts over files; return the documents and ids to expect."""
    if kind == "txt":
        texts = [one_line(text) for text in texts]
    ids = [f"id-{i}" for i in range(len(texts))]
    step = -(-len(texts) // n_files)
    for k in range(n_files):
        rows = slice(k * step, (k + 1) * step)
        data = COMPRESS[ending](WRITERS[kind](texts[rows], ids[rows]))
        (folder / f"{k:03d}.{kind}{ending}").create(data)
    return texts, list(range(len(texts))) if kind == "txt" else ids


def corpus_of(folder, kind):
    return Corpus(str(folder), id_column=None if kind == "txt" else "id")


@pytest.mark.parametrize(("kind", "ending"), KINDS)
@pytest.mark.parametrize("n_files", [1, 3])
def test_same_documents(tmp_path, kind, ending, n_files):
    folder = Location(str(tmp_path / "data"))
    texts, ids = write(folder, kind, ending, documents(61), n_files)
    corpus = corpus_of(folder, kind)
    assert corpus.check().files == n_files
    for i, (block_rows, range_bytes) in enumerate(
        [(None, 32 << 20), (7, 64), (20, 1000), (61, 17)]
    ):
        segment, found, found_ids, _ = read_all(
            corpus, tmp_path / f"spool{i}", block_rows=block_rows, range_bytes=range_bytes
        )
        assert found == texts
        assert found_ids == ids
        assert segment.n_rows == 61
        assert [b.row_start for b in segment.blocks] == [
            j * segment.block_rows for j in range(len(segment.blocks))
        ]


@pytest.mark.parametrize("kind", list(WRITERS))
def test_in_memory_file_system(kind, tmp_path):
    folder = Location(f"memory://corpus-formats-{kind}")
    texts, ids = write(folder, kind, "", documents(30), 2)
    spool = folder / "_spool"
    _, found, found_ids, _ = read_all(corpus_of(f"{folder}/*.{kind}", kind), spool, block_rows=8)
    assert (found, found_ids) == (texts, ids)
    folder.remove()


@pytest.mark.parametrize("kind", ["jsonl", "csv", "txt"])
def test_last_line_without_an_end(tmp_path, kind):
    data = WRITERS[kind](["one", "two"], ["1", "2"]).rstrip(b"\r\n")
    (tmp_path / f"a.{kind}").write_bytes(data)
    for range_bytes in range(1, 30):
        assert read_all(str(tmp_path), tmp_path / "s", range_bytes=range_bytes)[1] == ["one", "two"]


@pytest.mark.parametrize("kind", ["jsonl", "csv", "txt"])
def test_windows_files(tmp_path, kind):
    """A byte order mark and \\r\\n are no part of the documents."""
    data = WRITERS[kind](["one", "two", "three"], ["1", "2", "3"])
    data = data.replace(b"\r", b"").replace(b"\n", b"\r\n")
    (tmp_path / f"a.{kind}").write_bytes(b"\xef\xbb\xbf" + data)
    for range_bytes in (1, 2, 3, 5, 11, 1000):
        corpus = Corpus(str(tmp_path / f"a.{kind}"))
        found = read_all(corpus, tmp_path / "s", range_bytes=range_bytes, block_rows=2)[1]
        assert found == ["one", "two", "three"]


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_blank_lines_are_no_rows(tmp_path, ending):
    jsonl = b'\n\n{"text": "a"}\n  \r\n\t\n{"text": "b"}\n\n'
    (tmp_path / f"a.jsonl{ending}").write_bytes(COMPRESS[ending](jsonl))
    (tmp_path / f"a.csv{ending}").write_bytes(COMPRESS[ending](b"\n\r\ntext,x\n\na,\n\r\nb,\n\n"))
    (tmp_path / f"a.txt{ending}").write_bytes(COMPRESS[ending](b"\na\n\nb\n\n"))
    for range_bytes in (1, 3, 8, 1000):
        for kind in ("jsonl", "csv"):
            corpus = Corpus(str(tmp_path / f"a.{kind}{ending}"), text_column="text")
            spool = tmp_path / f"{kind}{ending}{range_bytes}"
            assert read_all(corpus, spool, range_bytes=range_bytes, block_rows=1)[1] == ["a", "b"]
        corpus = Corpus(str(tmp_path / f"a.txt{ending}"))
        spool = tmp_path / f"t{ending}{range_bytes}"
        assert read_all(corpus, spool, range_bytes=range_bytes)[1] == ["", "a", "", "b", ""]


@pytest.mark.parametrize("ending", ["", ".xz"])
@pytest.mark.parametrize("kind", ["jsonl", "csv", "txt"])
def test_bytes_that_are_not_unicode(tmp_path, kind, ending):
    texts, ids = ["fine", "MARK", "\ufffd genuine", "fine too"], list("abcd")
    data = WRITERS[kind](texts, ids).replace(b"MARK", b"bad \xff\xc3( byte")
    path = tmp_path / f"a.{kind}{ending}"
    path.write_bytes(COMPRESS[ending](data))
    _, found, _, blocks = read_all(str(path), tmp_path / "s", block_rows=2)
    assert found == ["fine", "bad \ufffd\ufffd( byte", "\ufffd genuine", "fine too"]
    assert [block.n_replaced for block in blocks] == [1, 0]


@pytest.mark.parametrize(("kind", "ending"), [("parquet", ""), ("jsonl", ""), ("jsonl", ".zst")])
def test_null_texts_are_counted(tmp_path, kind, ending):
    data = COMPRESS[ending](WRITERS[kind](["a", None, "", None, "b"], list("vwxyz")))
    (tmp_path / f"a.{kind}{ending}").write_bytes(data)
    corpus = Corpus(str(tmp_path / f"a.{kind}{ending}"), text_column="text")
    _, found, _, blocks = read_all(corpus, tmp_path / "s", block_rows=3)
    assert found == ["a", "", "", "", "b"]
    assert [block.n_null for block in blocks] == [1, 1]


def test_long_documents(tmp_path):
    texts = ["x" * 3_000_000, "y", "z" * 10_000_000, "end"]
    for kind in ("parquet", "jsonl", "csv", "txt"):
        (tmp_path / f"a.{kind}").write_bytes(WRITERS[kind](texts, list("abcd")))
        corpus = Corpus(str(tmp_path / f"a.{kind}"), text_column=None if kind == "txt" else "text")
        found = read_all(corpus, tmp_path / "s", block_rows=2, range_bytes=1 << 20)[1]
        assert found == texts


def test_each_file_a_document(tmp_path):
    folder = tmp_path / "mails"
    folder.mkdir()
    texts = documents(40)
    for i, text in enumerate(texts):
        (folder / f"{i:03d}.eml").write_bytes(text.encode())
    (folder / ".hidden").write_bytes(b"no")
    corpus = Corpus(str(folder), format="files")
    _, found, ids, _ = read_all(corpus, tmp_path / "s", block_rows=9)
    assert found == [text.removeprefix("\ufeff") for text in texts]
    assert ids == [f"{i:03d}.eml" for i in range(40)]
    assert corpus.estimate().documents == 40


TEXTS = st.lists(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12), min_size=1, max_size=25
)


@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(texts=TEXTS, block_rows=st.integers(1, 30), range_bytes=st.integers(1, 200), data=st.data())
def test_any_texts(tmp_path_factory, texts, block_rows, range_bytes, data):
    kind, ending = data.draw(st.sampled_from([k for k in KINDS if k[1] in {"", ".gz"}]))
    root = tmp_path_factory.mktemp("any")
    if kind == "txt":
        texts = [text.removeprefix("\ufeff") for text in texts]
        texts = [texts[0].lstrip("\ufeff"), *texts[1:]]
    if kind in {"csv", "tsv"}:
        texts = [text or "empty" for text in texts]
    texts, ids = write(Location(str(root / "data")), kind, ending, texts, 1)
    corpus = corpus_of(root / "data", kind)
    _, found, found_ids, _ = read_all(
        corpus, root / "spool", block_rows=block_rows, range_bytes=range_bytes
    )
    assert (found, found_ids) == (texts, ids)


def test_marks_make_blocks_read_little(tmp_path):
    """A block reads its own rows, and those up to the marks around it: not the range."""
    (tmp_path / "a.txt").write_bytes(b"".join(b"document %06d\n" % i for i in range(20_000)))
    corpus = Corpus(str(tmp_path / "a.txt"))
    segment, texts, _, _ = read_all(corpus, tmp_path / "s", block_rows=2_000)
    assert texts[12_345] == "document 012345"
    for block in segment.blocks:
        (piece,) = block.pieces
        assert piece.skip < 1024
        assert piece.stop - piece.start <= (2_000 + 2 * 1024) * 16


def test_reader_is_small_and_pickles(tmp_path):
    write(Location(str(tmp_path / "d")), "jsonl", "", documents(9), 1)
    corpus = Corpus(str(tmp_path / "d"), storage_options={"secret": "s3cr3t"})
    segment = plan_of(corpus, tmp_path / "s")
    reader = reader_for(segment, {}, Location(str(tmp_path / "s")))
    data = pickle.dumps(reader)
    assert len(data) < 1_000
    assert pickle.loads(data)(segment.blocks[0]) == reader(segment.blocks[0])
    assert "s3cr3t" not in repr(reader_for(segment, {"auto_mkdir": "s3cr3t"}, Location("x")))


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_changed_source_is_refused(tmp_path, ending):
    write(Location(str(tmp_path / "d")), "jsonl", ending, documents(9), 2)
    corpus = Corpus(str(tmp_path / "d"))
    segment = plan_of(corpus, tmp_path / "s")
    verify_sources(segment, {})
    path = tmp_path / "d" / f"001.jsonl{ending}"
    path.write_bytes(COMPRESS[ending](b'{"text": "another"}\n'))
    with pytest.raises(RunMismatchError, match=r"001\.jsonl.* changed"):
        verify_sources(segment, {})
    path.unlink()
    if ending:  # what the spool holds is enough
        verify_sources(segment, {})
    else:
        with pytest.raises(RunMismatchError, match=r"001\.jsonl is gone"):
            verify_sources(segment, {})
