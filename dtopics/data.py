"""The values that travel between stages; shapes and dtypes are said here once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

#: The topic, and the cluster, of a document that belongs to none.
OUTLIER = -1

#: What a block step leaves: named arrays (rows of the block first) or Arrow tables.
Result = Mapping[str, "NDArray[Any] | pa.Table"]


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a source are read.

    Attributes
    ----------
    text : str or None
        The column of the documents. ``None``: the source is plain text.
    id, timestamp, class_ : str or None
        Columns that are kept beside it; without `id`, a document's id is its row number.
    """

    text: str | None = None
    id: str | None = None
    timestamp: str | None = None
    class_: str | None = None

    def names(self) -> list[str]:
        """Return the columns to read, each once."""
        wanted = (self.text, self.id, self.timestamp, self.class_)
        return list(dict.fromkeys(name for name in wanted if name is not None))


@dataclass(frozen=True, slots=True)
class Source:
    """One file as it was when the plan was made.

    Attributes
    ----------
    url : str
    format : str
        The name of the format that reads it: ``"parquet"``, ``"jsonl"``, ``"csv"``, ``"tsv"``,
        ``"text"``, ``"files"``.
    size : int
        Bytes.
    etag : str
        What the store says to tell versions of a file apart (an ETag, or time and size).
    """

    url: str
    format: str
    size: int
    etag: str


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive rows of one source, cheap to read by themselves.

    Attributes
    ----------
    url : str
        The source's URL.
    start, stop : int
        A range that the format can seek to: row groups of Parquet, bytes of a line format.
    skip : int
        Rows of the range that come before the piece's first.
    n_rows : int
        Rows of the piece; those of the range that come after are left out.
    """

    url: str
    start: int
    stop: int
    skip: int
    n_rows: int


@dataclass(frozen=True, slots=True)
class Block:
    """A fixed run of rows: one Zarr chunk, one task, one unit of retry.

    Attributes
    ----------
    segment : str
        The segment's name.
    index : int
        Position within the segment; also the position of its chunk.
    row_start : int
        Row within the segment of the first document: ``index * block_rows``.
    n_rows : int
    pieces : tuple of Piece
    """

    segment: str
    index: int
    row_start: int
    n_rows: int
    pieces: tuple[Piece, ...] = ()

    @property
    def name(self) -> str:
        """``segment/index``, as receipts and failure reports write it."""
        return f"{self.segment}/{self.index:06d}"

    @property
    def row_stop(self) -> int:
        """Row within the segment after the last document."""
        return self.row_start + self.n_rows


@dataclass(frozen=True, slots=True)
class Segment:
    """Immutable blocks that came in together; a fit makes the first, an update adds one.

    Attributes
    ----------
    name : str
    n_rows : int
    block_rows : int
        Rows of every block but the last.
    columns : Columns
    sources : tuple of Source
    blocks : tuple of Block
    """

    name: str
    n_rows: int
    block_rows: int
    columns: Columns
    sources: tuple[Source, ...]
    blocks: tuple[Block, ...]


class Documents(NamedTuple):
    """The documents of one block, read.

    Attributes
    ----------
    texts : list of str
        Valid Unicode without lone surrogates; a null text is ``""``.
    ids : pyarrow.Array
        The id column, or int64 row numbers.
    timestamps, classes : pyarrow.Array or None
    n_null : int
        Texts that were null.
    n_replaced : int
        Texts in which bytes or surrogates that are not Unicode became U+FFFD.
    """

    texts: list[str]
    ids: pa.Array
    timestamps: pa.Array | None = None
    classes: pa.Array | None = None
    n_null: int = 0
    n_replaced: int = 0


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that a step's data is whole.

    Attributes
    ----------
    name : str
        The block's name, or the global step's.
    rows : int
    bytes : int
    sha256 : str
        Over the data's bytes, in the order of the names of its parts.
    worker : str
        Address of the process that did it.
    seconds : float
    notes : mapping
        Small counts that a step wants to report, such as ``{"empty": 3}``.
    parts : mapping of str to str
        The SHA-256 of each part by its name. Receipts of early versions have none.
    """

    name: str
    rows: int
    bytes: int
    sha256: str
    worker: str
    seconds: float
    notes: Mapping[str, Any] = field(default_factory=dict)
    parts: Mapping[str, str] = field(default_factory=dict)


class TermCounts(NamedTuple):
    """Counts of terms per group, as coordinates.

    Attributes
    ----------
    groups, terms : ndarray of int32, shape (nnz,)
        Rows and columns, in lexicographic order, no pair twice.
    counts : ndarray of int64, shape (nnz,)
    """

    groups: NDArray[np.int32]
    terms: NDArray[np.int32]
    counts: NDArray[np.int64]


WeightedWords = Sequence[tuple[str, float]]
