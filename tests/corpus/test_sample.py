"""The sample that a reducer is fitted on, against its definition."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtopics.corpus.steps import DrawSample, mix, text_hash
from dtopics.data import Block
from dtopics.errors import CorpusError


class Documents:
    """Stands for the stage of documents."""

    def __init__(self, texts):
        self.texts = texts

    def table(self, _name, block, columns):
        texts = self.texts[block.row_start : block.row_start + block.n_rows]
        found = {
            "text_hash": pa.array([text_hash(text) for text in texts], pa.uint64()),
            "empty": pa.array([not text for text in texts], pa.bool_()),
        }
        return pa.table({name: found[name] for name in columns})


def drawn(texts, rows, size, seed):
    """Return the numbers of the documents drawn, and whether they are all that are not empty."""
    starts = range(0, len(texts), rows)
    blocks = [Block("0000", i, s, min(rows, len(texts) - s)) for i, s in enumerate(starts)]
    found = DrawSample(Documents(texts), blocks, size, seed)(None)
    table = found["rows"]
    places = zip(table["block"].to_pylist(), table["row"].to_pylist(), strict=True)
    return [blocks[block].row_start + row for block, row in places], found["about"]["whole"]


@settings(deadline=None)
@given(
    texts=st.lists(st.text("abc", max_size=3), min_size=1, max_size=60),
    rows=st.integers(1, 20),
    size=st.integers(1, 30),
    seed=st.integers(0, 3),
)
def test_the_least_hashes_each_by_its_first_row(texts, rows, size, seed):
    filled = [row for row, text in enumerate(texts) if text]
    if not filled:
        with pytest.raises(CorpusError, match="empty"):
            drawn(texts, rows, size, seed)
        return
    whole = len(filled) <= size
    expected = filled
    if not whole:
        first = {text: row for row, text in reversed(list(enumerate(texts))) if text}
        keys = {t: int(mix(np.array([text_hash(t)], np.uint64), seed)[0]) for t in first}
        expected = sorted(first[text] for text in sorted(first, key=keys.__getitem__)[:size])
    assert drawn(texts, rows, size, seed) == (expected, whole)
