"""Other topics for documents, and other words for topics: `reduce_outliers`, `update_topics`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtopics.data import OUTLIER, Block, Result
from dtopics.embedding.given import ArrayRows, BlockRows, ReadRows, check_given
from dtopics.errors import InputError, NotFittedError, SettingError
from dtopics.execution import Executor, InProcessExecutor
from dtopics.pipeline import count
from dtopics.planning import Surroundings, array_digest, plan_key, planned
from dtopics.report.results import dense_topics, sparse_topics
from dtopics.representation.centroids import sizes
from dtopics.representation.ctfidf import ClassTfidfTransformer
from dtopics.representation.steps import TokenizeBlock
from dtopics.representation.vectorizer import Counting, counting_of
from dtopics.representation.vocabulary_steps import find_vocabulary
from dtopics.representation.windows import Windowing
from dtopics.store import Run, Stage
from dtopics.store.fingerprint import fingerprint
from dtopics.topics import Topics
from dtopics.topics.counted import Naming, RenameTopics
from dtopics.topics.distributions import (
    ByProbabilities,
    ByVectors,
    ByWindows,
    ByWords,
    DistributeBlock,
    ReassignOutliers,
    Strategy,
)
from dtopics.topics.steps import assemble
from dtopics.versions import Represent, check_current, executor_of, write_assignments

STRATEGIES = ("probabilities", "distributions", "c-tf-idf", "embeddings")
#: So many blocks are done in this process, where no cluster is there.
FEW_BLOCKS = 4


@dataclass(frozen=True)
class Reducing:
    """How outliers find a topic.

    Attributes
    ----------
    strategy : str
        One of `STRATEGIES`.
    threshold : float
        How alike a document and its topic are at least.
    probabilities, embeddings : array or None
        Rows of the documents, where they are given.
    windowing : Windowing
        For ``"distributions"``.
    """

    strategy: str
    threshold: float
    probabilities: Any = None
    embeddings: Any = None
    windowing: Windowing = field(default_factory=Windowing)


@dataclass(frozen=True)
class Renaming:
    """What is to be other about the words of topics; None stays as it is.

    Attributes
    ----------
    counting : Counting or None
    n_gram_range : tuple of int or None
        Where `counting` is None.
    ctfidf : ClassTfidfTransformer or None
    top_n_words : int or None
    """

    counting: Counting | None = None
    n_gram_range: tuple[int, int] | None = None
    ctfidf: ClassTfidfTransformer | None = None
    top_n_words: int | None = None


def reduce_outliers(
    run: Run, topics: Topics, reducing: Reducing, assigned: Any, around: Surroundings
) -> Stage:
    """Leave a topic for each document in which outliers have one where a strategy finds it.

    Returns
    -------
    Stage
        With an array ``topics``.

    Raises
    ------
    InputError, SettingError, NotFittedError
    """
    if reducing.strategy not in STRATEGIES:
        message = f"strategy must be one of {', '.join(STRATEGIES)}, not {reducing.strategy!r}"
        raise SettingError(message)
    check_current(run, topics)
    labels, lookup = assigned_topics(run, topics, assigned)
    strategy, reads = _strategy(run, topics, reducing)
    about = {
        "strategy": reducing.strategy, "threshold": reducing.threshold, "lookup": list(lookup),
        "windows": [getattr(reducing.windowing, n) for n in ("window", "stride", "padding")],
    }  # fmt: skip
    version, documents = run.fitted("topics"), run.fitted("documents")
    stage = run.stage("reassigned", about, [version, labels, documents, *reads])
    step = ReassignOutliers(documents, labels, lookup, strategy)
    if _held(reducing):  # workers cannot read what this process holds
        InProcessExecutor(around.progress).map_blocks(stage, step, run.blocks())
        return stage
    with executor_of(run, around, FEW_BLOCKS) as executor:
        executor.map_blocks(stage, step, run.blocks())
    return stage


def _held(reducing: Reducing) -> bool:
    given = reducing.embeddings if reducing.strategy == "embeddings" else reducing.probabilities
    return given is not None and not isinstance(given, str)


def _strategy(run: Run, topics: Topics, reducing: Reducing) -> tuple[Strategy, list[Stage | str]]:
    """Return what finds topics, and what it reads beside the version."""
    threshold, n_rows = float(reducing.threshold), _n_rows(run)
    tokens, version = run.fitted("tokens"), run.fitted("topics")
    if reducing.strategy == "c-tf-idf":
        return ByWords(tokens, version, threshold), [tokens]
    if reducing.strategy == "distributions":
        return ByWindows(tokens, version, threshold, reducing.windowing), [tokens]
    if reducing.strategy == "embeddings":
        if reducing.embeddings is None:
            stage = run.fitted("embeddings")
            rows: Callable[[Block], Any] = ArrayOf(stage, "embeddings")
            return ByVectors(rows, topics.ids, topics.centroids, threshold), [stage]
        check_given(reducing.embeddings, n_rows, run.location.storage_options)
        given, key = given_rows(reducing.embeddings, run)
        return ByVectors(BlockRows(given, run.starts), topics.ids, topics.centroids, threshold), [
            key
        ]
    n_topics = topics.n_topics
    if reducing.probabilities is not None:
        array = np.asarray(reducing.probabilities)
        if array.shape != (n_rows, n_topics):
            message = (
                f"probabilities have shape {array.shape}; expected a row for each document and a "
                f"column for each topic, ({n_rows}, {n_topics})"
            )
            raise InputError(message)
        rows = BlockRows(ArrayRows(array), run.starts)
        return ByProbabilities(rows, topics.ids, threshold), [array_digest(array)]
    if not run.has_fitted("memberships"):
        message = "there are no probabilities: fit with calculate_probabilities=True, or give them"
        raise NotFittedError(message)
    stage = run.fitted("memberships")
    rows = MembershipsOf(stage, tuple(topics.lookup.tolist()), n_topics)
    return ByProbabilities(rows, topics.ids, threshold), [stage]


def update_topics(
    run: Run,
    topics: Topics,
    new_topics: Any,
    renaming: Renaming,
    made: str,
    around: Surroundings,
    represent: Represent,
) -> Topics:
    """Give documents other topics, or topics other words, and take the result into use.

    Counts are made anew from the tokens that the run keeps; the corpus is read again only where a
    vectorizer makes other tokens. Topics keep their numbers.

    Raises
    ------
    InputError, SettingError, RunError
    """
    check_current(run, topics)
    naming = Naming.from_json(run.fitted("topics").whole_json("topics")["naming"])
    counting = _counting(run, naming, renaming)
    named = Naming(
        renaming.ctfidf or naming.ctfidf,
        renaming.top_n_words or naming.top_n_words,
        counting.describe_counting(),
        naming.seeds,
    )
    labels, mapping = run.labelled, dict(topics.mapping)
    if new_topics is not None:
        labels, mapping = _relabelled(run, topics, new_topics)
    with executor_of(run, around, FEW_BLOCKS) as executor:
        tokens, vocabulary = run.fitted("tokens"), run.fitted("vocabulary")
        if renaming.counting is not None:
            tokens = run.stage("tokens", counting.describe_tokens(), [plan_key(run)])
            for segment, read in planned(run):
                executor.map_blocks(tokens, TokenizeBlock(read, counting), segment.blocks)
        if renaming.counting is not None or renaming.n_gram_range is not None:
            vocabulary = find_vocabulary(
                run, counting, run.over_segments(tokens), run.blocks(), executor
            )
        counted = recount(run, counting, tokens, vocabulary, labels, executor)
    stage = rename(run, counted, counting, named, mapping)
    return take_version(run, topics, stage, labels, made, around, represent, counted)


def recount(
    run: Run,
    counting: Counting,
    tokens: Stage,
    vocabulary: Stage,
    labels: Stage,
    executor: Executor,
) -> dict[str, Stage]:
    """Count the terms and sum the vectors of each label; return the stages by name."""
    documents, embeddings = run.over_segments(run.fitted("documents")), run.fitted("embeddings")
    totals, centroids = count(
        run, run.blocks(), counting, run.over_segments(tokens), vocabulary, labels, documents,
        embeddings, executor,
    )  # fmt: skip
    return {"tokens": tokens, "vocabulary": vocabulary, "topic counts": totals,
            "centroids": centroids, labels.name: labels}  # fmt: skip


def rename(
    run: Run,
    counted: Mapping[str, Stage],
    counting: Counting,
    naming: Naming,
    mapping: Mapping[int, int],
) -> Stage:
    """Leave a version of topics that keep their numbers; those without documents go."""
    totals, centroids, vocabulary = (
        counted[name] for name in ("topic counts", "centroids", "vocabulary")
    )
    present = sizes(centroids.whole_table("sums"))
    mapping = dict.fromkeys(present, OUTLIER) | dict(mapping)
    there = {mapping[label] for label in present}
    mapping = {label: topic for label, topic in mapping.items() if topic in there}
    about = {"mapping": sorted(mapping.items()), "naming": naming.to_json()}
    stage = run.stage("topics", about, [totals, centroids, vocabulary])
    step = RenameTopics(totals, centroids, vocabulary, counting, naming, mapping)
    InProcessExecutor().run(stage, step)
    return stage


def take_version(
    run: Run,
    topics: Topics,
    stage: Stage,
    labels: Stage,
    made: str,
    around: Surroundings,
    represent: Represent,
    changed: Mapping[str, Stage],
) -> Topics:
    """Take the version of a stage into use, with the examples and labels of the one before."""
    updated = assemble(stage, topics.examples)
    kept = {topic: label for topic, label in topics.labels.items() if topic in updated.ids}
    given = {topic: name for topic, name in topics.given.items() if topic in updated.ids}
    updated = represent(replace(updated, labels=kept, given=given), stage)
    version = fingerprint("updated", {"content": updated.content()}, [stage.fingerprint])
    updated.save(run.topics_folder(version))
    write_assignments(run, updated, around, labels)
    stages = {name: held.fingerprint for name, held in changed.items()}
    run.add_version(version, made, {**stages, "topics": stage.fingerprint})
    return updated


def counting_in_use(run: Run, naming: Naming) -> Counting:
    """Return what the version in use was counted by; it cannot tokenise."""
    terms = run.fitted("vocabulary").whole_table("vocabulary")["term"].to_pylist()
    return counting_of(naming.counting, terms)


def _counting(run: Run, naming: Naming, renaming: Renaming) -> Counting:
    """Return the new counting, or the one that the version in use was counted by."""
    if renaming.counting is not None:
        return renaming.counting
    counting = counting_in_use(run, naming)
    if renaming.n_gram_range is None:
        return counting
    if naming.counting["vocabulary"] is not None:
        message = "the vectorizer's vocabulary is fixed, so n_gram_range changes nothing"
        raise SettingError(message)
    return replace(counting, n_gram_range=renaming.n_gram_range)


def _relabelled(run: Run, topics: Topics, new_topics: Any) -> tuple[Stage, dict[int, int]]:
    """Leave labels under which documents have new topics, and return the topic of each label.

    A document whose topic stays keeps its label. The others get the label of their new topic,
    beyond those of the clusters, so that new documents are still predicted by cluster.
    """
    rows, key, ids = _given_topics(run, new_topics)
    clusters = fitted_labels(run)
    base = max(_fitted_clusters(run), default=OUTLIER) + 2  # of the label of topic 0
    mapping = {label: topic for label, topic in topics.mapping.items() if label < base - 1}
    lookup = np.full(base, OUTLIER, np.int32)
    for label, topic in mapping.items():
        lookup[label + 1] = topic
    stage = run.stage("labels", {"base": base, "lookup": lookup.tolist()}, [clusters, key])
    step = RelabelBlock(clusters, tuple(lookup.tolist()), base, rows)
    InProcessExecutor().map_blocks(stage, step, run.blocks())
    return stage, mapping | {base + topic: topic for topic in ids}


def fitted_labels(run: Run) -> Stage:
    """Return the labels of the fit."""
    first = run.versions[0]["stages"]
    clusters = run.fitted("clusters")
    if "labels" not in first:
        return clusters
    return clusters.beside("labels", first["labels"], clusters.segments)


def _fitted_clusters(run: Run) -> set[int]:
    """Return the clusters of the fit; later versions may have labels beyond them."""
    first = run.versions[0]["stages"]["topics"]
    stage = run.fitted("topics").beside("topics", first, ())
    return {int(cluster) for cluster, _ in stage.whole_json("topics")["mapping"]}


@dataclass(frozen=True)
class RelabelBlock:
    """Give a block's documents labels that map to their new topics."""

    clusters: Stage
    lookup: tuple[int, ...]
    base: int
    rows: Callable[[Block], NDArray[Any]]

    def __call__(self, block: Block) -> Result:
        """Return ``labels`` and ``probabilities``, which stay."""
        labels = self.clusters.array("labels", block)
        topics = self.rows(block).astype(np.int32)
        stays = np.array(self.lookup, np.int32)[labels + 1] == topics
        return {
            "labels": np.where(stays, labels, self.base + topics).astype(np.int32),
            "probabilities": self.clusters.array("probabilities", block),
        }


def assigned_topics(run: Run, topics: Topics, assigned: Any) -> tuple[Stage, tuple[int, ...]]:
    """Return where labels of the documents are, and the topic of each label from −1 on."""
    if assigned is None:
        return run.labelled, tuple(topics.lookup.tolist())
    rows, key, ids = _given_topics(run, assigned)
    unknown = sorted(set(ids) - set(topics.ids) - {OUTLIER})
    if unknown:
        message = f"topics name {unknown[:5]}, which there are not"
        raise InputError(message)
    stage = run.stage("given topics", {"codes": key})
    InProcessExecutor().map_blocks(stage, LabelRows(rows), run.blocks())
    return stage, tuple(range(OUTLIER, max(topics.ids) + 1))


def _given_topics(run: Run, given: Any) -> tuple[BlockRows, str, list[int]]:
    """Return what reads topics that a caller gave, their key, and which there are.

    Raises
    ------
    InputError
        Where they are not a whole number of at least −1 for each document.
    """
    n_rows = _n_rows(run)
    shape = tuple(getattr(given, "shape", None) or (len(given),))
    if shape != (n_rows,):
        message = f"topics have shape {shape}; expected a whole number for each of the "
        raise InputError(message + f"{n_rows:,} documents")
    if hasattr(given, "dask"):
        rows, found, keys = BlockRows(DaskRows(given), run.starts), [], []
        for block in run.blocks():
            values = rows(block)
            found.append(np.unique(values))
            keys.append(array_digest(values))
        ids, key = np.unique(np.concatenate(found)), fingerprint("codes", {"blocks": keys})
    else:
        array = np.asarray(given)
        rows = BlockRows(ArrayRows(array), run.starts)
        ids, key = np.unique(array), array_digest(array)
    if ids.dtype.kind not in "iu" or ids.min(initial=0) < OUTLIER:
        message = f"topics must be whole numbers of at least −1, not {ids.dtype} from {ids.min()}"
        raise InputError(message)
    return rows, key, ids.tolist()


@dataclass(frozen=True)
class DaskRows:
    """Rows of a Dask array, computed where they are asked for."""

    array: Any

    def __call__(self, row_start: int, n_rows: int) -> NDArray[Any]:
        """Return consecutive rows."""
        part = self.array[row_start : row_start + n_rows]
        return np.asarray(part.compute(scheduler="threads"))


@dataclass(frozen=True)
class LabelRows:
    """Keep a block's labels that a caller knows."""

    rows: Callable[[Block], NDArray[Any]]

    def __call__(self, block: Block) -> Result:
        """Return the array ``labels``, shape (n_rows,), int32."""
        return {"labels": self.rows(block).astype(np.int32)}


@dataclass(frozen=True)
class ArrayOf:
    """Reads a block's rows of a stage's array."""

    stage: Stage
    name: str

    def __call__(self, block: Block) -> NDArray[Any]:
        """Return the rows."""
        return self.stage.array(self.name, block)


@dataclass(frozen=True)
class MembershipsOf:
    """Reads a block's memberships in every topic."""

    stage: Stage
    lookup: tuple[int, ...]
    n_topics: int

    def __call__(self, block: Block) -> NDArray[np.float32]:
        """Return the rows, shape (n_rows, n_topics)."""
        lookup = np.array(self.lookup, np.int32)
        dense = (self.stage.location / "data.zarr" / block.segment / "dense").exists()
        if dense:
            vectors = self.stage.array("dense", block)
            return dense_topics(vectors, lookup=lookup, n_topics=self.n_topics)
        clusters, values = (self.stage.array(name, block) for name in ("cluster", "membership"))
        return sparse_topics(clusters, values, lookup=lookup, n_topics=self.n_topics)


def distributions(
    run: Run, topics: Topics, windowing: Windowing, least: float, around: Surroundings
) -> Stage:
    """Leave how much of each topic is in each document of the run, sparse."""
    check_current(run, topics)
    tokens, version = run.fitted("tokens"), run.fitted("topics")
    about: Mapping[str, Any] = {
        "least": float(least),
        "windows": [getattr(windowing, name) for name in ("window", "stride", "padding")],
    }
    stage = run.stage("distributions", about, [tokens, version])
    with executor_of(run, around, FEW_BLOCKS) as executor:
        step = DistributeBlock(tokens, version, windowing, float(least))
        executor.map_blocks(stage, step, run.blocks())
    return stage


def given_rows(given: Any, run: Run) -> tuple[Callable[[int, int], NDArray[Any]], str]:
    """Return what reads rows that a caller gave, and their identity."""
    if isinstance(given, str):
        rows = ReadRows(given, run.location.storage_options)
        return rows, rows.key()
    if hasattr(given, "dask"):
        return DaskRows(given), fingerprint("dask", {"name": given.name})
    array = np.asarray(given)
    return ArrayRows(array), array_digest(array)


def _n_rows(run: Run) -> int:
    return sum(block.n_rows for block in run.blocks())
