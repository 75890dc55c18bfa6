"""Rounds of blocks, one after the other, and where a broken-off run goes on."""

import threading

import numpy as np
import pytest

from dtopics.data import Block
from dtopics.errors import BlockError
from dtopics.execution.executor import InProcessExecutor
from dtopics.store import Location, Stage


def rounds_of(n_rounds, n_blocks=3):
    return [[Block(f"{r:04d}", i, 0, 2) for i in range(n_blocks)] for r in range(n_rounds)]


def stage_in(folder, n_rounds, n_blocks=3):
    segments = tuple((f"{r:04d}", n_blocks, 0) for r in range(n_rounds))
    return Stage("rounds", "f", Location(str(folder)), segments)


class Adds:
    """Each block is one more than the sum of the round before."""

    def __init__(self, stage, n_blocks=3):
        self.stage, self.n_blocks, self.done = stage, n_blocks, []

    def __call__(self, block):
        number = int(block.segment)
        before = 0
        if number:
            last = [Block(f"{number - 1:04d}", i, 0, 2) for i in range(self.n_blocks)]
            before = sum(int(self.stage.array("value", one)[0]) for one in last)
        self.done.append(block.name)
        return {"value": np.array([before + 1])}


def test_each_round_sees_the_one_before(tmp_path):
    stage, seen = stage_in(tmp_path, 4), []
    InProcessExecutor().map_rounds(stage, Adds(stage), rounds_of(4), seen.append)
    assert seen == [0, 1, 2, 3]
    assert stage.array("value", Block("0003", 1, 0, 2)).tolist() == [40]


@pytest.mark.parametrize("done", range(0, 13, 2))
def test_a_broken_off_run_does_nothing_twice(tmp_path, done):
    stage, rounds = stage_in(tmp_path, 4), rounds_of(4)
    step = Adds(stage)
    listed = [block for blocks in rounds for block in blocks]
    InProcessExecutor().map_blocks(stage, step, listed[:done])
    seen = []
    InProcessExecutor().map_rounds(stage, step, rounds, seen.append)
    assert step.done == [block.name for block in listed]
    assert seen[-1] == 3
    assert stage.array("value", Block("0003", 0, 0, 2)).tolist() == [40]


def test_what_was_discarded_stays_done(tmp_path):
    stage, rounds = stage_in(tmp_path, 4), rounds_of(4)
    step = Adds(stage)

    def after(number):
        if number:
            stage.discard(f"{number - 1:04d}")

    InProcessExecutor().map_rounds(stage, step, rounds, after)
    InProcessExecutor().map_rounds(stage, step, rounds, after)
    assert len(step.done) == 12
    kept = sorted(path.name for path in (tmp_path / "data.zarr").iterdir())
    assert kept == ["0003"]
    assert stage.done("0000") == {0, 1, 2}


@pytest.mark.parametrize("dies_after", [1, 2, 3])
def test_what_a_broken_off_run_did_not_discard_goes(tmp_path, dies_after):
    """A round's `after` is at work beside the next round, and may be lost with it."""
    stage, rounds = stage_in(tmp_path, 6), rounds_of(6)

    def after(number):
        if number:
            stage.discard(f"{number - 1:04d}")

    class Dies(Adds):
        def __call__(self, block):
            if block.name == f"{dies_after + 1:04d}/000001":
                raise KeyboardInterrupt
            return super().__call__(block)

    def lost(number):
        if number < dies_after:
            after(number)

    with pytest.raises(KeyboardInterrupt):
        InProcessExecutor().map_rounds(stage, Dies(stage), rounds, lost)
    InProcessExecutor().map_rounds(stage, Adds(stage), rounds, after)
    assert [path.name for path in (tmp_path / "data.zarr").iterdir()] == ["0005"]
    assert stage.array("value", Block("0005", 0, 0, 2)).tolist() == [364]


def test_what_comes_after_a_round_does_not_hold_up_the_next(tmp_path):
    begun, stage = threading.Event(), stage_in(tmp_path, 3)

    class Begins(Adds):
        def __call__(self, block):
            if block.segment == "0001":
                begun.set()
            return super().__call__(block)

    def after(number):
        assert number or begun.wait(20)

    InProcessExecutor().map_rounds(stage, Begins(stage), rounds_of(3), after)


def test_what_fails_after_a_round_is_said(tmp_path):
    def after(number):
        if number == 2:
            raise OSError("no")

    for n_rounds in (3, 5):
        stage = stage_in(tmp_path / str(n_rounds), n_rounds)
        with pytest.raises(OSError, match="no"):
            InProcessExecutor().map_rounds(stage, Adds(stage), rounds_of(n_rounds), after)


def test_a_round_that_fails_is_the_last(tmp_path):
    stage, seen = stage_in(tmp_path, 3), []

    class Fails(Adds):
        def __call__(self, block):
            if block.name == "0001/000002":
                raise ValueError("no")
            return super().__call__(block)

    with pytest.raises(BlockError, match="0001/000002"):
        InProcessExecutor().map_rounds(stage, Fails(stage), rounds_of(3), seen.append)
    assert seen == [0]
    assert stage.done("0001") == {0, 1}
    assert stage.done("0002") == set()
