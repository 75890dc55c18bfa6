import pickle
import threading
from pathlib import Path

import pytest

from dtopics.errors import RunAccessError
from dtopics.store import Location


@pytest.fixture(params=["local", "memory"])
def folder(request, tmp_path):
    if request.param == "local":
        yield Location(str(tmp_path / "here"))
        return
    location = Location(f"memory://{tmp_path.name}")
    yield location
    location.remove()


def test_the_first_writer_wins(folder):
    file = folder / "a" / "b.bin"
    assert file.create(b"first")
    assert not file.create(b"second")
    assert file.read() == b"first"


def test_of_many_writers_at_once_exactly_one_wins(folder):
    file = folder / "race"
    start = threading.Barrier(16)
    won = []

    def write(i):
        start.wait()
        if file.create(b"%d" % i * 10_000):
            won.append(i)

    threads = [threading.Thread(target=write, args=(i,)) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert file.read() == b"%d" % won[0] * 10_000


def test_write_replaces(folder):
    file = folder / "x.json"
    file.write(b"1")
    file.write(b"22")
    assert file.read() == b"22"
    assert file.read(1, 2) == b"2"


def test_names_are_sorted_and_hide_what_is_unfinished(folder):
    for name in ("b", "a", "c"):
        (folder / name).create(b"")
    if folder.is_local:
        Path(folder.path, ".a.123.partial").write_text("")
    assert folder.names() == ["a", "b", "c"]
    assert (folder / "nowhere").names() == []


def test_nothing_partial_is_left_behind(tmp_path):
    location = Location(str(tmp_path))
    (location / "x").create(b"1")
    (location / "x").create(b"2")
    (location / "x").write(b"3")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_remove_takes_a_folder_and_nothing_is_fine(folder):
    (folder / "d" / "x").create(b"")
    (folder / "d").remove()
    (folder / "d").remove()
    assert not (folder / "d" / "x").exists()


def test_options_are_never_shown():
    location = Location("s3://bucket/run", {"secret": "hunter2"})
    assert "hunter2" not in repr(location)
    assert "hunter2" not in str(location)


def test_pickles():
    location = Location("s3://bucket/run", {"anon": True}) / "x"
    again = pickle.loads(pickle.dumps(location))
    assert again == location
    assert again.storage_options == {"anon": True}


@pytest.mark.parametrize("url", ["", " "])
def test_an_empty_url_is_not_the_current_folder(url):
    with pytest.raises(RunAccessError, match="empty"):
        Location(url)


def test_an_unknown_protocol_is_said():
    with pytest.raises(RunAccessError, match="carrier-pigeon"):
        Location("carrier-pigeon://coop/run").exists()
