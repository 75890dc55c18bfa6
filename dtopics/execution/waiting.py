"""Blocks that wait to be sent, each perhaps at home with a worker that has what it needs."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping

from dtopics.data import Block


class Waiting:
    """Gives out blocks in their order, or each to the worker where it is at home.

    A block of a number is at home with the same worker for as long as the workers are the same. One
    that has none of its own left takes the last of the worker with most left.

    Parameters
    ----------
    blocks : iterable of Block
    threads : mapping of str to int
        Of each worker, by its address; empty where blocks are at home nowhere.

    Examples
    --------
    >>> waiting = Waiting([Block("0000", i, i, 1) for i in range(3)], {"a": 1, "b": 1})
    >>> [(block.index, home) for block, home in iter(waiting.take, None)]
    [(0, 'a'), (1, 'b'), (2, 'a')]
    """

    def __init__(self, blocks: Iterable[Block], threads: Mapping[str, int]) -> None:
        self._threads = threads
        self._sent: Counter[str | None] = Counter()
        self._left: defaultdict[str | None, deque[Block]] = defaultdict(deque)
        slots = [address for address, n in sorted(threads.items()) for _ in range(n)]
        for block in blocks:
            self._left[slots[block.index % len(slots)] if slots else None].append(block)

    def take(self) -> tuple[Block, str | None] | None:
        """Return the next block and where to send it, for the worker that has least to do."""
        if not self._threads:
            return (self._left[None].popleft(), None) if self._left[None] else None
        for home in sorted(self._threads, key=lambda a: (self._sent[a] / self._threads[a], a)):
            most = max(self._left.values(), key=len, default=deque[Block]())
            if self._left[home]:
                block = self._left[home].popleft()
            elif len(most) > 1:  # the last one is soon taken by its own
                block = most.pop()
            else:
                continue
            self._sent[home] += 1
            return block, home
        return None

    def done(self, home: str | None) -> None:
        """Say that a block is done that was sent there."""
        self._sent[home] -= 1
