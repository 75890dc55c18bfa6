"""Objects of other libraries that only pickle can keep.

They lie in ``run/foreign/`` under the hash of their bytes. Whoever asks for one names that hash,
so a file that was exchanged is never opened; a run that somebody else made is opened only by a
caller who trusts it.
"""

from __future__ import annotations

import hashlib
import pickle
from dataclasses import dataclass
from typing import Any

from dtopics.errors import RunError
from dtopics.store.location import Location
from dtopics.store.travelling import dumps


@dataclass(frozen=True)
class Foreign:
    """A pickled object in the run directory.

    Attributes
    ----------
    folder : Location
        ``run/foreign``.
    sha256 : str
        Of its bytes; also its name.
    """

    folder: Location
    sha256: str


def store_foreign(folder: Location, value: Any) -> Foreign:
    """Pickle `value` into `folder`, once however often it is asked."""
    data = dumps(value)
    digest = hashlib.sha256(data).hexdigest()
    (folder / f"{digest}.pickle").create(data)
    return Foreign(folder, digest)


def load_foreign(foreign: Foreign) -> Any:
    """Open a pickled object whose bytes are the ones that were named.

    Raises
    ------
    RunError
        Where the file's bytes have another hash.
    """
    data = (foreign.folder / f"{foreign.sha256}.pickle").read()
    if hashlib.sha256(data).hexdigest() != foreign.sha256:
        message = f"{foreign.folder}/{foreign.sha256}.pickle was changed; it is not opened"
        raise RunError(message)
    return pickle.loads(data)  # noqa: S301 (the hash was given by the caller who trusts it)
