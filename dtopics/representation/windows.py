"""How much of each topic is in a document: by windows of its tokens, as BERTopic has it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dtopics.errors import SettingError
from dtopics.representation.tokens import TokenBlock

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

#: Numbers that a product of windows and topics holds, at most.
MOST_NUMBERS = 1 << 22


@dataclass(frozen=True)
class Windowing:
    """How windows go over a document.

    Attributes
    ----------
    window : int
        Tokens of a window; a shorter document is one window.
    stride : int
        Tokens from one window to the next.
    padding : bool
        Let windows reach over the document's beginning and end.

    Raises
    ------
    SettingError
    """

    window: int = 4
    stride: int = 1
    padding: bool = False

    def __post_init__(self) -> None:
        for name in ("window", "stride"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                message = f"{name} must be a positive integer, not {value!r}"
                raise SettingError(message)


class Windows(NamedTuple):
    """Windows over the documents of a block.

    Attributes
    ----------
    documents : ndarray of int64, shape (n_windows,)
        The document of each, ascending.
    starts, lengths : ndarray of int64, shape (n_windows,)
        Tokens of the block.
    """

    documents: NDArray[np.int64]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]

    def take(self, block: TokenBlock, chosen: slice) -> TokenBlock:
        """Return some windows as documents."""
        starts, lengths = self.starts[chosen], self.lengths[chosen]
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        places = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
        return TokenBlock(block.ids[places], offsets, block.vocabulary)


def windows_of(offsets: NDArray[np.int64], windowing: Windowing) -> Windows:
    """Return the windows over documents, in their order.

    Parameters
    ----------
    offsets : ndarray of int64, shape (n_documents + 1,)
    windowing : Windowing
    """
    window, stride = windowing.window, windowing.stride
    n_tokens = np.diff(offsets)
    short = n_tokens < window
    if windowing.padding:
        before = math.ceil(window / stride) - 1
        number = np.where(short, 1, before - (-n_tokens // stride))
    else:
        before = 0
        number = np.where(short, 1, (n_tokens - window) // stride + 1)
    documents = np.repeat(np.arange(len(n_tokens)), number)
    first = np.repeat(np.cumsum(number) - number, number)
    position = np.arange(len(documents)) - first
    whole = n_tokens[documents]
    start = np.maximum(position - before, 0) * stride
    # windows that begin before the document have fewer of its tokens
    length = np.where(position < before, window - (before - position) * stride, window)
    length = np.where(short[documents], whole, np.minimum(length, whole - start))
    return Windows(documents, offsets[documents] + np.where(short[documents], 0, start), length)


def cosines(rows: Any, topics: csr_matrix, least: float) -> csr_matrix:
    """Return the cosine of each row to each topic, those below `least` left out.

    Parameters
    ----------
    rows : csr_matrix, shape (n_rows, n_terms)
    topics : csr_matrix, shape (n_topics, n_terms)
        Of unit length.
    least : float
    """
    from sklearn.preprocessing import normalize

    found = (normalize(rows) @ topics.T).tocsr()
    found.data[found.data < least] = 0
    found.eliminate_zeros()
    found.sort_indices()
    return found


def added_up(values: csr_matrix, owners: NDArray[np.int64], n_owners: int) -> csr_matrix:
    """Sum rows by their owner, shape (n_owners, n_columns)."""
    from scipy.sparse import csr_matrix

    ones = np.ones(len(owners))
    return csr_matrix((ones, (owners, np.arange(len(owners)))), (n_owners, len(owners))) @ values


def best_columns(values: csr_matrix) -> NDArray[np.int64]:
    """Return the column of the largest value of each row, the first of equals; −1 for none."""
    best = np.full(values.shape[0], -1, np.int64)
    for row in np.flatnonzero(np.diff(values.indptr)):
        entries = slice(values.indptr[row], values.indptr[row + 1])
        best[row] = values.indices[entries][values.data[entries].argmax()]
    return best
