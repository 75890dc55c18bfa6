"""Environment variables for the processes that are started meanwhile."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping


@contextlib.contextmanager
def variables(chosen: Mapping[str, str]) -> Iterator[None]:
    """Set variables inside the ``with``, and what they were after it.

    Examples
    --------
    >>> with variables({"DTOPICS_EXAMPLE": "1"}):
    ...     os.environ["DTOPICS_EXAMPLE"]
    '1'
    >>> "DTOPICS_EXAMPLE" in os.environ
    False
    """
    before = {name: os.environ.get(name) for name in chosen}
    os.environ.update(chosen)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
