"""What lies in a run against what its receipts say."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dtopics.data import Receipt
from dtopics.errors import DamagedError, RunError
from dtopics.store.location import Location
from dtopics.store.run import Run
from dtopics.store.stage import WHOLE, Stage
from dtopics.store.state import check_stage
from dtopics.store.tables import table_of

#: Where `note` leaves what a check found, for the next command that works on the run.
DAMAGED = "damaged.json"
_KINDS = ("topics", "stages", "plan", "spool")
_PLAN = re.compile(r"(\d{4})\.parquet")
_SPOOLED = re.compile(r"(\d{4})/((\d{6}-[0-9a-f]{12})-\d{4}\.parquet)")


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
    """What a check found.

    Attributes
    ----------
    n_receipts : int
        Receipts that were compared with what they say is there.
    n_bytes : int
        Bytes that were read for it.
    damage : tuple of Damage
    """

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
                what = error.message
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


@dataclass(frozen=True)
class CheckTable:
    """Reads a table that has no receipt, such as a part of the spool; any worker can."""

    def __call__(self, location: Location) -> Checked:
        """Check one file."""
        try:
            data = location.read()
            table_of(location, data)
        except (FileNotFoundError, DamagedError) as error:
            what = getattr(error, "message", f"{location} is missing")
            return Checked(1, 0, (Damage(location.url, "", what),))
        return Checked(1, len(data), ())


def without_receipts(run: Run) -> list[Location]:
    """Return the tables of a run that have no receipts: its plan and its spool."""
    found = [run.location / "plan" / f"{segment['name']}.parquet" for segment in run.segments]
    for segment in run.segments:
        folder = run.location / "spool" / segment["name"]
        found += [folder / name for name in folder.names() if name.endswith(".parquet")]
    return found


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


def is_noted(run: Run) -> bool:
    """Whether a check before this one found something, and nothing was done since."""
    return (run.location / DAMAGED).exists()


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
    if not stage.startswith(tuple(f"{url}/{kind}/" for kind in _KINDS)):
        return False
    kind, _, place = stage.removeprefix(f"{url}/").partition("/")
    if kind in {"plan", "spool"}:
        _remove_planned(run, kind, place)
        return True
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


def _remove_planned(run: Run, kind: str, place: str) -> None:
    """Remove a plan, and the part of the spool that is damaged: both are made anew, and alike."""
    found = (_SPOOLED if kind == "spool" else _PLAN).fullmatch(place)
    if found is None:
        raise ValueError(f"{place!r:.80} is no part of the {kind}")
    if kind == "spool":
        folder = run.location / "spool" / found[1]
        (folder / f"{found[3]}.json").remove()
        (folder / found[2]).remove()
    (run.location / "plan" / f"{found[1]}.parquet").remove()
