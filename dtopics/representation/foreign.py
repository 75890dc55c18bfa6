"""BERTopic's own representation models, handed what they read."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dtopics.data import OUTLIER, WeightedWords
from dtopics.representation.representers import Described

#: Terms of a topic that such a model may look up.
N_CANDIDATES = 300


@dataclass
class Standing:
    """What BERTopic's representation models read of a model, for one topic."""

    about: Described
    verbose: bool = False
    topic_representations_: dict[int, Any] = field(default_factory=dict)

    @property
    def _outliers(self) -> int:
        return int(OUTLIER in self.about.words)

    @property
    def embedding_model(self) -> Any:
        """Something that is not None: `_extract_embeddings` embeds."""
        return self

    @property
    def vectorizer_model(self) -> Any:
        """What documents are cut by, where a model is told to; it knows the topics' terms."""
        from sklearn.feature_extraction.text import CountVectorizer

        vectorizer = CountVectorizer(vocabulary=self._terms or None)
        vectorizer.fixed_vocabulary_ = True
        vectorizer.vocabulary_ = {term: i for i, term in enumerate(self._terms)}
        return vectorizer

    @property
    def c_tf_idf_(self) -> Any:
        """The weights of those terms, a row for each topic."""
        from scipy.sparse import csr_matrix

        column = {term: i for i, term in enumerate(self._terms)}
        weights = np.zeros((len(self._weighed), len(column)))
        for row, topic in enumerate(sorted(self._weighed)):
            for term, weight in self._weighed[topic]:
                if term in column:
                    weights[row, column[term]] = weight
        return csr_matrix(weights)

    @functools.cached_property
    def _weighed(self) -> Any:
        return self.about.candidates(N_CANDIDATES)

    @functools.cached_property
    def _terms(self) -> list[str]:
        return sorted({term for listed in self._weighed.values() for term, _ in listed if term})

    def _extract_embeddings(self, documents: str | Sequence[str], **_: Any) -> Any:
        listed = [documents] if isinstance(documents, str) else list(documents)
        return np.asarray(self.about.embed(listed))

    def _extract_representative_docs(
        self,
        c_tf_idf: Any,  # noqa: ARG002 (BERTopic's signature)
        documents: Any,  # noqa: ARG002
        topics: Any,
        nr_samples: int = 500,  # noqa: ARG002
        nr_repr_docs: int = 5,
        diversity: float | None = None,  # noqa: ARG002
    ) -> tuple[dict[int, list[str]], list[str], list[list[int]], list[int]]:
        mapping = {topic: list(self.about.texts[topic])[:nr_repr_docs] for topic in topics}
        listed = [text for texts in mapping.values() for text in texts]
        bounds = np.cumsum([0, *(len(texts) for texts in mapping.values())])
        indices = [list(range(a, b)) for a, b in itertools.pairwise(bounds)]
        return mapping, listed, indices, list(range(len(listed)))


@dataclass(frozen=True)
class ForeignRepresenter:
    """A representation model of BERTopic: anything with ``extract_topics``.

    Each topic is given to it by itself and its answer is kept, so that a service is asked once
    for a topic, and a service that fails loses nothing that it has answered.

    Attributes
    ----------
    model : object
    remember : callable (topic's key, function) -> words
        Returns what is kept under a key, else keeps what the function returns.
    """

    model: Any
    remember: Callable[[dict[str, Any], Callable[[], WeightedWords]], WeightedWords]

    def extract_words(self, about: Described) -> dict[int, WeightedWords]:
        """Return the model's words, or label, for each topic."""
        found = {}
        for topic, words in about.words.items():
            asked = {"words": [list(pair) for pair in words], "texts": list(about.texts[topic])}
            found[topic] = self.remember(asked, functools.partial(self._ask, about, topic))
        return found

    def _ask(self, about: Described, topic: int) -> WeightedWords:
        import pandas as pd
        from scipy.sparse import csr_matrix

        texts = list(about.texts[topic])
        documents = pd.DataFrame({
            "Document": texts, "ID": range(len(texts)), "Topic": topic, "Image": None
        })  # fmt: skip
        only = {topic: [tuple(pair) for pair in about.words[topic]]}
        answer = self.model.extract_topics(Standing(about), documents, csr_matrix((1, 1)), only)
        return [(str(word), float(weight)) for word, weight in answer[topic]]
