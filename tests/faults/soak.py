"""Runs with random faults for half an hour, or as many minutes as are said: ``soak.py [MINUTES]``.

One client and one cluster do fit after fit, each struck at random: workers are killed, stopped or
run out of memory, the store is busy, slow, silent or loses answers, the command's own process is
killed and another goes on. Every result must be equal, and memory and open files of client,
scheduler and nannies must stay as they are. It ends with 1 where they do not.
"""

import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))
from dtopics.execution.cluster import LocalSettings, local_cluster
from dtopics.testing.failing import Rule
from faults.conftest import PATIENCE_S, TTL_S, Job, at, write_documents

KINDS = ("SIGKILL", "SIGTERM", "SIGSEGV", "memory", "busy", "timeout", "lost", "slow", "SIGSTOP")
#: So much may be held more at the end than after the first runs.
MOST_MIB, MOST_FILES = 100, 20


def main(minutes=30.0, seed=0):
    chosen = random.Random(seed)
    os.environ["DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL"] = f"{TTL_S}s"
    with tempfile.TemporaryDirectory() as folder:
        documents = Path(folder) / "documents"
        documents.mkdir()
        write_documents(documents)
        reference = new_job(Path(folder) / "reference", documents)
        assert reference.do() == 0, reference.log()
        expected = reference.outcome()
        stages = [stage.name for stage in reference.run.in_use()]
        with local_cluster(LocalSettings(workers=2, memory_limit="1.6GiB")) as client:
            held, injected, runs = [], Counter(), 0
            pid = client.run_on_scheduler(os.getpid)
            end = time.monotonic() + 60 * minutes
            while time.monotonic() < end:
                runs += 1
                job = new_job(Path(folder) / f"run-{runs}", documents)
                rules = struck(chosen, stages)
                job.set(*rules)
                went_on = do(job, client)
                assert job.outcome() == expected, f"run {runs} differs: {rules}"
                injected.update(rule.kind for rule in rules)
                held.append(measured(pid))
                print(json.dumps({"run": runs, "begun": went_on, "injected": job.failures.injected,
                                  **held[-1]}), flush=True)  # fmt: skip
                shutil.rmtree(job.folder)
    print(json.dumps({"runs": runs, "rules": dict(injected)}))
    return check(held)


def new_job(folder, documents):
    folder.mkdir()
    job = Job(folder, documents)
    job.set()
    return job


def struck(chosen, stages):
    """Choose some faults and where they strike."""
    rules = []
    for _ in range(chosen.randint(1, 5)):
        kind = chosen.choice(KINDS)
        if kind in {"busy", "timeout", "lost", "slow"}:
            operation = chosen.choice(["read", "write", "list"])
            rules.append(Rule(kind, operation, "*/run/*", times=chosen.randint(1, 4),
                              after=chosen.randint(0, 200)))  # fmt: skip
        else:
            rules.append(at(chosen.choice(stages), chosen.choice(["data", "receipts"]), kind))
    return rules


def do(job, client):
    """Fit until it is done, as a user would; return how often it was begun.

    Rules strike whoever writes: what the client itself writes must not end this process, so it
    writes in one of its own.
    """
    for begun in range(1, 10):
        if job.do(client.scheduler.address, patience=3 * PATIENCE_S) == 0:
            return begun
    raise AssertionError(f"not done after 9 commands: {job.log()}")


def measured(scheduler):
    """Return MiB and open files of this process and the scheduler."""
    found = {}
    for name, process in (("client", psutil.Process()), ("scheduler", psutil.Process(scheduler))):
        found[f"{name}_mib"] = process.memory_info().rss >> 20
        found[f"{name}_files"] = process.num_fds()
    return found


def check(held):
    """Compare the last runs with the first."""
    if len(held) < 6:
        return 0
    first, last = held[1:3], held[-2:]
    worse = []
    for name in held[0]:
        grown = min(row[name] for row in last) - max(row[name] for row in first)
        if grown > (MOST_MIB if name.endswith("mib") else MOST_FILES):
            worse.append(f"{name} grew by {grown}")
    print("; ".join(worse) or "memory and open files are as they were")
    return int(bool(worse))


if __name__ == "__main__":
    sys.exit(main(*map(float, sys.argv[1:2])))
