"""Array kernels of UMAP's placing of new rows among the fixed places of a sample.

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
MAX_GRADIENT = np.float32(4.0)

#: The curve of the forces is cut at squared distances from 2^-LOW_OCTAVE to 2^HIGH_OCTAVE.
LOW_OCTAVE, HIGH_OCTAVE = 40, 24
#: Bits of a float32 below those that number the pieces of the curve: 128 pieces to an octave.
PIECE_BITS = 16

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_STEP = np.uint64(6364136223846793005)
_S27, _S30, _S31, _S32 = np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(32)

Floats = NDArray[Any]


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


def force_curve(a: float, b: float, repulsion: float) -> Floats:
    """Return UMAP's two forces over the squared distance, as straight pieces between knots.

    Returns
    -------
    ndarray of float32, shape (n_knots, 4)
        At each knot the factor of attraction and its rise to the next knot, and the same of
        repulsion. The knots are the float32 numbers whose low PIECE_BITS bits are zero; a piece
        is off by at most 2e-5 of the value.
    """
    first, last = (127 - LOW_OCTAVE) << 23, (127 + HIGH_OCTAVE) << 23
    knots = np.arange(first, last + 1, 1 << PIECE_BITS, dtype=np.int32).view(np.float32)
    x = knots.astype(np.float64)
    power = a * x**b
    pull = -2.0 * b * power / (x * (power + 1.0))
    push = 2.0 * repulsion * b / ((0.001 + x) * (power + 1.0))
    curve = np.zeros((len(x), 4), dtype=np.float32)
    for column, force in ((0, pull), (2, push)):
        curve[:, column] = force
        curve[:-1, column + 1] = np.diff(force)
    return curve


@jit(inline="always")
def _factor(curve: Floats, squared: Any, column: int) -> Any:
    """Return the factor of attraction (column 0) or repulsion (2) at a squared distance."""
    bits = np.float32(squared).view(np.int32) - ((127 - LOW_OCTAVE) << 23)
    bits = np.int32(min(max(int(bits), 0), (LOW_OCTAVE + HIGH_OCTAVE) << 23))
    piece = bits >> PIECE_BITS
    part = np.float32(bits & ((1 << PIECE_BITS) - 1)) * np.float32(2.0**-PIECE_BITS)
    return curve[piece, column] + part * curve[piece, column + 1]


@jit(inline="always")
def _squared(place: Floats, other: Floats) -> Any:
    total = np.float32(0.0)
    for c in range(place.size):
        difference = place[c] - other[c]
        total += difference * difference
    return total


@jit(inline="always")
def _clipped(gradient: Any) -> Any:
    return min(MAX_GRADIENT, max(-MAX_GRADIENT, gradient))


@jit()
def descend(
    place: Floats,
    neighbours: Floats,
    strengths: Floats,
    embedding: Floats,
    state: Any,
    n_epochs: int,
    rate: float,
    curve: Floats,
    negatives: float,
) -> None:
    """Do stochastic gradient descent of one float32 row against the fixed embedding, in place.

    umap-learn's ``optimize_layout_euclidean`` with ``move_other=False``, where the largest weight
    is 1 whatever the batch, the forces are read from their `force_curve`, and negative samples
    come from a generator of the row's own. The negative samples of an edge push at once, where
    umap-learn's push one after the other. Edges that umap-learn would prune, below
    ``1 / n_epochs``, are never due.
    """
    k, n_vertices = neighbours.shape[0], np.uint64(embedding.shape[0])
    due = np.empty(k)
    due_negative = np.empty(k)
    push = np.empty(place.size, dtype=np.float32)
    for j in range(k):
        due[j] = 1.0 / strengths[j] if strengths[j] > 0.0 else np.inf
        due_negative[j] = due[j] / negatives if negatives > 0.0 else np.inf
    for epoch in range(n_epochs):
        alpha = np.float32(rate * (1.0 - max(0, epoch - 1) / n_epochs))
        for j in range(k):
            if due[j] > epoch:
                continue
            near = embedding[neighbours[j]]
            squared = _squared(place, near)
            if squared > 0.0:
                factor = _factor(curve, squared, 0)
                for c in range(place.size):
                    place[c] += _clipped(factor * (place[c] - near[c])) * alpha
            due[j] += 1.0 / strengths[j]
            if negatives <= 0.0:
                continue
            n_negative = max(0, int((epoch - due_negative[j]) * strengths[j] * negatives))
            push[:] = 0.0
            for _ in range(n_negative):
                state = state * _STEP + _GOLDEN
                other = embedding[np.int64(((state >> _S32) * n_vertices) >> _S32)]
                squared = _squared(place, other)
                if squared > 0.0:
                    factor = _factor(curve, squared, 2)
                    for c in range(place.size):
                        push[c] += _clipped(factor * (place[c] - other[c]))
            for c in range(place.size):
                place[c] += push[c] * alpha
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
    curve: Floats,
    negatives: float,
) -> Any:
    """Place every row by its neighbours in the sample, shape (n_rows, n_components)."""
    n, k = neighbours.shape
    places = np.empty((n, embedding.shape[1]), dtype=np.float32)
    for i in prange(n):
        strengths = np.empty(k)
        fill_strengths(distances[i], connectivity, mean_distance, disconnection, strengths)
        fill_start(neighbours[i], strengths, embedding, places[i])
        if n_epochs > 0:
            descend(
                places[i],
                neighbours[i],
                strengths,
                embedding,
                row_seed(bits[i], seed),
                n_epochs,
                rate,
                curve,
                negatives,
            )
    return places
