"""scikit-learn pipelines, such as TF-IDF and SVD, fit on the sample's texts."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtopics.embedding.checks import checked
from dtopics.errors import EmbeddingError
from dtopics.store.travelling import dumps

#: Sparse rows are kept dense, so wider ones would not fit into a worker.
MAX_SPARSE_FEATURES = 10_000


@dataclass(frozen=True)
class PipelineEmbedder:
    """A pipeline that is not fit yet; a clone of it is.

    Parameters
    ----------
    pipeline : estimator
        From texts to dense or sparse rows.
    random_state : int or None
        For steps whose own is None.
    """

    pipeline: Any
    random_state: int | None = None

    needs_fit = True

    def describe(self) -> Mapping[str, Any]:
        """Return the pipeline and the seed."""
        return {"pipeline": self.pipeline, "random_state": self.random_state}

    def fit(self, texts: Sequence[str]) -> FittedPipeline:
        """Fit a clone on texts.

        Raises
        ------
        EmbeddingError
            Where the pipeline refuses the texts, or leaves rows too wide to be kept.
        """
        fitted = _clone(self.pipeline)
        params = fitted.get_params()
        seeded = {
            name: self.random_state
            for name, value in params.items()
            if name.rpartition("__")[2] == "random_state" and value is None
        }
        try:
            fitted.set_params(**seeded).fit(list(texts))
        except ValueError as error:
            message = f"the embedding pipeline cannot be fit on {len(texts)} texts: {error}"
            raise EmbeddingError(message) from error
        embedder = FittedPipeline(fitted)
        embedder.encode(texts[:1])  # rows that are too wide are known before any block
        return embedder


@dataclass(frozen=True)
class FittedPipeline:
    """A pipeline that is fit."""

    pipeline: Any

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return vectors, shape (n_texts, n_features)."""
        if not texts:
            return self.encode(["a"])[:0]
        rows = self.pipeline.transform(list(texts))
        sparse = hasattr(rows, "toarray")
        if sparse and rows.shape[1] > MAX_SPARSE_FEATURES:
            message = (
                f"the embedding pipeline leaves {rows.shape[1]:,} sparse features, more than "
                f"{MAX_SPARSE_FEATURES:,}; add a step that makes them few, such as "
                "TruncatedSVD(100)"
            )
            raise EmbeddingError(message)
        dense = rows.toarray() if sparse else rows
        return checked(dense, len(texts), type(self.pipeline).__name__)


def _clone(pipeline: Any) -> Any:
    """Return a copy that is not fit; of one whose functions cannot be copied, what pickle makes."""
    from sklearn.base import clone

    try:
        return clone(pipeline)
    except TypeError:  # jieba's cutter as a tokenizer, say
        return pickle.loads(dumps(pipeline))  # noqa: S301 (made on the line before)
