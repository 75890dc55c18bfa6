"""No reduction: the vectors themselves are clustered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dtopics.reduction._rows import checked, checked_sample


@dataclass(frozen=True)
class NoReduction:
    """Leaves every vector as it is, in float32."""

    def describe(self) -> Mapping[str, Any]:
        """Return what the places depend on, as JSON."""
        return {"kind": NoReductionModel.kind}

    def fit(self, X: NDArray[Any], y: NDArray[np.int64] | None = None) -> NoReductionModel:  # noqa: ARG002
        """Return a model whose embedding is a copy of `X`, shape (n_sample, n_features)."""
        return NoReductionModel(checked_sample(X).copy())


@dataclass(frozen=True, eq=False, repr=False)
class NoReductionModel:
    """The identity.

    Attributes
    ----------
    embedding : ndarray of float32, shape (n_sample, n_features)
        The sample itself.
    """

    kind: ClassVar[str] = "none"

    embedding: NDArray[np.float32]

    def transform(self, X: NDArray[Any]) -> NDArray[np.float32]:
        """Return a float32 copy of the rows, checked for length and NaN."""
        return checked(X, self.embedding.shape[1]).copy()

    def to_arrays(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return JSON-able parameters and the arrays; `load_model` is the way back."""
        return {"kind": self.kind}, {"embedding": self.embedding}

    @classmethod
    def from_arrays(
        cls,
        params: Mapping[str, Any],  # noqa: ARG003
        arrays: Mapping[str, NDArray[Any]],
    ) -> NoReductionModel:
        """Return the model that `to_arrays` took apart."""
        return cls(np.asarray(arrays["embedding"]))
