"""What a strategy must offer to take part in the pipeline.

Any object with these methods can be passed in; a built-in one is one file in its stage's folder.
Fitted state is always a *model*: a small frozen object whose arrays the run directory keeps as
Zarr and JSON, so that opening a run never executes code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from dtopics.data import Block, Documents, Result

Arrays = Mapping[str, NDArray[Any]]
"""Fitted state as named arrays, together with a JSON-able mapping of parameters."""


class DocumentReader(Protocol):
    """Reads the documents of a block; picklable, cheap to send."""

    def __call__(self, block: Block) -> Documents:
        """Return the block's documents in row order."""
        ...


class BlockStep(Protocol):
    """Block in, block out; pure, so that any worker may do it, and do it again."""

    def __call__(self, block: Block) -> Result:
        """Return what the stage keeps of this block."""
        ...


class Embedder(Protocol):
    """Turns texts into vectors; picklable, loads its model where it is used.

    A text's vector depends on the text and the model only, up to the rounding of the hardware.
    """

    def describe(self) -> Mapping[str, Any]:
        """Return what the vectors depend on, as JSON: model, revision, dtype, versions."""
        ...

    def encode(self, texts: Sequence[str]) -> NDArray[np.floating[Any]]:
        """Return vectors of shape (n_texts, n_features)."""
        ...


@runtime_checkable
class Reducer(Protocol):
    """Places vectors in few dimensions, after a fit on a sample."""

    def describe(self) -> Mapping[str, Any]:
        """Return what the places depend on, as JSON: parameters and library versions."""
        ...

    def fit(self, X: NDArray[np.float32], y: NDArray[np.int64] | None = None) -> ReducerModel:
        """Fit on a sample, shape (n_sample, n_features)."""
        ...


class ReducerModel(Protocol):
    """A fitted reducer."""

    @property
    def embedding(self) -> NDArray[np.float32]:
        """The sample's own places, shape (n_sample, n_components)."""
        ...

    def transform(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        """Place rows; each row's place depends on that row and the model only."""
        ...


class Clusterer(Protocol):
    """Finds clusters in all reduced points."""

    def describe(self) -> Mapping[str, Any]:
        """Return what the labels depend on, as JSON: parameters and library versions."""
        ...

    def fit(self, X: NDArray[np.float32]) -> ClustererModel:
        """Cluster the points, shape (n_points, n_components)."""
        ...


class ClustererModel(Protocol):
    """A fitted clusterer."""

    @property
    def labels(self) -> NDArray[np.int32]:
        """Cluster of each point, −1 for outliers, shape (n_points,)."""
        ...

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """Strength of each point's membership, shape (n_points,)."""
        ...

    def predict(self, X: NDArray[np.float32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Label new points; each row's label depends on that row and the model only."""
        ...


class Vectorizer(Protocol):
    """scikit-learn's CountVectorizer, as far as it is used."""

    def build_analyzer(self) -> Any:
        """Return the function from a document to its terms."""
        ...

    def get_params(self, *, deep: bool = True) -> dict[str, Any]:
        """Return the parameters."""
        ...


class Representer(Protocol):
    """Chooses the words that stand for each topic, from topic-level data."""

    def extract_words(self, about: Any) -> Mapping[int, Sequence[tuple[str, float]]]:
        """Return the chosen words and weights of each topic, heaviest first.

        `about` is a `dtopics.representation.representers.Described`.
        """
        ...
