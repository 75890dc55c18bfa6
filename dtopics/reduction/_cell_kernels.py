"""Array kernels of the nearest neighbours in cells: codes, cells and the rows to look at.

Codes are whole numbers in int8, and so are sums of their products, in int32: a matrix product of
them is the same for any library, tile, device and number of threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from dtopics._jit import jit
from dtopics.reduction._kernels import dot

LARGEST_CODE = 127.0
BINS = 512
#: The low bits of an entry, and an entry for no row; entries of rows are larger.
LAST = 2**31 - 1
NOTHING = -(2**62)
#: Beyond it, a component counts as this large, so that no sum overflows.
FARTHEST = 1e15

Floats = NDArray[Any]


@jit(parallel=True)
def rotate(X: Floats, unit: float, centre: Floats, rotation: Floats) -> Any:
    """Return the rows times `unit` less `centre`, in the rotation's axes.

    Of unit 0, rows are brought to length 1 instead. The last column is the length of what the
    axes leave out: nearer than its difference two rows cannot be.
    """
    n, d = X.shape
    n_axes = rotation.shape[1]
    rotated = np.zeros((n, n_axes + 1), dtype=np.float32)
    for i in prange(n):
        scale = unit
        if unit == 0.0:
            squared = dot(X[i], X[i])
            scale = 1.0 / np.sqrt(squared) if squared > 0.0 else 0.0
        row, left = rotated[i, :n_axes], 0.0
        for c in range(d):
            far = np.float64(X[i, c]) * scale - np.float64(centre[c])
            value = np.float32(min(FARTHEST, max(-FARTHEST, far)))
            left += np.float64(value) * np.float64(value)
            axes = rotation[c]
            for p in range(n_axes):
                row[p] += value * axes[p]
        for p in range(n_axes):
            left -= np.float64(row[p]) * np.float64(row[p])
        rotated[i, n_axes] = np.sqrt(max(0.0, left))
    return rotated


@jit(parallel=True)
def encode(rotated: Floats, middle: float, scale: float) -> Any:
    """Return rotated rows in units of ``1 / scale``, int8, as whole numbers up to LARGEST_CODE.

    The last column, which is a length, is counted from `middle`.
    """
    codes = np.empty(rotated.shape, dtype=np.int8)
    last = rotated.shape[1] - 1
    for i in prange(rotated.shape[0]):
        for p in range(last + 1):
            value = np.float64(rotated[i, p]) - (middle if p == last else 0.0)
            code = min(LARGEST_CODE, max(-LARGEST_CODE, np.rint(value * scale)))
            codes[i, p] = np.int8(code)
    return codes


@jit(parallel=True)
def nearest_centres(products: Floats, halves: Floats, nearest: Floats) -> None:
    """Fill the index of the nearest centre of each row of products; the first of equals."""
    for i in prange(products.shape[0]):
        best = np.int64(NOTHING)
        for c in range(products.shape[1]):
            key = np.int64(products[i, c]) - halves[c]
            if key > best:
                best = key
                nearest[i] = c


@jit()
def cell_means(codes: Floats, cells: Floats, centres: Floats) -> None:
    """Move each centre to the mean of its rows, rounded; one without rows stays."""
    sums = np.zeros(centres.shape, dtype=np.int64)
    sizes = np.zeros(centres.shape[0], dtype=np.int64)
    for i in range(codes.shape[0]):
        sizes[cells[i]] += 1
        total = sums[cells[i]]
        for p in range(codes.shape[1]):
            total[p] += np.int64(codes[i, p])
    for c in range(centres.shape[0]):
        for p in range(centres.shape[1]):
            if sizes[c] > 0:
                centres[c, p] = np.rint(sums[c, p] / sizes[c])


@jit(parallel=True)
def choose_cells(
    products: Floats, halves: Floats, sizes: Floats, n_look: int, chosen: Floats, counts: Floats
) -> None:
    """Choose the nearest cells of every row until they hold `n_look` rows of the sample.

    The distances are sorted into bins; a bin is taken whole. `chosen` has a column to spare.
    """
    n_cells = products.shape[1]
    for i in prange(products.shape[0]):
        row = products[i]
        keys = np.empty(n_cells, dtype=np.int32)
        low, high = np.int32(2**30), np.int32(-(2**30))
        for c in range(n_cells):
            key = np.int32(row[c] - halves[c])
            keys[c] = key
            low = min(low, key)
            high = max(high, key)
        shift = np.int32(0)
        while (high - low) >> shift >= BINS:
            shift += np.int32(1)
        rows_of = np.zeros(BINS, dtype=np.int32)
        for c in range(n_cells):
            rows_of[(high - keys[c]) >> shift] += sizes[c]
        found, last = 0, -1
        while found < n_look and last < BINS - 1:
            last += 1
            found += rows_of[last]
        least, n_chosen = high - (last << shift) - ((1 << shift) - 1), 0
        for c in range(n_cells):
            chosen[i, n_chosen] = c
            n_chosen += keys[c] >= least
        counts[i] = n_chosen


@jit()
def packed(chosen: Floats, counts: Floats) -> Any:
    """Return the chosen cells of all rows, one row after the other."""
    cells = np.empty(counts.sum(), dtype=chosen.dtype)
    n = 0
    for i in range(counts.size):
        for a in range(counts[i]):
            cells[n] = chosen[i, a]
            n += 1
    return cells


@jit()
def rows_by_cell(cells: Floats, counts: Floats, n_cells: int) -> Any:
    """Return the rows that look at each cell, one cell after the other, and where each begins.

    `cells` holds ``counts[0]`` cells of row 0, and so on.
    """
    starts = np.zeros(n_cells + 1, dtype=np.int64)
    for c in cells:
        starts[c + 1] += 1
    for c in range(n_cells):
        starts[c + 1] += starts[c]
    filled = starts[:-1].copy()
    rows = np.empty(cells.size, dtype=np.int32)
    n = 0
    for i in range(counts.size):
        for _ in range(counts[i]):
            c = cells[n]
            rows[filled[c]] = i
            filled[c] += 1
            n += 1
    return rows, starts


@jit()
def _replace_least(heap: Floats, entry: Any) -> None:
    """Put an entry in place of the least, which stands first in its heap."""
    p, size = 0, heap.size
    while True:
        child = 2 * p + 1
        if child >= size:
            break
        if child + 1 < size and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= entry:
            break
        heap[p] = heap[child]
        p = child
    heap[p] = entry


@jit(inline="always")
def _any_near(row: Floats, half: Floats, bar: Any) -> Any:
    """Return whether a key reaches `bar`; most rows of most cells have none that does."""
    n_near = np.int32(0)
    for j in range(row.size):
        n_near = np.int32(n_near + np.int32(np.int32(row[j] - half[j]) >= bar))
    return n_near > 0


@jit(parallel=True)
def take_candidates(
    products: Floats, rows: Floats, first: int, halves: Floats, heaps: Floats, least: Floats
) -> None:
    """Go on with the best candidates of `rows` through one cell, whose rows start at `first`.

    `halves` are those of the cell's rows.
    A heap's entries hold the key above 32 bits and, below, LAST less the row, so that the lower
    row comes first among equals; `least` holds the key of each heap's first entry.
    """
    for g in prange(rows.size):
        i, row = rows[g], products[g]
        bar = least[i]
        if not _any_near(row, halves, bar):
            continue
        heap = heaps[i]
        for j in range(row.size):
            key = np.int32(row[j] - halves[j])
            if key < bar:
                continue
            entry = (np.int64(key) << 32) + (LAST - (first + j))
            if entry > heap[0]:
                _replace_least(heap, entry)
                bar = np.int32(heap[0] >> 32)
        least[i] = bar


@jit()
def _sum(values: Floats) -> Any:
    """Return the sum, halving the values until one is left; they are overwritten."""
    width = values.size
    while width > 1:
        half = (width + 1) // 2
        for c in range(width - half):
            values[c] += values[half + c]
        width = half
    return values[0]


@jit()
def _product(x: Floats, y: Floats, buffer: Floats) -> Any:
    for c in range(buffer.size):
        buffer[c] = np.float64(x[c]) * np.float64(y[c])
    return _sum(buffer)


@jit()
def _squared_distance(x: Floats, y: Floats, buffer: Floats) -> Any:
    for c in range(buffer.size):
        difference = np.float64(x[c]) - np.float64(y[c])
        buffer[c] = difference * difference
    return _sum(buffer)


@jit(parallel=True)
def squared_lengths(X: Floats) -> Any:
    """Return the float64 squared length of every row."""
    result = np.empty(X.shape[0])
    for i in prange(X.shape[0]):
        result[i] = _product(X[i], X[i], np.empty(X.shape[1]))
    return result


@jit()
def _insert(distances: Floats, indices: Floats, distance: float, index: int) -> None:
    """Insert into lists ascending by (distance, index)."""
    p = distances.size - 1
    if distance > distances[p] or (distance == distances[p] and index > indices[p]):
        return
    while p > 0 and (
        distances[p - 1] > distance or (distances[p - 1] == distance and indices[p - 1] > index)
    ):
        distances[p] = distances[p - 1]
        indices[p] = indices[p - 1]
        p -= 1
    distances[p] = distance
    indices[p] = index


@jit(parallel=True)
def measure_candidates(
    Q: Floats,
    X: Floats,
    xx: Floats,
    order: Floats,
    heaps: Floats,
    euclidean: bool,  # noqa: FBT001
    indices: Floats,
    distances: Floats,
) -> None:
    """Fill the k nearest of every row's candidates, ascending by (distance, index)."""
    for i in prange(Q.shape[0]):
        q, buffer = Q[i].astype(np.float64), np.empty(Q.shape[1])
        qq = _product(q, q, buffer)
        for entry in heaps[i]:
            if entry == NOTHING:
                continue
            index = order[LAST - (entry & LAST)]
            if euclidean:
                distance = np.sqrt(_squared_distance(q, X[index], buffer))
            elif qq == 0.0 or xx[index] == 0.0:
                distance = 0.0 if qq == xx[index] else 1.0
            else:
                # √(xx·yy) is exactly xx for a duplicate, so that its distance is exactly 0.
                cosine = _product(q, X[index], buffer) / np.sqrt(qq * xx[index])
                distance = max(0.0, 1.0 - cosine)
            _insert(distances[i], indices[i], distance, index)
