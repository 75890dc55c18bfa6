"""The same answer for any workers, threads, blocks, order, and after any crash."""

import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
from conftest import cluster_of
from runs import SETTINGS, artefacts, outcome

from dtopics import TopicModel
from dtopics.execution import SilentProgress
from dtopics.execution.executor import InProcessExecutor


@pytest.fixture(scope="module")
def expected(corpus, tmp_path_factory):
    """The run in this process, block after block."""
    run = tmp_path_factory.mktemp("expected")
    model = in_process(TopicModel(run=str(run), **SETTINGS), corpus)
    assert 4 <= model._topics.n_topics <= 9
    return model


def in_process(model, corpus, executor=None):
    import contextlib

    from dtopics import planning

    @contextlib.contextmanager
    def here(*args, **kwargs):
        yield executor or InProcessExecutor()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "executor_for", here)
        return model.fit(corpus.texts, corpus.embeddings)


@pytest.mark.parametrize(
    ("workers", "threads"),
    [(2, 1), *(pytest.param(*size, marks=pytest.mark.slow) for size in ((1, 2), (4, 1)))],
)
def test_any_workers_and_threads(corpus, expected, tmp_path, workers, threads):
    with cluster_of(workers, threads) as client:
        model = TopicModel(run=str(tmp_path), **SETTINGS)
        model.fit(corpus.texts, corpus.embeddings, client=client)
    assert outcome(model) == outcome(expected)
    assert artefacts(model._run) == artefacts(expected._run)


@pytest.mark.parametrize("block_size", [64, 1_000, 16_384])
def test_any_block_size(corpus, expected, tmp_path, block_size):
    settings = {**SETTINGS, "block_size": block_size}
    model = in_process(TopicModel(run=str(tmp_path), **settings), corpus)
    assert outcome(model) == outcome(expected)


def test_any_order_of_tasks(corpus, expected, tmp_path):
    class Shuffled(InProcessExecutor):
        def map_blocks(self, stage, step, blocks, **options):
            shuffled = list(blocks)
            random.Random(7).shuffle(shuffled)
            super().map_blocks(stage, step, shuffled, **options)

    model = in_process(TopicModel(run=str(tmp_path), **SETTINGS), corpus, Shuffled())
    assert artefacts(model._run) == artefacts(expected._run)


class Killer(SilentProgress):
    """Kills a worker process in each of some stages: as a block comes back, or soon after."""

    stages = ("documents", "tokens", "reducer", "reduced", "counts", "vectors", "candidates")

    def __init__(self, client):
        self.client, self.killed = client, []

    def start(self, stage, *, blocks, rows, done):
        if stage == "reducer":
            threading.Timer(0.5, self.kill, [stage]).start()

    def advance(self, stage, *, rows):
        if stage in self.stages and stage not in self.killed and stage != "reducer":
            self.kill(stage)

    def kill(self, stage):
        """Kill a worker that has started, and wait until another is there in its place."""
        nanny = self.client.cluster.workers[len(self.killed) % 2]
        dead = nanny.worker_address
        os.kill(nanny.process.pid, signal.SIGKILL)
        self.killed.append(stage)
        deadline = time.monotonic() + 120
        while dead in (there := self.workers()) or len(there) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def workers(self):
        return set(self.client.scheduler_info(n_workers=-1)["workers"])


@pytest.mark.slow  # quick: tests/faults, three of the stages
def test_a_worker_killed_in_each_stage(corpus, expected, tmp_path):
    from dtopics import jobs
    from dtopics.planning import Surroundings
    from dtopics.store import Location

    with cluster_of(2) as client:
        killer = Killer(client)
        model = TopicModel(run=str(tmp_path), **SETTINGS)
        around = Surroundings(Location(str(tmp_path)), client, killer)
        job = jobs.run_fit(model.get_params(), corpus.texts, corpus.embeddings, None, around)
    assert set(killer.killed) == set(Killer.stages)
    assert artefacts(job.run) == artefacts(expected._run)


SCRIPT = """
import sys
import numpy as np
from dtopics import TopicModel
from dtopics.testing import made_up
corpus = made_up(1_200, 6, outliers=0.1, empty=0.02, random_state=3)
model = TopicModel(run=sys.argv[1], min_topic_size=15, sample_size=500, block_size=100,
                   refine=False)
model.fit(corpus.texts, corpus.embeddings)
print("done")
"""


@pytest.mark.slow
def test_a_script_without_a_main_guard_killed_and_run_again(expected, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    run = tmp_path / "run"
    command = [sys.executable, str(script), str(run)]
    for stage in ("tokens", "reducer", "clusters"):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
        deadline = time.monotonic() + 120
        while not list(run.glob(f"stages/{stage}/*/receipts/*")):
            assert process.poll() is None, f"ended before {stage}"
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)  # the client, and the cluster that it started
        process.wait()
    before = {path: path.stat().st_mtime_ns for path in run.glob("stages/*/*/receipts/*/*.json")}
    assert before
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=200)
    assert done.stdout.strip() == "done"
    for path, written in before.items():
        assert path.stat().st_mtime_ns == written, f"{path} was done again"
    model = TopicModel.load(str(run))
    assert outcome(model) == outcome(expected)


def test_what_is_reused(corpus, tmp_path):
    def fingerprints(**changes):
        model = TopicModel(run=str(tmp_path), **{**SETTINGS, **changes})
        in_process(model, corpus)
        return {stage.name: stage.fingerprint for stage in model._run.in_use()}

    def same(one, other):
        return {name for name in one if one[name] == other[name]}

    first = fingerprints()
    size = fingerprints(min_topic_size=30)
    assert {"documents", "tokens", "terms", "term sums", "vocabulary", "sample", "embeddings", "reducer",
            "reduced"} == same(first, size)  # fmt: skip
    from sklearn.feature_extraction.text import CountVectorizer

    words = fingerprints(vectorizer_model=CountVectorizer(min_df=5, ngram_range=(1, 2)))
    assert {"documents", "tokens", "sample", "embeddings", "reducer", "reduced", "clusters",
            "vectors", "centroids", "assignments"} == same(first, words)  # fmt: skip
    lower = fingerprints(vectorizer_model=CountVectorizer(lowercase=False))
    assert "tokens" not in same(first, lower)
    assert "clusters" in same(first, lower)
    names = fingerprints(top_n_words=5)
    assert {*first} - {"topics", "candidates", "examples"} <= same(first, names)
    seed = fingerprints(random_state=1)
    assert {"documents", "tokens", "terms", "term sums", "vocabulary", "embeddings"} == same(
        first, seed
    )
    again = fingerprints()  # its topics are there: their examples are not looked for again
    assert again.items() <= first.items()
    assert first.keys() - again.keys() == {"candidates", "examples"}


def test_assignments_are_those_of_the_last_fit(corpus, tmp_path):
    import pandas as pd

    def topics(size):
        model = TopicModel(run=str(tmp_path), **{**SETTINGS, "min_topic_size": size})
        in_process(model, corpus)
        table = pd.read_parquet(tmp_path / "assignments").sort_values("doc_id")
        assert table["doc_id"].tolist() == list(range(1_200))
        assert table["topic"].tolist() == model.topics_
        np.testing.assert_array_equal(table["probability"], model.probabilities_)
        return model.topics_

    first, other, again = topics(15), topics(200), topics(15)
    assert first == again
    assert first != other
