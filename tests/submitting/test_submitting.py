"""What is sent: scripts that a shell takes, objects that Kubernetes takes, and no secrets."""

import json
import os
import re
import shlex
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from dtopics.cli import cli
from dtopics.errors import SettingError
from dtopics.submitting import ElasticSlurm, Job, Kubernetes, Local, Slurm, Ssh, prepare
from dtopics.submitting.kubernetes import SPOT_LABELS
from dtopics.testing import made_up

ROOT = Path(__file__).parents[2]
FIT = ("fit", "s3://bucket/it's here/*.parquet", "--text-column", "a b", "--run", "s3://bucket/run")


def ways(job):
    return {
        "local": Local(job), "scheduler": Local(job, "tcp://there:8786"), "slurm": Slurm(job),
        "slurm-elastic": ElasticSlurm(job, worker_options=["--partition=spot"]),
        "ssh": Ssh(job, ("one", "me@two")), "kubernetes": Kubernetes(job, "registry/dtopics"),
    }  # fmt: skip


NAMES = list(ways(Job(FIT)))


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("gpus", [0, 4])
@pytest.mark.parametrize("name", NAMES)
def test_every_script_is_one(tmp_path, name, gpus, tls):
    way = ways(Job(FIT, gpus=gpus, tls=tls, folder=tmp_path / "a job"))[name]
    folder = prepare(way)
    scripts = sorted(folder.glob("*.sh"))
    assert scripts or name == "kubernetes"
    for script in scripts:
        subprocess.run(["bash", "-n", script], check=True)
    if tls:
        assert ((folder / "tls" / "key.pem").stat().st_mode & 0o777) == 0o600
    text = "".join(way.files().values())
    assert "dashboard-address" in text or name in {"local", "scheduler"}
    assert ("REQUIRE_ENCRYPTION" in text) == tls


@given(words=st.lists(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"),
                              max_size=12), max_size=5))  # fmt: skip
@settings(max_examples=30, deadline=None)
def test_words_reach_the_command_as_they_are(tmp_path_factory, words):
    """Whatever a path holds, a shell does not take it for its own."""
    echo = tmp_path_factory.mktemp("echo") / "python"
    echo.write_text("#!/bin/sh\nprintf '%s\\0' \"$@\"\n")
    echo.chmod(0o755)
    words = [word for word in words if not word.startswith("--")]
    job = Job(("fit", *words), python=str(echo))
    script = f"scheduler='tcp://a b'\n{job.dtopics('$scheduler')}"
    found = subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout
    said = found.decode().split("\0")[:-1]
    assert said == ["-m", "dtopics.cli", "fit", *words, "--scheduler", "tcp://a b"]


@pytest.mark.parametrize(("command", "message"), [
    ((), "nothing cannot be sent"), (("rm", "-rf"), "rm cannot be sent"),
    ((*FIT, "--scheduler", "x"), "--scheduler is the job's to say"),
    ((*FIT, "--workers=3"), "--workers is the job's to say"),
    ((*FIT, "--storage-options", '{"key": "secret"}'), "storage options would be written"),
    ((*FIT, '--storage-options={"key": "secret"}'), "storage options would be written"),
])  # fmt: skip
def test_what_cannot_be_sent_is_said(command, message):
    with pytest.raises(SettingError, match=message) as raised:
        Job(command)
    assert 'secret"' not in str(raised.value)


@pytest.mark.parametrize("options", [{"workers": 0}, {"threads": -1}, {"memory": "much"},
                                     {"name": "My Job"}, {"name": ""}])  # fmt: skip
def test_sizes_that_mean_nothing(options):
    with pytest.raises(SettingError):
        Job(FIT, **options)


@pytest.mark.parametrize("hosts", [(), ("",), ("a", "-oProxyCommand=x")])
def test_hosts_that_are_none(hosts):
    with pytest.raises(SettingError, match="hosts are"):
        Ssh(Job(FIT), hosts)


def test_options_in_a_file_may_be_sent():
    Job((*FIT, "--storage-options", "@/etc/store.json"))


# --- SLURM


def directives(text):
    return dict(re.findall(r"^#SBATCH --([\w-]+)=(.*)$", text, re.MULTILINE))


def test_slurm_asks_for_what_the_workers_need(tmp_path):
    job = Job(FIT, workers=8, threads=4, memory="10GiB", folder=tmp_path)
    text = Slurm(job, options=["--partition=cpu"]).files()["job.sh"]
    asked = directives(text)
    assert asked["ntasks"] == "8"
    assert asked["cpus-per-task"] == "4"
    assert asked["mem-per-cpu"] == "2560M"
    assert asked["partition"] == "cpu"
    assert "#SBATCH --requeue" in text
    assert "--nthreads 4 --memory-limit 10GiB" in text


def test_elastic_workers_leave_before_their_time_is_over(tmp_path):
    job = Job(FIT, workers=5, folder=tmp_path)
    files = ElasticSlurm(job, worker_options=["--partition=spot"], worker_time="02:00:00").files()
    asked = directives(files["worker.sh"])
    assert (asked["ntasks"], asked["time"], asked["partition"]) == ("1", "02:00:00", "spot")
    assert "--lifetime 6480s --lifetime-stagger 360s" in files["worker.sh"]
    assert directives(files["job.sh"])["ntasks"] == "1"


# --- Kubernetes


OPERATOR = "dask-kubernetes==2026.3.0"


@pytest.fixture(scope="module")
def operator(tmp_path_factory):
    """The operator's schema of a cluster, from its wheel: installed, it brings twenty packages."""
    folder = tmp_path_factory.mktemp("operator")
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", OPERATOR, "-d", folder]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip(f"{OPERATOR} cannot be had")
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith("/crds/daskcluster.yaml")]
        found = yaml.safe_load(archive.read(name))
    (version,) = found["spec"]["versions"]
    return version["schema"]["openAPIV3Schema"]


@pytest.mark.parametrize("options", [
    {}, {"secret": "store", "service_account": "reader"}, {"namespace": "topics"},
])  # fmt: skip
@pytest.mark.parametrize("job", [
    Job(FIT), Job(FIT, gpus=2, memory="40GiB", threads=8), Job(FIT, tls=True, retries=3),
    Job(FIT, environment={"AWS_ENDPOINT_URL": "http://minio:9000"}),
], ids=["plain", "gpu", "tls", "environment"])  # fmt: skip
def test_objects_are_what_the_operator_and_kubernetes_take(job, options, operator):
    import kubernetes_validate
    from jsonschema import Draft202012Validator

    way = Kubernetes(job, "registry/dtopics:1", **options)
    cluster, task = yaml.safe_load_all(way.files()["job.yaml"])
    Draft202012Validator(operator).validate(cluster)
    kubernetes_validate.validate(task, "1.30", strict=True)
    for pod in (cluster["spec"]["worker"]["spec"], cluster["spec"]["scheduler"]["spec"]):
        full = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": pod}
        kubernetes_validate.validate(full, "1.30", strict=True)
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"},
               "spec": cluster["spec"]["scheduler"]["service"]}  # fmt: skip
    kubernetes_validate.validate(service, "1.30", strict=True)


def test_what_must_stay_is_off_machines_that_may_go():
    cluster, task = yaml.safe_load_all(Kubernetes(Job(FIT), "x").files()["job.yaml"])
    for pod in (cluster["spec"]["scheduler"]["spec"], task["spec"]["template"]["spec"]):
        (term,) = pod["affinity"]["nodeAffinity"][
            "requiredDuringSchedulingIgnoredDuringExecution"
        ]["nodeSelectorTerms"]  # fmt: skip
        assert {one["key"] for one in term["matchExpressions"]} == set(SPOT_LABELS)
    worker = cluster["spec"]["worker"]["spec"]
    assert "affinity" not in worker
    assert worker["tolerations"]


# --- the command


@pytest.mark.parametrize(
    "kind", [path.parent.name for path in (ROOT / "cluster").glob("*/submit.sh")]
)
def test_every_folder_has_a_command_that_writes_a_job(tmp_path, kind):
    """With ``dtopics submit`` told to send nothing."""
    fake = tmp_path / "bin" / "dtopics"
    fake.parent.mkdir()
    fake.write_text(
        f'#!/bin/sh\nshift\nexec {sys.executable} -m dtopics.cli submit --dry-run --job {tmp_path}/job "$@"\n'
    )
    fake.chmod(0o755)
    environment = {**os.environ, "PATH": f"{fake.parent}:{os.environ['PATH']}", "IMAGE": "x",
                   "HOSTS": "one,two"}  # fmt: skip
    address = ["tcp://there:8786"] if kind == "scheduler" else []
    said = subprocess.run(
        [ROOT / "cluster" / kind / "submit.sh", *address, "x.parquet", "--run", "run"],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "nothing was sent" in said.stdout
    assert (ROOT / "cluster" / kind / "README.md").exists()
    text = "".join(path.read_text() for path in (tmp_path / "job").iterdir())
    assert "x.parquet" in text


@pytest.mark.parametrize(("arguments", "message"), [
    (["--on", "ssh", "--", *FIT], "a job on ssh needs --hosts"),
    (["--on", "kubernetes", "--", *FIT], "a job on kubernetes needs --image"),
    (["--on", "local", "--env", "x", "--", *FIT], "expected NAME=VALUE"),
    (["--on", "slurm", "--", *FIT], "sbatch is not installed here"),
])  # fmt: skip
def test_what_is_missing_is_said(tmp_path, monkeypatch, arguments, message):
    monkeypatch.setenv("PATH", str(tmp_path))
    found = CliRunner().invoke(cli, ["submit", "--job", str(tmp_path / "job"), *arguments])
    assert found.exit_code in {1, 2}
    assert message in found.output


def test_a_job_on_this_machine(tmp_path):
    """Sent, followed from its run directory, done; sent again, nothing is done twice."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    made = made_up(300, 3, random_state=2)
    pq.write_table(pa.table({"text": made.texts}), tmp_path / "x.parquet")
    import numpy as np

    np.save(tmp_path / "x.npy", made.embeddings)
    run = tmp_path / "run"
    arguments = [
        "submit", "--on", "local", "--workers", "1", "--memory", "2GiB",
        "--job", str(tmp_path / "job"), "--", "fit", str(tmp_path / "x.parquet"),
        "--embeddings", str(tmp_path / "x.npy"), "--run", str(run), "--min-topic-size", "15",
    ]  # fmt: skip
    found = CliRunner().invoke(cli, arguments)
    assert found.exit_code == 0, found.output
    assert re.search(r"Sent:    process \d+", found.output)
    assert f"dtopics status {run} --follow" in found.output
    followed = CliRunner().invoke(cli, ["status", str(run), "--follow", "--every", "0.5"])
    assert followed.exit_code == 0, followed.output
    assert "finished" in followed.output
    state = json.loads((run / "run.json").read_text())
    assert state["fitted"]["stages"]
    process = int(re.search(r"process (\d+)", found.output)[1])
    while (
        Path(f"/proc/{process}").exists()
        and "Z" not in shlex.split(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2])[0]
    ):
        time.sleep(0.1)
    assert "300 documents, 3 topics" in (tmp_path / "job" / "log.txt").read_text()
