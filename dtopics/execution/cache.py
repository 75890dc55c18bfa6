"""One copy of a heavy object per worker process, loaded once however many threads ask."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")

#: A process keeps an embedding model, a reducer, a clusterer and a vocabulary, and some to spare.
MAX_OBJECTS = 8

_objects: OrderedDict[Hashable, Any] = OrderedDict()
_locks: dict[Hashable, threading.Lock] = {}
_guard = threading.Lock()


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
