"""The distributed clustering of a fit: any workers, any parts, a worker killed in every phase."""

import dask
import pytest
from conftest import cluster_of
from runs import SETTINGS, artefacts, outcome
from test_same_however import Killer, in_process

from dtopics import TopicModel, jobs
from dtopics.planning import Surroundings
from dtopics.store import Location

PARTS = {"dtopics.clustering.part-points": 120}


@pytest.fixture(scope="module")
def expected(corpus, tmp_path_factory):
    """The run in this process, in parts."""
    run = tmp_path_factory.mktemp("expected")
    with dask.config.set(PARTS):
        model = in_process(TopicModel(run=str(run), **SETTINGS), corpus)
    stages = model._run.state["stages"]
    assert {"parts", "forests", "lightest edges 1", "joined 1", "clusters"} <= stages.keys()
    return model


def test_one_worker_finds_the_same(corpus, expected, tmp_path):
    model = in_process(TopicModel(run=str(tmp_path), **SETTINGS), corpus)
    assert "parts" not in model._run.state["stages"]
    assert outcome(model) == outcome(expected)
    texts, vectors = corpus.texts[:200], corpus.embeddings[:200]
    assert model.transform(texts, vectors)[0] == expected.transform(texts, vectors)[0]


@pytest.mark.parametrize("part_points", [40, 700])
def test_any_number_of_parts(corpus, expected, tmp_path, part_points):
    with dask.config.set({"dtopics.clustering.part-points": part_points}):
        model = in_process(TopicModel(run=str(tmp_path), **SETTINGS), corpus)
    assert outcome(model) == outcome(expected)


@pytest.mark.parametrize("workers", [2, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 4))])
def test_any_workers(corpus, expected, tmp_path, workers):
    with cluster_of(workers) as client, dask.config.set(PARTS):
        model = TopicModel(run=str(tmp_path), **SETTINGS)
        model.fit(corpus.texts, corpus.embeddings, client=client)
    assert outcome(model) == outcome(expected)
    assert artefacts(model._run) == artefacts(expected._run)


class PhaseKiller(Killer):
    """Kills a worker in each phase of the clustering, and in stages that the other test leaves."""

    stages = ("terms", "point sample", "division", "scattered points", "layout", "parts",
              "forests", "joined 0", "lightest edges 1", "joined 1", "lightest edges 2",
              "clusters", "topics", "assignments")  # fmt: skip

    def start(self, stage, *, blocks, rows, done):
        """Kill as a step over the whole begins."""
        if blocks == 1 and stage in self.stages:
            self.kill(stage)


@pytest.mark.slow
def test_a_worker_killed_in_every_phase(corpus, expected, tmp_path):
    with cluster_of(2) as client, dask.config.set(PARTS):
        killer = PhaseKiller(client)
        model = TopicModel(run=str(tmp_path), **SETTINGS)
        around = Surroundings(Location(str(tmp_path)), client, killer)
        job = jobs.run_fit(model.get_params(), corpus.texts, corpus.embeddings, None, around)
    assert set(killer.killed) == set(PhaseKiller.stages)
    assert artefacts(job.run) == artefacts(expected._run)
