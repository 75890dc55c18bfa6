"""Dask DataFrames, Series and Bags: each partition is spooled by the worker that computes it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import pyarrow as pa

from dtopics.corpus.base import (
    CorpusEstimate,
    CorpusSummary,
    DocumentSource,
    Map,
    check_block_rows,
    make_segment,
)
from dtopics.corpus.columns import choose_columns, kept_types
from dtopics.corpus.jsonl import fields_of, scalar
from dtopics.corpus.lines import RANGE_BYTES, RowFault, kept_rows
from dtopics.corpus.memory import check_strings, frame_fields, series_texts, series_values
from dtopics.corpus.rows import Rows, clean_texts, digest_rows, roles_of
from dtopics.corpus.spool import Part, PartWriter
from dtopics.data import Columns, Segment
from dtopics.errors import CorpusError
from dtopics.store.location import Location


class Written(NamedTuple):
    """What a partition left: its content's digest and its parts."""

    digest: str
    n_rows: int
    parts: tuple[Part, ...]


class DaskSource(DocumentSource):
    """A Dask collection.

    Partitions are computed with the current Dask scheduler: that of the client, where there is
    one. The order of the partitions is the order of the documents.

    Parameters
    ----------
    collection : dask.dataframe.DataFrame, dask.dataframe.Series or dask.bag.Bag
    asked : Columns
    """

    def __init__(self, collection: Any, asked: Columns) -> None:
        self.collection, self.asked = collection, asked
        self._written: tuple[Written, ...] | None = None

    @cached_property
    def _rows(self) -> FrameRows | BagRows:
        if hasattr(self.collection, "_meta"):
            return _frame_rows(self.collection, self.asked)
        return _bag_rows(self.collection, self.asked)

    def check(self) -> CorpusSummary:
        """Find the columns; of a bag, from its first item."""
        kind = "bag" if isinstance(self._rows, BagRows) else "dask"
        return CorpusSummary(kind, self._rows.columns)

    def estimate(self) -> CorpusEstimate:
        """Count the rows of the first partition, and take the others to be like it."""
        n_partitions = self.collection.npartitions
        rows = (
            len(self.collection.partitions[0].compute())
            if hasattr(self.collection, "partitions")
            else len(self.collection.to_delayed()[0].compute())
        )
        return CorpusEstimate(0, 0, rows * n_partitions, exact=n_partitions == 1)

    def fingerprint(self) -> str:
        """Return a sha256 over the content; computes the collection unless it was planned."""
        written = self._written or self._compute(None)
        digests = [found.digest for found in written if found.n_rows]
        return hashlib.sha256("\n".join(digests).encode()).hexdigest()

    def plan(
        self,
        *,
        segment: str,
        block_rows: int | None,
        spool: Location,
        map_: Map,  # noqa: ARG002
        range_bytes: int = RANGE_BYTES,  # noqa: ARG002
    ) -> Segment:
        """Spool each partition by a task of its own; see `Corpus.plan`."""
        check_block_rows(block_rows)
        self._written = self._compute(spool)
        files = [part.extents() for found in self._written for part in found.parts]
        return make_segment(segment, files, block_rows, self._rows.columns)

    def _compute(self, spool: Location | None) -> tuple[Written, ...]:
        import dask

        write = dask.delayed(WritePartition(self._rows, spool), pure=False)
        tasks = [
            write(partition, index) for index, partition in enumerate(self.collection.to_delayed())
        ]
        found: tuple[Written, ...] = dask.compute(*tasks)
        return found


@dataclass(frozen=True)
class WritePartition:
    """Spool one partition, or only take its digest; picklable."""

    rows: FrameRows | BagRows
    spool: Location | None

    def __call__(self, partition: Any, index: int) -> Written:
        """Return what the partition holds, and its parts."""
        rows = self.rows(partition, index)
        digest = digest_rows([rows])
        if self.spool is None:
            return Written(digest, len(rows.texts), ())
        writer = PartWriter(self.spool, f"{index:06d}-{digest[:12]}")
        writer.add(rows)
        return Written(digest, len(rows.texts), writer.close())


@dataclass(frozen=True)
class FrameRows:
    """A partition of a DataFrame, or of a Series where there is no text column, as rows."""

    columns: Columns
    types: Mapping[str, pa.DataType] = field(default_factory=dict, hash=False)

    def __call__(self, partition: Any, index: int) -> Rows:
        """Return the partition's rows."""
        series = partition if self.columns.text is None else partition[self.columns.text]
        texts = series_texts(series)
        with _in_partition(index):
            check_strings(texts)
        kept = {
            role: series_values(partition[name], self.types[role])
            for role, name in roles_of(self.columns).items()
        }
        return Rows(*clean_texts(texts), kept)


@dataclass(frozen=True)
class BagRows:
    """A partition of a bag of strings, or of dicts where there is a text column, as rows."""

    columns: Columns
    types: Mapping[str, pa.DataType] = field(default_factory=dict, hash=False)

    def __call__(self, partition: Iterable[Any], index: int) -> Rows:
        """Return the partition's rows."""
        items = list(partition)
        with _in_partition(index):
            if self.columns.text is None:
                check_strings(items)
                return Rows(*clean_texts(items), {})
            texts = [_text_of(item, self.columns.text, i) for i, item in enumerate(items)]
            check_strings(texts)
            values = {
                role: [scalar(x.get(name), self.types[role], name, i) for i, x in enumerate(items)]
                for role, name in roles_of(self.columns).items()
            }
        return Rows(*clean_texts(texts), kept_rows(values, self.types))


class _in_partition:  # noqa: N801
    """Add the partition's number to an error."""

    def __init__(self, index: int) -> None:
        self.index = index

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, RowFault):
            raise error.error(f"partition {self.index}", 0) from None
        if isinstance(error, CorpusError):
            raise CorpusError(f"partition {self.index}: {error}") from None


def _text_of(item: Any, name: str, position: int) -> Any:
    if not isinstance(item, Mapping) or name not in item:
        found = sorted(map(repr, item)) if isinstance(item, Mapping) else type(item).__name__
        raise RowFault(position, f"expected a dict with the key {name!r}; found {found}")
    return item[name]


def _frame_rows(collection: Any, asked: Columns) -> FrameRows:
    meta = collection._meta  # noqa: SLF001 (Dask's own name for the empty partition)
    if meta.ndim == 1:
        if asked.names():
            raise CorpusError("a Dask Series has no columns; pass a DataFrame to name columns")
        return FrameRows(Columns())
    fields = frame_fields(meta)
    columns = choose_columns(fields, asked, "the Dask DataFrame")
    return FrameRows(columns, kept_types(fields, columns))


def _bag_rows(bag: Any, asked: Columns) -> BagRows:
    first = bag.take(1, npartitions=-1, warn=False)
    if not first:
        raise CorpusError("the corpus is empty: the bag has no documents")
    if isinstance(first[0], Mapping):
        fields = fields_of(first)
        columns = choose_columns(fields, asked, "the bag")
        return BagRows(columns, kept_types(fields, columns))
    if asked.names():
        kind = type(first[0]).__name__
        raise CorpusError(f"columns need a bag of dicts; its first item is a {kind}")
    check_strings(first)
    return BagRows(Columns())
