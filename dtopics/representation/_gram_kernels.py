"""N-grams as numbers: counted, hashed and looked up without making a string of any.

The hash of a string is a polynomial of its bytes modulo 2**64, so that an n-gram's follows from
its tokens' however it is divided into them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtopics._jit import jit

BASE = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xBF58476D1CE4E5B9)
_MIX_AGAIN = np.uint64(0x94D049BB133111EB)
_ONE = np.uint64(1)
_SPACE = 32


@jit()
def hash_strings(
    data: NDArray[np.uint8], bounds: NDArray[np.int64]
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return each string's hash, and the power of the base by which it shifts what is before it."""
    hashes = np.zeros(len(bounds) - 1, np.uint64)
    powers = np.ones(len(bounds) - 1, np.uint64)
    for i in range(len(hashes)):
        hashed, power = np.uint64(0), _ONE
        for k in range(bounds[i], bounds[i + 1]):
            hashed = hashed * BASE + np.uint64(data[k]) + _ONE
            power *= BASE
        hashes[i], powers[i] = hashed, power
    return hashes, powers


@jit()
def lengthen(
    codes: NDArray[np.int32],
    ids: NDArray[np.int32],
    offsets: NDArray[np.int64],
    length: int,
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Give numbers to the n-grams of one length, by the shorter ones that they begin with.

    Parameters
    ----------
    codes : ndarray of int32, shape (n_tokens,)
        The number of the n-gram of ``length - 1`` tokens that begins at each, −1 for none.
    ids : ndarray of int32, shape (n_tokens,)
    offsets : ndarray of int64, shape (n_documents + 1,)
        No n-gram goes past the end of its document.
    length : int

    Returns
    -------
    longer : ndarray of int32, shape (n_tokens,)
    first : ndarray of int64, shape (n_distinct,)
        Where each n-gram is first.
    """
    longer = np.full(len(ids), -1, np.int32)
    first = np.empty(1 << 11, np.int64)
    keys = np.empty(1 << 12, np.int64)
    slots = np.full(1 << 12, -1, np.int32)
    n = 0
    for document in range(len(offsets) - 1):
        for place in range(offsets[document], offsets[document + 1] - length + 1):
            key = np.int64(codes[place]) << 32 | np.int64(ids[place + length - 1])
            slot = _place_of(key, keys, slots)
            if slots[slot] < 0:
                slots[slot], keys[slot] = n, key
                first[n] = place
                n += 1
                if n == len(first):
                    first = np.concatenate((first, np.empty(n, np.int64)))
                    keys, slots = _larger(keys, slots)
                    slot = _place_of(key, keys, slots)
            longer[place] = slots[slot]
    return longer, first[:n].copy()


@jit(inline="always")
def _mixed(hashed: Any) -> Any:
    hashed = (hashed ^ (hashed >> np.uint64(30))) * _MIX
    hashed = (hashed ^ (hashed >> np.uint64(27))) * _MIX_AGAIN
    return hashed ^ (hashed >> np.uint64(31))


@jit()
def _place_of(key: Any, keys: NDArray[np.int64], slots: NDArray[np.int32]) -> Any:
    mask = len(keys) - 1
    slot = np.int64(_mixed(np.uint64(key)) & np.uint64(mask))
    while slots[slot] >= 0 and keys[slot] != key:
        slot = (slot + 1) & mask
    return slot


@jit()
def _larger(
    keys: NDArray[np.int64], slots: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    more_keys = np.empty(2 * len(keys), np.int64)
    more_slots = np.full(2 * len(keys), -1, np.int32)
    for slot in range(len(keys)):
        if slots[slot] >= 0:
            place = _place_of(keys[slot], more_keys, more_slots)
            more_keys[place], more_slots[place] = keys[slot], slots[slot]
    return more_keys, more_slots


@jit()
def write_grams(
    first: NDArray[np.int64],
    lengths: NDArray[np.int8],
    ids: NDArray[np.int32],
    data: NDArray[np.uint8],
    bounds: NDArray[np.int64],
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Write n-grams, their tokens joined by a space; return the bytes and their bounds.

    Parameters
    ----------
    first : ndarray of int64, shape (n,)
        Where in `ids` each n-gram is.
    lengths : ndarray of int8, shape (n,)
        Tokens of each.
    ids : ndarray of int32
    data, bounds
        The tokens' UTF-8, and where each begins.
    """
    ends = np.zeros(len(first) + 1, np.int64)
    for i in range(len(first)):
        size = np.int64(lengths[i]) - 1
        for k in range(lengths[i]):
            token = ids[first[i] + k]
            size += bounds[token + 1] - bounds[token]
        ends[i + 1] = ends[i] + size
    out = np.empty(ends[-1], np.uint8)
    for i in range(len(first)):
        place = ends[i]
        for k in range(lengths[i]):
            if k > 0:
                out[place] = _SPACE
                place += 1
            token = ids[first[i] + k]
            for at in range(bounds[token], bounds[token + 1]):
                out[place] = data[at]
                place += 1
    return out, ends


@jit()
def make_index(hashes: NDArray[np.uint64]) -> NDArray[np.int32]:
    """Return a table of slots in which `find_grams` looks strings up by their hashes."""
    size = 16
    while size < 2 * len(hashes):
        size *= 2
    slots = np.full(size, -1, np.int32)
    for i in range(len(hashes)):
        slot = np.int64(_mixed(hashes[i]) & np.uint64(size - 1))
        while slots[slot] >= 0:
            slot = (slot + 1) & (size - 1)
        slots[slot] = i
    return slots


@jit()
def find_grams(
    first: NDArray[np.int64],
    lengths: NDArray[np.int8],
    hashes: NDArray[np.uint64],
    ids: NDArray[np.int32],
    data: NDArray[np.uint8],
    bounds: NDArray[np.int64],
    slots: NDArray[np.int32],
    known_hashes: NDArray[np.uint64],
    known_data: NDArray[np.uint8],
    known_bounds: NDArray[np.int64],
) -> NDArray[np.int32]:
    """Return which known string each n-gram is, −1 for none; the bytes are compared.

    The first six parameters are n-grams as in `write_grams`, with their hashes; the others are
    the known strings, with what `make_index` returned.
    """
    found = np.full(len(first), -1, np.int32)
    mask = len(slots) - 1
    for i in range(len(first)):
        slot = np.int64(_mixed(hashes[i]) & np.uint64(mask))
        while slots[slot] >= 0:
            known = slots[slot]
            if known_hashes[known] == hashes[i] and _is(
                first[i], lengths[i], ids, data, bounds,
                known_data, known_bounds[known], known_bounds[known + 1],
            ):  # fmt: skip
                found[i] = known
                break
            slot = (slot + 1) & mask
    return found


@jit()
def _is(
    first: int,
    length: int,
    ids: NDArray[np.int32],
    data: NDArray[np.uint8],
    bounds: NDArray[np.int64],
    known: NDArray[np.uint8],
    place: int,
    stop: int,
) -> bool:
    """Whether an n-gram's bytes are ``known[place:stop]``."""
    for k in range(length):
        if k > 0:
            if place == stop or known[place] != _SPACE:
                return False
            place += 1
        token = ids[first + k]
        if stop - place < bounds[token + 1] - bounds[token]:
            return False
        for at in range(bounds[token], bounds[token + 1]):
            if known[place] != data[at]:
                return False
            place += 1
    return place == stop


@jit()
def add_to_sketch(
    sketch: NDArray[Any], hashes: NDArray[np.uint64], numbers: NDArray[np.int64], most: int
) -> None:
    """Add numbers to the two counters of each hash, which stop at `most`."""
    for i in range(len(hashes)):
        low, high = _counters(hashes[i], len(sketch))
        sketch[low] = min(most, np.int64(sketch[low]) + numbers[i])
        if high != low:
            sketch[high] = min(most, np.int64(sketch[high]) + numbers[i])


@jit()
def merge_sketches(sketch: NDArray[Any], other: NDArray[Any], most: int) -> None:
    """Add another sketch's counters, up to `most`."""
    for i in range(len(sketch)):
        sketch[i] = min(most, np.int64(sketch[i]) + np.int64(other[i]))


@jit()
def look_in_sketch(sketch: NDArray[Any], hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return the lesser of the two counters of each hash: at least what was added to it."""
    found = np.empty(len(hashes), np.int64)
    for i in range(len(hashes)):
        low, high = _counters(hashes[i], len(sketch))
        found[i] = min(np.int64(sketch[low]), np.int64(sketch[high]))
    return found


@jit()
def share_of(hashes: NDArray[np.uint64], n_shares: int) -> NDArray[np.int64]:
    """Return which of so many shares of all strings each string is in."""
    shares = np.empty(len(hashes), np.int64)
    for i in range(len(hashes)):
        shares[i] = np.int64((_mixed(hashes[i]) >> np.uint64(40)) % np.uint64(n_shares))
    return shares


@jit(inline="always")
def _counters(hashed: Any, size: int) -> tuple[Any, Any]:
    mixed = _mixed(hashed)
    mask = np.uint64(size - 1)
    return np.int64(mixed & mask), np.int64((mixed >> np.uint64(32)) & mask)
