"""Sums of vectors per cluster, exact and free of order.

Components are counted in whole units of 2⁻³², so that sums do not depend on which rows were added
first, on blocks, or on threads. float16 numbers are whole multiples of 2⁻²⁴: their sums are exact.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dtopics.errors import EmbeddingError

if TYPE_CHECKING:
    import pyarrow as pa

_UNIT = 2.0**-32
#: |sum| stays below 2⁶³ units for up to 2³¹ rows of unit vectors.
_MOST = 2.0**62


def block_sums(
    vectors: NDArray[np.floating[Any]], labels: NDArray[np.int32], filled: NDArray[np.bool_]
) -> pa.Table:
    """Sum a block's vectors by cluster.

    Parameters
    ----------
    vectors : ndarray of float16 or float32, shape (n_rows, n_features)
    labels : ndarray of int32, shape (n_rows,)
    filled : ndarray of bool, shape (n_rows,)
        Whether the document is not empty; the others are counted and not summed.

    Returns
    -------
    pyarrow.Table
        ``cluster`` (int32, ascending), ``size``, ``filled`` (int64), ``sum`` (fixed-size list of
        int64, in units of 2⁻³²).

    Raises
    ------
    EmbeddingError
        Where the numbers are too large to be summed exactly.
    """
    clusters, positions = np.unique(labels, return_inverse=True)
    sums = np.zeros((len(clusters), vectors.shape[1]), np.int64)
    order = np.argsort(positions, kind="stable")
    bounds = np.searchsorted(positions[order], np.arange(len(clusters) + 1))
    for i, (start, stop) in enumerate(itertools.pairwise(bounds)):
        rows = order[start:stop]
        units = np.rint(vectors[rows[filled[rows]]].astype(np.float64) / _UNIT)
        if np.abs(units).sum(axis=0).max(initial=0) > _MOST:
            message = "embeddings are too large to be averaged exactly; normalise them"
            raise EmbeddingError(message)
        sums[i] = units.astype(np.int64).sum(axis=0)
    sizes = np.bincount(positions, minlength=len(clusters))
    n_filled = np.bincount(positions[filled], minlength=len(clusters))
    return _table(clusters, sizes, n_filled, sums)


def merge_sums(tables: Sequence[pa.Table]) -> pa.Table:
    """Add sums up; neither order nor grouping changes the result."""
    parts = [_arrays(table) for table in tables]
    ids = np.concatenate([part[0] for part in parts])
    clusters, positions = np.unique(ids, return_inverse=True)
    merged = []
    for column in (1, 2, 3):
        values = np.concatenate([part[column] for part in parts])
        total = np.zeros((len(clusters), *values.shape[1:]), np.int64)
        np.add.at(total, positions, values)
        merged.append(total)
    return _table(clusters, *merged)


def centroids(
    table: pa.Table, topics: NDArray[np.integer[Any]], mapping: dict[int, int]
) -> NDArray[np.float64]:
    """Return the mean vector of each topic.

    Parameters
    ----------
    table : pyarrow.Table
        What `merge_sums` returned.
    topics : ndarray of int, shape (n_topics,)
    mapping : dict of int to int
        Cluster to topic.

    Returns
    -------
    ndarray of float64, shape (n_topics, n_features)
        Zeros for a topic whose documents are all empty.
    """
    clusters, _, filled, sums = _arrays(table)
    row = {int(topic): i for i, topic in enumerate(topics)}
    means = np.zeros((len(topics), sums.shape[1]))
    counts = np.zeros(len(topics))
    exact = np.zeros((len(topics), sums.shape[1]), np.int64)
    for i, cluster in enumerate(clusters.tolist()):
        to = row[mapping[cluster]]
        exact[to] += sums[i]
        counts[to] += filled[i]
    np.divide(exact * _UNIT, counts[:, None], out=means, where=counts[:, None] > 0)
    return means


def sizes(table: pa.Table) -> dict[int, int]:
    """Return the number of documents of each cluster."""
    clusters, size, _, _ = _arrays(table)
    return dict(zip(clusters.tolist(), size.tolist(), strict=True))


def _table(
    clusters: NDArray[Any], size: NDArray[Any], filled: NDArray[Any], sums: NDArray[np.int64]
) -> pa.Table:
    import pyarrow as pa

    vectors = pa.FixedSizeListArray.from_arrays(pa.array(sums.ravel()), sums.shape[1])
    return pa.table(
        {
            "cluster": clusters.astype(np.int32),
            "size": size.astype(np.int64),
            "filled": filled.astype(np.int64),
            "sum": vectors,
        }
    )


def _arrays(table: pa.Table) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[np.int64]]:
    columns = [table[name].to_numpy() for name in ("cluster", "size", "filled")]
    lists = table["sum"].combine_chunks()
    width = lists.type.list_size
    return columns[0], columns[1], columns[2], lists.flatten().to_numpy().reshape(-1, width)
