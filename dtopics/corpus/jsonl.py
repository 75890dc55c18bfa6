"""One JSON object in each line; lines of nothing but white space are no rows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from dtopics.corpus.columns import Fields
from dtopics.corpus.lines import LineFormat, RowFault, head_lines, kept_rows
from dtopics.corpus.rows import Rows, clean_text, decode_text, roles_of
from dtopics.store.location import Location

#: Control characters may stand in strings as they are: they do in the wild.
_decode = json.JSONDecoder(strict=False).decode
_INT64 = range(-(2**63), 2**63)


@dataclass(frozen=True)
class Jsonl(LineFormat):
    """JSON Lines."""

    def is_blank(self, line: bytes) -> bool:
        """Whether there is nothing but white space."""
        return not line or (line[0] in b" \t\r" and not line.strip(b" \t\r"))

    def fields(self, location: Location) -> Fields:
        """Return the keys of the file's first rows, and the type of their values."""
        try:
            lines = enumerate(head_lines(self, location))
            return fields_of([_record(line, position)[0] for position, line in lines])
        except RowFault as fault:
            raise fault.error(location.url, 0) from None

    def parse(self, lines: Sequence[bytes], header: tuple[str, ...]) -> Rows:  # noqa: ARG002
        """Return one row for each line; raises RowFault."""
        texts: list[str | None] = []
        replaced: list[int] = []
        roles = roles_of(self.columns)
        values: dict[str, list[Any]] = {role: [] for role in roles}
        for position, line in enumerate(lines):
            record, mended = _record(line, position)
            text, changed = self._text(record, position)
            texts.append(text)
            if changed or (mended and text is not None and "\ufffd" in text):
                replaced.append(position)
            for role, name in roles.items():
                values[role].append(scalar(record.get(name), self.types[role], name, position))
        return Rows(texts, tuple(replaced), kept_rows(values, self.types))

    def _text(self, record: dict[str, Any], position: int) -> tuple[str | None, bool]:
        key = self.columns.text
        if key not in record:
            keys = ", ".join(map(repr, list(record)[:20])) or "none"
            raise RowFault(position, f"there is no key {key!r}; its keys are {keys}")
        text = record[key]
        if text is None:
            return None, False
        if not isinstance(text, str):
            kind = type(text).__name__
            raise RowFault(position, f"the text {key!r} is a {kind}; expected a string or null")
        return clean_text(text)


def fields_of(records: Iterable[Mapping[str, Any]]) -> Fields:
    """Return the keys of some records, and the type of their values."""
    kinds: dict[str, set[type]] = {}
    for record in records:
        for key, value in record.items():
            kinds.setdefault(key, set()).add(_kind(value))
    return {key: _type_of(found) for key, found in kinds.items()}


def _record(line: bytes, position: int) -> tuple[dict[str, Any], bool]:
    text, mended = decode_text(line)
    try:
        record = _decode(text)
    except (ValueError, RecursionError) as error:
        raise RowFault(
            position, f"this is not JSON ({error}); expected one object a line"
        ) from None
    if not isinstance(record, dict):
        kind = type(record).__name__
        raise RowFault(position, f"this is a JSON {kind}; expected one object a line")
    return record, mended


def _kind(value: object) -> type:
    return str if isinstance(value, int) and value not in _INT64 else type(value)


def _type_of(kinds: set[type]) -> pa.DataType:
    kinds = kinds - {type(None)}
    if kinds & {list, dict}:
        return pa.struct([]) if dict in kinds else pa.list_(pa.null())
    if not kinds:
        return pa.string()
    if kinds <= {int, float}:
        return pa.float64() if float in kinds else pa.int64()
    return pa.bool_() if kinds == {bool} else pa.string()


def scalar(value: object, type_: pa.DataType, name: str, position: int) -> object:
    """Return the value as the column's type has it; every block must come to the same type."""
    kind = _kind(value)
    if value is None:
        return None
    if kind in {list, dict}:
        raise RowFault(position, f"the value of {name!r} is a {kind.__name__}; expected one value")
    if pa.types.is_string(type_):
        return clean_text(value)[0] if isinstance(value, str) else json.dumps(value)
    fits = {pa.int64(): (int,), pa.float64(): (int, float), pa.bool_(): (bool,)}[type_]
    if kind not in fits:
        reason = (
            f"the value of {name!r} is a {type(value).__name__}; in the first rows it is "
            f"{type_}. Write them all alike, as strings for instance"
        )
        raise RowFault(position, reason)
    return float(value) if pa.types.is_floating(type_) else value  # type: ignore[arg-type]
