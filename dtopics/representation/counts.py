"""Counts of terms per group of documents, summed over blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dtopics.data import TermCounts
from dtopics.errors import InputError
from dtopics.representation._count_kernels import merge_sorted
from dtopics.representation.terms import BlockTerms
from dtopics.representation.vocabulary import Vocabulary

if TYPE_CHECKING:
    import pyarrow as pa
    from scipy.sparse import csr_matrix


def document_counts(terms: BlockTerms, vocabulary: Vocabulary) -> csr_matrix:
    """Return a block's documents over the vocabulary.

    Returns
    -------
    csr_matrix of int64, shape (n_documents, n_terms)
        Terms that the vocabulary lacks are left out.
    """
    from scipy.sparse import csr_matrix

    ids = vocabulary.find(terms.grams)[terms.counts.indices]
    known = ids >= 0
    rows = _rows(terms.counts)[known]
    shape = (terms.counts.shape[0], len(vocabulary))
    return csr_matrix((terms.counts.data[known], (rows, ids[known])), shape=shape)


def count_block(terms: BlockTerms, vocabulary: Vocabulary, labels: ArrayLike) -> TermCounts:
    """Sum a block's documents by their label.

    Parameters
    ----------
    terms : BlockTerms
    vocabulary : Vocabulary
    labels : array_like of int, shape (n_documents,)
        A group per document: cluster, topic, or any other slice; −1 is a group too.

    Returns
    -------
    TermCounts
        Exact; terms that the vocabulary lacks are left out.

    Raises
    ------
    InputError
        If there is not one label per document.
    """
    labels = np.asarray(labels)
    n_documents = terms.counts.shape[0]
    if labels.shape != (n_documents,):
        raise InputError(
            f"labels of shape {labels.shape} for a block of {n_documents} documents; expected "
            "one label per document"
        )
    ids = vocabulary.find(terms.grams)[terms.counts.indices]
    known = ids >= 0
    return _summed(labels[_rows(terms.counts)[known]], ids[known], terms.counts.data[known])


def merge_counts(counts: Sequence[TermCounts]) -> TermCounts:
    """Sum counts; the grouping of the sums does not change the result.

    It never has more entries than there are groups times terms, and no more memory is taken than
    for what is put in and the sum.
    """
    if not counts:
        return _summed(np.zeros(0), np.zeros(0), np.zeros(0))
    parts = [TermCounts(*map(np.ascontiguousarray, part)) for part in counts]
    while len(parts) > 1:  # in pairs: each entry is looked at log2(n) times
        pairs = zip(parts[::2], parts[1::2], strict=False)
        rest = parts[len(parts) // 2 * 2 :]
        parts = [TermCounts(*merge_sorted(*one, *other)) for one, other in pairs] + rest
    return parts[0]


def regroup(counts: TermCounts, mapping: Mapping[int, int]) -> TermCounts:
    """Sum groups into other groups, such as clusters into topics.

    Parameters
    ----------
    counts : TermCounts
    mapping : mapping of int to int
        The new group of every group there is.

    Raises
    ------
    InputError
        If a group of the counts is not in the mapping.
    """
    changes = counts.groups[1:] != counts.groups[:-1]
    starts = np.flatnonzero(np.concatenate([[True], changes])[: len(counts.groups)])
    old = counts.groups[starts].tolist()
    missing = [group for group in old if group not in mapping]
    if missing:
        raise InputError(f"groups {missing[:5]} have counts and no place in the mapping")
    parts: dict[int, list[TermCounts]] = {}
    stops = np.append(starts, len(counts.groups))[1:]
    for group, start, stop in zip(old, starts, stops, strict=True):
        new = np.full(stop - start, mapping[group], np.int32)
        part = TermCounts(new, counts.terms[start:stop], counts.counts[start:stop])
        parts.setdefault(mapping[group], []).append(part)
    merged = [merge_counts(parts[group]) for group in sorted(parts)]
    if not merged:
        return merge_counts([])
    return TermCounts(*(np.concatenate(columns) for columns in zip(*merged, strict=True)))


def reterm(counts: TermCounts, ids: NDArray[np.int32]) -> TermCounts:
    """Give terms other ids, as after pruning.

    Parameters
    ----------
    counts : TermCounts
    ids : ndarray of int32, shape (n_old_terms,)
        The new id of each term, −1 for one that goes: ``new.ids_of(old.terms)``.
    """
    terms = ids[counts.terms]
    return _summed(*chosen(TermCounts(counts.groups, terms, counts.counts), terms >= 0))


def chosen(counts: TermCounts, mask: NDArray[np.bool_]) -> TermCounts:
    """Return the entries where `mask` is true."""
    return TermCounts(counts.groups[mask], counts.terms[mask], counts.counts[mask])


def to_csr(counts: TermCounts, groups: ArrayLike, n_terms: int) -> csr_matrix:
    """Return counts as a matrix.

    Parameters
    ----------
    counts : TermCounts
    groups : array_like of int, shape (n_groups,)
        The group of each row, ascending; a group without terms has an empty row.
    n_terms : int

    Returns
    -------
    csr_matrix of int64, shape (n_groups, n_terms)

    Raises
    ------
    InputError
        If the counts have a group that is not among `groups`.
    """
    from scipy.sparse import csr_matrix

    groups = np.asarray(groups, dtype=np.int64)
    starts, stops = (np.searchsorted(counts.groups, groups, side) for side in ("left", "right"))
    if (stops - starts).sum() != len(counts.groups):
        missing = sorted(set(np.unique(counts.groups).tolist()) - set(groups.tolist()))
        raise InputError(f"groups {missing[:5]} have counts and no row; rows are ascending ids")
    bounds = np.concatenate([[0], np.cumsum(stops - starts)])
    return csr_matrix((counts.counts, counts.terms, bounds), shape=(len(groups), n_terms))


def counts_table(counts: TermCounts) -> pa.Table:
    """Return counts as columns ``group``, ``term`` (int32) and ``count`` (int64)."""
    import pyarrow as pa

    return pa.table({"group": counts.groups, "term": counts.terms, "count": counts.counts})


def from_table(table: pa.Table) -> TermCounts:
    """Read back what `counts_table` made."""
    group, term, count = (table.column(name).to_numpy() for name in ("group", "term", "count"))
    return TermCounts(group, term, count)


def _rows(matrix: csr_matrix) -> NDArray[np.int64]:
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))


def _summed(groups: NDArray[Any], terms: NDArray[Any], counts: NDArray[Any]) -> TermCounts:
    """Sort by group and term, and sum what has both in common, in whole numbers."""
    # Both are below 2**31, so one signed key holds the pair and keeps its order.
    keys = (groups.astype(np.int64) << 32) | terms.astype(np.int64)
    order = np.argsort(keys, kind="stable")
    keys, counts = keys[order], counts[order].astype(np.int64)
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])[: len(keys)])
    summed = np.add.reduceat(counts, starts) if len(starts) else counts
    keys = keys[starts]
    return TermCounts((keys >> 32).astype(np.int32), keys.astype(np.int32), summed)
