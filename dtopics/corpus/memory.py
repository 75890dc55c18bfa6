"""A corpus that this process holds: lists, NumPy arrays, pandas Series and DataFrames."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from dtopics.corpus.base import (
    CorpusEstimate,
    CorpusSummary,
    DocumentSource,
    Map,
    check_block_rows,
    make_segment,
)
from dtopics.corpus.columns import choose_columns
from dtopics.corpus.lines import RANGE_BYTES
from dtopics.corpus.plan import default_block_rows
from dtopics.corpus.rows import Rows, clean_texts, digest_rows, plain_array, plain_type, roles_of
from dtopics.corpus.spool import GROUP_ROWS, PartWriter
from dtopics.data import Columns, Segment
from dtopics.errors import CorpusError
from dtopics.store.location import Location

if TYPE_CHECKING:
    import pandas as pd


class MemorySource(DocumentSource):
    """Texts, with kept columns beside them.

    Parameters
    ----------
    texts : sequence of str or None
        What else stands among them is found before any work.
    kept : mapping of str to pyarrow.Array, optional
        By role.
    columns : Columns, optional
        The names that the kept columns had.
    kind : str
        For the summary.
    """

    in_memory = True

    def __init__(
        self,
        texts: Sequence[Any],
        kept: Mapping[str, pa.Array] | None = None,
        columns: Columns | None = None,
        kind: str = "list",
    ) -> None:
        self.texts, self.kept, self.kind = texts, dict(kept or {}), kind
        self.columns = columns or Columns()

    def check(self) -> CorpusSummary:
        """Find what is not a string."""
        if not len(self.texts):
            raise CorpusError(f"the corpus is empty: the {self.kind} has no documents")
        check_strings(self.texts)
        return CorpusSummary(self.kind, self.columns, 0, len(self.texts))

    def estimate(self) -> CorpusEstimate:
        """Return the number of documents."""
        self.check()
        n_bytes = sum(len(text or "") for text in self.texts)
        return CorpusEstimate(0, n_bytes, len(self.texts), exact=True)

    def head(self, most: int) -> list[str]:
        """Return the first texts."""
        return [text or "" for text in self.texts[:most]]

    def fingerprint(self) -> str:
        """Return a sha256 over the texts and kept columns."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        self.check()
        return digest_rows(self._rows())

    def plan(
        self,
        *,
        segment: str,
        block_rows: int | None,
        spool: Location,
        map_: Map,  # noqa: ARG002
        range_bytes: int = RANGE_BYTES,  # noqa: ARG002
    ) -> Segment:
        """Write the documents as parts of one block each; see `Corpus.plan`."""
        check_block_rows(block_rows)
        height = block_rows or default_block_rows(len(self.texts))
        writer = PartWriter(spool, f"memory-{self._digest[:12]}-{height}", height)
        for rows in self._rows():
            writer.add(rows)
        files = [part.extents() for part in writer.close()]
        return make_segment(segment, files, height, self.columns)

    def _rows(self) -> Iterator[Rows]:
        for start in range(0, len(self.texts), GROUP_ROWS):
            stop = min(start + GROUP_ROWS, len(self.texts))
            texts, replaced = clean_texts(self.texts[start:stop])
            kept = {role: a.slice(start, stop - start) for role, a in self.kept.items()}
            yield Rows(texts, replaced, kept)


def check_strings(texts: Iterable[Any], before: int = 0) -> None:
    """Raise CorpusError at the first item that is neither a string nor None."""
    for position, text in enumerate(texts):
        if text is not None and not isinstance(text, str):
            raise CorpusError(
                f"document {before + position} is a {type(text).__name__}; expected a string, or "
                "None for a document without text. Convert it with str()"
            )


def from_array(array: np.ndarray[Any, Any]) -> MemorySource:
    """Return the corpus of a one-dimensional array of strings or objects."""
    if array.ndim != 1 or array.dtype.kind not in "UOT":
        raise CorpusError(
            f"an array of shape {array.shape} and dtype {array.dtype} holds no documents; expected "
            "one dimension of strings. Embeddings belong in embeddings="
        )
    return MemorySource([_none_for_nan(x) for x in array.tolist()], kind="array")


def from_series(series: pd.Series) -> MemorySource:
    """Return the corpus of a pandas Series; what pandas calls missing is a null document."""
    return MemorySource(series_texts(series), kind="series")


def from_frame(frame: pd.DataFrame, asked: Columns) -> MemorySource:
    """Return the corpus of a pandas DataFrame."""
    columns = choose_columns(frame_fields(frame), asked, "the DataFrame")
    kept = {role: series_values(frame[name]) for role, name in roles_of(columns).items()}
    return MemorySource(series_texts(frame[columns.text]), kept, columns, "frame")


def frame_fields(frame: pd.DataFrame) -> dict[str, pa.DataType]:
    """Return the columns of a pandas DataFrame as Arrow types; objects count as strings."""
    if not frame.columns.is_unique:
        raise CorpusError("the DataFrame has two columns of one name; expected unique names")
    return {str(name): series_type(frame[name]) for name in frame.columns}


def series_type(series: pd.Series) -> pa.DataType:
    """Return the Arrow type of a pandas Series, the same for all its parts."""
    dtype = series.dtype
    if isinstance(dtype, np.dtype) and dtype.hasobject:
        return pa.string()
    if hasattr(dtype, "categories"):
        return series_type(dtype.categories.to_series())
    return plain_type(pa.Array.from_pandas(series.iloc[:0]).type)


def series_texts(series: pd.Series) -> list[Any]:
    """Return a Series' values, None for those that are missing."""
    values = series.astype(object)
    return values.where(series.notna(), None).tolist()


def series_values(series: pd.Series, type_: pa.DataType | None = None) -> pa.Array:
    """Return a Series as an array; objects other than strings are written as strings."""
    type_ = type_ or series_type(series)
    if pa.types.is_string(type_):
        values = [None if x is None else as_string(x) for x in series_texts(series)]
        return pa.array(clean_texts(values)[0], pa.string())
    return plain_array(pa.Array.from_pandas(series)).cast(type_)


def as_string(value: object) -> str:
    """Return a value as a string; what JSON knows is written as JSON does."""
    if isinstance(value, str):
        return str(value)
    return json.dumps(value) if isinstance(value, bool | int | float) else str(value)


def _none_for_nan(value: object) -> object:
    return None if isinstance(value, float) and value != value else value  # noqa: PLR0124
