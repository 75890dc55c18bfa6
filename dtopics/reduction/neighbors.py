"""Exact nearest neighbours in the sample, whatever the BLAS, the tile or the threads."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtopics.errors import SettingError
from dtopics.reduction._rows import checked, checked_sample

#: Metrics with a kernel of their own.
METRICS = ("cosine", "euclidean")
#: A tile of products is 1,024 × 8,192 float32 values: 32 MiB.
TILE_QUERIES, TILE_ROWS = 1_024, 8_192
#: The unit of rounding of float32.
ROUNDING = 2.0**-24


class ExactNeighbors:
    """The k nearest rows of a sample, exact and the same on every call.

    Float32 matrix products (whose rounding depends on the BLAS and on the height of the tile) only
    choose candidates: every row whose product lies within a proven rounding bound of the k-th best
    is measured again in float64, in one fixed order, and ties go to the smaller index.

    Parameters
    ----------
    X : ndarray of shape (n_sample, n_features)
    metric : {"cosine", "euclidean"}
        A zero vector has cosine distance 1 to any other and 0 to a zero vector.

    Raises
    ------
    SettingError
        If the metric is another.
    EmbeddingError
        If `X` is empty or not finite.

    References
    ----------
    Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., section 3.1: a float32 dot
    product of length d is off by at most ``d·u/(1 - d·u) · |x||y|``, in any order of summation.

    Examples
    --------
    >>> import numpy as np
    >>> index = ExactNeighbors(np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]]), "euclidean")
    >>> indices, distances = index.query(np.array([[0.0, 0.0]]), 2)
    >>> indices.tolist(), distances.tolist()
    ([[0, 2]], [[0.0, 1.0]])
    """

    def __init__(self, X: NDArray[Any], metric: str) -> None:
        from dtopics.reduction import _kernels as kernels

        check_metric(metric)
        self.metric = metric
        rows = checked_sample(X)
        # Scaling by powers of two is exact, and keeps float32 products from over- and underflow.
        self._scale = 1.0
        if metric == "euclidean":
            self._scale = min(max(float(_powers(np.abs(rows).max())), 2.0**-60), 2.0**60)
        self._X = self._scaled(rows)
        self._xx = kernels.squared_norms(self._X)
        ones, zeros = np.ones_like(self._xx), np.zeros_like(self._xx)
        if metric == "cosine":
            factors = np.divide(1.0, np.sqrt(self._xx), out=zeros.copy(), where=self._xx > 0)
            shifts = zeros
        else:
            factors, shifts = ones, self._xx / 2
        self._factors, self._shifts = factors.astype(np.float32), shifts.astype(np.float32)

    @property
    def n_features(self) -> int:
        """The length of the vectors."""
        return int(self._X.shape[1])

    def query(self, Q: NDArray[Any], k: int) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Return the `k` nearest rows of the sample to each row of `Q`.

        Parameters
        ----------
        Q : ndarray of shape (n_rows, n_features)
        k : int
            From 1 to n_sample.

        Returns
        -------
        indices : ndarray of int32, shape (n_rows, k)
            Ascending by (distance, index).
        distances : ndarray of float64, shape (n_rows, k)
        """
        check_k(k, len(self._X))
        Q = checked(Q, self.n_features)
        indices = np.zeros((len(Q), k), dtype=np.int32)
        distances = np.full((len(Q), k), np.inf)
        tile = np.empty((min(TILE_QUERIES, len(Q)), min(TILE_ROWS, len(self._X))), np.float32)
        for start in range(0, len(Q), TILE_QUERIES):
            part = slice(start, start + TILE_QUERIES)
            self._query_tile(self._scaled(Q[part]), tile, indices[part], distances[part])
        if self.metric == "euclidean":
            distances /= self._scale
        return indices, distances

    def _query_tile(
        self,
        Q: NDArray[np.float32],
        tile: NDArray[np.float32],
        indices: NDArray[np.int32],
        distances: NDArray[np.float64],
    ) -> None:
        from dtopics.reduction import _kernels as kernels

        qq = kernels.squared_norms(Q)
        slack = self._slack(qq)
        best = np.full(distances.shape, -np.inf, dtype=np.float32)
        for first in range(0, len(self._X), TILE_ROWS):
            rows = self._X[first : first + TILE_ROWS]
            # A slice of the tile's flat memory, so that the products are contiguous.
            products = tile.reshape(-1)[: len(Q) * len(rows)].reshape(len(Q), len(rows))
            np.matmul(Q, rows.T, out=products)
            kernels.take_nearest(
                products,
                first,
                Q,
                qq,
                self._X,
                self._xx,
                self._factors,
                self._shifts,
                slack,
                self.metric == "euclidean",
                best,
                distances,
                indices,
            )

    def _slack(self, qq: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how far a key may be off; 1.01 d + 8 covers d·u/(1 - d·u) and the steps after."""
        unit = (1.01 * self.n_features + 8) * ROUNDING
        if self.metric == "cosine":
            return np.asarray(unit * np.sqrt(qq))
        longest = float(self._xx.max())
        return np.asarray(unit * (np.sqrt(qq * longest) + longest))

    def _scaled(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.metric == "euclidean":
            return np.multiply(rows, self._scale, dtype=np.float32)
        # Cosine does not see a row's length: each is brought near 1 by a power of two.
        powers = _powers(np.abs(rows).max(axis=1, keepdims=True))
        return np.multiply(rows, powers, dtype=np.float32)


def check_metric(metric: Any) -> None:
    """Raise SettingError for a metric without a kernel."""
    if metric not in METRICS:
        message = (
            f"metric {metric!r} cannot place documents outside the sample; use one of "
            f"{', '.join(map(repr, METRICS))}"
        )
        raise SettingError(message)


def check_k(k: int, n_sample: int) -> None:
    """Raise SettingError for more neighbours than there are rows, or none."""
    if not 1 <= k <= n_sample:
        message = f"k must be from 1 to {n_sample}, the rows of the sample; got {k}"
        raise SettingError(message)


def _powers(largest: Any) -> NDArray[np.float32]:
    """Return the powers of two that bring the largest elements into [0.5, 1); 1 for zeros."""
    _, exponents = np.frexp(np.asarray(largest, dtype=np.float32))
    powers = np.ldexp(np.float32(1), np.clip(-exponents, -126, 126))
    return np.asarray(powers, dtype=np.float32)
