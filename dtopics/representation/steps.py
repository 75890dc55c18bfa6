"""From texts and clusters to counts and centroids, block by block, and their sums."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from dtopics.data import Block, Result
from dtopics.execution.cache import cached
from dtopics.protocols import DocumentReader
from dtopics.representation.centroids import block_sums, merge_sums
from dtopics.representation.counts import count_block, counts_table, from_table, merge_counts
from dtopics.representation.terms import block_terms
from dtopics.representation.tokens import token_block, tokenize_block
from dtopics.representation.vectorizer import Counting
from dtopics.representation.vocabulary import (
    Vocabulary,
    block_term_table,
    merge_term_tables,
    prune,
)
from dtopics.store import Stage

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")

#: How many blocks' tables a merge holds beside its sum.
MERGE_BATCH = 32


@dataclass(frozen=True)
class TokenizeBlock:
    """Turn a block's texts into token ids, once, whatever is clustered or counted later."""

    read: DocumentReader
    counting: Counting

    def __call__(self, block: Block) -> Result:
        """Return the table ``tokens``."""
        return {"tokens": tokenize_block(self.read(block).texts, self.counting)}


@dataclass(frozen=True)
class TermsBlock:
    """Count a block's terms by document and in all, before any pruning."""

    tokens: Stage
    counting: Counting

    def __call__(self, block: Block) -> Result:
        """Return the table ``terms``: ``term``, ``df``, ``cf``."""
        return {"terms": block_term_table(terms_of(self.tokens, self.counting, block))}


@dataclass(frozen=True)
class MergeVocabulary:
    """Sum the blocks' term tables, then prune: exact, because nothing is pruned before."""

    terms: Stage
    blocks: Sequence[Block]
    counting: Counting

    def __call__(self, stage: Stage) -> Mapping[str, Any]:  # noqa: ARG002
        """Return the table ``vocabulary``: ``term``, ``df``, ``cf`` in the order of columns."""
        tables = (self.terms.table("terms", block) for block in self.blocks)
        merged = in_batches(merge_term_tables, tables)
        if self.counting.min_df_scope == "document":
            n_documents = sum(block.n_rows for block in self.blocks)
            merged = prune(merged, self.counting, n_documents)
        return {"vocabulary": merged, "notes": {"terms": merged.num_rows}}


@dataclass(frozen=True)
class CountBlock:
    """Count a block's terms per cluster."""

    tokens: Stage
    counting: Counting
    vocabulary: Stage
    clusters: Stage

    def __call__(self, block: Block) -> Result:
        """Return the table ``counts``: ``group`` (the cluster), ``term``, ``count``."""
        terms = terms_of(self.tokens, self.counting, block)
        vocabulary, labels = vocabulary_of(self.vocabulary), self.clusters.array("labels", block)
        return {"counts": counts_table(count_block(terms, vocabulary, labels))}


@dataclass(frozen=True)
class MergeCounts:
    """Sum the blocks' counts to clusters × terms."""

    counts: Stage
    blocks: Sequence[Block]

    def __call__(self, stage: Stage) -> Mapping[str, Any]:  # noqa: ARG002
        """Return the table ``counts``."""
        parts = (from_table(self.counts.table("counts", block)) for block in self.blocks)
        return {"counts": counts_table(in_batches(merge_counts, parts))}


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


def terms_of(tokens: Stage, counting: Counting, block: Block) -> Any:
    """Return a block's documents × terms."""
    return block_terms(token_block(tokens.table("tokens", block)), counting)


def vocabulary_of(stage: Stage) -> Vocabulary:
    """Return the process's copy of a vocabulary."""
    return cached(
        ("vocabulary", stage.identity), lambda: Vocabulary.of(stage.whole_table("vocabulary"))
    )
