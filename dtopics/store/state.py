"""What ``run.json`` may say: a run that somebody else made must not lead outside itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from dtopics.errors import RunError

#: Blocks of a run, of all segments; a plan of more is no plan.
MOST_BLOCKS = 10_000_000
_SEGMENT = re.compile(r"[a-z0-9][a-z0-9 _-]{0,40}")
_KEY = re.compile(r"[0-9a-z]{1,64}")
_NAME = re.compile(r"[a-z0-9][a-z0-9 ._-]{0,60}")
_BLOCK = re.compile(rf"whole|{_SEGMENT.pattern}/\d{{1,9}}")


def check_state(state: Mapping[str, Any], where: str) -> None:
    """See that names are names, and that numbers are those of a run.

    Parameters
    ----------
    state : mapping
        As ``run.json`` holds it.
    where : str
        The run, for the message.

    Raises
    ------
    RunError
    """
    try:
        segments = _list(state.get("segments", []))
        for segment in segments:
            _check_segment(segment)
        fitted = state.get("fitted", {})
        versions = _list(fitted.get("versions", []))
        for stages in (state["stages"], fitted.get("stages", {}),
                       *(entry["stages"] for entry in versions)):  # fmt: skip
            for name, key in stages.items():
                check_stage(name, key)
        for entry in [fitted, *versions]:
            _check_version(entry, n_segments=len(segments))
        for key, parts in state.get("divided", {}).items():
            _check_key(key)
            for name, n_rows, rows in map(_list, _list(parts)):
                _check_rows(name, n_rows, rows)
    except (TypeError, AttributeError, LookupError, ValueError) as error:
        message = f"{where}/run.json is not what dtopics writes: {error}"
        raise RunError(message) from error


def check_stage(name: str, key: str) -> None:
    """See that a stage's name and fingerprint lead to its own folder.

    Raises
    ------
    ValueError
    """
    if not _NAME.fullmatch(name) or ".." in name or not _KEY.fullmatch(key):
        raise ValueError(f"{name!r:.80} with {key!r:.80} is no stage")


def check_block(name: str) -> None:
    """See that a block's name leads to its own files.

    Raises
    ------
    ValueError
    """
    if not _BLOCK.fullmatch(name):
        raise ValueError(f"{name!r:.80} is no block")


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r:.80} is no list")
    return value


def _check_version(entry: Mapping[str, Any], n_segments: int) -> None:
    key = entry.get("version", entry.get("topics_version", ""))
    if key:
        _check_key(key)
    if not 1 <= entry.get("segments", 1) <= max(n_segments, 1):
        raise ValueError(f"{entry['segments']!r:.80} is no number of segments")


def _check_key(key: str) -> None:
    if not _KEY.fullmatch(key):
        raise ValueError(f"{key!r:.80} is no fingerprint")


def _check_segment(segment: Mapping[str, Any]) -> None:
    _check_rows(segment["name"], segment["n_rows"], segment["block_rows"])
    if not segment["block_rows"]:
        raise ValueError("a segment has blocks of no rows")


def _check_rows(name: str, n_rows: int, block_rows: int) -> None:
    if not _SEGMENT.fullmatch(name):
        raise ValueError(f"{name!r:.80} is no segment")
    for number in (n_rows, block_rows):
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            raise ValueError(f"{number!r:.80} is no number of rows")
    if n_rows > MOST_BLOCKS * max(block_rows, 1):
        raise ValueError(f"{n_rows} rows in blocks of {block_rows} are too many")
