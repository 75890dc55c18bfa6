"""Labels that users give to topics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dtopics.errors import InputError
from dtopics.topics.grouping import check_topics
from dtopics.topics.topics import Topics


def labels_of(topics: Topics, topic_labels: Any) -> dict[int, str]:
    """Return the label of every topic.

    Parameters
    ----------
    topics : Topics
    topic_labels : list of str, or mapping of int to str
        A list has one for each topic in ascending order, outliers included; a mapping changes
        those that it names.

    Raises
    ------
    InputError
        Where there is another number of labels, or no such topic.
    """
    if isinstance(topic_labels, Mapping):
        check_topics(topics.ids, topic_labels, "topic_labels")
        return {t: str(topic_labels.get(t, label_of(topics, t))) for t in topics.ids}
    if isinstance(topic_labels, str) or not isinstance(topic_labels, Sequence):
        message = f"topic_labels is {topic_labels!r}; expected a list or a mapping of labels"
        raise InputError(message)
    if len(topic_labels) != len(topics.ids):
        message = (
            f"there are {len(topic_labels)} labels for {len(topics.ids)} topics "
            f"({topics.ids[0]} to {topics.ids[-1]})"
        )
        raise InputError(message)
    return dict(zip(topics.ids, map(str, topic_labels), strict=True))


def label_of(topics: Topics, topic: int) -> str:
    """Return the label that a user gave to a topic, else its name."""
    return topics.labels.get(topic, topics.names[topic])


def generated_labels(
    topics: Topics,
    nr_words: int = 3,
    *,
    topic_prefix: bool = True,
    word_length: int | None = None,
    separator: str = "_",
    aspect: str | None = None,
) -> list[str]:
    """Return a label for each topic, made of its heaviest words.

    Parameters
    ----------
    topics : Topics
    nr_words : int, default=3
    topic_prefix : bool, default=True
        Begin with the topic's number.
    word_length : int, optional
        Cut each word to so many characters.
    separator : str, default="_"
    aspect : str, optional
        Take the words of this aspect.
    """
    if aspect is not None and aspect not in topics.aspects:
        message = f"there is no aspect {aspect!r}; there are {sorted(topics.aspects)}"
        raise InputError(message)
    chosen = topics.words if aspect is None else topics.aspects[aspect]
    if not isinstance(nr_words, int) or nr_words < 1:
        message = f"nr_words must be a positive integer, not {nr_words!r}"
        raise InputError(message)
    labels = []
    for topic in topics.ids:
        words = [word[:word_length] for word, _ in chosen[topic][:nr_words]]
        labels.append(separator.join([str(topic), *words] if topic_prefix else words))
    return labels
