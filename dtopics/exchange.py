"""To BERTopic and from it: what a `TopicModel` hands over and takes."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from dtopics.errors import InputError, MissingPackageError
from dtopics.execution import InProcessExecutor
from dtopics.jobs import settled
from dtopics.merging import merge_runs
from dtopics.report import exchange
from dtopics.store import Location, Run
from dtopics.store.temporary import temporary_folder
from dtopics.topics.counted import CountedTopics

if TYPE_CHECKING:
    from dtopics.topics import Topics

logger = logging.getLogger("dtopics")

#: Up to so many documents, an export names the topic of each.
MOST_ASSIGNED = 20_000_000


class Exchange:
    """The methods of `TopicModel` that write and read BERTopic's models."""

    if TYPE_CHECKING:
        vectorizer_model: Any
        embedding_model: Any
        topics_: Any
        storage_options: Any

        @property
        def _topics(self) -> Topics: ...

        @property
        def _run_with_counts(self) -> Run: ...

        _run: Run
        _embedder: Any
        _fitted_topics: Topics
        representation_model: Any
        _represent: Callable[..., Topics]

        get_params: Callable[..., dict[str, Any]]
        load: Callable[..., Self]

        def _embedder_for_new(self) -> Any: ...

    def export_bertopic(
        self, path: str, *, storage_options: Mapping[str, Any] | None = None
    ) -> None:
        """Write a directory that ``BERTopic.load`` opens: JSON and safetensors.

        It has the topics, their words, embeddings, c-TF-IDF and labels, and the topic of each
        document (of each topic once, above twenty million documents). Its predictions are by the
        nearest topic embedding, as of every BERTopic model that was loaded so. Not in it, for
        the format has no place: representative documents, UMAP and HDBSCAN, and a tokenizer that
        is a function.

        Parameters
        ----------
        path : str
            URL of a folder that is new or empty.
        storage_options : mapping, optional
            None: the model's.
        """
        run, topics = self._run_with_counts, self._topics
        assigned: Any = self.topics_ if run.has_fitted("clusters") else list(topics.ids)
        if len(assigned) > MOST_ASSIGNED:
            logger.warning("more than %d documents: each topic is named once", MOST_ASSIGNED)
            assigned = topics.ids
        elif not isinstance(assigned, list):
            assigned = assigned.compute(scheduler="threads").tolist()
        options = self.storage_options if storage_options is None else storage_options
        folder = Location(path, options or {})
        counted = CountedTopics.of(run.fitted("topics"))
        exchange.export(folder, topics, counted, assigned, self.get_params(deep=False),
                        self.vectorizer_model)  # fmt: skip

    def to_bertopic(self, embedding_model: Any = None) -> Any:
        """Return the topics as a `bertopic.BERTopic`.

        Parameters
        ----------
        embedding_model : object, optional
            What it embeds with, as BERTopic takes it. None: what embedded the documents.

        Returns
        -------
        bertopic.BERTopic
            As one that was loaded, with representative documents beside it.

        Raises
        ------
        MissingPackageError
            Where bertopic is not installed.
        """
        try:
            from bertopic import BERTopic
        except ImportError as error:
            message = "to_bertopic needs bertopic: pip install 'dtopics[bertopic]'"
            raise MissingPackageError(message) from error
        embedder = None if embedding_model is not None else self._embedder_for_new()
        if embedder is not None:
            settle = settled(embedder, self._run_with_counts, InProcessExecutor())
            embedding_model = as_backend(settle)
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "model")
            self.export_bertopic(path, storage_options={})
            model = BERTopic.load(path, embedding_model=embedding_model)
        texts = {
            topic: [example.text for example in listed[:3]]
            for topic, listed in self._topics.examples.items()
        }
        model.representative_docs_ = texts
        return model

    @classmethod
    def merge_models(
        cls,
        models: Sequence[Self],
        min_similarity: float = 0.7,
        embedding_model: Any = None,
        *,
        run: str | None = None,
        storage_options: Mapping[str, Any] | None = None,
    ) -> Self:
        """Put models together: the first's topics, and those of the others that are new.

        Counts, sizes and centroids are added up exactly, and words weighed anew, as if all
        documents had been counted together with these topics. The models stay as they are.

        Parameters
        ----------
        models : sequence of TopicModel
            Fitted with the same embedding model, at least two.
        min_similarity : float, default=0.7
            A topic becomes the one most alike to it, by the cosine of their centroids, if it is
            alike so much; else it is a new one.
        embedding_model : object, optional
            What new documents are embedded with. None: as the first model does.
        run : str, optional
            URL of a folder, new or empty, where the result is kept. None: a temporary one.
        storage_options : mapping, optional

        Returns
        -------
        TopicModel
            It has no documents: new ones get the topic whose centroid is nearest. Topics can be
            merged, named and shown as of every model.

        Raises
        ------
        InputError
            There are less than two models, or their embeddings are of different widths.
        NotFittedError
            One of them keeps no counts, as what `save` wrote.
        """
        if len(models) < 2:
            message = f"merge_models was given {len(models)} models; expected two or more"
            raise InputError(message)
        url, options = run or temporary_folder(None), dict(storage_options or {}) if run else {}
        target = new_run(url, options)
        runs = [(model._run_with_counts, model._topics) for model in models]
        topics = merge_runs(target, runs, min_similarity)
        first = models[0]
        merged = cls.load(url, embedding_model or first.embedding_model,
                          storage_options=options or None)  # fmt: skip
        if embedding_model is None:
            merged._embedder = getattr(first, "_embedder", None)
        if first.representation_model is not None:
            merged.representation_model = first.representation_model
            merged._fitted_topics = merged._represent(topics, target.fitted("topics"))
            merged._fitted_topics.save(target.topics_folder(target.finished["topics_version"]))
        return merged

    @classmethod
    def from_bertopic(
        cls,
        model: Any,
        embedding_model: Any = None,
        *,
        run: str | None = None,
        storage_options: Mapping[str, Any] | None = None,
    ) -> Self:
        """Take over a BERTopic model, to give topics to as many documents as there are.

        A new document gets the topic whose embedding is nearest to its own, as from a BERTopic
        model that was loaded from safetensors.

        Parameters
        ----------
        model : str or bertopic.BERTopic
            URL of what ``BERTopic.save(path, serialization="safetensors")`` wrote, or the model.
        embedding_model : object, optional
            What documents are embedded with. None: what the directory names, else the default.
        run : str, optional
            URL of a folder, new or empty, where it is kept. None: a temporary one.
        storage_options : mapping, optional

        Returns
        -------
        TopicModel

        Raises
        ------
        RunError
            Where the directory is a pickle, or not what BERTopic writes.
        """
        options = dict(storage_options or {})
        if isinstance(model, str | Path):
            topics, params = exchange.read(Location(str(model), options))
        else:
            topics, params = exchange.of_model(model)
        url = run or temporary_folder(None)
        target = new_run(url, options if run else {})
        known = ("language", "top_n_words", "n_gram_range", "min_topic_size")
        config = {name: params[name] for name in known if params.get(name) is not None}
        named = params.get("embedding_model")
        target.begin({**config, "embedding_model": named if isinstance(named, str) else None})
        version = topics.digest()[:20]
        topics.save(target.topics_folder(version))
        target.finish(version)
        return cls.load(url, embedding_model, storage_options=options if run else None)


def new_run(url: str, storage_options: Mapping[str, Any]) -> Run:
    """Return a run in a folder that is new or empty.

    Raises
    ------
    InputError
    """
    run = Run(Location(url, storage_options))
    if run.location.names():
        message = f"{url} is not empty; give a new folder"
        raise InputError(message)
    return run


def as_backend(embedder: Any) -> Any:
    """Return what BERTopic embeds with, from what dtopics does."""
    from bertopic.backend import BaseEmbedder

    class Backend(BaseEmbedder):  # type: ignore[misc]
        """Embeds as dtopics does."""

        def embed(self, documents: list[str], verbose: bool = False) -> Any:  # noqa: ARG002, FBT001, FBT002
            """Return the embeddings of documents."""
            return np.asarray(embedder.encode(list(documents)), np.float32)

    return Backend()
