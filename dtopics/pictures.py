"""The pictures that a `TopicModel` draws: BERTopic's, by the same names and arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dtopics.report import results
from dtopics.report.figures import Drawable, draw

if TYPE_CHECKING:
    import pandas as pd

    from dtopics.store import Run
    from dtopics.topics import Topics


class Pictures:
    """The ``visualize_*`` methods; each takes the arguments of BERTopic's and returns its figure.

    They need ``dtopics[bertopic]``.
    """

    if TYPE_CHECKING:

        @property
        def _topics(self) -> Topics: ...

        @property
        def _run_with_rows(self) -> Run: ...

    def visualize_topics(self, topics: list[int] | None = None, **options: Any) -> Any:
        """Draw topics as circles, near to each other where they are alike."""
        return draw("visualize_topics", self._drawable(), topics, **options)

    def visualize_barchart(self, topics: list[int] | None = None, **options: Any) -> Any:
        """Draw the words of topics and their weights."""
        return draw("visualize_barchart", self._drawable(), topics, **options)

    def visualize_heatmap(self, topics: list[int] | None = None, **options: Any) -> Any:
        """Draw how alike each pair of topics is."""
        return draw("visualize_heatmap", self._drawable(), topics, **options)

    def visualize_hierarchy(self, orientation: str = "left", **options: Any) -> Any:
        """Draw how topics merge; `hierarchical_topics` gives the merges their words."""
        return draw("visualize_hierarchy", self._drawable(), orientation, **options)

    def visualize_term_rank(self, topics: list[int] | None = None, **options: Any) -> Any:
        """Draw how the weights of a topic's words fall."""
        return draw("visualize_term_rank", self._drawable(), topics, **options)

    def visualize_topics_over_time(self, topics_over_time: pd.DataFrame, **options: Any) -> Any:
        """Draw what `topics_over_time` returned."""
        return draw("visualize_topics_over_time", self._drawable(), topics_over_time, **options)

    def visualize_topics_per_class(self, topics_per_class: pd.DataFrame, **options: Any) -> Any:
        """Draw what `topics_per_class` returned."""
        return draw("visualize_topics_per_class", self._drawable(), topics_per_class, **options)

    def visualize_distribution(self, probabilities: Any, **options: Any) -> Any:
        """Draw one document's memberships in the topics."""
        return draw("visualize_distribution", self._drawable(), probabilities, **options)

    def _drawable(self) -> Drawable:
        return Drawable(self._topics, results.c_tf_idf(self._run_with_rows))
