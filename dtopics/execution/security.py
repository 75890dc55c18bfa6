"""Encryption of everything that client, scheduler and workers say to each other.

Dask reads which certificates to use from its configuration; processes that are started by this one
inherit it as environment variables.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from dtopics.errors import MissingPackageError, SettingError
from dtopics.execution.environ import variables

#: The files of a folder of certificates: who signed them, the certificate, its private key.
FILES = ("ca.pem", "cert.pem", "key.pem")
_ROLES = ("client", "scheduler", "worker")


@contextlib.contextmanager
def encrypted(folder: str | None) -> Iterator[None]:
    """Have Dask encrypt inside the ``with``, by the certificates of a folder.

    Parameters
    ----------
    folder : str or None
        With ``ca.pem``, ``cert.pem`` and ``key.pem``. Where there are none, such are made that
        sign themselves. None: nothing is encrypted that was not before.

    Raises
    ------
    SettingError
        Some of the files are there, and some are not.
    MissingPackageError
        None are there, and they cannot be made.
    """
    if folder is None:
        yield
        return
    import dask

    chosen = environment(certificates(Path(folder)))
    settings = {_setting(name): value for name, value in chosen.items()}
    with variables(chosen), dask.config.set(settings):
        yield


def _setting(variable: str) -> str:
    """Return the name of Dask's setting that a variable sets."""
    name = variable.removeprefix("DASK_").lower()
    return name.replace("__", ".").replace("_", "-")


def environment(folder: Path) -> dict[str, str]:
    """Return the variables by which any Dask process uses the certificates of a folder."""
    ca, certificate, key = (str(folder.absolute() / name) for name in FILES)
    chosen = {"CA_FILE": ca}
    for role in _ROLES:
        chosen |= {f"{role.upper()}__CERT": certificate, f"{role.upper()}__KEY": key}
    return {f"DASK_DISTRIBUTED__COMM__TLS__{name}": value for name, value in chosen.items()} | {
        "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True",
        "DASK_DISTRIBUTED__COMM__DEFAULT_SCHEME": "tls",
    }


def certificates(folder: Path) -> Path:
    """Return a folder in which there are certificates, made where there were none."""
    there = [name for name in FILES if (folder / name).exists()]
    if there and len(there) < len(FILES):
        missing = ", ".join(sorted(set(FILES) - set(there)))
        message = f"{folder} has {', '.join(there)} and lacks {missing}"
        raise SettingError(message)
    if not there:
        _make(folder)
    return folder


def _make(folder: Path) -> None:
    from distributed.security import Security

    try:
        made = Security.temporary()
    except ImportError as error:
        message = "making certificates needs cryptography: pip install 'dtopics[tls]'"
        raise MissingPackageError(message) from error
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    contents = (made.tls_ca_file, made.tls_client_cert, made.tls_client_key)
    for name, content in zip(FILES, contents, strict=True):
        with open(folder / name, "w", opener=_private) as file:
            file.write(content)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
