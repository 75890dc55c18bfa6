r"""Token patterns that mean runs of one class of characters, which need no regular expression.

scikit-learn's default, ``(?u)\b\w\w+\b``, is one: its matches are the runs of at least two word
characters. Which characters are of the class is asked of `re` itself, once per process.
"""

from __future__ import annotations

import functools
import re
import sys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: What a character is to a run: it ends it, belongs to it, or keeps it from being a token.
OUTSIDE, MEMBER, SPOILER = 0, 1, 2
WORD = r"\w"

_ATOM = r"\\w|\\S|\[\^?(?:[^\[\]\\]|\\.)+\]"
_RUN = re.compile(
    rf"(?:\(\?u\))?(?P<open>\\b)?(?P<atom>{_ATOM})(?P<more>(?:(?P=atom))*)"
    r"(?:\+|\{(?P<least>[1-9]\d{0,3}),\})(?P<close>\\b)?"
)


@dataclass(frozen=True)
class Runs:
    r"""What a token pattern takes: runs of one class, of a least number of characters.

    Attributes
    ----------
    atom : str
        The class as a regular expression: ``\w``, ``\S`` or one in brackets.
    shortest : int
    whole : bool
        Whether a token is a whole run of word characters, as it is between two ``\b``.
    """

    atom: str
    shortest: int
    whole: bool

    @property
    def classes(self) -> NDArray[np.uint8]:
        """What each code point is to a run: `OUTSIDE`, `MEMBER` or `SPOILER`."""
        return _classes(self.atom, WORD if self.whole else None)


def runs_of(pattern: str) -> Runs | None:
    r"""Return the runs that a pattern takes, or None where it is not of that kind.

    Examples
    --------
    >>> runs_of(r"(?u)\b\w\w+\b")
    Runs(atom='\\w', shortest=2, whole=True)
    >>> runs_of(r"\w+|\S")
    """
    found = _RUN.fullmatch(pattern)
    if found is None or bool(found["open"]) != bool(found["close"]):
        return None
    atom, whole = found["atom"], bool(found["open"])
    if whole and np.any(_members(atom) & ~_members(WORD)):
        return None
    shortest = len(found["more"]) // len(atom) + int(found["least"] or 1)
    return Runs(atom, shortest, whole)


@functools.lru_cache(maxsize=8)
def _members(atom: str) -> NDArray[np.bool_]:
    """Return which code points are of a class."""
    points = np.arange(sys.maxunicode + 1, dtype="<u4").tobytes()
    every = points.decode("utf-32-le", "surrogatepass")
    members = np.zeros(len(every), np.bool_)
    for found in re.finditer(f"{atom}+", every):
        members[found.start() : found.end()] = True
    return members


@functools.lru_cache(maxsize=8)
def _classes(atom: str, words: str | None) -> NDArray[np.uint8]:
    classes = np.where(_members(atom), MEMBER, OUTSIDE).astype(np.uint8)
    if words is not None:
        classes[_members(words) & ~_members(atom)] = SPOILER
    return classes
