"""What every kind of corpus answers, before any work and after."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from dtopics.corpus.lines import RANGE_BYTES
from dtopics.corpus.plan import Extents, cut_blocks, default_block_rows
from dtopics.data import Columns, Segment, Source
from dtopics.errors import CorpusError, SettingError
from dtopics.store.location import Location

#: ``map_(function, items)``: results in the order of the items, computed anywhere.
Map = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]


@dataclass(frozen=True)
class CorpusSummary:
    """What a corpus is, as far as that is known before any work.

    Attributes
    ----------
    format : str
        A format of files, or ``"list"``, ``"frame"``, ``"dask"``, ``"bag"``.
    columns : Columns
        The columns that will be read.
    files : int
        0 where there are none.
    documents : int or None
        None where they were not counted.
    """

    format: str
    columns: Columns
    files: int = 0
    documents: int | None = None


@dataclass(frozen=True)
class CorpusEstimate:
    """How large a corpus is, without reading it.

    Attributes
    ----------
    files, bytes : int
        Bytes as they are stored; 0 where that is not known.
    documents : int
    exact : bool
        Whether `documents` was counted rather than estimated.
    compressed : bool
        Whether some files must go through the spool because they are compressed.
    """

    files: int
    bytes: int
    documents: int
    exact: bool
    compressed: bool = False


class DocumentSource(ABC):
    """One kind of corpus."""

    #: Whether only this process holds the documents.
    in_memory = False

    @abstractmethod
    def check(self) -> CorpusSummary:
        """Find what can be found wrong before any work."""

    @abstractmethod
    def estimate(self) -> CorpusEstimate:
        """Return the size, or a guess from the first megabyte."""

    def head(self, most: int) -> list[str]:  # noqa: ARG002
        """Return some of its first texts, where they can be had cheaply."""
        return []

    @abstractmethod
    def fingerprint(self) -> str:
        """Return the identity of the content."""

    @abstractmethod
    def plan(
        self,
        *,
        segment: str,
        block_rows: int | None,
        spool: Location,
        map_: Map,
        range_bytes: int = RANGE_BYTES,
    ) -> Segment:
        """Cut the corpus into blocks."""


def check_block_rows(block_rows: int | None) -> None:
    """Raise SettingError unless `block_rows` is None or positive."""
    if block_rows is not None and block_rows < 1:
        raise SettingError(f"block_rows={block_rows}; expected at least 1, or None")


def make_segment(
    name: str,
    files: list[Extents],
    block_rows: int | None,
    columns: Columns,
    sources: tuple[Source, ...] = (),
) -> Segment:
    """Return the segment of all rows of `files`.

    Raises
    ------
    CorpusError
        If there are none.
    """
    n_rows = sum(file.n_rows for file in files)
    if n_rows == 0:
        where = ", ".join(source.url for source in sources[:3]) or "it"
        raise CorpusError(f"the corpus is empty: there are no documents in {where}")
    height = block_rows or default_block_rows(n_rows)
    blocks = cut_blocks(name, files, height)
    return Segment(name, n_rows, height, columns, sources, blocks)
