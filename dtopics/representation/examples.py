"""Representative documents: of a drawn few per topic, those most like the topic.

BERTopic draws 500 documents per topic with pandas, with replacement and one fixed generator.
The draw depends on the topics' sizes only, so it is repeated here before any document is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dtopics.errors import InputError

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

#: BERTopic's draws per topic, and its seed.
N_SAMPLES = 500
SEED = 42


class Examples(NamedTuple):
    """Documents that may stand for their topic.

    Attributes
    ----------
    topics : ndarray of int32, shape (n,)
    rows : ndarray of int64, shape (n,)
        Rows of the corpus.
    similarities : ndarray of float64, shape (n,)
        Cosine of the document's and the topic's c-TF-IDF.
    """

    topics: NDArray[np.int32]
    rows: NDArray[np.int64]
    similarities: NDArray[np.float64]


def draw_candidates(
    sizes: Mapping[int, int], n_samples: int = N_SAMPLES, seed: int = SEED
) -> dict[int, NDArray[np.int64]]:
    """Draw the documents that may stand for each topic, as BERTopic does.

    Parameters
    ----------
    sizes : mapping of int to int
        The number of documents of every topic, outliers included.
    n_samples : int, default=500
        Draws per topic, with replacement.
    seed : int, default=42

    Returns
    -------
    dict of int to ndarray of int64
        Ascending positions among the topic's documents in row order, each once.
    """
    # The legacy generator and ascending topics are what pandas' groupby.sample uses.
    generator = np.random.RandomState(seed)
    return {
        topic: np.unique(generator.choice(sizes[topic], n_samples, replace=True)).astype(np.int64)
        for topic in sorted(sizes)
        if sizes[topic] > 0
    }


def candidate_rows(
    topics: ArrayLike, before: Mapping[int, int], candidates: Mapping[int, NDArray[np.int64]]
) -> NDArray[np.int64]:
    """Return the rows of a block that were drawn.

    Parameters
    ----------
    topics : array_like of int, shape (n_documents,)
        The topics of the block's documents.
    before : mapping of int to int
        How many documents of each topic the earlier blocks have; 0 where it is missing.
    candidates : mapping of int to ndarray of int64
        What `draw_candidates` returned.

    Returns
    -------
    ndarray of int64
        Rows within the block, ascending.
    """
    topics = np.asarray(topics)
    drawn = [np.zeros(0, dtype=np.int64)]
    for topic in np.unique(topics).tolist():
        rows = np.flatnonzero(topics == topic)
        positions = candidates.get(topic, drawn[0]) - before.get(topic, 0)
        drawn.append(rows[positions[(positions >= 0) & (positions < len(rows))]])
    return np.sort(np.concatenate(drawn))


def similarities(
    documents: csr_matrix, topics: ArrayLike, ctfidf: csr_matrix, topic_ids: ArrayLike
) -> NDArray[np.float64]:
    """Return how alike each document and its own topic are.

    Parameters
    ----------
    documents : csr_matrix of float64, shape (n_documents, n_terms)
        The documents' c-TF-IDF: `weigh` of their counts with the topics' `idf`.
    topics : array_like of int, shape (n_documents,)
        The topic of each document.
    ctfidf : csr_matrix of float64, shape (n_topics, n_terms)
        The topics' c-TF-IDF.
    topic_ids : array_like of int, shape (n_topics,)
        The topic of each row of `ctfidf`, ascending.

    Returns
    -------
    ndarray of float64, shape (n_documents,)
        Cosines; 0 where the document or the topic has no weighted term.

    Raises
    ------
    InputError
        If a topic has no row.
    """
    topics, topic_ids = np.asarray(topics), np.asarray(topic_ids)
    documents, ctfidf = _sorted(documents), _sorted(ctfidf)
    similarity = np.zeros(documents.shape[0])
    for topic in np.unique(topics):
        row = np.searchsorted(topic_ids, topic)
        if row == len(topic_ids) or topic_ids[row] != topic:
            raise InputError(f"topic {topic} has documents and no row of c-TF-IDF")
        own = np.flatnonzero(topics == topic)
        span = slice(ctfidf.indptr[row], ctfidf.indptr[row + 1])
        similarity[own] = _cosines(documents[own], ctfidf.indices[span], ctfidf.data[span])
    return similarity


def best_examples(parts: Sequence[Examples], nr_repr_docs: int = 3) -> Examples:
    """Keep the documents most like their topic; equal ones by row.

    The best of the best of parts are the best of all, in any grouping.

    Parameters
    ----------
    parts : sequence of Examples
    nr_repr_docs : int, default=3
        How many to keep per topic.

    Returns
    -------
    best : Examples
        By topic, most alike first.
    """
    if not parts:
        return Examples(np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0))
    topics, rows, similarity = (np.concatenate(each) for each in zip(*parts, strict=True))
    order = np.lexsort((rows, -similarity, topics))
    topics, rows, similarity = topics[order], rows[order], similarity[order]
    rank = np.arange(len(topics)) - np.searchsorted(topics, topics)
    kept = rank < nr_repr_docs
    return Examples(topics[kept], rows[kept], similarity[kept])


def _sorted(matrix: csr_matrix) -> csr_matrix:
    return matrix if matrix.has_sorted_indices else matrix.sorted_indices()


def _cosines(
    documents: csr_matrix, ids: NDArray[np.integer], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return cosines of rows to one sparse vector; each depends on its row only.

    Sums run in the order of terms (`bincount`), so neither block nor threads change a bit.
    """
    n_documents = documents.shape[0]
    if len(ids) == 0:
        return np.zeros(n_documents)
    rows = np.repeat(np.arange(n_documents), np.diff(documents.indptr))
    places = np.minimum(np.searchsorted(ids, documents.indices), len(ids) - 1)
    products = np.where(ids[places] == documents.indices, documents.data * weights[places], 0.0)
    dots = np.bincount(rows, weights=products, minlength=n_documents)
    lengths = np.sqrt(np.bincount(rows, weights=documents.data**2, minlength=n_documents))
    length = np.sqrt(np.cumsum(weights**2)[-1])
    norms = lengths * length
    similarity = np.zeros(n_documents)
    np.divide(dots, norms, out=similarity, where=norms > 0)
    return similarity
