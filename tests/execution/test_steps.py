from dataclasses import dataclass
from typing import Any

from dtopics.execution.steps import MAX_STEP_BYTES, Packed
from dtopics.store import Location, Stage


@dataclass(frozen=True)
class Heavy:
    weights: bytes
    stage: Stage
    storage_options: Any

    def __call__(self, block):
        return {}


def test_secrets_of_a_large_step_are_not_left_in_the_run(tmp_path):
    options = {"secret": "hunter2"}
    stage = Stage("x", "f", Location("s3://bucket/run", options))
    step = Heavy(b"x" * (MAX_STEP_BYTES + 1), stage, options)
    packed = Packed.pack(step, Location(str(tmp_path)))
    assert packed.data is None
    assert "hunter2" not in repr(packed)
    (file,) = tmp_path.iterdir()
    assert b"hunter2" not in file.read_bytes()
    again = packed.unpack()
    assert again == step
    assert again.stage.location.storage_options == options


def test_a_small_step_leaves_nothing_in_the_run(tmp_path):
    packed = Packed.pack(len, Location(str(tmp_path)))
    assert packed.unpack() is len
    assert list(tmp_path.iterdir()) == []
