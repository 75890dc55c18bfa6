"""Folders that go by themselves."""

from __future__ import annotations

import shutil
import tempfile
import weakref


def temporary_folder(owner: object | None) -> str:
    """Make a folder that goes with its owner; None: with the process, for lazy results."""
    folder = tempfile.mkdtemp(prefix="dtopics-")
    weakref.finalize(owner or temporary_folder, shutil.rmtree, folder, ignore_errors=True)
    return folder
