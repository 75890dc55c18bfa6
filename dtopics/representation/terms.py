"""Terms: the n-grams of a block's tokens, without its stop words."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dtopics.representation.tokens import TokenBlock
from dtopics.representation.vectorizer import Counting

if TYPE_CHECKING:
    import pyarrow as pa
    from scipy.sparse import csr_matrix


class BlockTerms(NamedTuple):
    """How often each document of a block has each of the block's terms.

    Attributes
    ----------
    counts : csr_matrix of int64, shape (n_documents, n_block_terms)
    terms : pyarrow.LargeStringArray, length n_block_terms
        Each once, in no promised order.
    """

    counts: csr_matrix
    terms: pa.Array


class _Grams(NamedTuple):
    """N-grams of one length: where they begin, which of `terms` each is, and their documents."""

    starts: NDArray[np.int64]
    codes: NDArray[np.int64]
    documents: NDArray[np.int64]
    terms: pa.Array


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
    import pyarrow as pa
    from scipy.sparse import csr_matrix

    shortest, longest = counting.n_gram_range
    tokens = _without_stop_words(block, counting.stop_words)
    grams = tokens
    levels = [grams] if shortest == 1 else []
    for length in range(2, longest + 1):
        grams = _longer(grams, tokens, length)
        if length >= shortest:
            levels.append(grams)
    sizes = [len(level.terms) for level in levels]
    firsts = np.concatenate([[0], np.cumsum(sizes)])[:-1]
    codes = np.concatenate([level.codes + n for level, n in zip(levels, firsts, strict=True)])
    # One string can be several token sequences where tokens have spaces in them.
    encoded = pa.concat_arrays([level.terms for level in levels]).dictionary_encode()
    columns = encoded.indices.to_numpy()[codes]
    rows = np.concatenate([level.documents for level in levels])
    shape = (block.n_documents, len(encoded.dictionary))
    counts = csr_matrix((np.ones(len(rows), dtype=np.int64), (rows, columns)), shape=shape)
    if counting.binary:
        counts.data[:] = 1
    return _used(BlockTerms(counts, encoded.dictionary))


def _without_stop_words(block: TokenBlock, stop_words: tuple[str, ...] | None) -> _Grams:
    import pyarrow as pa
    import pyarrow.compute as pc

    documents = np.repeat(np.arange(block.n_documents), np.diff(block.offsets))
    ids = block.ids.astype(np.int64)
    if stop_words:
        stopped = pc.is_in(block.vocabulary, value_set=pa.array(stop_words, pa.string()))
        kept = ~stopped.to_numpy(zero_copy_only=False)[ids]
        ids, documents = ids[kept], documents[kept]
    vocabulary = block.vocabulary.cast(pa.large_string())
    return _Grams(np.arange(len(ids)), ids, documents, vocabulary)


def _longer(grams: _Grams, tokens: _Grams, length: int) -> _Grams:
    """Join each n-gram with the token that follows it in its document."""
    import pyarrow as pa
    import pyarrow.compute as pc

    following = grams.starts + (length - 1)
    inside = following < len(tokens.codes)
    inside[inside] = tokens.documents[following[inside]] == grams.documents[inside]
    following = following[inside]
    n_tokens = max(len(tokens.terms), 1)
    pairs, codes = np.unique(
        grams.codes[inside] * n_tokens + tokens.codes[following], return_inverse=True
    )
    left = grams.terms.take(pa.array(pairs // n_tokens))
    right = tokens.terms.take(pa.array(pairs % n_tokens))
    space = pa.scalar(" ", pa.large_string())
    terms = pc.binary_join_element_wise(left, right, space)
    return _Grams(grams.starts[inside], codes, grams.documents[inside], terms)


def _used(terms: BlockTerms) -> BlockTerms:
    """Leave out columns that no document has: stop words, and what a slice of rows lacks."""
    import pyarrow as pa

    used = np.bincount(terms.counts.indices, minlength=len(terms.terms)) > 0
    if used.all():
        return terms
    return BlockTerms(terms.counts[:, used], terms.terms.filter(pa.array(used)))
