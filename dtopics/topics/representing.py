"""Words of topics by representation models, from what a version of the topics holds."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtopics.data import WeightedWords
from dtopics.errors import EmbeddingError, SettingError
from dtopics.representation.foreign import ForeignRepresenter
from dtopics.representation.representers import (
    CHAIN_WORDS,
    Described,
    KeyBERTInspired,
    MaximalMarginalRelevance,
    PartOfSpeech,
)
from dtopics.representation.words import top_words
from dtopics.store import Location, Stage, fingerprint
from dtopics.store.fingerprint import describe
from dtopics.topics.counted import CountedTopics
from dtopics.topics.topics import Topics

#: Classes of BERTopic's names that look at representative documents, as BERTopic's mean to.
_SAME = {kind.__name__: kind for kind in (KeyBERTInspired, MaximalMarginalRelevance, PartOfSpeech)}
#: The aspect that stands for a topic itself.
MAIN = "Main"


def as_representation(representation_model: Any = None) -> dict[str, list[Any]]:
    """Return the representation models of each aspect, each a chain; empty where there are none.

    Parameters
    ----------
    representation_model : object, list of object, or mapping of str to either, optional
        Of dtopics or BERTopic, whose three of the same names become ours. A list is a chain; a
        mapping has one for each aspect, of which ``"Main"`` stands for the topic itself.

    Raises
    ------
    SettingError
        Where one chooses no words.
    """
    if representation_model is None:
        return {}
    given = representation_model
    aspects = dict(given) if isinstance(given, Mapping) else {MAIN: given}
    found = {}
    for aspect, models in aspects.items():
        chain = list(models) if isinstance(models, list | tuple) else [models]
        for model in chain:
            chooses = hasattr(model, "extract_words") or hasattr(model, "extract_topics")
            if isinstance(model, type) or not chooses:
                message = (
                    f"representation_model has {model!r}; expected KeyBERTInspired(), "
                    "MaximalMarginalRelevance(), or a representation model of BERTopic"
                )
                raise SettingError(message)
        found[str(aspect)] = [_ours(model) for model in chain]
    return found


def _ours(model: Any) -> Any:
    """Return ours for a class of BERTopic's that means the same; any other as it is."""
    kind = type(model)
    if kind.__module__.partition(".")[0] != "bertopic" or kind.__name__ not in _SAME:
        return model
    ours = _SAME[kind.__name__]
    names = ours._get_param_names()  # noqa: SLF001 (scikit-learn's way to ask a class)
    return ours(**{name: getattr(model, name) for name in names if hasattr(model, name)})


def all_ours(models: Mapping[str, Sequence[Any]]) -> bool:
    """Return whether no model is BERTopic's."""
    return all(hasattr(model, "extract_words") for chain in models.values() for model in chain)


def embeds(models: Mapping[str, Sequence[Any]]) -> bool:
    """Return whether words must be embedded for these models."""
    embedding = KeyBERTInspired | MaximalMarginalRelevance
    return any(isinstance(model, embedding) for chain in models.values() for model in chain)


def n_texts(models: Mapping[str, Sequence[Any]]) -> int:
    """Return how many representative documents of a topic the models ask for."""
    names = ("nr_docs", "nr_repr_docs")
    wanted = [getattr(m, n, 0) for chain in models.values() for m in chain for n in names]
    return max([0, *(number for number in wanted if isinstance(number, int))])


def describe_models(models: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Return models by class and parameters; of BERTopic's, by those that are plain values."""
    return {aspect: [_described(model) for model in chain] for aspect, chain in models.items()}


def describe_embedder(models: Mapping[str, Sequence[Any]], embedder: Any) -> Any:
    """Return what words are embedded by; None where no model embeds any."""
    return None if embedder is None or not embeds(models) else dict(embedder.describe())


def _described(model: Any) -> Any:
    if isinstance(model, PartOfSpeech):  # a pipeline by its name and version
        tagger = getattr(model.model, "meta", model.model)
        return {"part of speech": describe(tagger), "params": describe(
            {name: value for name, value in model.get_params().items() if name != "model"}
        )}  # fmt: skip
    if hasattr(model, "extract_words"):
        return describe(model)
    kind, params = type(model), dict(getattr(model, "__dict__", {}))
    plain = {k: v for k, v in params.items() if isinstance(v, str | int | float | bool | None)}
    return {"class": f"{kind.__module__}:{kind.__qualname__}", "params": plain}


@dataclass(frozen=True)
class RepresentTopics:
    """Choose the words of every topic, for each aspect.

    Parameters
    ----------
    version : Stage
        Of the topics.
    topics : Topics
        Their words so far, and their representative documents.
    models : mapping of str to list
        As `as_representation` returns them.
    embedder : object or None
        With ``encode``; None where the embeddings were given and no model.
    kept : Location
        Where answers of services are kept.
    """

    version: Stage
    topics: Topics
    models: Mapping[str, Sequence[Any]]
    embedder: Any
    kept: Location

    def __call__(self, stage: Stage) -> Mapping[str, Any]:  # noqa: ARG002
        """Return ``aspects`` (JSON): a list of topic and words for each aspect."""
        counted = CountedTopics.of(self.version)
        weights = counted.weigh(counted.X)

        def candidates(n: int) -> dict[int, WeightedWords]:
            return dict(zip(counted.ids, top_words(weights, counted.terms, n), strict=True))

        begin = candidates(max(CHAIN_WORDS, counted.naming.top_n_words))
        examples = self.topics.examples
        about = Described(
            begin,
            candidates,
            {topic: [e.text for e in listed] for topic, listed in examples.items()},
            {topic: _vectors(listed) for topic, listed in examples.items()},
            self._embed,
            counted.naming.top_n_words,
        )
        aspects = {}
        for aspect, chain in self.models.items():
            words: Mapping[int, WeightedWords] = begin
            for model in chain:
                words = self._choosing(model)(replace(about, words=words))
            aspects[aspect] = [
                [topic, [list(pair) for pair in words[topic][: about.top_n_words]]]
                for topic in counted.ids
            ]
        return {"aspects": aspects}

    def _choosing(self, model: Any) -> Callable[[Described], Mapping[int, WeightedWords]]:
        if hasattr(model, "extract_words"):
            return model.extract_words  # type: ignore[no-any-return]
        about = _described(model)
        return ForeignRepresenter(model, lambda asked, ask: self._remember(about, asked, ask)
                                  ).extract_words  # fmt: skip

    def _remember(
        self, model: Any, asked: dict[str, Any], ask: Callable[[], WeightedWords]
    ) -> WeightedWords:
        key = fingerprint("answer", {"model": model, **asked})
        file = self.kept / f"{key}.json"
        if not file.exists():
            file.write(json.dumps([list(pair) for pair in ask()]).encode())
        return [(word, weight) for word, weight in json.loads(file.read())]

    def _embed(self, words: list[str]) -> NDArray[np.floating[Any]]:
        if self.embedder is None:
            message = (
                "words must be embedded for this representation, and the documents' embeddings "
                "were given: give the embedding_model that made them"
            )
            raise EmbeddingError(message)
        vectors = np.asarray(self.embedder.encode(words))
        if vectors.shape[1] != self.topics.centroids.shape[1]:
            message = (
                f"the embedding_model gives words {vectors.shape[1]} features, the documents have "
                f"{self.topics.centroids.shape[1]}: give the model that made their embeddings"
            )
            raise EmbeddingError(message)
        return vectors


def with_words(topics: Topics, stage: Stage) -> Topics:
    """Return topics with the words that `RepresentTopics` left."""
    aspects = {
        aspect: {topic: [(word, weight) for word, weight in words] for topic, words in listed}
        for aspect, listed in stage.whole_json("aspects").items()
    }
    main = aspects.pop(MAIN, None)
    return replace(topics, words=topics.words if main is None else main, aspects=aspects)


def _vectors(examples: Sequence[Any]) -> NDArray[np.float64]:
    rows = [np.frombuffer(example.vector, np.float32) for example in examples if example.vector]
    return np.array(rows, np.float64).reshape(len(rows), -1)
