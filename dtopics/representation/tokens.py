"""The tokens of a block: what is kept of its text."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dtopics.corpus.preprocess import changed
from dtopics.errors import SettingError
from dtopics.representation.runs import Runs
from dtopics.representation.vectorizer import Counting, valid_unicode

if TYPE_CHECKING:
    import pyarrow as pa


class TokenBlock(NamedTuple):
    """The token streams of a block's documents.

    Attributes
    ----------
    ids : ndarray of int32, shape (n_tokens,)
        Positions in `vocabulary`, document after document.
    offsets : ndarray of int64, shape (n_documents + 1,)
        Document i has ``ids[offsets[i]:offsets[i + 1]]``.
    vocabulary : pyarrow.StringArray
        The block's own tokens, each once.
    """

    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    vocabulary: pa.Array

    @property
    def n_documents(self) -> int:
        """The number of documents, empty ones included."""
        return len(self.offsets) - 1


def tokenize_block(texts: Sequence[str], counting: Counting) -> pa.Table:
    """Tokenise the documents of a block.

    Parameters
    ----------
    texts : sequence of str
        One text per document.
    counting : Counting
        Its tokenising half is used.

    Returns
    -------
    pyarrow.Table
        One row per document, one column ``tokens`` of type
        ``list<dictionary<int32, string>>``; the dictionary is in order of first appearance.

    Raises
    ------
    SettingError
        If the vectorizer's own tokenizer or analyzer gives something else than strings.
    """
    import pyarrow as pa

    if counting.preprocess is not None:
        texts = changed(texts, counting.preprocess)
    runs = counting.runs
    encoded = _encoded(texts, counting) if runs is not None else None
    if runs is not None and encoded is not None:
        return _run_table(encoded, runs)
    tokenize = counting.build_tokenizer()
    numbers: defaultdict[str, int] = defaultdict()
    numbers.default_factory = numbers.__len__
    number = numbers.__getitem__
    ids = array("i")
    offsets = array("i", [0])
    for text in texts:
        tokens = tokenize(text)
        try:
            ids.extend(map(number, tokens))
        except TypeError as error:
            raise SettingError(
                f"the vectorizer's tokenizer or analyzer gave {tokens!r:.80}; expected an "
                "iterable of strings"
            ) from error
        offsets.append(len(ids))
    vocabulary, positions = _valid_vocabulary(list(numbers))
    stream = np.frombuffer(ids, dtype=np.int32) if ids else np.zeros(0, dtype=np.int32)
    if positions is not None:
        stream = positions[stream]
    words = pa.array(vocabulary, pa.string())
    return _table(stream, np.frombuffer(offsets, dtype=np.int32), words)


def _encoded(texts: Sequence[str], counting: Counting) -> pa.Array | None:
    """Return texts as the vectorizer prepares them; None where UTF-8 cannot write one."""
    import pyarrow as pa

    prepare = counting.build_preprocessor()
    try:
        return pa.array(list(map(prepare, texts)), pa.large_string())
    except UnicodeEncodeError:
        return None


def _run_table(texts: pa.Array, runs: Runs) -> pa.Table:
    import pyarrow as pa

    from dtopics.representation._token_kernels import cut_runs, gather

    data, bounds = string_parts(texts)
    ids, offsets, starts, stops = cut_runs(data, bounds, runs.classes, runs.shortest)
    words, ends = gather(data, starts, stops)
    buffers = pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(words)
    return _table(ids, offsets, pa.StringArray.from_buffers(len(starts), *buffers))


def string_parts(strings: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the UTF-8 of strings, and where each begins and the last ends."""
    _, ends, data = strings.buffers()
    kind = np.int64 if str(strings.type) == "large_string" else np.int32
    if ends is None or data is None:
        return np.zeros(0, np.uint8), np.zeros(len(strings) + 1, np.int64)
    bounds = np.frombuffer(ends, kind)[strings.offset : strings.offset + len(strings) + 1]
    return np.frombuffer(data, np.uint8), bounds.astype(np.int64)


def _table(ids: NDArray[np.int32], offsets: NDArray[np.int32], words: pa.Array) -> pa.Table:
    import pyarrow as pa

    tokens = pa.DictionaryArray.from_arrays(pa.array(ids), words)
    return pa.table({"tokens": pa.ListArray.from_arrays(pa.array(offsets), tokens)})


def token_block(table: pa.Table) -> TokenBlock:
    """Read back what `tokenize_block` made, also from Parquet with several row groups."""
    column = table.column("tokens").unify_dictionaries().combine_chunks()
    tokens = column.flatten()
    offsets = column.offsets.to_numpy().astype(np.int64)
    return TokenBlock(tokens.indices.to_numpy(), offsets - offsets[0], tokens.dictionary)


def select_documents(block: TokenBlock, rows: NDArray[np.integer]) -> TokenBlock:
    """Return the documents at `rows`, in that order, with the same vocabulary."""
    starts, lengths = block.offsets[rows], block.offsets[rows + 1] - block.offsets[rows]
    offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)])
    shift = np.repeat(starts - offsets[:-1], lengths)
    return TokenBlock(block.ids[np.arange(offsets[-1]) + shift], offsets, block.vocabulary)


def in_pieces(block: TokenBlock, most: int) -> Iterator[TokenBlock]:
    """Give the documents in order, at most so many tokens at a time, or one document."""
    start = 0
    while start < block.n_documents:
        reached = np.searchsorted(block.offsets, block.offsets[start] + most, side="right") - 1
        stop = max(start + 1, int(reached))
        offsets = block.offsets[start : stop + 1]
        ids = block.ids[offsets[0] : offsets[-1]]
        yield TokenBlock(ids, offsets - offsets[0], block.vocabulary)
        start = stop


def _valid_vocabulary(tokens: list[str]) -> tuple[list[str], NDArray[np.int32] | None]:
    """Return tokens that UTF-8 can write and, where some fell together, each one's new place."""
    for token in tokens:
        if not isinstance(token, str):
            raise SettingError(
                f"the vectorizer's tokenizer or analyzer gave the token {token!r:.80} of type "
                f"{type(token).__name__}; expected strings"
            )
    try:
        "".join(tokens).encode()
    except UnicodeEncodeError:
        written = [valid_unicode(token) for token in tokens]
        places = {token: place for place, token in enumerate(dict.fromkeys(written))}
        return list(places), np.array([places[token] for token in written], dtype=np.int32)
    return tokens, None
