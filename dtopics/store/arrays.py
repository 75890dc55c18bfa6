"""Zarr arrays written chunk by chunk, each chunk whole and exclusively.

A chunk is the block's rows as they lie in memory and their CRC-32C: format 3, the codecs ``bytes``
and ``crc32c``, no compression (embeddings do not compress). So a write is one object, a chunk that
was damaged is known for it wherever it is read, and any Zarr reader opens the array. zarr-python
makes the metadata; it does not write the chunks, because it would leave out a chunk of fill values,
and its store looks before it writes.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtopics.errors import DamagedError, RunError
from dtopics.store.location import Location

#: Bytes of a chunk's checksum.
_CHECKSUM = 4
_GROUP = json.dumps({"zarr_format": 3, "node_type": "group", "attributes": {}}).encode()


@dataclass(frozen=True)
class ArrayInfo:
    """What an array's metadata says.

    Attributes
    ----------
    shape, chunk_shape : tuple of int
    dtype : numpy.dtype
    checked : bool
        Whether a checksum follows the rows of each chunk; not in runs of early versions.
    """

    shape: tuple[int, ...]
    chunk_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    checked: bool = True

    @property
    def n_chunks(self) -> int:
        """How many chunks there are; one where there are no rows."""
        return max(1, math.ceil(self.shape[0] / self.chunk_shape[0]))

    @property
    def chunk_bytes(self) -> int:
        """The size of each chunk as it is stored."""
        rows = math.prod(self.chunk_shape) * self.dtype.itemsize
        return rows + _CHECKSUM * self.checked


def write_chunk(
    array: Location, index: int, rows: NDArray[Any], *, n_rows: int, chunk_rows: int
) -> bytes:
    """Write the `index`-th chunk of an array of `n_rows` rows; make the array if it is not there.

    Returns
    -------
    bytes
        The chunk as it is stored, which is an earlier writer's where there was one: of what only
        one of two writers had time to finish, both must say the same. One that is not whole is
        written over.

    Raises
    ------
    RunError
        Where the array has another shape or dtype than `rows` asks for.
    """
    rows = np.ascontiguousarray(rows, dtype=rows.dtype.newbyteorder("<"))
    wanted = ArrayInfo((n_rows, *rows.shape[1:]), (chunk_rows, *rows.shape[1:]), rows.dtype)
    info = _ensure(array, wanted)
    if len(rows) < chunk_rows:
        padded = np.full(wanted.chunk_shape, _fill_value(rows.dtype), dtype=rows.dtype)
        padded[: len(rows)] = rows
        rows = padded
    data = rows.tobytes()
    if info.checked:
        data += _checksum(data)
    chunk = _chunk(array, index, rows.ndim)
    if chunk.create(data):
        return data
    found = chunk.read()
    if _is_whole(found, info):
        return found
    chunk.write(data)
    return data


def read_chunk(array: Location, index: int) -> NDArray[Any]:
    """Return the rows of one chunk, without the padding of the last.

    Raises
    ------
    DamagedError
        Where the chunk has another size or checksum than it was written with.
    """
    info = read_info(array)
    data = _chunk(array, index, len(info.shape)).read()
    if not _is_whole(data, info):
        message = (
            f"chunk {index} of {array} is not as it was written: {len(data)} bytes of "
            f"{info.chunk_bytes}, or another checksum"
        )
        raise DamagedError(message)
    count = math.prod(info.chunk_shape)
    rows = np.frombuffer(data, dtype=info.dtype, count=count).reshape(info.chunk_shape)
    return rows[: info.shape[0] - index * info.chunk_shape[0]]


def read_info(array: Location) -> ArrayInfo:
    """Return an array's shape, chunk shape and dtype, and whether its chunks have checksums.

    Raises
    ------
    DamagedError
        Where they are not what a run writes.
    """
    data = (array / "zarr.json").read()
    try:
        metadata = json.loads(data)
        info = ArrayInfo(
            tuple(metadata["shape"]),
            tuple(metadata["chunk_grid"]["configuration"]["chunk_shape"]),
            np.dtype(metadata["data_type"]).newbyteorder("<"),
            "crc32c" in [codec["name"] for codec in metadata["codecs"]],
        )
        _check_info(info)
    except (ValueError, TypeError, LookupError) as error:
        message = f"{array}/zarr.json is not an array's that dtopics wrote: {error}"
        raise DamagedError(message) from error
    return info


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
    return np.concatenate([read_chunk(array, i) for i in range(info.n_chunks)])


def read_rows(array: Location, start: int, stop: int) -> NDArray[Any]:
    """Return some rows of an array of one chunk, and read no more than those."""
    info = read_info(array)
    width = math.prod(info.shape[1:]) * info.dtype.itemsize
    data = b""
    if start < stop:
        data = _chunk(array, 0, len(info.shape)).read(start * width, stop * width)
    if len(data) != (stop - start) * width:
        message = f"{array} has {info.shape[0]} rows; rows {start} to {stop} are not there"
        raise DamagedError(message)
    return np.frombuffer(data, dtype=info.dtype).reshape(stop - start, *info.shape[1:])


def stored_chunk(array: Location, index: int) -> bytes:
    """Return a chunk's bytes as they lie there."""
    return _chunk(array, index, len(read_info(array).shape)).read()


def stored_chunks(array: Location) -> Iterator[bytes]:
    """Give the bytes of every chunk of an array as they lie there."""
    info = read_info(array)
    for index in range(info.n_chunks):
        yield _chunk(array, index, len(info.shape)).read()


def remove_chunk(array: Location, index: int) -> None:
    """Remove a chunk, and the array's metadata where those are damaged: both are written anew."""
    (array / f"c/{index}").remove()
    try:
        read_info(array)
    except DamagedError:
        (array / "zarr.json").remove()
    except FileNotFoundError:
        pass


def _chunk(array: Location, index: int, ndim: int) -> Location:
    return array / "/".join(["c", str(index), *["0"] * (ndim - 1)])


def _fill_value(dtype: np.dtype[Any]) -> Any:
    """Return a value that no row holds: a missing chunk must not read as data."""
    if dtype.kind == "f":
        return math.nan
    if dtype.kind == "b":
        return False
    return np.iinfo(dtype).min if dtype.kind == "i" else np.iinfo(dtype).max


def _check_info(info: ArrayInfo) -> None:
    sizes = [*info.shape, *info.chunk_shape]
    if not all(isinstance(size, int) and 0 <= size < 1 << 40 for size in sizes):
        raise ValueError(f"{sizes!r:.80} are no sizes")
    if not info.shape or len(info.shape) != len(info.chunk_shape) or 0 in info.chunk_shape[:1]:
        raise ValueError(f"{info.shape} is no shape in chunks of {info.chunk_shape}")
    if info.dtype.kind not in "iufb":
        raise ValueError(f"{info.dtype} is no type of numbers")


def _checksum(data: bytes | memoryview) -> bytes:
    """Return what Zarr's codec ``crc32c`` puts after a chunk."""
    import google_crc32c

    return int(google_crc32c.value(data)).to_bytes(_CHECKSUM, "little")


def _is_whole(data: bytes, info: ArrayInfo) -> bool:
    if len(data) != info.chunk_bytes:
        return False
    return not info.checked or _checksum(data[:-_CHECKSUM]) == data[-_CHECKSUM:]


def _ensure(array: Location, wanted: ArrayInfo) -> ArrayInfo:
    try:
        found = read_info(array)
    except FileNotFoundError:
        (array / "zarr.json").create(_metadata(wanted))
        group = Location(array.url.rpartition("/")[0], array.storage_options)
        (group / "zarr.json").create(_GROUP)
        found = read_info(array)
    if replace(found, checked=True) != wanted:
        message = (
            f"{array} holds rows of shape {found.shape[1:]} and type {found.dtype}; this block's "
            f"are {wanted.shape[1:]} and {wanted.dtype}"
        )
        raise RunError(message)
    return found


@functools.lru_cache(maxsize=256)
def _metadata(info: ArrayInfo) -> bytes:
    import zarr
    from zarr.codecs import Crc32cCodec
    from zarr.storage import MemoryStore

    objects: dict[str, Any] = {}
    zarr.create_array(
        MemoryStore(objects),
        shape=info.shape,
        chunks=info.chunk_shape,
        dtype=info.dtype.newbyteorder("="),
        fill_value=_fill_value(info.dtype),
        compressors=[Crc32cCodec()],
        zarr_format=3,
    )
    return bytes(objects["zarr.json"].to_bytes())
