"""The vocabulary: exact totals per term over all blocks, then pruned once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dtopics.data import TermCounts
from dtopics.errors import SettingError
from dtopics.representation._gram_kernels import find_grams, hash_strings, make_index
from dtopics.representation.terms import BlockTerms, Grams
from dtopics.representation.tokens import string_parts
from dtopics.representation.vectorizer import Counting

if TYPE_CHECKING:
    import pyarrow as pa


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
        ``term`` (large_string, ascending by code point), ``df`` and ``cf`` (int64).
    """
    import pyarrow as pa

    return _term_table(terms.terms, pa.array(terms.df), pa.array(terms.cf)).sort_by("term")


def merge_term_tables(tables: Sequence[pa.Table]) -> pa.Table:
    """Sum term tables; the grouping of the sums does not change the result."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not tables:
        return _term_table(_strings([]), pa.array([], pa.int64()), pa.array([], pa.int64()))
    joined = pa.concat_tables(tables)
    encoded = joined.column("term").combine_chunks().dictionary_encode()
    order = pc.sort_indices(encoded.dictionary)
    sums = []
    for name in ("df", "cf"):
        total = np.zeros(len(order), dtype=np.int64)
        np.add.at(total, encoded.indices.to_numpy(), joined.column(name).to_numpy())
        sums.append(pa.array(total).take(order))
    return _term_table(encoded.dictionary.take(order), *sums)


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
        return _fixed(table, counting.vocabulary)
    lowest = _bound(counting.min_df, n_documents)
    highest = _bound(counting.max_df, n_documents)
    unit = f"{counting.min_df_scope}s"
    if highest < lowest:
        raise SettingError(
            f"max_df={counting.max_df} means at most {highest:g} of {n_documents} {unit}, and "
            f"min_df={counting.min_df} at least {lowest:g}: raise max_df or lower min_df"
        )
    if table.num_rows == 0:
        raise SettingError(
            f"no document has a term: of {n_documents} {unit} all are empty, or have stop words "
            "and tokens that the vectorizer does not take only; look at its token_pattern, "
            "stop_words and ngram_range"
        )
    df, cf = table.column("df").to_numpy(), table.column("cf").to_numpy()
    kept = np.flatnonzero((df >= lowest) & (df <= highest))
    if len(kept) == 0:
        raise SettingError(
            f"none of {table.num_rows} terms is in {lowest:g} to {highest:g} of {n_documents} "
            f"{unit} (min_df={counting.min_df}, max_df={counting.max_df}); the commonest is in "
            f"{df.max()}, the rarest in {df.min()}: lower min_df or raise max_df"
        )
    if counting.max_features is not None and len(kept) > counting.max_features:
        ranked = np.argsort(-cf[kept], kind="stable")  # rows are alphabetical: so are ties
        kept = np.sort(kept[ranked[: counting.max_features]])
    return table.take(kept)


def _bound(bound: float, n_documents: int) -> float:
    return bound if isinstance(bound, int) else bound * n_documents


def _fixed(table: pa.Table, vocabulary: tuple[str, ...]) -> pa.Table:
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
