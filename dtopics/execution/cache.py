"""One copy of a heavy object per worker process, loaded once however many threads ask."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")

#: A process keeps an embedding model, a reducer, a clusterer and a vocabulary, and some to spare.
MAX_OBJECTS = 8

_objects: OrderedDict[Hashable, Any] = OrderedDict()
_locks: dict[Hashable, threading.Lock] = {}
_guard = threading.Lock()
_sized: weakref.WeakSet[SizedCache] = weakref.WeakSet()


def forget() -> None:
    """Forget every object of this process, and give its memory back to the system."""
    for held in list(_sized):
        held.clear()
    with _guard:
        _objects.clear()
    gc.collect()  # models of torch hold themselves
    if "pyarrow" in sys.modules:
        sys.modules["pyarrow"].default_memory_pool().release_unused()
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def relieve(dask_worker: Any) -> None:
    """Forget every object of a Dask worker that is half full: others need the room next.

    Dask pauses a worker at four fifths, and nothing but dtopics would know what to do about it.
    """
    import psutil

    limit = dask_worker.memory_manager.memory_limit
    if limit and psutil.Process().memory_info().rss > limit / 2:
        forget()


class SizedCache:
    r"""Objects of a process, the least recently used forgotten beyond a number of bytes.

    Parameters
    ----------
    limit : int
        Bytes, by what `get` is told of each object.
    phase : str, default=""
        What the objects are for. Those of other phases are forgotten when one is asked for: a
        phase comes after the other, and a worker must not hold what the last one left.

    Examples
    --------
    >>> cache = SizedCache(100)
    >>> [cache.get(key, lambda: bytes(60), len)[:1] for key in "ab"]
    [b'\x00', b'\x00']
    >>> list(cache.objects)
    ['b']
    """

    def __init__(self, limit: int, phase: str = "") -> None:
        self.limit = limit
        self.phase = phase
        _sized.add(self)
        self.objects: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self.objects.clear()

    def get(self, key: Hashable, load: Callable[[], T], size: Callable[[T], int]) -> T:
        """Return the object for `key`, loading it where it is not there."""
        for other in list(_sized):
            if other.phase != self.phase and other.objects:
                other.clear()
        with self._lock:
            if key in self.objects:
                self.objects.move_to_end(key)
                return self.objects[key][0]  # type: ignore[no-any-return]
        value = load()
        with self._lock:
            self.objects[key] = value, size(value)
            held = sum(size for _, size in self.objects.values())
            while held > self.limit and len(self.objects) > 1:
                _, (_, freed) = self.objects.popitem(last=False)
                held -= freed
        return value


def cached(key: Hashable, load: Callable[[], T]) -> T:
    """Return the process's object for `key`, loading it the first time.

    Parameters
    ----------
    key : hashable
        Everything that the object depends on.
    load : callable
        Called without arguments, by one thread at a time, when the process has no such object.

    Returns
    -------
    object
        The same object for every caller in this process. The least recently used are forgotten.

    Examples
    --------
    >>> cached(("example", 1), list) is cached(("example", 1), list)
    True
    """
    with _guard:
        lock = _locks.setdefault(key, threading.Lock())
    with lock:
        with _guard:
            if key in _objects:
                _objects.move_to_end(key)
                return _objects[key]  # type: ignore[no-any-return]
        value = load()
        with _guard:
            _objects[key] = value
            while len(_objects) > MAX_OBJECTS:
                forgotten, _ = _objects.popitem(last=False)
                _locks.pop(forgotten, None)
        return value
