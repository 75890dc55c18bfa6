"""Tokens as runs of characters of one class, cut and numbered from UTF-8 bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtopics._jit import jit
from dtopics.representation.runs import OUTSIDE, SPOILER

_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_ZERO = np.uint64(0)
_BYTE, _HALF, _LOW = np.uint64(8), np.uint64(32), np.uint64(0xFFFFFFFF)
#: Tokens of fewer bytes are their own key: no text is looked at to tell them apart.
_INLINE = 8


@jit()
def cut_runs(
    data: NDArray[np.uint8],
    bounds: NDArray[np.int64],
    classes: NDArray[np.uint8],
    shortest: int,
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """Find and number the runs of at least `shortest` characters in order of first appearance.

    Parameters
    ----------
    data : ndarray of uint8
        The documents' UTF-8, one after the other.
    bounds : ndarray of int64, shape (n_documents + 1,)
        Document i is ``data[bounds[i]:bounds[i + 1]]``.
    classes : ndarray of uint8, shape (0x110000,)
        Of each code point.
    shortest : int

    Returns
    -------
    ids : ndarray of int32, shape (n_tokens,)
    offsets : ndarray of int32, shape (n_documents + 1,)
    starts, stops : ndarray of int64, shape (n_distinct,)
        Where each token first appears in `data`.
    """
    n_documents = len(bounds) - 1
    ids = np.empty((bounds[-1] - bounds[0] + n_documents) // (shortest + 1) + 1, np.int32)
    offsets = np.zeros(n_documents + 1, np.int32)
    table = np.zeros((1 << 12, 2), np.uint64)
    starts, stops = np.empty(1 << 11, np.int64), np.empty(1 << 11, np.int64)
    n_ids, n_tokens = 0, 0
    for document in range(n_documents):
        place, stop = bounds[document], bounds[document + 1]
        while place < stop:
            first, after, length, spoiled = place, place, 0, False
            packed, hashed = _ZERO, _ZERO
            while place < stop:
                if data[place] < 0x80:
                    kind, after = classes[data[place]], place + 1
                else:
                    code, after = _character(data, place)
                    kind = classes[code]
                if kind == OUTSIDE:
                    break
                spoiled |= kind == SPOILER
                length += 1
                while place < after:
                    packed = packed << _BYTE | np.uint64(data[place])
                    place += 1
                    if (place - first) % _INLINE == 0:
                        hashed, packed = _mixed(hashed ^ packed), _ZERO
            if length >= shortest and not spoiled:
                size = place - first
                key = packed if size < _INLINE else _mixed(hashed ^ packed)
                slot = _slot(table, key, size, data, first, starts)
                if table[slot, 1] == _ZERO:
                    starts[n_tokens], stops[n_tokens] = first, place
                    n_tokens += 1
                    table[slot, 0] = key
                    table[slot, 1] = np.uint64(size) << _HALF | np.uint64(n_tokens)
                ids[n_ids] = np.int64(table[slot, 1] & _LOW) - 1
                n_ids += 1
                if n_tokens == len(starts):
                    starts, stops, table = _doubled(starts), _doubled(stops), _spread(table)
            if place < stop:
                place = after
        offsets[document + 1] = n_ids
    return ids[:n_ids].copy(), offsets, starts[:n_tokens].copy(), stops[:n_tokens].copy()


@jit(inline="always")
def _character(data: NDArray[np.uint8], place: int) -> tuple[Any, int]:
    """Return the code point of valid UTF-8 at a place, and the place after it."""
    lead = np.int64(data[place])
    if lead < 0x80:
        return lead, place + 1
    low = np.int64(data[place + 1]) & 0x3F
    if lead < 0xE0:
        return (lead & 0x1F) << 6 | low, place + 2
    lower = np.int64(data[place + 2]) & 0x3F
    if lead < 0xF0:
        return (lead & 0x0F) << 12 | low << 6 | lower, place + 3
    lowest = np.int64(data[place + 3]) & 0x3F
    return (lead & 0x07) << 18 | low << 12 | lower << 6 | lowest, place + 4


@jit(inline="always")
def _mixed(value: Any) -> Any:
    value *= _FACTOR
    return value ^ (value >> _HALF)


@jit()
def _slot(
    table: NDArray[np.uint64],
    key: Any,
    size: int,
    data: NDArray[np.uint8],
    first: int,
    starts: NDArray[np.int64],
) -> Any:
    """Return the slot of a token, or the empty one where it belongs.

    A slot holds the key; and the size in bytes above the token's number, counted from 1.
    """
    mask = len(table) - 1
    slot = np.int64(_mixed(key ^ np.uint64(size)) & np.uint64(mask))
    while table[slot, 1] != _ZERO:
        if table[slot, 0] == key and np.int64(table[slot, 1] >> _HALF) == size:
            if size < _INLINE:
                return slot
            start, same = starts[np.int64(table[slot, 1] & _LOW) - 1], 0
            while same < size and data[start + same] == data[first + same]:
                same += 1
            if same == size:
                return slot
        slot = (slot + 1) & mask
    return slot


@jit()
def _spread(table: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return a table of twice as many slots."""
    larger = np.zeros((2 * len(table), 2), np.uint64)
    mask = len(larger) - 1
    for held in range(len(table)):
        if table[held, 1] != _ZERO:
            mixed = _mixed(table[held, 0] ^ (table[held, 1] >> _HALF))
            slot = np.int64(mixed & np.uint64(mask))
            while larger[slot, 1] != _ZERO:
                slot = (slot + 1) & mask
            larger[slot] = table[held]
    return larger


@jit()
def _doubled(values: Any) -> Any:
    larger = np.empty(2 * len(values), values.dtype)
    larger[: len(values)] = values
    return larger


@jit()
def gather(
    data: NDArray[np.uint8], starts: NDArray[np.int64], stops: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return pieces of `data`, one after the other, and their bounds."""
    bounds = np.zeros(len(starts) + 1, np.int64)
    for i in range(len(starts)):
        bounds[i + 1] = bounds[i] + stops[i] - starts[i]
    out = np.empty(bounds[-1], np.uint8)
    for i in range(len(starts)):
        for k in range(stops[i] - starts[i]):
            out[bounds[i] + k] = data[starts[i] + k]
    return out, bounds
