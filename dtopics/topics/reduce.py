"""Fewer topics: merge those whose centroids are alike, as BERTopic's ``nr_topics`` does."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtopics.data import OUTLIER
from dtopics.embedding.checks import unit
from dtopics.errors import SettingError


def merged_topics(
    ids: NDArray[np.integer[Any]], vectors: Any, nr_topics: int | str
) -> dict[int, int]:
    """Say which topics become one.

    Parameters
    ----------
    ids : ndarray of int, shape (n_topics,)
        Ascending; −1, where it is, is left as it is.
    vectors : ndarray of float64 or csr_matrix, shape (n_topics, n_features)
        What topics are compared by: centroids, or c-TF-IDF.
    nr_topics : int or "auto"
        How many are left, the outliers counted, as in BERTopic. ``"auto"``: those that HDBSCAN
        finds to belong together.

    Returns
    -------
    dict of int to int
        Old topic to the least old topic of its group.

    Raises
    ------
    SettingError
        Where `nr_topics` is neither.
    """
    number = isinstance(nr_topics, int) and not isinstance(nr_topics, bool) and nr_topics >= 1
    if not (number or (isinstance(nr_topics, str) and nr_topics == "auto")):
        message = f"nr_topics must be a positive integer or 'auto', not {nr_topics!r}"
        raise SettingError(message)
    inside = ids != OUTLIER
    topics = ids[inside]
    kept = {int(topic): int(topic) for topic in ids}
    if len(topics) < 2 or (isinstance(nr_topics, int) and nr_topics >= len(ids)):
        return kept
    vectors = vectors[inside]
    if isinstance(nr_topics, int):
        groups = _agglomerate(vectors, max(1, nr_topics - int((~inside).sum())))
    else:
        groups = _density(vectors)
    for group in np.unique(groups[groups >= 0]):
        members = topics[groups == group]
        kept.update(dict.fromkeys(members.tolist(), int(members.min())))
    return kept


def cosine_distances(vectors: Any) -> NDArray[np.float64]:
    """Return 1 − cosine of each pair of rows, dense or sparse, zeros on the diagonal.

    Returns
    -------
    ndarray of float64, shape (n_rows, n_rows)
    """
    if hasattr(vectors, "tocsr"):
        from sklearn.preprocessing import normalize

        rows = normalize(vectors)
        cosines = (rows @ rows.T).toarray()
    else:
        rows = unit(vectors)
        cosines = rows @ rows.T
    distances: NDArray[np.float64] = np.clip(1 - cosines, 0, 2)
    np.fill_diagonal(distances, 0)
    return distances


def _agglomerate(vectors: Any, n_clusters: int) -> NDArray[np.int64]:
    from sklearn.cluster import AgglomerativeClustering

    model = AgglomerativeClustering(n_clusters, metric="precomputed", linkage="average")
    return np.asarray(model.fit_predict(cosine_distances(vectors)), np.int64)


def _density(vectors: Any) -> NDArray[np.int64]:
    from hdbscan import HDBSCAN

    if hasattr(vectors, "tocsr"):  # dense rows would be as wide as the vocabulary
        model = HDBSCAN(min_cluster_size=2, metric="precomputed")
        vectors = np.sqrt(2 * cosine_distances(vectors))
    else:
        model = HDBSCAN(min_cluster_size=2, metric="euclidean", approx_min_span_tree=False)
        vectors = unit(vectors)
    return np.asarray(model.fit_predict(vectors), np.int64)
