"""Any other object with scikit-learn's `fit` and `transform`, wrapped.

Whether a row's place depends on its batch is then up to that object, and its fitted state can
only be kept by pickle.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dtopics.errors import SettingError
from dtopics.reduction._rows import checked, checked_sample
from dtopics.store.travelling import dumps


@dataclass(frozen=True, eq=False)
class Wrapped:
    """A foreign transformer.

    Parameters
    ----------
    estimator : object with `fit` and `transform`
        Never changed: a clone of it is fit.
    """

    estimator: Any

    @property
    def on_gpu(self) -> bool:
        """Whether it belongs on a worker that has a GPU."""
        return of_cuml(self.estimator)

    def describe(self) -> Mapping[str, Any]:
        """Return what the places depend on, as JSON."""
        return {"kind": WrappedModel.kind, **describe_estimator(self.estimator)}

    def fit(self, X: NDArray[Any], y: NDArray[np.int64] | None = None) -> WrappedModel:
        """Fit a clone on a sample, shape (n_sample, n_features).

        Raises
        ------
        EmbeddingError
            If `X` is empty or not finite.
        SettingError
            If the estimator refuses the sample or its own parameters.
        """
        rows = checked_sample(X)
        fitted = fit_clone(self.estimator, rows.copy(), y)
        return WrappedModel(_transformed(fitted, rows), fitted, rows.shape[1])


@dataclass(frozen=True, eq=False, repr=False)
class WrappedModel:
    """A fitted foreign transformer.

    Attributes
    ----------
    embedding : ndarray of float32, shape (n_sample, n_components)
        Its own `transform` of the sample.
    fitted : object
    n_features : int
    """

    kind: ClassVar[str] = "foreign"

    embedding: NDArray[np.float32]
    fitted: Any
    n_features: int

    def transform(self, X: NDArray[Any]) -> NDArray[np.float32]:
        """Return the object's own `transform`, shape (n_rows, n_components)."""
        rows = checked(X, self.n_features)
        if not len(rows):
            return np.empty((0, self.embedding.shape[1]), dtype=np.float32)
        return _transformed(self.fitted, rows)

    def to_arrays(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return parameters and arrays, of which ``"pickle"`` runs code when it is opened."""
        pickled = np.frombuffer(dumps(self.fitted), dtype=np.uint8)
        params: dict[str, Any] = {"kind": self.kind, "n_features": self.n_features}
        if of_cuml(self.fitted):
            params["device"] = "cuda"
        return params, {"pickle": pickled, "embedding": self.embedding}

    @classmethod
    def from_arrays(
        cls, params: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
    ) -> WrappedModel:
        """Return the model that `to_arrays` took apart; runs the pickle."""
        fitted = pickle.loads(np.asarray(arrays["pickle"]).tobytes())  # noqa: S301 (load_model asks)
        return cls(np.asarray(arrays["embedding"]), fitted, int(params["n_features"]))


def of_cuml(estimator: Any) -> bool:
    """Return whether an estimator is cuML's, which works on a GPU only."""
    return type(estimator).__module__.partition(".")[0] == "cuml"


def cloned(estimator: Any) -> Any:
    """Return an unfitted copy, as scikit-learn's `clone`, or a deep copy of other objects."""
    from sklearn.base import clone

    return clone(estimator, safe=False)


def seeded(estimator: Any, random_state: int | None) -> Any:
    """Return a clone in which every ``random_state=None`` has become `random_state`."""
    copy = cloned(estimator)
    if random_state is None or not hasattr(copy, "get_params"):
        return copy
    unset = {
        name: random_state
        for name, value in copy.get_params(deep=True).items()
        if value is None and (name == "random_state" or name.endswith("__random_state"))
    }
    return copy.set_params(**unset) if unset else copy


def fit_clone(estimator: Any, X: NDArray[Any], y: NDArray[np.int64] | None = None) -> Any:
    """Return a clone, fit on one thread so that the sums do not depend on their number."""
    from threadpoolctl import threadpool_limits

    copy = cloned(estimator)
    try:
        with threadpool_limits(1):
            if y is None:
                copy.fit(X)
            else:
                copy.fit(X, y)
    except ValueError as error:
        message = f"{type(estimator).__name__} could not be fit on {X.shape} vectors: {error}"
        raise SettingError(message) from error
    return copy


def describe_estimator(estimator: Any) -> dict[str, Any]:
    """Return class, version and parameters of an estimator, as JSON."""
    from importlib.metadata import PackageNotFoundError, version

    cls = type(estimator)
    package = cls.__module__.partition(".")[0]
    try:
        found = version({"sklearn": "scikit-learn"}.get(package, package))
    except PackageNotFoundError:
        found = None
    params = estimator.get_params(deep=False) if hasattr(estimator, "get_params") else None
    if params is None:
        params = vars(estimator) if hasattr(estimator, "__dict__") else {}
    return {
        "class": f"{cls.__module__}.{cls.__qualname__}",
        "version": found,
        "params": {name: _plain(value) for name, value in sorted(params.items())},
    }


def _plain(value: Any) -> Any:
    """Return a parameter as JSON; what has no such form is named by the hash of its pickle."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, (float, np.number)):
        number = value.item() if isinstance(value, np.number) else value
        return number if np.isfinite(number) else repr(number)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if hasattr(value, "get_params") and not isinstance(value, type):
        return describe_estimator(value)
    import cloudpickle

    return {"sha256": hashlib.sha256(cloudpickle.dumps(value)).hexdigest()}


def _transformed(fitted: Any, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return dense float32 places, NaN as 0, as BERTopic has them."""
    places = fitted.transform(rows.copy())
    for name in ("toarray", "get"):  # sparse; on a GPU
        if hasattr(places, name):
            places = getattr(places, name)()
    places = np.asarray(places, dtype=np.float32)
    if places.ndim != 2 or len(places) != len(rows):
        message = (
            f"{type(fitted).__name__}.transform returned shape {places.shape} for {len(rows)} "
            "rows; one row of coordinates for each is needed"
        )
        raise SettingError(message)
    return np.asarray(np.nan_to_num(places), dtype=np.float32)
