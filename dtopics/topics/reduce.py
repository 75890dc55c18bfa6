"""Fewer topics: merge those whose centroids are alike, as BERTopic's ``nr_topics`` does."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtopics.data import OUTLIER
from dtopics.errors import SettingError
from dtopics.topics.topics import unit


def merged_topics(
    ids: NDArray[np.integer[Any]], centroids: NDArray[np.float64], nr_topics: int | str
) -> dict[int, int]:
    """Say which topics become one.

    Parameters
    ----------
    ids : ndarray of int, shape (n_topics,)
        Ascending; −1, where it is, is left as it is.
    centroids : ndarray of float64, shape (n_topics, n_features)
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
    if nr_topics != "auto" and (not isinstance(nr_topics, int) or nr_topics < 1):
        message = f"nr_topics must be a positive integer or 'auto', not {nr_topics!r}"
        raise SettingError(message)
    inside = ids != OUTLIER
    topics, vectors = ids[inside], unit(centroids[inside])
    kept = {int(topic): int(topic) for topic in ids}
    if len(topics) < 2 or (isinstance(nr_topics, int) and nr_topics >= len(ids)):
        return kept
    if isinstance(nr_topics, int):
        groups = _agglomerate(vectors, max(1, nr_topics - int((~inside).sum())))
    else:
        groups = _density(vectors)
    for group in np.unique(groups[groups >= 0]):
        members = topics[groups == group]
        kept.update(dict.fromkeys(members.tolist(), int(members.min())))
    return kept


def _agglomerate(vectors: NDArray[np.float64], n_clusters: int) -> NDArray[np.int64]:
    from sklearn.cluster import AgglomerativeClustering

    distances = np.clip(1 - vectors @ vectors.T, 0, None)
    np.fill_diagonal(distances, 0)
    model = AgglomerativeClustering(n_clusters, metric="precomputed", linkage="average")
    return np.asarray(model.fit_predict(distances), np.int64)


def _density(vectors: NDArray[np.float64]) -> NDArray[np.int64]:
    from hdbscan import HDBSCAN

    model = HDBSCAN(min_cluster_size=2, metric="euclidean", approx_min_span_tree=False)
    return np.asarray(model.fit_predict(vectors), np.int64)
