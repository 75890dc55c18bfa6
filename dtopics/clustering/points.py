"""Points as they are given: an array of finite numbers, or a Dask array."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dtopics.errors import InputError

if TYPE_CHECKING:
    pass

logger = logging.getLogger("dtopics")


def is_integer(value: object) -> bool:
    """Whether it is an integer, and no truth value."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def is_dask_array(X: object) -> bool:
    """Whether it is a Dask array; Dask is not loaded for the answer."""
    module = sys.modules.get("dask.array")
    return module is not None and isinstance(X, module.Array)


def as_points(X: ArrayLike) -> NDArray[Any]:
    """Return `X` as a C-ordered array of floats, shape (n_points, n_features), all finite.

    Raises
    ------
    InputError
        It has another number of dimensions, or rows with NaN or infinity.
    """
    try:
        points = np.asarray(X)
    except ValueError as error:
        raise InputError(f"points are no array, their rows differ in length: {error}") from error
    if points.dtype.kind not in "fiub":
        raise InputError(f"points are of type {points.dtype}: expected numbers")
    if points.ndim != 2 or points.shape[1] == 0:
        raise InputError(f"points of shape {points.shape}: expected (n_points, n_features)")
    points = np.ascontiguousarray(points, np.float32 if points.dtype == np.float32 else np.float64)
    bad = np.flatnonzero(~np.isfinite(points).all(axis=1))
    if len(bad):
        raise not_finite(len(bad), len(points), bad[0])
    return points


def as_new_points(X: ArrayLike, n_components: int) -> NDArray[Any]:
    """Return `X` as `as_points` does; a model of `n_components` is to label it.

    Raises
    ------
    InputError
        As `as_points`, or the number of components is another.
    """
    new = as_points(X)
    if new.shape[1] != n_components:
        raise InputError(
            f"points have {new.shape[1]} components; the model was fit on {n_components}"
        )
    return new


def not_finite(n_bad: int, n_points: int, first: int | np.integer) -> InputError:
    """Return the error for rows with NaN or infinity, the first of which is given."""
    return InputError(
        f"{n_bad:,} of {n_points:,} points have NaN or infinity, the first in row "
        f"{first:,}: leave these rows out before clustering"
    )
