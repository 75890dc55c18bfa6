"""What users hold: a source and its columns."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dtopics.corpus.base import CorpusEstimate, CorpusSummary, DocumentSource, Map
from dtopics.corpus.collections import DaskSource
from dtopics.corpus.folders import FileSource
from dtopics.corpus.lines import RANGE_BYTES
from dtopics.corpus.memory import MemorySource, from_array, from_frame, from_series
from dtopics.data import Columns, Segment
from dtopics.errors import CorpusError
from dtopics.store.location import Location


class Corpus:
    """Documents, wherever they are.

    Parameters
    ----------
    source : str, Path, list of str, or a collection
        A URL, a folder, a glob or a list of those; or a pandas or Dask DataFrame or Series, a
        NumPy array of strings, a Dask Bag of strings or dicts.
    text_column : str, optional
        By default the one named ``"text"``, else the only column of strings.
    id_column : str, optional
        By default documents are known by their row numbers.
    timestamp_column, class_column : str, optional
        Kept for topics over time and per class.
    format : {"parquet", "jsonl", "csv", "tsv", "text", "files"}, optional
        By default by the files' endings. ``"text"``: each line is a document; ``"files"``: each
        file is, and its name the id. A further ending ``.gz``, ``.zst``, ``.bz2`` or ``.xz``
        says how a file is compressed.
    storage_options : mapping, optional
        What fsspec needs to open the URLs. Never shown, never written.

    Attributes
    ----------
    in_memory : bool
        Whether only this process holds the documents.
    storage_options : dict

    Examples
    --------
    >>> Corpus("s3://bucket/posts/*.parquet", text_column="body", id_column="id")
    Corpus('s3://bucket/posts/*.parquet')
    """

    def __init__(
        self,
        source: Any,
        *,
        text_column: str | None = None,
        id_column: str | None = None,
        timestamp_column: str | None = None,
        class_column: str | None = None,
        format: str | None = None,  # noqa: A002
        storage_options: Mapping[str, Any] | None = None,
    ) -> None:
        asked = Columns(text_column, id_column, timestamp_column, class_column)
        self.storage_options = dict(storage_options or {})
        if isinstance(source, str | Path):
            source = [source]
        if isinstance(source, list | tuple):
            urls = _urls(source)
            self._source: DocumentSource = FileSource(
                urls, asked, format=format, storage_options=storage_options
            )
            self._shown = repr(urls[0]) if len(urls) == 1 else f"{len(urls)} URLs"
        else:
            self._source = _collection(source, asked)
            self._shown = type(source).__name__

    def __repr__(self) -> str:
        return f"Corpus({self._shown})"

    @property
    def in_memory(self) -> bool:
        """Whether only this process holds the documents."""
        return self._source.in_memory

    @property
    def files(self) -> tuple[str, ...]:
        """The URLs of its files; none where it is a collection."""
        sources = getattr(self._source, "sources", ())
        return tuple(source.url for source in sources)

    def check(self) -> CorpusSummary:
        """Find what can be found wrong before any work: existence, columns, types.

        Raises
        ------
        CorpusError
            Saying what was found, and what was expected.
        """
        return self._source.check()

    def estimate(self) -> CorpusEstimate:
        """Return how large the corpus is, from footers or the first megabyte."""
        return self._source.estimate()

    def head(self, most: int) -> list[str]:
        """Return at most so many of the first texts; none where they must be computed."""
        return self._source.head(most)

    def fingerprint(self) -> str:
        """Return the identity of the content.

        Of files: their URLs, sizes, etags, columns and format. Of documents in memory: their
        texts and kept columns. Of a Dask collection likewise, for which it is computed once,
        unless it was planned before.
        """
        return self._source.fingerprint()

    def plan(
        self,
        *,
        segment: str,
        block_rows: int | None,
        spool: Location,
        map_: Map,
        range_bytes: int = RANGE_BYTES,
    ) -> Segment:
        """Cut the corpus into blocks.

        Parameters
        ----------
        segment : str
            The segment's name.
        block_rows : int or None
            Rows of a block; None: by `default_block_rows`.
        spool : Location
            A folder for what cannot be read block by block.
        map_ : callable
            ``map_(function, items)`` gives results in order, wherever it computes them. Dask
            collections are computed by Dask's current scheduler instead.
        range_bytes : int, default=32 MiB
            Bytes of a line format that one call of the index pass reads.

        Returns
        -------
        Segment

        Raises
        ------
        CorpusError
            If the corpus is empty, or a file or row cannot be read; it is named.
        """
        return self._source.plan(
            segment=segment,
            block_rows=block_rows,
            spool=spool,
            map_=map_,
            range_bytes=range_bytes,
        )


def as_corpus(documents: Any, **columns: Any) -> Corpus:
    """Return what was given to ``fit`` as a corpus.

    Parameters
    ----------
    documents : Corpus, str, Path, list of str, array, pandas or Dask collection
        A string is a URL or a glob; a list of strings is the documents themselves, as in
        BERTopic. For a list of URLs, pass a `Corpus`.
    **columns
        Those of `Corpus`.

    Raises
    ------
    CorpusError
        If it is none of these.
    """
    if isinstance(documents, Corpus):
        if any(value is not None for value in columns.values()):
            raise CorpusError("a Corpus has its own columns; give them to Corpus(...)")
        return documents
    if isinstance(documents, list | tuple):
        named = [name for name, value in columns.items() if value is not None]
        if named:
            raise CorpusError(f"a list of documents has no columns; found {', '.join(named)}")
        return Corpus(MemorySource(documents))
    return Corpus(documents, **columns)


def _urls(source: list[Any] | tuple[Any, ...]) -> list[str]:
    for position, url in enumerate(source):
        if not isinstance(url, str | Path):
            kind = type(url).__name__
            raise CorpusError(f"item {position} is a {kind}; expected URLs as strings or paths")
        if not str(url).strip():
            raise CorpusError(f"item {position} of the URLs is empty; expected a path or a URL")
    return [str(url) for url in source]


def _collection(source: Any, asked: Columns) -> DocumentSource:
    if isinstance(source, DocumentSource):
        return source
    if _is_a(source, "dask.dataframe", "DataFrame", "Series") or _is_a(source, "dask.bag", "Bag"):
        return DaskSource(source, asked)
    if _is_a(source, "pandas", "DataFrame"):
        return from_frame(source, asked)
    if asked.names():
        raise CorpusError(f"a {type(source).__name__} has no columns; found {asked.names()} named")
    if _is_a(source, "pandas", "Series"):
        return from_series(source)
    if isinstance(source, np.ndarray):
        return from_array(source)
    raise CorpusError(
        f"found a {type(source).__name__}; expected a URL, a list of strings, an array of strings, "
        "a pandas or Dask DataFrame or Series, or a Dask Bag"
    )


def _is_a(value: object, module: str, *names: str) -> bool:
    """Whether it is of a class of a module, which is not loaded to find that out."""
    loaded = sys.modules.get(module)
    classes = [getattr(loaded, name) for name in names if hasattr(loaded, name)]
    return isinstance(value, tuple(classes))
