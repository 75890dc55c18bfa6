"""HDBSCAN over a run directory, in any number of parts: what one process finds, bit for bit."""

import dask
import numpy as np
import pytest
from clustering_contract import blobs, same_labels

from dtopics.clustering import HDBSCAN
from dtopics.clustering.distributed import PartsModel
from dtopics.clustering.steps import PredictBlock, cluster_points, clusterer_model
from dtopics.execution import InProcessExecutor
from dtopics.store import Location, Run


def noisy(n_points=1_500, seed=0, n_components=3):
    """Points of which a row in ten, and a whole run of fifty, has no place."""
    X = blobs(n_points, n_points // 4, seed, n_components, 9).astype(np.float32)
    X[::10] = np.nan
    X[100:150] = np.nan
    return X


def run_of(folder, X, block_rows=200):
    """Return a run with a stage of reduced points, and its blocks."""
    run = Run(Location(str(folder)))
    run.load()
    run.state["segments"] = [{"name": "0000", "n_rows": len(X), "block_rows": block_rows}]
    reduced = run.stage("reduced", {})
    for block in run.blocks():
        rows = X[block.row_start : block.row_start + block.n_rows]
        reduced.write_block(block, {"reduced": rows})
    return run, reduced, run.blocks()


def found_in(stage, blocks, *names):
    return [np.concatenate([stage.array(name, block) for block in blocks]) for name in names]


def cluster(folder, X, clusterer, part_points, executor=None):
    run, reduced, blocks = run_of(folder, X)
    with dask.config.set({"dtopics.clustering.part-points": part_points}):
        stage = cluster_points(run, clusterer, reduced, blocks, executor or InProcessExecutor())
    return run, stage, blocks


SETTINGS = [
    {"min_cluster_size": 10},
    {"min_cluster_size": 15, "min_samples": 3, "cluster_selection_method": "leaf"},
    {"min_cluster_size": 8, "min_samples": 60},
    {"min_cluster_size": 8, "cluster_selection_epsilon": 0.8, "max_cluster_size": 0.5},
    {"min_cluster_size": 200, "allow_single_cluster": True},
]


@pytest.mark.parametrize("part_points", [1_500, 700, 120, 40])
@pytest.mark.parametrize("params", SETTINGS, ids=str)
def test_any_number_of_parts_gives_what_one_process_gives(tmp_path, params, part_points):
    X = noisy()
    placed = np.isfinite(X).all(axis=1)
    expected = HDBSCAN(**params).fit(X[placed]).model_
    _, stage, blocks = cluster(tmp_path, X, HDBSCAN(**params).clusterer(), part_points)
    labels, probabilities, scores = found_in(
        stage, blocks, "labels", "probabilities", "outlier_scores"
    )
    sizes = stage.whole_json("model")["sizes"]
    assert len(sizes) % 4 == 0
    assert placed.sum() / part_points <= len(sizes) < placed.sum() / part_points + 4
    same_labels((labels[placed], probabilities[placed]), (expected.labels, expected.probabilities))
    np.testing.assert_array_equal(labels[~placed], -1)
    np.testing.assert_array_equal(probabilities[~placed], 0)
    np.testing.assert_array_equal(scores[placed], expected.outlier_scores.astype(np.float32))
    assert labels.max() >= 0, "the case"
    new = noisy(seed=5)
    same_labels(
        PartsModel.of(stage).predict(new[np.isfinite(new).all(axis=1)]),
        expected.predict(new[np.isfinite(new).all(axis=1)]),
    )


@pytest.mark.parametrize("part_points", [1_500, 150])
def test_heaps_of_identical_points(tmp_path, part_points):
    rng = np.random.default_rng(0)
    X = np.repeat(rng.uniform(-9, 9, (30, 2)), 60, axis=0).astype(np.float32)
    X = np.concatenate([X, rng.uniform(-9, 9, (200, 2)).astype(np.float32)])
    X = X[rng.permutation(len(X))]
    expected = HDBSCAN(10, min_samples=5).fit(X).model_
    _, stage, blocks = cluster(tmp_path, X, HDBSCAN(10, min_samples=5).clusterer(), part_points)
    same_labels(
        found_in(stage, blocks, "labels", "probabilities"),
        (expected.labels, expected.probabilities),
    )
    same_labels(PartsModel.of(stage).predict(X[:500]), expected.predict(X[:500]))


def test_all_points_identical(tmp_path):
    X = np.full((500, 2), 0.5, np.float32)
    clusterer = HDBSCAN(10, allow_single_cluster=True).clusterer()
    _, stage, blocks = cluster(tmp_path, X, clusterer, 50)
    labels, probabilities = found_in(stage, blocks, "labels", "probabilities")
    np.testing.assert_array_equal(labels, 0)
    np.testing.assert_array_equal(probabilities, 1)
    assert stage.whole_json("model")["kind"] == "hdbscan", "there is nothing to divide by"


def test_a_finished_clustering_is_not_done_again_for_another_division(tmp_path):
    X = noisy()
    clusterer = HDBSCAN(10).clusterer()
    run, first, _ = cluster(tmp_path, X, clusterer, 300)
    kept = tmp_path / "stages"
    before = {path: path.stat().st_mtime_ns for path in kept.rglob("*.json")}
    run.state["stages"] = {}
    with dask.config.set({"dtopics.clustering.part-points": 50}):
        again = cluster_points(
            run, clusterer, run.stage("reduced", {}), run.blocks(), InProcessExecutor()
        )
    assert again.fingerprint == first.fingerprint
    after = {path: path.stat().st_mtime_ns for path in kept.rglob("*.json")}
    assert after == before
    assert {"parts", "layout", "forests", "clusters"} <= run.state["stages"].keys()


def test_another_least_size_reuses_the_forests(tmp_path):
    X = noisy()
    _, _, _ = cluster(tmp_path, X, HDBSCAN(10, min_samples=5).clusterer(), 300)
    done = {path.parent.name for path in tmp_path.glob("stages/forests/*/receipts")}
    _, stage, blocks = cluster(tmp_path, X, HDBSCAN(25, min_samples=5).clusterer(), 300)
    assert {path.parent.name for path in tmp_path.glob("stages/forests/*/receipts")} == done
    placed = np.isfinite(X).all(axis=1)
    (labels,) = found_in(stage, blocks, "labels")
    np.testing.assert_array_equal(labels[placed], HDBSCAN(25, 5).fit(X[placed]).labels_)


def test_few_documents_are_clustered_by_one_worker(tmp_path):
    X = noisy()
    run, reduced, blocks = run_of(tmp_path, X)
    stage = cluster_points(run, HDBSCAN(10).clusterer(), reduced, blocks, InProcessExecutor())
    assert stage.whole_json("model")["kind"] == "hdbscan"
    assert "parts" not in run.state["stages"]
    (labels,) = found_in(stage, blocks, "labels")
    placed = np.isfinite(X).all(axis=1)
    np.testing.assert_array_equal(labels[placed], HDBSCAN(10).fit(X[placed]).labels_)


def test_points_too_few_for_a_cluster(tmp_path):
    X = np.full((300, 2), np.nan, np.float32)
    X[5], X[77] = (0.0, 1.0), (2.0, 3.0)
    _, stage, blocks = cluster(tmp_path, X, HDBSCAN(10).clusterer(), 100)
    np.testing.assert_array_equal(found_in(stage, blocks, "labels")[0], -1)
    labels, _ = clusterer_model(stage, trust=False).predict(np.zeros((4, 2), np.float32))
    np.testing.assert_array_equal(labels, -1)


def test_new_blocks_are_labelled_from_the_parts(tmp_path):
    X = noisy()
    _, stage, _ = cluster(tmp_path / "fit", X, HDBSCAN(10).clusterer(), 200)
    new = noisy(seed=3)
    _, reduced, blocks = run_of(tmp_path / "new", new)
    labels = np.concatenate([PredictBlock(reduced, stage)(block)["labels"] for block in blocks])
    model = HDBSCAN(10).fit(X[np.isfinite(X).all(axis=1)])
    placed = np.isfinite(new).all(axis=1)
    np.testing.assert_array_equal(labels[placed], model.predict(new[placed]))
    np.testing.assert_array_equal(labels[~placed], -1)
