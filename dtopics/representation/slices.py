"""Counts of topics within slices of the corpus, such as months or classes: one pass over tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dtopics.data import Block, Result, TermCounts
from dtopics.errors import InputError
from dtopics.representation.counts import chosen, counts_table
from dtopics.representation.steps import counts_of, sum_counts, vocabulary_of
from dtopics.representation.vectorizer import Counting
from dtopics.store import Stage

if TYPE_CHECKING:
    import pandas as pd

#: So many slices at most; more are hardly what somebody wants to look at.
MOST_SLICES = 100_000
#: A document that belongs to no slice.
NOWHERE = -1


@dataclass(frozen=True)
class Slicing:
    """Which slice a value belongs to.

    Attributes
    ----------
    values : pandas.Index
        What stands for each slice, ascending: the value itself, or the left edge of a bin.
    bins : pandas.IntervalIndex or None
        Where slices are bins.
    """

    values: pd.Index
    bins: pd.IntervalIndex | None = None

    @classmethod
    def of_values(cls, values: Iterable[Any]) -> Slicing:
        """Make each distinct value a slice.

        Raises
        ------
        InputError
            Where they are too many, or of kinds that cannot be sorted.
        """
        import pandas as pd

        distinct = pd.Series(list(values)).dropna().drop_duplicates()
        if len(distinct) > MOST_SLICES:
            message = f"there are {len(distinct):,} distinct values; put them into bins: nr_bins=…"
            raise InputError(message)
        try:
            return cls(pd.Index(distinct.sort_values()))
        except TypeError as error:
            kinds = sorted({type(value).__name__ for value in distinct})
            message = f"values of several kinds cannot be sorted: {', '.join(kinds)}"
            raise InputError(message) from error

    @classmethod
    def of_bins(cls, least: Any, most: Any, nr_bins: int) -> Slicing:
        """Make bins of equal width, as ``pandas.cut`` does, of which each stands by its left edge.

        Raises
        ------
        InputError
            Where `nr_bins` is no positive number.
        """
        import pandas as pd

        if not isinstance(nr_bins, int) or isinstance(nr_bins, bool) or nr_bins < 1:
            message = f"nr_bins must be a positive integer, not {nr_bins!r}"
            raise InputError(message)
        bins: Any = pd.cut(pd.Series([least, most]), bins=nr_bins).cat.categories
        return cls(bins.left, bins)

    def codes(self, values: pd.Series) -> NDArray[np.int32]:
        """Return the slice of each value; `NOWHERE` where there is none."""
        index: Any = self.values if self.bins is None else self.bins
        found = np.asarray(index.get_indexer(values), np.int32)
        return np.where(values.isna().to_numpy(), np.int32(NOWHERE), found).astype(np.int32)

    def describe(self) -> dict[str, Any]:
        """Return what the slices depend on, as JSON."""
        return {
            "values": [str(value) for value in self.values],
            "kind": str(self.values.dtype),
            "bins": self.bins is not None,
        }


def parsed_times(values: pd.Series, datetime_format: str | None = None) -> pd.Series:
    """Return times, from strings where they are such; numbers stay.

    Raises
    ------
    InputError
        Where a string is no time.
    """
    import pandas as pd

    if pd.api.types.is_numeric_dtype(values) or pd.api.types.is_datetime64_any_dtype(values):
        return values
    try:
        return pd.to_datetime(values, format=datetime_format)
    except (ValueError, TypeError) as error:
        message = f"timestamps cannot be read: {error}; say how they are written: datetime_format=…"
        raise InputError(message) from error


@dataclass(frozen=True)
class ReadColumn:
    """Read a column that the run keeps beside its documents: ``"timestamp"`` or ``"class"``."""

    documents: Stage
    column: str
    datetime_format: str | None = None

    def __call__(self, block: Block) -> pd.Series:
        """Return one block's."""
        values = self.documents.table("documents", block, [self.column])[self.column].to_pandas()
        return parsed_times(values, self.datetime_format) if self.column == "timestamp" else values


@dataclass(frozen=True)
class DistinctValues:
    """Return the distinct values of a block's column."""

    read: ReadColumn

    def __call__(self, block: Block) -> list[Any]:
        """Return at most one more than there may be slices."""
        values = self.read(block).dropna().drop_duplicates()
        return list(values.iloc[: MOST_SLICES + 1])


@dataclass(frozen=True)
class ValueRange:
    """Return the least and the largest value of a block's column; None where there is none."""

    read: ReadColumn

    def __call__(self, block: Block) -> tuple[Any, Any] | None:
        """Return both."""
        values = self.read(block).dropna()
        return None if values.empty else (values.min(), values.max())


@dataclass(frozen=True)
class SliceColumn:
    """Say which slice each document of a block belongs to, by a column that the run keeps."""

    read: ReadColumn
    slicing: Slicing

    def __call__(self, block: Block) -> Result:
        """Return the array ``slices``, shape (n_rows,), int32."""
        return {"slices": self.slicing.codes(self.read(block))}


@dataclass(frozen=True)
class SliceRows:
    """Keep the slices of a block's documents that a caller knows."""

    rows: Callable[[Block], NDArray[Any]]

    def __call__(self, block: Block) -> Result:
        """Return the array ``slices``, shape (n_rows,), int32."""
        return {"slices": self.rows(block).astype(np.int32)}


@dataclass(frozen=True)
class CountSlices:
    """Count the terms and documents of each topic in each slice, over a span of blocks.

    Parameters
    ----------
    tokens, clusters, slices : Stage
    counting : Counting
        Its counting half is used.
    vocabulary : Stage
        One with a table ``vocabulary``.
    lookup : tuple of int
        Row of the topic of each cluster, from cluster −1 on.
    n_slices, n_shares : int
        A share is every `n_shares`-th topic.
    members : mapping of str to tuple of Block
        The blocks of each span.
    """

    tokens: Stage
    clusters: Stage
    slices: Stage
    counting: Counting
    vocabulary: Stage
    lookup: tuple[int, ...]
    n_slices: int
    n_shares: int
    members: Mapping[str, tuple[Block, ...]]

    def __call__(self, block: Block) -> Result:
        """Return tables ``counts_<share>`` (group, term, count), ``sizes`` (group, size).

        A group is ``row of the topic * n_slices + slice``.
        """
        import pyarrow as pa

        members = self.members[block.name]
        counts = sum_counts(self._counts(members))
        groups = np.concatenate([self._groups(member) for member in members])
        found, size = np.unique(groups[groups >= 0], return_counts=True)
        of_share = counts.groups // self.n_slices % self.n_shares
        return {
            "sizes": pa.table({"group": found, "size": size}),
            **{
                f"counts_{share}": counts_table(chosen(counts, of_share == share))
                for share in range(self.n_shares)
            },
        }

    def _counts(self, members: Sequence[Block]) -> Iterator[TermCounts]:
        vocabulary = vocabulary_of(self.vocabulary)
        for member in members:
            groups = self._groups(member)
            for counts in counts_of(self.tokens, self.counting, vocabulary, member, groups):
                yield chosen(counts, counts.groups >= 0)

    def _groups(self, block: Block) -> NDArray[np.int32]:
        rows = np.array(self.lookup, np.int32)[self.clusters.array("labels", block) + 1]
        slices = self.slices.array("slices", block)
        return np.where(slices >= 0, rows * self.n_slices + slices, NOWHERE).astype(np.int32)
