"""A real sshd on addresses of this machine: bare hosts, and a file system behind a network."""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from runs import artefacts, race
from stores import free_port

from dtopics import Corpus, TopicModel
from dtopics.store import Location, Run
from faults.conftest import SENT, submitted

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(600)]

HOSTS = ("127.0.0.1", "127.0.0.2")


@pytest.fixture(scope="module")
def ssh(tmp_path_factory):
    """The command that logs in to both hosts."""
    if shutil.which("sshd") is None or os.geteuid() != 0:
        pytest.skip("needs openssh-server, and root")
    folder = tmp_path_factory.mktemp("ssh")
    for name in ("host", "user"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True
        )
    shutil.copy(folder / "user.pub", folder / "authorized")
    port = free_port()
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress {HOSTS[0]}\nListenAddress {HOSTS[1]}\nHostKey {folder}/host\n"
        f"AuthorizedKeysFile {folder}/authorized\nStrictModes no\nUsePAM no\nPidFile none\n"
        "PermitRootLogin prohibit-password\nPasswordAuthentication no\n"
        "Subsystem sftp internal-sftp\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True)
    server = subprocess.Popen([shutil.which("sshd"), "-D", "-e", "-f", folder / "sshd_config"],
                              stderr=subprocess.DEVNULL)  # fmt: skip
    options = {"BatchMode": "yes", "StrictHostKeyChecking": "no", "UserKnownHostsFile": "/dev/null",
               "LogLevel": "ERROR", "ServerAliveInterval": "5"}  # fmt: skip
    words = [f"-o {name}={value}" for name, value in options.items()]
    yield " ".join(["ssh", "-F", "none", "-p", str(port), "-i", str(folder / "user"), *words])
    server.terminate()
    server.wait(20)


def processes(*words):
    """The processes whose commands have all words."""
    found = []
    for each in psutil.process_iter(["cmdline"]):
        command = " ".join(each.info["cmdline"] or ())
        if all(word in command for word in words):
            found.append(each)
    return found


def wait(until, seconds, log):
    deadline = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < deadline, log.read_text()[-4_000:] if log.exists() else "no log"
        time.sleep(0.1)


def test_a_worker_a_connection_and_the_command_are_killed(ssh, sent, expected, tmp_path):
    said = submitted("ssh", sent, tmp_path, "--hosts", ",".join(HOSTS), "--ssh", ssh)
    script = int(re.search(r"process (\d+)", said)[1])
    run, log = tmp_path / "run", tmp_path / "job" / "log.txt"
    address = f"tcp://{HOSTS[0]}:8786"
    struck = 0
    try:
        for pattern, words in (
            ("stages/documents/*/receipts/*/*.json", ("dask", "worker", address)),
            ("stages/tokens/*/receipts/*/*.json", (ssh, HOSTS[1])),
            ("stages/reducer/*/receipts/whole.json", ("dtopics.cli", "fit", address)),
        ):
            wait(lambda pattern=pattern: any(run.glob(pattern)), 240, log)
            for process in processes(*words)[:1]:
                process.send_signal(signal.SIGKILL)
                struck += 1
        wait((tmp_path / "job" / "done").exists, 400, log)
        assert struck == 3
        assert artefacts(Run.open(Location(str(run)))) == expected
        wait(lambda: not psutil.pid_exists(script), 30, log)
        wait(lambda: not processes("dask", address) + processes("dask scheduler", "8786"), 60, log)
    finally:
        (tmp_path / "job" / "done").touch()
        for process in [*processes("dask", address), *processes(ssh), *processes("/job/job.sh")]:
            process.kill()


@pytest.fixture
def network(ssh, tmp_path):
    """A folder that is one of another host's."""
    if shutil.which("sshfs") is None or not Path("/dev/fuse").exists():
        pytest.skip("needs sshfs, and FUSE")
    (tmp_path / "there").mkdir()
    (tmp_path / "here").mkdir()
    mount = ["sshfs", "-o", f"ssh_command={ssh}", f"{HOSTS[0]}:{tmp_path}/there", tmp_path / "here"]
    subprocess.run(mount, check=True)
    yield tmp_path / "here"
    subprocess.run(["umount", tmp_path / "here"], check=True)


def test_a_run_on_a_network_file_system(network, sent, expected, client):
    file = Location(str(network / "race"))
    won = race(file)
    assert len(won) == 1
    assert file.read() == b"%d" % won[0]
    model = TopicModel(run=str(network / "run"), **SENT)
    corpus = Corpus(str(sent / "x.parquet"), text_column="text")
    model.fit(corpus, str(sent / "x.npy"), client=client)
    assert artefacts(Run.open(Location(str(network / "run")))) == expected
