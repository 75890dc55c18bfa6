from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer

from dtopics.errors import SettingError
from dtopics.representation.tokens import select_documents, token_block, tokenize_block
from dtopics.representation.vectorizer import as_counting

SPLIT = as_counting(CountVectorizer(tokenizer=str.split, token_pattern=None, lowercase=False))


def streams(block):
    words = block.vocabulary.to_pylist()
    return [
        [words[i] for i in block.ids[a:b]]
        for a, b in zip(block.offsets[:-1], block.offsets[1:], strict=True)
    ]


def parquet(table, **kwargs):
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **kwargs)
    return pq.read_table(io.BytesIO(buffer.getvalue()))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(max_size=30), max_size=6), st.integers(1, 3))
def test_streams_are_the_analyzers_tokens(texts, group):
    counting = as_counting(CountVectorizer(token_pattern=r"(?u)\w"))
    expected = [counting.tokenize(text) for text in texts]
    table = tokenize_block(texts, counting)
    assert table.num_rows == len(texts)
    assert streams(token_block(table)) == expected
    assert streams(token_block(parquet(table, row_group_size=group))) == expected


def test_schema_and_order_of_the_dictionary():
    table = tokenize_block(["b a b", "", "c a"], SPLIT)
    assert table.schema.field("tokens").type.value_type == pa.dictionary(pa.int32(), pa.string())
    block = token_block(table)
    assert block.vocabulary.to_pylist() == ["b", "a", "c"]
    assert block.ids.dtype == np.int32
    assert block.offsets.dtype == np.int64
    assert block.offsets.tolist() == [0, 3, 3, 5]


def test_a_dictionary_too_large_for_a_parquet_page():
    text = " ".join(f"a-rather-long-token-{i}" for i in range(70_000))
    table = tokenize_block([text, "a", text], SPLIT)
    assert streams(token_block(parquet(table))) == [text.split(), ["a"], text.split()]


def test_slices_and_concatenated_tables():
    table = tokenize_block(["a b", "b c", "d"], SPLIT)
    assert streams(token_block(table.slice(1, 1))) == [["b", "c"]]
    both = pa.concat_tables([table, tokenize_block(["c x"], SPLIT)])
    assert streams(token_block(both)) == [["a", "b"], ["b", "c"], ["d"], ["c", "x"]]


def test_select_documents():
    block = token_block(tokenize_block(["a b", "", "b c c", "d"], SPLIT))
    chosen = select_documents(block, np.array([3, 1, 2]))
    assert streams(chosen) == [["d"], [], ["b", "c", "c"]]
    assert streams(select_documents(block, np.array([], dtype=int))) == []


def test_surrogates_of_a_tokenizer_are_replaced_not_lost():
    broken = lambda text: ["\ud800", "\ud83d\ude00", "\udfff", "a"]  # noqa: E731
    counting = as_counting(CountVectorizer(analyzer=broken))
    assert streams(token_block(tokenize_block(["x"], counting))) == [["�", "😀", "�", "a"]]


@pytest.mark.parametrize(
    "analyzer", [lambda text: [1], lambda text: None, lambda text: [b"a"], lambda text: [["a"]]]
)
def test_tokens_that_are_not_strings(analyzer):
    counting = as_counting(CountVectorizer(analyzer=analyzer))
    with pytest.raises(SettingError, match="expected"):
        tokenize_block(["x"], counting)
