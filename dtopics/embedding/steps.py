"""Block steps that leave vectors: computed from the texts, or taken from where they are."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtopics.data import Block, Result
from dtopics.errors import EmbeddingError
from dtopics.execution.cache import cached
from dtopics.protocols import DocumentReader, Embedder
from dtopics.store import Stage, rows_by_block
from dtopics.store.travelling import dumps

#: float16 keeps 11 bits of each component; its largest number.
_FLOAT16_MAX = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class EmbedBlock:
    """Embed a block's documents; an empty one is the zero vector and costs nothing."""

    read: DocumentReader
    embedder: Embedder
    dtype: str = "float16"

    def __call__(self, block: Block) -> Result:
        """Return the array ``embeddings``, shape (n_rows, n_features)."""
        texts = self.read(block).texts
        filled = [row for row, text in enumerate(texts) if text.strip()]
        # a block of empty documents only must still know the width of a vector
        given, notes = [texts[row] for row in filled] or ["a"], {}
        if hasattr(self.embedder, "encode_counted"):
            vectors, notes["service_tokens"] = self.embedder.encode_counted(given)
        else:
            vectors = np.asarray(self.embedder.encode(given))
        embeddings = np.zeros((len(texts), vectors.shape[1]), np.float32)
        if filled:
            embeddings[filled] = vectors
        return {"embeddings": store_as(embeddings, self.dtype, block), "notes": notes}


@dataclass(frozen=True)
class ImportBlock:
    """Take a block's rows from embeddings that exist; those of empty documents may be NaN."""

    rows: Callable[[int, int], NDArray[Any]]
    documents: Stage
    dtype: str

    def __call__(self, block: Block) -> Result:
        """Return the array ``embeddings``, shape (n_rows, n_features)."""
        with np.errstate(over="ignore"):  # what float32 cannot hold is found as infinity below
            vectors = np.array(self.rows(block.row_start, block.n_rows), np.float32)
        if len(vectors) != block.n_rows:
            message = (
                f"there are {len(vectors)} embeddings for the {block.n_rows} documents of block "
                f"{block.name}; were they changed since the run began?"
            )
            raise EmbeddingError(message)
        empty = self.documents.table("documents", block, ["empty"])["empty"].to_numpy()
        bad = ~np.isfinite(vectors).all(axis=1)
        if np.any(bad & ~empty):
            first = block.row_start + int(np.flatnonzero(bad & ~empty)[0])
            message = (
                f"{int((bad & ~empty).sum())} embeddings of block {block.name} hold NaN or "
                f"infinity, the first at row {first}; mend them or embed those documents again"
            )
            raise EmbeddingError(message)
        vectors[bad] = 0
        return {"embeddings": store_as(vectors, self.dtype, block)}


@dataclass(frozen=True)
class FitEmbedder:
    """Fit an embedder, such as a TF-IDF + SVD pipeline, on the sample's texts."""

    embedder: Any
    read: DocumentReader
    blocks: Sequence[Block]
    sample: Stage

    def __call__(self, stage: Stage) -> Mapping[str, Any]:  # noqa: ARG002
        """Return the array ``pickle``: the fitted object's bytes."""
        texts = [
            text
            for block, rows in rows_by_block(self.sample.whole_table("rows"), self.blocks)
            if len(rows)
            for text in map(self.read(block).texts.__getitem__, rows)
        ]
        data = dumps(self.embedder.fit(texts))
        notes = {"sha256": hashlib.sha256(data).hexdigest()}
        return {"pickle": np.frombuffer(data, np.uint8), "notes": notes}


def store_as(vectors: NDArray[np.float32], dtype: str, block: Block) -> NDArray[Any]:
    """Return vectors in the dtype that they are kept in.

    Raises
    ------
    EmbeddingError
        Where a component is beyond what float16 holds.
    """
    if dtype == "float16" and np.abs(vectors).max(initial=0) > _FLOAT16_MAX:
        message = (
            f"embeddings of block {block.name} reach {np.abs(vectors).max():g}, more than float16 "
            "holds; normalise them to unit length"
        )
        raise EmbeddingError(message)
    return vectors.astype(dtype)


@dataclass(frozen=True)
class StoredEmbedder:
    """An embedder that was fitted in this run, opened by the hash in its receipt."""

    stage: Stage
    sha256: str

    def describe(self) -> Mapping[str, Any]:
        """Return the stage that fitted it."""
        return {"fitted": self.stage.fingerprint}

    def encode(self, texts: Sequence[str]) -> NDArray[np.floating[Any]]:
        """Return vectors of shape (n_texts, n_features)."""
        model = cached(("embedder", self.stage.location.url, self.sha256), self._load)
        return np.asarray(model.encode(texts))

    def _load(self) -> Any:
        data = self.stage.whole_array("pickle").tobytes()
        if hashlib.sha256(data).hexdigest() != self.sha256:
            message = f"the fitted embedder in {self.stage.location} was changed; it is not opened"
            raise EmbeddingError(message)
        return pickle.loads(data)  # noqa: S301 (written by this run; its hash is in the receipt)
