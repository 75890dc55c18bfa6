r"""Files of lines, read by byte ranges; JSONL, CSV and text share this.

A row ends at the byte ``\n`` and nowhere else. The index pass goes over byte ranges, each row
belonging to the range in which it begins, checks every row, and leaves the place of about one row
in a thousand, so that a block's pieces read little more than their own bytes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dtopics.corpus.files import reading, stream_bytes
from dtopics.corpus.plan import Extents
from dtopics.corpus.rows import Rows
from dtopics.data import Columns, Piece, Source
from dtopics.errors import CorpusError
from dtopics.store.location import Location

BOM = b"\xef\xbb\xbf"
MARK_ROWS = 1024
MARK_BYTES = 1 << 20
RANGE_BYTES = 32 << 20


class RowFault(ValueError):  # noqa: N818 (never leaves this package)
    """A row that cannot be read: its position among the lines given, and why."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(position, reason)
        self.position, self.reason = position, reason

    def error(self, url: str, rows_before: int) -> CorpusError:
        """Return the error that names the file and the row, counted from 1."""
        return CorpusError(f"{url}, row {rows_before + self.position + 1}: {self.reason}")


class Lines(NamedTuple):
    r"""Whole lines without their ``\n``, and the byte of the file at which each begins."""

    starts: NDArray[np.int64]
    lines: list[bytes]


@dataclass(frozen=True)
class LineFormat:
    """What JSONL, CSV and text have in common.

    Parameters
    ----------
    columns : Columns
    types : mapping of str to pyarrow.DataType
        Of the kept columns, by role.
    """

    columns: Columns = field(default_factory=Columns)
    types: Mapping[str, pa.DataType] = field(default_factory=dict, hash=False)

    def is_blank(self, line: bytes) -> bool:  # noqa: ARG002
        """Whether a line is no row at all."""
        return False

    def crosses_lines(self, lines: Sequence[bytes]) -> bool:  # noqa: ARG002
        """Whether a row may go on in the next line, so that lines cannot be told apart."""
        return False

    def header(self, location: Location) -> tuple[tuple[str, ...], int]:  # noqa: ARG002
        """Return the names that the file begins with, and the byte after them."""
        return (), 0

    def parse(self, lines: Sequence[bytes], header: tuple[str, ...]) -> Rows:
        """Return one row for each line; raises RowFault."""
        raise NotImplementedError

    def parse_stream(self, location: Location) -> Iterator[Rows]:
        """Yield all rows of a file in order, in bounded memory."""
        rows_before = 0
        for batch in batches(x for x in stream_lines(location) if not self.is_blank(x)):
            try:
                rows = self.parse(batch, ())
            except RowFault as fault:
                raise fault.error(location.url, rows_before) from None
            rows_before += len(batch)
            yield rows

    def read(self, location: Location, piece: Piece) -> Rows:
        """Return a piece's rows."""
        with reading(location.url):
            header = self.header(location)[0]
            data = location.read(piece.start, piece.stop)
        found = self.rows_in(split_lines(data, piece.start))
        lines = found.lines[piece.skip : piece.skip + piece.n_rows]
        if len(lines) != piece.n_rows:
            raise CorpusError(
                f"{location.url} holds {len(lines)} rows where the plan counted {piece.n_rows}; "
                "it changed since"
            )
        try:
            return self.parse(lines, header)
        except RowFault as fault:
            raise fault.error(f"{location.url}, after byte {piece.start}", piece.skip) from None

    def rows_in(self, found: Lines) -> Lines:
        """Return the lines that are rows."""
        if type(self).is_blank is LineFormat.is_blank:
            return found
        rows = [i for i, line in enumerate(found.lines) if not self.is_blank(line)]
        if len(rows) == len(found.lines):
            return found
        return Lines(found.starts[rows], [found.lines[i] for i in rows])


class ByteRange(NamedTuple):
    """A range of a file, for the index pass."""

    url: str
    start: int
    stop: int
    size: int


class RangeIndex(NamedTuple):
    """What the index pass found in a range.

    Attributes
    ----------
    n_rows : int
        Rows that begin in it.
    mark_rows, mark_starts : ndarray of int64
        Some rows, counted within the range, and the byte at which each begins.
    crosses : bool
        Whether the file cannot be cut at its lines.
    fault : tuple of (int, str) or None
        The first row that cannot be read, and why.
    """

    n_rows: int
    mark_rows: NDArray[np.int64]
    mark_starts: NDArray[np.int64]
    crosses: bool = False
    fault: tuple[int, str] | None = None


@dataclass(frozen=True)
class IndexRange:
    """The index pass over one range; picklable."""

    format: LineFormat
    storage_options: Mapping[str, Any] = field(repr=False, hash=False)

    def __call__(self, item: ByteRange) -> RangeIndex:
        """Return the rows that begin in the range."""
        location = Location(item.url, self.storage_options)
        with reading(item.url):
            header, header_end = self.format.header(location)
            start = max(item.start, header_end)
            found = lines_beginning(location, start, item.stop, item.size)
        if self.format.crosses_lines(found.lines):
            return RangeIndex(0, _NONE, _NONE, crosses=True)
        rows = self.format.rows_in(found)
        marks = mark(rows.starts)
        fault = None
        try:
            if rows.lines:
                self.format.parse(rows.lines, header)
        except RowFault as found_fault:
            fault = (found_fault.position, found_fault.reason)
        return RangeIndex(len(rows.lines), marks, rows.starts[marks], fault=fault)


_NONE = np.empty(0, np.int64)


def lines_beginning(location: Location, start: int, stop: int, size: int) -> Lines:
    """Return the lines that begin in ``[start, stop)``, the last one whole."""
    if start >= stop:
        return Lines(_NONE, [])
    before = 1 if start else 0
    data = location.read(start - before, stop)
    if before:
        cut = data.find(b"\n") + 1
        if cut in {0, len(data)}:
            return Lines(_NONE, [])
        data, start = data[cut:], start - before + cut
    rest, position, step = [data], stop, 64 << 10
    while not rest[-1].endswith(b"\n") and position < size:
        more = location.read(position, min(position + step, size))
        end = more.find(b"\n") + 1
        rest.append(more[:end] if end else more)
        position, step = position + len(more), step * 2
    return split_lines(b"".join(rest), start)


def split_lines(data: bytes, start: int) -> Lines:
    """Split bytes that begin at byte `start` of their file, where a line begins."""
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    lengths = np.fromiter(map(len, lines), np.int64, len(lines)) + 1
    starts = start + np.cumsum(lengths) - lengths
    if lines and start == 0:
        lines[0] = lines[0].removeprefix(BOM)
    return Lines(starts, lines)


def mark(starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Choose the first row, and then one after `MARK_ROWS` rows or `MARK_BYTES`."""
    chosen = []
    position = 0
    while position < len(starts):
        chosen.append(position)
        far = int(np.searchsorted(starts, starts[position] + MARK_BYTES))
        position = min(position + MARK_ROWS, max(far, position + 1))
    return np.asarray(chosen, np.int64)


def index_files(
    format_: LineFormat,
    sources: Sequence[Source],
    storage_options: Mapping[str, Any],
    map_: Callable[..., Iterable[Any]],
    range_bytes: int,
) -> list[Extents | None]:
    """Run the index pass over files.

    Returns
    -------
    list of Extents or None
        For each file; None where it cannot be cut at its lines.

    Raises
    ------
    CorpusError
        Naming the first row that cannot be read.
    """
    ranges = [
        ByteRange(source.url, start, min(start + range_bytes, source.size), source.size)
        for source in sources
        for start in range(0, source.size, range_bytes)
    ]
    found = zip(ranges, map_(IndexRange(format_, storage_options), ranges), strict=True)
    by_url = {url: [i for _, i in group] for url, group in itertools.groupby(found, _url)}
    return [_join_ranges(source, by_url.get(source.url, [])) for source in sources]


def _url(found: tuple[ByteRange, RangeIndex]) -> str:
    return found[0].url


def _join_ranges(source: Source, ranges: Sequence[RangeIndex]) -> Extents | None:
    if any(found.crosses for found in ranges):
        return None
    n_rows, rows, starts = 0, [_NONE], [_NONE]
    for found in ranges:
        if found.fault is not None:
            raise RowFault(*found.fault).error(source.url, n_rows)
        rows.append(n_rows + found.mark_rows)
        starts.append(found.mark_starts)
        n_rows += found.n_rows
    start = np.concatenate(starts)
    return Extents(
        source.url,
        start,
        np.append(start, source.size)[1:],
        np.diff(np.append(np.concatenate(rows), n_rows)),
    )


def stream_lines(location: Location) -> Iterator[bytes]:
    r"""Yield a file's lines without their ``\n``, decompressed, without the byte order mark."""
    lines = raw_lines(location)
    for first in itertools.islice(lines, 1):
        yield first.removeprefix(BOM)
    yield from lines


def raw_lines(location: Location) -> Iterator[bytes]:
    r"""Yield a file's lines without their ``\n``, decompressed."""
    held: list[bytes] = []
    for chunk in stream_bytes(location):
        head, *lines = chunk.split(b"\n")
        held.append(head)
        for line in lines:
            yield b"".join(held)
            held = [line]
    last = b"".join(held)
    if last:
        yield last


def batches(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Group lines by `MARK_ROWS`, or by `MARK_BYTES` where they are long."""
    batch: list[bytes] = []
    size = 0
    for line in lines:
        batch.append(line)
        size += len(line)
        if len(batch) == MARK_ROWS or size >= MARK_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def head_lines(format_: LineFormat, location: Location) -> list[bytes]:
    """Return a file's first rows."""
    lines = (line for line in stream_lines(location) if not format_.is_blank(line))
    return next(batches(lines), [])


def kept_rows(
    values: Mapping[str, list[Any]], types: Mapping[str, pa.DataType]
) -> dict[str, pa.Array]:
    """Return kept values as arrays, by role."""
    return {role: pa.array(values[role], type_) for role, type_ in types.items()}
