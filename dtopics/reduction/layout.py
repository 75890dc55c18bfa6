"""UMAP's layout of a graph in memory, on all threads, the same on every machine."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Places that push: so many are drawn for an epoch. They stay in a core's cache, and did as well as
#: all of them.
DRAWN = 16_384
#: Places that push when an edge pulls: umap-learn's five are no better than three that push as hard
#: together.
PUSHES = 3
#: umap-learn's epochs for more than 10,000 rows.
EPOCHS = 200


def lay_out(
    graph: Any,
    start: NDArray[np.float32],
    forces: NDArray[np.float32],
    *,
    n_epochs: int,
    rate: float,
    negatives: float,
    seed: int,
) -> NDArray[np.float32]:
    """Move all rows of a graph by UMAP's forces.

    Parameters
    ----------
    graph : csr_matrix, shape (n_rows, n_rows)
        Symmetric, weights up to 1.
    start : ndarray of float32, shape (n_rows, n_components)
    forces : ndarray of float32
        Of `force_curve`.
    n_epochs : int
    rate : float
        At the first epoch; it falls to zero.
    negatives : float
        How many places push when an edge pulls.
    seed : int

    Returns
    -------
    ndarray of float32, shape (n_rows, n_components)
    """
    from dtopics.reduction import _layout_kernels as kernels

    offsets, tails = graph.indptr.astype(np.int64), graph.indices.astype(np.int32)
    weights, move_rows = kernels.shares(graph.data), kernels.mover(start.shape[1])
    places = start
    for epoch in range(n_epochs):
        drawn = places[kernels.draw_rows(len(places), DRAWN, seed, epoch)]
        places = move_rows(
            places, 0, offsets, tails, weights, drawn, seed, epoch, n_epochs, rate, forces,
            negatives,
        )  # fmt: skip
    return places
