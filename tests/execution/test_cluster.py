import os
import subprocess
import sys

import dask
import pytest
from conftest import cluster_of

from dtopics.data import Block
from dtopics.errors import BlockError, ClusterError, SettingError
from dtopics.execution import InProcessExecutor, SilentProgress
from dtopics.execution.cluster import LocalSettings, check_workers, executor_for, local_cluster
from dtopics.execution.dask_executor import DaskExecutor
from dtopics.store import Location, Stage


def chosen(client, run, n_blocks):
    with executor_for(client, run, n_blocks=n_blocks, progress=SilentProgress()) as executor:
        return type(executor)


def executor_for_all(client, run):
    with executor_for(client, run, n_blocks=9, progress=SilentProgress()) as executor:
        return list(executor.map(len, ["a"]))


def test_few_blocks_stay_in_the_process(tmp_path):
    assert chosen(None, Location(str(tmp_path)), 2) is InProcessExecutor
    assert chosen(None, Location(str(tmp_path)), 3) is DaskExecutor


def test_memory_lives_in_one_process(client):
    run = Location("memory://run")
    assert chosen(None, run, 1_000) is InProcessExecutor
    with pytest.raises(ClusterError, match="one process"):
        chosen(client, run, 1)


def test_the_current_client_is_taken(client, tmp_path):
    run = Location(str(tmp_path))
    with client.as_current():
        from dtopics.execution.cluster import current_client

        assert current_client() is client
        assert chosen(None, run, 1) is DaskExecutor


def test_a_scheduler_that_does_not_answer(tmp_path, monkeypatch):
    from dtopics.execution import cluster

    monkeypatch.setattr(cluster, "CONNECT_TIMEOUT", "1s")
    run = Location(str(tmp_path))
    with pytest.raises(ClusterError, match="no Dask scheduler answers"):
        executor_for_all("tcp://127.0.0.1:9", run)
    assert dask.config.get("scheduler", None) is None  # collections can still be computed


def test_a_scheduler_file_that_never_comes(tmp_path, monkeypatch):
    from dtopics.execution import cluster

    monkeypatch.setattr(cluster, "SCHEDULER_FILE_S", 0.3)
    path = str(tmp_path / "scheduler.json")
    with pytest.raises(ClusterError, match=r"there is no scheduler file .*scheduler\.json after"):
        executor_for_all(path, Location(str(tmp_path / "run")))


def test_workers_that_do_not_see_the_run(client, tmp_path, monkeypatch):
    monkeypatch.setattr(Location, "create", lambda self, data: True)
    with pytest.raises(ClusterError, match="2 workers cannot see"):
        check_workers(client, Location(str(tmp_path)))


@pytest.mark.parametrize(
    ("size", "match"),
    [
        ({"workers": 0}, "workers"),
        ({"workers": -1}, "workers"),
        ({"threads": 0}, "threads"),
        ({"memory_limit": "lots"}, "lots"),
        ({"memory_limit": "0.5"}, "memory_limit"),
    ],
)
def test_sizes_that_no_cluster_has(size, match):
    with pytest.raises(SettingError, match=match):
        LocalSettings(**size)
    assert LocalSettings(2, 1, "500 MB").workers == 2


def test_a_client_that_is_none(tmp_path):
    with pytest.raises(SettingError, match="client is a int"):
        chosen(5, Location(str(tmp_path)), 9)


class EndsItsWorker:
    def __call__(self, stage_or_block):
        os._exit(1)


def test_a_step_that_ends_every_worker_is_given_up(tmp_path):
    """In a cluster of our own, whose own patience would let it go on for hours."""
    stage = Stage("x", "f", Location(str(tmp_path / "x")), (("0000", 1, 1),))
    with local_cluster(LocalSettings(1)) as client:
        executor = DaskExecutor(lambda: client, Location(str(tmp_path / "foreign")))
        with pytest.raises(BlockError, match=r"0000/000000: KilledWorker"):
            executor.map_blocks(stage, EndsItsWorker(), [Block("0000", 0, 0, 1)])
        with pytest.raises(ClusterError, match="want of memory"):
            executor.run(stage, EndsItsWorker())


def first_on_the_path(folder):
    sys.path.insert(0, folder)


def test_workers_with_other_versions_are_named(tmp_path):
    folder = tmp_path / "umap_learn-9.9.9.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: umap-learn\nVersion: 9.9.9\n")
    with cluster_of(1) as client:
        check_workers(client, Location(str(tmp_path)))
        client.run(first_on_the_path, str(tmp_path))
        with pytest.raises(ClusterError, match=r"umap-learn 9\.9\.9, here 0"):
            check_workers(client, Location(str(tmp_path)))


def other_versions(**packages):
    """Have the scheduler say that it has other packages."""
    from distributed import versions

    told = versions.get_package_info
    versions.get_package_info = lambda names: {**told(names), **packages}


def test_a_scheduler_with_other_versions_is_named(tmp_path):
    with local_cluster(LocalSettings(1)) as client:  # its scheduler is a process of its own
        client.run_on_scheduler(other_versions, msgpack="0.1")
        with pytest.raises(ClusterError, match=r"the scheduler: msgpack 0\.1, here 1"):
            check_workers(client, Location(str(tmp_path)))


def test_importing_is_quick_and_light():
    code = (
        "import sys, time; t = time.perf_counter(); import dtopics; t = time.perf_counter() - t\n"
        "heavy = {'torch', 'numba', 'umap', 'dask.dataframe', 'dask', 'sklearn', 'pandas'}\n"
        "print(t, *sorted(heavy & set(sys.modules)))"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        for _ in range(3)
    ]
    found = [run.stdout.split() for run in runs]
    assert min(float(words[0]) for words in found) < 0.3
    assert all(words[1:] == [] for words in found)
