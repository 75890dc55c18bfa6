"""A place behind a URL: the only module that opens files.

`Location.create` is the ground of every promise about crashes: an object appears whole or not at
all, and the first writer wins. Local files get it from `os.link`, object stores from their
conditional put, memory from a lock. fsspec's local ``mode="create"`` and Zarr's
``set_if_not_exists`` look first and write after, so two writers can both win: neither is used.
"""

from __future__ import annotations

import contextlib
import html
import os
import posixpath
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, TypeVar

from dtopics.errors import RunAccessError
from dtopics.store.patience import patiently

T = TypeVar("T")

#: Stores whose put can be told to fail when the object exists.
CONDITIONAL_PUT = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl"})
#: Shorter texts in storage options are names of regions and the like.
LEAST_SECRET = 6
_memory_lock = threading.Lock()


@dataclass(frozen=True)
class Location:
    """A file or folder behind a URL; picklable, and cheap to make.

    Parameters
    ----------
    url : str
        ``path``, ``file://``, ``memory://``, ``s3://`` or any other that fsspec opens.
    storage_options : mapping, optional
        What fsspec needs to open it. Never shown, never written.

    Examples
    --------
    >>> here = Location("memory://example") / "folder"
    >>> (here / "a.txt").create(b"first"), (here / "a.txt").create(b"second")
    (True, False)
    >>> (here / "a.txt").read()
    b'first'
    >>> here.names()
    ['a.txt']
    """

    url: str
    storage_options: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)

    def __post_init__(self) -> None:
        if not str(self.url).strip():
            raise RunAccessError("the URL is empty; expected a path, or a URL such as s3://…")
        protocol, path = _split(self.url)
        if protocol == "file":
            path = str(Path(path).expanduser().absolute())
        url = path if protocol == "file" else f"{protocol}://{path}"
        object.__setattr__(self, "url", url.rstrip("/") or "/")

    def __truediv__(self, name: str) -> Location:
        """Return the place `name` below this one."""
        return Location(f"{self.url}/{name}", self.storage_options)

    def __str__(self) -> str:
        """Return the URL."""
        return self.url

    @property
    def protocol(self) -> str:
        """The URL's scheme: ``file``, ``memory``, ``s3`` and so on."""
        return _split(self.url)[0]

    @property
    def path(self) -> str:
        """The path as the file system wants it."""
        return str(self.fs._strip_protocol(self.url))  # noqa: SLF001 (fsspec's own name for it)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return posixpath.basename(self.url)

    @property
    def is_local(self) -> bool:
        """Whether it is a path on this machine's file system."""
        return self.protocol == "file"

    @property
    def fs(self) -> Any:
        """The fsspec file system, one per process and set of options."""
        import fsspec

        options = dict(self.storage_options)
        if self.protocol in CONDITIONAL_PUT:
            options.setdefault("use_listings_cache", False)
        if self.protocol in {"s3", "s3a"}:  # else it asks for the size before each read
            options.setdefault("max_concurrency", 1)
        try:
            return fsspec.filesystem(self.protocol, **options)
        except (ImportError, ValueError) as error:
            message = self.without_secrets(f"cannot open {self.protocol}:// URLs: {error}")
            raise RunAccessError(message) from None

    def open(self, mode: str = "rb", **kwargs: Any) -> IO[Any]:
        """Open as a file object; ``compression="infer"`` follows the name's ending."""
        return self.fs.open(self.path, mode, **kwargs)  # type: ignore[no-any-return]

    def read(self, start: int | None = None, stop: int | None = None) -> bytes:
        """Return the bytes, or a range of them; FileNotFoundError where there is none."""
        found: bytes = self._patiently(lambda: self.fs.cat_file(self.path, start=start, end=stop))
        return found

    def read_all(self, names: Sequence[str]) -> list[bytes]:
        """Return the bytes of several objects below; at once, where the store can."""
        if not names:
            return []
        if len(names) == 1:
            return [(self / names[0]).read()]
        paths = [f"{self.path}/{name}" for name in names]
        found = self._patiently(lambda: self.fs.cat(paths))
        return [found[path] for path in paths]

    def exists(self) -> bool:
        """Whether there is an object, or a folder, here."""
        return bool(self._patiently(lambda: self.fs.exists(self.path)))

    def info(self) -> dict[str, Any]:
        """Return fsspec's description: ``name``, ``size``, ``type`` and what the store adds."""
        return dict(self._patiently(lambda: self.fs.info(self.path)))

    def names(self) -> list[str]:
        """Return the names directly below, sorted; none where there is no folder."""
        fs, path = self.fs, self.path
        fs.invalidate_cache(path)
        try:
            entries = self._patiently(lambda: fs.ls(path, detail=False))
        except (FileNotFoundError, NotADirectoryError):
            return []
        found = {posixpath.basename(str(entry).rstrip("/")) for entry in entries}
        found.discard(posixpath.basename(path))
        return sorted(name for name in found if not name.startswith("."))

    def create(self, data: bytes) -> bool:
        """Write a new object, whole and exclusively.

        Returns
        -------
        bool
            False where there was one already; its bytes are left as they are.
        """
        return self._patiently(lambda: self._create(data))

    def _create(self, data: bytes) -> bool:
        if self.is_local:
            return _create_local(Path(self.path), data)
        if self.protocol == "memory":
            with _memory_lock:
                if self.exists():
                    return False
                self.fs.pipe_file(self.path, data)
                return True
        if self.has_conditional_put:
            try:
                self.fs.pipe_file(self.path, data, mode="create")
            except FileExistsError:
                return False
            except FileNotFoundError:  # the end of an upload in parts, asked for twice
                if not self.exists():
                    raise
                return False
            return True
        if self.exists():  # other stores: the run's lease keeps a second writer away
            return False
        self.write(data)
        return True

    @property
    def has_conditional_put(self) -> bool:
        """Whether the store can be told to write an object only where there is none."""
        return self.protocol in CONDITIONAL_PUT or getattr(self.fs, "conditional_put", False)

    def write(self, data: bytes) -> None:
        """Write an object, replacing what is there at once."""
        self._patiently(lambda: self._write(data))

    def _write(self, data: bytes) -> None:
        if self.is_local:
            path = Path(self.path)
            with _temporary(path, data) as temporary:
                temporary.replace(path)
        else:
            self.fs.pipe_file(self.path, data)

    def remove(self) -> None:
        """Remove the object or the whole folder; nothing happens where there is none."""
        with contextlib.suppress(FileNotFoundError):
            self._patiently(lambda: self.fs.rm(self.path, recursive=True))

    def without_secrets(self, text: str) -> str:
        """Return a text in which no value of the storage options stands.

        Examples
        --------
        >>> Location("s3://a/b", {"client": {"key": "hunter22"}}).without_secrets("hunter22?")
        '***?'
        """
        for value in _secrets(self.storage_options):
            for shown in (value, html.escape(value), html.escape(value, quote=False)):
                text = text.replace(shown, "***")
        return text

    def _patiently(self, operation: Callable[[], T]) -> T:
        return patiently(operation, self)


def _split(url: str) -> tuple[str, str]:
    protocol, separator, path = str(url).partition("://")
    return (protocol, path) if separator else ("file", protocol)


def _secrets(value: Any) -> Iterator[str]:
    """Give the values of storage options that could be secrets: texts that are no plain words."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _secrets(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _secrets(item)
    elif isinstance(value, str) and len(value) >= LEAST_SECRET:
        yield value


def _create_local(path: Path, data: bytes) -> bool:
    if path.exists():
        return False
    with _temporary(path, data) as temporary:
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
    return True


@contextlib.contextmanager
def _temporary(path: Path, data: bytes) -> Any:
    """Write `data` beside `path` under a name of its own, and clear that name away after."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        try:
            temporary.write_bytes(data)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(data)
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
