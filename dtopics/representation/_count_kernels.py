"""Sorted counts put together without sorting them again."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dtopics._jit import jit


@jit()
def merge_sorted(
    groups_1: NDArray[np.int32],
    terms_1: NDArray[np.int32],
    counts_1: NDArray[np.int64],
    groups_2: NDArray[np.int32],
    terms_2: NDArray[np.int32],
    counts_2: NDArray[np.int64],
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]:
    """Sum two lists of counts, each by ascending group and term; memory is that of the sum."""
    groups = np.empty(0, np.int32)
    terms = np.empty(0, np.int32)
    counts = np.empty(0, np.int64)
    for writing in range(2):  # first it is counted how many there will be
        i, j, n = 0, 0, 0
        while i < len(groups_1) or j < len(groups_2):
            if i == len(groups_1):
                order = 1
            elif j == len(groups_2):
                order = -1
            elif groups_1[i] != groups_2[j]:
                order = -1 if groups_1[i] < groups_2[j] else 1
            elif terms_1[i] != terms_2[j]:
                order = -1 if terms_1[i] < terms_2[j] else 1
            else:
                order = 0
            if writing:
                groups[n] = groups_1[i] if order <= 0 else groups_2[j]
                terms[n] = terms_1[i] if order <= 0 else terms_2[j]
                count = 0
                if order <= 0:
                    count += counts_1[i]
                if order >= 0:
                    count += counts_2[j]
                counts[n] = count
            i += order <= 0
            j += order >= 0
            n += 1
        if not writing:
            groups = np.empty(n, np.int32)
            terms = np.empty(n, np.int32)
            counts = np.empty(n, np.int64)
    return groups, terms, counts
