"""A file of gigabytes and a hundred thousand of a line: read whole, in memory that stays as it is."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

#: How large the large file is: ``DTOPICS_GIGABYTES=20`` takes five minutes, and 21 GB of disk.
GIGABYTES = int(os.environ.get("DTOPICS_GIGABYTES", "2"))

#: Plans a corpus, reads each block, and says how many rows and bytes of text there were, the first
#: and last id, and the peak of memory in MiB.
READ = """
import json, resource, sys
sys.path.insert(0, sys.argv[3])
from corpus_helpers import plan_of
from dtopics.corpus import as_corpus, reader_for, Corpus
from dtopics.store.location import Location

corpus = Corpus(sys.argv[1], **json.loads(sys.argv[4]))
corpus.check()
segment = plan_of(corpus, sys.argv[2])
read = reader_for(segment, corpus.storage_options, Location(sys.argv[2]))
rows = size = 0
ids = []
for block in segment.blocks:
    found = read(block)
    rows += len(found.texts)
    size += sum(map(len, found.texts))
    last = found.ids[-1].as_py()
    ids = [*ids[:1], last] if ids else [found.ids[0].as_py(), last]
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
print(json.dumps({"rows": rows, "size": size, "ids": ids, "blocks": len(segment.blocks),
                  "peak": peak}))
"""


def read(source, spool, **how):
    helpers = str(Path(__file__).parent)
    command = [sys.executable, "-c", READ, str(source), str(spool), helpers, json.dumps(how)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return json.loads(said.splitlines()[-1])


@pytest.mark.timeout(450 * GIGABYTES)
def test_a_file_of_gigabytes(tmp_path):
    text = "one of many words " * 110

    def write(rows):
        path = tmp_path / f"{rows}.jsonl"
        with path.open("w") as file:
            file.writelines(f'{{"id": "d{row}", "text": "{text}"}}\n' for row in range(rows))
        return path

    few, many = 50_000, 500_000 * GIGABYTES
    columns = {"text_column": "text", "id_column": "id"}
    small = read(write(few), tmp_path / "a", **columns)
    path = write(many)
    assert path.stat().st_size > 1_000_000_000 * GIGABYTES
    large = read(path, tmp_path / "b", **columns)
    for found, rows in ((small, few), (large, many)):
        assert found["rows"] == rows
        assert found["size"] == rows * len(text)
        assert found["ids"] == ["d0", f"d{rows - 1}"]
    assert large["blocks"] > 10
    assert large["peak"] - small["peak"] < 64


@pytest.mark.timeout(900)
def test_a_hundred_thousand_files(tmp_path):
    folder = tmp_path / "files"
    for part in range(100):
        (folder / f"{part:02}").mkdir(parents=True)
        for row in range(1_000):
            (folder / f"{part:02}" / f"{row:03}.txt").write_text(f"document {part} {row}\n")
    for form in ("text", "files"):  # a document each line, each file
        found = read(folder, tmp_path / form, format=form)
        assert found["rows"] == 100_000
        assert found["blocks"] < 100
        assert found["peak"] < 800
