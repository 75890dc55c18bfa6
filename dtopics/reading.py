"""What a fitted `TopicModel` is read by: tables, attributes, lazy rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dtopics.errors import InputError, NotFittedError
from dtopics.report import results, tables
from dtopics.report.status import Quarantined, quarantined
from dtopics.store import Run
from dtopics.topics import Topics, diagnose
from dtopics.topics.topics import mapped

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


class Reading:
    """The tables and attributes of `TopicModel`; as long as the corpus, they are lazy."""

    _messages: list[str] | None = None

    if TYPE_CHECKING:
        _run: Run
        _fitted_topics: Topics
        _in_memory: bool
        min_topic_size: int
        calculate_probabilities: bool | str

    def get_topic(self, topic: int, full: bool = False) -> Any:  # noqa: FBT001, FBT002
        """Return a topic's words and weights, heaviest first; False where there is none.

        Parameters
        ----------
        topic : int
        full : bool, default=False
            Return those of every aspect, by name; ``"Main"`` are the topic's own.
        """
        topics = self._topics
        if topic not in topics.ids:
            return False
        main = list(topics.words[topic])
        if not full:
            return main
        return {"Main": main} | {name: list(w[topic]) for name, w in topics.aspects.items()}

    def get_topics(self, full: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        """Return every topic's words and weights; with `full`, those of every aspect by name."""
        topics = self._topics
        main = {topic: list(words) for topic, words in topics.words.items()}
        return {"Main": main, **self.topic_aspects_} if full else main

    def get_topic_info(self, topic: int | None = None) -> pd.DataFrame:
        """Return Topic, Count, Name, Representation and Representative_Docs as a table."""
        return tables.topic_info(self._topics, topic)

    def get_topic_freq(self, topic: int | None = None) -> pd.DataFrame | int:
        """Return Topic and Count as a table, largest first, or one topic's count."""
        return tables.topic_freq(self._topics, topic)

    def get_representative_docs(self, topic: int | None = None) -> Any:
        """Return three documents that stand for a topic, or those of every topic."""
        found = {t: tables.texts_of(self._topics, t) for t in self._topics.ids}
        return found if topic is None else found.get(topic, [])

    def get_document_info(
        self,
        docs: Sequence[str] | None = None,
        df: pd.DataFrame | None = None,
        metadata: Mapping[str, Sequence[Any]] | None = None,
    ) -> Any:
        """Return a row per document: its topic, and what stands for that topic.

        Parameters
        ----------
        docs : list of str, optional
            The documents that were fitted, to stand in the table as in BERTopic.
        df : pandas.DataFrame, optional
            A row for each document, whose columns come first in the table.
        metadata : mapping of str to sequence, optional
            Further columns.

        Returns
        -------
        pandas.DataFrame, or dask.dataframe.DataFrame
            Lazy, from the run's assignments, where no `docs` are given and no list was fitted.

        Raises
        ------
        InputError
            Where `docs`, `df` or `metadata` are not as many as were fitted.
        """
        run = self._run_with_rows
        docs = docs if docs is not None else getattr(self, "_documents", None)
        if docs is None:
            if df is not None or metadata is not None:
                message = "df and metadata need the documents: get_document_info(docs, df)"
                raise InputError(message)
            return results.lazy_document_info(run)
        n_rows = sum(segment["n_rows"] for segment in run.segments)
        given = {"docs": docs, "df": df, **(metadata or {})}
        for name, rows in given.items():
            if rows is not None and len(rows) != n_rows:
                message = f"{name} are {len(rows):,}; expected the {n_rows:,} that were fitted, in "
                raise InputError(message + "order")
        topics, probabilities = self.topics_, self.probabilities_
        if not self._in_memory:
            topics = topics.compute(scheduler="threads").tolist()
            probabilities = probabilities.compute(scheduler="threads")
        table = tables.document_info(docs, topics, probabilities, self._topics, df)
        for name, values in (metadata or {}).items():
            table[name] = list(values)
        return table

    @property
    def topics_(self) -> Any:
        """Topic of each document: a list where a list was fitted, else a Dask array."""
        labels = self._rows("labels")
        topics = self._topics
        if isinstance(labels, np.ndarray):
            return topics.of_clusters(labels).tolist()
        # the table alone: a task that held the topics would take their examples to every block
        return labels.map_blocks(mapped, lookup=topics.lookup, dtype=np.int32)

    @property
    def labels_(self) -> Any:
        """Topic of each document, as scikit-learn names it; an array where a list was fitted."""
        topics = self.topics_
        return np.array(topics, np.int32) if isinstance(topics, list) else topics

    @property
    def probabilities_(self) -> Any:
        """Strength of each document's membership in its topic.

        With `calculate_probabilities`, for a list: in every topic, shape (n_documents, n_topics).
        """
        if self._in_memory and self.calculate_probabilities:
            return self.memberships_.compute(scheduler="threads")
        return self._rows("probabilities")

    @property
    def memberships_(self) -> Any:
        """Membership of each document in every topic, a Dask array (n_documents, n_topics).

        The sparse form has zeros where nothing was kept.

        Raises
        ------
        NotFittedError
            They were not calculated.
        """
        if not self._run_with_rows.has_fitted("memberships"):
            message = "there are no memberships: fit with calculate_probabilities=True"
            raise NotFittedError(message)
        return results.memberships(self._run.fitted("memberships"), self._topics)

    @property
    def topic_sizes_(self) -> dict[int, int]:
        """Documents of each topic."""
        return dict(self._topics.sizes)

    @property
    def topic_representations_(self) -> dict[int, list[tuple[str, float]]]:
        """Words and weights of each topic."""
        return self.get_topics()

    @property
    def topic_aspects_(self) -> dict[str, dict[int, list[tuple[str, float]]]]:
        """Words and weights of each topic by each aspect of `representation_model`."""
        return {
            name: {topic: list(listed) for topic, listed in words.items()}
            for name, words in self._topics.aspects.items()
        }

    @property
    def topic_labels_(self) -> dict[int, str]:
        """``id_word_word_word_word`` of each topic."""
        return dict(self._topics.names)

    @property
    def topic_embeddings_(self) -> NDArray[np.float32]:
        """Mean embedding of each topic."""
        return self._topics.centroids

    @property
    def c_tf_idf_(self) -> Any:
        """Weights of terms, one row per topic."""
        return results.c_tf_idf(self._run_with_counts)

    @property
    def embeddings(self) -> Any:
        """The documents' embeddings as a Dask array, shape (n_documents, n_features)."""
        return self._run_with_rows.fitted("embeddings").dask_array("embeddings")

    @property
    def messages_(self) -> list[str]:
        """What looks wrong with the topics, each with the setting that changes it."""
        topics = self._topics
        if self._messages is None:
            self._messages = [] if not self._run.has_fitted("clusters") else diagnose(
                topics,
                min_topic_size=self.min_topic_size,
                far_share=results.far_share(self._run),
                gave_way=results.gave_way(self._run),
                refinable=results.refinable(self._run),
                unused=results.unused_names(self._run, topics),
            )  # fmt: skip
        return list(self._messages)

    @property
    def quarantined_(self) -> pd.DataFrame:
        """The documents that a step failed on each time; they are outliers.

        ``doc_id``, ``stage``, ``segment``, ``row`` (in the segment) and ``reason``.
        """
        import pandas as pd

        fields = [field.name for field in dataclasses.fields(Quarantined)]
        return pd.DataFrame(
            [dataclasses.astuple(each) for each in quarantined(self._run_with_rows)], columns=fields
        )

    @property
    def run_(self) -> str:
        """URL of the run directory."""
        return self._run.location.url

    def _rows(self, name: str) -> Any:
        """Return an array of the clusters' stage: read where a list was fitted, else lazy."""
        lazy = self._run_with_rows.labelled.dask_array(name)
        return lazy.compute(scheduler="threads") if self._in_memory else lazy

    @property
    def _topics(self) -> Topics:
        if not hasattr(self, "_fitted_topics"):
            message = "this TopicModel has no topics yet; call fit or TopicModel.load first"
            raise NotFittedError(message)
        return self._fitted_topics

    @property
    def _run_with_counts(self) -> Run:
        """Return the run, for what needs counts and no documents.

        Raises
        ------
        NotFittedError
        """
        topics = self._topics
        if not self._run.has_fitted("topics"):
            message = (
                f"a saved predictor keeps its {topics.n_topics} topics and not their counts; open "
                "the run directory for those"
            )
            raise NotFittedError(message)
        return self._run

    @property
    def _run_with_rows(self) -> Run:
        topics = self._topics
        if not self._run.has_fitted("clusters"):
            message = (
                f"a saved predictor keeps its {topics.n_topics} topics and not its documents; open "
                "the run directory for those"
            )
            raise NotFittedError(message)
        return self._run
