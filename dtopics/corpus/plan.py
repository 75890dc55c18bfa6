"""From rows that files hold to blocks of a fixed height, and the table that keeps them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dtopics.data import Block, Columns, Piece, Segment, Source
from dtopics.errors import RunError

MAX_BLOCK_ROWS = 16_384
MIN_BLOCK_ROWS = 512


@dataclass(frozen=True)
class Extents:
    """The rows of a file, as ranges that its format can seek to.

    Attributes
    ----------
    url : str
    starts, stops : ndarray of int64, shape (n_ranges,)
        Row groups of Parquet, or bytes of a line format; each begins where the last one ends.
    rows : ndarray of int64, shape (n_ranges,)
        Rows in each.
    """

    url: str
    starts: NDArray[np.int64] = field(repr=False)
    stops: NDArray[np.int64] = field(repr=False)
    rows: NDArray[np.int64] = field(repr=False)

    @property
    def n_rows(self) -> int:
        """Rows of the file."""
        return int(self.rows.sum())


def default_block_rows(n_rows: int) -> int:
    """Return the height of a corpus's blocks, from its number of rows alone.

    Examples
    --------
    >>> [default_block_rows(n) for n in (10, 10_000, 1_000_000)]
    [512, 1280, 16384]
    """
    eighth = -(-n_rows // 8)
    return min(MAX_BLOCK_ROWS, max(MIN_BLOCK_ROWS, -(-eighth // 256) * 256))


def cut_blocks(segment: str, files: Sequence[Extents], block_rows: int) -> tuple[Block, ...]:
    """Cut the files' rows, one after the other, into blocks."""
    pieces: list[list[Piece]] = []
    row = 0
    for file in files:
        ends = np.cumsum(file.rows)
        starts = ends - file.rows
        n_rows = int(ends[-1]) if len(ends) else 0
        position = 0
        while position < n_rows:
            index, within = divmod(row + position, block_rows)
            take = min(n_rows - position, block_rows - within)
            first = int(np.searchsorted(ends, position, "right"))
            last = int(np.searchsorted(ends, position + take, "left"))
            if index == len(pieces):
                pieces.append([])
            pieces[index].append(
                Piece(
                    file.url,
                    int(file.starts[first]),
                    int(file.stops[last]),
                    position - int(starts[first]),
                    take,
                )
            )
            position += take
        row += n_rows
    return tuple(
        Block(segment, i, i * block_rows, min(block_rows, row - i * block_rows), tuple(found))
        for i, found in enumerate(pieces)
    )


def segment_to_table(segment: Segment) -> pa.Table:
    """Return the table of a segment's pieces, in order; what is said once is in its metadata.

    Returns
    -------
    pyarrow.Table
        Columns ``block``, ``row_start`` (of the piece, in the segment), ``n_rows``, ``url``,
        ``start``, ``stop``, ``skip``. A block without pieces has one row with a null `url`.
    """
    rows: list[tuple[int, int, int, str | None, int | None, int | None, int | None]] = []
    for block in segment.blocks:
        row = block.row_start
        if not block.pieces:
            rows.append((block.index, row, block.n_rows, None, None, None, None))
        for piece in block.pieces:
            rows.append(
                (
                    block.index,
                    row,
                    piece.n_rows,
                    piece.url,
                    piece.start,
                    piece.stop,
                    piece.skip,
                )
            )
            row += piece.n_rows
    about = {
        "name": segment.name,
        "n_rows": segment.n_rows,
        "block_rows": segment.block_rows,
        "columns": asdict(segment.columns),
        "sources": [[s.url, s.format, s.size, s.etag] for s in segment.sources],
    }
    schema = _SCHEMA.with_metadata({"dtopics.segment": json.dumps(about)})
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    arrays = [pa.array(values, f.type) for values, f in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


_SCHEMA = pa.schema(
    {
        "block": pa.int64(),
        "row_start": pa.int64(),
        "n_rows": pa.int64(),
        "url": pa.string(),
        "start": pa.int64(),
        "stop": pa.int64(),
        "skip": pa.int64(),
    }
)


def segment_from_table(table: pa.Table) -> Segment:
    """Return the segment that `segment_to_table` wrote.

    Raises
    ------
    RunError
        If the table is not one of those.
    """
    found = (table.schema.metadata or {}).get(b"dtopics.segment")
    if found is None:
        raise RunError("this table is not a plan: its schema lacks the metadata 'dtopics.segment'")
    about = json.loads(found)
    name, block_rows = about["name"], about["block_rows"]
    pieces: dict[int, list[Piece]] = {}
    heights: dict[int, int] = {}
    columns = [table[field_].to_pylist() for field_ in _SCHEMA.names]
    for index, _, n_rows, url, start, stop, skip in zip(*columns, strict=True):
        heights[index] = heights.get(index, 0) + n_rows
        held = pieces.setdefault(index, [])
        if url is not None:
            held.append(Piece(url, start, stop, skip, n_rows))
    return Segment(
        name,
        about["n_rows"],
        block_rows,
        Columns(**about["columns"]),
        tuple(Source(*source) for source in about["sources"]),
        tuple(
            Block(name, index, index * block_rows, heights[index], tuple(held))
            for index, held in pieces.items()
        ),
    )
