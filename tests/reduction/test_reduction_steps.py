"""The steps, on stages in a folder: what becomes of rows that cannot be compared."""

import numpy as np
import pyarrow as pa
import pytest

from dtopics.data import Block
from dtopics.errors import EmbeddingError
from dtopics.pipeline import fit_bounds
from dtopics.reduction import UMAP
from dtopics.reduction.none import NoReduction
from dtopics.reduction.steps import FitReducer, ReduceBlock
from dtopics.store import Location, Stage

ROWS = 20
BLOCKS = [Block("0000", 0, 0, ROWS), Block("0000", 1, ROWS, ROWS)]
ZERO = {0, 7, 25, 39}
EMPTY = {3, 25}


class Stages:
    """A corpus of 40 vectors in two blocks; some are zero, some documents are empty."""

    def __init__(self, folder, dtype, zero=ZERO):
        self.folder = folder
        vectors = np.random.default_rng(0).normal(size=(2 * ROWS, 4))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors[sorted(zero | EMPTY)] = 0
        self.vectors = vectors.astype(dtype)
        self.empty = np.isin(np.arange(2 * ROWS), sorted(EMPTY))
        self.embeddings, self.documents = self.stage("embeddings"), self.stage("documents")
        self.sample = self.stage("sample")
        for block in BLOCKS:
            rows = slice(block.row_start, block.row_start + block.n_rows)
            self.embeddings.write_block(block, {"embeddings": self.vectors[rows]})
            empty = pa.table({"empty": self.empty[rows]})
            self.documents.write_block(block, {"documents": empty})

    def stage(self, name):
        return Stage(name, "f0", Location(str(self.folder / name)), (("0000", 2 * ROWS, ROWS),))

    def reduced(self, reducer, *, whole, y=None):
        filled = np.flatnonzero(~self.empty) if whole else np.array([0, 1, 2, 30, 31, 39])
        rows = pa.table({"block": filled // ROWS, "row": filled % ROWS})
        self.sample.write_whole({"rows": rows, "about": {"whole": whole}})
        model = self.stage("reducer")
        step = FitReducer(reducer, self.embeddings, BLOCKS, self.sample, y)
        self.receipt = model.write_whole(step(model))
        bounds = fit_bounds(self.sample, model, BLOCKS)
        place = ReduceBlock(self.embeddings, self.documents, model, bounds)
        self.notes = [place(block)["notes"]["aimless"] for block in BLOCKS]
        return np.concatenate([place(block)["reduced"] for block in BLOCKS])


@pytest.mark.parametrize("whole", [True, False])
def test_a_zero_vector_of_unit_ones_is_as_an_empty_document(tmp_path, whole):
    stages = Stages(tmp_path, np.float16)
    found = stages.reduced(NoReduction(), whole=whole)
    nowhere = np.isnan(found).all(axis=1)
    np.testing.assert_array_equal(np.flatnonzero(nowhere), sorted(ZERO | EMPTY))
    np.testing.assert_array_equal(found[~nowhere], stages.vectors[~nowhere])
    assert stages.notes == [2, 1]
    expected = {"0000/000000": 2, "0000/000001": 1} if whole else {"0000/000000": 1,
                                                                   "0000/000001": 1}  # fmt: skip
    assert stages.receipt.notes["aimless"] == expected


def test_classes_stay_beside_their_rows(tmp_path):
    class Told(NoReduction):
        def fit(self, X, y=None):
            self.seen.append((X, y))
            return super().fit(X)

    Told.seen = []
    stages = Stages(tmp_path, np.float16)
    targets = stages.stage("targets")
    for block in BLOCKS:
        targets.write_block(block, {"y": np.arange(block.row_start, block.row_start + ROWS)})
    stages.reduced(Told(), whole=True, y=targets)
    ((X, y),) = Told.seen
    np.testing.assert_array_equal(X, stages.vectors[y])
    assert set(y.tolist()) == set(range(2 * ROWS)) - ZERO - EMPTY


def test_a_zero_vector_has_no_direction_for_the_cosine(tmp_path):
    found = Stages(tmp_path, np.float32).reduced(UMAP(n_neighbors=5), whole=True)
    assert set(np.flatnonzero(np.isnan(found).any(axis=1))) == ZERO | EMPTY


def test_the_origin_is_a_point_of_vectors_of_any_length(tmp_path):
    stages = Stages(tmp_path, np.float32)
    found = stages.reduced(NoReduction(), whole=True)
    assert set(np.flatnonzero(np.isnan(found).any(axis=1))) == EMPTY
    np.testing.assert_array_equal(found[7], np.zeros(4))
    assert stages.notes == [0, 0]


def test_vectors_that_are_all_zero(tmp_path):
    stages = Stages(tmp_path, np.float16, zero=set(range(2 * ROWS)))
    with pytest.raises(EmbeddingError, match="the vectors of all documents are zero"):
        stages.reduced(NoReduction(), whole=True)
