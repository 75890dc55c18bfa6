"""Rows on their way from a source to `Documents`, and the cleaning that every format shares."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from dtopics.data import Columns

#: Columns that are kept beside the text, under the names that the spool gives them.
KEPT = ("id", "timestamp", "class")


class Rows(NamedTuple):
    """Consecutive rows of a source.

    Attributes
    ----------
    texts : sequence of str or None
        Without lone surrogates; None where the source has a null.
    replaced : tuple of int
        Positions of the texts in which something became U+FFFD, ascending.
    kept : mapping of str to pyarrow.Array
        Some of ``"id"``, ``"timestamp"``, ``"class"``, each as long as `texts`.
    """

    texts: Sequence[str | None]
    replaced: tuple[int, ...]
    kept: Mapping[str, pa.Array]

    def part(self, start: int, stop: int) -> Rows:
        """Return the rows from `start` to before `stop`."""
        return Rows(
            self.texts[start:stop],
            tuple(i - start for i in self.replaced if start <= i < stop),
            {role: array.slice(start, stop - start) for role, array in self.kept.items()},
        )


def join_rows(parts: Sequence[Rows]) -> Rows:
    """Return rows one after the other; all parts keep the same columns."""
    if len(parts) == 1:
        return parts[0]
    texts: list[str | None] = []
    replaced: list[int] = []
    for part in parts:
        replaced.extend(len(texts) + i for i in part.replaced)
        texts.extend(part.texts)
    roles = parts[0].kept if parts else ()
    kept = {role: pa.concat_arrays([part.kept[role] for part in parts]) for role in roles}
    return Rows(texts, tuple(replaced), kept)


def digest_rows(parts: Iterable[Rows]) -> str:
    """Return a sha256 over texts and kept values, wherever the parts are cut."""
    hashes: dict[str, Any] = {}
    for part in parts:
        text_hash = hashes.setdefault("text", hashlib.sha256())
        for text in part.texts:
            data = b"" if text is None else text.encode()
            text_hash.update(b"%d:" % (-1 if text is None else len(data)))
            text_hash.update(data)
        for role, array in part.kept.items():
            kept_hash = hashes.setdefault(role, hashlib.sha256(str(array.type).encode()))
            for value in array.to_pylist():
                kept_hash.update(repr(value).encode("utf-8", "backslashreplace") + b"\n")
    whole = {role: found.hexdigest() for role, found in hashes.items()}
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def clean_text(text: str) -> tuple[str, bool]:
    """Replace lone surrogates by U+FFFD; also say whether there were any."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text), True
    return text, False


def decode_text(data: bytes) -> tuple[str, bool]:
    """Decode UTF-8, what is not becoming U+FFFD; also say whether there was any."""
    try:
        return data.decode(), False
    except UnicodeDecodeError:
        return data.decode(errors="replace"), True


def clean_texts(texts: Iterable[str | None]) -> tuple[list[str | None], tuple[int, ...]]:
    """Apply `clean_text` to each, and return the positions of those it changed."""
    cleaned: list[str | None] = []
    replaced: list[int] = []
    for position, text in enumerate(texts):
        if text is None:
            cleaned.append(None)
            continue
        good, changed = clean_text(text)
        cleaned.append(good)
        if changed:
            replaced.append(position)
    return cleaned, tuple(replaced)


def array_texts(array: pa.Array | pa.ChunkedArray) -> tuple[list[str | None], tuple[int, ...]]:
    """Return the texts of a string column, whose bytes Arrow does not check on reading."""
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    try:
        return array.to_pylist(), ()
    except UnicodeDecodeError:
        texts: list[str | None] = []
        replaced: list[int] = []
        for position, data in enumerate(array.cast(pa.large_binary()).to_pylist()):
            text, changed = (None, False) if data is None else decode_text(data)
            texts.append(text)
            if changed:
                replaced.append(position)
        return texts, tuple(replaced)


def plain_type(type_: pa.DataType) -> pa.DataType:
    """Return the one type that stands for all encodings of the same values."""
    if pa.types.is_dictionary(type_):
        return plain_type(type_.value_type)
    return pa.string() if is_string(type_) else type_


def is_string(type_: pa.DataType) -> bool:
    """Whether a column of this type holds text."""
    if pa.types.is_dictionary(type_):
        return is_string(type_.value_type)
    return bool(
        pa.types.is_string(type_)
        or pa.types.is_large_string(type_)
        or pa.types.is_string_view(type_)
    )


def plain_array(array: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return one chunk of `plain_type`, its strings valid UTF-8."""
    if is_string(array.type):
        texts, replaced = array_texts(array)
        return pa.array(texts, pa.string()) if replaced else _one_chunk(array.cast(pa.string()))
    return _one_chunk(array.cast(plain_type(array.type)))


def _one_chunk(array: pa.Array | pa.ChunkedArray) -> pa.Array:
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def roles_of(columns: Columns) -> dict[str, str]:
    """Return the kept columns of a source: role → the source's name for it."""
    names = {"id": columns.id, "timestamp": columns.timestamp, "class": columns.class_}
    return {role: name for role, name in names.items() if name is not None}
