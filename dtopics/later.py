"""What a `TopicModel` offers after the fit: every step makes a version of the topics."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from dtopics import jobs, slicing, versions
from dtopics.embedding import as_embedder
from dtopics.embedding.checks import unit
from dtopics.errors import EmbeddingError, InputError
from dtopics.execution import InProcessExecutor
from dtopics.pipeline import represent
from dtopics.report import results
from dtopics.slicing import Sliced
from dtopics.topics import Topics
from dtopics.topics.counted import CountedTopics
from dtopics.topics.grouping import delete_groups, merge_groups
from dtopics.topics.hierarchy import hierarchical_topics, topic_tree
from dtopics.topics.labelling import generated_labels, labels_of
from dtopics.topics.reduce import merged_topics
from dtopics.topics.representing import as_representation, embeds

if TYPE_CHECKING:
    import pandas as pd

    from dtopics.planning import Surroundings
    from dtopics.store import Run, Stage


logger = logging.getLogger("dtopics")


class LaterSteps:
    """The steps of a fitted model.

    None reads a document. Each makes a new version of the topics from the counts and sums of the
    one in use; labels of clusters stay, and `undo` takes a version back.
    """

    if TYPE_CHECKING:
        _run: Run
        _fitted_topics: Topics
        _messages: list[str] | None

        @property
        def _topics(self) -> Topics: ...

        @property
        def _run_with_rows(self) -> Run: ...

        @property
        def _run_with_counts(self) -> Run: ...

        representation_model: Any
        embedding_model: Any
        language: str
        random_state: int | None

        def _embedder_for_new(self) -> Any: ...

        def _around(self, client: Any) -> Surroundings: ...

    def merge_topics(
        self, docs: Any = None, topics_to_merge: Any = None, *, client: Any = None
    ) -> Self:
        """Merge topics: their documents become one topic, and all are numbered by size again.

        Parameters
        ----------
        docs
            Not needed; it stands where BERTopic has it.
        topics_to_merge : list of int, or list of lists of int
            Topics that become one, or several such groups.
        client : distributed.Client or str, optional
            As in `fit`.

        Returns
        -------
        TopicModel
            Itself.

        Raises
        ------
        InputError
            Where there is no such topic.
        RunError
            Where somebody else has changed the run's topics since.

        Examples
        --------
        >>> import numpy as np
        >>> from dtopics import TopicModel
        >>> documents = ["apple pear"] * 20 + ["pear plum"] * 20 + ["engine wheel"] * 20
        >>> vectors = np.repeat(np.eye(3, 8), 20, axis=0)
        >>> vectors += np.random.default_rng(0).normal(0, 0.05, vectors.shape)
        >>> model = TopicModel(min_topic_size=10).fit(documents, vectors)
        >>> model.merge_topics(topics_to_merge=[1, 2]).topic_sizes_
        {0: 40, 1: 20}
        >>> model.undo().topic_sizes_
        {0: 20, 1: 20, 2: 20}
        """
        if topics_to_merge is None:
            message = "say which topics: merge_topics(topics_to_merge=[1, 2])"
            raise InputError(message)
        groups = merge_groups(self._topics.ids, topics_to_merge)
        return self._regroup(groups, f"merge_topics({_said(topics_to_merge)})", client)

    def reduce_topics(
        self,
        docs: Any = None,
        nr_topics: int | str = 20,
        *,
        use_ctfidf: bool = False,
        client: Any = None,
    ) -> Self:
        """Merge topics that are alike, until so many are left.

        Parameters
        ----------
        docs
            Not needed.
        nr_topics : int or "auto", default=20
            How many are left, the outliers counted. ``"auto"``: HDBSCAN over the topics says.
        use_ctfidf : bool, default=False
            Compare topics by their words instead of their embeddings.
        client : distributed.Client or str, optional

        Returns
        -------
        TopicModel
            Itself.
        """
        topics = self._topics
        vectors = self._vectors(by_words=use_ctfidf)
        groups = merged_topics(np.array(topics.ids), vectors, nr_topics)
        return self._regroup(groups, f"reduce_topics({nr_topics!r})", client)

    def delete_topics(self, topics_to_delete: Any, *, client: Any = None) -> Self:
        """Make the documents of topics outliers.

        Parameters
        ----------
        topics_to_delete : int or list of int
        client : distributed.Client or str, optional

        Returns
        -------
        TopicModel
            Itself.
        """
        groups = delete_groups(self._topics.ids, topics_to_delete)
        return self._regroup(groups, f"delete_topics({_said(topics_to_delete)})", client)

    def undo(self, version: str | None = None, *, client: Any = None) -> Self:
        """Take back the last step, or all since a version.

        Parameters
        ----------
        version : str, optional
            One of `versions_`, or how its name begins.
        client : distributed.Client or str, optional

        Returns
        -------
        TopicModel
            Itself.

        Raises
        ------
        InputError
            Where there is nothing to undo, or no such version.
        """
        topics = versions.undo(self._run_with_counts, self._topics, version, self._around(client))
        return self._swap(topics)

    @property
    def versions_(self) -> pd.DataFrame:
        """The versions of the topics since the fit, the last of which is in use."""
        import pandas as pd

        listed = self._run_with_counts.versions
        return pd.DataFrame(
            {name: [entry[name] for entry in listed] for name in ("version", "made")}
        )

    def hierarchical_topics(
        self,
        docs: Any = None,
        use_ctfidf: bool = True,  # noqa: FBT001, FBT002 (BERTopic's signature)
        linkage_function: Callable[[Any], Any] | None = None,
        distance_function: Callable[[Any], Any] | None = None,
    ) -> pd.DataFrame:
        """Return how topics merge, two at a time, until one is left.

        Parameters
        ----------
        docs
            Not needed.
        use_ctfidf : bool, default=True
            Compare topics by their words; else by their embeddings.
        linkage_function : callable, optional
            From condensed distances to a linkage, as SciPy's. None: Ward's.
        distance_function : callable, optional
            From vectors to distances. None: 1 − cosine.

        Returns
        -------
        pandas.DataFrame
            ``Parent_ID``, ``Parent_Name``, ``Topics``, ``Child_Left_ID``, ``Child_Left_Name``,
            ``Child_Right_ID``, ``Child_Right_Name``, ``Distance``; the last merge first.
        """
        counted = CountedTopics.of(self._run_with_counts.fitted("topics"))
        vectors = self._vectors(by_words=use_ctfidf)
        return hierarchical_topics(counted, vectors, linkage_function, distance_function)

    @staticmethod
    def get_topic_tree(
        hier_topics: pd.DataFrame,
        max_distance: float | None = None,
        tight_layout: bool = False,  # noqa: FBT001, FBT002
    ) -> str:
        """Draw what `hierarchical_topics` returned as text."""
        return topic_tree(hier_topics, max_distance, tight_layout=tight_layout)

    def topics_over_time(
        self,
        docs: Any = None,
        timestamps: Any = None,
        topics: Any = None,
        nr_bins: int | None = None,
        datetime_format: str | None = None,
        evolution_tuning: bool = True,  # noqa: FBT001, FBT002
        global_tuning: bool = True,  # noqa: FBT001, FBT002
        *,
        client: Any = None,
    ) -> pd.DataFrame:
        """Return the words and documents of each topic at each time.

        Parameters
        ----------
        docs
            Not needed.
        timestamps : sequence, optional
            One for each document. None: the corpus's timestamp column.
        topics : sequence of int, optional
            Other topics for the documents than those of the model.
        nr_bins : int, optional
            Divide the time into so many bins. None: each distinct time stands for itself.
        datetime_format : str, optional
            How times are written, as in `datetime.datetime.strptime`.
        evolution_tuning : bool, default=True
            Average a topic's words with those at the time before.
        global_tuning : bool, default=True
            Average a topic's words with those at all times.
        client : distributed.Client or str, optional

        Returns
        -------
        pandas.DataFrame
            ``Topic``, ``Words``, ``Frequency``, ``Timestamp``; documents without a time are in
            none.
        """
        sliced = Sliced("timestamp", timestamps, nr_bins, datetime_format)
        table = slicing.topics_in_slices(
            self._run_with_rows, self._topics, sliced, self._around(client), assigned=topics,
            evolution_tuning=evolution_tuning, global_tuning=global_tuning,
        )  # fmt: skip
        return table.rename(columns={"Slice": "Timestamp"})

    def topics_per_class(
        self,
        docs: Any = None,
        classes: Any = None,
        global_tuning: bool = True,  # noqa: FBT001, FBT002
        *,
        client: Any = None,
    ) -> pd.DataFrame:
        """Return the words and documents of each topic in each class.

        Parameters
        ----------
        docs
            Not needed.
        classes : sequence, optional
            One for each document. None: the corpus's class column.
        global_tuning : bool, default=True
            Average a topic's words with those in all classes.
        client : distributed.Client or str, optional

        Returns
        -------
        pandas.DataFrame
            ``Topic``, ``Words``, ``Frequency``, ``Class``; documents without a class are in none.
        """
        table = slicing.topics_in_slices(
            self._run_with_rows, self._topics, Sliced("class", classes), self._around(client),
            evolution_tuning=False, global_tuning=global_tuning,
        )  # fmt: skip
        return table.rename(columns={"Slice": "Class"})

    def find_topics(self, search_term: str, top_n: int = 5) -> tuple[list[int], list[float]]:
        """Return the topics whose embeddings are nearest to a text, and their cosines.

        Parameters
        ----------
        search_term : str
        top_n : int, default=5

        Raises
        ------
        EmbeddingError
            Where the model that made the embeddings is not known.
        """
        if not isinstance(search_term, str) or not search_term.strip():
            message = f"search_term must be a text, not {search_term!r}"
            raise InputError(message)
        topics, embedder = self._topics, self._embedder_for_new()
        if embedder is None:
            message = (
                "the embeddings were given, so the model that made them is not known; open the run "
                "with TopicModel.load(run, embedding_model=…)"
            )
            raise EmbeddingError(message)
        embedder = jobs.settled(embedder, self._run, InProcessExecutor())
        vector = np.asarray(embedder.encode([search_term]), np.float64)
        if vector.shape[1] != topics.centroids.shape[1]:
            message = (
                f"the model gives {vector.shape[1]} features, the topics were made of "
                f"{topics.centroids.shape[1]}"
            )
            raise EmbeddingError(message)
        cosines = unit(topics.centroids) @ unit(vector)[0]
        best = np.argsort(-cosines, kind="stable")[:top_n]
        return [topics.ids[i] for i in best], cosines[best].tolist()

    def generate_topic_labels(
        self,
        nr_words: int = 3,
        topic_prefix: bool = True,  # noqa: FBT001, FBT002
        word_length: int | None = None,
        separator: str = "_",
        aspect: str | None = None,
    ) -> list[str]:
        """Return a label for each topic of its heaviest words; `set_topic_labels` takes them.

        Parameters
        ----------
        nr_words : int, default=3
        topic_prefix : bool, default=True
            Begin with the topic's number.
        word_length : int, optional
            Cut words to so many characters.
        separator : str, default="_"
        aspect : str, optional
            Take the words of this aspect of `representation_model`.
        """
        return generated_labels(
            self._topics, nr_words, topic_prefix=topic_prefix, word_length=word_length,
            separator=separator, aspect=aspect,
        )  # fmt: skip

    def set_topic_labels(self, topic_labels: Any) -> Self:
        """Give topics labels of your own; the run keeps them.

        Parameters
        ----------
        topic_labels : list of str, or dict of int to str
            A list has one for each topic, outliers first; a dict changes those that it names.

        Returns
        -------
        TopicModel
            Itself.
        """
        labels = labels_of(self._topics, topic_labels)
        topics = versions.relabel(self._run_with_counts, self._topics, labels, "set_topic_labels")
        return self._swap(topics)

    @property
    def custom_labels_(self) -> list[str] | None:
        """Labels that were set, one for each topic in ascending order; None where none were."""
        topics = self._topics
        if not topics.labels:
            return None
        return [topics.labels.get(topic, topics.names[topic]) for topic in topics.ids]

    def _vectors(self, *, by_words: bool) -> Any:
        """Return what topics are compared by: c-TF-IDF or embeddings."""
        if not by_words:
            return np.asarray(self._topics.centroids, np.float64)
        return results.c_tf_idf(self._run_with_counts)

    def _regroup(self, groups: dict[int, int], made: str, client: Any) -> Self:
        run, around = self._run_with_counts, self._around(client)
        regrouped = versions.regroup(run, self._topics, groups, made, around, self._represent)
        return self._swap(regrouped)

    def _represent(self, topics: Topics, stage: Stage) -> Topics:
        """Return the topics of a version with the words that `representation_model` chooses."""
        run, models = self._run_with_counts, as_representation(self.representation_model)
        if not models:
            if run.finished["config"].get("representation_model") is not None:
                logger.warning(
                    "the representation_model of this run is not known here, so words are those "
                    "of c-TF-IDF; set it: model.representation_model = …"
                )
            return topics
        here = InProcessExecutor()
        embedder = self._word_embedder() if embeds(models) else None
        return represent(run, topics, stage, models, jobs.settled(embedder, run, here), here)

    def _word_embedder(self) -> Any:
        if self.embedding_model is None:
            return self._embedder_for_new()
        return self._embedder_for_new() or as_embedder(
            self.embedding_model, language=self.language, random_state=self.random_state
        )

    def _swap(self, topics: Topics) -> Self:
        self._fitted_topics, self._messages = topics, None
        return self


def _said(topics: Any) -> str:
    text = repr(topics)
    return text if len(text) <= 60 else f"{text[:57]}…"
