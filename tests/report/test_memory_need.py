"""A fit that cannot fit is refused before it starts, and says what would."""

import numpy as np
import pytest

from dtopics import TopicModel
from dtopics.errors import ClusterError
from dtopics.execution.dask_executor import DaskExecutor
from dtopics.report.memory import MIB, SAMPLE_BYTES, Need
from dtopics.store import Location

GIB = 1024 * MIB


def need(n=1_000_000, rows=16_384, sample=100_000, text=200_000_000, **more):
    return Need.of(n, rows, sample, text, **more)


def test_the_defaults_suit_workers_of_two_gib():
    need().check(2 * GIB)
    need(refines=True).check(2 * GIB)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (need(rows=400_000), r"a block of 400,000 documents .*give block_size=220_000, or workers"),
        (need(sample=500_000), r"UMAP on 500,000 documents .*give sample_size=100_000, or workers"),
        (need(n=100_000_000), r"the tree of 100,000,000 documents .*: give workers of 6.5 GiB"),
        (
            need(n=60_000_000, clusters=False, refines=True),
            r"refining .*: give refine=0, or workers",
        ),
        (need(n=50, rows=50, text=50 * 10_000_000), r"a block of 50 documents .*: give workers of"),
    ],
    ids=["block", "sample", "tree", "refining", "long documents"],
)
def test_what_does_not_fit_is_refused(wanted, message):
    with pytest.raises(ClusterError, match=message):
        wanted.check(2 * GIB)
    wanted.check(max(wanted.block, wanted.refining, wanted.whole))


def test_the_proposed_setting_fits():
    most = (2 * GIB - 700 * MIB) // SAMPLE_BYTES
    need(sample=most // 1_000 * 1_000).check(2 * GIB)


def test_a_sample_is_no_larger_than_the_corpus():
    need(n=1_000, sample=10**9, text=200_000).check(2 * GIB)


def test_a_fit_in_this_process(monkeypatch, tmp_path):
    monkeypatch.setattr("distributed.system.MEMORY_LIMIT", 600 * MIB)
    documents = [f"word{i % 7} other" for i in range(60)]
    model = TopicModel(run=str(tmp_path))
    with pytest.raises(ClusterError, match="the smallest has 600"):
        model.fit(documents, np.random.default_rng(0).normal(size=(60, 8)))
    assert not (tmp_path / "stages").exists()


class Worker:
    """What a client says of workers with these limits."""

    def __init__(self, *limits):
        self.limits = limits

    def scheduler_info(self, n_workers):
        return {"workers": {i: {"memory_limit": limit} for i, limit in enumerate(self.limits)}}


def test_the_smallest_worker_is_checked_when_there_is_a_client(tmp_path):
    seen = []
    executor = DaskExecutor(lambda: Worker(5, 3, 9), Location(str(tmp_path)))
    executor.require(seen.append)
    assert seen == [], "a run in which all is done needs no cluster"
    _ = executor.client
    assert seen == [3]
    executor.require(seen.append)
    assert seen == [3, 3]


def test_workers_without_a_limit_are_not_refused(tmp_path):
    seen = []
    executor = DaskExecutor(lambda: Worker(0, None), Location(str(tmp_path)))
    executor.require(seen.append)
    _ = executor.client
    assert seen == []


def test_a_plan_counts_refinement_in():
    from dtopics.corpus.base import CorpusEstimate
    from dtopics.report.forecast import forecast

    estimate = CorpusEstimate(
        files=1, bytes=10**9, documents=5_000_000, exact=True, compressed=False
    )
    plain, refined = forecast(estimate, {"refine": False}), forecast(estimate, {})
    assert refined.storage > plain.storage + 3 * 10**9
    assert refined.block_memory > plain.block_memory
    for other in ({"sample_size": 5_000_000}, {"umap_model": "none"}):
        assert forecast(estimate, other).storage == plain.storage
