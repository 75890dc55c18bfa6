"""Refinement in a fit: any workers, blocks and spans, a worker killed in every phase, a resume."""

import numpy as np
import pytest
from conftest import cluster_of
from runs import SETTINGS, artefacts, outcome
from test_same_however import Killer, in_process

from dtopics import TopicModel, jobs
from dtopics.errors import SettingError
from dtopics.execution.executor import InProcessExecutor
from dtopics.planning import Surroundings
from dtopics.recipes import make_recipe
from dtopics.reduction import refining
from dtopics.store import Location

REFINED = {**SETTINGS, "refine": 12}


@pytest.fixture(scope="module")
def expected(corpus, tmp_path_factory):
    """The run in this process, block after block."""
    run = tmp_path_factory.mktemp("refined")
    return in_process(TopicModel(run=str(run), **REFINED), corpus)


def places_of(model, name):
    stage = model._run.fitted(name)
    return np.concatenate([stage.array("reduced", block) for block in model._run.blocks()])


def test_documents_are_moved_and_clustered_where_they_are(corpus, expected):
    before, after = places_of(expected, "reduced"), places_of(expected, "refined")
    np.testing.assert_array_equal(np.isfinite(before), np.isfinite(after))
    placed = np.isfinite(before).all(axis=1)
    assert not placed[corpus.texts.index("")]
    assert (before[placed] != after[placed]).any(axis=1).mean() > 0.9
    assert 4 <= expected._topics.n_topics <= 9


def test_new_documents_are_placed_among_the_moved(corpus, expected):
    sample = expected._run.fitted("sample").whole_table("rows")
    moved = expected._run.fitted("moved model").whole_array("embedding")
    after = places_of(expected, "refined")
    rows = [b * SETTINGS["block_size"] + r for b, r in
            zip(sample["block"].to_pylist(), sample["row"].to_pylist(), strict=True)]  # fmt: skip
    np.testing.assert_array_equal(moved, after[rows])
    topics, _ = expected.transform(corpus.texts, corpus.embeddings)
    known = np.array(expected.topics_) >= 0
    assert (np.array(topics) == np.array(expected.topics_))[known].mean() > 0.9


@pytest.mark.parametrize("workers", [2, pytest.param(1, marks=pytest.mark.slow)])
def test_any_workers(corpus, expected, tmp_path, workers):
    with cluster_of(workers) as client:
        model = TopicModel(run=str(tmp_path), **REFINED)
        model.fit(corpus.texts, corpus.embeddings, client=client)
    assert outcome(model) == outcome(expected)
    assert artefacts(model._run) == artefacts(expected._run)


@pytest.mark.parametrize(("block_size", "min_spans"), [(64, 1), (100, 7), (16_384, 4)])
def test_any_blocks_and_spans(corpus, expected, tmp_path, monkeypatch, block_size, min_spans):
    monkeypatch.setattr(refining, "MIN_SPANS", min_spans)
    model = in_process(
        TopicModel(run=str(tmp_path), **{**REFINED, "block_size": block_size}), corpus
    )
    np.testing.assert_array_equal(places_of(model, "refined"), places_of(expected, "refined"))
    assert outcome(model) == outcome(expected)


class PhaseKiller(Killer):
    """Kills a worker in each phase of the refinement."""

    stages = (
        "cells", "coded", "gathered", "neighbours", "graph", "moved", "refined", "moved model",
    )  # fmt: skip

    def start(self, stage, *, blocks, rows, done):
        """Kill as a step over the whole begins."""
        if blocks == 1 and stage in self.stages:
            self.kill(stage)


@pytest.mark.slow
def test_a_worker_killed_in_each_phase(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(refining, "MIN_SPANS", 12)  # so that a task has more than one stretch
    expected = in_process(TopicModel(run=str(tmp_path / "expected"), **REFINED), corpus)
    run = tmp_path / "run"
    with cluster_of(2) as client:
        killer = PhaseKiller(client)
        model = TopicModel(run=str(run), **REFINED)
        around = Surroundings(Location(str(run)), client, killer)
        job = jobs.run_fit(model.get_params(), corpus.texts, corpus.embeddings, None, around)
    assert set(killer.killed) == set(PhaseKiller.stages)
    assert artefacts(job.run) == artefacts(expected._run)


def test_a_fit_broken_off_between_epochs_goes_on(corpus, expected, tmp_path):
    class Stops(InProcessExecutor):
        def __init__(self, after):
            super().__init__()
            self.after, self.done = after, []

        def map_rounds(self, stage, step, rounds, after):
            def noted(number):
                after(number)
                self.done.append(number)
                if number == self.after:
                    raise KeyboardInterrupt

            super().map_rounds(stage, step, rounds, noted)

    first, second = Stops(5), Stops(-1)
    with pytest.raises(KeyboardInterrupt):
        in_process(TopicModel(run=str(tmp_path), **REFINED), corpus, first)
    model = in_process(TopicModel(run=str(tmp_path), **REFINED), corpus, second)
    assert first.done == list(range(6))
    assert second.done == list(range(5, 12))  # the sixth is found done, and what it needs no more
    assert artefacts(model._run) == artefacts(expected._run)
    kept = next((tmp_path / "stages" / "moved").iterdir()) / "data.zarr"
    assert sorted(path.name for path in kept.iterdir()) == ["0010", "0011"]


def test_other_settings_reuse_it(corpus, tmp_path):
    in_process(TopicModel(run=str(tmp_path), **REFINED), corpus)
    before = sorted(
        path.stat().st_mtime_ns for path in tmp_path.glob("stages/moved/*/receipts/*/*")
    )
    model = in_process(TopicModel(run=str(tmp_path), **{**REFINED, "min_topic_size": 30}), corpus)
    after = sorted(path.stat().st_mtime_ns for path in tmp_path.glob("stages/moved/*/receipts/*/*"))
    assert before == after
    plain = in_process(TopicModel(run=str(tmp_path), **SETTINGS), corpus)
    assert plain.topics_ != model.topics_
    assert not plain._run.has_fitted("moved model")


def test_a_sample_that_is_the_corpus_needs_none(corpus, tmp_path):
    settings = {**REFINED, "sample_size": 5_000}
    model = in_process(TopicModel(run=str(tmp_path), **settings), corpus)
    assert not model._run.has_fitted("refined")


@pytest.mark.parametrize("refine", [-1, 10_000, 1.5, "yes"])
def test_epochs_that_mean_nothing(refine):
    with pytest.raises(SettingError, match="refine must be"):
        TopicModel(refine=refine).fit(["a text"] * 20)


def test_a_reducer_without_forces():
    from sklearn.decomposition import PCA

    with pytest.raises(SettingError, match="UMAP's forces"):
        TopicModel(refine=True, umap_model=PCA(3)).fit(["a text"] * 20)


def test_classes_are_not_undone():
    with pytest.raises(SettingError, match="classes"):
        TopicModel(refine=True).fit(["a text"] * 20, y=[0, 1] * 10)
    settings = {name: value for name, value in SETTINGS.items() if name != "refine"}
    recipe = make_recipe(TopicModel(**settings).get_params(), embedded=True, targets=True)
    assert recipe.refine == 0
    recipe = make_recipe(TopicModel(**settings).get_params(), embedded=True, targets=False)
    assert recipe.refine == 200
