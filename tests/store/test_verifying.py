import json

import numpy as np
import pyarrow as pa
import pytest
import zarr

from dtopics.data import Block
from dtopics.errors import DamagedError
from dtopics.store import Location, Run
from dtopics.store.verifying import CheckBlocks, Damage, note, remove, remove_noted, to_check

BLOCKS = [Block("0000", i, 10 * i, 10) for i in range(3)]
TABLE = pa.table({"word": ["a", "b", "c"] * 200})


def written(tmp_path, ragged=False):
    """A run with a stage of arrays, tables, and what a global step leaves."""
    run = Run(Location(str(tmp_path / "run")))
    run.load()
    run.state["segments"] = [{"name": "0000", "n_rows": 30, "block_rows": 10}]
    stage = run.stage("thing", {}, segments=[("0000", 3, 0)] if ragged else [])
    for block in BLOCKS:
        rows = np.arange(20.0).reshape(10, 2) + block.index
        stage.write_block(block, {"x": rows, "t": TABLE, "notes": {"n": 1}})
    stage.write_whole({"w": np.arange(100_000), "t": TABLE, "j": {"a": 1}})
    return run, stage


def checked(stage):
    """The names of what is damaged."""
    return [item.block for each in to_check([stage], most=2) for item in CheckBlocks()(each).damage]


PARTS = {
    "stages/thing/*/data.zarr/0000/x/c/1/0": "0000/000001",
    "stages/thing/*/t/0000/000002.parquet": "0000/000002",
    "stages/thing/*/receipts/0000/000000.json": "0000/000000",
    "stages/thing/*/data.zarr/whole/w/c/1": "whole",
    "stages/thing/*/t.parquet": "whole",
    "stages/thing/*/j.json": "whole",
    "stages/thing/*/receipts/whole.json": "whole",
}


def test_what_is_whole_is_found_so(tmp_path):
    _, stage = written(tmp_path)
    assert checked(stage) == []
    assert [len(names) for _, names in to_check([stage], most=2)] == [2, 2]


@pytest.mark.parametrize("how", ["flipped", "cut", "emptied", "deleted"])
@pytest.mark.parametrize("pattern", PARTS)
def test_every_damage_is_found_by_name_and_done_again(tmp_path, pattern, how):
    run, stage = written(tmp_path)
    (path,) = run_files(run, pattern)
    data = bytearray(path.read_bytes())
    if how == "deleted":
        path.unlink()
    else:
        data[len(data) // 2] ^= 1
        kept = {"flipped": data, "cut": data[:-7], "emptied": b""}[how]
        path.write_bytes(kept)
    name = PARTS[pattern]
    if "receipts" in pattern and how == "deleted":  # not done, as far as anybody can tell
        assert checked(stage) == []
    else:
        assert checked(stage) == [name]
    note(run, [Damage(stage.location.url, name, "for a test")])
    assert remove_noted(run) == ["for a test"]
    assert remove_noted(run) == []
    left = stage.done("0000")
    assert left == ({0, 1, 2} - ({int(name[-6:])} if name != "whole" else set()))
    _, stage = written(tmp_path)
    assert checked(stage) == []
    for block in BLOCKS:
        assert stage.array("x", block)[0, 0] == block.index


def run_files(run, pattern):
    from pathlib import Path

    return sorted(Path(str(run.location)).glob(pattern))


@pytest.mark.parametrize("what", ["stages/thing/*/data.zarr/0000/x/zarr.json",
                                  "stages/thing/*/data.zarr/0000/x/c/1/0",
                                  "stages/thing/*/t/0000/000001.parquet"])  # fmt: skip
@pytest.mark.parametrize("how", ["flipped", "deleted"])
def test_a_reader_is_told_and_never_given_other_rows(tmp_path, what, how):
    run, stage = written(tmp_path)
    (path,) = run_files(run, what)
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 4
    path.unlink() if how == "deleted" else path.write_bytes(data)
    with pytest.raises(DamagedError) as raised:
        stage.table("t", BLOCKS[1]) if what.endswith("parquet") else stage.array("x", BLOCKS[1])
    assert (raised.value.stage, raised.value.block) == (stage.location.url, "0000/000001")
    assert remove(run, raised.value.stage, raised.value.block)
    stage.write_block(BLOCKS[1], {"x": np.arange(20.0).reshape(10, 2) + 1, "t": TABLE})
    assert stage.array("x", BLOCKS[1])[0, 0] == 1
    assert checked(stage) == []


def test_blocks_of_their_own_length(tmp_path):
    run, stage = written(tmp_path, ragged=True)
    (path,) = run_files(run, "stages/thing/*/data.zarr/0000/x/000001/c/0/0")
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    assert checked(stage) == ["0000/000001"]
    stage.remove("0000/000001")
    assert stage.done("0000") == {0, 2}
    assert not path.exists()


def test_what_was_needed_no_more_is_no_damage(tmp_path):
    _, stage = written(tmp_path)
    stage.discard("0000")
    assert checked(stage) == []


def test_a_chunk_that_is_not_whole_is_written_over_by_the_next(tmp_path):
    """A crash of the machine may leave a name without all of its bytes."""
    run, stage = written(tmp_path)
    (chunk,) = run_files(run, "stages/thing/*/data.zarr/0000/x/c/1/0")
    (table,) = run_files(run, "stages/thing/*/t/0000/000001.parquet")
    for path in (chunk, table):
        path.write_bytes(path.read_bytes()[:10])
    stage.forget(BLOCKS[1])
    stage.write_block(BLOCKS[1], {"x": np.arange(20.0).reshape(10, 2) + 1, "t": TABLE})
    assert checked(stage) == []


def test_the_damage_of_another_run_is_not_touched(tmp_path):
    _, stage = written(tmp_path)
    other = Run(Location(str(tmp_path / "other")))
    assert not remove(other, stage.location.url, "0000/000001")
    assert stage.done("0000") == {0, 1, 2}


def test_zarr_itself_checks_the_checksum(tmp_path):
    run, stage = written(tmp_path)
    array = zarr.open_array(f"{stage.location}/data.zarr/0000/x", mode="r")
    np.testing.assert_array_equal(array[10:20], stage.array("x", BLOCKS[1]))
    (path,) = run_files(run, "stages/thing/*/data.zarr/0000/x/c/1/0")
    data = bytearray(path.read_bytes())
    data[5] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="checksum"):
        array[10:20]


def test_runs_of_before_there_were_checksums_are_read(tmp_path):
    run, stage = written(tmp_path)
    (metadata,) = run_files(run, "stages/thing/*/data.zarr/0000/x/zarr.json")
    described = json.loads(metadata.read_text())
    described["codecs"] = [c for c in described["codecs"] if c["name"] != "crc32c"]
    metadata.write_text(json.dumps(described))
    for path in run_files(run, "stages/thing/*/data.zarr/0000/x/c/*/0"):
        path.write_bytes(path.read_bytes()[:-4])
    for path in run_files(run, "stages/thing/*/receipts/0000/*.json"):
        receipt = json.loads(path.read_text())
        del receipt["parts"]
        path.write_text(json.dumps(receipt))
    assert stage.array("x", BLOCKS[2])[0, 0] == 2
    assert checked(stage) == []
    stage.forget(BLOCKS[2])
    stage.write_block(BLOCKS[2], {"x": np.arange(20.0).reshape(10, 2), "t": TABLE})
    assert stage.array("x", BLOCKS[2])[0, 0] == 2  # the bytes that were there
