"""Pictures of topics, drawn by BERTopic's own plotting functions."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dtopics.data import OUTLIER
from dtopics.errors import InputError, MissingPackageError
from dtopics.report import tables
from dtopics.topics import Topics

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Drawable:
    """What BERTopic's plotting functions read of a model.

    Attributes
    ----------
    topics : Topics
    c_tf_idf_ : csr_matrix or None
    topics_ : sequence of int
        Of the documents that are drawn.
    """

    topics: Topics
    c_tf_idf_: Any = None
    topics_: Any = ()

    @property
    def topic_aspects_(self) -> dict[str, Any]:
        """Further words of each topic, by aspect."""
        return {name: dict(words) for name, words in self.topics.aspects.items()}

    @property
    def topic_embeddings_(self) -> Any:
        """Mean embedding of each topic."""
        return np.asarray(self.topics.centroids)

    @property
    def topic_sizes_(self) -> dict[int, int]:
        """Documents of each topic."""
        return dict(self.topics.sizes)

    @property
    def topic_labels_(self) -> dict[int, str]:
        """Name of each topic."""
        return dict(self.topics.names)

    @property
    def custom_labels_(self) -> list[str] | None:
        """Labels that a user gave, in the order of the topics."""
        topics = self.topics
        found = [topics.labels.get(topic, topics.names[topic]) for topic in topics.ids]
        return found if topics.labels else None

    @property
    def _outliers(self) -> int:
        return int(OUTLIER in self.topics.ids)

    def get_topic(self, topic: int) -> Any:
        """Return a topic's words and weights; False where there is none."""
        return list(self.topics.words.get(int(topic), ())) or False

    def get_topics(self) -> dict[int, Any]:
        """Return every topic's words and weights."""
        return {topic: list(words) for topic, words in self.topics.words.items()}

    def get_topic_freq(self, topic: int | None = None) -> pd.DataFrame | int:
        """Return Topic and Count as a table."""
        return tables.topic_freq(self.topics, topic)

    def get_topic_info(self) -> pd.DataFrame:
        """Return a row per topic."""
        return tables.topic_info(self.topics)


def draw(name: str, drawable: Drawable, *given: Any, **options: Any) -> Any:
    """Return the figure that one of BERTopic's plotting functions makes.

    Parameters
    ----------
    name : str
        Such as ``"visualize_barchart"``.
    drawable : Drawable
    *given, **options
        Its arguments.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    MissingPackageError
        Where bertopic or plotly are not installed.
    InputError
        Where there are too few topics for it.
    """
    try:
        from bertopic import plotting
    except ImportError as error:
        message = f"{name} draws with bertopic and plotly: pip install 'dtopics[bertopic]'"
        raise MissingPackageError(message) from error
    least = 4 if name == "visualize_topics" else 1
    if drawable.topics.n_topics < least:
        message = f"{name} needs {least} topics, there are {drawable.topics.n_topics}"
        raise InputError(message)
    with warnings.catch_warnings():  # they are about its own use of pandas and UMAP
        warnings.simplefilter("ignore")
        return getattr(plotting, name)(drawable, *given, **options)
