import errno

import pytest

from dtopics.errors import RunAccessError
from dtopics.store import Location, patience
from dtopics.testing.failing import Failures, Rule


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(patience, "WAITS_S", (0.01,) * 6)


@pytest.fixture
def failures(tmp_path):
    return Failures(tmp_path / "failures")


@pytest.fixture
def place(tmp_path, failures):
    return Location(f"failing://{tmp_path}/objects", failures.storage_options)


@pytest.mark.parametrize("kind", ["busy", "timeout", "lost", "slow"])
def test_a_store_that_fails_for_a_while_is_asked_again(failures, place, kind):
    failures.set([Rule(kind, times=2)])
    assert (place / "a").create(b"first") in {True, False}  # whose answer was lost, cannot know
    assert not (place / "a").create(b"second")
    failures.set([Rule(kind, "read", times=3)])
    assert (place / "a").read() == b"first"
    failures.set([Rule(kind, times=2)])
    (place / "a").write(b"third")
    assert place.read_all(["a"]) == [b"third"]
    failures.set([Rule(kind, "list", times=2)])
    assert place.names() == ["a"]
    assert failures.injected == (1 if kind == "slow" else 2)


def test_a_store_that_never_answers_is_given_up(failures, place):
    failures.set([Rule("busy", times=100)])
    with pytest.raises(OSError, match="SlowDown"):
        (place / "a").read()
    assert failures.injected == 7


def test_no_room_is_said_at_once(failures, place):
    failures.set([Rule("full", times=100)])
    with pytest.raises(RunAccessError, match=r"no room at failing.*run the same command again"):
        (place / "a").create(b"data")
    assert failures.injected == 1


def test_expired_credentials_are_said_at_once(failures, place):
    failures.set([Rule("denied", times=100)])
    with pytest.raises(RunAccessError, match=r"ExpiredToken.*run the same command again"):
        (place / "a").read()
    assert failures.injected == 1


class Status(Exception):
    def __init__(self, code):
        self.status_code = code


def named(module, name):
    return type(name, (Exception,), {"__module__": module})()


@pytest.mark.parametrize(("error", "passes"), [
    (Status(503), True), (Status(429), True), (Status(404), False),
    (named("aiohttp.client_exceptions", "ClientError"), True),
    (named("botocore.exceptions", "EndpointConnectionError"), True),
    (named("botocore.exceptions", "NoCredentialsError"), False),
    (named("azure.core.exceptions", "ServiceRequestError"), True),
    (OSError(errno.EIO, "I/O error"), True), (OSError(errno.ENAMETOOLONG, "x"), False),
    (ConnectionResetError(), True), (KeyError("x"), False),
])  # fmt: skip
def test_what_may_pass(error, passes):
    assert patience.may_pass(error) is passes


def test_a_full_disk(tmp_path):
    """A real one, where this user may mount one."""
    import subprocess

    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("may not mount")
    try:
        with pytest.raises(RunAccessError, match="no room"):
            Location(str(disk / "x")).create(bytes(10**6))
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", disk], check=True)
