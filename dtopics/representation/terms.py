"""Terms: the n-grams of a block's tokens, without its stop words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dtopics.representation._gram_kernels import BASE, hash_strings, lengthen, write_grams
from dtopics.representation.tokens import TokenBlock, string_parts
from dtopics.representation.vectorizer import Counting

if TYPE_CHECKING:
    import pyarrow as pa
    from scipy.sparse import csr_matrix

_SPACE = ord(" ")
#: Bytes are digits from 1, so that strings that begin with NUL differ.
_SPACE_DIGIT = np.uint64(_SPACE + 1)


@dataclass(frozen=True)
class Grams:
    """Distinct n-grams, each as a place in a stream of tokens; strings are made when asked for.

    Attributes
    ----------
    first : ndarray of int64, shape (n,)
        Where in `ids` each n-gram is.
    lengths : ndarray of int8, shape (n,)
        Tokens of each.
    hashes : ndarray of uint64, shape (n,)
        Of the strings: equal ones have equal hashes.
    ids : ndarray of int32
        The stream.
    words : ndarray of uint8
    bounds : ndarray of int64
        The tokens' UTF-8, and where each begins.
    """

    first: NDArray[np.int64]
    lengths: NDArray[np.int8]
    hashes: NDArray[np.uint64]
    ids: NDArray[np.int32]
    words: NDArray[np.uint8]
    bounds: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.first)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Grams:
        """Return some of them."""
        chosen = self.first[rows], self.lengths[rows], self.hashes[rows]
        return Grams(*chosen, self.ids, self.words, self.bounds)

    def strings(self) -> pa.Array:
        """Return them as a `pyarrow.LargeStringArray`."""
        import pyarrow as pa

        data, ends = write_grams(self.first, self.lengths, self.ids, self.words, self.bounds)
        return pa.LargeStringArray.from_buffers(len(self), pa.py_buffer(ends), pa.py_buffer(data))


@dataclass(frozen=True)
class BlockTerms:
    """How often each document of a block has each of the block's terms.

    Attributes
    ----------
    counts : csr_matrix of int64, shape (n_documents, n_block_terms)
    grams : Grams, length n_block_terms
        Each term once, in no promised order.
    """

    counts: csr_matrix
    grams: Grams

    @property
    def terms(self) -> pa.Array:
        """The terms as a `pyarrow.LargeStringArray`; they are made anew each time."""
        return self.grams.strings()

    def take(self, columns: NDArray[np.bool_]) -> BlockTerms:
        """Return some of the terms."""
        return BlockTerms(self.counts[:, columns], self.grams.take(columns))

    @property
    def df(self) -> NDArray[np.int64]:
        """In how many documents of the block each term is, shape (n_block_terms,)."""
        return np.bincount(self.counts.indices, minlength=len(self.grams)).astype(np.int64)

    @property
    def cf(self) -> NDArray[np.int64]:
        """How often each term is in the block, shape (n_block_terms,)."""
        return np.asarray(self.counts.sum(axis=0), dtype=np.int64).ravel()


def block_terms(block: TokenBlock, counting: Counting) -> BlockTerms:
    """Count the terms of each document of a block.

    As in scikit-learn: stop words are taken out first, n-grams are made of what remains, their
    tokens joined by a space, and none goes past the end of its document.

    Parameters
    ----------
    block : TokenBlock
    counting : Counting
        Its stop words, `n_gram_range` and `binary` are used.

    Returns
    -------
    BlockTerms
    """
    from scipy.sparse import csr_matrix

    ids, offsets = _without_stop_words(block, counting.stop_words)
    grams, codes = _grams(ids, offsets, block.vocabulary, counting.n_gram_range)
    columns, grams = _written_alike(codes[codes >= 0], grams)
    documents = np.repeat(np.arange(block.n_documents, dtype=np.int32), np.diff(offsets))
    rows = np.broadcast_to(documents, codes.shape)[codes >= 0]
    shape = (block.n_documents, len(grams))
    counts = csr_matrix((np.ones(len(rows), dtype=np.int64), (rows, columns)), shape=shape)
    if counting.binary:
        counts.data[:] = 1
    return BlockTerms(counts, grams)


def _without_stop_words(
    block: TokenBlock, stop_words: tuple[str, ...] | None
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not stop_words:
        return block.ids, block.offsets
    stopped = pc.is_in(block.vocabulary, value_set=pa.array(stop_words, pa.string()))
    kept = ~stopped.to_numpy(zero_copy_only=False)[block.ids]
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(kept)])
    return block.ids[kept], before[block.offsets]


def _grams(
    ids: NDArray[np.int32],
    offsets: NDArray[np.int64],
    vocabulary: pa.Array,
    n_gram_range: tuple[int, int],
) -> tuple[Grams, NDArray[np.int32]]:
    """Return n-grams of every length, and for each length which begins at each token."""
    words, bounds = string_parts(vocabulary)
    single, powers = hash_strings(words, bounds)
    shortest, longest = n_gram_range
    first = np.full(len(single), -1, np.int64)
    first[ids[::-1]] = np.arange(len(ids))[::-1]
    used = first >= 0
    codes = (np.cumsum(used, dtype=np.int32) - 1).astype(np.int32)[ids]
    first, hashes, n = first[used], single[used], 0
    levels, numbered = [], []
    for length in range(1, longest + 1):
        if length > 1:
            shorter = codes
            codes, first = lengthen(shorter, ids, offsets, length)
            last = ids[first + length - 1]
            hashes = (hashes[shorter[first]] * BASE + _SPACE_DIGIT) * powers[last] + single[last]
        if length >= shortest:
            lengths = np.full(len(first), length, np.int8)
            levels.append((first, lengths, hashes))
            numbered.append(np.where(codes >= 0, codes + n, -1))
            n += len(first)
    first, lengths, hashes = (np.concatenate(part) for part in zip(*levels, strict=True))
    return Grams(first, lengths, hashes, ids, words, bounds), np.stack(numbered)


def _written_alike(columns: NDArray[np.int32], grams: Grams) -> tuple[NDArray[np.int32], Grams]:
    """Make one of n-grams that are written alike, as they can be where tokens have spaces."""
    if len(grams.lengths) == 0 or grams.lengths.max() == 1 or _SPACE not in grams.words:
        return columns, grams
    encoded = grams.strings().dictionary_encode().indices.to_numpy()
    _, distinct = np.unique(encoded, return_index=True)
    return encoded[columns], grams.take(distinct)
