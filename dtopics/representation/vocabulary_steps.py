"""The vocabulary of a corpus: exact and global, in memory that no corpus outgrows.

A first pass over the tokens leaves sketches, by which most rare terms are known to be rare. A
second counts what remains, exactly and block by block. The terms are then divided into shares by
a hash, each small enough for any worker, summed over all blocks and pruned.
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
from dtopics.representation.steps import terms_of
from dtopics.representation.vectorizer import Counting
from dtopics.representation.vocabulary import (
    Vocabulary,
    block_term_table,
    check_bounds,
    fixed_table,
    highest_totals,
    merge_term_tables,
    no_terms,
    share_of_table,
    within,
)
from dtopics.store import Run, Stage, own_lengths, spans

if TYPE_CHECKING:
    import pyarrow as pa

#: Terms of a share, at most about: 300 MB while twice as many are summed.
SHARE_TERMS = 1 << 21


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
class TermsBlock:
    """Count a block's terms by document and in all, but those that are surely left out."""

    tokens: Stage
    counting: Counting
    sketch: Stage | None

    def __call__(self, block: Block) -> Result:
        """Return the table ``terms``: ``term``, ``df``, ``cf``."""
        merged = merge_term_tables(self._tables(block))
        return {"terms": merged, "notes": {"terms": merged.num_rows}}

    def _tables(self, block: Block) -> Iterator[pa.Table]:
        for terms in terms_of(self.tokens, self.counting, block):
            if self.counting.vocabulary is not None:
                kept = Vocabulary.of(self.counting.vocabulary).find(terms.grams) >= 0
                yield block_term_table(terms.take(kept))
            elif self.sketch is not None:
                yield block_term_table(terms.take(_sketch_of(self.sketch).may_reach(terms.grams)))
            else:
                yield block_term_table(terms)


@dataclass(frozen=True)
class SumShare:
    """Sum one share of the terms over all blocks, and leave out what is out of bounds."""

    terms: Stage
    blocks: Sequence[Block]
    counting: Counting
    n_shares: int

    def __call__(self, block: Block) -> Result:
        """Return the table ``terms``; of all terms of the share, their number is noted."""
        tables = (
            share_of_table(self.terms.table("terms", member), block.index, self.n_shares)
            for member in self.blocks
        )
        merged = merge_term_tables(tables)
        notes = {"terms": merged.num_rows}
        if self.counting.vocabulary is None and self.counting.min_df_scope == "document":
            bounds = check_bounds(self.counting, sum(member.n_rows for member in self.blocks))
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
    sketch = _find_sketch(run, counting, tokens, blocks, executor)
    about = counting.describe_counting()
    terms = run.stage("terms", about, [tokens, *([] if sketch is None else [sketch])])
    executor.map_blocks(terms, TermsBlock(tokens, counting, sketch), blocks)
    n_terms = sum(receipt.notes["terms"] for receipt in terms.receipts())
    n_shares = -(-max(n_terms, 1) // SHARE_TERMS)
    shares = [Block(blocks[0].segment, index, 0, 0) for index in range(n_shares)]
    sums = run.stage("term sums", {"shares": n_shares}, [terms], own_lengths(shares))
    executor.map_blocks(sums, SumShare(terms, blocks, counting, n_shares), shares)
    vocabulary = run.stage("vocabulary", about, [sums])
    merge = MergeVocabulary(sums, shares, counting, n_documents, sketch is not None)
    executor.run(vocabulary, merge)
    return vocabulary


def _find_sketch(
    run: Run, counting: Counting, tokens: Stage, blocks: Sequence[Block], executor: Executor
) -> Stage | None:
    """Leave a sketch of document frequencies, where one tells which terms are surely left out."""
    n_documents = sum(block.n_rows for block in blocks)
    most = min(least_documents(counting, n_documents), 2**16 - 1)
    if most < 2:
        return None
    shortest, longest = counting.n_gram_range
    n_tokens = sum(receipt.notes.get("tokens", receipt.bytes) for receipt in tokens.receipts())
    size = sketch_size(n_tokens * (longest - shortest + 1))
    about = counting.describe_counting()
    key = {name: about[name] for name in ("stop_words", "n_gram_range")} | {"most": most}
    members = spans(blocks)
    by_name = {span.name: blocks_ for span, blocks_ in members.items()}
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
