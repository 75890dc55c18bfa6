"""Fit a reducer on the sample; place every document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtopics.data import Block, Result
from dtopics.errors import EmbeddingError
from dtopics.execution.cache import cached
from dtopics.protocols import Reducer, ReducerModel
from dtopics.reduction import load_model
from dtopics.store import Stage, rows_by_block


@dataclass(frozen=True)
class FitReducer:
    """Fit on the sample's vectors.

    Parameters
    ----------
    reducer : Reducer
    embeddings : Stage
    blocks : sequence of Block
    sample : Stage
        The sampled rows.
    targets : Stage or None
        Classes that the reducer is told of (``y``), one per document; −1 where unknown.
    """

    reducer: Reducer
    embeddings: Stage
    blocks: Sequence[Block]
    sample: Stage
    targets: Stage | None = None

    def __call__(self, stage: Stage) -> Mapping[str, Any]:  # noqa: ARG002
        """Return the fitted model: its arrays, and its parameters as ``model.json``.

        The note ``aimless`` counts the sample's rows, by block, that took no part.
        """
        vectors = self._gather(self.embeddings, "embeddings")
        directed = {name: has_direction(rows, self.reducer) for name, rows in vectors.items()}
        X = np.concatenate([rows[directed[name]] for name, rows in vectors.items()])
        if not len(X):
            message = (
                "the vectors of all documents are zero; does the embedding model know any of their "
                "words?"
            )
            raise EmbeddingError(message)
        y = None
        if self.targets is not None:
            classes = self._gather(self.targets, "y")
            y = np.concatenate([rows[directed[name]] for name, rows in classes.items()])
        model: Any = self.reducer.fit(X.astype(np.float32), y)
        params, arrays = model.to_arrays()
        aimless = {name: int((~rows).sum()) for name, rows in directed.items() if not rows.all()}
        return {"model": params, **arrays, "notes": {"aimless": aimless}}

    def _gather(self, stage: Stage, name: str) -> dict[str, NDArray[Any]]:
        pairs = rows_by_block(self.sample.whole_table("rows"), self.blocks)
        return {block.name: stage.array(name, block)[rows] for block, rows in pairs if len(rows)}


@dataclass(frozen=True)
class ReduceBlock:
    """Place a block's documents; one that is empty, or whose vector is zero, has no place (NaN).

    Where the sample was the whole corpus, the places are those of the fit, as in BERTopic.
    Otherwise every row, the sample's own too, is placed by the fitted model, so that a
    document's place depends on its vector and the model only.

    Parameters
    ----------
    embeddings, documents, model : Stage
    sample_bounds : mapping of str to (int, int), or None
        Where the sample is the whole corpus: each block's rows of the fit, by the block's name.
    trust : bool
        Whether a model that only pickle can keep may be opened.
    """

    embeddings: Stage
    documents: Stage
    model: Stage
    sample_bounds: Mapping[str, tuple[int, int]] | None = None
    trust: bool = False

    def __call__(self, block: Block) -> Result:
        """Return ``reduced`` (n_rows, n_components) and ``distance`` to the sample (n_rows,)."""
        filled = ~self.documents.table("documents", block, ["empty"])["empty"].to_numpy()
        model = reducer_model(self.model, trust=self.trust)
        vectors = self.embeddings.array("embeddings", block)
        aimless = filled & ~has_direction(vectors, model)
        filled &= ~aimless
        width = model.embedding.shape[1]
        reduced = np.full((block.n_rows, width), np.nan, np.float32)
        distance = np.full(block.n_rows, np.nan, np.float32)
        if self.sample_bounds is not None:
            start, stop = self.sample_bounds[block.name]
            reduced[filled] = model.embedding[start:stop]
            distance[filled] = 0
        elif filled.any():
            reduced[filled], distance[filled] = place(model, vectors[filled].astype(np.float32))
        spacing = getattr(model, "sample_spacing", None)
        far = int((distance[filled] > spacing).sum()) if spacing is not None else 0
        notes = {"far": far, "aimless": int(aimless.sum())}
        return {"reduced": reduced, "distance": distance, "notes": notes}


def has_direction(vectors: NDArray[Any], reducer: Any) -> NDArray[np.bool_]:
    """Whether each row can be compared; False for a zero row where directions are compared.

    A text without a word that its embedding model knows has the zero vector. Such texts are all
    alike to the cosine, and would be a topic that means nothing. Vectors kept as float16 have unit
    length, so a zero row is no point among them for any metric.
    """
    compared = vectors.dtype == np.float16 or getattr(reducer, "metric", None) == "cosine"
    return np.asarray(vectors.any(axis=1)) if compared else np.ones(len(vectors), bool)


def place(model: Any, X: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the rows' places and their distances to the sample (NaN where a model has none)."""
    if hasattr(model, "place"):
        places, distances = model.place(X)
        return places, distances
    return model.transform(X), np.full(len(X), np.nan, np.float32)


def places_on_gpu(model: Stage) -> bool:
    """Return whether a fitted reducer takes a GPU where there is one."""
    return bool(model.whole_json("model").get("device", "cpu") != "cpu")


def reducer_model(stage: Stage, *, trust: bool) -> ReducerModel:
    """Return the process's copy of a fitted reducer."""

    def load() -> ReducerModel:
        return load_model(stage.whole_json("model"), stage.whole_arrays(), trust=trust)

    return cached(("reducer", stage.identity, trust), load)
