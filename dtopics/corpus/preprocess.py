"""What changes texts before they are embedded or counted: a user's function, or no HTML."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

from dtopics.corpus.rows import clean_text
from dtopics.data import Block, Documents
from dtopics.errors import InputError, SettingError
from dtopics.protocols import DocumentReader
from dtopics.store.travelling import check_travels

STRIP_HTML = "strip_html"
#: Their content is no text.
_HIDDEN = frozenset({"script", "style"})
#: They stand within a word or a sentence; all others end one.
_INLINE = frozenset((
    "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em",
    "font", "i", "ins", "kbd", "mark", "q", "s", "samp", "small", "span", "strike", "strong",
    "sub", "sup", "time", "tt", "u", "var", "wbr",
))  # fmt: skip


@dataclass(frozen=True)
class Preprocessing:
    """What is done to texts before each use.

    Attributes
    ----------
    embed, count : callable (list of str) -> sequence of str, or None
        None where texts stay as they are.
    """

    embed: Any = None
    count: Any = None

    def check(self) -> None:
        """See that the functions can be sent to workers.

        Raises
        ------
        SettingError
        """
        for change in (self.embed, self.count):
            if change is not None:
                check_travels(change, "preprocess")


def as_preprocessing(preprocess: Any) -> Preprocessing:
    """Read what a user gave as ``preprocess``.

    Parameters
    ----------
    preprocess : None, "strip_html", callable, or mapping
        A callable gets the texts of a block and returns as many. A mapping has ``"embed"``,
        ``"count"`` or both; without one, texts stay as they are there.

    Raises
    ------
    SettingError
    """
    if isinstance(preprocess, Mapping):
        if not preprocess or set(preprocess) - {"embed", "count"}:
            message = f"preprocess has {sorted(preprocess)}; expected 'embed', 'count' or both"
            raise SettingError(message)
        return Preprocessing(**{name: _change(value) for name, value in preprocess.items()})
    change = _change(preprocess)
    return Preprocessing(change, change)


def _change(given: Any) -> Any:
    if given is None:
        return None
    if given == STRIP_HTML:
        return strip_html
    if not callable(given) or isinstance(given, type):
        message = (
            f"preprocess is {given!r}; expected 'strip_html' or a function from the texts of a "
            "block to as many texts"
        )
        raise SettingError(message)
    return given


@dataclass(frozen=True)
class ChangedReader:
    """Reads documents whose texts are changed."""

    read: DocumentReader
    change: Callable[[list[str]], Sequence[str]]

    def __call__(self, block: Block) -> Documents:
        """Return the block's documents in row order."""
        documents = self.read(block)
        return documents._replace(texts=changed(documents.texts, self.change))


def changed(texts: Sequence[str], change: Callable[[list[str]], Sequence[str]]) -> list[str]:
    """Return texts after a user's function.

    Raises
    ------
    InputError
        Where it returns anything but a text for each.
    """
    found = change(list(texts))
    if isinstance(found, str) or not hasattr(found, "__len__") or len(found) != len(texts):
        what = f"{len(found)} texts" if hasattr(found, "__len__") else type(found).__name__
        message = f"preprocess was given {len(texts)} texts and returned {what}; expected as many"
        raise InputError(message)
    wrong = next((text for text in found if not isinstance(text, str)), None)
    if wrong is not None:
        message = f"preprocess returned {wrong!r:.80}, which is no text"
        raise InputError(message)
    return [clean_text(text)[0] for text in found]


def strip_html(texts: Sequence[str]) -> list[str]:
    """Return texts without HTML: no tags, comments, scripts or styles; entities as characters.

    Parameters
    ----------
    texts : sequence of str

    Returns
    -------
    list of str

    Examples
    --------
    >>> strip_html(["<p>Fish &amp; <b>chips</b></p><script>let x</script>", "1 < 2"])
    ['Fish & chips', '1 < 2']
    """
    return [_stripped(text) if "<" in text or "&" in text else text for text in texts]


def _stripped(text: str) -> str:
    parser = _Text()
    parser.feed(text)
    parser.close()
    return re.sub(r"\s+", " ", "".join(parser.parts)).strip()


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._hidden = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:  # noqa: ARG002
        if tag in _HIDDEN:
            self._hidden = tag
        elif tag not in _INLINE:
            self.parts.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag == self._hidden:
            self._hidden = ""
        elif tag not in _INLINE:
            self.parts.append(" ")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(data)
