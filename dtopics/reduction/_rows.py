"""The check that every array of vectors passes on its way in."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtopics.errors import EmbeddingError


def checked(X: Any, n_features: int | None = None) -> NDArray[np.float32]:
    """Return finite float32 rows, C-contiguous, without changing the input.

    Parameters
    ----------
    X : array-like of shape (n_rows, n_features)
    n_features : int, optional
        The length that the vectors must have.

    Raises
    ------
    EmbeddingError
        If `X` is not two-dimensional and numeric, has vectors of another length, or holds NaN or
        infinity.
    """
    X = np.asarray(X)
    if X.ndim != 2 or X.dtype.kind not in "fiub":
        message = f"vectors must be a two-dimensional array of numbers, got {X.dtype} {X.shape}"
        raise EmbeddingError(message)
    if n_features is not None and X.shape[1] != n_features:
        message = (
            f"the vectors have {X.shape[1]} dimensions, the reduction was fit on {n_features}; "
            "embed with the same model as before"
        )
        raise EmbeddingError(message)
    with np.errstate(over="ignore"):
        rows = np.ascontiguousarray(X, dtype=np.float32)
    if not np.isfinite(rows).all():
        bad = int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
        message = f"row {bad} of the vectors holds NaN or infinity; embed that document again"
        raise EmbeddingError(message)
    return rows


def checked_sample(X: Any) -> NDArray[np.float32]:
    """Return `checked` rows, of which there must be one at least."""
    rows = checked(X)
    if not rows.size:
        message = f"the sample is empty, shape {rows.shape}: there is nothing to fit on"
        raise EmbeddingError(message)
    return rows
