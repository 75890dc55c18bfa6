"""What lies beside the stages: the plan, the spool, the assignments, the topics."""

import gzip
import json

import pytest
from click.testing import CliRunner

from dtopics import Corpus, TopicModel
from dtopics.cli import cli
from dtopics.errors import DamagedError
from dtopics.testing import HashingEmbedder, made_up

MADE = made_up(300, 3, random_state=5)
SETTINGS = {"embedding_model": HashingEmbedder(), "min_topic_size": 12}


@pytest.fixture
def run(tmp_path):
    """The run of a corpus that had to be spooled."""
    with gzip.open(tmp_path / "x.jsonl.gz", "wt") as file:
        file.writelines(json.dumps({"text": text}) + "\n" for text in MADE.texts)
    fit(tmp_path)
    return tmp_path / "run"


def fit(folder):
    corpus = Corpus(str(folder / "x.jsonl.gz"), text_column="text")
    return TopicModel(run=str(folder / "run"), **SETTINGS).fit(corpus)


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)


def receipts(run):
    return {path: path.read_bytes() for path in run.glob("stages/*/*/receipts/**/*.json")}


@pytest.mark.parametrize("pattern", ["spool/0000/*.parquet", "plan/0000.parquet"])
def test_plan_and_spool(run, pattern):
    (path,) = run.glob(pattern)
    content, before = path.read_bytes(), receipts(run)
    flip(path)
    said = CliRunner().invoke(cli, ["verify", str(run)])
    assert said.exit_code == 1
    assert "is not as it was written" in said.output
    fit(run.parent)
    assert receipts(run) == before
    assert path.read_bytes() == content
    assert CliRunner().invoke(cli, ["verify", str(run)]).exit_code == 0


def test_a_spool_that_is_damaged_is_never_read_as_other_texts(run):
    (path,) = run.glob("spool/0000/*.parquet")
    flip(path)
    model = TopicModel(run=str(run), **SETTINGS, preprocess=upper)
    with pytest.raises(ValueError, match=r"cannot read .*spool"):
        model.fit(Corpus(str(run.parent / "x.jsonl.gz"), text_column="text"))


def upper(texts):
    return [text.upper() for text in texts]


def test_a_run_that_is_whole_can_be_checked_by_who_may_not_write(run):
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    said = CliRunner().invoke(cli, ["verify", str(run)])
    assert said.exit_code == 0, said.output
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_an_update_leaves_what_was_fitted_for_a_fit(run):
    """It would have removed what it cannot make."""
    (receipt,) = run.glob("stages/tokens/*/receipts/0000/000000.json")
    (table,) = run.glob("stages/tokens/*/tokens/0000/000000.parquet")
    flip(table)
    model = TopicModel.load(str(run), HashingEmbedder())
    new = made_up(60, 3, random_state=6).texts
    with pytest.raises(DamagedError, match=r"tokens of 0000/000000.*the same fit mends it"):
        model.partial_fit(new)
    assert receipt.exists()
    assert CliRunner().invoke(cli, ["verify", str(run)]).exit_code == 1
    fit(run.parent)
    model = TopicModel.load(str(run), HashingEmbedder()).partial_fit(new)
    assert sum(model.topic_sizes_.values()) == 360


def test_lazy_rows_say_what_to_do(run):
    model = TopicModel.load(str(run))
    (chunk,) = run.glob("stages/clusters/*/data.zarr/0000/labels/c/0")
    flip(chunk)
    with pytest.raises(DamagedError, match=r"clusters of 0000/000000.*`dtopics verify`"):
        model.topics_.compute(scheduler="threads")
