"""Tokens as runs of characters of one class, cut and numbered from UTF-8 bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtopics._jit import jit
from dtopics.representation.runs import OUTSIDE, SPOILER

_FACTOR = np.uint64(0x100000001B3)
_START = np.uint64(0xCBF29CE484222325)
_SHIFT = np.uint64(29)


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
    slots = np.full(1 << 12, -1, np.int32)
    starts, stops = np.empty(1 << 11, np.int64), np.empty(1 << 11, np.int64)
    hashes = np.empty(1 << 11, np.uint64)
    n_ids, n_tokens = 0, 0
    for document in range(n_documents):
        place, stop = bounds[document], bounds[document + 1]
        while place < stop:
            first, length, spoiled, hashed = place, 0, False, _START
            while place < stop:
                code, after = _character(data, place)
                kind = classes[code]
                if kind == OUTSIDE:
                    break
                spoiled |= kind == SPOILER
                length += 1
                while place < after:
                    hashed = (hashed ^ np.uint64(data[place])) * _FACTOR
                    place += 1
            if length >= shortest and not spoiled:
                hashed ^= hashed >> _SHIFT
                slot = _slot(slots, hashes, starts, stops, data, hashed, first, place)
                if slots[slot] < 0:
                    slots[slot] = n_tokens
                    starts[n_tokens], stops[n_tokens], hashes[n_tokens] = first, place, hashed
                    n_tokens += 1
                ids[n_ids] = slots[slot]
                n_ids += 1
                if n_tokens == len(starts):
                    starts, stops = _doubled(starts), _doubled(stops)
                    hashes = _doubled(hashes)
                    slots = _spread(hashes, n_tokens, 2 * len(slots))
            if place < stop:
                _, place = _character(data, place)
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


@jit()
def _slot(
    slots: NDArray[np.int32],
    hashes: NDArray[np.uint64],
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
    data: NDArray[np.uint8],
    hashed: Any,
    first: int,
    stop: int,
) -> Any:
    """Return the slot of a token's bytes, or the empty one where it belongs."""
    mask = len(slots) - 1
    slot = np.int64(hashed & np.uint64(mask))
    while slots[slot] >= 0:
        token = slots[slot]
        length = stop - first
        if hashes[token] == hashed and stops[token] - starts[token] == length:
            same = 0
            while same < length and data[starts[token] + same] == data[first + same]:
                same += 1
            if same == length:
                return slot
        slot = (slot + 1) & mask
    return slot


@jit()
def _spread(hashes: NDArray[np.uint64], n: int, size: int) -> NDArray[np.int32]:
    """Return a table of slots for the first `n` tokens."""
    slots = np.full(size, -1, np.int32)
    for token in range(n):
        slot = np.int64(hashes[token] & np.uint64(size - 1))
        while slots[slot] >= 0:
            slot = (slot + 1) & (size - 1)
        slots[slot] = token
    return slots


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
