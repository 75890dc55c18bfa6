"""Which block is sent next, and where."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtopics.data import Block
from dtopics.execution.waiting import Waiting


def blocks_of(n):
    return [Block("0000", i, i, 1) for i in range(n)]


def test_in_order_where_no_block_is_at_home():
    waiting = Waiting(blocks_of(3), {})
    assert [waiting.take() for _ in range(4)] == [*(((b,), None) for b in blocks_of(3)), None]


def test_a_worker_of_two_threads_has_twice_as_many():
    waiting = Waiting(blocks_of(9), {"a": 2, "b": 1})
    taken = [waiting.take() for _ in range(9)]
    assert sorted(b.index for batch, home in taken if home == "b" for b in batch) == [2, 5, 8]


def test_many_are_sent_in_few_tasks():
    waiting = Waiting(blocks_of(100), {"a": 2, "b": 1})
    taken = list(iter(waiting.take, None))
    sizes = [len(batch) for batch, home in taken if home == "b"]
    assert sizes == [11, 8, 5, 3, 2, 2, 1, 1]
    assert len(taken) < 27
    assert all(len({block.index % 3 for block in batch}) == 1 for batch, _ in taken)


def test_one_that_is_done_takes_from_one_that_is_behind():
    waiting = Waiting(blocks_of(20), {"a": 1, "b": 1})
    for _ in range(4):
        waiting.take()
    found = []
    while True:  # all that is sent to a takes for ever
        waiting.done("b")
        following = waiting.take()
        if following is None:
            break
        found.append(([block.index for block in following[0]], following[1]))
    # its own, then what a has left, the last first
    assert [home for _, home in found] == ["b"] * 6
    assert [numbers for numbers, _ in found] == [[13, 15], [17], [19], [18], [16], [12, 14]]


@pytest.mark.parametrize(("n", "slower"), [(12, 1.5), (40, 1.5), (40, 3.0), (120, 1.2)])
def test_a_slow_worker_is_relieved(n, slower):
    """Each worker does one task at a time; two for each are sent."""
    waiting, sent, ends, now = Waiting(blocks_of(n), {"a": 1, "b": 1}), {"a": [], "b": []}, {}, 0.0
    while True:
        while sum(map(len, sent.values())) < 4 and (following := waiting.take()) is not None:
            batch, home = following
            sent[home].append(len(batch) * (slower if home == "b" else 1.0))
        for home, listed in sent.items():
            if listed and home not in ends:
                ends[home] = now + listed[0]
        if not ends:
            break
        home = min(ends, key=ends.get)
        now = ends.pop(home)
        sent[home].pop(0)
        waiting.done(home)
    unrelieved, best = n / 2 * slower, n / (1 + 1 / slower)
    assert now <= best + 0.5 * (unrelieved - best)


def test_blocks_that_failed_together_are_sent_one_by_one():
    waiting = Waiting(blocks_of(8), {"a": 1, "b": 1})
    first, home = waiting.take()
    waiting.done(home)
    waiting.apart(first)
    taken = list(iter(waiting.take, None))
    assert sorted(b.index for batch, _ in taken for b in batch) == list(range(8))
    assert {(block,) for block in first} <= {batch for batch, _ in taken}


@settings(deadline=None)
@given(
    n=st.integers(0, 30),
    threads=st.dictionaries(st.sampled_from("abcde"), st.integers(1, 3)),
    data=st.data(),
)
def test_each_is_taken_once_whoever_is_fast(n, threads, data):
    waiting, running, seen = Waiting(blocks_of(n), threads), [], []
    while True:
        while len(running) < 4 and (following := waiting.take()) is not None:
            running.append(following)
        if not running:
            break
        batch, home = running.pop(data.draw(st.integers(0, len(running) - 1)))
        assert home in (threads or {None})
        waiting.done(home)
        seen += [block.index for block in batch]
    assert sorted(seen) == list(range(n))
