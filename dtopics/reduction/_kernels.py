"""Array kernels: exact nearest neighbours, UMAP's placing of new rows, fixed-order projection.

Every row is worked out by itself, in one fixed order of operations, so its result depends neither
on the rows around it nor on the number of threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from dtopics._jit import jit

TOLERANCE = 1e-5
MIN_SCALE = 1e-3
SEARCH_STEPS = 64
LARGEST = float(np.finfo(np.float32).max)
MAX_GRADIENT = 4.0

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_S27, _S30, _S31, _S33 = np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(33)

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


@jit()
def smooth_scale(distances: Floats, connectivity: float, mean_distance: float) -> Any:
    """Return UMAP's (sigma, rho) of one row of ascending neighbour distances."""
    k = distances.shape[0]
    zeros = 0
    while zeros < k and distances[zeros] <= 0.0:
        zeros += 1
    rho, whole = 0.0, int(np.floor(connectivity))
    part = connectivity - whole
    if zeros < k and k - zeros >= connectivity:
        if whole == 0:
            rho = part * distances[zeros]
        else:
            rho = distances[zeros + whole - 1]
            if part > TOLERANCE:
                rho += part * (distances[zeros + whole] - rho)
    elif zeros < k:
        rho = distances[k - 1]

    target = np.log2(k)
    low, high, sigma = 0.0, LARGEST, 1.0
    for _ in range(SEARCH_STEPS):
        total = 0.0
        for j in range(1, k):
            beyond = distances[j] - rho
            total += np.exp(-beyond / sigma) if beyond > 0.0 else 1.0
        if np.abs(total - target) < TOLERANCE:
            break
        if total > target:
            high = sigma
        else:
            low = sigma
        sigma = sigma * 2.0 if high >= LARGEST else (low + high) / 2.0

    floor = mean_distance
    if rho > 0.0:
        floor = 0.0
        for j in range(k):
            floor += distances[j]
        floor /= k
    return max(sigma, MIN_SCALE * floor), rho


@jit()
def fill_strengths(
    distances: Floats,
    connectivity: float,
    mean_distance: float,
    disconnection: float,
    strengths: Floats,
) -> None:
    """Fill UMAP's membership strengths of one row; 0 beyond the disconnection distance."""
    sigma, rho = smooth_scale(distances, connectivity, mean_distance)
    for j in range(distances.shape[0]):
        beyond = distances[j] - rho
        if distances[j] >= disconnection:
            strengths[j] = 0.0
        elif beyond <= 0.0 or sigma == 0.0:
            strengths[j] = 1.0
        else:
            strengths[j] = np.exp(-beyond / sigma)


@jit()
def fill_start(neighbours: Floats, strengths: Floats, embedding: Floats, place: Floats) -> None:
    """Fill the weighted mean of the neighbours' places; a duplicate's own place; else zeros."""
    total = 0.0
    for j in range(strengths.shape[0]):
        total += strengths[j]
    for c in range(place.shape[0]):
        place[c] = 0.0
    for j in range(strengths.shape[0]):
        # float32 as in umap-learn, whose strengths reach 1 a hair before the distance is 0.
        if np.float32(strengths[j]) == np.float32(1.0):
            for c in range(place.shape[0]):
                place[c] = embedding[neighbours[j], c]
            return
        if strengths[j] > 0.0:
            for c in range(place.shape[0]):
                place[c] += strengths[j] / total * embedding[neighbours[j], c]


@jit()
def _mix(z: Any) -> Any:
    """Return splitmix64's finaliser of a uint64."""
    z = (z ^ (z >> _S30)) * _MIX_1
    z = (z ^ (z >> _S27)) * _MIX_2
    return z ^ (z >> _S31)


@jit()
def row_seed(bits: Floats, seed: Any) -> Any:
    """Return a uint64 that depends on the bits of the row's vector and on `seed` only."""
    state = _mix(np.uint64(seed) + _GOLDEN)
    for i in range(bits.shape[0]):
        state = _mix((state ^ np.uint64(bits[i])) + _GOLDEN)
    return state


@jit()
def _move(place: Floats, other: Floats, factor: float, alpha: float) -> None:
    """Move `place` along its clipped gradient towards (negative) or away from `other`."""
    for c in range(place.shape[0]):
        gradient = factor * (place[c] - other[c])
        place[c] += min(MAX_GRADIENT, max(-MAX_GRADIENT, gradient)) * alpha


@jit()
def _squared(place: Floats, other: Floats) -> Any:
    total = 0.0
    for c in range(place.shape[0]):
        difference = place[c] - other[c]
        total += difference * difference
    return total


@jit()
def descend(
    place: Floats,
    neighbours: Floats,
    strengths: Floats,
    embedding: Floats,
    state: Any,
    n_epochs: int,
    rate: float,
    a: float,
    b: float,
    repulsion: float,
    negatives: float,
) -> None:
    """Do stochastic gradient descent of one row against the fixed embedding, in place.

    umap-learn's ``optimize_layout_euclidean`` with ``move_other=False``, where the largest weight
    of an edge is always 1, as if a row of the sample were in every batch. Edges that it would
    prune, below ``1 / n_epochs``, are never due.
    """
    k, n_vertices = neighbours.shape[0], embedding.shape[0]
    due = np.empty(k)
    due_negative = np.empty(k)
    for j in range(k):
        due[j] = 1.0 / strengths[j] if strengths[j] > 0.0 else np.inf
        due_negative[j] = due[j] / negatives if negatives > 0.0 else np.inf
    for epoch in range(n_epochs):
        alpha = rate * (1.0 - max(0, epoch - 1) / n_epochs)
        for j in range(k):
            if due[j] > epoch:
                continue
            squared = _squared(place, embedding[neighbours[j]])
            if squared > 0.0:
                power = a * squared**b
                factor = -2.0 * b * power / (squared * (power + 1.0))
                _move(place, embedding[neighbours[j]], factor, alpha)
            due[j] += 1.0 / strengths[j]
            if negatives <= 0.0:
                continue
            n_negative = max(0, int((epoch - due_negative[j]) * strengths[j] * negatives))
            for _ in range(n_negative):
                state += _GOLDEN
                other = embedding[np.int64(_mix(state) >> _S33) % n_vertices]
                squared = _squared(place, other)
                if squared > 0.0:
                    factor = 2.0 * repulsion * b
                    factor /= (0.001 + squared) * (a * squared**b + 1.0)
                    _move(place, other, factor, alpha)
            due_negative[j] += n_negative / (strengths[j] * negatives)


@jit(parallel=True)
def place_rows(
    bits: Floats,
    neighbours: Floats,
    distances: Floats,
    embedding: Floats,
    seed: int,
    connectivity: float,
    mean_distance: float,
    disconnection: float,
    n_epochs: int,
    rate: float,
    a: float,
    b: float,
    repulsion: float,
    negatives: float,
) -> Any:
    """Place every row by its neighbours in the sample, shape (n_rows, n_components)."""
    n, k = neighbours.shape
    places = np.empty((n, embedding.shape[1]), dtype=np.float32)
    for i in prange(n):
        strengths = np.empty(k)
        place = np.empty(embedding.shape[1])
        fill_strengths(distances[i], connectivity, mean_distance, disconnection, strengths)
        fill_start(neighbours[i], strengths, embedding, place)
        if n_epochs > 0:
            descend(
                place,
                neighbours[i],
                strengths,
                embedding,
                row_seed(bits[i], seed),
                n_epochs,
                rate,
                a,
                b,
                repulsion,
                negatives,
            )
        for c in range(embedding.shape[1]):
            places[i, c] = place[c]
    return places


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
