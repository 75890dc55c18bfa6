"""The vocabulary: exact totals per term over all blocks, then pruned once."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dtopics.data import TermCounts
from dtopics.errors import SettingError
from dtopics.representation._gram_kernels import (
    find_grams,
    hash_strings,
    make_index,
    share_of,
)
from dtopics.representation.merging import merge_by_size
from dtopics.representation.terms import BlockTerms, Grams
from dtopics.representation.tokens import string_parts
from dtopics.representation.vectorizer import Counting

if TYPE_CHECKING:
    import pyarrow as pa

#: From so many documents on, a vocabulary of all their n-grams is warned of.
MANY_DOCUMENTS = 1_000_000
#: Parts of all terms, the same for any corpus; so many shares can be summed at the most.
N_BUCKETS = 4096


@dataclass(frozen=True)
class Vocabulary:
    """The terms that are counted; a term's id is its position.

    Attributes
    ----------
    terms : pyarrow.LargeStringArray

    Examples
    --------
    >>> vocabulary = Vocabulary.of(["apple", "pear"])
    >>> vocabulary.ids_of(["pear", "plum"]).tolist()
    [1, -1]
    """

    terms: pa.Array

    @classmethod
    def of(cls, terms: pa.Table | pa.Array | Sequence[str]) -> Vocabulary:
        """Make it from terms, or from a table with a column ``term``."""
        return cls(_strings(terms.column("term") if hasattr(terms, "column") else terms))

    def __len__(self) -> int:
        return len(self.terms)

    def ids_of(self, terms: pa.Array | Sequence[str]) -> NDArray[np.int32]:
        """Return the id of each term, −1 for one that is not in the vocabulary."""
        import pyarrow.compute as pc

        found = pc.index_in(_strings(terms), value_set=self.terms)
        return pc.fill_null(found, -1).to_numpy()  # type: ignore[no-any-return]

    def find(self, grams: Grams) -> NDArray[np.int32]:
        """Return the id of each n-gram, −1 for one that is not in the vocabulary."""
        slots, hashes, data, bounds = self._index
        return find_grams(
            grams.first, grams.lengths, grams.hashes, grams.ids, grams.words, grams.bounds,
            slots, hashes, data, bounds,
        )  # fmt: skip

    @cached_property
    def _index(self) -> tuple[NDArray[Any], ...]:
        data, bounds = string_parts(self.terms)
        hashes, _ = hash_strings(data, bounds)
        return make_index(hashes), hashes, data, bounds

    def __reduce__(self) -> tuple[Any, ...]:
        return Vocabulary, (self.terms,)

    def tolist(self) -> list[str]:
        """Return the terms as Python strings."""
        return self.terms.to_pylist()  # type: ignore[no-any-return]


def block_term_table(terms: BlockTerms) -> pa.Table:
    """Return in how many documents of the block each term is, and how often.

    Returns
    -------
    pyarrow.Table
        ``term`` (large_string, each once, in no promised order), ``df`` and ``cf`` (int64).
    """
    import pyarrow as pa

    return _term_table(terms.terms, pa.array(terms.df), pa.array(terms.cf))


def merge_term_tables(tables: Iterable[pa.Table]) -> pa.Table:
    """Sum term tables; the grouping of the sums does not change the result.

    Returns
    -------
    pyarrow.Table
        ``term`` (ascending by code point), ``df`` and ``cf``.
    """
    empty = _term_table(_strings([]), *np.zeros((2, 0), np.int64))
    merged: pa.Table = merge_by_size(
        _summed, itertools.chain([empty], tables), lambda table: table.num_rows
    )
    return merged.sort_by("term")


def _summed(tables: Sequence[pa.Table]) -> pa.Table:
    import pyarrow as pa

    joined = pa.concat_tables(tables)
    encoded = _strings(joined.column("term")).dictionary_encode()
    sums = []
    for name in ("df", "cf"):
        total = np.zeros(len(encoded.dictionary), dtype=np.int64)
        np.add.at(total, encoded.indices.to_numpy(), joined.column(name).to_numpy())
        sums.append(pa.array(total))
    return _term_table(encoded.dictionary, *sums)


def by_bucket(table: pa.Table) -> pa.Table:
    """Sort a merged term table so that any share of all terms is a run of its rows.

    Terms are divided into `N_BUCKETS` by a hash, and a share is a run of buckets.

    Returns
    -------
    pyarrow.Table
        By bucket, then by term; with a column ``bucket`` (uint16), which is stored in next to
        nothing.
    """
    import pyarrow as pa

    hashes, _ = hash_strings(*string_parts(_strings(table.column("term"))))
    buckets = share_of(hashes, N_BUCKETS).astype(np.uint16)
    order = np.argsort(buckets, kind="stable")
    return table.take(order).append_column("bucket", pa.array(buckets[order]))


def rows_of_share(table: pa.Table, share: int, n_shares: int) -> pa.Table:
    """Return a copy of the rows of one of `n_shares` shares, `N_BUCKETS` at most.

    A slice would hold the memory of the whole table for as long as it waits to be summed.
    """
    bounds = np.array([share, share + 1]) * N_BUCKETS // n_shares
    first, stop = np.searchsorted(table.column("bucket").to_numpy(), bounds)
    return table.drop_columns("bucket").take(np.arange(first, stop))


def topic_term_table(table: pa.Table, counts: TermCounts) -> pa.Table:
    """Return the table with topics in place of documents, for ``min_df_scope="topic"``.

    Parameters
    ----------
    table : pyarrow.Table
        The unpruned term table.
    counts : TermCounts
        Per topic, over the terms of that table.

    Returns
    -------
    pyarrow.Table
        ``df`` is the number of topics that have the term. Prune it with the number of topics.
    """
    import pyarrow as pa

    df = np.bincount(counts.terms, minlength=table.num_rows).astype(np.int64)
    return _term_table(table.column("term"), pa.array(df), table.column("cf"))


def prune(table: pa.Table, counting: Counting, n_documents: int) -> pa.Table:
    """Choose the vocabulary from the totals of all blocks.

    Parameters
    ----------
    table : pyarrow.Table
        The merged term table.
    counting : Counting
        Its `min_df`, `max_df`, `max_features` and `vocabulary` are used, as scikit-learn uses
        them, but for terms with equal totals at the cut of `max_features`: here the
        alphabetically first are kept.
    n_documents : int
        All documents, empty ones included; all topics for ``min_df_scope="topic"``.

    Returns
    -------
    pyarrow.Table
        ``term``, ``df``, ``cf`` of the terms that are kept: alphabetical by code point, or in
        the order of a fixed vocabulary, whose missing terms have zeros.

    Raises
    ------
    SettingError
        If `max_df` means fewer documents than `min_df`, or no term is left.
    """
    if counting.vocabulary is not None:
        return fixed_table(table, counting.vocabulary)
    lowest, highest = check_bounds(counting, n_documents)
    unit = f"{counting.min_df_scope}s"
    if table.num_rows == 0:
        raise no_terms(counting, n_documents)
    kept = within(table, lowest, highest)
    if kept.num_rows == 0:
        df = table.column("df").to_numpy()
        raise SettingError(
            f"none of {table.num_rows} terms is in {lowest:g} to {highest:g} of {n_documents} "
            f"{unit} (min_df={counting.min_df}, max_df={counting.max_df}); the commonest is in "
            f"{df.max()}, the rarest in {df.min()}: lower min_df or raise max_df"
        )
    return highest_totals(kept, counting.max_features)


def check_bounds(counting: Counting, n_documents: int) -> tuple[float, float]:
    """Return the least and the largest number of documents, or topics, of a term that is kept.

    Raises
    ------
    SettingError
        If the largest is below the least.
    """
    lowest, highest = (_bound(b, n_documents) for b in (counting.min_df, counting.max_df))
    if highest < lowest:
        unit = f"{counting.min_df_scope}s"
        raise SettingError(
            f"max_df={counting.max_df} means at most {highest:g} of {n_documents} {unit}, and "
            f"min_df={counting.min_df} at least {lowest:g}: raise max_df or lower min_df"
        )
    return lowest, highest


def many_terms(counting: Counting, n_documents: int) -> str | None:
    """Return a warning where n-grams of a large corpus are all kept, however rare."""
    all_kept = _bound(counting.min_df, n_documents) <= 1
    if counting.vocabulary is not None or counting.n_gram_range[1] == 1 or not all_kept:
        return None
    if n_documents < MANY_DOCUMENTS or counting.max_features is not None:
        return None
    return (
        f"min_df={counting.min_df} keeps every n-gram of {n_documents:,} documents, most of them "
        "seen once: a vocabulary of many millions, which every worker holds; min_df=10 keeps "
        "a few in a hundred of them"
    )


def no_terms(counting: Counting, n_documents: int) -> SettingError:
    """Return the error of a corpus without any term."""
    return SettingError(
        f"no document has a term: of {n_documents} {counting.min_df_scope}s all are empty, or have "
        "stop words and tokens that the vectorizer does not take only; look at its "
        "token_pattern, stop_words and ngram_range"
    )


def within(table: pa.Table, lowest: float, highest: float) -> pa.Table:
    """Return the rows whose ``df`` is within bounds, both included."""
    import pyarrow as pa

    df = table.column("df").to_numpy()
    return table.filter(pa.array((df >= lowest) & (df <= highest)))


def highest_totals(table: pa.Table, max_features: int | None) -> pa.Table:
    """Return the rows with the highest ``cf``; of equals, those that are first in the table.

    The rows keep their order: where they are alphabetical, so are ties.
    """
    if max_features is None or table.num_rows <= max_features:
        return table
    ranked = np.argsort(-table.column("cf").to_numpy(), kind="stable")
    return table.take(np.sort(ranked[:max_features]))


def _bound(bound: float, n_documents: int) -> float:
    return bound if isinstance(bound, int) else bound * n_documents


def fixed_table(table: pa.Table, vocabulary: tuple[str, ...]) -> pa.Table:
    """Return the rows of a fixed vocabulary in its order, zeros for terms that are missing."""
    import pyarrow as pa

    terms = _strings(vocabulary)
    rows = Vocabulary.of(table).ids_of(terms)
    found = rows >= 0
    totals = {name: np.zeros(len(terms), dtype=np.int64) for name in ("df", "cf")}
    for name, values in totals.items():
        values[found] = table.column(name).to_numpy()[rows[found]]
    return _term_table(terms, pa.array(totals["df"]), pa.array(totals["cf"]))


def _strings(terms: pa.Array | pa.ChunkedArray | Sequence[str]) -> pa.Array:
    import pyarrow as pa

    if isinstance(terms, pa.ChunkedArray):
        return terms.cast(pa.large_string()).combine_chunks()
    if isinstance(terms, pa.Array):
        return terms.cast(pa.large_string())
    return pa.array(terms, pa.large_string())


def _term_table(terms: pa.Array, df: pa.Array, cf: pa.Array) -> pa.Table:
    import pyarrow as pa

    return pa.table({"term": terms, "df": df, "cf": cf})
