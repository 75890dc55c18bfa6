"""From texts and clusters to counts and centroids, block by block, and their sums."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from dtopics.data import Block, Result, TermCounts
from dtopics.execution.cache import cached
from dtopics.protocols import DocumentReader
from dtopics.representation.centroids import block_sums, merge_sums
from dtopics.representation.counts import count_block, counts_table, from_table, merge_counts
from dtopics.representation.merging import merge_by_size
from dtopics.representation.terms import BlockTerms, block_terms
from dtopics.representation.tokens import in_pieces, token_block, tokenize_block
from dtopics.representation.vectorizer import Counting
from dtopics.representation.vocabulary import Vocabulary
from dtopics.store import Stage

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")

#: How many blocks' tables a merge holds beside its sum.
MERGE_BATCH = 32
#: How many n-grams of a block's documents are held at once, about 60 bytes each.
MOST_GRAMS = 1 << 22


@dataclass(frozen=True)
class TokenizeBlock:
    """Turn a block's texts into token ids, once, whatever is clustered or counted later."""

    read: DocumentReader
    counting: Counting

    def __call__(self, block: Block) -> Result:
        """Return the table ``tokens``; the number of tokens is noted."""
        table = tokenize_block(self.read(block).texts, self.counting)
        return {"tokens": table, "notes": {"tokens": len(table["tokens"].combine_chunks().values)}}


@dataclass(frozen=True)
class CountBlocks:
    """Count the terms of each cluster over a span of blocks."""

    tokens: Stage
    counting: Counting
    vocabulary: Stage
    clusters: Stage
    members: Mapping[str, tuple[Block, ...]]

    def __call__(self, block: Block) -> Result:
        """Return the table ``counts``: ``group`` (the cluster), ``term``, ``count``."""
        return {"counts": counts_table(sum_counts(self._counts(self.members[block.name])))}

    def _counts(self, blocks: Sequence[Block]) -> Iterator[TermCounts]:
        vocabulary = vocabulary_of(self.vocabulary)
        for block in blocks:
            labels = self.clusters.array("labels", block)
            yield from counts_of(self.tokens, self.counting, vocabulary, block, labels)


@dataclass(frozen=True)
class MergeCounts:
    """Sum the spans' counts to clusters × terms."""

    counts: Stage
    spans: Sequence[Block]

    def __call__(self, stage: Stage) -> Mapping[str, Any]:  # noqa: ARG002
        """Return the table ``counts``."""
        parts = (from_table(self.counts.table("counts", span)) for span in self.spans)
        return {"counts": counts_table(sum_counts(parts))}


@dataclass(frozen=True)
class SumVectors:
    """Sum the vectors of each cluster over a run of blocks, in whole numbers.

    A *span* is a block that stands for consecutive blocks of the plan: `members` maps its name
    to them. Sums of whole spans keep what is stored in proportion to clusters, not to blocks.
    """

    embeddings: Stage
    clusters: Stage
    documents: Stage
    members: Mapping[str, tuple[Block, ...]]

    def __call__(self, block: Block) -> Result:
        """Return the table ``sums``: ``cluster``, ``size``, ``filled``, ``sum``."""
        return {"sums": merge_sums([self._sums(member) for member in self.members[block.name]])}

    def _sums(self, block: Block) -> pa.Table:
        empty = self.documents.table("documents", block, ["empty"])["empty"].to_numpy()
        labels = self.clusters.array("labels", block)
        return block_sums(self.embeddings.array("embeddings", block), labels, ~empty)


@dataclass(frozen=True)
class MergeSums:
    """Sum the spans' vectors."""

    sums: Stage
    spans: Sequence[Block]

    def __call__(self, stage: Stage) -> Mapping[str, Any]:  # noqa: ARG002
        """Return the table ``sums``."""
        tables = (self.sums.table("sums", span) for span in self.spans)
        return {"sums": in_batches(merge_sums, tables)}


def in_batches(merge: Callable[[Sequence[T]], T], parts: Iterable[T]) -> T:
    """Merge parts a batch at a time, so that only a batch and the sum are held."""
    remaining = iter(parts)
    merged = merge(list(itertools.islice(remaining, MERGE_BATCH)))
    while batch := list(itertools.islice(remaining, MERGE_BATCH)):
        merged = merge([merged, *batch])
    return merged


def sum_counts(parts: Iterable[TermCounts]) -> TermCounts:
    """Sum counts, holding about as much again as the sum."""
    return merge_by_size(merge_counts, parts, lambda part: len(part.terms))


def terms_of(tokens: Stage, counting: Counting, block: Block) -> Iterator[BlockTerms]:
    """Return a block's documents × terms, some documents at a time."""
    held = token_block(tokens.table("tokens", block))
    shortest, longest = counting.n_gram_range
    for piece in in_pieces(held, MOST_GRAMS // (longest - shortest + 1)):
        yield block_terms(piece, counting)


def counts_of(
    tokens: Stage,
    counting: Counting,
    vocabulary: Vocabulary,
    block: Block,
    groups: NDArray[np.integer[Any]],
) -> Iterator[TermCounts]:
    """Return the terms of each group of a block's documents, some documents at a time."""
    start = 0
    for terms in terms_of(tokens, counting, block):
        stop = start + terms.counts.shape[0]
        yield count_block(terms, vocabulary, groups[start:stop])
        start = stop


def vocabulary_of(stage: Stage) -> Vocabulary:
    """Return the process's copy of a vocabulary."""
    return cached(
        ("vocabulary", stage.identity), lambda: Vocabulary.of(stage.whole_table("vocabulary"))
    )
