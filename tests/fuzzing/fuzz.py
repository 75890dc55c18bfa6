"""Bytes made by libFuzzer, given to a reader or the loader of runs: ``fuzz.py TARGET [OPTIONS]``.

TARGET is a format of corpora, or ``run``. An error of dtopics is an answer; any other is found, and
libFuzzer writes the bytes beside. OPTIONS are libFuzzer's: ``-max_total_time=60``.
"""

import contextlib
import json
import logging
import subprocess
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["dtopics.corpus", "dtopics.store"]):
    from dtopics import Corpus
    from dtopics.corpus import reader_for
    from dtopics.store import Location, Run

from dtopics.errors import DTopicsError

SUFFIXES = {"jsonl": ".jsonl", "csv": ".csv", "tsv": ".tsv", "text": ".txt", "files": ".txt",
            "parquet": ".parquet", "gz": ".jsonl.gz", "zst": ".txt.zst"}  # fmt: skip
FIT = """
import sys
from dtopics import TopicModel
from dtopics.testing import made_up
made = made_up(60, 2, outliers=0.0, random_state=1)
TopicModel(run=sys.argv[1], min_topic_size=8).fit(made.texts, made.embeddings)
"""
COLUMNS = {"jsonl", "csv", "tsv", "parquet", "gz"}


def read(path, name, spool):
    """Plan a corpus and read each of its blocks."""
    corpus = Corpus(str(path), **({"text_column": "text", "id_column": "id"} if name in COLUMNS
                                  else {"format": "files"} if name == "files" else {}))  # fmt: skip
    corpus.check()
    segment = corpus.plan(segment="0000", block_rows=3, spool=Location(str(spool)), map_=map)
    reader = reader_for(segment, corpus.storage_options, Location(str(spool)))
    rows = sum(len(reader(block).texts) for block in segment.blocks)
    assert rows == segment.n_rows, f"{rows} of {segment.n_rows} rows were read"


def look(folder):
    """Open a run whose state says anything."""
    run = Run.open(Location(str(folder)))
    for stage in run.in_use():
        stage.whole_receipt()
        stage.done("0000")


def change(value, made):
    """Change something in a JSON value, as bytes say."""
    if isinstance(value, dict) and value and made.ConsumeBool():
        name = made.PickValueInList(sorted(value))
        if made.ConsumeBool():
            return {**value, name: change(value[name], made)}
        return {**value, made.ConsumeUnicode(12): value[name]}
    if isinstance(value, list) and value and made.ConsumeBool():
        place = made.ConsumeIntInRange(0, len(value) - 1)
        return [*value[:place], change(value[place], made), *value[place + 1 :]]
    other = [None, True, [], {}, made.ConsumeInt(16), made.ConsumeFloat(), made.ConsumeUnicode(40)]
    return made.PickValueInList(other)


def state(data, place):
    """Return a run's state: a real one with some values changed, or any bytes."""
    made = atheris.FuzzedDataProvider(data)
    if made.ConsumeIntInRange(0, 9) == 0:
        return made.ConsumeBytes(len(data))
    found = json.loads((place / "0").read_bytes())
    for _ in range(made.ConsumeIntInRange(1, 4)):
        found = change(found, made)
    return json.dumps(found).encode()


def one(name, folder):
    """Return what libFuzzer calls with bytes."""

    def call(data):
        with tempfile.TemporaryDirectory(dir=folder) as place, contextlib.suppress(DTopicsError):
            if name == "run":
                (Path(place) / "run.json").write_bytes(state(data, Path(folder) / "seeds"))
                look(place)
            else:
                path = Path(place) / f"x{SUFFIXES[name]}"
                path.write_bytes(data)
                read(path, name, Path(place) / "spool")

    return call


def seeds(name, folder):
    """Write some inputs to begin with; return their folder."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "corpus"))
    place = folder / "seeds"
    place.mkdir()
    if name == "run":
        command = [sys.executable, "-c", FIT, str(folder / "run")]  # quicker than instrumented
        subprocess.run(command, check=True)
        (place / "0").write_bytes((folder / "run" / "run.json").read_bytes())
        return place
    import corpus_helpers as helpers

    texts = ["apple", "", 'a "b", c\nd', "ß \u2028", "x"]
    written = {"gz": "jsonl", "zst": "txt", "text": "txt", "files": "txt"}.get(name, name)
    data = helpers.WRITERS[written](texts, list("abcde"))
    data = helpers.COMPRESS.get(f".{name}", bytes)(data)
    (place / "0").write_bytes(data)
    return place


def main():
    name, *options = sys.argv[1:]
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        started = seeds(name, Path(folder))
        atheris.Setup([sys.argv[0], *options, str(started)], one(name, folder))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
