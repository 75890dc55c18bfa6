"""PCA and TruncatedSVD: scikit-learn's fit on the sample, applied in a fixed order of sums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dtopics.errors import SettingError
from dtopics.reduction._rows import checked, checked_sample
from dtopics.reduction.wrapped import describe_estimator, fit_clone

#: scikit-learn's classes whose fitted state is a centre and directions.
LINEAR = ("PCA", "IncrementalPCA", "TruncatedSVD")


@dataclass(frozen=True, eq=False)
class Linear:
    """A linear projection that scikit-learn finds in the sample.

    Parameters
    ----------
    estimator : PCA, IncrementalPCA or TruncatedSVD
        Never changed: a clone of it is fit, in float64 and on one thread.
    """

    estimator: Any

    def describe(self) -> Mapping[str, Any]:
        """Return what the places depend on, as JSON."""
        return {"kind": LinearModel.kind, **describe_estimator(self.estimator)}

    def fit(self, X: NDArray[Any], y: NDArray[np.int64] | None = None) -> LinearModel:  # noqa: ARG002
        """Fit on a sample, shape (n_sample, n_features).

        Raises
        ------
        EmbeddingError
            If `X` is empty or not finite.
        SettingError
            If scikit-learn refuses the parameters, such as more components than rows.
        """
        rows = checked_sample(X)
        wanted = getattr(self.estimator, "n_components", None)
        if isinstance(wanted, (int, np.integer)) and wanted > min(rows.shape):
            message = (
                f"n_components={wanted} needs as many rows and dimensions; "
                f"the sample has {rows.shape[0]} rows of {rows.shape[1]}"
            )
            raise SettingError(message)
        fitted = fit_clone(self.estimator, rows.astype(np.float64))
        components = np.array(fitted.components_, dtype=np.float64)
        centre = getattr(fitted, "mean_", None)
        if getattr(fitted, "whiten", False):
            components /= _whitening(fitted.explained_variance_)[:, np.newaxis]
        if centre is None:
            centre = np.zeros(rows.shape[1])
        centre = np.array(centre, dtype=np.float64)
        return LinearModel(_project(rows, centre, components), centre, components)


@dataclass(frozen=True, eq=False, repr=False)
class LinearModel:
    """A centre and directions.

    Attributes
    ----------
    embedding : ndarray of float32, shape (n_sample, n_components)
    centre : ndarray of float64, shape (n_features,)
    components : ndarray of float64, shape (n_components, n_features)
        Divided by the standard deviations where the estimator whitens.
    """

    kind: ClassVar[str] = "linear"

    embedding: NDArray[np.float32]
    centre: NDArray[np.float64]
    components: NDArray[np.float64]

    def transform(self, X: NDArray[Any]) -> NDArray[np.float32]:
        """Project rows, to shape (n_rows, n_components), each in the same order of sums."""
        return _project(checked(X, len(self.centre)), self.centre, self.components)

    def to_arrays(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return JSON-able parameters and the arrays; `load_model` is the way back."""
        return {"kind": self.kind}, dict(self.__dict__)

    @classmethod
    def from_arrays(
        cls,
        params: Mapping[str, Any],  # noqa: ARG003
        arrays: Mapping[str, NDArray[Any]],
    ) -> LinearModel:
        """Return the model that `to_arrays` took apart."""
        return cls(**{name: np.asarray(array) for name, array in arrays.items()})


def _project(
    rows: NDArray[np.float32], centre: NDArray[np.float64], components: NDArray[np.float64]
) -> NDArray[np.float32]:
    from dtopics.reduction import _kernels as kernels

    return np.asarray(kernels.project(rows, centre, components), dtype=np.float32)


def _whitening(variance: NDArray[Any]) -> NDArray[np.float64]:
    """Return scikit-learn's divisors: standard deviations, kept above the smallest float."""
    deviations = np.sqrt(np.asarray(variance, dtype=np.float64))
    return np.asarray(np.maximum(deviations, np.finfo(np.float64).eps))
