import threading

import numpy as np
import pyarrow as pa
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dtopics.data import Block
from dtopics.errors import DamagedError, RunError
from dtopics.store import Location, Stage, rows_by_block

ROWS = 10


def a_stage(folder, n_rows=25, block_rows=ROWS):
    stage = Stage("thing", "f00", Location(str(folder)), (("0000", n_rows, block_rows),))
    starts = range(0, n_rows, block_rows)
    blocks = [Block("0000", i, s, min(block_rows, n_rows - s)) for i, s in enumerate(starts)]
    return stage, blocks


@pytest.mark.parametrize("dtype", ["float16", "float32", "int32", "int64", "uint8", "uint64"])
def test_rows_come_back_and_zarr_reads_them(tmp_path, dtype):
    stage, blocks = a_stage(tmp_path)
    values = np.random.default_rng(0).integers(0, 100, (25, 3)).astype(dtype)
    for block in reversed(blocks):
        rows = values[block.row_start : block.row_start + block.n_rows]
        stage.write_block(block, {"x": rows})
    for block in blocks:
        rows = values[block.row_start : block.row_start + block.n_rows]
        np.testing.assert_array_equal(stage.array("x", block), rows)
    opened = zarr.open_array(f"{tmp_path}/data.zarr/0000/x", mode="r")
    np.testing.assert_array_equal(opened[:], values)
    np.testing.assert_array_equal(stage.dask_array("x").compute(scheduler="threads"), values)


def test_a_chunk_of_fill_values_is_written_all_the_same(tmp_path):
    stage, blocks = a_stage(tmp_path)
    stage.write_block(blocks[0], {"x": np.full((ROWS, 2), np.nan, np.float32)})
    assert (
        tmp_path / "data.zarr/0000/x/c/0/0"
    ).stat().st_size == ROWS * 2 * 4 + 4  # and the checksum


def test_a_missing_chunk_is_an_error_not_zeros(tmp_path):
    stage, blocks = a_stage(tmp_path)
    stage.write_block(blocks[0], {"x": np.zeros((ROWS, 2), np.float32)})
    with pytest.raises(DamagedError, match=r"thing of 0000/000001: .* is missing"):
        stage.array("x", blocks[1])


def test_a_truncated_chunk_is_said(tmp_path):
    stage, blocks = a_stage(tmp_path)
    stage.write_block(blocks[0], {"x": np.zeros((ROWS, 2), np.float32)})
    chunk = tmp_path / "data.zarr/0000/x/c/0/0"
    chunk.write_bytes(chunk.read_bytes()[:-4])
    with pytest.raises(DamagedError, match="80 bytes of 84"):
        stage.array("x", blocks[0])


def test_blocks_of_another_width_are_refused(tmp_path):
    stage, blocks = a_stage(tmp_path)
    stage.write_block(blocks[0], {"x": np.zeros((ROWS, 2), np.float32)})
    with pytest.raises(RunError, match=r"\(2,\).*\(3,\)"):
        stage.write_block(blocks[1], {"x": np.zeros((ROWS, 3), np.float32)})


def test_a_late_second_writer_keeps_the_bytes_that_are_there(tmp_path):
    stage, blocks = a_stage(tmp_path)
    first = stage.write_block(blocks[0], {"x": np.zeros((ROWS, 2), np.float32)})
    second = stage.write_block(blocks[0], {"x": np.ones((ROWS, 2), np.float32)})
    assert stage.array("x", blocks[0]).max() == 0
    assert second.sha256 == first.sha256


def test_receipts_follow_the_data_and_are_listed(tmp_path):
    stage, blocks = a_stage(tmp_path)
    assert stage.done("0000") == set()
    assert stage.receipt(blocks[1]) is None
    receipt = stage.write_block(
        blocks[1], {"t": pa.table({"a": [1, 2]}), "notes": {"empty": 2}}, seconds=0.5
    )
    assert stage.done("0000") == {1}
    assert stage.receipt(blocks[1]) == receipt
    assert (receipt.rows, receipt.notes, receipt.seconds) == (10, {"empty": 2}, 0.5)
    assert [r.name for r in stage.receipts()] == ["0000/000001"]
    assert stage.table("t", blocks[1])["a"].to_pylist() == [1, 2]


def test_many_threads_may_write_the_same_array(tmp_path):
    stage, blocks = a_stage(tmp_path, n_rows=400)
    start = threading.Barrier(8)

    def write(offset):
        start.wait()
        for block in blocks[offset::8]:
            stage.write_block(block, {"x": np.full((block.n_rows, 2), block.index, np.int32)})

    threads = [threading.Thread(target=write, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stage.done("0000") == set(range(40))
    assert stage.dask_array("x")[:, 0].compute(scheduler="threads").tolist() == sorted(
        np.repeat(np.arange(40), ROWS).tolist()
    )


def test_a_global_step_keeps_arrays_tables_and_values(tmp_path):
    stage, _ = a_stage(tmp_path)
    big = np.arange(70_000 * 2).reshape(-1, 2)
    stage.write_whole({"a": big, "none": np.zeros((0, 3)), "t": pa.table({"x": [1]}),
                       "about": {"k": [1, "é"]}})  # fmt: skip
    np.testing.assert_array_equal(stage.whole_array("a"), big)
    assert stage.whole_array("none").shape == (0, 3)
    assert set(stage.whole_arrays()) == {"a", "none"}
    assert stage.whole_table("t")["x"].to_pylist() == [1]
    assert stage.whole_json("about") == {"k": [1, "é"]}
    assert stage.whole_receipt() is not None


@settings(max_examples=30, deadline=None)
@given(
    rows=hnp.arrays(np.float32, hnp.array_shapes(min_dims=1, max_dims=2, min_side=1, max_side=40)),
    block_rows=st.integers(1, 45),
)
def test_whatever_the_blocks_the_rows_are_the_same(tmp_path_factory, rows, block_rows):
    stage, blocks = a_stage(tmp_path_factory.mktemp("s"), len(rows), block_rows)
    for block in blocks:
        stage.write_block(block, {"x": rows[block.row_start : block.row_start + block.n_rows]})
    again = np.concatenate([stage.array("x", block) for block in blocks])
    assert again.tobytes() == rows.tobytes()


def test_rows_by_block():
    _, blocks = a_stage("/nowhere")
    table = pa.table({"block": [0, 2, 2], "row": [7, 0, 4]})
    assert [rows.tolist() for _, rows in rows_by_block(table, blocks)] == [[7], [], [0, 4]]
