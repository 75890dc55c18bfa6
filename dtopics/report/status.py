"""How far a run is, from its receipts alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dtopics.data import Receipt
from dtopics.store import Run, Stage

#: The stages whose steps read documents.
READING = ("documents", "tokens", "embeddings")


@dataclass(frozen=True)
class StageStatus:
    """One stage.

    Attributes
    ----------
    name : str
    done, blocks : int
        Receipts that are there, and how many there will be.
    rows : int
        Documents of the finished blocks.
    bytes : int
    seconds : float
        Work of the finished blocks, all workers together.
    """

    name: str
    done: int
    blocks: int
    rows: int
    bytes: int
    seconds: float


@dataclass(frozen=True)
class Quarantined:
    """A document that a stage failed on each time, and had to do without.

    Attributes
    ----------
    doc_id : str
    stage : str
    segment : str
    row : int
        In the segment.
    reason : str
        What the stage died of.
    """

    doc_id: str
    stage: str
    segment: str
    row: int
    reason: str


@dataclass(frozen=True)
class RunStatus:
    """A run: where it is, of what, whether it is finished, its failures, cost and stages."""

    url: str
    corpus: str
    n_documents: int
    finished: bool
    notes: dict[str, int]
    failures: dict[str, str]
    cost: float | None
    stages: tuple[StageStatus, ...]
    quarantined: tuple[Quarantined, ...] = ()


def read(run: Run) -> RunStatus:
    """Read a run's status; nothing is changed and no cluster is needed."""
    n_documents = sum(segment["n_rows"] for segment in run.segments)
    fitted = run.state.get("fitted", {}).get("stages", {"none": ""})
    finished = fitted.items() <= run.state["stages"].items()
    stages = tuple(_stage(stage, finished=finished) for stage in run.in_use())
    corpus = run.state.get("corpus", {}).get("described", "")
    failures = {
        f"{stage.name} {block}": reason
        for stage in run.in_use()
        for block, reason in stage.failures().items()
    }
    notes = _notes(run)
    return RunStatus(run.location.url, corpus, n_documents, finished, notes, failures,
                     cost(run, notes), stages, tuple(quarantined(run)))  # fmt: skip


def quarantined(run: Run) -> list[Quarantined]:
    """Return the documents that a run had to do without, in the order of the plan."""
    starts = {block.name: block.row_start for block in run.blocks()}
    found = [
        Quarantined(each["doc_id"], stage.name, name.partition("/")[0],
                starts[name] + each["row"], each["reason"])
        for stage in run.in_use() if stage.name in READING
        for name, listed in stage.quarantined().items() if name in starts
        for each in listed
    ]  # fmt: skip
    return sorted(found, key=lambda each: (each.segment, each.row, each.stage))


def _stage(stage: Stage, *, finished: bool) -> StageStatus:
    if finished:  # some stages have blocks of the fit only, or only of what was added
        touched = tuple(segment for segment in stage.segments if stage.done(segment[0]))
        stage = replace(stage, segments=touched or stage.segments)
    receipts = list(stage.receipts())
    whole = stage.whole_receipt()
    n_blocks = stage.n_blocks
    if whole is not None:
        n_blocks = len(receipts) or 1
    all_ = [*receipts, whole] if whole is not None else receipts
    return StageStatus(
        stage.name,
        len(receipts) or len(all_),
        n_blocks,
        sum(receipt.rows for receipt in receipts),
        sum(receipt.bytes + _counted(receipt, "file_bytes") for receipt in all_),
        sum(receipt.seconds for receipt in all_),
    )


def _counted(receipt: Receipt, name: str) -> int:
    """Return a count among a receipt's notes; none where it is not there, or is no number."""
    value = receipt.notes.get(name)
    return value if isinstance(value, int) else 0


def _notes(run: Run) -> dict[str, int]:
    """Return what receipts count: empty, null and mended texts, and a service's tokens."""
    counted = {"documents": ("empty", "null", "replaced"), "embeddings": ("service_tokens",)}
    totals: dict[str, int] = {}
    for stage in run.in_use():
        names = counted.get(stage.name, ())
        for receipt in stage.receipts() if names else ():
            for name in names:
                said = name.replace("_", " ")
                totals[said] = totals.get(said, 0) + _counted(receipt, name)
    return totals


def cost(run: Run, notes: dict[str, int]) -> float | None:
    """Return what an embedding service took for a run, where its price is known."""
    params = run.state.get("config", {}).get("embedding_model") or {}
    price = params.get("params", {}).get("price") if isinstance(params, dict) else None
    tokens = notes.get("service tokens", 0)
    return float(price) * tokens / 1e6 if price is not None and tokens else None
