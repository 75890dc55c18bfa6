"""Parquet, read by row groups and by columns."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dtopics.corpus.columns import Fields, check_fields, check_types
from dtopics.corpus.files import reading
from dtopics.corpus.plan import Extents
from dtopics.corpus.rows import Rows, array_texts, plain_array, roles_of
from dtopics.data import Columns, Piece, Source
from dtopics.errors import CorpusError
from dtopics.store.location import Location

#: Rows streamed at once, and about the most bytes of them.
STREAM_ROWS = 1024
STREAM_BYTES = 8 << 20

#: The most rows that a row group is believed to have: a crafted footer fills no memory.
MOST_ROWS = 2**31 - 1

#: The column of a spool that says in which texts something became U+FFFD.
REPLACED = "replaced"


@dataclass(frozen=True)
class Parquet:
    """Parquet with a column of text.

    Parameters
    ----------
    columns : Columns
    types : mapping of str to pyarrow.DataType
        Of the kept columns, by role.
    """

    columns: Columns
    types: Mapping[str, pa.DataType] = field(default_factory=dict, hash=False)

    def fields(self, location: Location) -> Fields:
        """Return the file's columns."""
        with open_parquet(location) as file:
            return dict(zip(file.schema_arrow.names, file.schema_arrow.types, strict=True))

    def read(self, location: Location, piece: Piece) -> Rows:
        """Return a piece's rows."""
        with open_parquet(location) as file:
            groups = range(piece.start, piece.stop)
            table = file.read_row_groups(groups, columns=self._names(file.schema_arrow))
        table = table.slice(piece.skip, piece.n_rows)
        if table.num_rows != piece.n_rows:
            raise CorpusError(
                f"{location.url} holds {table.num_rows} rows where the plan counted "
                f"{piece.n_rows}; it changed since"
            )
        return self._rows(table)

    def parse_stream(self, location: Location) -> Iterator[Rows]:
        """Yield all rows of a file in order, in bounded memory."""
        with open_parquet(location, pre_buffer=False, buffer_size=1 << 20) as file:
            columns = self._names(file.schema_arrow)
            for group in range(file.num_row_groups):
                about = file.metadata.row_group(group)
                height = about.total_byte_size // max(about.num_rows, 1) + 1
                batch_rows = max(1, min(STREAM_ROWS, STREAM_BYTES // height))
                for batch in file.iter_batches(batch_rows, row_groups=[group], columns=columns):
                    yield self._rows(pa.Table.from_batches([batch]))

    def _names(self, schema: pa.Schema) -> list[str]:
        marks = [REPLACED] if _is_spool(schema) else []
        return [*self.columns.names(), *marks]

    def _rows(self, table: pa.Table) -> Rows:
        texts, replaced = array_texts(table[self.columns.text])
        if _is_spool(table.schema):
            replaced = tuple(np.flatnonzero(table[REPLACED].to_numpy()).tolist())
        kept = {role: plain_array(table[name]) for role, name in roles_of(self.columns).items()}
        return Rows(texts, replaced, kept)


def _is_spool(schema: pa.Schema) -> bool:
    return b"dtopics.spool" in (schema.metadata or {})


@contextlib.contextmanager
def open_parquet(
    location: Location, *, pre_buffer: bool = True, buffer_size: int = 0
) -> Iterator[pq.ParquetFile]:
    """Open a file so that a read is few requests: Arrow knows the ranges, fsspec adds none."""
    with reading(location.url), location.open(cache_type="none") as file:
        yield pq.ParquetFile(
            file, pre_buffer=pre_buffer, buffer_size=buffer_size, page_checksum_verification=True
        )


@dataclass(frozen=True)
class ReadFooter:
    """Check a file's columns and count its rows; picklable."""

    format: Parquet
    storage_options: Mapping[str, Any] = field(repr=False, hash=False)

    def __call__(self, source: Source) -> tuple[int, ...]:
        """Return the rows of each row group."""
        columns = self.format.columns
        with open_parquet(Location(source.url, self.storage_options)) as file:
            schema, metadata = file.schema_arrow, file.metadata
        twice = [name for name in columns.names() if schema.names.count(name) > 1]
        if twice:
            raise CorpusError(f"{source.url} has several columns {twice[0]!r}; expected one")
        fields = {name: schema.field(name).type for name in columns.names() if name in schema.names}
        missing = [name for name in columns.names() if name not in fields]
        if missing:
            fields = dict(zip(schema.names, schema.types, strict=True))
        check_fields(fields, columns, source.url)
        check_types(fields, columns, self.format.types, source.url)
        return _group_rows(metadata, source.url)


def _group_rows(metadata: pq.FileMetaData, url: str) -> tuple[int, ...]:
    """Return the rows of row groups, if they can be: blocks are made of them.

    Nothing of a row group's columns is looked at: there Arrow ends the process on a crafted file.
    """
    rows = tuple(metadata.row_group(i).num_rows for i in range(metadata.num_row_groups))
    if sum(rows) != metadata.num_rows or not all(0 <= n_rows <= MOST_ROWS for n_rows in rows):
        raise CorpusError(
            f"cannot read {url}: it says that it has {metadata.num_rows} rows, and its row groups "
            f"{', '.join(map(str, rows[:5]))}{', …' if len(rows) > 5 else ''}"
        )
    return rows


def index_files(
    format_: Parquet,
    sources: Sequence[Source],
    storage_options: Mapping[str, Any],
    map_: Callable[..., Iterable[Any]],
) -> list[Extents | None]:
    """Read the footers of files."""
    found = map_(ReadFooter(format_, storage_options), sources)
    return [group_extents(source.url, rows) for source, rows in zip(sources, found, strict=True)]


def group_extents(url: str, rows: Sequence[int]) -> Extents:
    """Return a file's rows by row groups."""
    groups = np.arange(len(rows), dtype=np.int64)
    return Extents(url, groups, groups + 1, np.asarray(rows, np.int64))
