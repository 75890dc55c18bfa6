"""The words that stand for a topic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dtopics.data import WeightedWords
from dtopics.errors import SettingError

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

#: What stands where a topic has no further word, as in BERTopic.
NO_WORD = ("", 1e-05)


def top_words(
    ctfidf: csr_matrix, terms: Sequence[str], top_n_words: int
) -> list[list[tuple[str, float]]]:
    """Return the heaviest terms of each topic.

    Parameters
    ----------
    ctfidf : csr_matrix of float64, shape (n_topics, n_terms)
    terms : sequence of str, length n_terms
        Anything that gives a term's string for its id.
    top_n_words : int

    Returns
    -------
    list of lists of (str, float)
        One list of length `top_n_words` per topic, heaviest first, equal weights
        alphabetically. Weights of zero and below do not count; ``("", 1e-05)`` fills up.

    Raises
    ------
    SettingError
        If `top_n_words` is not at least 1.
    """
    if top_n_words < 1:
        raise SettingError(f"top_n_words={top_n_words!r}; expected at least 1")
    rows = zip(ctfidf.indptr[:-1], ctfidf.indptr[1:], strict=True)
    return [
        heaviest(ctfidf.indices[start:stop], ctfidf.data[start:stop], terms, top_n_words)
        for start, stop in rows
    ]


def topic_name(topic: int, words: WeightedWords) -> str:
    """Return ``id_word_word_word_word``.

    Examples
    --------
    >>> topic_name(0, [("moon", 0.4), ("orbit", 0.3), ("nasa", 0.2), ("star", 0.1)])
    '0_moon_orbit_nasa_star'
    """
    return "_".join([str(topic), *(word for word, _ in words[:4])])


def heaviest(
    ids: np.ndarray, weights: np.ndarray, terms: Sequence[str], n: int
) -> list[tuple[str, float]]:
    """Return the `n` heaviest terms of one topic, as `top_words` does."""
    above = weights > 0
    ids, weights = ids[above], weights[above]
    if len(weights) > n:
        # All terms that weigh as much as the last one stay until the alphabet decides.
        last = np.partition(weights, len(weights) - n)[len(weights) - n]
        ids, weights = ids[weights >= last], weights[weights >= last]
    words = [(str(terms[i]), float(w)) for i, w in zip(ids.tolist(), weights, strict=True)]
    words.sort(key=lambda word: (-word[1], word[0]))
    return words[:n] + [NO_WORD] * (n - len(words))
