"""Reading the documents of one block, anywhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from dtopics.corpus.columns import check_fields, kept_types
from dtopics.corpus.files import etag_of
from dtopics.corpus.formats import make_format
from dtopics.corpus.parquet import Parquet
from dtopics.corpus.rows import Rows, join_rows, roles_of
from dtopics.corpus.spool import SPOOL
from dtopics.data import Block, Columns, Documents, Piece, Segment, Source
from dtopics.errors import RunMismatchError
from dtopics.store.location import Location


@dataclass(frozen=True)
class BlockReader:
    """Reads the documents of a block; picklable, small, the same on every machine.

    Parameters
    ----------
    format : str
        Of the sources that are read in place; ``"spool"`` where there are none.
    columns : Columns
    types : mapping of str to pyarrow.DataType
        Of the kept columns of a format that does not say them itself, by role.
    spool : Location
    storage_options : mapping
        What fsspec needs to open the sources. Never shown.
    """

    format: str
    columns: Columns
    types: Mapping[str, pa.DataType] = field(hash=False)
    spool: Location
    storage_options: Mapping[str, Any] = field(repr=False, hash=False)

    def __call__(self, block: Block) -> Documents:
        """Return the block's documents in row order.

        Raises
        ------
        CorpusError
            If a source is gone or holds other rows than when it was planned.
        """
        rows = join_rows([self._read(piece) for piece in block.pieces])
        texts = [text or "" for text in rows.texts]
        ids = rows.kept.get("id")
        if ids is None:
            ids = pa.array(range(block.row_start, block.row_start + len(texts)), pa.int64())
        return Documents(
            texts,
            ids,
            rows.kept.get("timestamp"),
            rows.kept.get("class"),
            n_null=sum(text is None for text in rows.texts),
            n_replaced=len(rows.replaced),
        )

    def _read(self, piece: Piece) -> Rows:
        if piece.url.startswith(SPOOL):
            roles = {role: role for role in roles_of(self.columns)}
            if self.format == "files":
                roles["id"] = "id"
            columns = Columns("text", roles.get("id"), roles.get("timestamp"), roles.get("class"))
            return Parquet(columns).read(self.spool / piece.url.removeprefix(SPOOL), piece)
        format_ = make_format(self.format, self.columns, self.types)
        return format_.read(Location(piece.url, self.storage_options), piece)


def reader_for(
    segment: Segment, storage_options: Mapping[str, Any], spool: Location
) -> BlockReader:
    """Return what reads a segment's blocks.

    Parameters
    ----------
    segment : Segment
    storage_options : mapping
        What fsspec needs to open the sources.
    spool : Location
        The folder that was given to the plan.
    """
    options = dict(storage_options)
    if not segment.sources:
        return BlockReader("spool", segment.columns, {}, spool, options)
    name = segment.sources[0].format
    types = {}
    if name == "jsonl" and roles_of(segment.columns):
        types = source_types(name, segment.columns, segment.sources, options)
    elif name in {"csv", "tsv"}:
        types = dict.fromkeys(roles_of(segment.columns), pa.string())
    return BlockReader(name, segment.columns, types, spool, options)


def source_types(
    name: str,
    columns: Columns,
    sources: tuple[Source, ...],
    storage_options: Mapping[str, Any],
) -> dict[str, pa.DataType]:
    """Return the types of the kept columns, by role: those of the first file that has rows."""
    fields = source_fields(name, sources, storage_options)
    check_fields(fields, columns, sources[0].url)
    return kept_types(fields, columns)


def source_fields(
    name: str, sources: tuple[Source, ...], storage_options: Mapping[str, Any]
) -> Mapping[str, pa.DataType]:
    """Return the columns of the first file that has any."""
    peek = make_format(name, Columns(), {})
    for source in sources:
        fields = peek.fields(Location(source.url, storage_options)) if source.size else {}
        if fields:
            return fields
    return {}


def verify_sources(segment: Segment, storage_options: Mapping[str, Any]) -> None:
    """Check that a segment's sources are what they were when it was planned.

    A source that went through the spool may be gone, but not be another.

    Parameters
    ----------
    segment : Segment
    storage_options : mapping

    Raises
    ------
    RunMismatchError
        Naming the first source that changed or is gone.
    """
    for source, found in _changes(segment, storage_options, segment.sources):
        raise RunMismatchError(
            f"the source {source.url} {found}. Its rows no longer belong to what this run "
            "holds: restore the file, or start a new run directory"
        )


def verify_read(segment: Segment, storage_options: Mapping[str, Any]) -> None:
    """Check, when all is read, that no source was changed meanwhile.

    Stages read the sources one after the other. Those in the spool were read once.

    Raises
    ------
    RunMismatchError
        Naming the first source that changed or is gone.
    """
    urls = _in_place(segment)
    read = [source for source in segment.sources if source.url in urls]
    for source, found in _changes(segment, storage_options, read):
        raise RunMismatchError(
            f"the source {source.url} {found}, while it was read: some stages hold rows of the "
            "one and some of the other. Start a new run directory"
        )


def _in_place(segment: Segment) -> set[str]:
    return {piece.url for block in segment.blocks for piece in block.pieces}


def _changes(
    segment: Segment, storage_options: Mapping[str, Any], sources: Sequence[Source]
) -> Iterator[tuple[Source, str]]:
    """Yield the sources that are not what they were when they were planned, and what they are."""
    in_place = _in_place(segment)

    def complaint(source: Source) -> str | None:
        try:
            info = Location(source.url, storage_options).info()
        except FileNotFoundError:
            return "is gone" if source.url in in_place else None
        size, etag = int(info.get("size") or 0), etag_of(info)
        if (size, etag) == (source.size, source.etag):
            return None
        return f"changed: it has {size} bytes ({etag}), it had {source.size} ({source.etag})"

    with ThreadPoolExecutor(16) as pool:
        for source, found in zip(sources, pool.map(complaint, sources), strict=True):
            if found is not None:
                yield source, found
