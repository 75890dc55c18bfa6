"""What client, scheduler and workers say to each other, encrypted by one folder."""

import os
import stat

import dask
import pytest

from dtopics.errors import SettingError
from dtopics.execution.cluster import LocalSettings, connect, local_cluster
from dtopics.execution.security import FILES, certificates, encrypted


def test_a_cluster_of_our_own_is_encrypted_and_strangers_are_refused(tmp_path):
    from distributed import Client
    from distributed.security import Security

    with encrypted(str(tmp_path / "tls")), local_cluster(LocalSettings(workers=1)) as client:
        address = client.scheduler.address
        assert address.startswith("tls://")
        workers = client.scheduler_info(n_workers=-1)["workers"]
        assert all(worker.startswith("tls://") for worker in workers)
        assert client.submit(sum, [1, 2]).result() == 3
        with connect(address) as another:  # as a command with the same folder would
            assert another.submit(sum, [3, 4]).result() == 7
        with pytest.raises(OSError):
            Client(address, security=Security.temporary(), timeout="3s", set_as_default=False)
        plain = address.replace("tls://", "tcp://")
        with pytest.raises((OSError, RuntimeError, ValueError)):
            Client(plain, security=Security(), timeout="3s", set_as_default=False)
    assert dask.config.get("distributed.comm.tls.ca-file") is None
    assert not any("COMM__TLS" in name for name in os.environ)


def test_certificates_are_made_once_and_for_this_user_only(tmp_path):
    folder = certificates(tmp_path / "tls")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE((folder / name).stat().st_mode) for name in FILES} == {0o600}
    before = [(folder / name).read_text() for name in FILES]
    certificates(folder)
    assert [(folder / name).read_text() for name in FILES] == before


def test_half_of_the_files_are_an_error(tmp_path):
    (tmp_path / "ca.pem").write_text("x")
    with (
        pytest.raises(SettingError, match=r"has ca\.pem and lacks cert\.pem, key\.pem"),
        encrypted(str(tmp_path)),
    ):
        pass


def test_without_a_folder_nothing_changes():
    before = dict(os.environ)
    with encrypted(None):
        assert dict(os.environ) == before
