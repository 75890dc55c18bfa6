"""A plan's blocks in runs and rows: how stages divide the work that is not block by block."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dtopics.data import Block

if TYPE_CHECKING:
    import pyarrow as pa


def spans(blocks: Sequence[Block], most: int = 64) -> dict[Block, tuple[Block, ...]]:
    """Divide a plan into at most `most` runs of consecutive blocks.

    Small blocks, as those of daily updates, are taken together up to the size of the largest: a
    run goes on over segments, and is named by the segment that it begins in.
    """
    length, largest = -(-len(blocks) // most), max((block.n_rows for block in blocks), default=0)
    runs: list[list[Block]] = []
    for block in blocks:
        current = runs[-1] if runs else []
        n_rows = sum(held.n_rows for held in current) + block.n_rows
        if current and (len(current) < length or n_rows <= largest):
            current.append(block)
        else:
            runs.append([block])
    begun: Counter[str] = Counter()
    found = {}
    for run in runs:
        segment, n_rows = run[0].segment, sum(block.n_rows for block in run)
        found[Block(segment, begun[segment], run[0].row_start, n_rows)] = tuple(run)
        begun[segment] += 1
    return found


def own_lengths(blocks: Iterable[Block]) -> list[tuple[str, int, int]]:
    """Return the segments of a stage whose blocks have arrays of their own length."""
    counts = Counter(block.segment for block in blocks)
    return [(segment, n_blocks, 0) for segment, n_blocks in counts.items()]


def rows_by_block(
    table: pa.Table, blocks: Sequence[Block]
) -> Iterator[tuple[Block, NDArray[np.int64]]]:
    """Go through a table of chosen rows block by block.

    Parameters
    ----------
    table : pyarrow.Table
        ``block`` (position in the plan, ascending) and ``row`` within it.
    blocks : sequence of Block
        The plan.
    """
    position, row = table["block"].to_numpy(), table["row"].to_numpy()
    bounds = np.searchsorted(position, np.arange(len(blocks) + 1))
    for block, start, stop in zip(blocks, bounds[:-1], bounds[1:], strict=True):
        yield block, row[start:stop]
