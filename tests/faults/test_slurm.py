"""SLURM on this machine: three nodes, jobs that are preempted, workers that come and go."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time

import psutil
import pytest
from runs import artefacts

from dtopics.store import Location, Run
from faults.conftest import submitted

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(900)]

CONF = """\
ClusterName=dtopics
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SlurmdParameters=config_overrides
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
ReturnToService=2
KillWait=5
JobRequeue=1
SchedulerParameters=batch_sched_delay=1,sched_interval=2,bf_interval=2
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
"""


def free_ports(n):
    sockets = [socket.socket() for _ in range(n)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """The environment in which SLURM's commands find this cluster."""
    if shutil.which("slurmctld") is None or os.geteuid() != 0:
        pytest.skip("needs slurmctld, slurmd and slurm-client, and root")
    folder = tmp_path_factory.mktemp("slurm")
    ports, host = free_ports(4), socket.gethostname()
    nodes = "\n".join(
        f"NodeName=n{i} NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[i]} CPUs=4 "
        "RealMemory=16000 State=UNKNOWN"
        for i in (1, 2, 3)
    )
    (folder / "state").mkdir()
    (folder / "slurm.conf").write_text(
        CONF.format(host=host, ports=ports, folder=folder, nodes=nodes)
    )
    environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
    with (folder / "log").open("w") as log:
        commands = [["slurmctld", "-D"], *(["slurmd", "-D", "-N", f"n{i}"] for i in (1, 2, 3))]
        daemons = [
            subprocess.Popen(command, env=environment, stdout=log, stderr=log)
            for command in commands
        ]
    try:
        deadline = time.monotonic() + 60
        while told(environment, "sinfo", "-h", "-N", "-t", "idle", "-o", "%N").count("n") < 3:
            assert time.monotonic() < deadline, told(environment, "sinfo", "-N", "-l")
            time.sleep(0.5)
        yield environment
    finally:
        told(environment, "scancel", "--user=root")
        time.sleep(2)
        for daemon in daemons:
            daemon.send_signal(signal.SIGTERM)
        for daemon in daemons:
            daemon.wait(20)


def told(environment, *command):
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False
    ).stdout


class Sent:
    """A job that was sent by ``dtopics submit``."""

    def __init__(self, environment, way, corpus, folder, *options):
        self.environment, self.folder = environment, folder
        said = submitted(way, corpus, folder, *options, environment=environment)
        self.number = re.search(r"SLURM job (\d+)", said)[1]

    def state(self):
        said = told(self.environment, "scontrol", "show", "job", self.number)
        found = re.search(r"JobState=(\w+)", said)
        return found[1] if found else "GONE"

    def wait_for(self, pattern, seconds=240):
        deadline = time.monotonic() + seconds
        while not list((self.folder / "run").glob(pattern)):
            assert time.monotonic() < deadline, self.log()
            assert self.state() not in {"FAILED", "GONE"}, self.log()
            time.sleep(0.1)

    def finish(self, seconds=500):
        deadline = time.monotonic() + seconds
        while self.state() not in {"COMPLETED", "FAILED", "CANCELLED", "GONE"}:
            assert time.monotonic() < deadline, self.log()
            time.sleep(1)
        assert self.state() == "COMPLETED", self.log()

    def log(self):
        return (self.folder / "job" / "log.txt").read_text()[-4_000:]

    def receipts(self):
        found = (self.folder / "run").glob("stages/*/*/receipts/**/*.json")
        return {path: path.read_bytes() for path in found}

    def outcome(self):
        return artefacts(Run.open(Location(str(self.folder / "run"))))


def test_one_allocation(slurm, sent, expected, tmp_path):
    job = Sent(slurm, "slurm", sent, tmp_path, "--tls")
    job.finish()
    assert job.outcome() == expected
    assert "2,000 documents" in job.log()


def test_a_preempted_job_goes_on(slurm, sent, expected, tmp_path):
    job = Sent(slurm, "slurm", sent, tmp_path)
    job.wait_for("stages/reducer/*/receipts/whole.json")
    told(slurm, "scontrol", "requeue", job.number)
    time.sleep(1)
    before = job.receipts()
    told(slurm, "scontrol", "update", f"JobId={job.number}", "StartTime=now")
    while job.state() != "RUNNING":
        time.sleep(1)
        told(slurm, "scontrol", "update", f"JobId={job.number}", "StartTime=now")
    job.finish()
    assert before.items() <= job.receipts().items()
    assert job.outcome() == expected


def test_workers_that_are_cancelled_are_sent_again(slurm, sent, expected, tmp_path):
    job = Sent(slurm, "slurm-elastic", sent, tmp_path, "--sbatch-worker=--nice=0")
    script = tmp_path / "job" / "job.sh"
    assert "sleep 30" in script.read_text()
    cancelled = []
    for pattern in ("stages/documents/*/receipts/*/*.json", "stages/reducer/*/receipts/whole.json"):
        job.wait_for(pattern)
        there = told(slurm, "squeue", "-h", "-n", "topics-worker", "-t", "RUNNING", "-o", "%A")
        for number in there.split():
            told(slurm, "scancel", "--signal=KILL", "--full", number)
            told(slurm, "scancel", number)
            cancelled.append(number)
    job.finish()
    assert len(cancelled) >= 2
    assert job.outcome() == expected
    deadline = time.monotonic() + 60
    while told(slurm, "squeue", "-h", "-n", "topics-worker"):
        assert time.monotonic() < deadline
        time.sleep(1)


def test_nothing_is_left(slurm):
    assert told(slurm, "squeue", "-h").split() == []
    every = [" ".join(each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"])]
    left = [command for command in every if "--scheduler-file" in command and "/job" in command]
    assert left == []
