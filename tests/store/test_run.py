import json

import pytest

from dtopics.errors import RunAccessError, RunError, RunMismatchError
from dtopics.store import Location, Run
from dtopics.store.foreign import load_foreign, store_foreign


def test_there_is_none(tmp_path):
    with pytest.raises(RunAccessError, match=r"no run at .*nowhere"):
        Run.open(Location(str(tmp_path / "nowhere")))


@pytest.mark.parametrize("text", ["{", "[]", '{"format_version": 99}', "\x00"])
def test_what_is_no_run_is_said(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(RunError):
        Run.open(Location(str(tmp_path)))


def test_a_file_where_the_run_should_be(tmp_path):
    (tmp_path / "file").write_text("")
    run = Run(Location(str(tmp_path / "file")))
    assert not run.load()
    with pytest.raises(RunAccessError, match="cannot write"):
        run.check_writable()


def test_check_writable_leaves_nothing(tmp_path):
    Run(Location(str(tmp_path))).check_writable()
    assert list(tmp_path.iterdir()) == []


def test_another_corpus_is_refused_and_nothing_is_lost(tmp_path):
    run = Run(Location(str(tmp_path)))
    run.claim("aaa", "the first")
    run.begin({"x": 1})
    before = (tmp_path / "run.json").read_text()
    again = Run.open(Location(str(tmp_path)))
    again.claim("aaa", "the first")
    with pytest.raises(RunMismatchError, match="the first"):
        again.claim("bbb", "the second")
    assert (tmp_path / "run.json").read_text() == before


def test_a_broken_off_fit_leaves_the_finished_one_in_use(tmp_path):
    run = Run(Location(str(tmp_path)))
    run.begin({"size": 1})
    first = run.stage("clusters", {"size": 1})
    run.finish("k1")
    run.begin({"size": 2})
    second = run.stage("clusters", {"size": 2})
    again = Run.open(Location(str(tmp_path)))
    assert again.fitted("clusters").fingerprint == first.fingerprint != second.fingerprint
    assert [stage.fingerprint for stage in again.in_use()] == [second.fingerprint]
    assert again.state["fitted"]["config"] == {"size": 1}


def test_a_fit_that_was_never_finished_is_said(tmp_path):
    run = Run(Location(str(tmp_path)))
    run.begin({})
    with pytest.raises(RunError, match="not finished"):
        run.finished  # noqa: B018


def test_what_is_not_there_yet_is_said(tmp_path):
    run = Run(Location(str(tmp_path)))
    with pytest.raises(RunError, match="no clusters yet"):
        run.fitted("clusters")


def test_run_json_is_for_people(tmp_path):
    run = Run(Location(str(tmp_path), {"key": "hunter2"}))
    run.begin({"min_topic_size": 10})
    text = (tmp_path / "run.json").read_text()
    assert "hunter2" not in text
    assert json.loads(text)["config"] == {"min_topic_size": 10}
    assert "\n  " in text


def test_a_foreign_object_that_was_exchanged_is_not_opened(tmp_path):
    foreign = store_foreign(Location(str(tmp_path)), {"a": 1})
    assert load_foreign(foreign) == {"a": 1}
    (tmp_path / f"{foreign.sha256}.pickle").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(RunError, match="was changed"):
        load_foreign(foreign)


def test_a_store_that_refuses_is_said(tmp_path, monkeypatch):
    """As botocore does without credentials: with an error that is no OSError."""

    def refuse(self):
        raise LookupError("unable to locate credentials")

    monkeypatch.setattr(Location, "read", refuse)
    with pytest.raises(RunAccessError, match="LookupError: unable"):
        Run(Location(str(tmp_path))).load()
