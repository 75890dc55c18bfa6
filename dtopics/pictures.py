"""The pictures that a `TopicModel` draws: BERTopic's, by the same names and arguments."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dtopics.drawing import Drawn, draw_documents, places, shown
from dtopics.errors import InputError
from dtopics.report import results
from dtopics.report.figures import Drawable, check_drawable, draw, token_table

if TYPE_CHECKING:
    import pandas as pd

    from dtopics.planning import Surroundings
    from dtopics.representation.vectorizer import Counting
    from dtopics.store import Run
    from dtopics.topics import Topics

logger = logging.getLogger("dtopics")


class Pictures:
    """The ``visualize_*`` methods; each takes the arguments of BERTopic's and returns its figure.

    They need ``dtopics[bertopic]``.
    """

    if TYPE_CHECKING:

        @property
        def _topics(self) -> Topics: ...

        @property
        def _run_with_rows(self) -> Run: ...

        @property
        def _run_with_counts(self) -> Run: ...

        @property
        def _tokenizing(self) -> Counting: ...

        random_state: int | None

        def _around(self, client: Any) -> Surroundings: ...

        hierarchical_topics: Callable[..., pd.DataFrame]

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

    def visualize_approximate_distribution(
        self,
        document: str,
        topic_token_distribution: Any,
        normalize: bool = False,  # noqa: FBT001, FBT002 (BERTopic's signature)
    ) -> Any:
        """Show how much of each topic is in each token of a document.

        Parameters
        ----------
        document : str
        topic_token_distribution : ndarray, shape (n_tokens, n_topics)
            Of ``approximate_distribution(document, calculate_tokens=True)``.
        normalize : bool, default=False
            Let all add up to one.

        Returns
        -------
        pandas.io.formats.style.Styler
            Rows are the topics that are in the document, columns its tokens.
        """
        tokens = self._tokenizing.tokenize(document)
        return token_table(self._topics, tokens, topic_token_distribution, normalize=normalize)

    def visualize_documents(
        self,
        docs: Sequence[str] | None = None,
        topics: list[int] | None = None,
        embeddings: Any = None,
        reduced_embeddings: Any = None,
        sample: float | None = None,
        *,
        client: Any = None,
        **options: Any,
    ) -> Any:
        """Draw documents in two dimensions, coloured by topic.

        Parameters
        ----------
        docs : sequence of str, optional
            The texts of all documents. None: those that are drawn are read from the corpus.
        topics : list of int, optional
            Topics that are coloured. None: all.
        embeddings : array of shape (n_documents, n_features), optional
            None: those of the run.
        reduced_embeddings : array of shape (n_documents, 2), optional
            Places. None: the documents' embeddings are placed by a UMAP of their own.
        sample : float, optional
            How many documents are drawn: a share up to 1, or a number. None: 10,000 at most. The
            title says of how many.
        client : distributed.Client or str, optional
        **options
            As BERTopic's: ``hide_annotations``, ``hide_document_hover``, ``custom_labels``,
            ``title``, ``width``, ``height``.

        Returns
        -------
        plotly.graph_objects.Figure
        """
        check_drawable("visualize_documents", self._topics)
        drawn, at = self._drawn(docs, embeddings, reduced_embeddings, sample, (10, 0.0), client)
        title = options.pop("title", "<b>Documents and Topics</b>")
        return draw(
            "visualize_documents", self._drawable(drawn.topics.tolist()), shown(drawn.texts),
            topics, reduced_embeddings=at, title=_titled(title, drawn), **options,
        )  # fmt: skip

    def visualize_hierarchical_documents(
        self,
        docs: Sequence[str] | None = None,
        hierarchical_topics: pd.DataFrame | None = None,
        topics: list[int] | None = None,
        embeddings: Any = None,
        reduced_embeddings: Any = None,
        sample: float | None = None,
        *,
        nr_levels: int = 10,
        client: Any = None,
        **options: Any,
    ) -> Any:
        """Draw documents in two dimensions, at levels at which more and more topics are merged.

        Parameters
        ----------
        docs, topics, embeddings, reduced_embeddings, sample, client
            As in `visualize_documents`.
        hierarchical_topics : pandas.DataFrame, optional
            What the method of this name returned. None: it is asked.
        nr_levels : int, default=10
            At most half as many as there are topics.
        **options
            As BERTopic's: ``hide_annotations``, ``hide_document_hover``, ``level_scale``,
            ``custom_labels``, ``title``, ``width``, ``height``.

        Returns
        -------
        plotly.graph_objects.Figure
        """
        check_drawable("visualize_hierarchical_documents", self._topics)
        merges = self.hierarchical_topics() if hierarchical_topics is None else hierarchical_topics
        drawn, at = self._drawn(docs, embeddings, reduced_embeddings, sample, (10, 0.0), client)
        title = options.pop("title", "<b>Hierarchical Documents and Topics</b>")
        return draw(
            "visualize_hierarchical_documents", self._drawable(drawn.topics.tolist()),
            shown(drawn.texts), merges, topics, reduced_embeddings=at,
            nr_levels=max(1, min(nr_levels, len(merges) // 2)), title=_titled(title, drawn),
            **options,
        )  # fmt: skip

    def visualize_document_datamap(
        self,
        docs: Sequence[str] | None = None,
        topics: list[int] | None = None,
        embeddings: Any = None,
        reduced_embeddings: Any = None,
        *,
        sample: float | None = None,
        client: Any = None,
        **options: Any,
    ) -> Any:
        """Draw a map of documents with the names of topics, by DataMapPlot.

        Parameters
        ----------
        docs, topics, embeddings, reduced_embeddings, sample, client
            As in `visualize_documents`.
        **options
            As BERTopic's: ``custom_labels``, ``title``, ``sub_title``, ``width``, ``height``,
            ``interactive``, ``enable_search``, ``topic_prefix``, ``datamap_kwds``,
            ``int_datamap_kwds``.

        Returns
        -------
        matplotlib.figure.Figure, or datamapplot's interactive figure
        """
        check_drawable("visualize_document_datamap", self._topics)
        drawn, at = self._drawn(docs, embeddings, reduced_embeddings, sample, (15, 0.15), client)
        said = options.pop("sub_title", None) or drawn.said or None
        return draw(
            "visualize_document_datamap", self._drawable(drawn.topics.tolist()),
            shown(drawn.texts), topics, reduced_embeddings=at, sub_title=said, **options,
        )  # fmt: skip

    def _drawn(
        self,
        docs: Sequence[str] | None,
        embeddings: Any,
        reduced_embeddings: Any,
        sample: float | None,
        layout: tuple[int, float],
        client: Any,
    ) -> tuple[Drawn, NDArray[np.float32]]:
        """Return documents and their places."""
        drawn = draw_documents(
            self._run_with_rows, self._topics, sample, self.random_state, self._around(client), docs
        )
        if drawn.said:
            logger.info("the picture shows %s; sample=… for others", drawn.said)
        for name, given in (("embeddings", embeddings), ("reduced_embeddings", reduced_embeddings)):
            if given is not None and len(given) != drawn.n_documents:
                message = f"{name} are {len(given):,}; expected one for each of the "
                raise InputError(message + f"{drawn.n_documents:,} documents")
        if reduced_embeddings is not None:
            return drawn, np.asarray(reduced_embeddings)[drawn.rows]
        vectors = drawn.vectors
        if embeddings is not None:
            vectors = np.asarray(embeddings[drawn.rows], np.float32)
        return drawn, places(vectors, *layout, self.random_state)

    def _drawable(self, topics: Sequence[int] = ()) -> Drawable:
        return Drawable(self._topics, results.c_tf_idf(self._run_with_counts), topics)


def _titled(title: str, drawn: Drawn) -> str:
    return f"{title}<br><sup>{drawn.said}</sup>" if drawn.said else title
