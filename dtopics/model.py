"""`TopicModel`: what users hold."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sklearn.base import BaseEstimator

from dtopics import jobs
from dtopics.corpus.preprocess import Preprocessing, as_preprocessing
from dtopics.data import OUTLIER
from dtopics.document_steps import DocumentSteps
from dtopics.errors import InputError, SettingError
from dtopics.exchange import Exchange
from dtopics.execution.cluster import LocalSettings
from dtopics.execution.progress import LogProgress, Progress, SilentProgress
from dtopics.later import LaterSteps
from dtopics.pictures import Pictures
from dtopics.planning import Surroundings, is_list
from dtopics.reading import Reading
from dtopics.recipes import membership_form
from dtopics.report import results
from dtopics.store import Location, Run
from dtopics.store.temporary import temporary_folder
from dtopics.topics import Topics

if TYPE_CHECKING:
    pass

logger = logging.getLogger("dtopics")


class TopicModel(Reading, LaterSteps, DocumentSteps, Pictures, Exchange, BaseEstimator):  # type: ignore[misc]
    """Topics of documents, over all of them, on one machine or many.

    Parameters
    ----------
    language : str, default="english"
        Which embedding model is the default: ``"english"`` or ``"multilingual"``.
    top_n_words : int, default=10
        Words that stand for a topic.
    n_gram_range : tuple of int, default=(1, 1)
        Lengths of the terms that are counted, where no `vectorizer_model` is given.
    min_topic_size : int, default=10
        The least number of documents of a topic.
    nr_topics : int, "auto" or None, default=None
        Merge the topics to so many, the outliers counted.
    embedding_model : str, object or None
        A sentence-transformers name or path, an object with `encode`, a scikit-learn pipeline.
        ``"static"``: static embeddings, distilled from the default. None: all-MiniLM-L6-v2, or its
        multilingual sibling.
    umap_model : object or None
        `dtopics.UMAP`, ``umap.UMAP``, or any scikit-learn transformer. None: UMAP with BERTopic's
        settings.
    hdbscan_model : object or None
        `dtopics.HDBSCAN`, ``hdbscan.HDBSCAN``, or any scikit-learn clusterer. None: HDBSCAN with
        ``min_cluster_size=min_topic_size``. A scikit-learn classifier learns the classes (`y` of
        `fit`), which are the topics, and finds those of new documents.
    vectorizer_model : CountVectorizer or None
        Its pruning is exact and over all documents.
    ctfidf_model : ClassTfidfTransformer or None
        `dtopics.ClassTfidfTransformer` or BERTopic's.
    representation_model : object, list of object, dict of str to either, or None
        What chooses the words of topics from those of c-TF-IDF: `dtopics.KeyBERTInspired`,
        `dtopics.MaximalMarginalRelevance`, or any of BERTopic's (its services are asked once for a
        topic, and the run keeps the answers). A list is a chain, a dict has aspects, of which
        ``"Main"`` stands for the topic.
    seed_topic_list : list of list of str, optional
        Words of topics that documents are drawn to: those nearest to one are moved a quarter of the
        way to it before they are reduced, UMAP is told of it, and its words weigh 1.2 times more.
    zeroshot_topic_list : list of str, optional
        Names of topics. Documents alike to a name make a topic of that name; the others are
        clustered.
    zeroshot_min_similarity : float, default=0.7
        How alike a document must be to a name, by the cosine of their embeddings.
    calculate_probabilities : bool or {"dense", "sparse"}, default=False
        The membership of each document in every topic, by HDBSCAN's soft clustering. True: dense
        for a list, where `probabilities_` is a matrix then as in BERTopic; for a corpus sparse,
        the eight largest of each document.
    low_memory : bool, default=False
        Accepted for BERTopic's sake, and not needed.
    min_df_scope : {"document", "topic"}, default="document"
        What `min_df`, `max_df` of the vectorizer count: documents, or topics as in BERTopic.
    preprocess : callable, "strip_html", or dict of str to either, optional
        Changes texts before they are embedded and counted; what is kept and shown of documents
        stays as it is. A function gets a list of the texts of a block and returns as many. A dict
        has ``"embed"``, ``"count"`` or both.
    random_state : int or None, default=42
        The same answer each time; None buys speed.
    sample_size : int, default=100_000
        How many documents the reduction is fitted on; all others are placed by it.
    refine : bool, int or None, default=None
        Move all documents by UMAP's forces after they were placed, for so many epochs (True: 200):
        UMAP on all of them, for what a sample misses. A sample that is the whole corpus needs none.
        None: True where the reduction is UMAP, and no classes are given.
    block_size : int or None, default=None
        Documents of a block; it never changes the result. None: 16,384, fewer for a small corpus.
    run : str or None, default=None
        URL of the run directory. None: a temporary one, gone with the model.
    storage_options : mapping or None
        What fsspec needs to open `run`. Never written.
    verbose : bool, default=False
        Say in the log ``dtopics`` what is going on.

    Attributes
    ----------
    topics_ : list of int, or dask.array.Array of int32, shape (n_documents,)
        Topic of each document, −1 for outliers. Lazy unless a list was fitted.
    probabilities_ : ndarray or dask.array.Array of float32, shape (n_documents,)
    memberships_ : dask.array.Array of float32, shape (n_documents, n_topics)
        With `calculate_probabilities`: how much each document belongs to each topic.
    labels_ : the same as `topics_`, as scikit-learn names it
    topic_sizes_ : dict of int to int
    topic_representations_ : dict of int to list of (str, float)
    topic_aspects_ : dict of str to dict of int to list of (str, float)
    topic_labels_ : dict of int to str
    topic_embeddings_ : ndarray of float32, shape (n_topics, n_features)
        Mean embedding of each topic, −1 first where there are outliers.
    c_tf_idf_ : csr_matrix of float64, shape (n_topics, n_terms)
    custom_labels_ : list of str or None
        Labels that were set, in the order of the topics.
    versions_ : pandas.DataFrame
        What was done to the topics since the fit.
    drift_ : pandas.DataFrame
        How the documents of each update differ from those of the fit.
    quarantined_ : pandas.DataFrame
        The documents that a step failed on each time, with their ids and the reason.
    messages_ : list of str
        What looks wrong with the topics, each with the setting that changes it.
    run_ : str
        URL of the run directory.

    References
    ----------
    M. Grootendorst, "BERTopic: Neural topic modeling with a class-based TF-IDF procedure", 2022,
    arXiv:2203.05794.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> documents = ["apple pear plum"] * 30 + ["engine wheel brake"] * 30
    >>> vectors = np.repeat(np.eye(2, 8), 30, axis=0) + rng.normal(0, 0.05, (60, 8))
    >>> model = TopicModel(min_topic_size=10)
    >>> topics, probabilities = model.fit_transform(documents, vectors)
    >>> sorted(word for word, _ in model.get_topic(topics[0]) if word)
    ['apple', 'pear', 'plum']
    """

    def __init__(
        self,
        language: str = "english",
        top_n_words: int = 10,
        n_gram_range: tuple[int, int] = (1, 1),
        min_topic_size: int = 10,
        nr_topics: int | str | None = None,
        *,
        embedding_model: Any = None,
        umap_model: Any = None,
        hdbscan_model: Any = None,
        vectorizer_model: Any = None,
        ctfidf_model: Any = None,
        representation_model: Any = None,
        seed_topic_list: Sequence[Sequence[str]] | None = None,
        zeroshot_topic_list: Sequence[str] | None = None,
        zeroshot_min_similarity: float = 0.7,
        calculate_probabilities: bool | str = False,
        low_memory: bool = False,
        min_df_scope: str = "document",
        preprocess: Any = None,
        random_state: int | None = 42,
        sample_size: int = 100_000,
        refine: bool | int | None = None,
        block_size: int | None = None,
        run: str | None = None,
        storage_options: Mapping[str, Any] | None = None,
        verbose: bool = False,
    ) -> None:
        self.language = language
        self.top_n_words = top_n_words
        self.n_gram_range = n_gram_range
        self.min_topic_size = min_topic_size
        self.nr_topics = nr_topics
        self.embedding_model = embedding_model
        self.umap_model = umap_model
        self.hdbscan_model = hdbscan_model
        self.vectorizer_model = vectorizer_model
        self.ctfidf_model = ctfidf_model
        self.representation_model = representation_model
        self.seed_topic_list = seed_topic_list
        self.zeroshot_topic_list = zeroshot_topic_list
        self.zeroshot_min_similarity = zeroshot_min_similarity
        self.calculate_probabilities = calculate_probabilities
        self.low_memory = low_memory
        self.min_df_scope = min_df_scope
        self.preprocess = preprocess
        self.random_state = random_state
        self.sample_size = sample_size
        self.refine = refine
        self.block_size = block_size
        self.run = run
        self.storage_options = storage_options
        self.verbose = verbose

    def fit(
        self, documents: Any, embeddings: Any = None, y: Any = None, *, client: Any = None
    ) -> TopicModel:
        """Find the topics of documents.

        Parameters
        ----------
        documents : list of str, URL, Corpus, pandas or Dask Series or DataFrame, Dask Bag
            A list holds the documents themselves; a string is the URL of files.
        embeddings : array, Dask array or URL of a Zarr array, shape (n_documents, n_features)
            Computed where none are given.
        y : array-like of int, shape (n_documents,), optional
            Classes that the reduction is told of, −1 where unknown.
        client : distributed.Client or str, optional
            A Dask client or a scheduler's address. None: the current client, else
            ``DASK_SCHEDULER_ADDRESS``, else a local cluster for this call (or this process, for
            a corpus of one or two blocks).

        Returns
        -------
        TopicModel
            Itself.

        Raises
        ------
        InputError
            The documents, embeddings or settings cannot be used; known before work starts.
        RunError
            The run directory holds another corpus or cannot be written.
        ClusterError
            The cluster cannot serve.
        BlockError
            Names the blocks that failed every time; run the same again to go on.
        """
        return self._fit(documents, embeddings, y, client=client)

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        return self._without_secrets(super().__repr__(N_CHAR_MAX))

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        """Return what notebooks show."""
        shown = super()._repr_mimebundle_(**kwargs)
        return {kind: self._without_secrets(text) for kind, text in shown.items()}

    def _without_secrets(self, text: str) -> str:
        options = self.storage_options or {}
        return Location("memory://", options).without_secrets(text)

    def fit_transform(
        self, documents: Any, embeddings: Any = None, y: Any = None, *, client: Any = None
    ) -> tuple[Any, Any]:
        """Find the topics of documents and return them; parameters as in `fit`.

        Returns
        -------
        topics : list of int, or dask.array.Array
            A list where a list was given; lazy otherwise.
        probabilities : ndarray or dask.array.Array of float32, shape (n_documents,)
        """
        self.fit(documents, embeddings, y, client=client)
        return self.topics_, self.probabilities_

    def transform(
        self,
        documents: Any,
        embeddings: Any = None,
        *,
        out: str | None = None,
        client: Any = None,
    ) -> tuple[Any, Any]:
        """Give new documents a topic each.

        Parameters
        ----------
        documents, embeddings, client
            As in `fit`: a string is the URL of files; one document is a list of one.
        out : str, optional
            URL where ``doc_id, topic, probability`` are written as Parquet, resumable. None: a
            temporary directory that goes with the model.

        Returns
        -------
        topics : list of int, or dask.array.Array
        probabilities : ndarray or dask.array.Array of float32, shape (n_documents,)
            With `calculate_probabilities`, memberships in every topic, shape
            (n_documents, n_topics).
        """
        return self._transform(documents, embeddings, out=out, client=client)

    def save(self, path: str, *, storage_options: Mapping[str, Any] | None = None) -> None:
        """Write a predictor of a few megabytes, without the corpus.

        It gives a new document the topic whose centroid is nearest to its embedding, as a BERTopic
        model loaded from safetensors does. The run directory keeps the whole model.

        Parameters
        ----------
        path : str
            URL of a folder that is new or empty.
        storage_options : mapping, optional
        """
        topics = self._topics
        target = Run(Location(path, storage_options or {}))
        if (target.location / "run.json").exists():
            message = f"there is a run at {path} already; save to a folder of its own"
            raise InputError(message)
        target.check_writable()
        fitted = self._run.finished
        target.begin(fitted["config"])
        topics.save(target.topics_folder(fitted["topics_version"]))
        target.finish(fitted["topics_version"])

    @classmethod
    def load(
        cls,
        run: str,
        embedding_model: Any = None,
        *,
        storage_options: Mapping[str, Any] | None = None,
        trust: bool = False,
    ) -> TopicModel:
        """Open a run, or a saved predictor. No code of it is executed.

        Parameters
        ----------
        run : str
            URL of the run directory, or of what `save` wrote.
        embedding_model : object, optional
            The model to embed new documents with, where the run knows it by description only.
        storage_options : mapping, optional
        trust : bool, default=False
            Open objects that only pickle can keep (foreign reducers and clusterers). They can
            execute code: say so only of runs that you made.
        """
        opened = Run.open(Location(run, storage_options or {}))
        params = results.known_params(opened.finished["config"], cls._get_param_names())
        model = cls(**params, run=run, storage_options=storage_options)
        if embedding_model is not None:
            model.embedding_model = embedding_model
        model._trust = trust
        model._take(opened)
        return model

    def __sklearn_is_fitted__(self) -> bool:
        """Whether there are topics."""
        return hasattr(self, "_fitted_topics")

    def _fit(
        self,
        documents: Any,
        embeddings: Any,
        y: Any,
        *,
        client: Any = None,
        progress: Progress | None = None,
        local: LocalSettings | None = None,
    ) -> TopicModel:
        if self.run is None:
            in_memory = is_list(documents)
            self._temporary = temporary_folder(self if in_memory else None)
        url = self._temporary if self.run is None else self.run
        location = Location(url, self.storage_options or {})
        around = Surroundings(location, client, progress or progress_of(self.verbose), local)
        job = jobs.run_fit(self.get_params(deep=False), documents, embeddings, y, around)
        self._in_memory = is_list(documents)
        self._documents = documents if self._in_memory else None
        self._embedder = job.fitted.embedder
        self._trust = True
        self._run, self._fitted_topics = job.run, job.fitted.topics
        self._messages = None
        for message in self.messages_:
            logger.warning(message)
        return self

    def _transform(
        self,
        documents: Any,
        embeddings: Any = None,
        *,
        out: str | None = None,
        client: Any = None,
        progress: Progress | None = None,
        local: LocalSettings | None = None,
    ) -> tuple[Any, Any]:
        topics = self._topics
        options = self.storage_options or {}
        in_memory = is_list(documents)
        temporary = temporary_folder(self if in_memory else None) if out is None else None
        folder = Location(temporary or str(out), {} if temporary else options)
        around = Surroundings(
            folder,
            client,
            progress or progress_of(self.verbose),
            local,
        )
        embedder = None if embeddings is not None else self._embedder_for_new()
        form = membership_form(self.calculate_probabilities, listed=in_memory)
        work = jobs.run_transform(
            self._run, topics, embedder, documents, embeddings, folder, around,
            trust=self._trust, block_size=self.block_size, memberships=form,
            preprocessing=self._preprocessing,
        )  # fmt: skip
        calculated = form is not None and "memberships" in work.state["stages"]
        lazy = results.memberships(work.fitted("memberships"), topics) if calculated else None
        if in_memory:
            found = results.read_assignments(folder, work)
            if lazy is not None:
                found = found[0], lazy.compute(scheduler="threads")
            if temporary:
                shutil.rmtree(temporary, ignore_errors=True)
            return found
        found = results.lazy_assignments(folder, work)
        return found if lazy is None else (found[0], lazy)

    @property
    def _preprocessing(self) -> Preprocessing:
        """Return what is done to new texts, as to those of the fit.

        Raises
        ------
        SettingError
            Where it was a function that is not known, as of a run that was opened.
        """
        known = self._run.finished["config"].get("preprocess")
        if known is not None and self.preprocess is None:
            message = (
                "the preprocess function of this run is not known here; set it: "
                "model.preprocess = …"
            )
            raise SettingError(message)
        return as_preprocessing(self.preprocess)

    def _around(self, client: Any) -> Surroundings:
        """Return where a later step runs."""
        return Surroundings(self._run.location, client, progress_of(self.verbose))

    def _embedder_for_new(self) -> Any:
        if getattr(self, "_embedder", None) is None:
            self._embedder = results.stored_embedder(
                self._run, self.embedding_model, self.language, self.random_state,
                trust=self._trust,
            )  # fmt: skip
        return self._embedder

    def _take(self, run: Run) -> None:
        """Make this the model of a run that was fitted."""
        version = run.finished["topics_version"]
        self._run, self._fitted_topics = run, Topics.load(run.topics_folder(version))
        self._in_memory, self._documents = False, None
        self._messages = None


def progress_of(verbose: bool) -> Progress:  # noqa: FBT001
    """Return what says how far a job is: nothing, or lines in the log (on stderr by default)."""
    if not verbose:
        return SilentProgress()
    if not logger.hasHandlers():
        logger.addHandler(logging.StreamHandler())
    logger.setLevel(logging.INFO)
    return LogProgress()


__all__ = ["OUTLIER", "TopicModel"]
