"""Pictures of topics, drawn by BERTopic's own plotting functions."""

from __future__ import annotations

import contextlib
import importlib.util
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dtopics.data import OUTLIER
from dtopics.errors import InputError, MissingPackageError
from dtopics.report import tables
from dtopics.topics import Topics

if TYPE_CHECKING:
    import pandas as pd


#: How many topics a picture needs, where it needs several.
LEAST_TOPICS = {"visualize_topics": 4, "visualize_hierarchical_documents": 3}


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


def token_table(
    topics: Topics, tokens: Sequence[str], distribution: Any, *, normalize: bool
) -> Any:
    """Return a table of how much of each topic is in each token, shaded.

    Raises
    ------
    InputError
        Where there is not a row for each token, or no topic in any.
    """
    import pandas as pd

    values = np.asarray(distribution, np.float64)
    inside = [topic for topic in topics.ids if topic != OUTLIER]
    if not tokens or values.shape != (len(tokens), len(inside)):
        message = (
            f"topic_token_distribution has shape {values.shape}; the document has {len(tokens)} "
            f"tokens, and there are {len(inside)} topics"
        )
        raise InputError(message)
    if normalize and values.sum() > 0:
        values = values / values.sum()
    table = pd.DataFrame(values.T, index=[topics.names[topic] for topic in inside])
    # a column's name must be its own: words that come again get spaces, as in BERTopic
    table.columns = [f"{token}{' ' * i}" for i, token in enumerate(tokens)]
    table = table.loc[table.sum(axis=1) != 0]
    most = max(float(table.to_numpy().max(initial=0)), np.finfo(float).tiny)

    def shade(value: Any) -> str:
        if value == 0:
            return "background-color: white; color: white"
        return f"background-color: rgba(31, 119, 180, {value / most:.2f}); color: black"

    return (
        table.style.format("{:.3f}", escape="html")
        .format_index(escape="html")
        .format_index(escape="html", axis=1)
        .map(shade)
    )


def check_drawable(name: str, topics: Topics) -> None:
    """See that a picture can be drawn, before any work for it.

    Raises
    ------
    MissingPackageError
        Where bertopic or plotly are not installed.
    InputError
        Where there are too few topics for it.
    """
    try:
        import bertopic.plotting  # noqa: F401
    except ImportError as error:
        message = f"{name} draws with bertopic and plotly: pip install 'dtopics[bertopic]'"
        raise MissingPackageError(message) from error
    least = LEAST_TOPICS.get(name, 1)
    if name == "visualize_document_datamap" and not importlib.util.find_spec("datamapplot"):
        message = f"{name} draws with datamapplot: pip install 'dtopics[datamap]'"
        raise MissingPackageError(message)
    if topics.n_topics < least:
        message = f"{name} needs {least} topics, there are {topics.n_topics}"
        raise InputError(message)


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
    check_drawable(name, drawable.topics)
    from bertopic import plotting

    with warnings.catch_warnings():  # they are about its own use of pandas and UMAP
        warnings.simplefilter("ignore")
        with seeded():
            return getattr(plotting, name)(drawable, *given, **options)


@contextlib.contextmanager
def seeded() -> Iterator[None]:
    """Let BERTopic's functions draw the same each time; NumPy's own state is as before after."""
    state = np.random.get_state()  # noqa: NPY002 (they draw from it)
    np.random.seed(0)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002
