"""What every embedder's vectors must be."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtopics.errors import EmbeddingError


def checked(vectors: Any, n_texts: int, model: str) -> NDArray[np.float32]:
    """Return vectors as float32, shape (n_texts, n_features).

    Raises
    ------
    EmbeddingError
        Where there is not one finite vector per text.
    """
    try:
        with np.errstate(over="ignore"):  # what float32 cannot hold is found as infinity below
            found = np.asarray(vectors, np.float32)
    except (TypeError, ValueError) as error:
        kind = type(vectors).__name__
        message = f"{model} returned a {kind} that is no array of numbers: {error}"
        raise EmbeddingError(message) from error
    if found.ndim != 2 or len(found) != n_texts:
        message = f"{model} returned shape {found.shape} for {n_texts} texts; expected a row each"
        raise EmbeddingError(message)
    bad = int((~np.isfinite(found).all(axis=1)).sum())
    if bad:
        message = (
            f"{model} returned NaN or infinity for {bad} of {n_texts} texts that are not empty"
        )
        raise EmbeddingError(message)
    return found


def unit_rows(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows of unit length; a zero row stays."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: NDArray[np.float32] = np.divide(
        vectors, norms, out=np.zeros_like(vectors), where=norms > 0
    )
    return scaled


def unit(vectors: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return rows of unit length; a zero row stays."""
    wide = np.asarray(vectors, np.float64)
    norms = np.sqrt(np.einsum("ij,ij->i", wide, wide))[:, None]
    scaled: NDArray[np.float64] = np.divide(wide, norms, out=np.zeros_like(wide), where=norms > 0)
    return scaled
