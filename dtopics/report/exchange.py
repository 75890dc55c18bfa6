"""BERTopic's directories, written and read: JSON and safetensors, never a pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dtopics.data import OUTLIER
from dtopics.errors import InputError, RunError
from dtopics.store import Location
from dtopics.topics import Example, Topics
from dtopics.topics.counted import CountedTopics

TOPICS, CONFIG = "topics.json", "config.json"
EMBEDDINGS, WEIGHTS, WEIGHING = (
    "topic_embeddings.safetensors",
    "ctfidf.safetensors",
    "ctfidf_config.json",
)
#: What CountVectorizer's parameters must be for JSON to hold them.
_PLAIN = (str, int, float, bool, type(None), list, tuple)
_LEFT_OUT = ("tokenizer", "preprocessor", "dtype", "vocabulary")


def export(
    folder: Location,
    topics: Topics,
    counted: CountedTopics,
    assigned: Sequence[int],
    params: Mapping[str, Any],
    vectorizer: Any,
) -> None:
    """Write what ``BERTopic.load`` opens.

    Parameters
    ----------
    folder : Location
        New or empty.
    topics : Topics
    counted : CountedTopics
        Of the same version.
    assigned : sequence of int
        The topic of each document, or each topic once.
    params : mapping
        Of `TopicModel`.
    vectorizer : CountVectorizer or None

    Raises
    ------
    InputError
        Where the folder holds something.
    """
    if folder.names():
        message = f"{folder} is not empty; give a new folder"
        raise InputError(message)
    weights = counted.weigh(counted.X)
    (folder / EMBEDDINGS).write(_tensors({"topic_embeddings": np.asarray(topics.centroids, "f4")}))
    (folder / WEIGHTS).write(_tensors({
        "indptr": weights.indptr.astype(np.int32), "indices": weights.indices.astype(np.int32),
        "data": weights.data, "shape": np.array(weights.shape, np.int64), "diag": counted.idf,
    }))  # fmt: skip
    (folder / WEIGHING).write(_json({
        "ctfidf_model": {name: getattr(counted.naming.ctfidf, name)
                         for name in ("bm25_weighting", "reduce_frequent_words")},
        "vectorizer_model": {
            "params": _vectorizer_params(vectorizer, counted.naming.counting),
            "vocab": {term: column for column, term in enumerate(counted.terms)},
        },
    }))  # fmt: skip
    (folder / CONFIG).write(_json(_config(params)))
    (folder / TOPICS).write(_json({
        "topic_representations": _by_topic(topics, topics.words),
        "topics": [int(topic) for topic in assigned],
        "topic_sizes": {str(topic): size for topic, size in topics.sizes.items()},
        "topic_mapper": [[topic, topic] for topic in topics.ids],
        "topic_labels": {str(topic): name for topic, name in topics.names.items()},
        # BERTopic loses the names of zero-shot topics when it loads a model; labels stay
        "custom_labels": [topics.labels.get(t, topics.names[t]) for t in topics.ids]
                         if topics.labels or topics.given else None,
        "_outliers": int(OUTLIER in topics.ids),
        "topic_aspects": {name: _by_topic(topics, words) for name, words in topics.aspects.items()},
    }))  # fmt: skip


def read(folder: Location) -> tuple[Topics, dict[str, Any]]:
    """Return the topics of a directory that BERTopic wrote, and its parameters.

    Raises
    ------
    RunError
        Where a file is missing, or is not what BERTopic writes.
    """
    from safetensors.numpy import load

    about, params = (_read_json(folder, name) for name in (TOPICS, CONFIG))
    try:
        tensors = load((folder / EMBEDDINGS).read())
    except FileNotFoundError as error:
        message = (
            f"{folder} has no {EMBEDDINGS}; save the BERTopic model by "
            "model.save(path, serialization='safetensors')"
        )
        raise RunError(message) from error
    try:
        words = {int(topic): listed for topic, listed in about["topic_representations"].items()}
        sizes = {int(topic): int(size) for topic, size in about["topic_sizes"].items()}
        centroids = np.asarray(tensors["topic_embeddings"], np.float32)
    except (KeyError, ValueError, AttributeError) as error:
        message = f"{folder} is not what BERTopic 0.17 writes: {type(error).__name__}: {error}"
        raise RunError(message) from error
    made = topics_of(words, sizes, centroids, about.get("custom_labels"),
                     about.get("topic_aspects") or {}, {})  # fmt: skip
    return made, params


def of_model(model: Any) -> tuple[Topics, dict[str, Any]]:
    """Return the topics of a BERTopic model that is held, and its parameters."""
    made = topics_of(
        model.topic_representations_, dict(model.topic_sizes_), np.asarray(model.topic_embeddings_),
        model.custom_labels_, model.topic_aspects_ or {}, model.representative_docs_ or {},
    )  # fmt: skip
    names = ("language", "top_n_words", "n_gram_range", "min_topic_size")
    return made, {name: getattr(model, name) for name in names}


def topics_of(
    words: Mapping[int, Any],
    sizes: Mapping[int, int],
    centroids: Any,
    labels: Sequence[str] | None,
    aspects: Mapping[str, Any],
    examples: Mapping[int, Any],
) -> Topics:
    """Return topics as BERTopic holds them.

    Raises
    ------
    RunError
        Where there is not one embedding for each topic.
    """
    ids = tuple(sorted(int(topic) for topic in words))
    if centroids.ndim != 2 or len(centroids) != len(ids):
        message = f"there are {len(ids)} topics and embeddings of shape {centroids.shape}"
        raise RunError(message)
    texts = {int(topic): listed for topic, listed in examples.items()}
    return Topics(
        ids=ids,
        sizes={topic: int(sizes.get(topic, 0)) for topic in ids},
        mapping={topic: topic for topic in ids},
        words={topic: _pairs(words[topic]) for topic in ids},
        centroids=centroids.astype(np.float32),
        examples={
            topic: tuple(Example(None, str(text), 0.0) for text in texts.get(topic, ()) or ())
            for topic in ids
        },
        labels={} if labels is None else dict(zip(ids, map(str, labels), strict=False)),
        aspects={
            name: {topic: _pairs(listed[topic] if topic in listed else listed.get(str(topic), []))
                   for topic in ids}
            for name, listed in aspects.items() if isinstance(listed, Mapping)
        },
    )  # fmt: skip


def _pairs(listed: Any) -> list[tuple[str, float]]:
    """Read words and weights; a label alone, as language models give, weighs one."""
    return [(str(item[0]), float(item[1])) if isinstance(item, list | tuple) else (str(item), 1.0)
            for item in listed]  # fmt: skip


def _by_topic(topics: Topics, words: Mapping[int, Any]) -> dict[str, Any]:
    return {str(topic): [list(pair) for pair in words[topic]] for topic in topics.ids}


def _config(params: Mapping[str, Any]) -> dict[str, Any]:
    nr_topics, model = params["nr_topics"], params["embedding_model"]
    found = {
        "calculate_probabilities": False,
        "language": params["language"],
        "low_memory": False,
        "min_topic_size": params["min_topic_size"],
        "n_gram_range": list(params["n_gram_range"]),
        "nr_topics": nr_topics,
        "seed_topic_list": None,
        "top_n_words": params["top_n_words"],
        "verbose": False,
        "zeroshot_min_similarity": 0.7,
        "zeroshot_topic_list": None,
    }
    return {**found, "embedding_model": model} if isinstance(model, str) else found


def _vectorizer_params(vectorizer: Any, counting: Mapping[str, Any]) -> dict[str, Any]:
    """Return CountVectorizer's parameters; what JSON cannot hold is left at its default."""
    from sklearn.feature_extraction.text import CountVectorizer

    if not isinstance(vectorizer, CountVectorizer):
        vectorizer = CountVectorizer(
            stop_words=counting["stop_words"], ngram_range=tuple(counting["n_gram_range"])
        )
    params = vectorizer.get_params()
    params = {k: v for k, v in params.items() if isinstance(v, _PLAIN) and k not in _LEFT_OUT}
    # the vocabulary is given, so that nothing is pruned again; BERTopic fits it anew in its steps
    return {**params, "min_df": 1, "max_df": 1.0, "max_features": None}


def _tensors(tensors: Mapping[str, Any]) -> bytes:
    from safetensors.numpy import save

    return bytes(save({name: np.ascontiguousarray(array) for name, array in tensors.items()}))


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False).encode()


def _read_json(folder: Location, name: str) -> Any:
    try:
        return json.loads((folder / name).read())
    except FileNotFoundError as error:
        pickled = "; a pickle can execute code and is not opened" if folder.exists() else ""
        message = (
            f"{folder} has no {name}{pickled}: save the BERTopic model by "
            "model.save(path, serialization='safetensors')"
        )
        raise RunError(message) from error
    except (ValueError, NotADirectoryError) as error:
        message = f"{folder}/{name} is not JSON: {error}"
        raise RunError(message) from error
