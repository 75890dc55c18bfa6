"""Runs of blocks."""

from hypothesis import given
from hypothesis import strategies as st

from dtopics.data import Block
from dtopics.store import even_spans


def plan(rows):
    return [Block("0000", i, sum(rows[:i]), n) for i, n in enumerate(rows)]


@given(rows=st.lists(st.integers(1, 50), min_size=1, max_size=40), n=st.integers(1, 12))
def test_even_spans(rows, n):
    blocks = plan(rows)
    spans = even_spans(blocks, n)
    assert [block for span in spans for block in span] == blocks
    assert all(spans)
    assert len(spans) <= n
    for span in spans:  # each end is within half a block of where it should be
        assert sum(block.n_rows for block in span) <= sum(rows) / n + max(rows)


@given(n_blocks=st.integers(1, 100), n=st.integers(1, 12))
def test_blocks_of_one_size_are_one_apart(n_blocks, n):
    sizes = [len(span) for span in even_spans(plan([7] * n_blocks), n)]
    assert len(sizes) == min(n, n_blocks)
    assert max(sizes) - min(sizes) <= 1
