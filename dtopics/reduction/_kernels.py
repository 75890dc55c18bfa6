"""Array kernels: exact nearest neighbours, fixed-order projection.

Every row is worked out by itself, in one fixed order of operations, so its result depends neither
on the rows around it nor on the number of threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from dtopics._jit import jit

Floats = NDArray[Any]


@jit()
def dot(x: Floats, y: Floats) -> Any:
    """Return the float64 dot product, summed in eight interleaved parts."""
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
    whole = x.shape[0] // 8 * 8
    for i in range(0, whole, 8):
        s0 += np.float64(x[i]) * np.float64(y[i])
        s1 += np.float64(x[i + 1]) * np.float64(y[i + 1])
        s2 += np.float64(x[i + 2]) * np.float64(y[i + 2])
        s3 += np.float64(x[i + 3]) * np.float64(y[i + 3])
        s4 += np.float64(x[i + 4]) * np.float64(y[i + 4])
        s5 += np.float64(x[i + 5]) * np.float64(y[i + 5])
        s6 += np.float64(x[i + 6]) * np.float64(y[i + 6])
        s7 += np.float64(x[i + 7]) * np.float64(y[i + 7])
    for i in range(whole, x.shape[0]):
        s0 += np.float64(x[i]) * np.float64(y[i])
    return ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))


@jit(parallel=True)
def squared_norms(X: Floats) -> Any:
    """Return the float64 squared length of every row."""
    result = np.empty(X.shape[0])
    for i in prange(X.shape[0]):
        result[i] = dot(X[i], X[i])
    return result


@jit()
def euclidean_distance(x: Floats, y: Floats) -> Any:
    """Return the Euclidean distance in float64."""
    s0 = s1 = s2 = s3 = 0.0
    whole = x.shape[0] // 4 * 4
    for i in range(0, whole, 4):
        d0 = np.float64(x[i]) - np.float64(y[i])
        d1 = np.float64(x[i + 1]) - np.float64(y[i + 1])
        d2 = np.float64(x[i + 2]) - np.float64(y[i + 2])
        d3 = np.float64(x[i + 3]) - np.float64(y[i + 3])
        s0 += d0 * d0
        s1 += d1 * d1
        s2 += d2 * d2
        s3 += d3 * d3
    for i in range(whole, x.shape[0]):
        d0 = np.float64(x[i]) - np.float64(y[i])
        s0 += d0 * d0
    return np.sqrt((s0 + s1) + (s2 + s3))


@jit()
def cosine_distance(x: Floats, y: Floats, xx: float, yy: float) -> Any:
    """Return 1 − cos in float64; `xx` and `yy` are the squared lengths, as `dot` gives them."""
    if xx == 0.0 and yy == 0.0:
        return 0.0
    if xx == 0.0 or yy == 0.0:
        return 1.0
    # √(xx·yy) is exactly xx for a duplicate, so that its distance is exactly 0.
    return max(0.0, 1.0 - dot(x, y) / np.sqrt(xx * yy))


@jit()
def _raise_best(best: Floats, key: float) -> None:
    """Insert `key` into the descending list `best`, dropping its last."""
    p = best.shape[0] - 1
    while p > 0 and best[p - 1] < key:
        best[p] = best[p - 1]
        p -= 1
    best[p] = key


@jit()
def _insert(distances: Floats, indices: Floats, distance: float, index: int) -> None:
    """Insert into lists ascending by (distance, index); indices come in ascending order."""
    p = distances.shape[0] - 1
    if not distance < distances[p]:
        return
    while p > 0 and distances[p - 1] > distance:
        distances[p] = distances[p - 1]
        indices[p] = indices[p - 1]
        p -= 1
    distances[p] = distance
    indices[p] = index


@jit(parallel=True)
def take_nearest(
    products: Floats,
    first: int,
    Q: Floats,
    qq: Floats,
    X: Floats,
    xx: Floats,
    factors: Floats,
    shifts: Floats,
    slack: Floats,
    euclidean: bool,  # noqa: FBT001
    best: Floats,
    distances: Floats,
    indices: Floats,
) -> None:
    """Go on with the k nearest of every row of `Q` through one tile of `X`.

    ``products[i, j] * factors[j] - shifts[j]`` is larger for nearer rows, up to ``slack[i]``.
    A row of `X` more than two slacks below the k-th best key so far cannot be among the k
    nearest; all others are measured exactly.
    """
    k = distances.shape[1]
    for i in prange(products.shape[0]):
        row = products[i]
        for j in range(row.shape[0]):
            key = row[j] * factors[first + j] - shifts[first + j]
            row[j] = key
            if key > best[i, k - 1]:
                _raise_best(best[i], key)
        threshold = np.float64(best[i, k - 1]) - 2.0 * slack[i]
        for j in range(row.shape[0]):
            if np.float64(row[j]) < threshold:
                continue
            index = first + j
            if euclidean:
                distance = euclidean_distance(Q[i], X[index])
            else:
                distance = cosine_distance(Q[i], X[index], qq[i], xx[index])
            _insert(distances[i], indices[i], distance, index)


@jit(parallel=True)
def project(X: Floats, centre: Floats, components: Floats) -> Any:
    """Return ``(X - centre) @ components.T`` in float64, each sum in one fixed order."""
    result = np.empty((X.shape[0], components.shape[0]), dtype=np.float32)
    for i in prange(X.shape[0]):
        row = np.empty(X.shape[1])
        for d in range(X.shape[1]):
            row[d] = X[i, d] - centre[d]
        for c in range(components.shape[0]):
            result[i, c] = dot(row, components[c])
    return result
