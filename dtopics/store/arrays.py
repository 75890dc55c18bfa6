"""Zarr arrays written chunk by chunk, each chunk whole and exclusively.

A chunk is the block's rows as they lie in memory: format 3, the ``bytes`` codec, no compression
(embeddings do not compress). So a write is one object and its hash is the hash of the rows, and
any Zarr reader opens the array. zarr-python makes the metadata; it does not write the chunks,
because it would leave out a chunk of fill values, and its store looks before it writes.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtopics.errors import RunError
from dtopics.store.location import Location

_GROUP = json.dumps({"zarr_format": 3, "node_type": "group", "attributes": {}}).encode()


@dataclass(frozen=True)
class ArrayInfo:
    """What an array's metadata says.

    Attributes
    ----------
    shape, chunk_shape : tuple of int
    dtype : numpy.dtype
    """

    shape: tuple[int, ...]
    chunk_shape: tuple[int, ...]
    dtype: np.dtype[Any]


def write_chunk(
    array: Location, index: int, rows: NDArray[Any], *, n_rows: int, chunk_rows: int
) -> bytes:
    """Write the `index`-th chunk of an array of `n_rows` rows; make the array if it is not there.

    Returns
    -------
    bytes
        The chunk as it is stored, which is an earlier writer's where there was one.

    Raises
    ------
    RunError
        Where the array has another shape or dtype than `rows` asks for.
    """
    rows = np.ascontiguousarray(rows, dtype=rows.dtype.newbyteorder("<"))
    wanted = ArrayInfo((n_rows, *rows.shape[1:]), (chunk_rows, *rows.shape[1:]), rows.dtype)
    _ensure(array, wanted)
    if len(rows) < chunk_rows:
        padded = np.full(wanted.chunk_shape, _fill_value(rows.dtype), dtype=rows.dtype)
        padded[: len(rows)] = rows
        rows = padded
    data = rows.tobytes()
    chunk = _chunk(array, index, rows.ndim)
    return data if chunk.create(data) else chunk.read()


def read_chunk(array: Location, index: int) -> NDArray[Any]:
    """Return the rows of one chunk, without the padding of the last.

    Raises
    ------
    RunError
        Where the chunk has another size than its array says.
    """
    info = read_info(array)
    data = _chunk(array, index, len(info.shape)).read()
    expected = math.prod(info.chunk_shape) * info.dtype.itemsize
    if len(data) != expected:
        message = f"chunk {index} of {array} holds {len(data)} bytes, expected {expected}"
        raise RunError(message)
    rows = np.frombuffer(data, dtype=info.dtype).reshape(info.chunk_shape)
    return rows[: info.shape[0] - index * info.chunk_shape[0]]


def read_info(array: Location) -> ArrayInfo:
    """Return an array's shape, chunk shape and dtype."""
    metadata = json.loads((array / "zarr.json").read())
    return ArrayInfo(
        tuple(metadata["shape"]),
        tuple(metadata["chunk_grid"]["configuration"]["chunk_shape"]),
        np.dtype(metadata["data_type"]).newbyteorder("<"),
    )


def write_array(array: Location, values: NDArray[Any], chunk_rows: int = 65_536) -> list[bytes]:
    """Write a whole array and return its chunks as they are stored."""
    starts = range(0, max(len(values), 1), chunk_rows)
    sizes = {"n_rows": len(values), "chunk_rows": min(chunk_rows, max(len(values), 1))}
    return [
        write_chunk(array, i, values[start : start + chunk_rows], **sizes)
        for i, start in enumerate(starts)
    ]


def read_array(array: Location) -> NDArray[Any]:
    """Return a whole array."""
    info = read_info(array)
    n_chunks = max(1, math.ceil(info.shape[0] / info.chunk_shape[0]))
    return np.concatenate([read_chunk(array, i) for i in range(n_chunks)])


def read_rows(array: Location, start: int, stop: int) -> NDArray[Any]:
    """Return some rows of an array of one chunk, and read no more than those."""
    info = read_info(array)
    width = math.prod(info.shape[1:]) * info.dtype.itemsize
    data = b""
    if start < stop:
        data = _chunk(array, 0, len(info.shape)).read(start * width, stop * width)
    if len(data) != (stop - start) * width:
        message = f"{array} has {info.shape[0]} rows; rows {start} to {stop} are not there"
        raise RunError(message)
    return np.frombuffer(data, dtype=info.dtype).reshape(stop - start, *info.shape[1:])


def _chunk(array: Location, index: int, ndim: int) -> Location:
    return array / "/".join(["c", str(index), *["0"] * (ndim - 1)])


def _fill_value(dtype: np.dtype[Any]) -> Any:
    """Return a value that no row holds: a missing chunk must not read as data."""
    if dtype.kind == "f":
        return math.nan
    if dtype.kind == "b":
        return False
    return np.iinfo(dtype).min if dtype.kind == "i" else np.iinfo(dtype).max


def _ensure(array: Location, wanted: ArrayInfo) -> None:
    try:
        found = read_info(array)
    except FileNotFoundError:
        (array / "zarr.json").create(_metadata(wanted))
        group = Location(array.url.rpartition("/")[0], array.storage_options)
        (group / "zarr.json").create(_GROUP)
        found = read_info(array)
    if found != wanted:
        message = (
            f"{array} holds rows of shape {found.shape[1:]} and type {found.dtype}; this block's "
            f"are {wanted.shape[1:]} and {wanted.dtype}"
        )
        raise RunError(message)


def _metadata(info: ArrayInfo) -> bytes:
    import zarr
    from zarr.storage import MemoryStore

    objects: dict[str, Any] = {}
    zarr.create_array(
        MemoryStore(objects),
        shape=info.shape,
        chunks=info.chunk_shape,
        dtype=info.dtype.newbyteorder("="),
        fill_value=_fill_value(info.dtype),
        compressors=None,
        zarr_format=3,
    )
    return bytes(objects["zarr.json"].to_bytes())
