"""Who writes to a run: one process at a time.

A lease is an object ``lease/<number>.json``, made exclusively: of two processes that want the next
number, one gets it. Its holder counts beats in it while it works. Another process waits to see
whether they go on, by its own clock, so that clocks need not agree; where they do not, or where the
holder's process is known to be gone, it takes the next number. A holder that was only asleep finds
that out before it writes to ``run.json`` again.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dtopics.errors import RunBusyError
from dtopics.store.location import Location

#: Seconds between two beats of a holder.
BEAT_S = 10.0
#: Seconds without a beat after which a holder is taken to be gone.
PATIENCE_S = 35.0


@dataclass(frozen=True)
class Process:
    """A process, as another one on the same machine can know it again.

    Attributes
    ----------
    host : str
    machine : str
        The running system and its space of process ids; empty where that is not known.
    pid : int
    started : str
        When the process was started, in the system's own units.
    """

    host: str
    machine: str
    pid: int
    started: str

    @classmethod
    def here(cls) -> Process:
        """Return this process."""
        return cls(socket.gethostname(), _machine(), os.getpid(), _started(os.getpid()))

    def is_gone(self) -> bool:
        """Whether it has certainly ended; False also where that cannot be known from here."""
        here = _machine()
        return bool(here) and self.machine == here and _started(self.pid) != self.started


class Lease:
    """The right to write to a run, held from `take` to `release`.

    Parameters
    ----------
    folder : Location
        ``run/lease``.
    what : str
        What it is for, as others are told.
    """

    def __init__(self, folder: Location, what: str) -> None:
        self.folder, self.what = folder, what
        self._holder = uuid.uuid4().hex
        self._number, self._beat = 0, 0
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

    def take(self) -> None:
        """Take the lease, or wait to see whether it can be.

        Raises
        ------
        RunBusyError
            Where another process holds it.
        """
        last = _last(self.folder)
        if last:
            self._wait_for(last)
        self._number = last + 1
        if not self._place.create(self._content()) and not self._is_mine():
            message = f"{self._run} was taken by another process just now; try again later"
            raise RunBusyError(message)
        for number in _numbers(self.folder):
            if number < self._number:
                _place(self.folder, number).remove()
        if self.folder.protocol != "memory":
            self._thread = threading.Thread(target=self._keep, name="dtopics-lease", daemon=True)
            self._thread.start()

    def check(self) -> None:
        """See that no other process has taken the lease, while this one was asleep, say.

        Raises
        ------
        RunBusyError
        """
        if _last(self.folder) != self._number or not self._is_mine():
            message = (
                f"{self._run} was taken over by another process while this one did not answer; "
                "what is finished is kept, and nothing more is written here"
            )
            raise RunBusyError(message)

    def release(self) -> None:
        """Let others have it."""
        self._done.set()
        if self._thread is not None:
            self._thread.join()
        with contextlib.suppress(Exception):  # the work itself is done: nobody need wait long
            if self._is_mine():
                self._place.write(self._content(released=True))

    @property
    def _run(self) -> str:
        return self.folder.url.removesuffix("/lease")

    @property
    def _place(self) -> Location:
        return _place(self.folder, self._number)

    def _content(self, *, released: bool = False) -> bytes:
        here = Process.here()
        about = {"holder": self._holder, "what": self.what, "host": here.host,
                 "machine": here.machine, "pid": here.pid, "started": here.started,
                 "beat": self._beat, "released": released}  # fmt: skip
        return json.dumps(about).encode()

    def _is_mine(self) -> bool:
        return _read(self.folder, self._number).get("holder") == self._holder

    def _keep(self) -> None:
        while not self._done.wait(BEAT_S):
            with contextlib.suppress(Exception):  # a store that fails once may answer the next time
                if _last(self.folder) != self._number:
                    return
                self._beat += 1
                self._place.write(self._content())

    def _wait_for(self, number: int) -> None:
        """Return once the holder of a number is known to be gone."""
        held = _read(self.folder, number)
        if held.get("released", True):
            return
        process = Process(*(held.get(name) for name in ("host", "machine", "pid", "started")))  # type: ignore[arg-type]
        if process.is_gone():
            return
        if not process.machine or process.machine != _machine():
            deadline = time.monotonic() + PATIENCE_S
            while time.monotonic() < deadline:
                time.sleep(min(1.0, PATIENCE_S / 10))
                now = _read(self.folder, number)
                if now.get("beat") != held.get("beat") or now.get("released", True):
                    held = now
                    break
            else:
                return
            if held.get("released", True):
                return
        message = (
            f"process {process.pid} on {process.host} writes to {self._run} ({held.get('what')}); "
            "wait until it is done, or end it and run the same again"
        )
        raise RunBusyError(message)


def _place(folder: Location, number: int) -> Location:
    return folder / f"{number:08d}.json"


def _numbers(folder: Location) -> list[int]:
    stems = (name.removesuffix(".json") for name in folder.names())
    return sorted(int(stem) for stem in stems if stem.isdecimal())


def _last(folder: Location) -> int:
    return max(_numbers(folder), default=0)


def _read(folder: Location, number: int) -> dict[str, Any]:
    """Return what a lease says; nothing where it is gone or is none."""
    try:
        found = json.loads(_place(folder, number).read())
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _started(pid: int) -> str:
    """Return when a process was started; empty where there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in {"Z", "X"} else fields[19]
