"""The errors that dtopics raises, as one tree.

::

    DTopicsError
    ├── InputError (ValueError)            the documents, embeddings or settings cannot be used
    │   ├── CorpusError                    a source is missing, unreadable or of another shape
    │   ├── EmbeddingError                 vectors of the wrong length, with NaN, or no model
    │   └── SettingError                   a parameter has a value that means nothing
    ├── RunError (ValueError)              the run directory cannot serve
    │   ├── RunMismatchError               it holds another corpus, or its source changed
    │   ├── RunBusyError                   another process writes to it
    │   ├── DamagedError                   something in it is not as it was written
    │   └── RunAccessError (OSError)       it cannot be written or read
    ├── ClusterError (RuntimeError)        the Dask cluster cannot serve (versions, reach, memory)
    ├── BlockError (RuntimeError)          blocks that failed every time, by name
    ├── MissingPackageError (ImportError)  what an extra would bring
    └── NotFittedError (sklearn's)         asked for topics before there are any

Each says what was found, what was expected and what to do, and survives pickling, because
most of them are raised on a worker and read on the client.
"""

from __future__ import annotations


class DTopicsError(Exception):
    """The base of every error that dtopics raises on purpose."""


class InputError(DTopicsError, ValueError):
    """The documents, embeddings or settings cannot be used."""


class CorpusError(InputError):
    """A source is missing, unreadable, or not of the shape that was asked for."""


class EmbeddingError(InputError):
    """Vectors of the wrong length, vectors with NaN, or a model that cannot be loaded."""


class SettingError(InputError):
    """A parameter has a value that means nothing here."""


class RunError(DTopicsError, ValueError):
    """The run directory cannot serve."""


class RunMismatchError(RunError):
    """The run directory holds another corpus, or a source changed under it."""


class RunBusyError(RunError):
    """Another process writes to the run directory."""


class DamagedError(RunError):
    """Something in the run directory is missing, or not as it was written.

    Parameters
    ----------
    message : str
    stage : str
        The URL of the stage's directory; empty where it is not known.
    block : str
        The block's name (``segment/index``), or ``whole`` for what a global step left.
    """

    def __init__(self, message: str, stage: str = "", block: str = "") -> None:
        super().__init__(message, stage, block)
        self.message, self.stage, self.block = message, stage, block

    def __str__(self) -> str:
        return f"{self.message}; `dtopics verify` finds what is damaged, and the same fit mends it"


class RunAccessError(RunError, OSError):
    """The run directory cannot be written or read."""

    def __reduce__(self) -> tuple[type, tuple[str]]:
        """Keep the message alone: OSError would otherwise take its arguments apart."""
        return type(self), (str(self),)


class ClusterError(DTopicsError, RuntimeError):
    """The Dask cluster cannot serve: versions, reach or memory."""


class BlockError(DTopicsError, RuntimeError):
    """Blocks that failed every time.

    Parameters
    ----------
    message : str
        What failed, and what to do.
    failures : dict of str to str
        The block's name (``segment/index``) and what it died of.
    """

    def __init__(self, message: str, failures: dict[str, str] | None = None) -> None:
        super().__init__(message, failures or {})
        self.message = message
        self.failures = failures or {}

    def __str__(self) -> str:
        return self.message


class MissingPackageError(DTopicsError, ImportError):
    """A package is not installed that only some users need; the message names the extra."""


class NotFittedError(DTopicsError, ValueError, AttributeError):
    """Asked for topics before there are any; `fit` or `load` first."""
