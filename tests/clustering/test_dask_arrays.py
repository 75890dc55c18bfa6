"""HDBSCAN on Dask arrays: NumPy's values, bit for bit, however the rows are divided."""

import copy
import gc
import pickle
import time
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
from clustering_contract import blobs
from sklearn.base import clone

from dtopics.clustering import HDBSCAN
from dtopics.clustering.distributed import PartsModel
from dtopics.errors import InputError, RunMismatchError
from dtopics.execution.cluster import current_client
from dtopics.store import Location, Run
from dtopics.store.fingerprint import describe

NAMES = ("labels_", "probabilities_", "outlier_scores_")
NEW = blobs(200, 50, seed=5)


@pytest.fixture(scope="module")
def X():
    return blobs(900, 200, seed=1)


@pytest.fixture(scope="module")
def expected(X):
    found = HDBSCAN(10).fit(X)
    assert found.labels_.max() > 0, "the case"
    return found


@pytest.fixture
def small_parts():
    with dask.config.set({"dtopics.clustering.part-points": 150}):
        yield


def same(found, expected, **computing):
    for name in NAMES:
        lazy, held = getattr(found, name), getattr(expected, name)
        assert isinstance(lazy, da.Array)
        assert (lazy.dtype, lazy.shape) == (held.dtype, held.shape)
        np.testing.assert_array_equal(lazy.compute(**computing), held)


def receipts(folder):
    return {p: p.stat().st_mtime_ns for p in Path(folder).glob("stages/*/*/receipts/**/*.json")}


class Counted:
    """Chunks that count how often they are made."""

    def __init__(self):
        self.calls = 0

    def __call__(self, rows):
        self.calls += 1
        return rows


@pytest.mark.parametrize("part_points", [5_000, 150])
@pytest.mark.parametrize(
    ("chunks", "given"),
    [
        ((300, 3), (300, 300, 300, 200)),
        ((137, 2), (137,) * 8 + (4,)),
        (((500, 1, 0, 599), (1, 2)), (599, 501)),
        ((1_100, 3), (1_100,)),
    ],
    ids=str,
)
def test_workers_give_what_numpy_gives(X, expected, client, chunks, given, part_points):
    with dask.config.set({"dtopics.clustering.part-points": part_points}):
        found = HDBSCAN(10).fit(da.from_array(X, chunks=chunks), client=client)
    assert all(getattr(found, name).chunks == (given,) for name in NAMES)
    assert isinstance(found.model_, PartsModel) == (part_points < len(X))
    same(found, expected)
    same(found, expected, scheduler=client)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("part_points", [5_000, 150])
def test_this_process_gives_what_numpy_gives(dtype, part_points):
    X = np.round(blobs(400, 100) * 50).astype(dtype)
    assert current_client() is None, "the case"
    with dask.config.set({"dtopics.clustering.part-points": part_points}):
        found = HDBSCAN(8).fit(da.from_array(X, chunks=(250, 3)))
    same(found, HDBSCAN(8).fit(X))


@pytest.mark.slow
def test_many_blocks_without_a_client(X, expected, small_parts, monkeypatch):
    monkeypatch.setattr("dtopics.execution.cluster.available_cores", lambda: 2)
    same(HDBSCAN(10).fit(da.from_array(X, chunks=(200, 3))), expected)


def test_a_current_client_is_taken(X, expected, client, small_parts, monkeypatch):
    def refuse(*_):
        raise AssertionError("a cluster was there")

    monkeypatch.setattr("dtopics.execution.cluster.local_cluster", refuse)
    with client.as_current():
        found = HDBSCAN(10).fit(da.from_array(X, chunks=(200, 3)))
        same(found, expected)


def test_a_run_in_memory(X, expected, small_parts):
    found = HDBSCAN(10, run="memory://dask-arrays").fit(da.from_array(X, chunks=(200, 3)))
    same(found, expected)


@pytest.mark.parametrize("part_points", [5_000, 150])
def test_new_points(X, expected, client, part_points):
    with dask.config.set({"dtopics.clustering.part-points": part_points}):
        found = HDBSCAN(10).fit(da.from_array(X, chunks=(400, 3)), client=client)
    labels = expected.predict(NEW)
    assert len(set(labels)) > 2, "the case"
    np.testing.assert_array_equal(found.predict(NEW), labels)
    np.testing.assert_array_equal(found.predict(NEW.tolist()), labels)
    lazy = found.predict(da.from_array(NEW, chunks=((100, 0, 150), 2)))
    assert (lazy.chunks, lazy.dtype) == (((100, 0, 150),), np.int32)
    np.testing.assert_array_equal(lazy.compute(), labels)
    np.testing.assert_array_equal(lazy.compute(scheduler=client), labels)


def test_new_points_of_a_fit_in_this_process(expected, client):
    lazy = expected.predict(da.from_array(NEW, chunks=(60, 3)))
    np.testing.assert_array_equal(lazy.compute(), expected.predict(NEW))
    np.testing.assert_array_equal(lazy.compute(scheduler=client), expected.predict(NEW))


def test_new_points_in_chunks_of_unknown_size(expected):
    lazy = da.from_array(NEW, chunks=(100, 3))
    lazy = expected.predict(lazy[lazy[:, 0] > 0])
    np.testing.assert_array_equal(lazy.compute(), expected.predict(NEW[NEW[:, 0] > 0]))


def test_a_fit_computes_each_chunk_once_and_a_prediction_none(X):
    counted = Counted()
    lazy = da.from_array(X, chunks=(600, 3)).map_blocks(counted, meta=np.empty((0, 3)))
    found = HDBSCAN(10).fit(lazy)
    assert counted.calls == 2
    predicted = found.predict(lazy)
    assert counted.calls == 2
    predicted.compute()
    assert counted.calls == 4


def test_the_same_points_again_are_not_clustered_again(X, expected, client, small_parts, tmp_path):
    lazy = da.from_array(X, chunks=(300, 3))
    first = HDBSCAN(10, run=str(tmp_path)).fit(lazy, client=client)
    before = receipts(tmp_path)
    again = HDBSCAN(10, run=str(tmp_path)).fit(da.from_array(X + 0, chunks=(300, 3)), client=client)
    assert receipts(tmp_path) == before
    same(again, expected)
    lazy_other = da.from_array(X[::-1], chunks=(300, 3))
    other = HDBSCAN(10, run=str(tmp_path)).fit(lazy_other, client=client)
    assert len(list(tmp_path.glob("stages/reduced/*"))) == 2
    same(first, expected)
    same(other, HDBSCAN(10).fit(X[::-1]))
    leaf = HDBSCAN(10, cluster_selection_method="leaf", run=str(tmp_path))
    same(leaf.fit(lazy, client=client), HDBSCAN(10, cluster_selection_method="leaf").fit(X))
    assert len(list(tmp_path.glob("stages/forests/*"))) == 2
    assert len(list(tmp_path.glob("stages/clusters/*"))) == 3


def test_the_same_bytes_in_another_shape_are_other_points(X, tmp_path):
    X = np.ascontiguousarray(X[:800, :2])
    for points in (X, X.reshape(400, 4), X.reshape(1_600, 1)):
        lazy = da.from_array(points, chunks=(-1, -1))
        same(HDBSCAN(10, run=str(tmp_path)).fit(lazy), HDBSCAN(10).fit(points))


def test_a_fit_that_was_broken_off_goes_on(X, expected, small_parts, tmp_path, monkeypatch):
    lazy = da.from_array(X, chunks=(600, 3))

    def fail(*_):
        raise RuntimeError("broken off")

    with monkeypatch.context() as patch:
        patch.setattr("dtopics.clustering.distributed.FitTree.__call__", fail)
        with pytest.raises(Exception, match="broken off"):
            HDBSCAN(10, run=str(tmp_path)).fit(lazy)
    before = receipts(tmp_path)
    assert any("forests" in str(path) for path in before), "the case"
    same(HDBSCAN(10, run=str(tmp_path)).fit(lazy), expected)
    assert before.items() <= receipts(tmp_path).items()


def test_what_a_broken_import_left_goes(X, tmp_path):
    def fail(rows, block_info=None):
        if block_info[0]["chunk-location"][0] == 1:
            deadline = time.monotonic() + 60
            while not there() and time.monotonic() < deadline:
                time.sleep(0.01)
            raise RuntimeError("broken off")
        return rows

    def there():
        return list(tmp_path.glob("stages/reduced/*/receipts/*/000000.json"))

    lazy = da.from_array(X, chunks=(600, 3))
    with dask.config.set(num_workers=2), pytest.raises(RuntimeError, match="broken off"):
        HDBSCAN(10, run=str(tmp_path)).fit(lazy.map_blocks(fail, meta=np.empty((0, 3))))
    assert there(), "the case"
    HDBSCAN(10, run=str(tmp_path)).fit(lazy)
    assert len(list(tmp_path.glob("stages/reduced/*"))) == 1


def test_a_temporary_folder_goes_with_what_reads_it(X, expected):
    found = HDBSCAN(10).fit(da.from_array(X, chunks=(600, 3)))
    folder = Path(found._clustered.folder.url)
    some = found.labels_[:700]
    back = pickle.loads(pickle.dumps(found))
    same(back, expected)
    np.testing.assert_array_equal(back.predict(NEW), expected.predict(NEW))
    del back
    gc.collect()
    same(copy.deepcopy(found), expected)
    del found
    gc.collect()
    np.testing.assert_array_equal(some.compute(), expected.labels_[:700])
    assert folder.is_dir()
    del some
    gc.collect()
    assert not folder.exists()


def test_fit_predict(X, expected, client):
    labels = HDBSCAN(10).fit_predict(da.from_array(X, chunks=(400, 3)), client=client)
    gc.collect()
    np.testing.assert_array_equal(labels.compute(scheduler=client), expected.labels_)


def test_numpy_after_dask(X, expected):
    found = HDBSCAN(10).fit(da.from_array(X[:500], chunks=(300, 3))).fit(X)
    for name in NAMES:
        assert isinstance(getattr(found, name), np.ndarray)
    lazy = found.predict(da.from_array(NEW, chunks=(100, 3)))
    np.testing.assert_array_equal(lazy.compute(), expected.predict(NEW))
    scores = expected.model_.outlier_scores.astype(np.float32)
    np.testing.assert_array_equal(found.outlier_scores_, scores)


def test_the_run_is_a_parameter_that_results_do_not_depend_on():
    one, other = HDBSCAN(7, run="here"), HDBSCAN(7)
    assert clone(one).get_params() == {**other.get_params(), "run": "here"}
    assert one.clusterer().describe() == other.clusterer().describe()
    assert "here" not in str(describe(one.clusterer()))


@pytest.mark.parametrize("n_blocks", [1, 3])
def test_rows_that_are_not_finite_are_counted(X, client, n_blocks, tmp_path):
    broken = X.copy()
    broken[350, 1], broken[400, 0], broken[1_000, 2] = np.nan, np.inf, np.nan
    lazy = da.from_array(broken, chunks=(-(-len(X) // n_blocks), 3))
    with pytest.raises(InputError) as expected:
        HDBSCAN(10).fit(broken)
    with pytest.raises(InputError) as found:
        HDBSCAN(10, run=str(tmp_path)).fit(lazy, client=client)
    assert str(found.value) == str(expected.value)
    assert "3 of 1,100" in str(found.value)
    assert not list(tmp_path.glob("stages/reduced/*"))


def test_what_are_no_points(X, expected):
    lazy = da.from_array(X, chunks=(600, 3))
    for bad, said in [
        (lazy[lazy[:, 0] > 0], "unknown size"),
        (lazy[:, 0], r"shape \(1100,\)"),
        (lazy[:, :0], r"shape \(1100, 0\)"),
        (lazy[:0], "at least one row"),
        (lazy.astype(complex), "type complex128"),
        (
            lazy.map_blocks(lambda rows: rows[1:], meta=np.empty((0, 3)), chunks=lazy.chunks),
            "chunk",
        ),
    ]:
        with pytest.raises(InputError, match=said):
            HDBSCAN(10).fit(bad)
    for bad, said in [
        (lazy[:, :2], "2 components; the model was fit on 3"),
        (lazy[:, 0], "shape"),
        (lazy.astype(complex), "complex"),
    ]:
        with pytest.raises(InputError, match=said):
            expected.predict(bad)
    with pytest.raises(InputError, match="NaN"):
        expected.predict(da.full((9, 3), np.nan)).compute()


def test_few_points_are_outliers():
    found = HDBSCAN(10).fit(da.from_array(np.eye(4), chunks=(3, 4)))
    np.testing.assert_array_equal(found.labels_.compute(), [-1] * 4)
    np.testing.assert_array_equal(found.predict(np.eye(4)), [-1] * 4)


def test_the_run_of_a_corpus_is_left_alone(X, tmp_path):
    run = Run(Location(str(tmp_path)))
    run.claim("0123", "two files")
    run.save()
    before = (tmp_path / "run.json").read_bytes()
    with pytest.raises(RunMismatchError, match="two files"):
        HDBSCAN(10, run=str(tmp_path)).fit(da.from_array(X, chunks=(600, 3)))
    assert (tmp_path / "run.json").read_bytes() == before
