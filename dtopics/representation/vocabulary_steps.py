"""The vocabulary of a corpus: exact and global, in memory that no corpus outgrows.

A first pass over the tokens leaves sketches, by which most rare terms are known to be rare. A
second counts what remains, exactly, over spans of blocks. The terms are then divided into shares by
a hash, each small enough for any worker, summed over all spans and pruned.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dtopics.data import Block, Result
from dtopics.errors import SettingError
from dtopics.execution import Executor
from dtopics.execution.cache import cached
from dtopics.representation.sketch import Sketch, least_documents, sketch_size
from dtopics.representation.steps import MOST_GRAMS, terms_of
from dtopics.representation.terms import BlockTerms
from dtopics.representation.vectorizer import Counting
from dtopics.representation.vocabulary import (
    N_BUCKETS,
    Vocabulary,
    block_term_table,
    by_bucket,
    check_bounds,
    fixed_table,
    highest_totals,
    merge_term_tables,
    no_terms,
    rows_of_share,
    within,
)
from dtopics.store import Run, Stage, own_lengths, spans

if TYPE_CHECKING:
    import pyarrow as pa

#: Terms of a share, at most about: 150 MB while twice as many are summed.
SHARE_TERMS = 1 << 20
#: Spans that a corpus is divided into; for terms more, where its n-grams are many.
N_SPANS = 64


@dataclass(frozen=True)
class SketchBlocks:
    """Add a span of blocks to a sketch of document frequencies."""

    tokens: Stage
    counting: Counting
    members: Mapping[str, tuple[Block, ...]]
    size: int
    most: int

    def __call__(self, block: Block) -> Result:
        """Return the table ``sketch``; how many counts were added is noted."""
        sketch, n_added = Sketch.empty(self.size, self.most), 0
        for member in self.members[block.name]:
            for terms in terms_of(self.tokens, self.counting, member):
                sketch.add(terms)
                n_added += len(terms.grams)
        return {"sketch": sketch.to_table(), "notes": {"added": n_added}}


@dataclass(frozen=True)
class MergeSketches:
    """Add up the spans' sketches."""

    sketches: Stage
    spans: Sequence[Block]
    size: int
    most: int

    def __call__(self, stage: Stage) -> Mapping[str, Any]:  # noqa: ARG002
        """Return the table ``sketch``."""
        sketch = Sketch.empty(self.size, self.most)
        sketch.merge(Sketch.from_table(self.sketches.table("sketch", span)) for span in self.spans)
        return {"sketch": sketch.to_table()}


@dataclass(frozen=True)
class CountTerms:
    """Count a span's terms by document and in all, but those that are surely left out."""

    tokens: Stage
    counting: Counting
    members: Mapping[str, tuple[Block, ...]]
    sketch: Stage | None

    def __call__(self, block: Block) -> Result:
        """Return the table ``terms``: ``term``, ``df``, ``cf``, and ``bucket``, by which it is."""
        merged = by_bucket(merge_term_tables(self._tables(self.members[block.name])))
        return {"terms": merged, "notes": {"terms": merged.num_rows}}

    def _tables(self, blocks: Sequence[Block]) -> Iterator[pa.Table]:
        for terms in self._terms(blocks):
            if self.counting.vocabulary is not None:
                kept = Vocabulary.of(self.counting.vocabulary).find(terms.grams) >= 0
                yield block_term_table(terms.take(kept))
            elif self.sketch is not None:
                yield block_term_table(terms.take(_sketch_of(self.sketch).may_reach(terms.grams)))
            else:
                yield block_term_table(terms)

    def _terms(self, blocks: Sequence[Block]) -> Iterator[BlockTerms]:
        for block in blocks:
            yield from terms_of(self.tokens, self.counting, block)


@dataclass(frozen=True)
class SumShare:
    """Sum one share of the terms over all spans, and leave out what is out of bounds."""

    terms: Stage
    spans: Sequence[Block]
    counting: Counting
    n_shares: int

    def __call__(self, block: Block) -> Result:
        """Return the table ``terms``; of all terms of the share, their number is noted."""
        merged = merge_term_tables(
            rows_of_share(self.terms.table("terms", span), block.index, self.n_shares)
            for span in self.spans
        )
        notes = {"terms": merged.num_rows}
        if self.counting.vocabulary is None and self.counting.min_df_scope == "document":
            bounds = check_bounds(self.counting, sum(span.n_rows for span in self.spans))
            merged = highest_totals(within(merged, *bounds), self.counting.max_features)
        return {"terms": merged, "notes": notes}


@dataclass(frozen=True)
class MergeVocabulary:
    """Join the shares to the vocabulary."""

    sums: Stage
    shares: Sequence[Block]
    counting: Counting
    n_documents: int
    sketched: bool

    def __call__(self, stage: Stage) -> Mapping[str, Any]:  # noqa: ARG002
        """Return the table ``vocabulary``: ``term``, ``df``, ``cf`` in the order of columns.

        Raises
        ------
        SettingError
            If no term is left.
        """
        import pyarrow as pa

        joined = pa.concat_tables([self.sums.table("terms", share) for share in self.shares])
        joined = joined.sort_by("term")
        if self.counting.vocabulary is not None:
            joined = fixed_table(joined, self.counting.vocabulary)
        elif joined.num_rows == 0:
            raise self._nothing_left()
        elif self.counting.min_df_scope == "document":
            joined = highest_totals(joined, self.counting.max_features)
        return {"vocabulary": joined, "notes": {"terms": joined.num_rows}}

    def _nothing_left(self) -> SettingError:
        n_terms = sum(receipt.notes["terms"] for receipt in self.sums.receipts())
        if n_terms == 0 and not self.sketched:
            return no_terms(self.counting, self.n_documents)
        counting = self.counting
        return SettingError(
            f"no term is left: none is in as many of the {self.n_documents} "
            f"{counting.min_df_scope}s as min_df={counting.min_df} and max_df={counting.max_df} "
            "ask for; lower min_df or raise max_df"
        )


def find_vocabulary(
    run: Run, counting: Counting, tokens: Stage, blocks: Sequence[Block], executor: Executor
) -> Stage:
    """Leave the vocabulary of a corpus whose tokens are there.

    Raises
    ------
    SettingError
        If no term is left; if `max_df` means fewer documents than `min_df`, before any work.
    """
    n_documents = sum(block.n_rows for block in blocks)
    if counting.vocabulary is None and counting.min_df_scope == "document":
        check_bounds(counting, n_documents)
    shortest, longest = counting.n_gram_range
    n_tokens = sum(receipt.notes.get("tokens", receipt.bytes) for receipt in tokens.receipts())
    n_grams = n_tokens * (longest - shortest + 1)
    sketch = _find_sketch(run, counting, tokens, blocks, n_grams, executor)
    members = spans(blocks, most_term_spans(n_grams))
    by_name = {span.name: of_span for span, of_span in members.items()}
    about, listed = counting.describe_counting(), list(members)
    reads = [tokens] if sketch is None else [tokens, sketch]
    divided = {"spans": len(listed), "buckets": N_BUCKETS}
    terms = run.stage("terms", {**about, **divided}, reads, own_lengths(listed))
    executor.map_blocks(terms, CountTerms(tokens, counting, by_name, sketch), listed)
    n_terms = sum(receipt.notes["terms"] for receipt in terms.receipts())
    n_shares = min(-(-max(n_terms, 1) // SHARE_TERMS), N_BUCKETS)
    shares = [Block(blocks[0].segment, index, 0, 0) for index in range(n_shares)]
    sums = run.stage("term sums", {"shares": n_shares}, [terms], own_lengths(shares))
    executor.map_blocks(sums, SumShare(terms, listed, counting, n_shares), shares)
    vocabulary = run.stage("vocabulary", about, [sums])
    merge = MergeVocabulary(sums, shares, counting, n_documents, sketch is not None)
    executor.run(vocabulary, merge)
    return vocabulary


def most_term_spans(n_grams: int) -> int:
    """Return how many spans a corpus of so many n-grams is counted in, where it has the blocks."""
    return max(N_SPANS, -(-n_grams // MOST_GRAMS))


def _find_sketch(
    run: Run,
    counting: Counting,
    tokens: Stage,
    blocks: Sequence[Block],
    n_grams: int,
    executor: Executor,
) -> Stage | None:
    """Leave a sketch of document frequencies, where one tells which terms are surely left out."""
    n_documents = sum(block.n_rows for block in blocks)
    most = min(least_documents(counting, n_documents), 2**16 - 1)
    if most < 2:
        return None
    size = sketch_size(n_grams)
    about = counting.describe_counting()
    key = {name: about[name] for name in ("stop_words", "n_gram_range")} | {"most": most}
    members = spans(blocks, N_SPANS)
    by_name = {span.name: of_span for span, of_span in members.items()}
    sketches = run.stage("sketches", key, [tokens], own_lengths(members))
    step = SketchBlocks(tokens, counting, by_name, size, most)
    executor.map_blocks(sketches, step, list(members))
    if not any(receipt.notes["added"] for receipt in sketches.receipts()):
        raise no_terms(counting, n_documents)
    sketch = run.stage("sketch", {}, [sketches])
    executor.run(sketch, MergeSketches(sketches, list(members), size, most))
    return sketch


def _sketch_of(stage: Stage) -> Sketch:
    return cached(
        ("sketch", stage.identity), lambda: Sketch.from_table(stage.whole_table("sketch"))
    )
