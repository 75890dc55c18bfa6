"""What a user knows of the topics beforehand: phrases, embedded and compared with documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtopics.data import OUTLIER, Block, Result
from dtopics.embedding.checks import unit
from dtopics.errors import EmbeddingError
from dtopics.store import Stage, rows_by_block

#: How much of a document's vector stays where a seed topic draws it, as in BERTopic.
OWN_SHARE = 0.75


@dataclass(frozen=True)
class EmbedPhrases:
    """Embed phrases by the model that embeds the documents.

    Parameters
    ----------
    embedder : Embedder
    phrases : sequence of str
    embeddings : Stage
        The documents'.
    block : Block
        One of theirs, which is looked at for how many features they have.
    least : float
        How alike a document, or a topic, must be to bear a phrase as its name.
    """

    embedder: Any
    phrases: Sequence[str]
    embeddings: Stage
    block: Block
    least: float = 0.0

    def __call__(self, stage: Stage) -> Mapping[str, Any]:  # noqa: ARG002
        """Return ``phrases``, shape (n_phrases, n_features), float32, and ``about`` (JSON)."""
        vectors = np.asarray(self.embedder.encode(list(self.phrases)), np.float32)
        n_features = self.embeddings.array("embeddings", self.block).shape[1]
        if vectors.shape[1] != n_features:
            message = (
                f"the embedding_model gives phrases {vectors.shape[1]} features, the documents "
                f"have {n_features}: give the model that made their embeddings"
            )
            raise EmbeddingError(message)
        unknown = [p for p, row in zip(self.phrases, vectors, strict=True) if not row.any()]
        if unknown:
            message = f"the embedding_model knows no word of {unknown[0]!r}; say it in others"
            raise EmbeddingError(message)
        about = {"names": list(self.phrases), "least": self.least}
        return {"phrases": vectors, "about": about}


@dataclass(frozen=True)
class AverageSample:
    """Average the sampled documents' vectors, for those that no phrase draws."""

    embeddings: Stage
    blocks: Sequence[Block]
    sample: Stage

    def __call__(self, stage: Stage) -> Mapping[str, Any]:  # noqa: ARG002
        """Return the array ``mean``, shape (1, n_features), float32."""
        pairs = rows_by_block(self.sample.whole_table("rows"), self.blocks)
        sampled = [self.embeddings.array("embeddings", b)[rows] for b, rows in pairs if len(rows)]
        mean = np.concatenate(sampled).mean(axis=0, keepdims=True, dtype=np.float64)
        return {"mean": mean.astype(np.float32)}


@dataclass(frozen=True)
class GuideBlock:
    """Draw documents towards the seed topic that is nearest to them, and say which it is.

    A document that is nearer to the mean of all stays, and so does a zero vector. `phrases` are
    the seed topics', `mean` is that of `AverageSample`.
    """

    embeddings: Stage
    phrases: Stage
    mean: Stage

    def __call__(self, block: Block) -> Result:
        """Return ``embeddings``, and ``y``: the seed topic, −1 where there is none."""
        vectors = self.embeddings.array("embeddings", block)
        seeds = self.phrases.whole_array("phrases")
        nearest, _ = most_alike(vectors, np.concatenate([seeds, self.mean.whole_array("mean")]))
        y = np.where(nearest < len(seeds), nearest, OUTLIER)
        guided = vectors.astype(np.float32)
        drawn = y >= 0
        guided[drawn] = OWN_SHARE * guided[drawn] + (1 - OWN_SHARE) * seeds[y[drawn]]
        return {"embeddings": guided.astype(vectors.dtype), "y": y}


@dataclass(frozen=True)
class AssignPhrase:
    """Give documents the phrase that they are most alike to, where they are alike enough."""

    embeddings: Stage
    phrases: Stage
    least: float

    def __call__(self, block: Block) -> Result:
        """Return ``phrase`` (int32, −1 where none is) and ``similarity`` (float32)."""
        vectors = self.embeddings.array("embeddings", block)
        nearest, cosine = most_alike(vectors, self.phrases.whole_array("phrases"))
        alike = (nearest >= 0) & (cosine >= self.least)
        return {
            "phrase": np.where(alike, nearest, OUTLIER).astype(np.int32),
            "similarity": cosine.astype(np.float32),
        }


def most_alike(
    vectors: NDArray[Any], others: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the nearest of `others` by cosine for each row, and the cosine; −1 for a zero row."""
    # einsum sums in one order, so that a row's answer does not depend on its neighbours
    cosines = np.einsum("ij,kj->ik", unit(vectors), unit(others))
    nearest = cosines.argmax(axis=1)
    best = cosines[np.arange(len(cosines)), nearest]
    return np.where(vectors.any(axis=1), nearest, OUTLIER), best
