import numpy as np
import pytest
from clustering_contract import Thirds, blobs
from sklearn.cluster import KMeans

from dtopics.clustering import HDBSCAN, as_clusterer
from dtopics.clustering.steps import FitClusterer, ImportTargets, LabelBlock, PredictBlock
from dtopics.data import Block
from dtopics.errors import RunError
from dtopics.store import Location, Stage


def a_stage(folder, name, n_rows, block_rows):
    return Stage(name, "f0", Location(str(folder / name)), (("0000", n_rows, block_rows),))


def blocks_of(n_rows, block_rows):
    starts = range(0, n_rows, block_rows)
    return [Block("0000", i, s, min(block_rows, n_rows - s)) for i, s in enumerate(starts)]


def reduced_stage(folder, X, block_rows, name="reduced"):
    stage, blocks = a_stage(folder, name, len(X), block_rows), blocks_of(len(X), block_rows)
    for block in blocks:
        rows = X[block.row_start : block.row_start + block.n_rows]
        stage.write_block(block, {"reduced": rows})
    return stage, blocks


@pytest.fixture
def points():
    """Points of which a row in ten, and a whole run of fifty, has no place."""
    X = blobs(300, 60).astype(np.float32)
    X[::10] = np.nan
    X[100:150] = np.nan
    return X


def fit(folder, X, clusterer, block_rows):
    reduced, blocks = reduced_stage(folder, X, block_rows)
    stage = a_stage(folder, "clusters", len(X), block_rows)
    stage.write_whole(FitClusterer(clusterer, reduced, blocks)(stage))
    found = [
        np.concatenate([stage.array(name, block) for block in blocks])
        for name in ("labels", "probabilities")
    ]
    return stage, blocks, found


@pytest.mark.parametrize("block_rows", [50, 77, 1_000])
def test_rows_without_a_place_are_outliers_and_change_nothing(tmp_path, points, block_rows):
    _, _, (labels, probabilities) = fit(tmp_path, points, HDBSCAN(8).clusterer(), block_rows)
    placed = np.isfinite(points).all(axis=1)
    expected = HDBSCAN(8).fit(points[placed])
    np.testing.assert_array_equal(labels[placed], expected.labels_)
    np.testing.assert_array_equal(probabilities[placed], expected.probabilities_)
    np.testing.assert_array_equal(labels[~placed], -1)
    np.testing.assert_array_equal(probabilities[~placed], 0)
    assert (labels.dtype, probabilities.dtype) == (np.int32, np.float32)


@pytest.mark.parametrize("given", [HDBSCAN(8), KMeans(3)], ids=["hdbscan", "k-means"])
def test_new_blocks_are_labelled_by_the_stored_model(tmp_path, points, given):
    clusterer = as_clusterer(given, random_state=0)
    stage, _, _ = fit(tmp_path, points, clusterer, 100)
    new = blobs(seed=9).astype(np.float32)
    new[5] = np.nan
    reduced, blocks = reduced_stage(tmp_path, new, 64, "new")
    parts = [PredictBlock(reduced, stage)(block) for block in blocks]
    model = clusterer.fit(points[np.isfinite(points).all(axis=1)])
    labels = np.concatenate([part["labels"] for part in parts])
    np.testing.assert_array_equal(np.delete(labels, 5), model.predict(np.delete(new, 5, axis=0))[0])
    assert labels[5] == -1


def test_a_stored_pickle_needs_trust(tmp_path, points):
    stage, _, _ = fit(tmp_path, points, as_clusterer(Thirds()), 100)
    reduced, blocks = reduced_stage(tmp_path, blobs().astype(np.float32), 360, "new")
    with pytest.raises(RunError, match="trust=True"):
        PredictBlock(reduced, stage)(blocks[0])
    labels = PredictBlock(reduced, stage, trust=True)(blocks[0])["labels"]
    np.testing.assert_array_equal(labels, Thirds().predict(blobs().astype(np.float32)))


@pytest.mark.parametrize("n_rows", [1, 4])
def test_no_row_has_a_place(tmp_path, n_rows):
    X = np.full((n_rows, 3), np.nan, np.float32)
    stage, _, (labels, _) = fit(tmp_path, X, HDBSCAN(8).clusterer(), 2)
    np.testing.assert_array_equal(labels, -1)
    reduced, blocks = reduced_stage(tmp_path, np.zeros((2, 3), np.float32), 2, "new")
    np.testing.assert_array_equal(PredictBlock(reduced, stage)(blocks[0])["labels"], -1)


def test_given_classes_are_the_labels(tmp_path):
    y = np.array([3, -1, 0, 2, 2])
    targets, blocks = a_stage(tmp_path, "targets", 5, 2), blocks_of(5, 2)
    step = ImportTargets(lambda start, n_rows: y[start : start + n_rows])
    for block in blocks:
        targets.write_block(block, step(block))
    found = [LabelBlock(targets)(block) for block in blocks]
    np.testing.assert_array_equal(np.concatenate([part["labels"] for part in found]), y)
    assert found[0]["labels"].dtype == np.int32
    assert found[0]["probabilities"].tolist() == [1, 1]
