"""Made-up documents, and how each format writes them."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from dtopics.corpus import as_corpus, reader_for
from dtopics.store.location import Location

NAUGHTY = [
    "a plain sentence",
    "",
    "two\nlines",
    "carriage\r\nreturn and \r alone",
    'a "quoted", comma',
    '"',
    "line\u2028separator, next\x85line, vertical\x0btab",
    "emoji 👩‍👩‍👧 and Ελληνικά 漢字",
    "null byte \x00 inside",
    "\ttab and  spaces ",
    " ",
    "\ufeffwith a mark",
    "\ufffd was here before",
    "long " * 4_000,
    '{"text": "not JSON"}',
    "NULL",
    "back\\slash \\u0041",
]


def documents(n: int) -> list[str]:
    """Return `n` documents, the naughty ones spread among plain ones."""
    return [NAUGHTY[i // 3 % len(NAUGHTY)] if i % 3 == 1 else f"document {i}" for i in range(n)]


def one_line(text: str) -> str:
    """Return the text without what ends a line of plain text."""
    return text.replace("\r", " ").replace("\n", " ")


def write_parquet(texts: list[str | None], ids: list[str], row_group_size: int = 10) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"id": ids, "text": texts}), sink, row_group_size=row_group_size)
    return sink.getvalue()


def write_jsonl(texts: list[str | None], ids: list[str]) -> bytes:
    rows = (
        json.dumps({"id": i, "text": t}, ensure_ascii=False)
        for i, t in zip(ids, texts, strict=True)
    )
    return "".join(row + "\n" for row in rows).encode()


def write_csv(texts: list[str | None], ids: list[str], delimiter: str = ",") -> bytes:
    sink = io.StringIO(newline="")
    writer = csv.writer(sink, delimiter=delimiter)
    writer.writerow(["id", "text"])
    writer.writerows(zip(ids, texts, strict=True))
    return sink.getvalue().encode()


def write_tsv(texts: list[str | None], ids: list[str]) -> bytes:
    return write_csv(texts, ids, "\t")


def write_text(texts: list[str | None], ids: list[str]) -> bytes:
    return "".join(f"{text}\n" for text in texts).encode()


WRITERS = {
    "parquet": write_parquet,
    "jsonl": write_jsonl,
    "csv": write_csv,
    "tsv": write_tsv,
    "txt": write_text,
}
COMPRESS = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: zstandard.ZstdCompressor().compress(data),
}


def plan_of(corpus, spool, *, block_rows=None, range_bytes=32 << 20):
    return corpus.plan(
        segment="fit",
        block_rows=block_rows,
        spool=Location(str(spool)),
        map_=map,
        range_bytes=range_bytes,
    )


def read_all(corpus, spool, **options):
    """Plan a corpus and read it block by block: (segment, texts, ids, documents of each block)."""
    corpus = as_corpus(corpus)
    segment = plan_of(corpus, spool, **options)
    read = reader_for(segment, corpus.storage_options, Location(str(spool)))
    found = [read(block) for block in segment.blocks]
    texts = [text for block in found for text in block.texts]
    ids = [id_ for block in found for id_ in block.ids.to_pylist()]
    for block, documents_ in zip(segment.blocks, found, strict=True):
        assert len(documents_.texts) == len(documents_.ids) == block.n_rows
    return segment, texts, ids, found
