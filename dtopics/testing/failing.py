"""A file system that fails on purpose, the way object stores do.

``failing:///path`` keeps its objects on the local disk and behaves as an object store: objects
appear whole, a put can be told to fail where there is one, folders are only names. It fails by
rules in a file, in whichever process, as often as each rule says, and counts what it is asked.
"""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import json
import os
import signal
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem


@dataclass(frozen=True)
class Rule:
    """What fails, how, and how often.

    Attributes
    ----------
    kind : str
        ``busy`` (503 SlowDown), ``timeout``, ``lost`` (it is done, and the answer does not
        come), ``slow``, ``full`` (no space left), ``denied`` (expired credentials),
        ``memory`` (the process takes all it can get), or the name of a signal: ``SIGKILL``.
    operation : str
        ``read``, ``write`` (with ``create``), ``list``, or ``*``.
    path : str
        A pattern that the path must match.
    times : int
        How often; the next time it works.
    after : int
        So many matching operations work before.
    target : str
        Which process gets the signal: the one that asks, or one that `Failures.introduce` named.
    seconds : float
        How long ``slow`` takes.
    """

    kind: str
    operation: str = "*"
    path: str = "*"
    times: int = 1
    after: int = 0
    target: str = "self"
    seconds: float = 1.0


class Failures:
    """Rules in a folder, and what was asked while they held.

    Parameters
    ----------
    folder : str or path
        A folder on the local disk, beside what is stored.

    Examples
    --------
    >>> import tempfile
    >>> from dtopics.store import Location
    >>> failures = Failures(tempfile.mkdtemp())
    >>> failures.set([Rule("busy", "read")])
    >>> place = Location(f"failing://{tempfile.mkdtemp()}/x", failures.storage_options)
    >>> place.create(b"data"), place.read()
    (True, b'data')
    >>> failures.injected
    1
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def storage_options(self) -> dict[str, str]:
        """What a `Location` of the file system needs."""
        return {"failures": str(self.folder)}

    def set(self, rules: Sequence[Rule]) -> None:
        """Have these fail from now on, and forget what was asked before."""
        for path in self.folder.iterdir():
            if path.suffix != ".pid":
                path.unlink()
        data = json.dumps([asdict(rule) for rule in rules])
        temporary = self.folder / "rules.tmp"
        temporary.write_text(data)
        temporary.replace(self.folder / "rules.json")

    def introduce(self, name: str, pid: int) -> None:
        """Say which process is the target of that name."""
        (self.folder / f"{name}.pid").write_text(str(pid))

    @property
    def injected(self) -> int:
        """How many operations failed on purpose."""
        return sum(1 for path in self.folder.iterdir() if path.name.endswith(".failed"))

    def requests(self) -> Counter[tuple[str, str]]:
        """Return how often each operation was asked of each path."""
        log = self.folder / "requests"
        if not log.exists():
            return Counter()
        lines = log.read_text().splitlines()
        return Counter(tuple(line.split(" ", 1)) for line in lines)  # type: ignore[misc]


class FailingFileSystem(LocalFileSystem):  # type: ignore[misc]
    """The file system behind ``failing://``.

    Parameters
    ----------
    failures : str
        Folder of the rules, as `Failures` keeps them.
    """

    protocol = "failing"
    conditional_put = True

    def __init__(self, failures: str, **options: Any) -> None:
        super().__init__(auto_mkdir=True, **options)
        self.failures = Path(failures)

    def cat_file(self, path: str, start: Any = None, end: Any = None, **kwargs: Any) -> bytes:
        """Return an object's bytes."""
        with self._asked("read", path):
            return bytes(super().cat_file(path, start=start, end=end, **kwargs))

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        """Write an object, whole."""
        with self._asked("write", path):
            target = Path(self._strip_protocol(path))
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
            temporary.write_bytes(value)
            try:
                if mode == "create":
                    os.link(temporary, target)
                    temporary.unlink()
                else:
                    temporary.replace(target)
            finally:
                temporary.unlink(missing_ok=True)

    def ls(self, path: str, detail: bool = False, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002
        """List a folder."""
        with self._asked("list", path):
            return super().ls(path, detail=detail, **kwargs)

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        """Describe an object."""
        with self._asked("read", path):
            return dict(super().info(path, **kwargs))

    def _asked(self, operation: str, path: str) -> _Asked:
        return _Asked(self.failures, operation, self._strip_protocol(path))


@dataclass
class _Asked:
    """One operation: it may fail before it is done, or after."""

    folder: Path
    operation: str
    path: str

    def __enter__(self) -> None:
        with (self.folder / "requests").open("a") as log:
            log.write(f"{self.operation} {self.path}\n")
        self.lost = False
        for rule in self._due():
            match rule["kind"]:
                case "busy":
                    raise OSError(errno.EBUSY, "SlowDown: reduce your request rate")
                case "timeout":
                    raise TimeoutError("the store did not answer")
                case "full":
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                case "denied":
                    raise PermissionError("ExpiredToken: the provided token has expired")
                case "slow":
                    time.sleep(rule["seconds"])
                case "lost":
                    self.lost = True
                case "memory":
                    _take_all()
                case _:
                    self._send(rule)

    def __exit__(self, kind: Any, *_: object) -> None:
        if self.lost and kind is None:
            raise TimeoutError("the answer was lost")

    def _send(self, rule: Mapping[str, Any]) -> None:
        pid = os.getpid()
        if rule["target"] != "self":
            pid = int((self.folder / f"{rule['target']}.pid").read_text())
        with contextlib.suppress(ProcessLookupError):  # it was ended before
            os.kill(pid, signal.Signals[rule["kind"]])
        if rule["target"] == "self":
            time.sleep(60)  # not one step further, however long the signal takes

    def _due(self) -> Iterator[Mapping[str, Any]]:
        try:
            rules = json.loads((self.folder / "rules.json").read_text())
        except FileNotFoundError:
            return
        for number, rule in enumerate(rules):
            matches = rule["operation"] in {"*", self.operation}
            if matches and fnmatch.fnmatch(self.path, rule["path"]):
                turn = self._turn(number, rule["after"] + rule["times"])
                if turn is not None and turn >= rule["after"]:
                    (self.folder / f"{number}-{turn}.failed").touch()
                    yield rule

    def _turn(self, number: int, most: int) -> int | None:
        """Return which matching operation of all processes this is; None beyond `most`."""
        for turn in range(most):
            try:
                (self.folder / f"{number}-{turn}").touch(exist_ok=False)
            except FileExistsError:
                continue
            return turn
        return None


def _take_all() -> None:
    """Take memory until the process is ended for it."""
    held = []
    for _ in range(1 << 10):
        held.append(bytearray(b"x") * (64 << 20))
        time.sleep(0.05)
