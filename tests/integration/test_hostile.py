"""Documents, files, settings and run directories that somebody made to do harm."""

import bz2
import contextlib
import gzip
import json
import lzma
import shutil
import tracemalloc
from pathlib import Path

import dask
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dtopics import Corpus, TopicModel
from dtopics.cli import cli
from dtopics.corpus import files
from dtopics.errors import CorpusError, DTopicsError, RunError
from dtopics.execution import InProcessExecutor
from dtopics.report import status
from dtopics.report.verify import verify
from dtopics.store import Location, Run
from dtopics.testing import HashingEmbedder, made_up

NAUGHTY = [
    "", " ", "\u200b", "\ufeff", "\u202e reversed \u202c", "a\u0300\u0301\u0302\u0303" * 50,
    "\x00", "a\x00b", "\x1b]0;pwned\x07 title", "\x1b[2J\x1b[31m red", "\r\n\r\n", "\x85\u2028\u2029",
    "null", "NaN", "None", "undefined", "-1", "1e309", "0x0", "∞", "=1+1", "@SUM(A1)",
    '=HYPERLINK("http://x","y")', "<script>alert(1)</script>", "<img src=x onerror=alert(1)>",
    "${jndi:ldap://x/y}", "{{7*7}}", "'; DROP TABLE documents; --", "../../../etc/passwd",
    "%s%n%x", "[bold]not markup[/bold]", "👩‍👩‍👧‍👦 " * 20, "🏳️‍🌈", "ﷺ" * 100, "ｆｕｌｌ ｗｉｄｔｈ", "ß ẞ ŉ İ ı",
    "z" + "\u0489" * 1_000, "\ud7ff\ue000\uffff", "\U0010ffff",
]  # fmt: skip
IDS = ["../../etc/passwd", "/absolute", "a/b/c", "", "..", "con", "x" * 3_000, "\x1b[31m", "a\nb"]


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    """A JSONL file of ordinary and naughty documents, and their ids."""
    folder = tmp_path_factory.mktemp("naughty")
    made = made_up(300, 3, random_state=4)
    texts = [
        *made.texts,
        *NAUGHTY,
        "long " * 300_000,
        *(f"{text} {made.texts[0]}" for text in NAUGHTY),
    ]
    ids = [*IDS, *(f"d{i}" for i in range(len(texts) - len(IDS)))]
    lines = [json.dumps({"id": i, "text": text}) for i, text in zip(ids, texts, strict=True)]
    lines.append('{"id": "lone", "text": "half a pair \\ud800 of it"}')
    (folder / "x.jsonl").write_text("\n".join(lines), encoding="utf-8")
    vectors = HashingEmbedder().encode([*texts, "half a pair"])
    np.save(folder / "x.npy", vectors)
    return folder / "x.jsonl", [*ids, "lone"]


@pytest.fixture(scope="module")
def naughty_run(documents, tmp_path_factory):
    """The run of the naughty documents, made by the command line."""
    path, _ = documents
    run = tmp_path_factory.mktemp("runs") / "run"
    found = CliRunner().invoke(cli, [
        "fit", str(path), "--id-column", "id", "--embeddings", str(path.with_suffix(".npy")),
        "--run", str(run), "--min-topic-size", "10", "--workers", "1",
    ])  # fmt: skip
    assert found.exit_code == 0, found.output
    return run, found.output


def test_every_naughty_document_is_counted_under_its_id(documents, naughty_run):
    run, _ = naughty_run
    _, ids = documents
    table = pq.read_table(sorted((run / "assignments").glob("*.parquet")))
    assert table["doc_id"].to_pylist() == ids
    assert status.read(Run.open(Location(str(run)))).notes["replaced"] == 1


def test_nothing_is_written_outside_the_run(naughty_run):
    run, _ = naughty_run
    assert [path.name for path in run.parent.iterdir()] == ["run"]
    names = {part for path in run.rglob("*") for part in path.relative_to(run).parts}
    assert not any("passwd" in name or "\x1b" in name for name in names)


@pytest.mark.parametrize("command", [["topics"], ["topics", "--topic", "0"], ["status"],
                                     ["topics", "--topic", "-1"], ["topics", "--json"]])  # fmt: skip
def test_a_terminal_is_told_nothing_by_a_document(naughty_run, command):
    run, said = naughty_run
    found = CliRunner().invoke(cli, [command[0], str(run), *command[1:]])
    assert found.exit_code == 0, found.output
    for control in ("\x1b]0;", "\x1b[2J", "\x07", "\x00"):
        assert control not in found.output + said


def test_columns_with_names_of_paths(tmp_path):
    made = made_up(60, 2, random_state=1)
    table = {"../../text": made.texts, "../id": [f"../{i}" for i in range(60)],
             "/etc/class": list(map(str, made.labels))}  # fmt: skip
    pq.write_table(pa.table(table), tmp_path / "x.parquet")
    model = TopicModel(embedding_model=HashingEmbedder(), run=str(tmp_path / "runs" / "run"))
    model.fit(Corpus(str(tmp_path / "x.parquet"), text_column="../../text", id_column="../id",
                     class_column="/etc/class"))  # fmt: skip
    found = pq.read_table(sorted((tmp_path / "runs" / "run" / "assignments").glob("*.parquet")))
    assert found["doc_id"].to_pylist() == table["../id"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs", "x.parquet"]
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["run"]


@pytest.mark.parametrize("kind", ["dictionary", "large", "view", "nested", "binary", "list"])
def test_parquet_of_every_kind(tmp_path, kind):
    texts = pa.array([f"apple pear {i}" for i in range(50)])
    column = {
        "dictionary": texts.dictionary_encode(), "large": texts.cast(pa.large_string()),
        "view": texts.cast(pa.string_view()), "binary": texts.cast(pa.binary()),
        "nested": pa.StructArray.from_arrays([texts], ["a"]), "list": pa.array([["a"]] * 50),
    }[kind]  # fmt: skip
    pq.write_table(pa.table({"text": column}), tmp_path / "x.parquet")
    corpus = Corpus(str(tmp_path / "x.parquet"), text_column="text")
    if kind in {"nested", "binary", "list"}:
        with pytest.raises(CorpusError, match="text"):
            corpus.check()
    else:
        corpus.check()
        assert corpus.head(2) == texts[:2].to_pylist()


# --- what a few bytes become


def bomb(path, size):
    """Write a compressed file that becomes `size` bytes of one letter."""
    ending = path.suffix
    if ending == ".zst":
        zstandard = pytest.importorskip("zstandard")
        made = zstandard.ZstdCompressor(level=19).compressobj()
        pieces = [made.compress(b"a" * 2**20) for _ in range(size >> 20)]
        path.write_bytes(b"".join([*pieces, made.flush()]))
        return
    opening = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}[ending]
    with opening(path, "wb") as file:
        for _ in range(size >> 20):
            file.write(b"a" * 2**20)


@pytest.mark.parametrize("ending", [".gz", ".bz2", ".xz", ".zst"])
def test_a_bomb_is_refused_and_never_held(tmp_path, monkeypatch, ending):
    path = tmp_path / f"x.txt{ending}"
    bomb(path, 300 << 20)
    assert path.stat().st_size < 1 << 20
    monkeypatch.setattr(files, "LARGE_BYTES", 64 << 20)
    tracemalloc.start()
    with pytest.raises(CorpusError, match=r"more than 200 times its size.*most-expanded"):
        for _ in files.stream_bytes(Location(str(path))):
            pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 << 20
    with dask.config.set({"dtopics.corpus.most-expanded": 1e9}):
        assert sum(map(len, files.stream_bytes(Location(str(path))))) == 300 << 20


@pytest.mark.slow
def test_a_bomb_is_an_error_of_the_command(tmp_path):
    bomb(tmp_path / "x.txt.gz", 1_100 << 20)
    found = CliRunner().invoke(
        cli, ["fit", str(tmp_path / "x.txt.gz"), "--run", str(tmp_path / "r")]
    )
    assert found.exit_code == 2
    assert "more than 200 times its size" in found.output


# --- settings


@pytest.mark.parametrize("text", [
    "embedding_model: !!python/object/apply:os.system ['touch pwned']",
    "!!python/object/new:subprocess.Popen [['touch', 'pwned']]",
    "a: &a [x, *a]", "? {a: b}\n: c",
])  # fmt: skip
def test_yaml_builds_nothing(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(text)
    (tmp_path / "x.txt").write_text("a\nb\n")
    found = CliRunner().invoke(cli, ["fit", "x.txt", "--run", "run", "--config", "s.yaml"])
    assert found.exit_code == 2
    assert found.output.startswith("dtopics: s.yaml")
    assert not (tmp_path / "pwned").exists()
    assert not (tmp_path / "run").exists()


# --- run directories that somebody else made


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    made = made_up(80, 2, outliers=0.05, random_state=1)
    run = tmp_path_factory.mktemp("small") / "run"
    TopicModel(run=str(run), min_topic_size=8).fit(made.texts, made.embeddings)
    return run


def look(run):
    """What people do with a run that they were given: nothing of it runs, nothing of it is huge."""
    model = TopicModel.load(str(run))
    model.get_topic_info()
    status.read(Run.open(Location(str(run))))
    verify(Run.open(Location(str(run))), InProcessExecutor())


CRAFTED = {
    "a stage elsewhere": lambda s: s["stages"].update(clusters="../../../outside"),
    "a stage of another name": lambda s: s["fitted"]["stages"].update({"../../x": "abcdef0123"}),
    "a version elsewhere": lambda s: s["fitted"]["versions"][0].update(version="../../outside"),
    "a segment elsewhere": lambda s: s["segments"][0].update(name="../../outside"),
    "more rows than there are atoms": lambda s: s["segments"][0].update(n_rows=10**30),
    "blocks of no rows": lambda s: s["segments"][0].update(block_rows=0),
    "negative rows": lambda s: s["segments"][0].update(n_rows=-5),
    "rows that are true": lambda s: s["segments"][0].update(n_rows=True),
    "many segments": lambda s: s["fitted"].update(segments=10**9),
    "no stages": lambda s: s.update(stages=[]),
    "a division of its own": lambda s: s.update(divided={"k": [["../x", 1, 1]]}),
    "divisions that are an object": lambda s: s.update(divided={"k": {}}),
    "segments that are an object": lambda s: s.update(segments={}),
    "text for versions": lambda s: s["fitted"].update(versions="versions"),
}


@pytest.mark.parametrize("change", CRAFTED.values(), ids=CRAFTED)
def test_a_run_that_leads_elsewhere_is_refused(small_run, tmp_path, change):
    shutil.copytree(small_run, tmp_path / "run")
    (tmp_path / "outside").mkdir()
    state = json.loads((tmp_path / "run" / "run.json").read_text())
    change(state)
    (tmp_path / "run" / "run.json").write_text(json.dumps(state))
    with pytest.raises(RunError, match=r"run\.json is not what dtopics writes"):
        look(tmp_path / "run")
    assert (tmp_path / "outside").exists()


@pytest.mark.parametrize("item", [
    {"stage": "stages/clusters/../../../outside", "block": "whole", "what": "x"},
    {"stage": "stages/clusters/abc", "block": "../../../../outside/x", "what": "x"},
    {"stage": "topics/../../outside", "block": "", "what": "x"},
    {"stage": "../outside", "block": "whole", "what": "x"}, {"stage": 5}, "x",
])  # fmt: skip
def test_a_list_of_damage_removes_nothing_outside(small_run, tmp_path, item):
    run, outside = tmp_path / "run", tmp_path / "outside"
    shutil.copytree(small_run, run)
    outside.mkdir()
    (outside / "receipts").mkdir()
    (outside / "x.json").write_text("{}")
    text = json.dumps([item]).replace("{run}", str(run))
    (run / "damaged.json").write_text(text)
    made = made_up(80, 2, outliers=0.05, random_state=1)
    with contextlib.suppress(DTopicsError):
        TopicModel(run=str(run), min_topic_size=8).fit(made.texts, made.embeddings)
    assert sorted(path.name for path in outside.iterdir()) == ["receipts", "x.json"]


def test_a_pickle_in_a_run_is_not_opened(small_run, tmp_path):
    """What is opened when a run is looked at is data."""
    run = tmp_path / "run"
    shutil.copytree(small_run, run)
    (run / "foreign").mkdir(exist_ok=True)
    (run / "foreign" / "evil.pickle").write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    look(run)
    assert not Path("pwned").exists()


@pytest.fixture(scope="module")
def fuzzed(small_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzzed") / "run"
    shutil.copytree(small_run, folder)
    every = [path for path in folder.rglob("*") if path.is_file() and "lease" not in str(path)]
    return folder, sorted(every)


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[
    HealthCheck.function_scoped_fixture, HealthCheck.too_slow,
])  # fmt: skip
def test_a_run_with_any_bytes_changed_is_read_or_refused(fuzzed, data):
    run, every = fuzzed
    path = data.draw(st.sampled_from(every), label="file")
    before = path.read_bytes()
    content = bytearray(before)
    match data.draw(st.sampled_from(["flip", "cut", "insert", "json"]), label="how"):
        case "flip" if content:
            for _ in range(data.draw(st.integers(1, 4))):
                place = data.draw(st.integers(0, len(content) - 1))
                content[place] ^= data.draw(st.integers(1, 255))
        case "cut":
            content = content[: data.draw(st.integers(0, len(content)))]
        case "insert":
            place = data.draw(st.integers(0, len(content)))
            content[place:place] = data.draw(st.binary(max_size=8))
        case "json" if path.suffix == ".json":
            content = bytearray(json.dumps(changed(json.loads(content), data)).encode())
    path.write_bytes(content)
    try:
        with contextlib.suppress(DTopicsError):
            look(run)
    finally:
        path.write_bytes(before)
        (run / "damaged.json").unlink(missing_ok=True)


def changed(value, data):
    """Change something in a JSON value."""
    odd = st.sampled_from([None, True, -1, 10**20, 1.5, "", "../x", [], {}, [[]], {"a": 1}])
    if isinstance(value, dict) and value and data.draw(st.booleans()):
        key = data.draw(st.sampled_from(sorted(value)))
        return {**value, key: changed(value[key], data)}
    if isinstance(value, list) and value and data.draw(st.booleans()):
        place = data.draw(st.integers(0, len(value) - 1))
        return [*value[:place], changed(value[place], data), *value[place + 1 :]]
    return data.draw(odd)
