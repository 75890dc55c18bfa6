"""Files behind URLs and globs: which there are, what they hold, and their bytes in a stream."""

from __future__ import annotations

import bz2
import contextlib
import lzma
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any

import pyarrow as pa

from dtopics.data import Source
from dtopics.errors import CorpusError, RunAccessError
from dtopics.store.location import Location

ENDINGS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".txt": "text",
}
FORMATS = ("parquet", "jsonl", "csv", "tsv", "text", "files")
COMPRESSIONS = (".gz", ".zst", ".bz2", ".xz")

#: What is read of a file at a time, and what a decoder may make of it at a time.
CHUNK_BYTES, DECODED_BYTES = 64 << 10, 1 << 20
#: The same of a file whose size is estimated.
SAMPLED_BYTES = 4 << 10
ZSTD_BYTES = 256
#: A file that holds more than so many times its size, and is large, is made to fill a disk.
MOST_EXPANDED, LARGE_BYTES = 200, 1 << 30


def compression_of(url: str) -> str | None:
    """Return the ending that says how a file is compressed."""
    return next((ending for ending in COMPRESSIONS if url.lower().endswith(ending)), None)


def format_of(url: str) -> str | None:
    """Return the format that a file's ending stands for."""
    name = url.lower().removesuffix(compression_of(url) or "")
    return next((found for ending, found in ENDINGS.items() if name.endswith(ending)), None)


def find_sources(
    urls: Sequence[str], format_: str | None, storage_options: Mapping[str, Any]
) -> tuple[Source, ...]:
    """Return the files behind URLs, globs and folders.

    Parameters
    ----------
    urls : sequence of str
        Kept in their order; what a glob or a folder stands for is sorted. A file that is meant
        twice is read once.
    format_ : str or None
        One of `FORMATS`. None: by the files' endings, which must agree.
    storage_options : mapping

    Raises
    ------
    CorpusError
        If nothing is found, a format is unknown, or formats are mixed.
    """
    if format_ is not None and format_ not in FORMATS:
        raise CorpusError(f"format={format_!r} is unknown; expected one of {', '.join(FORMATS)}")
    found: list[tuple[str, dict[str, Any]]] = []
    for url in urls:
        try:
            found.extend(_expand(Location(url, storage_options), format_))
        except (CorpusError, RunAccessError):
            raise
        except PermissionError as error:
            raise CorpusError(f"not allowed to read {url}: {error}") from error
        except Exception as error:  # without credentials, say: each store has errors of its own
            kind = type(error).__name__
            raise CorpusError(f"cannot look for {url}: {kind}: {_line(error)}") from error
    infos = dict(found)
    names = {format_} if format_ else {_known_format(url) for url in infos}
    if len(names) > 1:
        raise CorpusError(
            f"found files of several formats ({', '.join(sorted(map(str, names)))}) in "
            f"{_shown(urls)}; name one with format=, or choose files with a glob such as "
            "'folder/*.parquet'"
        )
    name = str(names.pop())
    return tuple(
        Source(url, name, int(info.get("size") or 0), etag_of(info)) for url, info in infos.items()
    )


def etag_of(info: Mapping[str, Any]) -> str:
    """Return what a store says to tell versions of a file apart."""
    for key in ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "created"):
        if info.get(key):
            return f"{key}:{info[key]}".replace('"', "")
    return ""


def _expand(location: Location, format_: str | None) -> list[tuple[str, dict[str, Any]]]:
    fs = location.fs
    fs.invalidate_cache()
    with contextlib.suppress(FileNotFoundError):
        info = location.info()
        if info["type"] != "directory":
            return [(location.url, info)]
        return _folder(location, format_)
    if any(sign in location.url for sign in "*?["):
        matches = fs.glob(location.path, detail=True)
        root = re.split(r"[^/]*[*?\[]", location.path, maxsplit=1)[0]
        hiding = _hiding(format_) if not _is_hidden(location.path, root, _hiding(None)) else ()
        files = {
            path: info
            for path, info in matches.items()
            if info["type"] != "directory" and not _is_hidden(path, root, hiding)
        }
        if files:
            return _with_urls(location, files)
        raise CorpusError(f"no file matches {location}; looked for files by this glob")
    raise CorpusError(
        f"{location} does not exist; expected a file, a folder or a glob such as 'data/*.parquet'"
    )


def _folder(location: Location, format_: str | None) -> list[tuple[str, dict[str, Any]]]:
    root = location.path
    below = location.fs.find(root, detail=True)
    files = {
        path: info
        for path, info in below.items()
        if not _is_hidden(path, root, _hiding(format_))
        and (format_ is not None or format_of(path) is not None)
    }
    if not files:
        kinds = "any file" if format_ else f"files ending in {', '.join(ENDINGS)}"
        raise CorpusError(f"the folder {location} holds no documents; looked for {kinds} below it")
    return _with_urls(location, files)


def _with_urls(
    location: Location, files: Mapping[str, dict[str, Any]]
) -> list[tuple[str, dict[str, Any]]]:
    fs = location.fs
    return [(Location(str(fs.unstrip_protocol(path))).url, files[path]) for path in sorted(files)]


def _hiding(format_: str | None) -> tuple[str, ...]:
    """Return the beginnings of names that hide a file: Spark's ``_SUCCESS``, ``_temporary/``.

    Where each file is a document, a name is the user's own and only the dot hides it.
    """
    return (".",) if format_ == "files" else ("_", ".")


def _is_hidden(path: str, root: str, hiding: tuple[str, ...]) -> bool:
    parts = path.removeprefix(root).strip("/").split("/")
    return any(part.startswith(hiding) for part in parts) if hiding else False


def _known_format(url: str) -> str:
    name = format_of(url)
    if name is None:
        raise CorpusError(
            f"cannot tell the format of {url} by its ending; name it with format=, one of "
            f"{', '.join(FORMATS)}"
        )
    return name


def _shown(urls: Sequence[str]) -> str:
    return ", ".join(urls[:3]) + (", …" if len(urls) > 3 else "")


@contextlib.contextmanager
def reading(url: str) -> Iterator[None]:
    """Turn what a missing or broken file raises into a CorpusError that names it.

    Errors of the network pass as they are: they may be worth another try.
    """
    try:
        yield
    except (CorpusError, RunAccessError, pa.ArrowCancelled):
        raise
    except FileNotFoundError as error:
        raise CorpusError(f"{url} does not exist any more") from error
    except (
        pa.ArrowException,
        UnicodeDecodeError,  # Arrow's, for the name of a column
        PermissionError,
        EOFError,
        zlib.error,
        lzma.LZMAError,
    ) as error:
        raise CorpusError(f"cannot read {url}: {_line(error)}") from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise CorpusError(f"cannot read {url}: {_line(error)}") from error


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())


def stream_bytes(location: Location) -> Iterator[bytes]:
    """Yield a file's bytes in chunks, decompressed by its ending."""
    with reading(location.url), location.open() as file:
        yield from _chunks(file, location.url)


def sample_bytes(location: Location, n_bytes: int) -> tuple[bytes, int]:
    """Return a file's first bytes, decompressed, and how many stored bytes they were."""
    held: list[bytes] = []
    size = told = 0
    with reading(location.url), location.open() as file:
        for chunk in _chunks(file, location.url, SAMPLED_BYTES):
            here = file.tell()
            if size >= n_bytes and here > told:  # all that the bytes before have become is held
                break
            held.append(chunk)
            size, told = size + len(chunk), here
        return b"".join(held), told


def _chunks(file: IO[bytes], url: str, n_bytes: int = CHUNK_BYTES) -> Iterator[bytes]:
    ending = compression_of(url)
    if ending is None:
        return iter(lambda: file.read(CHUNK_BYTES), b"")
    return _within_limit(_decompress(file, _decoder(ending), n_bytes), file, url)


def _within_limit(chunks: Iterator[bytes], file: IO[bytes], url: str) -> Iterator[bytes]:
    """Pass on what a file holds, unless it holds far more than texts do in so few bytes.

    Raises
    ------
    CorpusError
    """
    import dask

    most = float(dask.config.get("dtopics.corpus.most-expanded", MOST_EXPANDED))
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > LARGE_BYTES and size > most * max(file.tell(), 1):
            message = (
                f"{url} holds more than {most:g} times its size; no text is compressed so well, "
                "and the rest is not read. If it is what you want, give Dask's setting "
                "dtopics.corpus.most-expanded a larger number"
            )
            raise CorpusError(message)
        yield chunk


def _decompress(file: IO[bytes], make: Callable[[], Any], n_bytes: int) -> Iterator[bytes]:
    decoder = None
    for data in iter(lambda: file.read(n_bytes), b""):
        chunk = data
        while chunk:
            if decoder is None:
                chunk = chunk.lstrip(b"\0")  # gzip and xz allow padding between their members
                decoder = make() if chunk else None
                continue
            yield from decoder.decompress(chunk)
            chunk = decoder.unused_data if decoder.eof else b""
            decoder = None if decoder.eof else decoder
    if decoder is not None:
        raise EOFError("the compressed data end too early; the file is truncated")


class _Gzip:
    """zlib's decoder, a chunk at a time however much a few bytes become."""

    def __init__(self) -> None:
        self.inner = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self.inner.eof

    @property
    def unused_data(self) -> bytes:
        return self.inner.unused_data

    def decompress(self, data: bytes) -> Iterator[bytes]:
        while data:
            yield self.inner.decompress(data, DECODED_BYTES)
            data = self.inner.unconsumed_tail


class _Held:
    """bz2's or lzma's decoder, a chunk at a time: it holds what it was given."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    @property
    def eof(self) -> bool:
        return bool(self.inner.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self.inner.unused_data)

    def decompress(self, data: bytes) -> Iterator[bytes]:
        yield self.inner.decompress(data, DECODED_BYTES)
        while not self.inner.needs_input and not self.inner.eof:
            yield self.inner.decompress(b"", DECODED_BYTES)


def _decoder(ending: str) -> Callable[[], Any]:
    if ending == ".gz":
        return _Gzip
    if ending == ".bz2":
        return lambda: _Held(bz2.BZ2Decompressor())
    if ending == ".xz":
        return lambda: _Held(lzma.LZMADecompressor())
    try:
        import zstandard
    except ImportError as error:
        raise CorpusError(
            "reading .zst files needs the package zstandard: pip install 'dtopics[zstd]'"
        ) from error

    class Decoder:
        """zstandard's decoder, with an error that `reading` knows."""

        def __init__(self) -> None:
            self.inner = zstandard.ZstdDecompressor().decompressobj()
            self.beyond = b""

        @property
        def eof(self) -> bool:
            return bool(self.inner.eof)

        @property
        def unused_data(self) -> bytes:
            return bytes(self.inner.unused_data) + self.beyond

        def decompress(self, data: bytes) -> Iterator[bytes]:
            # it cannot be told how much to return: so few bytes become some megabytes at most
            for start in range(0, len(data), ZSTD_BYTES):
                if self.inner.eof:
                    self.beyond += data[start : start + ZSTD_BYTES]
                    continue
                try:
                    yield self.inner.decompress(data[start : start + ZSTD_BYTES])
                except zstandard.ZstdError as error:
                    raise EOFError(str(error)) from error

    return Decoder
