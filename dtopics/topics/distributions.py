"""Topics within documents, and topics for outliers: block steps over tokens and vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from dtopics.data import OUTLIER, Block, Result
from dtopics.embedding.checks import unit
from dtopics.execution.cache import cached
from dtopics.representation.counts import document_counts
from dtopics.representation.ctfidf import ClassTfidfTransformer
from dtopics.representation.steps import MOST_GRAMS
from dtopics.representation.terms import block_terms
from dtopics.representation.tokens import TokenBlock, in_pieces, select_documents, token_block
from dtopics.representation.vectorizer import Counting, counting_of
from dtopics.representation.vocabulary import Vocabulary
from dtopics.representation.windows import (
    MOST_NUMBERS,
    Windowing,
    Windows,
    added_up,
    best_columns,
    cosines,
    windows_of,
)
from dtopics.store import Stage
from dtopics.topics.counted import CountedTopics

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


class Weighed(NamedTuple):
    """What weighs documents by the words of topics.

    Attributes
    ----------
    topics : csr_matrix, shape (n_topics, n_terms)
        c-TF-IDF without the outliers, rows of unit length.
    ids : ndarray of int32, shape (n_topics,)
    vocabulary : Vocabulary
    counting : Counting
    model : ClassTfidfTransformer
    """

    topics: csr_matrix
    ids: NDArray[np.int32]
    vocabulary: Vocabulary
    counting: Counting
    model: ClassTfidfTransformer

    def documents(self, block: TokenBlock) -> csr_matrix:
        """Return the c-TF-IDF of documents."""
        counts = document_counts(block_terms(block, self.counting), self.vocabulary)
        return self.model.transform(counts)

    def distributions(self, block: TokenBlock, windowing: Windowing, least: float) -> csr_matrix:
        """Return how much of each topic is in each document; rows have a sum of one, or are zero.

        Returns
        -------
        csr_matrix of float64, shape (n_documents, n_topics)
        """
        from scipy.sparse import vstack
        from sklearn.preprocessing import normalize

        found = [
            added_up(alike, windows.documents[chosen] - first, stop - first)
            for first, stop, windows, chosen, alike in self._pieces(block, windowing, least)
        ]
        return normalize(vstack(found, format="csr"), norm="l1")

    def of_tokens(
        self, block: TokenBlock, windowing: Windowing, least: float
    ) -> tuple[csr_matrix, NDArray[np.int64]]:
        """Return how much of each topic is in each token, and where documents begin.

        A token has the sum of all windows that it is in.
        """
        from scipy.sparse import csr_matrix, vstack

        parts = list(self._pieces(block, windowing, least))
        alike = vstack([part[-1] for part in parts], format="csr")
        windows = windows_of(block.offsets, windowing)
        tokens = np.concatenate(
            [np.arange(s, s + n) for s, n in zip(windows.starts, windows.lengths, strict=True)]
        )
        inside = np.repeat(np.arange(len(windows.starts)), windows.lengths)
        shape = (len(block.ids), len(windows.starts))
        return csr_matrix((np.ones(len(tokens)), (tokens, inside)), shape) @ alike, block.offsets

    def _pieces(
        self, block: TokenBlock, windowing: Windowing, least: float
    ) -> Iterator[tuple[int, int, Windows, slice, csr_matrix]]:
        """Give documents and the cosines of their windows, so many at a time as memory allows."""
        windows = windows_of(block.offsets, windowing)
        most = max(1, MOST_NUMBERS // max(len(self.ids), 1))
        bounds = np.searchsorted(windows.documents, np.arange(block.n_documents + 1))
        first = 0
        while first < block.n_documents:
            reached = np.searchsorted(bounds, bounds[first] + most, side="right") - 1
            stop = max(first + 1, int(reached))
            chosen = slice(bounds[first], bounds[stop])
            rows = self.documents(windows.take(block, chosen))
            yield first, stop, windows, chosen, cosines(rows, self.topics, least)
            first = stop


def weighed(stage: Stage) -> Weighed:
    """Return the process's copy of what weighs documents by the topics of a version."""

    def load() -> Weighed:
        from sklearn.preprocessing import normalize

        counted = CountedTopics.of(stage)
        inside = np.array([topic != OUTLIER for topic in counted.ids])
        model = ClassTfidfTransformer(**counted.naming.ctfidf.get_params())
        model.idf_ = counted.idf
        return Weighed(
            normalize(counted.weigh(counted.X[inside])),
            np.array(counted.ids, np.int32)[inside],
            Vocabulary.of(stage.whole_table("vocabulary")),
            counting_of(counted.naming.counting),
            model,
        )

    return cached(("weighed", stage.identity), load)


@dataclass(frozen=True)
class DistributeBlock:
    """Say how much of each topic is in each document of a block."""

    tokens: Stage
    version: Stage
    windowing: Windowing
    least: float

    def __call__(self, block: Block) -> Result:
        """Return the table ``distributions``: ``row``, ``topic``, ``value``, by row and topic."""
        import pyarrow as pa

        by_words = weighed(self.version)
        held = token_block(self.tokens.table("tokens", block))
        found = by_words.distributions(held, self.windowing, self.least).tocoo()
        columns = (found.row.astype(np.int32), by_words.ids[found.col], found.data)
        return {
            "distributions": pa.table(dict(zip(("row", "topic", "value"), columns, strict=True)))
        }


class Strategy(Protocol):
    """Finds topics for documents that have none."""

    def __call__(self, block: Block, rows: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return the topic of each row of a block; −1 for one that stays an outlier."""
        ...


@dataclass(frozen=True)
class ByWords:
    """The topic whose c-TF-IDF is nearest to the document's own."""

    tokens: Stage
    version: Stage
    threshold: float

    def __call__(self, block: Block, rows: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return the topic of each row."""
        by_words = weighed(self.version)
        chosen = select_documents(token_block(self.tokens.table("tokens", block)), rows)
        most = max(1, MOST_NUMBERS // max(len(by_words.ids), 1))
        found = []
        for piece in in_pieces(chosen, MOST_GRAMS // by_words.counting.n_gram_range[1]):
            for start in range(0, piece.n_documents, most):
                part = np.arange(start, min(start + most, piece.n_documents))
                documents = by_words.documents(select_documents(piece, part))
                alike = cosines(documents, by_words.topics, self.threshold)
                found.append(best_columns(alike))
        return _named(by_words.ids, found)


@dataclass(frozen=True)
class ByWindows:
    """The topic that windows over the document have most of."""

    tokens: Stage
    version: Stage
    threshold: float
    windowing: Windowing

    def __call__(self, block: Block, rows: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return the topic of each row."""
        by_words = weighed(self.version)
        chosen = select_documents(token_block(self.tokens.table("tokens", block)), rows)
        found = by_words.distributions(chosen, self.windowing, self.threshold)
        return _named(by_words.ids, [best_columns(found)])


@dataclass(frozen=True)
class ByVectors:
    """The topic whose centroid is nearest to the document's embedding.

    `vectors` reads a block's rows.
    """

    vectors: Callable[[Block], NDArray[np.floating[Any]]]
    ids: tuple[int, ...]
    centroids: NDArray[np.float32]
    threshold: float

    def __call__(self, block: Block, rows: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return the topic of each row."""
        inside = np.array(self.ids) != OUTLIER
        # einsum sums in one order, so that a row's answer does not depend on its neighbours
        alike = np.einsum(
            "ij,kj->ik", unit(self.vectors(block)[rows]), unit(self.centroids[inside])
        )
        return _best(np.array(self.ids, np.int32)[inside], alike, self.threshold)


@dataclass(frozen=True)
class ByProbabilities:
    """The topic that the document is most a member of; `memberships` reads a block's rows."""

    memberships: Callable[[Block], NDArray[np.floating[Any]]]
    ids: tuple[int, ...]
    threshold: float

    def __call__(self, block: Block, rows: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return the topic of each row."""
        topics = np.array([topic for topic in self.ids if topic != OUTLIER], np.int32)
        return _best(topics, self.memberships(block)[rows], self.threshold)


@dataclass(frozen=True)
class ReassignOutliers:
    """Give the outliers of a block the topics that a strategy finds; the others keep theirs.

    Empty documents stay outliers.
    """

    documents: Stage
    labels: Stage
    lookup: tuple[int, ...]
    strategy: Strategy

    def __call__(self, block: Block) -> Result:
        """Return the array ``topics``, shape (n_rows,), int32; how many moved is noted."""
        topics = np.array(self.lookup, np.int32)[self.labels.array("labels", block) + 1]
        empty = self.documents.table("documents", block, ["empty"])["empty"].to_numpy()
        rows = np.flatnonzero((topics == OUTLIER) & ~empty)
        if len(rows):
            topics[rows] = self.strategy(block, rows)
        moved = int((topics[rows] != OUTLIER).sum())
        return {"topics": topics, "notes": {"moved": moved, "outliers": len(rows)}}


def _best(
    topics: NDArray[np.int32], alike: NDArray[np.floating[Any]], threshold: float
) -> NDArray[np.int32]:
    if alike.shape[1] == 0:
        return np.full(len(alike), OUTLIER, np.int32)
    best = alike.argmax(axis=1)
    value = alike[np.arange(len(alike)), best]
    there = (value >= threshold) & (value > 0)
    return np.where(there, topics[best], OUTLIER).astype(np.int32)


def _named(ids: NDArray[np.int32], columns: list[NDArray[np.int64]]) -> NDArray[np.int32]:
    found = np.concatenate([np.zeros(0, np.int64), *columns])
    return np.where(found >= 0, ids[found], OUTLIER).astype(np.int32)
