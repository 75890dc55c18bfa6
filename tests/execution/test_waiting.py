"""Which block is sent next, and where."""

from hypothesis import given, settings
from hypothesis import strategies as st

from dtopics.data import Block
from dtopics.execution import waiting as waiting_module
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
    assert len(taken) == 9
    assert {len(batch) for batch, _ in taken} == {10, 11, 12}
    assert all(len({block.index % 3 for block in batch}) == 1 for batch, _ in taken)


def test_one_that_is_done_takes_from_one_that_is_behind(monkeypatch):
    monkeypatch.setattr(waiting_module, "BATCHES", 5)
    waiting = Waiting(blocks_of(10), {"a": 1, "b": 1})
    for _ in range(4):
        waiting.take()
    found = []
    while True:  # all that is sent to a takes for ever
        waiting.done("b")
        following = waiting.take()
        if following is None:
            break
        found.append((following[0][0].index, following[1]))
    # the last of its own is left to a
    assert found == [(5, "b"), (7, "b"), (9, "b"), (8, "b"), (6, "b"), (4, "a")]


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
