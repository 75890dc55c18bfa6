"""What lies in a run against what its receipts say."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dtopics.data import Receipt
from dtopics.errors import DamagedError, RunError
from dtopics.store.run import Run
from dtopics.store.stage import WHOLE, Stage
from dtopics.store.state import check_stage

#: Where `note` leaves what a check found, for the next command that works on the run.
DAMAGED = "damaged.json"


@dataclass(frozen=True)
class Damage:
    """Something that is not as it was written.

    Attributes
    ----------
    stage : str
        The stage's URL.
    block : str
        The block's name, or ``whole``.
    what : str
        For people.
    """

    stage: str
    block: str
    what: str


@dataclass(frozen=True)
class Checked:
    """What a check of some blocks found: how many were compared, their bytes, and the damage."""

    n_receipts: int
    n_bytes: int
    damage: tuple[Damage, ...]


@dataclass(frozen=True)
class CheckBlocks:
    """Compares blocks with their receipts, byte for byte; any worker can."""

    def __call__(self, item: tuple[Stage, tuple[str, ...]]) -> Checked:
        """Check the blocks of these names; ``whole`` is the global step's."""
        stage, names = item
        damage, n_bytes = [], 0
        for name in names:
            try:
                receipt = stage.receipt_of(name)
                n_bytes += receipt.bytes if receipt is not None else 0
                what = "its receipt is gone" if receipt is None else _wrong(stage, receipt, name)
            except DamagedError as error:
                what = str(error)
            if what:
                damage.append(Damage(stage.location.url, name, f"{stage.name} of {name}: {what}"))
        return Checked(len(names), n_bytes, tuple(damage))


def to_check(stages: Iterable[Stage], most: int = 64) -> Iterator[tuple[Stage, tuple[str, ...]]]:
    """Divide the finished blocks of stages into lists of at most `most` names."""
    for stage in stages:
        names = [WHOLE] if f"{WHOLE}.json" in (stage.location / "receipts").names() else []
        for segment, _, _ in stage.segments:
            if not stage.is_discarded(segment):
                names += [f"{segment}/{index:06d}" for index in sorted(stage.done(segment))]
        for start in range(0, len(names), most):
            yield stage, tuple(names[start : start + most])


def note(run: Run, damage: Iterable[Damage]) -> None:
    """Leave what is damaged for the next command that works on the run; it is done again then.

    Places are those within the run: the next command may know it by another URL.
    """
    root = f"{run.location.url}/"
    found = [
        {"stage": item.stage.removeprefix(root), "block": item.block, "what": item.what}
        for item in damage
    ]
    if found:
        (run.location / DAMAGED).write(json.dumps(found, indent=2).encode())
    else:
        (run.location / DAMAGED).remove()


def remove_noted(run: Run) -> list[str]:
    """Remove what a check found damaged, and say what it was."""
    noted = run.location / DAMAGED
    try:
        found = [Damage(**item) for item in json.loads(noted.read())]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError) as error:
        message = f"{noted} is not what a check leaves: {error}; remove it"
        raise RunError(message) from error
    for item in found:
        try:
            if not remove(run, f"{run.location.url}/{item.stage}", item.block):
                raise ValueError(item.stage)  # noqa: TRY301 (said below)
        except (ValueError, AttributeError, TypeError) as error:
            message = f"{noted} names what is no part of a run: {error}; remove it"
            raise RunError(message) from error
    noted.remove()
    return [item.what for item in found]


def remove(run: Run, stage: str, block: str) -> bool:
    """Remove a block of a stage of this run, to be done again; False where it is another run's.

    Without a block, all of the stage goes, or of the version of the topics that is named.
    """
    url = run.location.url
    if not stage.startswith((f"{url}/topics/", f"{url}/stages/")):
        return False
    kind, _, place = stage.removeprefix(f"{url}/").partition("/")
    if kind == "topics":
        check_stage(kind, place)
        run.topics_folder(place).remove()
        return True
    name, _, key = place.partition("/")
    found = run.stage_at(name, key)
    if block:
        found.remove(block)
    else:
        found.location.remove()
    return True


def _wrong(stage: Stage, receipt: Receipt, name: str) -> str:
    for part, expected in receipt.parts.items():
        digest = hashlib.sha256()
        try:
            for data in stage.stored(part, name):
                digest.update(data)
        except FileNotFoundError:
            return f"{part} is missing"
        if digest.hexdigest() != expected:
            return f"{part} has other bytes than its receipt says"
    return ""
