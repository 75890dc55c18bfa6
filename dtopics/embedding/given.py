"""Embeddings that exist already: an array, a Dask array, a Zarr array or an ``.npy`` file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtopics.data import Block
from dtopics.errors import EmbeddingError
from dtopics.execution.cache import cached
from dtopics.store import Location

#: So many first rows say whether vectors are of unit length.
PROBED_ROWS = 1_000
CHUNK_ROWS = 65_536


@dataclass(frozen=True)
class GivenInfo:
    """What given embeddings are.

    Attributes
    ----------
    n_rows, n_features : int
    dtype : str
        What they are kept as: float16 where rows have unit length, else float32.
    """

    n_rows: int
    n_features: int
    dtype: str


@dataclass(frozen=True)
class ArrayRows:
    """Rows of an array that this process holds."""

    array: NDArray[Any]

    def __call__(self, row_start: int, n_rows: int) -> NDArray[Any]:
        """Return consecutive rows."""
        return self.array[row_start : row_start + n_rows]


@dataclass(frozen=True)
class BlockRows:
    """Rows of a block, of an array over all segments.

    Attributes
    ----------
    rows : callable (row_start, n_rows) -> ndarray
    starts : mapping of str to int
        The first row of each segment.
    """

    rows: Callable[[int, int], NDArray[Any]]
    starts: Mapping[str, int]

    def __call__(self, block: Block) -> NDArray[Any]:
        """Return the block's rows."""
        return np.asarray(self.rows(self.starts[block.segment] + block.row_start, block.n_rows))


@dataclass(frozen=True)
class ReadRows:
    """Rows of a Zarr array, or of an ``.npy`` file, behind a URL that workers see."""

    url: str
    storage_options: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)

    def __call__(self, row_start: int, n_rows: int) -> NDArray[Any]:
        """Return consecutive rows."""
        opened = self.open()
        if isinstance(opened, np.memmap) and opened.ndim == 2 and opened.flags.c_contiguous:
            return _read_rows(opened, row_start, n_rows)
        return np.array(opened[row_start : row_start + n_rows])

    def open(self) -> Any:
        """Return the array, nothing read but its description.

        Raises
        ------
        EmbeddingError
            Where there is none.
        """
        return cached(("given embeddings", self.key()), self._open)

    def key(self) -> str:
        """Return the identity of the content, as far as the store tells it without reading."""
        location = Location(self.url, self.storage_options)
        try:
            if self.url.endswith(".npy"):
                seen = {self.url: location.info()}
            else:  # every chunk: an array may be written over in place
                seen = location.fs.find(location.path, detail=True)
        except FileNotFoundError:
            seen = {}
        if not seen:
            message = f"no embeddings at {self.url}: expected a Zarr array or an .npy file"
            raise EmbeddingError(message)
        digest = hashlib.sha256()
        for path in sorted(seen):
            facts = (seen[path].get(k) for k in ("size", "ETag", "etag", "mtime", "LastModified"))
            digest.update("\n".join([path, *map(str, facts)]).encode())
        return digest.hexdigest()

    def _open(self) -> Any:
        import zarr

        location = Location(self.url, self.storage_options)
        try:
            if self.url.endswith(".npy") and location.is_local:
                return np.load(location.path, mmap_mode="r")
            if location.is_local:
                return zarr.open_array(location.path, mode="r")
            return zarr.open_array(
                location.url, mode="r", storage_options=dict(self.storage_options)
            )
        except Exception as error:
            message = (
                f"cannot open embeddings at {self.url}: {type(error).__name__}: {error}; expected "
                "a Zarr array, or a local .npy file"
            )
            raise EmbeddingError(message) from error


def _read_rows(opened: np.memmap[Any, Any], row_start: int, n_rows: int) -> NDArray[Any]:
    """Read rows of a mapped file without touching the map.

    What is read through a map stays with the process until it is closed: a worker that has seen a
    large file would hold all of it that it read.
    """
    width, item = opened.shape[1], opened.dtype.itemsize
    stop = min(row_start + n_rows, len(opened))
    offset = opened.offset + row_start * width * item
    assert opened.filename is not None
    rows = np.fromfile(
        opened.filename, opened.dtype, count=max(stop - row_start, 0) * width, offset=offset
    )
    return rows.reshape(-1, width)


def check_given(
    embeddings: Any, n_rows: int, storage_options: Mapping[str, Any] | None = None
) -> GivenInfo:
    """See that given embeddings are a row of numbers per document.

    Parameters
    ----------
    embeddings : array, Dask array or URL, shape (n_rows, n_features)
        Looked through for NaN block by block when they are imported, not here.
    n_rows : int
        Documents of the corpus.
    storage_options : mapping, optional

    Raises
    ------
    EmbeddingError
        Saying what was found and what was expected.
    """
    if is_url(embeddings):
        embeddings = ReadRows(str(embeddings), storage_options or {}).open()
    elif not isinstance(getattr(embeddings, "dtype", None), np.dtype):
        embeddings = _as_array(embeddings)
    elif hasattr(embeddings, "tocsr"):
        message = "embeddings are a sparse matrix; expected a dense one, from TruncatedSVD say"
        raise EmbeddingError(message)
    shape = tuple(embeddings.shape)
    if len(shape) != 2 or shape[1] < 1:
        message = f"embeddings have shape {shape}; expected ({n_rows}, n_features)"
        raise EmbeddingError(message)
    if np.isnan(shape[0]):
        message = "the Dask array of embeddings does not know its length; compute_chunk_sizes() it"
        raise EmbeddingError(message)
    if shape[0] != n_rows:
        message = f"there are {shape[0]:,} embeddings for {n_rows:,} documents; expected one each"
        raise EmbeddingError(message)
    if np.dtype(embeddings.dtype).kind not in "fiu":
        message = f"embeddings are of type {embeddings.dtype}; expected numbers"
        raise EmbeddingError(message)
    first = embeddings[:PROBED_ROWS]
    first = np.asarray(first.compute() if hasattr(first, "dask") else first, np.float64)
    with np.errstate(over="ignore"):
        norms = np.linalg.norm(first, axis=1)
    # NaN and zero rows are what empty documents may have
    said = norms[np.isfinite(norms) & (norms > 0)]
    unit = bool(len(said)) and bool(np.all(np.abs(said - 1) < 0.01))
    return GivenInfo(shape[0], shape[1], "float16" if unit else "float32")


def width_of(embeddings: Any, storage_options: Mapping[str, Any]) -> int:
    """Return the features of embeddings that `check_given` has passed."""
    if is_url(embeddings):
        embeddings = ReadRows(str(embeddings), storage_options).open()
    shape = embeddings.shape if hasattr(embeddings, "shape") else np.shape(embeddings)
    return int(shape[1])


def is_url(embeddings: Any) -> bool:
    """Whether it is where embeddings are, rather than embeddings."""
    return isinstance(embeddings, str) or hasattr(embeddings, "__fspath__")


def _as_array(rows: Any) -> NDArray[Any]:
    if hasattr(rows, "dask"):
        message = f"embeddings are a Dask {type(rows).__name__}; expected a Dask array"
        raise EmbeddingError(message)
    try:
        return np.asarray(rows)
    except (ValueError, TypeError, RuntimeError) as error:
        kind = type(rows).__name__
        message = f"embeddings are a {kind} that is no array; do its rows differ?: {error}"
        raise EmbeddingError(message) from error
