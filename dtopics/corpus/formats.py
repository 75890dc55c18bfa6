"""The formats by name; a new one is a file of its own and a line here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

import pyarrow as pa

from dtopics.corpus.columns import Fields
from dtopics.corpus.csv import Csv
from dtopics.corpus.jsonl import Jsonl
from dtopics.corpus.parquet import Parquet
from dtopics.corpus.rows import Rows
from dtopics.corpus.text import Text, TextFiles
from dtopics.data import Columns, Piece
from dtopics.store.location import Location


class Format(Protocol):
    """What a kind of file must offer."""

    @property
    def columns(self) -> Columns:
        """Which columns are read."""
        ...

    def fields(self, location: Location) -> Fields:
        """Return the file's columns and their types; none where it is plain text."""
        ...

    def read(self, location: Location, piece: Piece) -> Rows:
        """Return a piece's rows."""
        ...

    def parse_stream(self, location: Location) -> Iterator[Rows]:
        """Yield all rows of a file in order, in bounded memory."""
        ...


def make_format(name: str, columns: Columns, types: Mapping[str, pa.DataType]) -> Format:
    """Return the format called `name`, reading `columns`.

    Parameters
    ----------
    name : str
        One of `dtopics.corpus.files.FORMATS`.
    columns : Columns
    types : mapping of str to pyarrow.DataType
        Of the kept columns, by role.
    """
    if name == "parquet":
        return Parquet(columns, types)
    if name == "tsv":
        return Csv(columns, types, "\t")
    classes: dict[str, type[Jsonl | Csv | Text]] = {
        "jsonl": Jsonl,
        "csv": Csv,
        "text": Text,
        "files": TextFiles,
    }
    return classes[name](columns, types)
