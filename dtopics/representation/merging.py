"""Sums of many parts in memory that follows the sum, not the number of parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")

#: How many rows wait, at least, before they are summed.
WAITING_ROWS = 1 << 20


def merge_by_size(
    merge: Callable[[Sequence[T]], T], parts: Iterable[T], size: Callable[[T], int]
) -> T:
    """Merge parts whenever a quarter as many rows wait as the sum has, or `WAITING_ROWS`.

    Each row is so merged a few times only, whatever the number of parts.

    Parameters
    ----------
    merge : callable
        From parts to their sum; the grouping must not matter.
    parts : iterable
        At least one.
    size : callable
        Rows of a part.
    """
    merged: T | None = None
    waiting: list[T] = []
    n_waiting = 0
    for part in parts:
        waiting.append(part)
        n_waiting += size(part)
        if n_waiting > max(WAITING_ROWS, 0 if merged is None else size(merged) // 4):
            merged = merge(waiting if merged is None else [merged, *waiting])
            waiting, n_waiting = [], 0
    return merge(waiting if merged is None else [merged, *waiting])
