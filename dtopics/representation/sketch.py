"""Document frequencies from above, in memory of a fixed size.

Each term has two counters among many that terms share, so that the lesser of the two is at least
the number of its documents: a term whose counters stay below `min_df` is surely rare, and need
never be written down. What remains is counted exactly.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dtopics.representation._gram_kernels import add_to_sketch, look_in_sketch, merge_sketches
from dtopics.representation.terms import BlockTerms, Grams
from dtopics.representation.vectorizer import Counting

if TYPE_CHECKING:
    import pyarrow as pa

#: Counters of a sketch: at most as many as a worker of 2 GiB can hold twice beside its work.
FEWEST, MOST = 1 << 16, 1 << 26
#: Counters are at most of two bytes.
HIGHEST = 2**16 - 1


@dataclass(frozen=True)
class Sketch:
    """How many documents each term is in, at most.

    Attributes
    ----------
    counters : ndarray of uint8 or uint16
        A power of two of them.
    most : int
        Where counters stop: a term that reaches it may be in any number of documents.
    """

    counters: NDArray[Any]
    most: int

    @classmethod
    def empty(cls, size: int, most: int) -> Sketch:
        """Make one of `size` counters that stop at `most`."""
        return cls(np.zeros(size, np.uint8 if most < 2**8 else np.uint16), most)

    def add(self, terms: BlockTerms) -> None:
        """Add the documents of each term of a block."""
        add_to_sketch(self.counters, terms.grams.hashes, terms.df, self.most)

    def merge(self, others: Iterable[Sketch]) -> None:
        """Add what other sketches of the same size hold; their order does not matter."""
        for other in others:
            merge_sketches(self.counters, other.counters, self.most)

    def may_reach(self, grams: Grams) -> NDArray[np.bool_]:
        """Return which terms may be in `most` documents or more."""
        return look_in_sketch(self.counters, grams.hashes) >= self.most

    def to_table(self) -> pa.Table:
        """Return the counters, compressed, as a table of one row."""
        import pyarrow as pa

        data = pa.compress(self.counters, codec="zstd", asbytes=True)
        return pa.table(
            {
                "size": pa.array([len(self.counters)], pa.int64()),
                "most": pa.array([self.most], pa.int64()),
                "counters": pa.array([data], pa.large_binary()),
            }
        )

    @classmethod
    def from_table(cls, table: pa.Table) -> Sketch:
        """Read back what `to_table` made; the counters are read-only."""
        import pyarrow as pa

        size, most, data = (table[name][0] for name in ("size", "most", "counters"))
        empty = cls.empty(size.as_py(), most.as_py()).counters
        held = pa.decompress(data.as_buffer(), empty.nbytes, codec="zstd")
        return cls(np.frombuffer(held, empty.dtype), most.as_py())


def least_documents(counting: Counting, n_documents: int) -> int:
    """Return in how many documents a term must be, at least, to be kept.

    A term in `min_df` topics is in as many documents; how many topics a share of them is, is not
    known before there are topics.
    """
    if counting.vocabulary is not None:
        return 1
    if isinstance(counting.min_df, int):
        return counting.min_df
    if counting.min_df_scope == "topic":
        return 1
    return max(1, math.ceil(counting.min_df * n_documents))


def sketch_size(n_occurrences: int) -> int:
    """Return how many counters serve for so many occurrences of terms, before any pruning."""
    return min(MOST, max(FEWEST, 1 << max(n_occurrences // 4 - 1, 1).bit_length()))
