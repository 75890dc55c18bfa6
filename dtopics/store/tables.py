"""Tables as Parquet files whose pages have checksums."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from dtopics.errors import DamagedError
from dtopics.store.location import Location

if TYPE_CHECKING:
    import pyarrow as pa


def table_bytes(table: pa.Table) -> bytes:
    """Return a table as one Parquet file, its pages with checksums."""
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", compression_level=1, write_page_checksum=True)
    return sink.getvalue()


def read_table(location: Location, columns: list[str] | None = None) -> pa.Table:
    """Return the table of a Parquet file, or some of its columns.

    Raises
    ------
    DamagedError
        Where it is no Parquet file, or not as it was written.
    """
    return table_of(location, location.read(), columns)


def table_of(location: Location, data: bytes, columns: list[str] | None = None) -> pa.Table:
    """Return the table of a Parquet file whose bytes these are; errors as in `read_table`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(io.BytesIO(data), columns=columns, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        message = f"{location} is not as it was written: {error}"
        raise DamagedError(message) from error


def create_table(location: Location, table: pa.Table) -> bytes:
    """Write a table; return the bytes that are stored, an earlier writer's if they are whole."""
    data = table_bytes(table)
    if location.create(data):
        return data
    found = location.read()
    try:
        table_of(location, found)
    except DamagedError:
        location.write(data)
        return data
    return found
