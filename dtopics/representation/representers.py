"""Words for topics by a language model: of what c-TF-IDF found, those that say it best.

References
----------
.. [1] J. Carbonell and J. Goldstein, "The use of MMR, diversity-based reranking for reordering
   documents and producing summaries", SIGIR 1998, https://doi.org/10.1145/290941.291025
.. [2] M. Grootendorst, "KeyBERT: Minimal keyword extraction with BERT", 2020,
   https://doi.org/10.5281/zenodo.4461265
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from dtopics.data import WeightedWords
from dtopics.errors import SettingError

#: Words that a chain of representations begins with, as in BERTopic.
CHAIN_WORDS = 30


@dataclass(frozen=True)
class Described:
    """What words are chosen by; never a document-term matrix, nor all documents.

    Attributes
    ----------
    words : mapping of int to list of (str, float)
        The words of each topic so far, heaviest first.
    candidates : callable (n) -> mapping of int to list of (str, float)
        The `n` heaviest terms of each topic by c-TF-IDF.
    texts : mapping of int to list of str
        Representative documents, most alike first.
    vectors : mapping of int to ndarray of float64, shape (n_texts, n_features)
        Their embeddings.
    embed : callable (list of str) -> ndarray of shape (n, n_features)
        Embeds words as documents were.
    top_n_words : int
    """

    words: Mapping[int, WeightedWords]
    candidates: Callable[[int], Mapping[int, WeightedWords]] = field(repr=False)
    texts: Mapping[int, Sequence[str]] = field(repr=False)
    vectors: Mapping[int, NDArray[np.float64]] = field(repr=False)
    embed: Callable[[list[str]], NDArray[np.floating[Any]]] = field(repr=False)
    top_n_words: int = 10


class KeyBERTInspired(BaseEstimator):  # type: ignore[misc]
    """The words whose embeddings are nearest to the topic's representative documents.

    BERTopic's class of this name means to do the same and, since 0.17.1, takes the embeddings of
    other documents than the representative ones.

    Parameters
    ----------
    top_n_words : int, default=10
    nr_repr_docs : int, default=5
        Representative documents whose mean embedding stands for the topic.
    nr_candidate_words : int, default=100
        Terms of the topic that are looked at, the heaviest by c-TF-IDF.
    """

    def __init__(
        self, top_n_words: int = 10, nr_repr_docs: int = 5, nr_candidate_words: int = 100
    ) -> None:
        self.top_n_words = top_n_words
        self.nr_repr_docs = nr_repr_docs
        self.nr_candidate_words = nr_candidate_words

    def extract_words(self, about: Described) -> dict[int, WeightedWords]:
        """Return the chosen words of each topic with their cosines."""
        candidates = about.candidates(self.nr_candidate_words)
        known = sorted({word for words in candidates.values() for word, _ in words if word})
        place = {word: i for i, word in enumerate(known)}
        vectors = _unit(about.embed(known)) if known else np.zeros((0, 1))
        found: dict[int, WeightedWords] = {}
        for topic, words in candidates.items():
            own = [word for word, _ in words if word]
            examples = np.asarray(about.vectors[topic][: self.nr_repr_docs])
            if not own or not len(examples):
                found[topic] = about.words[topic]
                continue
            cosines = vectors[[place[word] for word in own]] @ _unit(examples.mean(axis=0)[None])[0]
            ranked = sorted(zip(own, cosines.tolist(), strict=True), key=lambda w: (-w[1], w[0]))
            found[topic] = ranked[: self.top_n_words]
        return found


class MaximalMarginalRelevance(BaseEstimator):  # type: ignore[misc]
    """Of the words so far, those that are near to all of them and far from each other.

    Parameters
    ----------
    diversity : float, default=0.1
        From 0, near to all of them, to 1, far from each other.
    top_n_words : int, default=10
    """

    def __init__(self, diversity: float = 0.1, top_n_words: int = 10) -> None:
        self.diversity = diversity
        self.top_n_words = top_n_words

    def extract_words(self, about: Described) -> dict[int, WeightedWords]:
        """Return the chosen words of each topic with the weights they had, heaviest first."""
        if not 0 <= self.diversity <= 1:
            message = f"diversity must be from 0 to 1, not {self.diversity!r}"
            raise SettingError(message)
        words = {topic: [word for word, _ in listed] for topic, listed in about.words.items()}
        known = sorted({word for listed in words.values() for word in listed})
        place = {word: i for i, word in enumerate(known)}
        singles = _unit(about.embed(known))
        wholes = _unit(about.embed([" ".join(listed) for listed in words.values()]))
        found: dict[int, WeightedWords] = {}
        for (topic, listed), whole in zip(words.items(), wholes, strict=True):
            vectors = singles[[place[word] for word in listed]]
            kept = {listed[i] for i in self._chosen(vectors, whole)}
            found[topic] = [pair for pair in about.words[topic] if pair[0] in kept]
        return found

    def _chosen(self, vectors: NDArray[np.float64], whole: NDArray[np.float64]) -> list[int]:
        to_whole, to_others = vectors @ whole, vectors @ vectors.T
        chosen = [int(to_whole.argmax())]
        while len(chosen) < min(self.top_n_words, len(vectors)):
            nearest = to_others[:, chosen].max(axis=1)
            score = (1 - self.diversity) * to_whole - self.diversity * nearest
            score[chosen] = -np.inf
            chosen.append(int(score.argmax()))
        return chosen


def _unit(vectors: Any) -> NDArray[np.float64]:
    wide = np.asarray(vectors, np.float64)
    norms = np.linalg.norm(wide, axis=1, keepdims=True)
    scaled: NDArray[np.float64] = np.divide(wide, norms, out=np.zeros_like(wide), where=norms > 0)
    return scaled
