"""Nearest neighbours in the sample on a GPU, by torch."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtopics.reduction._rows import checked
from dtopics.reduction.neighbors import check_k

#: Candidates that are measured exactly, for each neighbour wanted.
CANDIDATES = 3
#: A tile of products is 2,048 × 65,536 float32 values: 512 MiB.
TILE_QUERIES, TILE_ROWS = 2_048, 65_536


def placing_device() -> str:
    """Return ``cuda`` where this machine has a GPU that torch can use, else ``cpu``."""
    if not any(Path(sign).exists() for sign in ("/proc/driver/nvidia", "/dev/kfd", "/dev/dxg")):
        return "cpu"  # without the seconds that importing torch takes
    try:
        import torch
    except ImportError:
        return "cpu"
    return "cuda" if torch.cuda.is_available() else "cpu"


class DeviceNeighbors:
    """The k nearest rows of a sample, candidates chosen by matrix products on a device.

    All rows are compared, in float32, whose rounding depends on the device; three times as many
    candidates as neighbours are then measured in float64, so that only a row that the rounding
    moved past all of these can be missed.

    Parameters
    ----------
    X : ndarray of shape (n_sample, n_features)
    metric : {"cosine", "euclidean"}
    device : str
        As torch names it.
    """

    def __init__(self, X: NDArray[Any], metric: str, device: str) -> None:
        from dtopics.reduction import _cell_kernels as kernels

        self.metric, self.device = metric, device
        self._X = checked(X)
        self._xx = kernels.squared_lengths(self._X)

    @cached_property
    def _rows(self) -> tuple[Any, Any]:
        """Return the sample and half of its squared lengths, on the device."""
        import torch

        rows = torch.from_numpy(self._scaled(self._X)).to(self.device)
        return rows, (rows * rows).sum(dim=1) / 2

    def query(self, Q: NDArray[Any], k: int) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Return the `k` nearest rows of the sample, as `ExactNeighbors.query`."""
        from dtopics.reduction import _cell_kernels as kernels

        check_k(k, len(self._X))
        Q = checked(Q, self._X.shape[1])
        indices = np.full((len(Q), k), -1, dtype=np.int32)
        distances = np.full((len(Q), k), np.inf)
        order = np.arange(len(self._X), dtype=np.int32)
        for start in range(0, len(Q), TILE_QUERIES):
            part = slice(start, start + TILE_QUERIES)
            entries = kernels.LAST - self._candidates(Q[part], min(CANDIDATES * k, len(order)))
            euclidean = self.metric == "euclidean"
            kernels.measure_candidates(
                Q[part], self._X, self._xx, order, entries, euclidean, indices[part],
                distances[part],
            )  # fmt: skip
        return indices, distances

    def _candidates(self, Q: NDArray[np.float32], n: int) -> NDArray[np.int64]:
        import torch

        rows, halves = self._rows
        queries = torch.from_numpy(self._scaled(Q)).to(self.device)
        best, found = None, None
        for first in range(0, len(rows), TILE_ROWS):
            tile = slice(first, first + TILE_ROWS)
            keys = queries @ rows[tile].T - halves[tile]
            keys, ids = keys.topk(min(n, keys.shape[1]), dim=1)
            ids = ids + first
            if best is not None:
                keys, ids = torch.cat([best, keys], dim=1), torch.cat([found, ids], dim=1)
                keys, at = keys.topk(min(n, keys.shape[1]), dim=1)
                ids = ids.gather(1, at)
            best, found = keys, ids
        return np.asarray(found.cpu().numpy(), dtype=np.int64)  # type: ignore[union-attr]

    def _scaled(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return rows of length 1 for the cosine, else as they are."""
        if self.metric == "euclidean":
            return rows
        from dtopics.reduction import _cell_kernels as kernels

        lengths = np.sqrt(kernels.squared_lengths(rows))[:, None]
        scaled = np.zeros_like(rows)
        np.divide(rows, lengths, out=scaled, where=lengths > 0, casting="same_kind")
        return scaled
