"""Reduction: vectors to few dimensions, fit on a sample and applied to every row by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dtopics.errors import RunError, SettingError
from dtopics.protocols import Arrays, Reducer, ReducerModel
from dtopics.reduction.linear import LINEAR, Linear, LinearModel
from dtopics.reduction.neighbors import ExactNeighbors
from dtopics.reduction.none import NoReduction, NoReductionModel
from dtopics.reduction.umap import UMAP, from_umap_learn
from dtopics.reduction.umap_model import UMAPModel
from dtopics.reduction.wrapped import Wrapped, WrappedModel, seeded

__all__ = [
    "UMAP",
    "ExactNeighbors",
    "Linear",
    "LinearModel",
    "NoReduction",
    "NoReductionModel",
    "UMAPModel",
    "Wrapped",
    "WrappedModel",
    "as_reducer",
    "load_model",
]

_MODELS: dict[str, Any] = {
    model.kind: model for model in (UMAPModel, LinearModel, NoReductionModel, WrappedModel)
}


def as_reducer(umap_model: Any, *, random_state: int | None) -> Reducer:
    """Return the reducer that a user means by BERTopic's ``umap_model``.

    Parameters
    ----------
    umap_model : object
        ``None``: UMAP with BERTopic's defaults. ``"none"`` or BERTopic's
        ``BaseDimensionalityReduction``: no reduction. An ``umap.UMAP``, a scikit-learn PCA,
        IncrementalPCA or TruncatedSVD, or any object with `fit` and `transform`: a copy of it.
        A reducer of dtopics: itself.
    random_state : int or None
        Taken where the object's own is ``None``.

    Raises
    ------
    SettingError
        If the object cannot place documents outside the sample.

    Examples
    --------
    >>> as_reducer("none", random_state=0)
    NoReduction()
    """
    if umap_model is None:
        return UMAP(random_state=random_state)
    if umap_model == "none" if isinstance(umap_model, str) else _is_no_reduction(umap_model):
        return NoReduction()
    if _is_class(umap_model, "umap", ("UMAP",)):
        umap_model = from_umap_learn(umap_model)
    if isinstance(umap_model, UMAP):
        unset = umap_model.random_state is None
        return replace(umap_model, random_state=random_state) if unset else umap_model
    if isinstance(umap_model, Reducer):
        return umap_model
    _check_methods(umap_model)
    estimator = seeded(umap_model, random_state)
    return Linear(estimator) if _is_class(estimator, "sklearn", LINEAR) else Wrapped(estimator)


def load_model(params: Mapping[str, Any], arrays: Arrays, *, trust: bool = False) -> ReducerModel:
    """Return the model that its `to_arrays` took apart.

    Parameters
    ----------
    params : mapping
        With the model's ``"kind"``.
    arrays : mapping of str to ndarray
    trust : bool, default=False
        Allow a model of another library, whose pickle runs code when it is opened.

    Raises
    ------
    RunError
        If the kind is unknown, or ``"foreign"`` without `trust`.
    """
    kind = params.get("kind")
    if kind not in _MODELS:
        message = f"a reducer of kind {kind!r} was found, expected one of {sorted(_MODELS)}"
        raise RunError(message)
    if kind == WrappedModel.kind and not trust:
        message = (
            "this run's reducer belongs to another library and is kept as a pickle, which runs "
            "code when it is opened; pass trust=True if you trust where the run comes from"
        )
        raise RunError(message)
    return _MODELS[kind].from_arrays(params, arrays)  # type: ignore[no-any-return]


def _is_class(thing: Any, package: str, names: tuple[str, ...]) -> bool:
    """Whether it is exactly one of these classes; subclasses may do something else."""
    cls = type(thing)
    return cls.__module__.partition(".")[0] == package and cls.__name__ in names


def _is_no_reduction(thing: Any) -> bool:
    """Whether it is BERTopic's class for no reduction, or a subclass with the same transform."""
    transform = getattr(type(thing), "transform", None)
    return any(
        cls.__name__ == "BaseDimensionalityReduction"
        and getattr(cls, "transform", None) in (transform, None)
        for cls in type(thing).__mro__
    )


def _check_methods(thing: Any) -> None:
    lacking = [name for name in ("fit", "transform") if not callable(getattr(thing, name, None))]
    if isinstance(thing, (str, type)) or lacking:
        what = repr(thing) if isinstance(thing, (str, type)) else f"a {type(thing).__name__}"
        message = (
            f"umap_model must be None, 'none', or an object with fit and transform (UMAP, PCA, "
            f"…), got {what}"
        )
        if lacking == ["transform"] and not isinstance(thing, (str, type)):
            message += "; without transform it cannot place documents outside the sample"
        raise SettingError(message)
