"""What a task does, wherever it runs: the step, its data, its receipt."""

from __future__ import annotations

import dataclasses
import hashlib
import pickle
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from dtopics.data import Block, Receipt
from dtopics.errors import DTopicsError, SettingError
from dtopics.execution.cache import cached
from dtopics.execution.threads import available_cores, numeric_threads
from dtopics.protocols import BlockStep
from dtopics.store import Foreign, Location, Stage, load_foreign, store_foreign
from dtopics.store.travelling import dumps

#: Steps that pickle to more than this travel through the run directory, once per worker.
MAX_STEP_BYTES = 256 * 1024


class GlobalStep(Protocol):
    """A step that sees the whole stage: fit on a sample, merge counts."""

    def __call__(self, stage: Stage) -> Mapping[str, Any]:
        """Return arrays, tables and mappings for the stage to keep."""
        ...


@dataclass(frozen=True)
class Packed:
    """A callable as it travels: its own bytes where they are few, else their hash in the run.

    Workers unpack it once; what it keeps in itself then serves all their blocks. Storage options
    may hold secrets: they travel through Dask beside the bytes, never through the run.
    """

    sha256: str
    data: bytes | None
    foreign: Foreign | None
    secrets: Mapping[tuple[str, ...], Any] = field(default_factory=dict, repr=False)

    @classmethod
    def pack(cls, value: Any, folder: Location | None) -> Packed:
        """Pickle `value`, into `folder` where it is large."""
        try:
            data = dumps(value)
        except Exception as error:
            message = (
                f"{type(value).__name__} holds something of yours that cannot be sent to workers: "
                f"{type(error).__name__}: {error}"
            )
            raise SettingError(message) from error
        digest = hashlib.sha256(data).hexdigest()
        if folder is None or len(data) <= MAX_STEP_BYTES:
            return cls(digest, data, None)
        bare, secrets = conceal(value)
        return cls(digest, None, store_foreign(folder, bare), secrets)

    def unpack(self) -> Any:
        """Return the callable, the same one for every task of this process."""
        return cached(("step", self.sha256), self._load)

    def _load(self) -> Any:
        if self.data is not None:
            return pickle.loads(self.data)  # noqa: S301 (came from the client through Dask)
        assert self.foreign is not None
        return reveal(load_foreign(self.foreign), self.secrets)


def conceal(value: Any, path: tuple[str, ...] = ()) -> tuple[Any, dict[tuple[str, ...], Any]]:
    """Return a dataclass without the storage options in it, and those by their places."""
    changes: dict[str, Any] = {}
    secrets: dict[tuple[str, ...], Any] = {}
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value, secrets
    for name in (item.name for item in dataclasses.fields(value) if item.init):
        item, place = getattr(value, name), (*path, name)
        if name == "storage_options" and item:
            changes[name], secrets[place] = {}, item
        else:
            bare, found = conceal(item, place)
            if found:
                changes[name] = bare
                secrets.update(found)
    return dataclasses.replace(value, **changes) if changes else value, secrets


def reveal(value: Any, secrets: Mapping[tuple[str, ...], Any]) -> Any:
    """Put back what `conceal` took out."""
    changes = {path[0]: item for path, item in secrets.items() if len(path) == 1}
    for name in {path[0] for path in secrets if len(path) > 1}:
        inner = {path[1:]: item for path, item in secrets.items() if path[0] == name}
        changes[name] = reveal(getattr(value, name), inner)
    return dataclasses.replace(value, **changes) if changes else value


def do_block(step: BlockStep, stage: Stage, block: Block, width: int = 1) -> Receipt:
    """Do one block, unless its receipt is there, and return its receipt."""
    receipt = stage.receipt(block)
    if receipt is not None:
        return receipt
    started = time.perf_counter()
    with numeric_threads(width):
        result = step(block)
    return stage.write_block(block, result, time.perf_counter() - started)


def do_whole(step: GlobalStep, stage: Stage) -> Receipt:
    """Do a global step at the full width of the machine, unless its receipt is there."""
    receipt = stage.whole_receipt()
    if receipt is not None:
        return receipt
    started = time.perf_counter()
    with numeric_threads(available_cores()):
        result = step(stage)
    return stage.write_whole(result, time.perf_counter() - started)


@dataclass(frozen=True)
class Refusal:
    """What dtopics itself raised in a task, as its result.

    Dask would write the traceback of an exception into the worker's log, and so beside the message.
    """

    error: DTopicsError


def do_packed_blocks(step: Packed, stage: Stage, blocks: Sequence[Block]) -> Receipt | Refusal:
    """Do blocks on a worker, one after the other, and return the last one's receipt."""
    try:
        unpacked = step.unpack()
        return [do_block(unpacked, stage, block) for block in blocks][-1]
    except DTopicsError as error:
        return Refusal(error)


def try_packed_block(step: Packed, block: Block) -> Refusal | None:
    """Do a block on a worker, and leave nothing."""
    try:
        step.unpack()(block)
    except DTopicsError as error:
        return Refusal(error)
    return None


def do_packed_whole(step: Packed, stage: Stage) -> Receipt | Refusal:
    """Do a global step on a worker."""
    try:
        return do_whole(step.unpack(), stage)
    except DTopicsError as error:
        return Refusal(error)


def do_packed_call(function: Packed, item: Any) -> Any:
    """Call a function on a worker."""
    call: Callable[[Any], Any] = function.unpack()
    try:
        return call(item)
    except DTopicsError as error:
        return Refusal(error)
