"""Principal components of all points, the same however the points are divided.

In many dimensions boxes exclude nothing and an exact search compares nearly all pairs; the first
principal components keep most of what sets points apart, and are searched quickly. Coordinates are
counted in whole steps of their extent, so that sums of products are exact and free of order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtopics.protocols import Arrays

Floats = NDArray[np.float64]
Longs = NDArray[np.int64]

#: Steps that an extent is counted in, and rows whose products float64 adds up exactly.
STEPS = 2**13
ROWS = 2**16


@dataclass(frozen=True, eq=False)
class Projection:
    """Points in their principal components.

    Attributes
    ----------
    mean : ndarray of float64, shape (n_features,)
    components : ndarray of float64, shape (n_components, n_features)
        Of length 1, the one that explains most first.
    explained : float
        The share of the variance that they keep.
    """

    mean: Floats
    components: Floats
    explained: float

    @classmethod
    def of(cls, points: NDArray[Any], n_components: int) -> Projection:
        """Return the principal components of points in this process, shape (n, n_features)."""
        low, high = extent(points)
        return cls.of_moments(len(points), low, high, *moments(points, low, high), n_components)

    @classmethod
    def of_moments(
        cls,
        n_points: int,
        low: Floats,
        high: Floats,
        sums: Longs,
        products: Longs,
        n_components: int,
    ) -> Projection:
        """Return the principal components of points with this extent and these moments."""
        from dtopics.execution.threads import numeric_threads

        step = (high - low) / STEPS
        mean = sums / n_points
        covariance = (products / n_points - np.outer(mean, mean)) * np.outer(step, step)
        with numeric_threads(1):
            variances, vectors = np.linalg.eigh(covariance)
        order = np.argsort(-variances, kind="stable")[:n_components]
        components = np.ascontiguousarray(vectors[:, order].T)
        largest = np.abs(components).argmax(axis=1)
        components *= np.sign(components[np.arange(len(components)), largest])[:, None]
        total = variances.clip(min=0).sum()
        explained = float(variances[order].clip(min=0).sum() / total) if total else 1.0
        return cls(low + mean * step, components, min(explained, 1.0))

    def __str__(self) -> str:
        """Say what is left of the points."""
        kept, given = self.components.shape
        return (
            f"HDBSCAN*: approximate, in {kept} principal components of {given}, which keep "
            f"{self.explained:.1%} of the variance"
        )

    def __call__(self, points: NDArray[Any]) -> NDArray[Any]:
        """Return points in the components, in their dtype; each row by itself."""
        from dtopics.clustering._kernels import project

        out = np.empty((len(points), len(self.components)), points.dtype)
        project(np.ascontiguousarray(points), self.mean, self.components, out)
        return out

    def to_arrays(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return JSON-able parameters and arrays."""
        arrays = {"projection_mean": self.mean, "projection_components": self.components}
        return {"explained": self.explained}, arrays

    @classmethod
    def from_arrays(cls, params: Mapping[str, Any], arrays: Arrays) -> Projection | None:
        """Return what `to_arrays` was called on, or None where the arrays have none."""
        if "projection_mean" not in arrays:
            return None
        mean, components = (np.asarray(arrays[f"projection_{n}"]) for n in ("mean", "components"))
        return cls(mean, components, float(params["explained"]))


def extent(points: NDArray[Any]) -> tuple[Floats, Floats]:
    """Return the least and the largest of each coordinate; infinite where there are no points."""
    low = points.min(axis=0, initial=np.inf).astype(np.float64)
    return low, points.max(axis=0, initial=-np.inf).astype(np.float64)


def moments(points: NDArray[Any], low: Floats, high: Floats) -> tuple[Longs, Longs]:
    """Return the sums of the coordinates, in steps, and of their products."""
    n_features = points.shape[1]
    sums = np.zeros(n_features, np.int64)
    products = np.zeros((n_features, n_features), np.int64)
    scale = np.divide(STEPS, high - low, out=np.zeros(n_features), where=high > low)
    for start in range(0, len(points), ROWS):
        steps = np.rint((points[start : start + ROWS].astype(np.float64) - low) * scale)
        sums += steps.sum(axis=0).astype(np.int64)
        products += (steps.T @ steps).astype(np.int64)
    return sums, products


def merged(parts: Sequence[tuple[Any, ...]]) -> tuple[Longs, Longs]:
    """Add moments up."""
    sums, products = (np.sum(column, axis=0) for column in zip(*parts, strict=True))
    return sums, products
