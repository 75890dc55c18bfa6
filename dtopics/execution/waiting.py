"""Blocks that wait to be sent, each perhaps at home with a worker that has what it needs."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from dtopics.data import Block

#: Blocks of one task.
Batch: TypeAlias = tuple[Block, ...]

#: A task takes one of so many parts of what is left of the blocks at home with a thread. Each costs
#: scheduler and client some milliseconds, whatever it does; but what one has, no other can take.
PARTS = 3


class Waiting:
    """Gives out blocks one by one in their order, or some at once to the worker where they belong.

    A block of a number is at home with the same worker for as long as the workers are the same. One
    that has none of its own left takes the last of the worker with most left: the smallest task.

    Parameters
    ----------
    blocks : iterable of Block
    threads : mapping of str to int
        Of each worker, by its address; empty where blocks are at home nowhere.

    Examples
    --------
    >>> waiting = Waiting([Block("0000", i, i, 1) for i in range(8)], {"a": 1, "b": 1})
    >>> [([b.index for b in batch], home) for batch, home in iter(waiting.take, None)]
    [([0, 2], 'a'), ([1, 3], 'b'), ([4], 'a'), ([5], 'b'), ([6], 'a'), ([7], 'b')]
    """

    def __init__(self, blocks: Iterable[Block], threads: Mapping[str, int]) -> None:
        self._threads = threads
        self._sent: Counter[str | None] = Counter()
        self._left: defaultdict[str | None, deque[Batch]] = defaultdict(deque)
        slots = [address for address, n in sorted(threads.items()) for _ in range(n)]
        if not slots:
            self._left[None].extend((block,) for block in blocks)
            return
        listed = list(blocks)
        of_slots = [
            [block for block in listed if block.index % len(slots) == slot]
            for slot in range(len(slots))
        ]
        for of_all in itertools.zip_longest(*map(_batches, of_slots), fillvalue=()):
            for address, batch in zip(slots, of_all, strict=True):
                if batch:
                    self._left[address].append(batch)

    def take(self) -> tuple[Batch, str | None] | None:
        """Return the next blocks and where to send them, for the worker that has least to do."""
        if not self._threads:
            return (self._left[None].popleft(), None) if self._left[None] else None
        for home in sorted(self._threads, key=lambda a: (self._sent[a] / self._threads[a], a)):
            most = max(self._left.values(), key=len, default=deque[Batch]())
            if self._left[home]:
                batch = self._left[home].popleft()
            elif most:
                batch = most.pop()
            else:
                continue
            self._sent[home] += 1
            return batch, home
        return None

    def done(self, home: str | None) -> None:
        """Say that what was sent there once is done."""
        self._sent[home] -= 1

    def apart(self, batch: Batch) -> None:
        """Have blocks that were sent together wait to be sent each by itself."""
        self._left[None].extend((block,) for block in batch)


def _batches(blocks: list[Block]) -> list[Batch]:
    """Return runs of blocks, the longest first."""
    found: list[Batch] = []
    while blocks:
        size = -(-len(blocks) // PARTS)
        found.append(tuple(blocks[:size]))
        blocks = blocks[size:]
    return found
