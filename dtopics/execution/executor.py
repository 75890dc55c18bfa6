"""The executor's protocol, and the one that needs no cluster."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from dtopics.data import Block
from dtopics.errors import BlockError, DTopicsError
from dtopics.execution import quarantine
from dtopics.execution.progress import Progress, SilentProgress
from dtopics.execution.steps import GlobalStep, do_block, do_whole
from dtopics.execution.threads import available_cores
from dtopics.protocols import BlockStep
from dtopics.store import Stage

T = TypeVar("T")
R = TypeVar("R")


class Executor(Protocol):
    """Runs steps; the same steps give the same data under any executor."""

    def map_blocks(
        self, stage: Stage, step: BlockStep, blocks: Sequence[Block], *, accelerated: bool = False
    ) -> None:
        """Do every block that has no receipt.

        Parameters
        ----------
        stage : Stage
        step : BlockStep
        blocks : sequence of Block
        accelerated : bool
            Whether the step belongs on the workers that have the resource ``GPU``, if any has.

        Raises
        ------
        BlockError
            Names the blocks that failed every time, after all others are done.
        """
        ...

    def map_rounds(
        self,
        stage: Stage,
        step: BlockStep,
        rounds: Sequence[Sequence[Block]],
        after: Callable[[int], None],
    ) -> None:
        """Do rounds of blocks one after the other, each when the one before is done.

        Parameters
        ----------
        stage : Stage
        step : BlockStep
        rounds : sequence of sequence of Block
            Each in a segment of its own.
        after : callable
            Told the number of each round that is done, in turn, while the next one is at work;
            where a run was broken off, also of some that it was told of before.
        """
        ...

    def run(self, stage: Stage, step: GlobalStep, *, accelerated: bool = False) -> None:
        """Do a global step that has no receipt; `accelerated` as in `map_blocks`."""
        ...

    def map(
        self, function: Callable[[T], R], items: Iterable[T], *, accelerated: bool = False
    ) -> Iterator[R]:
        """Return small results in the order of the items."""
        ...

    def forget(self) -> None:
        """Have forgotten what was kept between steps: those that follow read other things."""
        ...

    def require(self, check: Callable[[int], None]) -> None:
        """Have the bytes of the smallest worker's memory checked before the first task.

        Parameters
        ----------
        check : callable
            Raises where they are too few.
        """
        ...


class InProcessExecutor:
    """Runs every step in this process; for small corpora and for `memory://` runs.

    Parameters
    ----------
    progress : Progress, optional
    """

    def __init__(self, progress: Progress | None = None) -> None:
        self.progress = progress or SilentProgress()

    def map_blocks(
        self,
        stage: Stage,
        step: BlockStep,
        blocks: Sequence[Block],
        *,
        accelerated: bool = False,  # noqa: ARG002
    ) -> None:
        """Do every block that has no receipt, in order."""
        todo = blocks_to_do(stage, blocks)
        with staged(self.progress, stage, blocks, todo):
            self._do(stage, step, todo)

    def map_rounds(
        self,
        stage: Stage,
        step: BlockStep,
        rounds: Sequence[Sequence[Block]],
        after: Callable[[int], None],
    ) -> None:
        """Do rounds of blocks one after the other."""
        do_rounds(self.progress, stage, rounds, lambda todo: self._do(stage, step, todo), after)

    def _do(self, stage: Stage, step: BlockStep, todo: Sequence[Block]) -> None:
        failures: dict[str, BaseException] = {}
        for block in todo:
            try:
                do_block(step, stage, block, available_cores())
            except DTopicsError:
                raise
            except Exception as error:  # noqa: BLE001 (named in the report below)
                self._isolate(stage, step, block, error, failures)
            self.progress.advance(stage.name, rows=block.n_rows)
        raise_failures(stage, failures)

    def _isolate(
        self,
        stage: Stage,
        step: Any,
        block: Block,
        error: BaseException,
        failures: dict[str, BaseException],
    ) -> None:
        """Do a block without the documents that it fails on; it has failed if that does not go."""

        def fails(rows: Collection[int]) -> BaseException | None:
            try:
                quarantine.withholding(step, rows)(block)
            except Exception as found:  # noqa: BLE001 (told from one row to the next)
                return found
            return None

        without = quarantine.without(step, block, fails, stage.location.without_secrets)
        if without is None:
            failures[block.name] = error
            return
        do_block(without, stage, block, available_cores())

    def run(
        self,
        stage: Stage,
        step: GlobalStep,
        *,
        accelerated: bool = False,  # noqa: ARG002
    ) -> None:
        """Do a global step that has no receipt."""
        reused = stage.whole_receipt() is not None
        self.progress.start(stage.name, blocks=1, rows=0, done=int(reused))
        if not reused:
            do_whole(step, stage)
            self.progress.advance(stage.name, rows=0)
        self.progress.finish(stage.name, reused=reused)

    def map(
        self,
        function: Callable[[T], R],
        items: Iterable[T],
        *,
        accelerated: bool = False,  # noqa: ARG002
    ) -> Iterator[R]:
        """Return results in the order of the items."""
        return map(function, items)

    def forget(self) -> None:
        """Do nothing: what a corpus for one process leaves is small, and goes with the next."""

    def require(self, check: Callable[[int], None]) -> None:
        """Have this process's memory checked: the machine's, or its container's."""
        from distributed.system import MEMORY_LIMIT

        check(MEMORY_LIMIT)


def blocks_to_do(stage: Stage, blocks: Sequence[Block]) -> list[Block]:
    """Return the blocks that have no receipt."""
    done = {segment: stage.done(segment) for segment in {block.segment for block in blocks}}
    return [block for block in blocks if block.index not in done[block.segment]]


def do_rounds(
    progress: Progress,
    stage: Stage,
    rounds: Sequence[Sequence[Block]],
    do: Callable[[Sequence[Block]], None],
    after: Callable[[int], None],
) -> None:
    """Have each round done that is not, in turn; what is before a finished one is finished."""

    def untouched(number: int) -> bool:
        return len(blocks_to_do(stage, rounds[number])) == len(rounds[number])

    # The last that was begun, and the one before it, whose `after` may not have come to its end.
    first = max(0, bisect.bisect_left(range(len(rounds)), x=True, key=untouched) - 2)
    todo = [blocks_to_do(stage, blocks) for blocks in rounds[first : first + 2]]
    following = rounds[first + 2 :]
    blocks = [block for blocks in rounds for block in blocks]
    with (
        staged(progress, stage, blocks, [b for of in (*todo, *following) for b in of]),
        ThreadPoolExecutor(1) as aside,
    ):
        told = aside.submit(lambda: None)
        for number, of_round in enumerate((*todo, *following), first):
            do(of_round)
            told.result()
            told = aside.submit(after, number)
        told.result()


class staged:  # noqa: N801 (used as a with statement)
    """Tells the progress when a stage starts and, where nothing was raised, finishes."""

    def __init__(
        self, progress: Progress, stage: Stage, blocks: Sequence[Block], todo: Sequence[Block]
    ) -> None:
        self.progress, self.stage, self.todo = progress, stage, todo
        rows = sum(block.n_rows for block in blocks)
        progress.start(stage.name, blocks=len(blocks), rows=rows, done=len(blocks) - len(todo))

    def __enter__(self) -> None:
        """Nothing more to do."""

    def __exit__(self, kind: Any, *_: object) -> None:
        """Finish the stage."""
        if kind is None:
            self.progress.finish(self.stage.name, reused=not self.todo)


def raise_failures(stage: Stage, errors: Mapping[str, BaseException]) -> None:
    """Record failures and raise BlockError, where there are any; the first is its cause."""
    if not errors:
        return
    hide = stage.location.without_secrets
    failures = {name: hide(f"{type(error).__name__}: {error}") for name, error in errors.items()}
    stage.record_failures(failures)
    lines = [f"  {name}: {reason}" for name, reason in sorted(failures.items())[:10]]
    more = f"\n  and {len(failures) - 10} more" if len(failures) > 10 else ""
    message = (
        f"{stage.name}: {len(failures)} blocks failed every time; all others are kept. Mend the "
        "cause and run the same command again.\n" + "\n".join(lines) + more
    )
    raise BlockError(message, failures) from errors[min(errors)]
