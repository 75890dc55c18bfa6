"""What a fitted `TopicModel` does with its documents: outliers, other words, distributions."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from dtopics import reassigning, updating
from dtopics.embedding.checks import unit
from dtopics.errors import EmbeddingError, InputError
from dtopics.execution import InProcessExecutor
from dtopics.jobs import settled
from dtopics.planning import plan_key
from dtopics.reassigning import Reducing, Renaming
from dtopics.report import results
from dtopics.representation.ctfidf import as_ctfidf
from dtopics.representation.tokens import TokenBlock, token_block, tokenize_block
from dtopics.representation.vectorizer import Counting, as_counting
from dtopics.representation.windows import Windowing, added_up, windows_of
from dtopics.store import fingerprint
from dtopics.topics.distributions import weighed
from dtopics.topics.representing import as_representation
from dtopics.updating import Arriving

if TYPE_CHECKING:
    import pandas as pd

    from dtopics.corpus.preprocess import Preprocessing
    from dtopics.planning import Surroundings
    from dtopics.store import Run, Stage
    from dtopics.topics import Topics


logger = logging.getLogger("dtopics")

#: So much larger a share of outliers, or of documents far from the sample, is worth a warning.
DRIFT_SHARE = 0.2


class DocumentSteps:
    """The steps of a fitted model over its documents; all but new tokens need no text."""

    if TYPE_CHECKING:
        vectorizer_model: Any
        n_gram_range: tuple[int, int]
        min_df_scope: str
        representation_model: Any
        _in_memory: bool
        _documents: Any
        _trust: bool
        block_size: int | None
        fit: Callable[..., Self]

        def __sklearn_is_fitted__(self) -> bool: ...

        @property
        def _topics(self) -> Topics: ...

        @property
        def _run_with_rows(self) -> Run: ...

        def _embedder_for_new(self) -> Any: ...

        @property
        def _preprocessing(self) -> Preprocessing: ...

        def _around(self, client: Any) -> Surroundings: ...

        def _swap(self, topics: Topics) -> Self: ...

        def _represent(self, topics: Topics, stage: Stage) -> Topics: ...

    def reduce_outliers(
        self,
        documents: Any = None,
        topics: Any = None,
        images: Any = None,
        strategy: str = "distributions",
        probabilities: Any = None,
        threshold: float = 0,
        embeddings: Any = None,
        distributions_params: Mapping[str, Any] | None = None,
        *,
        client: Any = None,
    ) -> Any:
        """Return a topic for each document in which outliers have one, where one is found.

        `update_topics` takes what is returned into use. Empty documents stay outliers.

        Parameters
        ----------
        documents
            Not needed.
        topics : sequence of int, optional
            The topics to begin with, as an earlier call returned them. None: the model's.
        images
            There are none here.
        strategy : {"distributions", "probabilities", "c-tf-idf", "embeddings"}
            What is compared with a topic: windows of the document's tokens; its memberships
            (`calculate_probabilities`); its c-TF-IDF; its embedding.
        probabilities : ndarray of shape (n_documents, n_topics), optional
            None: those that were calculated.
        threshold : float, default=0
            How alike both are at least.
        embeddings : array, Dask array or URL, optional
            None: those of the fit.
        distributions_params : dict, optional
            ``window``, ``stride``, ``padding`` of ``"distributions"``.
        client : distributed.Client or str, optional
            As in `fit`.

        Returns
        -------
        list of int, or dask.array.Array of int32, shape (n_documents,)

        Raises
        ------
        SettingError
            There is no such strategy.
        NotFittedError
            There are no probabilities.

        Examples
        --------
        >>> import numpy as np
        >>> from dtopics import TopicModel
        >>> documents = ["apple pear"] * 20 + ["engine wheel"] * 20 + ["a pear, an apple"]
        >>> vectors = np.repeat(np.eye(3, 8), [20, 20, 1], axis=0)
        >>> vectors[:40] += np.random.default_rng(0).normal(0, 0.05, (40, 8))
        >>> model = TopicModel(min_topic_size=10).fit(documents, vectors)
        >>> topics = model.reduce_outliers(strategy="c-tf-idf")
        >>> topics[-1] == topics[0]
        True
        >>> model.update_topics(topics=topics).topic_sizes_
        {0: 21, 1: 20}
        """
        if images is not None:
            message = "images are not here; embed them and give the embeddings"
            raise InputError(message)
        reducing = Reducing(
            str(strategy).lower(), threshold, probabilities, embeddings,
            _windowing(distributions_params or {}),
        )  # fmt: skip
        run = self._run_with_rows
        stage = reassigning.reduce_outliers(
            run, self._topics, reducing, topics, self._around(client)
        )
        lazy = stage.dask_array("topics")
        return lazy.compute(scheduler="threads").tolist() if self._in_memory else lazy

    def update_topics(
        self,
        docs: Any = None,
        images: Any = None,
        topics: Any = None,
        top_n_words: int | None = None,
        n_gram_range: tuple[int, int] | None = None,
        vectorizer_model: Any = None,
        ctfidf_model: Any = None,
        representation_model: Any = None,
        *,
        client: Any = None,
    ) -> Self:
        """Give documents other topics, or topics other words; nothing is fitted again.

        What is not given stays as it is (in BERTopic it goes back to its default).

        Parameters
        ----------
        docs
            Not needed: the run keeps the documents' tokens, and knows where their texts are.
        images
            There are none here.
        topics : sequence of int or dask.array.Array, shape (n_documents,), optional
            The topic of each document, such as `reduce_outliers` returned.
        top_n_words : int, optional
            Words that stand for a topic.
        n_gram_range : tuple of int, optional
            Lengths of the terms, where no `vectorizer_model` is given.
        vectorizer_model : CountVectorizer, optional
            Texts are read again only if it makes other tokens than before: stop words, n-grams
            and pruning do not.
        ctfidf_model : ClassTfidfTransformer, optional
        representation_model : object, list or dict, optional
            As in `TopicModel`; it is the model's from then on.
        client : distributed.Client or str, optional

        Returns
        -------
        TopicModel
            Itself.
        """
        if images is not None:
            message = "images are not here; embed them and give the embeddings"
            raise InputError(message)
        given = {"topics": topics, "top_n_words": top_n_words, "n_gram_range": n_gram_range,
                 "vectorizer_model": vectorizer_model, "ctfidf_model": ctfidf_model,
                 "representation_model": representation_model}  # fmt: skip
        named = [name for name, value in given.items() if value is not None]
        if not named:
            message = f"nothing is to be updated: give one of {', '.join(given)}"
            raise InputError(message)
        counting = None
        if vectorizer_model is not None:
            counting = self._counting_by(vectorizer_model)
            self._vectorizers = [vectorizer_model, *getattr(self, "_vectorizers", [])]
        elif n_gram_range is not None:
            n_gram_range = as_counting(n_gram_range=n_gram_range).n_gram_range
        if top_n_words is not None and (not isinstance(top_n_words, int) or top_n_words < 1):
            message = f"top_n_words must be a positive integer, not {top_n_words!r}"
            raise InputError(message)
        ctfidf = None if ctfidf_model is None else as_ctfidf(ctfidf_model)
        renaming = Renaming(counting, n_gram_range, ctfidf, top_n_words)
        made = f"update_topics({', '.join(named)})"
        if representation_model is not None:
            as_representation(representation_model)
            self.representation_model = representation_model
        updated = reassigning.update_topics(
            self._run_with_rows, self._topics, topics, renaming, made, self._around(client),
            self._represent,
        )  # fmt: skip
        return self._swap(updated)

    def partial_fit(
        self, documents: Any, embeddings: Any = None, y: Any = None, *, client: Any = None
    ) -> Self:
        """Add documents: they get topics as new documents do, and are counted with all others.

        Words, sizes and centroids are those of all documents, exactly; UMAP and HDBSCAN stay as
        they were fitted. `drift_` says when another fit is due. The same documents again change
        nothing, and an update that was broken off goes on. A model that is not fitted is.

        Parameters
        ----------
        documents, embeddings, client
            As in `fit`; other documents than were fitted.
        y : array-like of int, optional
            Classes, as in `fit`, of the first documents. Later ones get topics and not classes, as
            in BERTopic, which does not look at them either.

        Returns
        -------
        TopicModel
            Itself.

        Raises
        ------
        InputError
            The documents were fitted, or lack a column that the run keeps.
        EmbeddingError
            The embeddings are missing or of another width.
        """
        if not self.__sklearn_is_fitted__():
            return self.fit(documents, embeddings, y, client=client)
        if y is not None:
            logger.warning("y is not looked at: the model is fitted, and documents get its topics")
        return self._add(documents, embeddings, self._around(client))

    @property
    def drift_(self) -> pd.DataFrame:
        """How the documents of each update differ from those of the fit.

        ``segment``, ``documents``, and shares of them: ``outliers``, and those that are ``far``,
        further from the sample than its own documents from each other.
        """
        import pandas as pd

        return pd.DataFrame(updating.drift(self._run_with_rows, self._topics))

    def _add(self, documents: Any, embeddings: Any, around: Surroundings) -> Self:
        embedder = None if embeddings is not None else self._embedder_for_new()
        run, topics = self._run_with_rows, self._topics
        arriving = Arriving(documents, embeddings, embedder, self._tokenizing, self._trust,
                            self.block_size, self._preprocessing.embed)  # fmt: skip
        if self._in_memory and isinstance(documents, list | tuple):
            held = [*self._documents, *documents]
        else:
            held = None
        n_versions = len(run.versions)
        self._swap(updating.add_documents(run, topics, arriving, around, self._represent))
        if len(run.versions) > n_versions:
            self._in_memory, self._documents = held is not None, held
            self._warn_of_drift()
        return self

    def _warn_of_drift(self) -> None:
        fit, *_, last = updating.drift(self._run_with_rows, self._topics)
        much = max(DRIFT_SHARE, fit["outliers"] + DRIFT_SHARE)
        if last["outliers"] > much or last["far"] > fit["far"] + DRIFT_SHARE:
            logger.warning(
                "of the new documents %.0f %% are outliers (%.0f %% of those that were fitted) and "
                "%.0f %% lie far from the sample: fit again on all documents",
                100 * last["outliers"], 100 * fit["outliers"], 100 * last["far"],
            )  # fmt: skip

    def approximate_distribution(
        self,
        documents: str | Sequence[str] | None = None,
        window: int = 4,
        stride: int = 1,
        min_similarity: float = 0.1,
        batch_size: int | None = None,
        padding: bool = False,  # noqa: FBT001, FBT002 (BERTopic's signature)
        use_embedding_model: bool = False,  # noqa: FBT001, FBT002
        calculate_tokens: bool = False,  # noqa: FBT001, FBT002
        separator: str = " ",
        *,
        client: Any = None,
    ) -> tuple[Any, list[NDArray[np.float64]] | None]:
        """Return how much of each topic is in each document, by windows of its tokens.

        Parameters
        ----------
        documents : str or list of str, optional
            None: all documents of the fit, from their tokens, block by block.
        window, stride : int, default=4, 1
            Tokens of a window, and from one to the next.
        min_similarity : float, default=0.1
            Windows that are less alike to a topic do not count for it.
        batch_size
            Not needed.
        padding : bool, default=False
            Let windows reach over a document's beginning and end.
        use_embedding_model : bool, default=False
            Compare the windows' embeddings instead of their words; of given `documents` only.
        calculate_tokens : bool, default=False
            Return how much of each topic is in each token too; of given `documents` only.
        separator : str, default=" "
            What joins the tokens of a window that is embedded.
        client : distributed.Client or str, optional

        Returns
        -------
        distributions : ndarray, or dask.array.Array of float64, shape (n_documents, n_topics)
            Rows have a sum of one, or are zero. The run keeps what is not zero.
        token_distributions : list of ndarray of shape (n_tokens, n_topics), or None
        """
        windowing = Windowing(window, stride, padding)
        if documents is None:
            if use_embedding_model or calculate_tokens:
                message = "use_embedding_model and calculate_tokens need documents that are given"
                raise InputError(message)
            stage = reassigning.distributions(
                self._run_with_rows, self._topics, windowing, min_similarity, self._around(client)
            )
            return results.distributions(stage, self._run_with_rows, self._topics), None
        texts = [documents] if isinstance(documents, str) else list(documents)
        block = token_block(tokenize_block(texts, self._tokenizing))
        if use_embedding_model:
            alike = self._windows_by_embedding(block, windowing, min_similarity, separator)
            return _by_rows(block, windowing, alike, tokens=calculate_tokens)
        by_words = weighed(self._run_with_rows.fitted("topics"))
        if not calculate_tokens:
            return by_words.distributions(block, windowing, min_similarity).toarray(), None
        found, offsets = by_words.of_tokens(block, windowing, min_similarity)
        return _of_documents(found.toarray(), offsets)

    @property
    def _tokenizing(self) -> Counting:
        """Return what makes the same tokens of new texts as of those that were fitted.

        Raises
        ------
        InputError
            Where the vectorizer is not known, as of a run that was opened.
        """
        run = self._run_with_rows
        wanted, plan = run.fitted("tokens").fingerprint, plan_key(run)
        for vectorizer in (self.vectorizer_model, *getattr(self, "_vectorizers", [])):
            counting = self._counting_by(vectorizer)
            if fingerprint("tokens", counting.describe_tokens(), [plan]) == wanted:
                return counting
        message = (
            "the vectorizer that made this run's tokens is not known here; set it: "
            "model.vectorizer_model = …"
        )
        raise InputError(message)

    def _counting_by(self, vectorizer: Any) -> Counting:
        return as_counting(
            vectorizer, n_gram_range=self.n_gram_range, min_df_scope=self.min_df_scope,
            preprocess=self._preprocessing.count,
        )  # fmt: skip

    def _windows_by_embedding(
        self, block: TokenBlock, windowing: Windowing, least: float, separator: str
    ) -> NDArray[np.float64]:
        embedder = self._embedder_for_new()
        if embedder is None:
            message = "the embeddings were given, so the model that made them is not known"
            raise EmbeddingError(message)
        embedder = settled(embedder, self._run_with_rows, InProcessExecutor())
        words = block.vocabulary.to_pylist()
        windows = windows_of(block.offsets, windowing)
        texts = [
            separator.join(words[i] for i in block.ids[start : start + length])
            for start, length in zip(windows.starts, windows.lengths, strict=True)
        ]
        topics = self._topics
        inside = np.array(topics.ids) >= 0
        alike = unit(embedder.encode(texts)) @ unit(topics.centroids[inside]).T
        return np.where(alike < least, 0, alike)


def _windowing(params: Mapping[str, Any]) -> Windowing:
    known = {"window", "stride", "padding"}
    ignored = {"batch_size", "separator"}  # they do not change what is found
    unknown = sorted(set(params) - known - ignored)
    if unknown:
        message = f"distributions_params has {unknown}; known are {sorted(known)}"
        raise InputError(message)
    return Windowing(**{name: value for name, value in params.items() if name in known})


def _by_rows(
    block: TokenBlock, windowing: Windowing, alike: NDArray[np.float64], *, tokens: bool
) -> tuple[NDArray[np.float64], list[NDArray[np.float64]] | None]:
    """Sum the similarities of windows by document, and by token where that is asked for."""
    from scipy.sparse import csr_matrix
    from sklearn.preprocessing import normalize

    windows = windows_of(block.offsets, windowing)
    if not tokens:
        summed = added_up(csr_matrix(alike), windows.documents, block.n_documents)
        return normalize(summed, norm="l1").toarray(), None
    of_tokens = np.zeros((len(block.ids), alike.shape[1]))
    for start, length, row in zip(windows.starts, windows.lengths, alike, strict=True):
        of_tokens[start : start + length] += row
    return _of_documents(of_tokens, block.offsets)


def _of_documents(
    of_tokens: NDArray[np.float64], offsets: NDArray[np.int64]
) -> tuple[NDArray[np.float64], list[NDArray[np.float64]]]:
    from sklearn.preprocessing import normalize

    found = [of_tokens[a:b] for a, b in itertools.pairwise(offsets)]
    # a document without tokens has one row of zeros, as in BERTopic
    found = [rows if len(rows) else np.zeros((1, of_tokens.shape[1])) for rows in found]
    summed = np.array([rows.sum(axis=0) for rows in found])
    return normalize(summed, norm="l1"), found
