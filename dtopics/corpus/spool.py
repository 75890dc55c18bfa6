"""The spool: what cannot be read block by block, written once as Parquet that can.

Parts are made exclusively and named after what they hold, so a plan that died half way goes on
with those that are there, and a part of another corpus is never taken for one of this.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dtopics.corpus.parquet import REPLACED, group_extents
from dtopics.corpus.plan import Extents
from dtopics.corpus.rows import Rows, join_rows
from dtopics.data import Source
from dtopics.store.location import Location

#: Begins the URL of a piece that lies in the spool, wherever the run directory is moved.
SPOOL = "spool:"

#: A block reads whole row groups, so they are low; a part is held in memory until it is whole.
GROUP_ROWS = 1024
GROUP_CHARACTERS = 8 << 20
PART_ROWS = 65_536
PART_BYTES = 32 << 20

#: Small files are spooled together.
BATCH_FILES = 1024
BATCH_BYTES = 32 << 20


class Part(NamedTuple):
    """A part's name, and the rows of its row groups."""

    name: str
    rows: tuple[int, ...]

    def extents(self) -> Extents:
        """Return its rows as the plan wants them."""
        return group_extents(SPOOL + self.name, self.rows)


class Streamed(Protocol):
    """A format that can be read from beginning to end."""

    def parse_stream(self, location: Location) -> Iterator[Rows]:
        """Yield all rows of a file in order, in bounded memory."""
        ...


class PartWriter:
    """Writes rows as parts.

    Parameters
    ----------
    spool : Location
    prefix : str
        Of the parts' names; must say what they hold.
    part_rows : int
        The most rows of a part.
    """

    def __init__(self, spool: Location, prefix: str, part_rows: int = PART_ROWS) -> None:
        self.spool, self.prefix, self.part_rows = spool, prefix, part_rows
        self.parts: list[Part] = []
        self._held: list[Rows] = []
        self._held_rows = self._held_characters = 0
        self._groups: list[int] = []
        self._buffer = io.BytesIO()
        self._writer: pq.ParquetWriter | None = None

    def add(self, rows: Rows) -> None:
        """Take more rows."""
        start = 0
        while start < len(rows.texts):
            room = min(GROUP_ROWS - self._held_rows, self.part_rows - sum(self._groups))
            stop = self._fill(rows.texts, start, start + room)
            self._held.append(rows.part(start, stop))
            self._held_rows += stop - start
            whole = self._held_rows + sum(self._groups) >= self.part_rows
            if self._held_rows >= GROUP_ROWS or self._held_characters >= GROUP_CHARACTERS or whole:
                self._end_group()
            if whole or self._buffer.tell() >= PART_BYTES:
                self._end_part()
            start = stop

    def close(self) -> tuple[Part, ...]:
        """Write what is left, and return all parts in order."""
        if self._held:
            self._end_group()
        if self._groups:
            self._end_part()
        return tuple(self.parts)

    def _fill(self, texts: Sequence[str | None], start: int, stop: int) -> int:
        for position in range(start, min(stop, len(texts))):
            self._held_characters += len(texts[position] or "")
            if self._held_characters >= GROUP_CHARACTERS:
                return position + 1
        return min(stop, len(texts))

    def _end_group(self) -> None:
        rows = join_rows(self._held)
        self._held, self._held_rows, self._held_characters = [], 0, 0
        marks = np.zeros(len(rows.texts), bool)
        marks[list(rows.replaced)] = True
        columns = {"text": pa.array(rows.texts, pa.large_string()), **rows.kept, REPLACED: marks}
        table = pa.table(columns).replace_schema_metadata({"dtopics.spool": "1"})
        if self._writer is None:
            self._writer = pq.ParquetWriter(
                self._buffer, table.schema, compression="zstd", write_page_checksum=True
            )
        self._writer.write_table(table, row_group_size=max(table.num_rows, 1))
        self._groups.append(table.num_rows)

    def _end_part(self) -> None:
        if self._writer is not None:
            self._writer.close()
        part = Part(f"{self.prefix}-{len(self.parts):04d}.parquet", tuple(self._groups))
        (self.spool / part.name).create(self._buffer.getvalue())
        self.parts.append(part)
        self._groups, self._buffer, self._writer = [], io.BytesIO(), None


class Batch(NamedTuple):
    """Consecutive files that are spooled together; `first` is the position of the first."""

    first: int
    sources: tuple[Source, ...]


def batch_sources(sources: Sequence[Source], wanted: Sequence[bool]) -> list[Batch]:
    """Group the wanted files that follow each other, small ones together."""
    batches: list[Batch] = []
    held: list[Source] = []
    size = first = 0
    for position, (source, want) in enumerate(zip(sources, wanted, strict=True)):
        full = len(held) == BATCH_FILES or size + source.size > BATCH_BYTES
        if held and (full or not want):
            batches.append(Batch(first, tuple(held)))
            held, size = [], 0
        if want:
            first = first if held else position
            held.append(source)
            size += source.size
    return [*batches, Batch(first, tuple(held))] if held else batches


@dataclass(frozen=True)
class SpoolFiles:
    """Spool a batch of files; picklable. A note beside the parts says that they are all there."""

    format: Streamed
    spool: Location
    storage_options: Mapping[str, Any] = field(repr=False, hash=False)

    def __call__(self, batch: Batch) -> tuple[Part, ...]:
        """Return the batch's parts."""
        prefix = f"{batch.first:06d}-{self._key(batch)}"
        note = self.spool / f"{prefix}.json"
        if note.exists():
            return tuple(Part(name, tuple(rows)) for name, rows in json.loads(note.read()))
        writer = PartWriter(self.spool, prefix)
        for source in batch.sources:
            for rows in self.format.parse_stream(Location(source.url, self.storage_options)):
                writer.add(rows)
        parts = writer.close()
        note.create(json.dumps(parts).encode())
        return parts

    def _key(self, batch: Batch) -> str:
        words = [repr(self.format), repr(batch.sources)]
        return hashlib.sha256(json.dumps(words).encode()).hexdigest()[:12]
