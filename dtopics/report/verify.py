"""Whether everything in a run is as it was written."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from dtopics.data import Block, Receipt
from dtopics.errors import DamagedError
from dtopics.execution import Executor
from dtopics.report.assignments import part_location
from dtopics.store import Run, Stage
from dtopics.store.verifying import (
    CheckBlocks,
    Checked,
    CheckTable,
    Damage,
    is_noted,
    note,
    to_check,
    without_receipts,
)
from dtopics.topics import Topics


def verify(run: Run, executor: Executor) -> Checked:
    """Compare every artefact of a run with its receipt, and note what is damaged.

    Parameters
    ----------
    run : Run
    executor : Executor
        Does the reading; results are the same by any.

    Returns
    -------
    Checked
        What is damaged is done again by the next fit of the run.
    """
    stages = stages_of(run)
    checked = [
        *executor.map(CheckBlocks(), to_check(stages)),
        *executor.map(CheckTable(), without_receipts(run)),
    ]
    damage = [item for found in checked for item in found.damage]
    damage += [*_assignments(run, stages), *_topics(run)]
    if damage or is_noted(run):  # a run that is whole can be checked by who may not write to it
        with run.writing("a check"):
            note(run, damage)
    return Checked(
        sum(found.n_receipts for found in checked), sum(found.n_bytes for found in checked),
        tuple(damage),
    )  # fmt: skip


def stages_of(run: Run) -> list[Stage]:
    """Return every stage that a run uses: the fit's that is going on, and those of its versions."""
    versions = run.state.get("fitted", {}).get("versions", [])
    used = [run.state["stages"], *(entry["stages"] for entry in versions)]
    keys = {(name, key) for stages in used for name, key in stages.items()}
    return [run.stage_at(name, key) for name, key in sorted(keys)]


def _assignments(run: Run, stages: Iterable[Stage]) -> Iterator[Damage]:
    """Look at the files of the assignments: they lie beside the stages."""
    folder = run.location / "assignments"
    for stage in stages:
        if stage.fingerprint != run.state.get("assignments"):
            continue
        for receipt in _receipts(stage):
            segment, _, index = receipt.name.partition("/")
            part = part_location(folder, Block(segment, int(index), 0, 0))
            expected = receipt.notes.get("file_sha256")
            try:
                found = hashlib.sha256(part.read()).hexdigest()
            except FileNotFoundError:
                found = "missing"
            if expected is not None and found != expected:
                what = "is missing" if found == "missing" else "has other bytes than were written"
                yield Damage(stage.location.url, receipt.name, f"{part} {what}")


def _receipts(stage: Stage) -> Iterator[Receipt]:
    for segment, _, _ in stage.segments:
        for index in sorted(stage.done(segment)):
            try:
                receipt = stage.receipt_of(f"{segment}/{index:06d}")
            except DamagedError:  # found as such
                continue
            if receipt is not None:
                yield receipt


def _topics(run: Run) -> Iterator[Damage]:
    for entry in run.state.get("fitted", {}).get("versions", []):
        try:
            Topics.load(run.topics_folder(entry["version"]))
        except DamagedError as error:
            yield Damage(error.stage, "", str(error))
