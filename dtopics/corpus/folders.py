"""A corpus in files: Parquet, JSONL, CSV or text, whole or compressed, behind any URL."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Any

import numpy as np

from dtopics.corpus import lines, parquet
from dtopics.corpus.base import (
    CorpusEstimate,
    CorpusSummary,
    DocumentSource,
    Map,
    check_block_rows,
    make_segment,
)
from dtopics.corpus.columns import choose_columns, kept_types
from dtopics.corpus.files import compression_of, find_sources, sample_bytes
from dtopics.corpus.formats import Format, make_format
from dtopics.corpus.lines import RANGE_BYTES, LineFormat
from dtopics.corpus.parquet import Parquet, ReadFooter
from dtopics.corpus.plan import Extents, cut_blocks, default_block_rows
from dtopics.corpus.reader import source_fields
from dtopics.corpus.spool import SPOOL, SpoolFiles, batch_sources
from dtopics.data import Columns, Segment, Source
from dtopics.errors import CorpusError
from dtopics.store.location import Location

#: A row group that spans more blocks than this would be read by each of them.
MAX_BLOCKS_OF_GROUP = 4
MAX_PIECES = 64

#: Files whose columns are looked at before any work; the plan looks at all.
CHECKED_FILES = 16
ESTIMATED_FILES = 64
HEAD_BYTES = 1 << 20


class FileSource(DocumentSource):
    """Files of one format.

    Parameters
    ----------
    urls : sequence of str
        Files, folders and globs.
    asked : Columns
    format : str, optional
    storage_options : mapping, optional
    """

    def __init__(
        self,
        urls: Sequence[str],
        asked: Columns,
        *,
        format: str | None = None,  # noqa: A002
        storage_options: Mapping[str, Any] | None = None,
    ) -> None:
        self.urls, self.asked, self.asked_format = tuple(urls), asked, format
        self.storage_options = dict(storage_options or {})
        if not self.urls:
            raise CorpusError("the list of URLs is empty; expected at least one")

    @cached_property
    def sources(self) -> tuple[Source, ...]:
        """The files, as they were when they were first asked for."""
        found = find_sources(self.urls, self.asked_format, self.storage_options)
        for source in found:
            if source.format == "parquet" and compression_of(source.url):
                raise CorpusError(
                    f"{source.url} is Parquet compressed as a whole, which cannot be read in "
                    "parts; decompress it (Parquet compresses its own columns)"
                )
        return found

    @cached_property
    def format(self) -> Format:
        """The files' format, with the columns that are read."""
        name = self.sources[0].format
        if not sum(source.size for source in self.sources):
            raise CorpusError(f"the corpus is empty: {self._shown} holds no bytes")
        if name in {"text", "files"}:
            if self.asked.names():
                raise CorpusError(
                    f"{self._shown} is plain text and has no columns; found "
                    f"{', '.join(map(repr, self.asked.names()))} asked for"
                )
            return make_format(name, Columns(), {})
        fields = source_fields(name, self.sources, self.storage_options)
        if not fields:
            raise CorpusError(f"the corpus is empty: {self._shown} holds no rows")
        columns = choose_columns(fields, self.asked, self._shown)
        return make_format(name, columns, kept_types(fields, columns))

    @property
    def _shown(self) -> str:
        first = self.sources[0].url
        return first if len(self.sources) == 1 else f"{first} (of {len(self.sources)} files)"

    def check(self) -> CorpusSummary:
        """Find what can be found wrong before any work."""
        documents = None
        format_ = self.format
        first = self.sources[:CHECKED_FILES]
        if isinstance(format_, Parquet):
            read = ReadFooter(format_, self.storage_options)
            counted = sum(sum(read(source)) for source in first)
            if len(first) == len(self.sources):
                documents = counted
                if counted == 0:
                    raise CorpusError(f"the corpus is empty: {self._shown} holds no rows")
        else:
            for source in first:
                next(format_.parse_stream(self._location(source)), None)
        name = self.sources[0].format
        return CorpusSummary(name, format_.columns, len(self.sources), documents)

    def estimate(self) -> CorpusEstimate:
        """Return the size; from Parquet's footers, or from the first megabyte of a file."""
        sizes = [source.size for source in self.sources]
        files, total = len(sizes), sum(sizes)
        if self.sources[0].format == "files":
            return CorpusEstimate(files, total, files, exact=True, compressed=self._compressed)
        format_ = self.format
        if isinstance(format_, Parquet):
            read = ReadFooter(format_, self.storage_options)
            step = -(-files // ESTIMATED_FILES)
            seen = self.sources[::step]
            rows = sum(sum(read(source)) for source in seen)
            guess = round(rows * total / max(sum(source.size for source in seen), 1))
            return CorpusEstimate(files, total, rows if step == 1 else guess, exact=step == 1)
        documents = self._estimate_lines()
        return CorpusEstimate(files, total, documents, exact=False, compressed=self._compressed)

    def head(self, most: int) -> list[str]:
        """Return the first texts of some files, about as many of each."""
        step = -(-len(self.sources) // ESTIMATED_FILES)
        seen = self.sources[::step]
        texts: list[str] = []
        for source in seen:
            wanted = -(-most // len(seen))
            for rows in self.format.parse_stream(self._location(source)):
                texts.extend(text or "" for text in rows.texts[:wanted])
                wanted -= len(rows.texts)
                if wanted <= 0:
                    break
        return texts[:most]

    def _estimate_lines(self) -> int:
        first = max(self.sources[:CHECKED_FILES], key=lambda source: source.size)
        data, stored = sample_bytes(self._location(first), HEAD_BYTES)
        total = sum(source.size for source in self.sources)
        return max(1, round(data.count(b"\n") * total / max(stored, 1)))

    @property
    def _compressed(self) -> bool:
        return any(compression_of(source.url) for source in self.sources)

    def fingerprint(self) -> str:
        """Return a sha256 over the files' URLs, sizes and etags, their format and columns."""
        about = {
            "sources": [[s.url, s.format, s.size, s.etag] for s in self.sources],
            "columns": asdict(self.format.columns),
        }
        return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()

    def plan(
        self,
        *,
        segment: str,
        block_rows: int | None,
        spool: Location,
        map_: Map,
        range_bytes: int = RANGE_BYTES,
    ) -> Segment:
        """Cut the files into blocks; see `Corpus.plan`."""
        check_block_rows(block_rows)
        format_ = self.format
        stream = [
            source.format == "files" or compression_of(source.url) is not None
            for source in self.sources
        ]
        files = self._index(format_, stream, map_, range_bytes)
        files = self._spool(format_, files, [file is None for file in files], spool, map_)
        n_rows = sum(file.n_rows for found in files if found for file in found)
        height = block_rows or default_block_rows(n_rows)
        costly = _costly(files, height, in_groups=isinstance(format_, Parquet))
        files = self._spool(format_, files, costly, spool, map_)
        extents = [file for found in files if found for file in found]
        return make_segment(segment, extents, height, format_.columns, self.sources)

    def _index(
        self, format_: Format, stream: Sequence[bool], map_: Map, range_bytes: int
    ) -> list[list[Extents] | None]:
        """Return the rows of each file that can be read in place, None for the others."""
        direct = [s for s, streamed in zip(self.sources, stream, strict=True) if not streamed]
        if isinstance(format_, Parquet):
            found = parquet.index_files(format_, direct, self.storage_options, map_)
        elif isinstance(format_, LineFormat):
            found = lines.index_files(format_, direct, self.storage_options, map_, range_bytes)
        else:
            raise TypeError(format_)
        following = iter(found)
        indexed = [None if streamed else next(following) for streamed in stream]
        return [None if file is None else [file] for file in indexed]

    def _spool(
        self,
        format_: Format,
        files: list[list[Extents] | None],
        wanted: Sequence[bool],
        spool: Location,
        map_: Map,
    ) -> list[list[Extents] | None]:
        """Put parts in the place of the wanted files: of a batch, in that of its first."""
        batches = batch_sources(self.sources, wanted)
        files = list(files)
        if not batches:
            return files
        found = map_(SpoolFiles(format_, spool, self.storage_options), batches)
        for batch, parts in zip(batches, found, strict=True):
            files[batch.first : batch.first + len(batch.sources)] = [
                [part.extents() for part in parts],
                *([[]] * (len(batch.sources) - 1)),
            ]
        return files

    def _location(self, source: Source) -> Location:
        return Location(source.url, self.storage_options)


def _costly(
    files: Sequence[list[Extents] | None], block_rows: int, *, in_groups: bool
) -> list[bool]:
    """Say which files blocks would read badly: giant row groups, or a crowd of tiny files."""
    placed = [found if found else [_nothing()] for found in files]
    heights = [max((int(x.rows.max(initial=0)) for x in found), default=0) for found in placed]
    in_place = [len(found) == 1 and not found[0].url.startswith(SPOOL) for found in placed]
    giant = [
        in_groups and here and height > MAX_BLOCKS_OF_GROUP * block_rows
        for here, height in zip(in_place, heights, strict=True)
    ]
    blocks = cut_blocks("", [x for found in placed for x in found], block_rows)
    if max((len(block.pieces) for block in blocks), default=0) <= MAX_PIECES:
        return giant
    tiny = [
        here and sum(x.n_rows for x in found) * 8 < block_rows
        for here, found in zip(in_place, placed, strict=True)
    ]
    return [a or b for a, b in zip(giant, tiny, strict=True)]


def _nothing() -> Extents:
    none = np.empty(0, np.int64)
    return Extents(SPOOL, none, none, none)
