"""One stage's data, and the receipts that say which of it is whole.

::

    stages/<name>/<fingerprint>/
        data.zarr/<segment>/<array>     rows of the segment, one chunk per block
        data.zarr/<segment>/<array>/<block>     where blocks have arrays of their own length
        data.zarr/whole/<array>         arrays of a global step
        <table>/<segment>/<block>.parquet
        <name>.parquet, <name>.json     tables and values of a global step
        receipts/<segment>/<block>.json, receipts/whole.json
        failures/<segment>/<block>.json
        quarantine/<segment>/<block>            that documents of a block had to be left out
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dtopics.data import Block, Receipt, Result
from dtopics.errors import DamagedError
from dtopics.store import arrays
from dtopics.store.location import Location
from dtopics.store.state import check_block
from dtopics.store.tables import create_table, read_table

if TYPE_CHECKING:
    import pyarrow as pa

WHOLE = "whole"
#: What is no table among a stage's folders.
_FOLDERS = {"data.zarr", "receipts", "failures", "quarantine"}
#: Says among a segment's receipts that its arrays were needed no more, and are gone.
DISCARDED = "discarded"
#: Receipts that are asked for at once.
READ_BATCH = 256


@dataclass(frozen=True)
class Stage:
    """A stage's place in the run directory; picklable, small, and safe to use from any worker.

    Attributes
    ----------
    name : str
    fingerprint : str
    location : Location
    segments : tuple of (name, n_rows, block_rows)
        The row counts that the arrays' shapes need. Where `block_rows` is 0, `n_rows` counts
        blocks, and each has arrays of its own length.
    """

    name: str
    fingerprint: str
    location: Location
    segments: tuple[tuple[str, int, int], ...] = ()

    def write_block(self, block: Block, result: Mapping[str, Any], seconds: float = 0.0) -> Receipt:
        """Write a block's arrays and tables, then its receipt.

        Parameters
        ----------
        block : Block
        result : mapping of str to ndarray or pyarrow.Table
            ``"notes"`` may hold a mapping of small values for the receipt.
        seconds : float
            What the step took.
        """
        notes = dict(result.get("notes", {}))
        parts = (self._write_part(block, name, result[name]) for name in _names(result))
        receipt = _receipt(block.name, block.n_rows, parts, seconds, notes)
        if "quarantined" in notes:
            (self.location / "quarantine" / block.name).create(b"")
        self._receipt(block).create(_to_json(receipt))
        return receipt

    def write_whole(self, result: Mapping[str, Any], seconds: float = 0.0) -> Receipt:
        """Write what a global step leaves: arrays, tables and JSON-able mappings."""
        notes = dict(result.get("notes", {}))
        parts = (part for name in _names(result) for part in self._whole_parts(name, result[name]))
        receipt = _receipt(self.name, 0, parts, seconds, notes)
        (self.location / "receipts" / f"{WHOLE}.json").create(_to_json(receipt))
        return receipt

    def array(self, name: str, block: Block) -> NDArray[Any]:
        """Return a block's rows of an array, read-only.

        This and the others that read raise DamagedError where the data is not as it was written.
        """
        with self._reading(block.name):
            if self._is_ragged(block):
                return arrays.read_array(self._own_array(name, block))
            return arrays.read_chunk(self._array(name, block.segment), block.index)

    def array_rows(self, name: str, block: Block, start: int, stop: int) -> NDArray[Any]:
        """Return some rows of a block that has arrays of its own length; only they are read."""
        with self._reading(block.name):
            return arrays.read_rows(self._own_array(name, block), start, stop)

    def table(self, name: str, block: Block, columns: list[str] | None = None) -> pa.Table:
        """Return a block's table, or some of its columns."""
        with self._reading(block.name):
            return read_table(self._table(name, block), columns)

    def whole_array(self, name: str) -> NDArray[Any]:
        """Return an array of the global step."""
        with self._reading(WHOLE):
            return arrays.read_array(self._array(name, WHOLE))

    def whole_table(self, name: str) -> pa.Table:
        """Return a table of the global step."""
        with self._reading(WHOLE):
            return read_table(self.location / f"{name}.parquet")

    def whole_json(self, name: str) -> Any:
        """Return a mapping of the global step."""
        with self._reading(WHOLE):
            return _loads(self.location / f"{name}.json")

    @contextlib.contextmanager
    def _reading(self, block: str) -> Iterator[None]:
        """Say whose data it is that cannot be read."""
        try:
            yield
        except (FileNotFoundError, DamagedError) as error:
            what = error.message if isinstance(error, DamagedError) else f"{error} is missing"
            message = f"{self.name} of {block}: {what}"
            raise DamagedError(message, self.location.url, block) from error

    def whole_arrays(self) -> dict[str, NDArray[Any]]:
        """Return every array of the global step by name."""
        group = self.location / "data.zarr" / WHOLE
        names = [name for name in group.names() if name != "zarr.json"]
        return {name: self.whole_array(name) for name in names}

    def beside(self, name: str, key: str, segments: Sequence[tuple[str, int, int]]) -> Stage:
        """Return another stage of the same run, by its name and fingerprint."""
        root = self.location.url.rpartition("/")[0].rpartition("/")[0]
        location = Location(f"{root}/{name}/{key}", self.location.storage_options)
        return Stage(name, key, location, tuple(segments))

    def done(self, segment: str) -> set[int]:
        """Return the indexes of the blocks whose receipts are there; one listing."""
        names = (self.location / "receipts" / segment).names()
        stems = (name.removesuffix(".json") for name in names if name.endswith(".json"))
        return {int(stem) for stem in stems if stem.isdecimal()}

    def receipt(self, block: Block) -> Receipt | None:
        """Return a block's receipt, or None."""
        return self.receipt_of(block.name)

    @property
    def identity(self) -> tuple[str, str]:
        """Where the global step's data is and which: a run can be removed and made anew."""
        receipt = self.whole_receipt()
        return self.location.url, receipt.sha256 if receipt is not None else ""

    def whole_receipt(self) -> Receipt | None:
        """Return the global step's receipt, or None."""
        return self.receipt_of(WHOLE)

    def receipt_of(self, name: str) -> Receipt | None:
        """Return the receipt of a block by its name, or the global step's (``whole``)."""
        location = self.location / "receipts" / f"{name}.json"
        try:
            data = location.read()
        except FileNotFoundError:
            return None
        with self._reading(name):
            return _from_json(location, data)

    def forget(self, block: Block) -> None:
        """Remove a block's receipt: its step is to be done again."""
        self._receipt(block).remove()

    def remove(self, block: str) -> None:
        """Remove a block's receipt and data, or the global step's (``whole``), to be done again."""
        check_block(block)
        (self.location / "receipts" / f"{block}.json").remove()
        (self.location / "quarantine" / block).remove()
        segment, _, index = block.partition("/")
        group = self.location / "data.zarr" / segment
        if block == WHOLE:
            group.remove()
            for name in self.location.names():
                if name.endswith((".json", ".parquet")):
                    (self.location / name).remove()
            return
        for name in group.names():
            if name != "zarr.json":
                arrays.remove_chunk(group / name, int(index))
                (group / name / index).remove()
        tables = {name for name in self.location.names() if "." not in name} - _FOLDERS
        for name in tables:
            (self.location / name / f"{block}.parquet").remove()

    def is_discarded(self, segment: str) -> bool:
        """Whether a segment's arrays were needed no more, and are gone."""
        return DISCARDED in (self.location / "receipts" / segment).names()

    def stored(self, part: str, block: str) -> Iterator[bytes]:
        """Give the bytes of a part of a receipt, as they lie there.

        Parameters
        ----------
        part : str
            As in `Receipt.parts`.
        block : str
            The block's name, or ``whole``.
        """
        segment, _, index = block.partition("/")
        if block == WHOLE and "." in part:
            yield (self.location / part).read()
        elif block == WHOLE:
            yield from arrays.stored_chunks(self._array(part, WHOLE))
        elif part.endswith(".parquet"):
            yield (self.location / part.removesuffix(".parquet") / f"{block}.parquet").read()
        elif any(s == segment and rows == 0 for s, _, rows in self.segments):
            yield from arrays.stored_chunks(self._array(part, segment) / index)
        else:
            yield arrays.stored_chunk(self._array(part, segment), int(index))

    def discard(self, segment: str) -> None:
        """Remove a segment's arrays; its receipts stay, and say that its blocks were done."""
        (self.location / "receipts" / segment / DISCARDED).create(b"")
        (self.location / "data.zarr" / segment).remove()

    def record_failures(self, failures: Mapping[str, str]) -> None:
        """Write what blocks died of, by their names, for a person who asks for the status."""
        for name, reason in failures.items():
            data = json.dumps({"block": name, "reason": reason}).encode()
            (self.location / "failures" / f"{name}.json").write(data)

    def failures(self) -> dict[str, str]:
        """Return the blocks that failed and were not done since, and what they died of."""
        found = {}
        for segment, _, _ in self.segments:
            folder, done = self.location / "failures" / segment, self.done(segment)
            for name in folder.names():
                if int(name.removesuffix(".json")) not in done:
                    failure = json.loads((folder / name).read())
                    found[failure["block"]] = failure["reason"]
        return found

    def receipts(self) -> Iterator[Receipt]:
        """Read all receipts of blocks."""
        for segment, _, _ in self.segments:
            folder = self.location / "receipts" / segment
            names = [f"{index:06d}.json" for index in sorted(self.done(segment))]
            for start in range(0, len(names), READ_BATCH):
                batch = names[start : start + READ_BATCH]
                for name, data in zip(batch, folder.read_all(batch), strict=True):
                    with self._reading(f"{segment}/{name.removesuffix('.json')}"):
                        yield _from_json(folder / name, data)

    def quarantined(self) -> dict[str, list[dict[str, Any]]]:
        """Return the documents that a step had to leave out, by their block's name.

        Each has its ``row`` in the block, ``doc_id`` and ``reason``. The receipts say which; what
        lies in ``quarantine`` only says whose receipts to read.
        """
        folder, found = self.location / "quarantine", {}
        for segment in folder.names():
            for name in (folder / segment).names():
                block = f"{segment}/{name}"
                receipt = self.receipt_of(block)
                if receipt is not None and receipt.notes.get("quarantined"):
                    found[block] = list(receipt.notes["quarantined"])
        return found

    def dask_array(self, name: str) -> Any:
        """Return an array of the plan's blocks as a Dask array, a chunk each, nothing read yet."""
        import dask.array as da

        planned = [segment for segment, _, block_rows in self.segments if block_rows]
        parts = [self._segment_array(name, segment) for segment in planned]
        return parts[0] if len(parts) == 1 else da.concatenate(parts)

    def _segment_array(self, name: str, segment: str) -> Any:
        import dask.array as da

        location, stage = self._array(name, segment), self
        with self._reading(segment):
            info = arrays.read_info(location)
        rows = [
            min(info.chunk_shape[0], info.shape[0] - start)
            for start in range(0, info.shape[0], info.chunk_shape[0])
        ]
        chunks = (tuple(rows), *((size,) for size in info.shape[1:]))

        def read(block_info: Any = None) -> NDArray[Any]:
            index = block_info[None]["chunk-location"][0]
            with stage._reading(f"{segment}/{index:06d}"):
                return arrays.read_chunk(location, index)

        return da.map_blocks(
            read, chunks=chunks, dtype=info.dtype, meta=np.empty((0,) * len(info.shape), info.dtype)
        )

    def _write_part(self, block: Block, name: str, value: Any) -> tuple[str, bytes]:
        if isinstance(value, np.ndarray) and self._is_ragged(block):
            array = self._own_array(name, block)
            return name, arrays.write_array(array, value, max(len(value), 1))[0]
        if isinstance(value, np.ndarray):
            n_rows, block_rows = next((n, b) for s, n, b in self.segments if s == block.segment)
            array = self._array(name, block.segment)
            return name, arrays.write_chunk(
                array, block.index, value, n_rows=n_rows, chunk_rows=block_rows
            )
        return f"{name}.parquet", create_table(self._table(name, block), value)

    def _whole_parts(self, name: str, value: Any) -> Iterator[tuple[str, bytes]]:
        if isinstance(value, np.ndarray):
            for chunk in arrays.write_array(self._array(name, WHOLE), value):
                yield name, chunk
        elif isinstance(value, Mapping):
            data = json.dumps(value, sort_keys=True, allow_nan=False).encode()
            yield f"{name}.json", _create(self.location / f"{name}.json", data)
        else:
            table = self.location / f"{name}.parquet"
            yield f"{name}.parquet", create_table(table, value)

    def _array(self, name: str, segment: str) -> Location:
        return self.location / "data.zarr" / segment / name

    def _own_array(self, name: str, block: Block) -> Location:
        return self._array(name, block.segment) / f"{block.index:06d}"

    def _is_ragged(self, block: Block) -> bool:
        return any(s == block.segment and rows == 0 for s, _, rows in self.segments)

    @property
    def n_blocks(self) -> int:
        """Number of blocks of all segments."""
        return sum(-(-n_rows // rows) if rows else n_rows for _, n_rows, rows in self.segments)

    def _table(self, name: str, block: Block) -> Location:
        return self.location / name / block.segment / f"{block.index:06d}.parquet"

    def _receipt(self, block: Block) -> Location:
        return self.location / "receipts" / block.segment / f"{block.index:06d}.json"


def worker_name() -> str:
    """Return the Dask worker's address, or the host and process where there is no worker."""
    try:
        from distributed import get_worker

        return str(get_worker().address)
    except (ImportError, ValueError):
        return f"{socket.gethostname()}:{os.getpid()}"


def _names(result: Result | Mapping[str, Any]) -> list[str]:
    return sorted(name for name in result if name != "notes")


def _create(location: Location, data: bytes) -> bytes:
    return data if location.create(data) else location.read()


def _receipt(
    name: str,
    rows: int,
    parts: Iterator[tuple[str, bytes]],
    seconds: float,
    notes: dict[str, Any],
) -> Receipt:
    size, digests = 0, dict[str, Any]()
    for part, data in parts:
        digests.setdefault(part, hashlib.sha256()).update(data)
        size += len(data)
    by_part = {part: found.hexdigest() for part, found in digests.items()}
    whole = hashlib.sha256("".join(by_part.values()).encode()).hexdigest()
    return Receipt(name, rows, size, whole, worker_name(), round(seconds, 4), notes, by_part)


def _to_json(receipt: Receipt) -> bytes:
    return json.dumps(dataclasses.asdict(receipt), sort_keys=True).encode()


def _from_json(location: Location, data: bytes) -> Receipt:
    try:
        return _as_receipt(json.loads(data))
    except (ValueError, TypeError) as error:
        message = f"{location} is no receipt: {error}"
        raise DamagedError(message) from error


def _as_receipt(said: Mapping[str, Any]) -> Receipt:
    found = Receipt(**said)
    kinds = {"name": str, "rows": int, "bytes": int, "sha256": str, "seconds": int | float,
             "notes": dict, "parts": dict}  # fmt: skip
    for name, kind in kinds.items():
        if not isinstance(getattr(found, name), kind):
            raise TypeError(f"its {name} are {getattr(found, name)!r:.80}")
    return found


def _loads(location: Location) -> Any:
    data = location.read()
    try:
        return json.loads(data)
    except ValueError as error:
        message = f"{location} is not JSON: {error}"
        raise DamagedError(message) from error
