"""Hosts with addresses of their own, as network namespaces: cut off, slowed down, left."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dtopics.submitting import Job as Sent
from dtopics.submitting import Ssh, prepare
from faults.conftest import at, wait_until

pytestmark = [pytest.mark.faults, pytest.mark.slow]

HOSTS = ("dt-s", "dt-w1", "dt-w2", "dt-w3", "dt-c")
NETWORK = "10.77.91"
PORT = 8799


def ip(*words, check=True):
    return subprocess.run(["ip", *words], check=check, capture_output=True, text=True)


@pytest.fixture(scope="module")
def hosts():
    """The address of each host."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("needs ip, and root")
    addresses = {host: f"{NETWORK}.{number}" for number, host in enumerate(HOSTS, start=2)}
    try:
        ip("link", "add", "dt-bridge", "type", "bridge")
        ip("addr", "add", f"{NETWORK}.1/24", "dev", "dt-bridge")
        ip("link", "set", "dt-bridge", "up")
        for host, address in addresses.items():
            ip("netns", "add", host)
            ip("link", "add", f"{host}-o", "type", "veth", "peer", "name", "eth0", "netns", host)
            ip("link", "set", f"{host}-o", "master", "dt-bridge", "up")
            for words in (["addr", "add", f"{address}/24", "dev", "eth0"],
                          ["link", "set", "eth0", "up"], ["link", "set", "lo", "up"]):  # fmt: skip
                ip("-n", host, *words)
        yield addresses
    except subprocess.CalledProcessError as error:
        pytest.skip(f"may not make namespaces: {error.stderr}")
    finally:
        for host in HOSTS:
            ip("netns", "del", host, check=False)
        ip("link", "del", "dt-bridge", check=False)


@contextlib.contextmanager
def cluster(folder, hosts):
    """A scheduler and three workers, each on a host of its own, in loops that bring them back."""
    sent = Sent(("fit", "x"), memory="1600MiB", folder=folder / "job", python=sys.executable)
    address = f"tcp://{hosts['dt-s']}:{PORT}"
    way = Ssh(sent, ("dt-s",), PORT, "ip netns exec", every=2, head=hosts["dt-s"])
    place = prepare(way)
    loop = 'while :; do ip netns exec "$0" bash "$1"; sleep 2; done'
    processes = []
    for host in HOSTS[:4]:
        script = place / ("scheduler.sh" if host == "dt-s" else "worker.sh")
        with (folder / f"log-{host}").open("w") as log:
            processes.append(subprocess.Popen(
                ["bash", "-c", loop, host, script], stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True,
            ))  # fmt: skip
    try:
        yield address
    finally:
        for process in processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class Moved:
    """A job whose command runs on a host."""

    def __init__(self, job, host):
        self.job, self.host = job, host

    def start(self, address):
        with (self.job.folder / f"log-{self.host}-client").open("w") as log:
            return subprocess.Popen(
                ["ip", "netns", "exec", self.host, sys.executable,
                 str(Path(__file__).parent / "driver.py"), "fit", str(self.job.folder), address],
                stdout=log, stderr=subprocess.STDOUT,
                env=self.job.variables,
            )  # fmt: skip


def wait_for(pattern, folder):
    wait_until(lambda: list(folder.glob(pattern)))


def cut(hosts, seconds=45):
    """Cut hosts off: the scheduler notices after half a minute; then join them again."""
    for state in ("down", "up"):
        for host in hosts:
            ip("link", "set", f"{host}-o", state)
        if state == "down":
            time.sleep(seconds)


def test_a_host_is_cut_off_and_comes_back(job, undisturbed, hosts):
    """The others take its blocks; it joins again."""
    job.set(at("counts", "data", "slow", times=10))
    with cluster(job.folder, hosts) as address:
        process = Moved(job, "dt-c").start(address)
        wait_for("run/stages/embeddings/*/receipts/*/*.json", job.folder)
        cut(["dt-w1"])
        assert process.wait(300) == 0, (job.folder / "log-dt-c-client").read_text()[-2_000:]
        job.runs, job.faults = 1, 1
        job.check(undisturbed, "link cut and restored", "from the embeddings on")
        started = (job.folder / "log-dt-w1").read_text().count("Start worker at")
        deadline = time.monotonic() + 90
        while started < 2 and time.monotonic() < deadline:
            time.sleep(1)
            started = (job.folder / "log-dt-w1").read_text().count("Start worker at")
        assert started >= 2


@pytest.mark.parametrize("place", ["reducer", "lightest edges 1"])
def test_all_workers_are_cut_off_and_come_back(job, undisturbed, hosts, place):
    """There is nobody else; whichever did a global step or a phase of the clustering is cut off."""
    job.set(at(place, "data", "slow", seconds=20))
    with cluster(job.folder, hosts) as address:
        process = Moved(job, "dt-c").start(address)
        wait_until(lambda: job.failures.injected)
        cut(["dt-w1", "dt-w2", "dt-w3"])
        assert process.wait(300) == 0, (job.folder / "log-dt-c-client").read_text()[-2_000:]
    starts = [(job.folder / f"log-{host}").read_text().count("Start worker at")
              for host in HOSTS[1:4]]  # fmt: skip
    assert sum(starts) > 3, "no worker was taken for lost"
    job.runs, job.faults = 1, 3
    job.check(undisturbed, "all links cut and restored", place)


def test_a_host_is_slow(job, undisturbed, hosts):
    limits = ["tbf", "rate", "2mbit", "burst", "32kbit", "latency", "400ms"]
    subprocess.run(["ip", "netns", "exec", "dt-w2", "tc", "qdisc", "add", "dev", "eth0", "root",
                    *limits], check=True)  # fmt: skip
    try:
        with cluster(job.folder, hosts) as address:
            process = Moved(job, "dt-c").start(address)
            assert process.wait(400) == 0, (job.folder / "log-dt-c-client").read_text()[-2_000:]
    finally:
        subprocess.run(["ip", "netns", "exec", "dt-w2", "tc", "qdisc", "del", "dev", "eth0",
                        "root"], check=True)  # fmt: skip
    job.runs, job.faults = 1, 1
    job.check(undisturbed, "a link of 2 Mbit/s", "the whole fit")


def test_the_client_moves_to_another_host(job, undisturbed, hosts):
    with cluster(job.folder, hosts) as address:
        first = Moved(job, "dt-c").start(address)
        wait_for("run/stages/reducer/*/receipts/whole.json", job.folder)
        first.kill()
        first.wait()
        before = job.receipts()
        second = Moved(job, "dt-w3").start(address)
        assert second.wait(300) == 0, (job.folder / "log-dt-w3-client").read_text()[-2_000:]
        assert before.items() <= job.receipts().items()
    job.runs, job.faults = 2, 1
    job.check(undisturbed, "client killed, and begun on another host", "after the reducer")
