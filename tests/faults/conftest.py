"""Real processes, struck where they write; what they leave, compared with an undisturbed run."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dtopics import Corpus, TopicModel
from dtopics.store import Location, Run
from dtopics.testing import made_up
from dtopics.testing.failing import Failures, Rule
from dtopics.topics import Topics

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))
from runs import artefacts

DRIVER = Path(__file__).parent / "driver.py"
#: A job that has not ended after so many seconds hangs.
PATIENCE_S = 240
#: Seconds without a sign after which the scheduler takes a worker for dead.
TTL_S = 8
N, N_MORE = 2_000, 400


@dataclass
class Job:
    """A folder with documents, a run and rules by which its file system fails."""

    folder: Path
    documents: Path
    what: str = "fit"
    environment: dict = field(default_factory=dict)
    runs: int = 0
    faults: int = 0

    @property
    def failures(self):
        return Failures(self.folder / "failures")

    @property
    def root(self):
        """The run directory that the job writes to."""
        return self.folder / ("new/_dtopics" if self.what == "transform" else "run")

    @property
    def run(self):
        return Run.open(Location(str(self.root)))

    @property
    def variables(self):
        """The environment of the job's command."""
        return {
            **os.environ,
            "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": f"{TTL_S}s",
            "DASK_DTOPICS__CLUSTERING__PART_POINTS": "500",
            "DTOPICS_DOCUMENTS": str(self.documents),
            **self.environment,
        }

    def start(self, *address):
        """Start the job's command."""
        self.runs += 1
        with (self.folder / f"log-{self.what}-{self.runs}").open("w") as log:
            return subprocess.Popen(
                [sys.executable, str(DRIVER), self.what, str(self.folder), *address],
                env=self.variables, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def do(self, *address, patience=PATIENCE_S):
        """Run the command to its end; return its exit code."""
        process = self.start(*address)
        try:
            return process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            pytest.fail(f"hangs: {self.log()}")

    def log(self):
        """What the last command said."""
        return (self.folder / f"log-{self.what}-{self.runs}").read_text()[-3_000:]

    def do_until_done(self, most):
        """Run the same command again until it succeeds; each may lose many workers."""
        for _ in range(most):
            if self.do(patience=4 * PATIENCE_S) == 0:
                return
        pytest.fail(f"not done after {most} runs: {self.log()}")

    def set(self, *rules):
        self.failures.set(rules)

    def receipts(self):
        """The receipts that are there, by path, as they are."""
        found = self.root.glob("stages/*/*/receipts/**/*.json")
        return {str(path): path.read_bytes() for path in found}

    def redone(self):
        """How many receipts were written more than once."""
        asked = Counter()
        for (operation, path), count in self.failures.requests().items():
            if operation == "write" and "/receipts/" in path and path.endswith(".json"):
                asked[path] += count
        return sum(count - 1 for count in asked.values() if count > 1)

    def outcome(self):
        """Everything that the job is for, as hashes."""
        run = self.run
        receipts = {
            str(path.relative_to(self.root)): json.loads(path.read_bytes())["sha256"]
            for path in self.root.glob("stages/*/*/receipts/**/*.json")
        }
        found: dict[str, str] = {**receipts}
        parts = self.folder / ("new" if self.what == "transform" else "run/assignments")
        rows = 0
        for part in sorted(parts.glob("part-*.parquet")):
            found[part.name] = hashlib.sha256(part.read_bytes()).hexdigest()
            rows += pq.read_metadata(part).num_rows
        found["rows"] = str(rows)
        if self.what != "transform":
            topics = Topics.load(run.topics_folder(run.finished["topics_version"]))
            found["topics"] = hashlib.sha256(json.dumps(topics.content()).encode()).hexdigest()
        return found

    def check(self, undisturbed, fault, where):
        """Compare with the undisturbed run, and note the row of the fault matrix."""
        found, expected = self.outcome(), undisturbed[self.what]
        differing = [key for key in expected.keys() | found.keys()
                     if expected.get(key) != found.get(key)]  # fmt: skip
        row = {
            "fault": fault, "where": where, "runs": self.runs,
            "injected": self.faults or self.failures.injected,
            "redone": self.redone(), "lost": int(expected["rows"]) - int(found["rows"]),
            "differing": len(differing),
        }  # fmt: skip
        if "DTOPICS_FAULTS" in os.environ:
            with Path(os.environ["DTOPICS_FAULTS"]).open("a") as lines:
                lines.write(json.dumps(row) + "\n")
        assert differing == []
        assert row["lost"] == 0
        return row


def write_documents(folder):
    """Write what every job reads."""
    made = made_up(N + N_MORE, 8, outliers=0.1, empty=0.01, random_state=11)
    ids = [f"d{row}" for row in range(N + N_MORE)]
    for name, rows in (("documents", slice(0, N)), ("more", slice(N, None))):
        table = pa.table({"text": made.texts[rows], "id": ids[rows]})
        pq.write_table(table, folder / f"{name}.parquet", row_group_size=150)


@pytest.fixture(scope="session")
def documents(tmp_path_factory):
    """A folder with the documents of every job."""
    folder = tmp_path_factory.mktemp("documents")
    write_documents(folder)
    return folder


@pytest.fixture
def job(tmp_path, documents):
    """A job that has not begun."""
    made = Job(tmp_path, documents)
    made.set()
    return made


@pytest.fixture(scope="session")
def reference(tmp_path_factory, documents):
    """The folder of a fit, a transform and an update in which nothing happened."""
    folder = tmp_path_factory.mktemp("undisturbed")
    job = Job(folder, documents)
    job.set()
    outcomes, stages = {}, {}
    for what in ("fit", "transform", "update"):
        job.what, job.runs = what, 0
        before = job.receipts()
        assert job.do() == 0, job.log()
        outcomes[what] = job.outcome()
        written = {
            path.split("/stages/")[1].split("/")[0] for path in job.receipts().keys() - before
        }
        stages[what] = [stage.name for stage in job.run.in_use() if stage.name in written]
        if what == "fit":
            shutil.copytree(folder / "run", folder / "fitted")
    return folder, outcomes, stages


@pytest.fixture(scope="session")
def undisturbed(reference):
    """The hashes of what each job leaves, undisturbed."""
    return reference[1]


@pytest.fixture(scope="session")
def stages(reference):
    """The stages that each job writes to, in their order."""
    return reference[2]


@pytest.fixture
def fitted(job, reference):
    """A job whose fit is done."""
    shutil.copytree(reference[0] / "fitted", job.folder / "run")
    return job


def at(stage, what="receipts", kind="SIGKILL", **more):
    """Return the rule that strikes once when a stage writes data or a receipt."""
    parts = {"receipts": "receipts/*.json", "data": "*"}[what]
    return Rule(kind, "write", f"*/stages/{stage}/*/{parts}", **more)


def wait_until(done, seconds=200):
    """Wait until a function says so."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.1)


# --- jobs that are sent by the command line

SENT = {"min_topic_size": 15, "sample_size": 400, "block_size": 200, "refine": 4}


@pytest.fixture(scope="session")
def sent(tmp_path_factory):
    """A folder with the documents and embeddings of a job that is sent."""
    folder = tmp_path_factory.mktemp("corpus")
    made = made_up(N, 8, outliers=0.1, random_state=11)
    pq.write_table(pa.table({"text": made.texts}), folder / "x.parquet", row_group_size=150)
    np.save(folder / "x.npy", made.embeddings)
    return folder


@pytest.fixture(scope="session")
def expected(sent, tmp_path_factory):
    """What a fit of this process leaves of them."""
    run = tmp_path_factory.mktemp("expected") / "run"
    model = TopicModel(run=str(run), **SENT)
    model.fit(Corpus(str(sent / "x.parquet"), text_column="text"), str(sent / "x.npy"))
    return artefacts(Run.open(Location(str(run))))


def submitted(way, sent, folder, *options, environment=None):
    """Send a fit by ``dtopics submit``; return what that said."""
    command = [
        sys.executable, "-m", "dtopics.cli", "submit", "--on", way, "--workers", "2",
        "--memory", "2GiB", "--job", str(folder / "job"), "--name", "topics", *options, "--",
        "fit", str(sent / "x.parquet"), "--text-column", "text",
        "--embeddings", str(sent / "x.npy"), "--run", str(folder / "run"),
        *(word for name, value in SENT.items()
          for word in (f"--{name.replace('_', '-')}", str(value))),
    ]  # fmt: skip
    said = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, cwd=folder
    )
    assert said.returncode == 0, said.stderr
    return said.stdout
