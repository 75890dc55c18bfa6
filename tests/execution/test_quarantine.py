import itertools
import os
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest
from conftest import cluster_of
from hypothesis import given, settings
from hypothesis import strategies as st

from dtopics.corpus.preprocess import ChangedReader
from dtopics.data import Block, Documents
from dtopics.errors import BlockError
from dtopics.execution import InProcessExecutor, quarantine
from dtopics.execution.dask_executor import DaskExecutor
from dtopics.store import Location, Stage

N = 40


class Read:
    def __call__(self, block):
        rows = range(block.row_start, block.row_start + block.n_rows)
        texts = [f"document {row}" for row in rows]
        return Documents(texts, pa.array([f"id-{row}" for row in rows]))


@dataclass(frozen=True)
class Lengths:
    """Fails on texts that end with one of these, or always, or ends the process."""

    read: object
    poison: tuple = ()
    how: str = "raise"

    def __call__(self, block):
        texts = self.read(block).texts
        if self.how == "always" or any(text.endswith(self.poison) for text in texts if text):
            if self.how == "exit":
                os._exit(1)
            raise ValueError("poison")
        return {"lengths": np.array([len(text) for text in texts])}


def stage_and_blocks(tmp_path):
    stage = Stage("x", "f", Location(str(tmp_path / "stage")), (("0000", N, 10),))
    return stage, [Block("0000", i, 10 * i, 10) for i in range(N // 10)]


def check(stage, blocks, ids):
    lengths = stage.dask_array("lengths").compute(scheduler="threads")
    assert np.flatnonzero(lengths == 0).tolist() == [int(name.removeprefix("id-")) for name in ids]
    found = {
        each["doc_id"]: (10 * int(name[-6:]) + each["row"], each["reason"])
        for name, listed in stage.quarantined().items()
        for each in listed
    }
    assert set(found) == set(ids)
    for name, (row, _) in found.items():
        assert name == f"id-{row}"
    assert stage.done("0000") == set(range(len(blocks)))
    assert stage.failures() == {}
    return [reason for _, reason in found.values()]


@given(n=st.integers(1, 200), data=st.data())
@settings(max_examples=60, deadline=None)
def test_rows_are_found_by_halving(n, data):
    bad = data.draw(st.sets(st.integers(0, n - 1), max_size=6))
    tries = []

    def fails(withheld):
        tries.append(withheld)
        return ValueError() if bad - set(withheld) else None

    assert set(quarantine.find(n, fails)) == bad
    halvings = int(np.ceil(np.log2(n))) + 1
    assert len(tries) <= 2 + 2 * len(bad) * (halvings + quarantine.TRIES)


def test_a_step_that_always_fails_is_not_a_documents_fault():
    assert quarantine.find(50, lambda rows: ValueError()) == {}
    assert quarantine.find(200, lambda rows: None if len(rows) > 100 else ValueError()) == {}


def test_a_step_that_fails_now_and_then_blames_no_document():
    """Every other try fails, whatever is withheld, but never twice running."""
    tries = itertools.count()
    assert quarantine.find(64, lambda rows: ValueError() if next(tries) % 2 else None) == {}


def test_documents_that_fail_only_together_are_not_found():
    assert quarantine.find(8, lambda rows: None if len(rows) > 4 else ValueError()) == {}


@pytest.mark.parametrize("where", ["here", "on workers"])
def test_poisonous_documents_are_named_and_the_rest_is_done(client, tmp_path, where):
    stage, blocks = stage_and_blocks(tmp_path)
    executor = (
        InProcessExecutor()
        if where == "here"
        else DaskExecutor(lambda: client, Location(str(tmp_path / "foreign")))
    )
    executor.map_blocks(stage, Lengths(Read(), (" 3", " 17", " 18")), blocks)
    assert check(stage, blocks, ["id-3", "id-17", "id-18"]) == ["ValueError: poison"] * 3


def test_a_document_that_ends_its_process_is_named(tmp_path):
    stage, blocks = stage_and_blocks(tmp_path)
    with cluster_of(1) as client:
        client.run_on_scheduler(
            lambda dask_scheduler: setattr(dask_scheduler, "allowed_failures", 0)
        )
        executor = DaskExecutor(lambda: client, Location(str(tmp_path / "foreign")))
        executor.map_blocks(stage, Lengths(Read(), (" 27",), "exit"), blocks[2:3])
    (name,) = stage.quarantined()
    assert name == "0000/000002"
    assert stage.quarantined()[name][0]["doc_id"] == "id-27"


def test_a_crash_before_the_receipt_leaves_nobody_out(tmp_path):
    """The next time the document may work: then it is as if nothing had been."""
    stage, blocks = stage_and_blocks(tmp_path)
    InProcessExecutor().map_blocks(stage, Lengths(Read(), (" 3",)), blocks)
    assert list(stage.quarantined()) == ["0000/000000"]
    stage.forget(blocks[0])
    (tmp_path / "stage/data.zarr/0000/lengths/c/0").unlink()
    assert stage.quarantined() == {}
    InProcessExecutor().map_blocks(stage, Lengths(Read()), blocks)
    assert stage.quarantined() == {}
    assert stage.array("lengths", blocks[0]).all()


def test_a_step_that_fails_without_any_document_is_an_error(tmp_path):
    stage, blocks = stage_and_blocks(tmp_path)
    with pytest.raises(BlockError, match="4 blocks failed"):
        InProcessExecutor().map_blocks(stage, Lengths(Read(), how="always"), blocks)
    assert stage.quarantined() == {}


def test_what_changes_texts_does_not_see_those_that_are_withheld(tmp_path):
    stage, blocks = stage_and_blocks(tmp_path)

    def change(texts):
        assert not any(text.endswith(" 3") for text in texts)
        return [text.upper() for text in texts]

    InProcessExecutor().map_blocks(stage, Lengths(ChangedReader(Read(), change)), blocks)
    assert check(stage, blocks, ["id-3"])[0].startswith("AssertionError")
