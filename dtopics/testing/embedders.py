"""A small deterministic embedder: hashed words, projected at random."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class HashingEmbedder:
    """Texts that share words get vectors that are alike; the same everywhere, at no cost.

    Parameters
    ----------
    n_features : int, default=64

    Examples
    --------
    >>> HashingEmbedder(8).encode(["apple pie", "apple pie"]).shape
    (2, 8)
    """

    n_features: int = 64

    @property
    def cache_key(self) -> str:
        """What the vectors depend on."""
        return f"hashing-{self.n_features}-1"

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors, shape (n_texts, n_features)."""
        vectors = np.zeros((len(texts), self.n_features))
        for row, text in enumerate(texts):
            for word in sorted(set(text.lower().split())):
                vectors[row] += _word_vector(word, self.n_features)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        np.divide(vectors, norms, out=vectors, where=norms > 0)
        return vectors.astype(np.float32)


def _word_vector(word: str, n_features: int) -> NDArray[np.float64]:
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "little")
    return np.random.default_rng(seed).normal(size=n_features)
