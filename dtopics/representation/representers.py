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
from dtopics.embedding.checks import unit
from dtopics.errors import MissingPackageError, SettingError

#: Words that a chain of representations begins with, as in BERTopic.
CHAIN_WORDS = 30
#: Of spaCy's Matcher; as in BERTopic.
DEFAULT_PATTERNS = ([{"POS": "ADJ"}, {"POS": "NOUN"}], [{"POS": "NOUN"}], [{"POS": "ADJ"}])


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
        vectors = unit(about.embed(known)) if known else np.zeros((0, 1))
        found: dict[int, WeightedWords] = {}
        for topic, words in candidates.items():
            own = [word for word, _ in words if word]
            examples = np.asarray(about.vectors[topic][: self.nr_repr_docs])
            if not own or not len(examples):
                found[topic] = about.words[topic]
                continue
            cosines = vectors[[place[word] for word in own]] @ unit(examples.mean(axis=0)[None])[0]
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
        singles = unit(about.embed(known))
        wholes = unit(about.embed([" ".join(listed) for listed in words.values()]))
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


class PartOfSpeech(BaseEstimator):  # type: ignore[misc]
    """The words so far, and other terms of the topic, that are of certain parts of speech.

    A spaCy model tags the representative documents; of what matches a pattern there, those that
    are terms of the topic stand for it, heaviest by c-TF-IDF. BERTopic's class of this name looks
    at two documents of all for each word.

    Parameters
    ----------
    model : str or spacy.language.Language, default="en_core_web_sm"
    top_n_words : int, default=10
    pos_patterns : list of list of dict, optional
        Of spaCy's ``Matcher``. None: an adjective and a noun, a noun, an adjective.
    nr_repr_docs : int, default=10
        Representative documents that are tagged.
    nr_candidate_words : int, default=200
        Terms of the topic that are looked at.
    """

    def __init__(
        self,
        model: Any = "en_core_web_sm",
        top_n_words: int = 10,
        pos_patterns: Sequence[Any] | None = None,
        nr_repr_docs: int = 10,
        nr_candidate_words: int = 200,
    ) -> None:
        self.model = model
        self.top_n_words = top_n_words
        self.pos_patterns = pos_patterns
        self.nr_repr_docs = nr_repr_docs
        self.nr_candidate_words = nr_candidate_words

    def extract_words(self, about: Described) -> dict[int, WeightedWords]:
        """Return the chosen words of each topic with their weights.

        Raises
        ------
        MissingPackageError
            spaCy or its model are not installed.
        """
        tag = self._loaded()
        from spacy.matcher import Matcher

        matcher = Matcher(tag.vocab)
        patterns = DEFAULT_PATTERNS if self.pos_patterns is None else self.pos_patterns
        matcher.add("words", list(patterns))
        found: dict[int, WeightedWords] = {}
        for topic, terms in about.candidates(self.nr_candidate_words).items():
            matched = {
                doc[start:end].text.lower()
                for doc in tag.pipe(list(about.texts[topic][: self.nr_repr_docs]))
                for _, start, end in matcher(doc)
            }
            chosen = [pair for pair in terms if pair[0].lower() in matched]
            # a topic whose examples have none keeps the words that it had
            found[topic] = chosen[: self.top_n_words] or list(about.words[topic])
        return found

    def _loaded(self) -> Any:
        try:
            import spacy
        except ImportError as error:
            message = "PartOfSpeech tags words by spaCy: pip install 'dtopics[spacy]'"
            raise MissingPackageError(message) from error
        if not isinstance(self.model, str):
            return self.model
        try:
            return spacy.load(self.model)
        except OSError as error:
            message = (
                f"there is no spaCy model {self.model}: python -m spacy download {self.model}, or "
                "give a pipeline that is loaded"
            )
            raise MissingPackageError(message) from error
