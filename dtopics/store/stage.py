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
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import socket
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dtopics.data import Block, Receipt, Result
from dtopics.store import arrays
from dtopics.store.location import Location

if TYPE_CHECKING:
    import pyarrow as pa

WHOLE = "whole"
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
        parts = (self._write_part(block, name, result[name]) for name in _parts(result))
        receipt = _receipt(block.name, block.n_rows, parts, seconds, notes)
        self._receipt(block).create(_to_json(receipt))
        return receipt

    def write_whole(self, result: Mapping[str, Any], seconds: float = 0.0) -> Receipt:
        """Write what a global step leaves: arrays, tables and JSON-able mappings."""
        notes = dict(result.get("notes", {}))
        parts = (data for name in _parts(result) for data in self._whole_parts(name, result[name]))
        receipt = _receipt(self.name, 0, parts, seconds, notes)
        (self.location / "receipts" / f"{WHOLE}.json").create(_to_json(receipt))
        return receipt

    def array(self, name: str, block: Block) -> NDArray[Any]:
        """Return a block's rows of an array, read-only."""
        if self._is_ragged(block):
            return arrays.read_array(self._own_array(name, block))
        return arrays.read_chunk(self._array(name, block.segment), block.index)

    def array_rows(self, name: str, block: Block, start: int, stop: int) -> NDArray[Any]:
        """Return some rows of a block that has arrays of its own length; only they are read."""
        return arrays.read_rows(self._own_array(name, block), start, stop)

    def table(self, name: str, block: Block, columns: list[str] | None = None) -> pa.Table:
        """Return a block's table, or some of its columns."""
        return read_table(self._table(name, block), columns)

    def whole_array(self, name: str) -> NDArray[Any]:
        """Return an array of the global step."""
        return arrays.read_array(self._array(name, WHOLE))

    def whole_table(self, name: str) -> pa.Table:
        """Return a table of the global step."""
        return read_table(self.location / f"{name}.parquet")

    def whole_json(self, name: str) -> Any:
        """Return a mapping of the global step."""
        return json.loads((self.location / f"{name}.json").read())

    def whole_arrays(self) -> dict[str, NDArray[Any]]:
        """Return every array of the global step by name."""
        group = self.location / "data.zarr" / WHOLE
        names = [name for name in group.names() if name != "zarr.json"]
        return {name: arrays.read_array(group / name) for name in names}

    def beside(self, name: str, key: str, segments: Sequence[tuple[str, int, int]]) -> Stage:
        """Return another stage of the same run, by its name and fingerprint."""
        root = self.location.url.rpartition("/")[0].rpartition("/")[0]
        location = Location(f"{root}/{name}/{key}", self.location.storage_options)
        return Stage(name, key, location, tuple(segments))

    def done(self, segment: str) -> set[int]:
        """Return the indexes of the blocks whose receipts are there; one listing."""
        names = (self.location / "receipts" / segment).names()
        return {int(name.removesuffix(".json")) for name in names if name.endswith(".json")}

    def receipt(self, block: Block) -> Receipt | None:
        """Return a block's receipt, or None."""
        return _from_json(self._receipt(block))

    @property
    def identity(self) -> tuple[str, str]:
        """Where the global step's data is and which: a run can be removed and made anew."""
        receipt = self.whole_receipt()
        return self.location.url, receipt.sha256 if receipt is not None else ""

    def whole_receipt(self) -> Receipt | None:
        """Return the global step's receipt, or None."""
        return _from_json(self.location / "receipts" / f"{WHOLE}.json")

    def forget(self, block: Block) -> None:
        """Remove a block's receipt: its step is to be done again."""
        self._receipt(block).remove()

    def discard(self, segment: str) -> None:
        """Remove a segment's arrays; its receipts stay, and say that its blocks were done."""
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
                for data in folder.read_all(names[start : start + READ_BATCH]):
                    yield Receipt(**json.loads(data))

    def dask_array(self, name: str) -> Any:
        """Return an array of the plan's blocks as a Dask array, a chunk each, nothing read yet."""
        import dask.array as da

        planned = [segment for segment, _, block_rows in self.segments if block_rows]
        parts = [self._segment_array(name, segment) for segment in planned]
        return parts[0] if len(parts) == 1 else da.concatenate(parts)

    def _segment_array(self, name: str, segment: str) -> Any:
        import dask.array as da

        location = self._array(name, segment)
        info = arrays.read_info(location)
        rows = [
            min(info.chunk_shape[0], info.shape[0] - start)
            for start in range(0, info.shape[0], info.chunk_shape[0])
        ]
        chunks = (tuple(rows), *((size,) for size in info.shape[1:]))

        def read(block_info: Any = None) -> NDArray[Any]:
            return arrays.read_chunk(location, block_info[None]["chunk-location"][0])

        return da.map_blocks(
            read, chunks=chunks, dtype=info.dtype, meta=np.empty((0,) * len(info.shape), info.dtype)
        )

    def _write_part(self, block: Block, name: str, value: Any) -> bytes:
        if isinstance(value, np.ndarray) and self._is_ragged(block):
            return arrays.write_array(self._own_array(name, block), value, max(len(value), 1))[0]
        if isinstance(value, np.ndarray):
            n_rows, block_rows = next((n, b) for s, n, b in self.segments if s == block.segment)
            array = self._array(name, block.segment)
            return arrays.write_chunk(
                array, block.index, value, n_rows=n_rows, chunk_rows=block_rows
            )
        return _create(self._table(name, block), table_bytes(value))

    def _whole_parts(self, name: str, value: Any) -> Iterator[bytes]:
        if isinstance(value, np.ndarray):
            yield from arrays.write_array(self._array(name, WHOLE), value)
        elif isinstance(value, Mapping):
            data = json.dumps(value, sort_keys=True, allow_nan=False).encode()
            yield _create(self.location / f"{name}.json", data)
        else:
            yield _create(self.location / f"{name}.parquet", table_bytes(value))

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


def worker_name() -> str:
    """Return the Dask worker's address, or the host and process where there is no worker."""
    try:
        from distributed import get_worker

        return str(get_worker().address)
    except (ImportError, ValueError):
        return f"{socket.gethostname()}:{os.getpid()}"


def table_bytes(table: pa.Table) -> bytes:
    """Return a table as one Parquet file."""
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", compression_level=1)
    return sink.getvalue()


def read_table(location: Location, columns: list[str] | None = None) -> pa.Table:
    """Return the table of a Parquet file, or some of its columns."""
    import pyarrow.parquet as pq

    return pq.read_table(io.BytesIO(location.read()), columns=columns)


def _parts(result: Result | Mapping[str, Any]) -> list[str]:
    return sorted(name for name in result if name != "notes")


def _create(location: Location, data: bytes) -> bytes:
    return data if location.create(data) else location.read()


def _receipt(
    name: str, rows: int, parts: Iterator[bytes], seconds: float, notes: dict[str, Any]
) -> Receipt:
    digest, size = hashlib.sha256(), 0
    for data in parts:
        digest.update(data)
        size += len(data)
    return Receipt(name, rows, size, digest.hexdigest(), worker_name(), round(seconds, 4), notes)


def _to_json(receipt: Receipt) -> bytes:
    return json.dumps(dataclasses.asdict(receipt), sort_keys=True).encode()


def _from_json(location: Location) -> Receipt | None:
    try:
        return Receipt(**json.loads(location.read()))
    except FileNotFoundError:
        return None
