"""Documents that a step failed on each time: from there on they count as empty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dtopics.data import Block, Result
from dtopics.execution import Executor
from dtopics.store import Run, Stage


@dataclass(frozen=True)
class LeaveOutDocuments:
    """Have documents that a step failed on count as empty: outliers, and no part of any fit.

    Parameters
    ----------
    documents : Stage
        Tables as `DescribeBlock` left them.
    rows : mapping of str to tuple of int
        Rows that are left out, by their block's name.
    """

    documents: Stage
    rows: Mapping[str, tuple[int, ...]]

    def __call__(self, block: Block) -> Result:
        """Return the block's table, with the same notes."""
        import pyarrow as pa

        table = self.documents.table("documents", block)
        empty = table["empty"].to_numpy().copy()
        empty[list(self.rows.get(block.name, ()))] = True
        receipt = self.documents.receipt(block)
        notes = dict(receipt.notes) if receipt is not None else {}
        place = table.column_names.index("empty")
        return {"documents": table.set_column(place, "empty", pa.array(empty)), "notes": notes}


def leave_out_failing(
    run: Run,
    about: Mapping[str, Any],
    plan: str,
    documents: Stage,
    stages: Sequence[Stage],
    blocks: Sequence[Block],
    executor: Executor,
) -> Stage:
    """Return the documents, without those that a stage had to leave out, where there are any.

    Parameters
    ----------
    run : Run
    about, plan
        The configuration of the documents' stage, and the fingerprint of what it reads.
    documents : Stage
    stages : sequence of Stage
        Those whose steps read texts.
    blocks : sequence of Block
    executor : Executor
    """
    rows = left_out(stages)
    if not rows:
        return documents
    stage = run.stage("documents", {**about, "left_out": rows}, [plan])
    executor.map_blocks(stage, LeaveOutDocuments(documents, rows), blocks)
    return stage


def left_out(stages: Sequence[Stage]) -> dict[str, tuple[int, ...]]:
    """Return the rows that stages had to leave out, by their block's name."""
    rows: dict[str, set[int]] = {}
    for stage in stages:
        for name, listed in stage.quarantined().items():
            rows.setdefault(name, set()).update(found["row"] for found in listed)
    return {name: tuple(sorted(found)) for name, found in sorted(rows.items())}
