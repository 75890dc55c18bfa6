"""Which columns of a source are the text, the id, the timestamp and the class."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from dtopics.corpus.rows import is_string, plain_type, roles_of
from dtopics.data import Columns
from dtopics.errors import CorpusError

Fields = Mapping[str, pa.DataType]


def choose_columns(fields: Fields, asked: Columns, where: str) -> Columns:
    """Find the columns that were asked for; the text column has a default.

    Parameters
    ----------
    fields : mapping of str to pyarrow.DataType
        What the source has.
    asked : Columns
        Without a text column: the one named ``"text"``, else the only column of strings.
    where : str
        The source's name, for messages.

    Raises
    ------
    CorpusError
        If a column is missing, has a type that cannot serve, or the choice is not clear.
    """
    columns = Columns(
        asked.text or _default_text(fields, asked, where), asked.id, asked.timestamp, asked.class_
    )
    check_fields(fields, columns, where)
    return columns


def check_fields(fields: Fields, columns: Columns, where: str) -> None:
    """Raise CorpusError where a column is missing or has a type that cannot serve."""
    for name in columns.names():
        if name not in fields:
            raise CorpusError(f"{where} has no column {name!r}; its columns are {_listed(fields)}")
    text = columns.text
    if text is not None and not (is_string(fields[text]) or pa.types.is_null(fields[text])):
        raise CorpusError(
            f"the text column {text!r} of {where} has the type {fields[text]}; expected strings. "
            "Choose another with text_column=, or convert it"
        )
    for name in roles_of(columns).values():
        if pa.types.is_nested(fields[name]):
            raise CorpusError(
                f"the column {name!r} of {where} has the type {fields[name]}; expected one value "
                "in each row"
            )


def kept_types(fields: Fields, columns: Columns) -> dict[str, pa.DataType]:
    """Return the types of the kept columns, by role."""
    return {role: plain_type(fields[name]) for role, name in roles_of(columns).items()}


def check_types(
    fields: Fields, columns: Columns, types: Mapping[str, pa.DataType], where: str
) -> None:
    """Raise CorpusError unless the kept columns have these types: blocks may span files."""
    for role, found in kept_types(fields, columns).items():
        if found != types[role]:
            name = roles_of(columns)[role]
            raise CorpusError(
                f"the column {name!r} of {where} has the type {found}; in the files before it, "
                f"{types[role]}. Convert one of them"
            )


def _default_text(fields: Fields, asked: Columns, where: str) -> str:
    if "text" in fields:
        return "text"
    taken = set(roles_of(asked).values())
    strings = [name for name, type_ in fields.items() if is_string(type_) and name not in taken]
    if len(strings) == 1:
        return strings[0]
    raise CorpusError(
        f"cannot tell which column of {where} is the text: there is none named 'text', and "
        f"{len(strings)} columns of strings. Choose one with text_column=; its columns are "
        f"{_listed(fields)}"
    )


def _listed(fields: Fields) -> str:
    names = [repr(name) for name in fields]
    return ", ".join(names[:50]) + (", …" if len(names) > 50 else "") if names else "none"
