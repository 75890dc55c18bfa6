"""Comma- or tab-separated values, with the names of the columns in the first line.

Every value is a string: types guessed from a block would differ between blocks. Empty lines are
no rows. A file with line breaks inside quotes cannot be cut at its lines; it goes through the
spool.
"""

from __future__ import annotations

import csv
import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from dtopics.corpus.columns import Fields, check_fields
from dtopics.corpus.lines import (
    BOM,
    MARK_BYTES,
    MARK_ROWS,
    LineFormat,
    RowFault,
    kept_rows,
    raw_lines,
    stream_lines,
)
from dtopics.corpus.rows import Rows, decode_text, roles_of
from dtopics.errors import CorpusError
from dtopics.store.location import Location


@dataclass(frozen=True)
class Csv(LineFormat):
    """CSV as RFC 4180 has it, read strictly: what could be read in two ways is an error."""

    delimiter: str = ","

    def is_blank(self, line: bytes) -> bool:
        """Whether the line is empty."""
        return line in (b"", b"\r")

    def crosses_lines(self, lines: Sequence[bytes]) -> bool:
        """Whether a line has an odd number of quotes."""
        return any(line.count(b'"') & 1 for line in lines)

    def header(self, location: Location) -> tuple[tuple[str, ...], int]:
        """Return the names in the first line, and the byte after it."""
        names: list[str] = []
        end = 0
        for line in raw_lines(location):
            text = decode_text(line.removeprefix(BOM) if end == 0 else line)[0]
            end += len(line) + 1
            if text.removesuffix("\r"):
                names = self._names(text, location.url)
                break
        if names and self.columns.text is not None:
            check_fields(dict.fromkeys(names, pa.string()), self.columns, location.url)
        return tuple(names), end

    def fields(self, location: Location) -> Fields:
        """Return the names in the first line; every value is a string."""
        names = self.header(location)[0]
        other = next((sign for sign in ";\t|," if sign in names[0]), "") if len(names) == 1 else ""
        if other:
            raise CorpusError(
                f"the first line of {location.url} is one name with {other!r} in it, so columns "
                f"seem to be divided by that; expected {self.delimiter!r} (format='tsv' has tabs)"
            )
        return dict.fromkeys(names, pa.string())

    def parse(self, lines: Sequence[bytes], header: tuple[str, ...]) -> Rows:
        """Return one row for each line; raises RowFault."""
        decoded = [decode_text(line) for line in lines]
        records = self._records([text for text, _ in decoded])
        return self._rows(records, [mended for _, mended in decoded], header)

    def parse_stream(self, location: Location) -> Iterator[Rows]:
        """Yield all rows of a file in order, line breaks inside quotes included."""
        header = self.header(location)[0]
        if not header:
            return
        mended = [False]
        reader = self._reader(_decoded(stream_lines(location), mended))
        rows_before = 0
        try:
            next(record for record in reader if record)
            mended[0] = False
            for batch in _batches(reader, mended):
                records, flags = [r for r, _ in batch], [m for _, m in batch]
                yield self._rows(records, flags, header)
                rows_before += len(batch)
        except RowFault as fault:
            raise fault.error(location.url, rows_before) from None
        except csv.Error as error:
            place = f"{location.url}, line {reader.line_num}"
            raise CorpusError(f"{place}: this is not CSV: {error}") from error

    def _rows(
        self, records: Sequence[list[str]], mended: Sequence[bool], header: tuple[str, ...]
    ) -> Rows:
        width = len(header)
        for position, record in enumerate(records):
            if len(record) > width and any(record[width:]):
                raise RowFault(
                    position,
                    f"found {len(record)} values; expected {width}, as in the first line. A text "
                    "with commas must stand in quotes",
                )
        place = header.index(str(self.columns.text))
        texts = [record[place] if place < len(record) else None for record in records]
        replaced = tuple(
            i for i, text in enumerate(texts) if mended[i] and text is not None and "\ufffd" in text
        )
        values = {
            role: [r[at] if at < len(r) else None for r in records]
            for role, name in roles_of(self.columns).items()
            for at in [header.index(name)]
        }
        return Rows(texts, replaced, kept_rows(values, self.types))

    def _records(self, lines: Sequence[str]) -> list[list[str]]:
        try:
            records: list[list[str]] = list(self._reader(lines))
        except csv.Error:
            records = []
        if len(records) == len(lines):
            return records
        return [self._record(line, position) for position, line in enumerate(lines)]

    def _record(self, line: str, position: int) -> list[str]:
        try:
            return list(next(self._reader([line])))
        except csv.Error as error:
            raise RowFault(position, f"this is not CSV: {error}") from None

    def _names(self, line: str, url: str) -> list[str]:
        try:
            return list(next(self._reader([line])))
        except csv.Error as error:
            message = f"the first line of {url} must hold the names of the columns: {error}"
            raise CorpusError(message) from error

    def _reader(self, lines: Iterable[str]) -> Any:
        csv.field_size_limit(sys.maxsize)  # the module's own limit, 128 kB, is for the process
        return csv.reader(lines, delimiter=self.delimiter, strict=True)


def _decoded(lines: Iterable[bytes], mended: list[bool]) -> Iterator[str]:
    for line in lines:
        text, changed = decode_text(line)
        mended[0] = mended[0] or changed
        yield text + "\n"


def _batches(
    reader: Iterable[list[str]], mended: list[bool]
) -> Iterator[list[tuple[list[str], bool]]]:
    batch: list[tuple[list[str], bool]] = []
    size = 0
    for record in itertools.filterfalse(lambda r: not r, reader):
        batch.append((record, mended[0]))
        mended[0] = False
        size += sum(map(len, record))
        if len(batch) == MARK_ROWS or size >= MARK_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
