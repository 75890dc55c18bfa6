import os
import signal
import threading
import time
from pathlib import Path

import dask
import numpy as np
import pytest
from conftest import cluster_of

from dtopics.data import Block
from dtopics.errors import BlockError, ClusterError, SettingError
from dtopics.execution import dask_executor
from dtopics.execution.dask_executor import DaskExecutor
from dtopics.store import Location, Stage

N = 30


class Fill:
    def __call__(self, block):
        return {"x": np.full(block.n_rows, block.index)}


class Counts:
    def __call__(self, stage):
        return {"about": {"n": N}}


class Fails:
    """Fails for block 7 each time, for block 3 once, and counts its calls in files."""

    def __init__(self, folder, error=OSError):
        self.folder, self.error = folder, error

    def __call__(self, block):
        folder = Path(self.folder)
        mine = list(folder.glob(f"{block.index}-*"))
        (folder / f"{block.index}-{len(mine)}").touch()
        if block.index == 7 or (block.index == 3 and not mine):
            raise self.error(f"block {block.index} is broken")
        return Fill()(block)


class Dies:
    def __call__(self, block):
        os._exit(1)


def plan(tmp_path):
    stage = Stage("x", "f", Location(str(tmp_path / "stage")), (("0000", N, 1),))
    return stage, [Block("0000", i, i, 1) for i in range(N)]


def executor(client, tmp_path):
    return DaskExecutor(lambda: client, Location(str(tmp_path / "foreign")))


def test_every_block_is_done_once(client, tmp_path):
    stage, blocks = plan(tmp_path)
    executor(client, tmp_path).map_blocks(stage, Fill(), blocks)
    assert stage.dask_array("x").compute(scheduler="threads").tolist() == list(range(N))
    written = [stage.receipt(block) for block in blocks]
    executor(client, tmp_path).map_blocks(stage, Fill(), blocks)
    assert [stage.receipt(block) for block in blocks] == written


def test_what_is_done_is_not_fetched(client, tmp_path, monkeypatch):
    fetched = []
    kept = type(client.submit(int)).result
    monkeypatch.setattr(
        "distributed.Future.result", lambda future: fetched.append(future) or kept(future)
    )
    stage, blocks = plan(tmp_path)
    executor(client, tmp_path).map_blocks(stage, Fill(), blocks)
    assert len(list(stage.receipts())) == N
    whole = Stage("whole", "f", Location(str(tmp_path / "whole")))
    executor(client, tmp_path).run(whole, Counts())
    assert whole.whole_json("about") == {"n": N}
    assert fetched == []


def test_a_block_that_always_fails_is_named_and_the_rest_is_kept(client, tmp_path):
    calls = tmp_path / "calls"
    calls.mkdir()
    stage, blocks = plan(tmp_path)
    with pytest.raises(BlockError, match="0000/000007: OSError: block 7 is broken") as raised:
        executor(client, tmp_path).map_blocks(stage, Fails(str(calls)), blocks)
    assert set(raised.value.failures) == {"0000/000007"}
    assert stage.done("0000") == set(range(N)) - {7}
    assert stage.failures() == {"0000/000007": "OSError: block 7 is broken"}
    executor(client, tmp_path).map_blocks(stage, Fill(), blocks)
    assert stage.failures() == {}
    tried = [path.name.partition("-")[0] for path in calls.iterdir()]
    assert tried.count("7") == dask_executor.MAX_ATTEMPTS
    assert tried.count("3") == 2


def test_what_dtopics_itself_says_is_not_tried_again(client, tmp_path):
    calls = tmp_path / "calls"
    calls.mkdir()
    stage, blocks = plan(tmp_path)
    with pytest.raises(SettingError, match="block 7"):
        executor(client, tmp_path).map_blocks(stage, Fails(str(calls), SettingError), blocks[7:8])
    assert len(list(calls.iterdir())) == 1
    logged = [line for lines in client.get_worker_logs().values() for _, line in lines]
    assert not any("SettingError" in line for line in logged)


def test_a_block_that_kills_its_worker_is_named(tmp_path):
    stage, blocks = plan(tmp_path)
    with cluster_of(1) as client:
        client.run_on_scheduler(
            lambda dask_scheduler: setattr(dask_scheduler, "allowed_failures", 0)
        )
        with pytest.raises(BlockError, match=r"0000/000002: KilledWorker"):
            executor(client, tmp_path).map_blocks(stage, Dies(), blocks[2:3])


def test_a_cluster_without_workers_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(dask_executor, "NO_WORKERS_S", 0.2)
    monkeypatch.setattr(dask_executor, "POLL_S", 0.1)
    stage, blocks = plan(tmp_path)
    with cluster_of(1) as client:
        found = executor(client, tmp_path)
        found.map_blocks(stage, Fill(), blocks[:1])
        client.cluster.scale(0)
        while client.scheduler_info(n_workers=-1)["workers"]:
            pass
        with pytest.raises(ClusterError, match="no workers"):
            found.map_blocks(stage, Fill(), blocks)


def test_results_come_in_the_order_of_the_items(client, tmp_path):
    found = executor(client, tmp_path).map(lambda n: n * n, range(40))
    assert list(found) == [n * n for n in range(40)]


def test_a_large_step_travels_through_the_run_once(client, tmp_path):
    class Heavy(Fill):
        def __init__(self):
            self.weights = np.random.default_rng(0).bytes(1_000_000)

    stage, blocks = plan(tmp_path)
    executor(client, tmp_path).map_blocks(stage, Heavy(), blocks)
    assert len(list((tmp_path / "foreign").iterdir())) == 1
    assert stage.done("0000") == set(range(N))


def test_workers_with_the_resource_gpu_take_what_is_accelerated(with_a_gpu, tmp_path):
    found = with_a_gpu.scheduler_info(n_workers=-1)["workers"]
    (gpu,) = [a for a, w in found.items() if w["resources"].get("GPU")]
    stage, blocks = plan(tmp_path)
    executor(with_a_gpu, tmp_path).map_blocks(stage, Fill(), blocks, accelerated=True)
    assert {stage.receipt(block).worker for block in blocks} == {gpu}
    other = Stage("y", "g", Location(str(tmp_path / "other")), stage.segments)
    executor(with_a_gpu, tmp_path).map_blocks(other, Fill(), blocks)
    assert len({other.receipt(block).worker for block in blocks}) == 2


def hold(kind):
    """Fill the memory of this process to over 80 % of 700 MB: in a cache of ours, or beside it."""
    import psutil

    from dtopics.execution import cache

    size = 610 * 10**6 - psutil.Process().memory_info().rss
    held = np.ones(size, np.uint8)
    if kind == "cache":
        kept = cache.SizedCache(10**9, "test")
        kept.get("x", lambda: held, len)
        held = kept
    cache.held_by_a_test = held


@pytest.mark.parametrize("kind", ["cache", "elsewhere"])
def test_a_worker_that_is_paused_and_idle_is_set_going(tmp_path, monkeypatch, kind, caplog):
    for name, seconds in (("POLL_S", 0.5), ("FORGET_S", 0.5), ("RESTART_S", 4.0)):
        monkeypatch.setattr(dask_executor, name, seconds)
    stage, blocks = plan(tmp_path)
    with cluster_of(1, memory_limit=700 * 10**6) as client:
        [address] = client.run(hold, kind)
        while client.scheduler_info(n_workers=-1)["workers"][address]["status"] != "paused":
            pass
        executor(client, tmp_path).map_blocks(stage, Fill(), blocks)
    assert len(stage.done("0000")) == N
    assert ("started anew" in caplog.text) == (kind == "elsewhere")


def test_a_phase_forgets_what_the_last_one_kept():
    from dtopics.execution.cache import SizedCache

    one, two, same = SizedCache(9, "one"), SizedCache(9, "two"), SizedCache(9, "one")
    one.get("x", lambda: b"x", len)
    same.get("y", lambda: b"y", len)
    assert list(one.objects) == ["x"]
    two.get("z", lambda: b"z", len)
    assert not one.objects
    assert not same.objects
    assert list(two.objects) == ["z"]


class Keeps:
    """Keeps an object in the process, as steps do."""

    def __call__(self, block):
        from dtopics.execution import cache

        cache.cached(("kept by a test", block.index), lambda: np.ones(10))
        return Fill()(block)


def kept():
    from dtopics.execution import cache

    return len(cache._objects)


def test_workers_forget(client, tmp_path):
    stage, blocks = plan(tmp_path)
    mine = executor(client, tmp_path)
    mine.forget()  # there is no client yet, and nothing to forget
    mine.map_blocks(stage, Keeps(), blocks)
    assert any(client.run(kept).values())
    mine.forget()
    assert not any(client.run(kept).values())


def test_a_worker_that_hangs_is_not_waited_for_when_all_forget(tmp_path, monkeypatch):
    monkeypatch.setattr(dask_executor, "ANSWER_S", 3.0)
    stage, blocks = plan(tmp_path)
    with cluster_of(2) as client:
        mine = executor(client, tmp_path)
        mine.map_blocks(stage, Keeps(), blocks)
        assert all(client.run(kept).values())
        pids = client.run(os.getpid)
        hanging, other = pids
        os.kill(pids[hanging], signal.SIGSTOP)
        try:
            started = time.monotonic()
            mine.forget()
            assert 3 <= time.monotonic() - started < 8
        finally:
            os.kill(pids[hanging], signal.SIGCONT)
        assert client.run(kept, workers=[other]) == {other: 0}


def test_a_worker_that_is_paused_is_relieved(tmp_path):
    stage, blocks = plan(tmp_path)
    with cluster_of(1, memory_limit=700 * 10**6) as client:
        mine = executor(client, tmp_path)
        mine.map_blocks(stage, Fill(), blocks)
        [address] = client.run(hold, "cache")
        while client.scheduler_info(n_workers=-1)["workers"][address]["status"] != "paused":
            pass
        mine.relieve()
        while client.scheduler_info(n_workers=-1)["workers"][address]["status"] == "paused":
            pass


def test_gpus_that_went_are_missed(client, tmp_path, monkeypatch):
    """Workers without one are there all the time."""
    monkeypatch.setattr(dask_executor, "NO_WORKERS_S", 0.5)
    monkeypatch.setattr(dask_executor, "POLL_S", 0.2)
    stage, blocks = plan(tmp_path)
    mine = executor(client, tmp_path)
    monkeypatch.setattr(mine, "_resources", lambda **_: dask_executor.GPU)  # they had one
    with pytest.raises(ClusterError, match="no workers with a GPU"):
        mine.map_blocks(stage, Fill(), blocks, accelerated=True)


class Slow:
    def __init__(self, seconds):
        self.seconds = seconds

    def __call__(self, block):
        time.sleep(self.seconds)
        return Fill()(block)


def test_two_that_send_to_one_scheduler_are_not_taken_for_each_other(client, tmp_path):
    """Each names its tasks from 0 on, and Dask takes a name that it knows for the same task."""
    (slow, blocks), (fast, _) = plan(tmp_path / "slow"), plan(tmp_path / "fast")
    one, two = executor(client, tmp_path), executor(client, tmp_path)
    at_work = threading.Thread(target=lambda: one.map_blocks(slow, Slow(1.0), blocks[:4]))
    at_work.start()
    time.sleep(0.3)
    two.map_blocks(fast, Fill(), blocks[:4])
    at_work.join()
    assert fast.done("0000") == slow.done("0000") == set(range(4))


def test_a_cluster_that_does_not_answer_is_no_error_of_the_fit():
    class Silent:
        def call_stack(self):
            raise OSError("the worker went while it was asked")

    stuck = dask_executor.Stuck(Silent())
    for now in (0.0, 100.0, 200.0):
        stuck.look({"tcp://a": {"status": "paused"}}, now)


class Hangs(Fill):
    """Waits for ever the first time, and uses no core."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, block):
        if block.index == 4:
            try:
                (Path(self.folder) / "hung").touch(exist_ok=False)
            except FileExistsError:
                return super().__call__(block)
            threading.Event().wait()
        return super().__call__(block)


def test_a_task_that_hangs_is_begun_again_elsewhere(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(dask_executor, "POLL_S", 0.5)
    stage, blocks = plan(tmp_path)
    with cluster_of(1) as client, dask.config.set({"dtopics.execution.hang-after": "3 s"}):
        executor(client, tmp_path).map_blocks(stage, Hangs(str(tmp_path)), blocks)
    assert stage.done("0000") == set(range(N))
    assert "a task hangs on" in caplog.text


class Where:
    """Says which process does a block."""

    def __call__(self, block):
        return {"x": np.array([os.getpid()])}


def rounds_of(n_rounds, n_blocks):
    rounds = [[Block(f"{r:04d}", i, i, 1) for i in range(n_blocks)] for r in range(n_rounds)]
    return rounds, tuple((blocks[0].segment, n_blocks, 1) for blocks in rounds)


def test_a_block_stays_where_it_is_over_the_rounds(client, tmp_path, monkeypatch):
    rounds, segments = rounds_of(4, 4)
    stage = Stage("x", "f", Location(str(tmp_path / "stage")), segments)
    sent, submit = {}, client.submit

    def noted(function, packed, stage, batch, **options):
        assert options["allow_other_workers"]
        for block in batch:
            sent.setdefault(block.index, set()).update(options["workers"])
        return submit(function, packed, stage, batch, **options)

    monkeypatch.setattr(client, "submit", noted)
    executor(client, tmp_path).map_rounds(stage, Where(), rounds, lambda _: None)
    one, two = sorted(client.scheduler_info(n_workers=-1)["workers"])
    assert sent == {0: {one}, 1: {two}, 2: {one}, 3: {two}}


def test_of_blocks_sent_together_the_one_that_fails_is_named(client, tmp_path, monkeypatch):
    calls = tmp_path / "calls"
    calls.mkdir()
    (blocks,), segments = rounds_of(1, N)
    stage, sent, submit = (
        Stage("x", "f", Location(str(tmp_path / "stage")), segments),
        [],
        client.submit,
    )

    def noted(function, packed, stage, batch, **options):
        sent.append(len(batch))
        return submit(function, packed, stage, batch, **options)

    monkeypatch.setattr(client, "submit", noted)
    with pytest.raises(BlockError, match="0000/000007: OSError: block 7 is broken") as raised:
        executor(client, tmp_path).map_rounds(stage, Fails(str(calls)), [blocks], lambda _: None)
    assert set(raised.value.failures) == {"0000/000007"}
    assert stage.done("0000") == set(range(N)) - {7}
    assert sorted(sent)[-2:] == [5, 5]  # a third of what each of two workers has
    # those that fifteen blocks end with, those of the task that failed, two more tries of block 7
    assert sent.count(1) == 2 * 2 + 5 + 2
    tried = [path.name.partition("-")[0] for path in calls.iterdir()]
    assert tried.count("3") == 2
    assert tried.count("4") == 1


def test_rounds_go_on_where_a_worker_goes(tmp_path):
    rounds, segments = rounds_of(8, 14)
    stage = Stage("x", "f", Location(str(tmp_path / "stage")), segments)

    def after(number):
        if number == 2:
            client.retire_workers(list(client.scheduler_info(n_workers=-1)["workers"])[:1])

    with cluster_of(2) as client:
        executor(client, tmp_path).map_rounds(stage, Where(), rounds, after)
    pids = {stage.array("x", block)[0] for block in rounds[-1]}
    assert len(pids) == 1
