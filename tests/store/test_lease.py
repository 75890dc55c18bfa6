import json
import os
import signal
import subprocess
import sys
import threading

import pytest

from dtopics.errors import RunBusyError, RunError
from dtopics.store import Location, Run, lease
from dtopics.store.lease import Lease, Process

HOLD = """
import sys, time
from dtopics.store import Location, Run
with Run(Location(sys.argv[1])).writing("a fit"):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that writes to the run in `tmp_path`."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def hold(folder, **about):
    """Leave the lease of a process that does not beat."""
    here = Process.here()
    held = {"holder": "x", "what": "a fit", "host": "elsewhere", "machine": "another", "pid": 7,
            "started": "1", "beat": 3, "released": False, **about}  # fmt: skip
    (folder / "00000004.json").create(json.dumps(held).encode())
    return here


def test_one_process_writes_and_the_other_is_told_who(tmp_path, holder):
    with pytest.raises(RunBusyError, match=rf"process {holder.pid} on .*\(a fit\)"):
        Run(Location(str(tmp_path))).save()
    assert not (tmp_path / "run.json").exists()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_that_ended_holds_nothing(tmp_path, holder, how):
    os.kill(holder.pid, how)
    holder.wait()
    Run(Location(str(tmp_path))).save()
    assert (tmp_path / "run.json").exists()


def test_a_process_elsewhere_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "PATIENCE_S", 0.5)
    folder = Location(str(tmp_path)) / "lease"
    hold(folder)
    run = Run(Location(str(tmp_path)))
    run.save()
    assert folder.names() == ["00000005.json"]


def test_a_process_elsewhere_that_beats_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "PATIENCE_S", 30.0)
    folder = Location(str(tmp_path)) / "lease"
    hold(folder)
    timer = threading.Timer(0.3, lambda: (folder / "00000004.json").write(
        json.dumps({"beat": 4, "pid": 7, "host": "elsewhere", "what": "a fit",
                    "released": False}).encode()
    ))  # fmt: skip
    timer.start()
    with pytest.raises(RunBusyError, match="process 7 on elsewhere"):
        Run(Location(str(tmp_path))).save()
    timer.join()


def test_a_holder_beats(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "BEAT_S", 0.05)
    folder = Location(str(tmp_path)) / "lease"
    held = Lease(folder, "a test")
    held.take()
    beats = set()
    while len(beats) < 3:
        beats.add(json.loads((folder / "00000001.json").read())["beat"])
    held.release()
    assert json.loads((folder / "00000001.json").read())["released"]


def test_a_holder_that_was_asleep_finds_out_before_it_writes(tmp_path):
    run = Run(Location(str(tmp_path)))
    with run.writing("a fit"):
        run.save()
        before = (tmp_path / "run.json").read_bytes()
        (tmp_path / "lease" / "00000002.json").write_text("{}")
        with pytest.raises(RunBusyError, match="taken over"):
            run.save()
    assert (tmp_path / "run.json").read_bytes() == before


def test_of_many_at_once_one_gets_it(tmp_path):
    folder, won = Location(str(tmp_path)) / "lease", []
    start = threading.Barrier(8)

    def contend():
        mine = Lease(folder, "a race")
        start.wait()
        try:
            mine.take()
        except RunBusyError:
            return
        won.append(mine)

    threads = [threading.Thread(target=contend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    won[0].check()
    won[0].release()


def test_what_another_wrote_meanwhile_is_not_written_over(tmp_path):
    one, two = Run(Location(str(tmp_path))), Run(Location(str(tmp_path)))
    one.state["a"] = 1
    one.save()
    with pytest.raises(RunError, match="changed by another process"):
        two.save()
    two.load()
    two.state["b"] = 2
    two.save()
    assert {"a": 1, "b": 2}.items() <= json.loads((tmp_path / "run.json").read_text()).items()


def test_two_handles_that_only_look_do_not_refuse_each_other(tmp_path):
    one, two = Run(Location(str(tmp_path))), Run(Location(str(tmp_path)))
    one.begin({})
    one.finish("abc")
    two.load()
    first, second = one.stage("slices", {"a": 1}), two.stage("slice counts", {})
    third = one.stage("distributions", {})
    stages = json.loads((tmp_path / "run.json").read_text())["stages"]
    assert stages == {held.name: held.fingerprint for held in (first, second, third)}
    one.add_version("def", "merge", {})
    with pytest.raises(RunError, match="changed by another process"):
        two.stage("slices", {"b": 2})


def test_holding_it_twice_is_holding_it_once(tmp_path):
    run = Run(Location(str(tmp_path)))
    with run.writing("a fit"), run.writing("a part of it"):
        run.save()
    run.save()


@pytest.mark.parametrize("content", ["", "[]", "null", '{"beat": "x"}', "\x00"])
def test_a_lease_that_says_nothing_is_taken(tmp_path, content):
    (tmp_path / "lease").mkdir()
    (tmp_path / "lease" / "00000009.json").write_text(content)
    Run(Location(str(tmp_path))).save()
    assert (tmp_path / "lease" / "00000010.json").exists()


def test_it_is_the_same_on_any_store():
    run = Run(Location("memory://leases/run"))
    with run.writing("a fit"), pytest.raises(RunBusyError):
        Run(run.location).save()
    Run(run.location).save()
