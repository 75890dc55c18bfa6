"""The words of topics within slices of the corpus: over time, and per class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dtopics.data import Block, Result
from dtopics.representation.counts import from_table
from dtopics.representation.steps import sum_counts
from dtopics.representation.words import heaviest
from dtopics.store import Stage
from dtopics.topics.counted import CountedTopics

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

#: Words of a topic in a slice, as in BERTopic.
SLICE_WORDS = 5


@dataclass(frozen=True)
class NameSlices:
    """Weigh the words of a share of the topics in each slice.

    A topic's weights in a slice have a sum of one, and so have its weights in all; the mean of
    both is `global_tuning`. With `evolution_tuning`, the weights in the slice before, where the
    topic has documents in it, are averaged in as they are after both: what BERTopic means to do
    and does not (its average goes into a temporary).

    Parameters
    ----------
    counts : Stage
        What `CountSlices` left.
    spans : sequence of Block
    topics : Stage
        The version's.
    n_slices, n_shares : int
    evolution_tuning, global_tuning : bool
    """

    counts: Stage
    spans: Sequence[Block]
    topics: Stage
    n_slices: int
    n_shares: int
    evolution_tuning: bool
    global_tuning: bool

    def __call__(self, block: Block) -> Result:
        """Return the table ``words``: ``topic``, ``slice``, ``words``, ``size``."""
        import pyarrow as pa

        counted, name = CountedTopics.of(self.topics), f"counts_{block.index}"
        parts = (from_table(self.counts.table(name, span)) for span in self.spans)
        sums = sum_counts(parts)
        groups, sizes = self._sizes()
        # a slice that no document is in, an empty bin say, is not the one before another
        position = np.full(self.n_slices, -1)
        there = np.unique(groups % self.n_slices)
        position[there] = np.arange(len(there))
        rows: list[tuple[int, int, str, int]] = []
        for row in range(block.index, len(counted.ids), self.n_shares):
            bounds = [row * self.n_slices, (row + 1) * self.n_slices]
            start, stop = np.searchsorted(groups, bounds)
            slices = groups[start:stop] - bounds[0]
            if not len(slices):
                continue
            entries = slice(*np.searchsorted(sums.groups, bounds))
            X = _matrix(sums.groups[entries] - bounds[0], sums.terms[entries],
                        sums.counts[entries], slices, counted.X.shape[1])  # fmt: skip
            words = self._words(counted, counted.X[row], X, position[slices])
            topics = [counted.ids[row]] * len(slices)
            rows += zip(topics, slices.tolist(), words, sizes[start:stop].tolist(), strict=True)
        names = ("topic", "slice", "words", "size")
        types = (pa.int32(), pa.int32(), pa.string(), pa.int64())
        columns = zip(*rows, strict=True) if rows else ((),) * len(names)
        return {"words": pa.table({
            n: pa.array(c, t) for n, c, t in zip(names, columns, types, strict=True)
        })}  # fmt: skip

    def _words(
        self,
        counted: CountedTopics,
        whole: csr_matrix,
        X: csr_matrix,
        positions: NDArray[np.int64],
    ) -> list[str]:
        """Return the heaviest words of one topic in each of its slices.

        Only the topic's own terms are looked at, and those that its slices have beside them: of
        the model's own topics no slice has others.
        """
        whole, weights = counted.weigh(whole), counted.weigh(X)
        own = np.union1d(whole.indices, weights.indices)
        everywhere = np.zeros(len(own))
        everywhere[np.searchsorted(own, whole.indices)] = _of_sum_one(whole.data)
        before = np.zeros(len(own))
        found = []
        for i, position in enumerate(positions):
            here = np.zeros(len(own))
            entries = slice(weights.indptr[i], weights.indptr[i + 1])
            places = np.searchsorted(own, weights.indices[entries])
            here[places] = _of_sum_one(weights.data[entries])
            if self.global_tuning:
                here = (everywhere + here) / 2
            if self.evolution_tuning and i > 0 and positions[i - 1] == position - 1:
                here = (here + before) / 2
            before = here
            words = heaviest(own, here, counted.terms, SLICE_WORDS)
            found.append(", ".join(word for word, _ in words))
        return found

    def _sizes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the groups that have documents, ascending, and how many."""
        tables = [self.counts.table("sizes", span) for span in self.spans]
        every = np.concatenate([table["group"].to_numpy() for table in tables])
        groups, places = np.unique(every, return_inverse=True)
        sizes = np.zeros(len(groups), np.int64)
        np.add.at(sizes, places, np.concatenate([table["size"].to_numpy() for table in tables]))
        return groups.astype(np.int64), sizes


def _matrix(
    slices: NDArray[np.int32],
    terms: NDArray[np.int32],
    counts: NDArray[np.int64],
    there: NDArray[np.int64],
    n_terms: int,
) -> csr_matrix:
    from scipy.sparse import csr_matrix

    rows = np.searchsorted(there, slices)
    return csr_matrix((counts, (rows, terms)), shape=(len(there), n_terms))


def _of_sum_one(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    total = float(np.abs(weights).sum())
    return weights / total if total else weights
