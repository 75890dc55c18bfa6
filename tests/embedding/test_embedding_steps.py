"""The block steps, on stages in a folder."""

from typing import ClassVar

import google_crc32c
import numpy as np
import pyarrow as pa
import pytest
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline

from dtopics.data import Block, Documents
from dtopics.embedding import as_embedder
from dtopics.embedding.given import ArrayRows
from dtopics.embedding.steps import (
    EmbedBlock,
    FitEmbedder,
    ImportBlock,
    StoredEmbedder,
    store_as,
)
from dtopics.errors import DamagedError, EmbeddingError
from dtopics.store import Location, Stage
from dtopics.testing import HashingEmbedder

TEXTS = ["apple pie", "", "apple tree", " \n\t", "a tree by the sea", "sea", "", "apple sea pie"]
BLOCKS = [Block("0000", 0, 0, 5), Block("0000", 1, 5, 3)]


class Reader:
    """Reads from a list."""

    def __init__(self, texts):
        self.texts = texts

    def __call__(self, block):
        texts = self.texts[block.row_start : block.row_start + block.n_rows]
        return Documents(texts, pa.array(range(len(texts))))


class Counting(HashingEmbedder):
    """Remembers what it was asked."""

    seen: ClassVar = []

    def encode(self, texts):
        self.seen.extend(texts)
        return super().encode(texts)


def a_stage(folder, name="stage", n_rows=8):
    return Stage(name, "f0", Location(str(folder / name)), (("0000", n_rows, 5),))


def documents(folder):
    stage = a_stage(folder, "documents")
    for block in BLOCKS:
        texts = TEXTS[block.row_start : block.row_start + block.n_rows]
        empty = pa.table({"empty": [not text.strip() for text in texts]})
        stage.write_block(block, {"documents": empty})
    return stage


def test_a_block_is_embedded_in_the_order_of_its_rows(tmp_path):
    stage, step = a_stage(tmp_path), EmbedBlock(Reader(TEXTS), HashingEmbedder(16))
    for block in BLOCKS:
        stage.write_block(block, step(block))
    found = np.concatenate([stage.array("embeddings", block) for block in BLOCKS])
    assert found.dtype == np.float16
    np.testing.assert_array_equal(found, HashingEmbedder(16).encode(TEXTS).astype(np.float16))


def test_an_empty_document_costs_nothing(monkeypatch):
    monkeypatch.setattr(Counting, "seen", [])
    found = EmbedBlock(Reader(TEXTS), Counting(16))(BLOCKS[0])["embeddings"]
    assert Counting.seen == ["apple pie", "apple tree", "a tree by the sea"]
    np.testing.assert_array_equal(found[[1, 3]], 0)


def test_a_block_of_empty_documents_has_the_width_of_the_others():
    found = EmbedBlock(Reader([""] * 5), HashingEmbedder(16))(BLOCKS[0])["embeddings"]
    np.testing.assert_array_equal(found, np.zeros((5, 16), np.float16))


def test_float32_where_it_is_asked_for():
    found = EmbedBlock(Reader(TEXTS), HashingEmbedder(16), "float32")(BLOCKS[1])["embeddings"]
    np.testing.assert_array_equal(found, HashingEmbedder(16).encode(TEXTS[5:]))
    assert found.dtype == np.float32


class Large:
    def encode(self, texts):
        return np.full((len(texts), 2), -70_000.0)


def test_what_float16_cannot_hold():
    with pytest.raises(EmbeddingError, match=r"block 0000/000001 reach 70000, more than float16"):
        EmbedBlock(Reader(TEXTS), as_embedder(Large()))(BLOCKS[1])
    found = EmbedBlock(Reader(TEXTS), as_embedder(Large()), "float32")(BLOCKS[1])["embeddings"]
    assert found[0, 0] == -70_000
    edge = np.array([[65_504.0, -65_504.0]], np.float32)
    np.testing.assert_array_equal(store_as(edge, "float16", BLOCKS[0]), edge)
    none = store_as(np.zeros((0, 2), np.float32), "float16", BLOCKS[0])
    assert none.shape == (0, 2)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_given_rows_of_empty_documents_become_zeros(tmp_path, dtype):
    given = HashingEmbedder(4).encode(TEXTS).astype(np.float64)
    given[1], given[6, 2], given[3] = np.nan, np.inf, 0.5
    before = given.copy()
    step, stage = ImportBlock(ArrayRows(given), documents(tmp_path), dtype), a_stage(tmp_path)
    for block in BLOCKS:
        stage.write_block(block, step(block))
    found = np.concatenate([stage.array("embeddings", block) for block in BLOCKS])
    expected = given.astype(dtype)
    expected[[1, 6]] = 0
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == dtype
    np.testing.assert_array_equal(given, before)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_given_rows_of_other_documents_must_be_finite(tmp_path, bad):
    given = np.ones((8, 4), np.float32)
    given[1] = np.nan
    given[5, 0], given[7, 3] = bad, bad
    step = ImportBlock(ArrayRows(given), documents(tmp_path), "float32")
    step(BLOCKS[0])
    with pytest.raises(EmbeddingError, match=r"2 embeddings of block 0000/000001 .*first at row 5"):
        step(BLOCKS[1])


def test_given_numbers_that_float32_cannot_hold(tmp_path):
    step = ImportBlock(ArrayRows(np.full((8, 2), 1e300)), documents(tmp_path), "float32")
    with pytest.raises(EmbeddingError, match="first at row 0"):
        step(BLOCKS[0])
    step = ImportBlock(ArrayRows(np.full((8, 2), 1e5)), documents(tmp_path), "float16")
    with pytest.raises(EmbeddingError, match="normalise them"):
        step(BLOCKS[0])


def test_given_rows_that_went_missing(tmp_path):
    step = ImportBlock(ArrayRows(np.ones((6, 2))), documents(tmp_path), "float32")
    with pytest.raises(
        EmbeddingError, match=r"1 embeddings for the 3 documents of block 0000/0000"
    ):
        step(BLOCKS[1])


def fitted_stage(folder, rows=(0, 2, 4, 2)):
    sample, stage = a_stage(folder, "sample"), a_stage(folder, "embedder")
    position, row = [0, 0, 0, 1], list(rows)
    sample.write_whole({"rows": pa.table({"block": position, "row": row})})
    pipeline = make_pipeline(TfidfVectorizer(), TruncatedSVD(2))
    step = FitEmbedder(as_embedder(pipeline, random_state=3), Reader(TEXTS), BLOCKS, sample)
    return stage, stage.write_whole(step(stage))


def test_a_pipeline_is_fit_on_the_sample_and_kept(tmp_path):
    stage, receipt = fitted_stage(tmp_path)
    pipeline = make_pipeline(TfidfVectorizer(), TruncatedSVD(2, random_state=3))
    expected = pipeline.fit([TEXTS[row] for row in (0, 2, 4, 7)]).transform(TEXTS)
    stored = StoredEmbedder(stage, receipt.notes["sha256"])
    np.testing.assert_allclose(stored.encode(TEXTS), expected, atol=1e-6)
    assert stored.describe() == {"fitted": "f0"}
    found = EmbedBlock(Reader(TEXTS), stored)(BLOCKS[1])["embeddings"]
    np.testing.assert_allclose(found, np.where(expected[5:] == 0, 0, expected[5:]), atol=1e-3)


def test_a_pickle_that_was_changed_is_not_opened(tmp_path):
    stage, receipt = fitted_stage(tmp_path)
    (chunk,) = (tmp_path / "embedder/data.zarr/whole/pickle/c").glob("*")
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 1
    chunk.write_bytes(bytes(data))
    with pytest.raises(DamagedError, match="not as it was written"):
        StoredEmbedder(stage, receipt.notes["sha256"]).encode(["a"])
    data[-4:] = google_crc32c.value(bytes(data[:-4])).to_bytes(4, "little")  # on purpose
    chunk.write_bytes(bytes(data))
    with pytest.raises(EmbeddingError, match="was changed; it is not opened"):
        StoredEmbedder(stage, receipt.notes["sha256"]).encode(["a"])
