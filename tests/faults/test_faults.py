"""Every fault, and the same results after it."""

import signal
import time

import pytest

from dtopics.testing.failing import Rule
from faults.conftest import TTL_S, at, wait_until

pytestmark = pytest.mark.faults

#: A block step, a global step, and phases of the clustering in rounds.
PLACES = ["embeddings", "reducer", "forests", "lightest edges 1", "counts"]
#: Commands that are run again until one succeeds, at most.
MOST_RUNS = 80


def strikes(stages, job, kind="SIGKILL", what="receipts", **more):
    """A rule for each stage that the job writes to."""
    return [at(stage, what, kind, **more) for stage in stages[job.what]]


def finish(job, undisturbed, fault, where, n_faults=None):
    """See that the job is done, as if nothing had happened, and all faults were real."""
    if n_faults is not None:
        assert job.failures.injected == n_faults
    row = job.check(undisturbed, fault, where)
    before = job.receipts()
    assert job.do() == 0, job.log()
    assert job.receipts() == before
    return row


@pytest.fixture(params=["fit", "transform", "update"])
def each(request, job, reference):
    """Each job before it begins; a transform and an update of a fit that is done."""
    if request.param != "fit":
        job = request.getfixturevalue("fitted")
    job.what = request.param
    return job


# --- the four kills, in every stage


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("what", ["data", "receipts"], ids=["before data", "before its receipt"])
def test_a_worker_is_killed_in_every_stage(each, stages, undisturbed, what):
    each.set(*strikes(stages, each, what=what))
    each.do_until_done(MOST_RUNS)
    assert each.failures.injected >= len(stages[each.what]) - 2  # some are the client's
    finish(each, undisturbed, f"worker SIGKILL, {what}", f"{each.what}, every stage")


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("target", ["client", "scheduler"])
def test_client_or_scheduler_is_killed_in_every_stage(each, stages, undisturbed, target):
    each.environment = {"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "10s"}  # it waits so long
    each.set(*strikes(stages, each, target=target))
    each.do_until_done(MOST_RUNS)
    assert each.runs > len(stages[each.what]) / 2
    finish(each, undisturbed, f"{target} SIGKILL", f"{each.what}, every stage")


KILLED = ["embeddings", "reducer", "lightest edges 1"]


def test_a_worker_is_killed(job, undisturbed):
    job.set(*(at(place, what) for place in KILLED for what in ("data", "receipts")))
    assert job.do() == 0, job.log()
    finish(job, undisturbed, "worker SIGKILL", ", ".join(KILLED), 2 * len(KILLED))


def test_client_and_scheduler_are_killed(job, undisturbed):
    targets = ("client", "scheduler", "client")
    job.set(*(at(place, target=target) for place, target in zip(KILLED, targets, strict=True)))
    job.do_until_done(6)
    assert job.runs == 1 + len(KILLED)
    finish(job, undisturbed, "client and scheduler SIGKILL", ", ".join(KILLED), len(KILLED))


# --- what else ends or stops a worker


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["SIGTERM", "SIGSEGV", "memory"])
def test_a_worker_ends(job, undisturbed, kind):
    job.set(*(at(place, "data", kind) for place in PLACES))
    assert job.do() == 0, job.log()
    finish(job, undisturbed, f"worker {kind}", ", ".join(PLACES), len(PLACES))


@pytest.mark.slow
def test_a_worker_stops_without_a_word(job, undisturbed):
    """The scheduler takes it for dead; where it goes on later, it does no harm."""
    places = PLACES[:3]
    job.set(*(at(place, "data", "SIGSTOP") for place in places))
    started = time.monotonic()
    assert job.do() == 0, job.log()
    assert time.monotonic() - started > TTL_S
    finish(job, undisturbed, "worker SIGSTOP", ", ".join(places), len(places))


# --- the client


@pytest.mark.slow
def test_ctrl_c(job, undisturbed):
    job.set(*(at(place, kind="SIGINT", target="client") for place in KILLED))
    for _ in KILLED:
        assert job.do() not in (0, -signal.SIGKILL)
        assert "Traceback" not in job.log() or "KeyboardInterrupt" in job.log()
    assert job.do() == 0, job.log()
    finish(job, undisturbed, "client SIGINT", ", ".join(KILLED), len(KILLED))


@pytest.mark.slow
@pytest.mark.parametrize("path", ["*/plan/*", "*/run.json", "*/topics/*", "*/assignments/*"])
def test_the_client_is_killed_outside_of_stages(job, undisturbed, path):
    job.set(Rule("SIGKILL", "write", path, target="client"))
    job.do_until_done(3)
    assert job.runs == 2
    finish(job, undisturbed, "client SIGKILL", path, 1)


@pytest.mark.parametrize("places", [KILLED[1:2], pytest.param(KILLED, marks=pytest.mark.slow)])
def test_two_clients_at_once(job, undisturbed, places):
    """The second begins while the first waits for the store in that stage."""
    job.set(*(at(place, "data", "slow", seconds=25) for place in places))
    first = job.start()
    for number in range(1, len(places) + 1):
        wait_until(lambda n=number: job.failures.injected == n)
        assert job.do() == 1
        assert "RunBusyError: process" in job.log()
        assert job.failures.injected == number
    assert first.wait(120) == 0
    finish(job, undisturbed, "two clients", ", ".join(places), len(places))


# --- the store


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["busy", "timeout", "lost", "slow"])
def test_a_store_that_fails_now_and_then(job, undisturbed, kind):
    rules = [at(place, what, kind) for place in PLACES for what in ("data", "receipts")]
    rules += [Rule(kind, "read", "*/stages/*", times=3, after=20)]
    rules += [Rule(kind, "list", "*/receipts/*", times=3, after=5)]
    rules += [Rule(kind, "write", "*/run.json", times=2, after=3)]
    job.set(*rules)
    assert job.do() == 0, job.log()
    finish(job, undisturbed, f"store: {kind}", "reads, writes, lists")
    assert job.redone() <= len(PLACES)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["full", "denied"])
def test_a_store_that_refuses_stops_the_job_and_the_same_goes_on(job, undisturbed, kind):
    places = PLACES[:3]
    job.set(*(at(place, "data", kind) for place in places))
    for _ in places:
        assert job.do() == 1
        assert "run the same command again" in job.log()
    assert job.do() == 0, job.log()
    finish(job, undisturbed, f"store: {kind}", ", ".join(places), len(places))


# --- what lies there


def damaged(path, how):
    if how == "deleted":
        path.unlink()
        return
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data if how == "flipped" else data[: len(data) // 2])


PATHS = {
    "a chunk": "stages/embeddings/*/data.zarr/0000/embeddings/c/3/0",
    "a table": "stages/tokens/*/tokens/0000/000002.parquet",
    "a receipt": "stages/embeddings/*/receipts/0000/000004.json",
    "a global receipt": "stages/reducer/*/receipts/whole.json",
    "a global array": "stages/clusters/*/data.zarr/whole/*/c/0*",
    "an array's metadata": "stages/reduced/*/data.zarr/0000/reduced/zarr.json",
    "assignments": "assignments/part-0000-000001.parquet",
    "a phase's receipt": "stages/lightest edges 1/*/receipts/*/*.json",
    "a phase's array": "stages/forests/*/data.zarr/parts/*/*/c/0",
    "topics": "topics/*/topics.parquet",
}


@pytest.mark.slow
@pytest.mark.parametrize("how", ["deleted", "flipped", "cut"])
def test_what_is_damaged_is_found_and_done_again(fitted, undisturbed, how):
    job = fitted
    chosen = []
    for pattern in PATHS.values():
        found = sorted(path for path in job.root.glob(pattern) if path.is_file())
        assert found, pattern
        chosen.append(found[0])
        damaged(found[0], how)
    import subprocess
    import sys

    said = subprocess.run(
        [sys.executable, "-m", "dtopics.cli", "verify", str(job.root)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert said.returncode == 1, said.stderr
    job.faults = len(chosen)
    assert said.stdout.count("damaged: ") >= (len(chosen) if how != "deleted" else 4)
    assert job.do() == 0, job.log()
    row = finish(job, undisturbed, f"{how} by hand", ", ".join(PATHS))
    again = subprocess.run(
        [sys.executable, "-m", "dtopics.cli", "verify", str(job.root)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert again.returncode == 0, again.stdout
    assert "all as it was written" in again.stdout
    assert row["redone"] == 0


def test_damage_under_a_run_that_goes_on(job, undisturbed):
    """What a stage reads is not as it was written: it alone is done again, before it is used."""
    job.set(at("counts", "data", "SIGKILL", target="client"))
    assert job.do() == -signal.SIGKILL
    for pattern in (PATHS["a chunk"], PATHS["a table"]):
        damaged(next(iter(sorted(job.root.glob(pattern)))), "flipped")
    job.set()
    job.faults = 3
    assert job.do() == 0, job.log()
    assert "done again" in job.log()
    finish(job, undisturbed, "damage while it is broken off", "embeddings, tokens")


# --- clocks


CLOCK = """
import time
real, real_ns = time.time, time.time_ns
time.time = lambda: real() - 86_400
time.time_ns = lambda: real_ns() - 86_400 * 10**9
"""


@pytest.mark.slow
def test_clocks_that_differ(job, undisturbed):
    """The second command's clock is a day behind; leases and receipts do not look at it."""
    job.set(at("reducer", kind="SIGKILL", target="client"))
    assert job.do() != 0
    (job.folder / "clock").mkdir()
    (job.folder / "clock" / "sitecustomize.py").write_text(CLOCK)
    job.environment = {"PYTHONPATH": str(job.folder / "clock")}
    assert job.do() == 0, job.log()
    job.environment = {}
    finish(job, undisturbed, "clock a day behind", "from the reducer on", 1)
