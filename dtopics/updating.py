"""New documents for a fitted run: embedded, placed, labelled, and counted as if from the first."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dtopics.clustering.membership_steps import KEPT_CLUSTERS, NewMemberships
from dtopics.clustering.steps import LeaveOut, PredictBlock
from dtopics.corpus import as_corpus, reader_for, segment_from_table, verify_read, verify_sources
from dtopics.corpus.leaving_out import LeaveOutDocuments, left_out
from dtopics.corpus.preprocess import ChangedReader
from dtopics.corpus.steps import DescribeBlock
from dtopics.data import OUTLIER, Block, Result, Segment
from dtopics.embedding.given import check_given
from dtopics.embedding.steps import EmbedBlock, ImportBlock
from dtopics.errors import DamagedError, EmbeddingError, InputError
from dtopics.execution import Executor, InProcessExecutor
from dtopics.execution.cluster import executor_for
from dtopics.jobs import settled
from dtopics.planning import (
    Surroundings,
    computing,
    connected,
    given_embeddings,
    keep_plan,
    plan_file,
    repairing,
)
from dtopics.reassigning import (
    counting_in_use,
    fitted_labels,
    given_rows,
    recount,
    rename,
    take_version,
)
from dtopics.reduction.steps import ReduceBlock, places_on_gpu
from dtopics.representation.steps import TokenizeBlock
from dtopics.representation.vectorizer import Counting
from dtopics.representation.vocabulary_steps import find_vocabulary
from dtopics.steering import guide_new, name_new, put_back_new
from dtopics.store import Run, Stage
from dtopics.store.tables import read_table
from dtopics.topics import Topics
from dtopics.topics.counted import Naming
from dtopics.versions import Represent, check_current

logger = logging.getLogger("dtopics")


@dataclass(frozen=True)
class Arriving:
    """Documents that are added to a run, and what makes vectors and tokens of them.

    Attributes
    ----------
    documents : list of str, URL, Corpus, …
    embeddings : array, Dask array, URL or None
    embedder : Embedder or None
        None where embeddings are given.
    tokenizing : Counting
        Its tokenising half makes the tokens that the run has.
    trust : bool
        Whether models that only pickle can keep may be opened.
    block_size : int or None
    change : callable or None
        What is done to texts before they are embedded.
    """

    documents: Any
    embeddings: Any
    embedder: Any
    tokenizing: Counting
    trust: bool
    block_size: int | None = None
    change: Any = None


def add_documents(
    run: Run, topics: Topics, arriving: Arriving, around: Surroundings, represent: Represent
) -> Topics:
    """Add documents to a run and take the topics of all into use.

    They get their topics as new documents do; words, sizes and centroids are then of all
    documents: the vocabulary is found and counted again from the tokens that the run keeps.
    The same documents again change nothing; an update that was broken off goes on.

    Raises
    ------
    InputError
        The documents were fitted, or lack a column that the run keeps.
    EmbeddingError
        The embeddings are missing or of another width.
    """
    check_current(run, topics)
    with connected(around) as reached:
        with computing(reached.client):
            corpus = as_corpus(arriving.documents)
            corpus.check()
            key = corpus.fingerprint()
        if key == run.state["corpus"]["fingerprint"]:
            message = "these are the documents that were fitted; an update adds others"
            raise InputError(message)
        if key in [segment.get("corpus") for segment in run.segments]:
            logger.info("these documents were added before")
            return topics
        try:
            arriving = replace(arriving, documents=corpus)
            with run.writing("an update"):

                def add() -> Topics:
                    run.load()
                    return _add(run, topics, arriving, key, reached, represent)

                fitted = {(name, key) for name, key in run.finished["stages"].items()}
                segments = {segment["name"] for segment in run.segments}

                def makes(damage: DamagedError) -> bool:
                    """Whether it is of this update: what was fitted is for a fit to mend."""
                    _, name, key = damage.stage.rsplit("/", 2)
                    new = damage.block.partition("/")[0] not in segments | {"whole"}
                    return new or (name, key) not in fitted

                return repairing(run, add, makes)
        finally:
            run.load()  # of an update that was broken off, nothing is looked at


def _add(
    run: Run,
    topics: Topics,
    arriving: Arriving,
    key: str,
    around: Surroundings,
    represent: Represent,
) -> Topics:
    corpus = arriving.documents
    with computing(around.client):
        vectors = "" if arriving.embeddings is None else given_rows(arriving.embeddings, run)[1]
        segment = _plan(run, corpus, key, vectors, arriving.block_size)
    n_blocks = len(run.blocks())  # all are counted
    with executor_for(around.client, run.location, n_blocks=n_blocks, progress=around.progress,
                      local=around.local) as executor:  # fmt: skip
        with computing(around.client):
            labels, placed = _label(run, topics, segment, arriving, around, executor)
        verify_read(segment, corpus.storage_options)
        naming = Naming.from_json(run.fitted("topics").whole_json("topics")["naming"])
        counting, tokens = counting_in_use(run, naming), run.fitted("tokens")
        every = run.over_segments(tokens)
        vocabulary = find_vocabulary(run, counting, every, run.blocks(), executor)
        counted = recount(run, counting, tokens, vocabulary, labels, executor)
    counted |= {held.name: held for held in placed}
    stage = rename(run, counted, counting, naming, topics.mapping)
    made = f"update({segment.n_rows:,} documents)"
    return take_version(run, topics, stage, labels, made, around, represent, counted)


def _plan(run: Run, corpus: Any, key: str, vectors: str, block_size: int | None) -> Segment:
    """Return the plan of the new segment, made now or before, and have the run look at it.

    Of an update that was broken off or undone, what is there serves the same documents with the
    same given embeddings.
    """
    every, n = run.state["segments"], run.n_segments
    same = {"corpus": key, "vectors": vectors}
    waiting = [segment for segment in every[n:] if same.items() <= segment.items()]
    if waiting:
        every.remove(waiting[0])
        every.insert(n, waiting[0])
    if waiting and (file := plan_file(run, waiting[0]["name"])).exists():
        found = segment_from_table(read_table(file))
        verify_sources(found, corpus.storage_options)
    elif waiting:  # damaged, and removed: the same is made again
        name, rows = waiting[0]["name"], waiting[0]["block_rows"]
        spool = run.location / "spool" / name
        found = corpus.plan(segment=name, block_rows=rows, spool=spool, map_=map)
        keep_plan(run, found)
    else:
        name = f"{max(int(segment['name']) for segment in every) + 1:04d}"
        spool = run.location / "spool" / name
        found = corpus.plan(segment=name, block_rows=block_size, spool=spool, map_=map)
        keep_plan(run, found)
        rows = {"name": name, "n_rows": found.n_rows, "block_rows": found.block_rows}
        every.insert(n, {**rows, **same, "described": str(corpus)})
    run.save()
    run.n_segments = n + 1
    return found


def _label(
    run: Run,
    topics: Topics,
    segment: Segment,
    arriving: Arriving,
    around: Surroundings,
    executor: Executor,
) -> tuple[Stage, list[Stage]]:
    """Leave tokens, vectors, places and labels of the new blocks.

    Returns
    -------
    labels : Stage
    placed : list of Stage
        That of the places; none where there is no reducer.
    """
    map_blocks, corpus = executor.map_blocks, arriving.documents
    read = reader_for(segment, corpus.storage_options, run.location / "spool" / segment.name)
    blocks, bare = segment.blocks, [replace(block, pieces=()) for block in segment.blocks]
    changed = read if arriving.change is None else ChangedReader(read, arriving.change)
    documents = run.fitted("documents")
    map_blocks(documents, DescribeBlock(changed), blocks)
    _check_columns(documents, run.blocks()[0], bare[0])
    map_blocks(run.fitted("tokens"), TokenizeBlock(read, arriving.tokenizing), blocks)

    embeddings = run.fitted("embeddings")
    dtype = str(embeddings.array("embeddings", run.blocks()[0]).dtype)
    if arriving.embeddings is not None:
        info = check_given(arriving.embeddings, segment.n_rows, run.location.storage_options)
        _check_width(info.n_features, topics)
        given = given_embeddings(arriving.embeddings, segment.n_rows, run,
                                 InProcessExecutor(around.progress), executor)  # fmt: skip
        given.executor.map_blocks(embeddings, ImportBlock(given.rows, documents, dtype), bare)
    elif arriving.embedder is None:
        message = "the embeddings of the fit were given; give those of the new documents as well"
        raise EmbeddingError(message)
    else:
        embedder = settled(arriving.embedder, run, executor)
        map_blocks(embeddings, EmbedBlock(changed, embedder, dtype), blocks, accelerated=True)

    _leave_out_failing(documents, [run.fitted("tokens"), embeddings], bare)
    vectors = embeddings
    if run.has_fitted("guided"):
        vectors = guide_new(run, embeddings, run.fitted("guided"), bare, executor)
    clusters, places = run.fitted("clusters"), []
    if not run.has_fitted("reducer"):
        fitted = Topics.load(run.topics_folder(run.versions[0]["version"]))
        map_blocks(clusters, LabelNearest(documents, embeddings, fitted), bare)
    else:
        model = run.fitted("moved model" if run.has_fitted("moved model") else "reducer")
        placed = run.stage("placed", {}, [model, vectors, documents])
        places.append(placed)
        placing = ReduceBlock(vectors, documents, model, trust=arriving.trust)
        map_blocks(placed, placing, bare, accelerated=places_on_gpu(model))
        _predict(run, embeddings, placed, bare, executor, trust=arriving.trust)
    if run.has_fitted("zero-shot"):
        assigned = run.fitted("zero-shot")
        put_back_new(run, clusters, assigned, fitted_labels(run), bare, executor)
        if run.labelled.fingerprint != fitted_labels(run).fingerprint:  # a later version's own
            put_back_new(run, clusters, assigned, run.labelled, bare, executor)
    elif run.has_fitted("labels"):
        map_blocks(run.fitted("labels"), CopyLabels(clusters), bare)
    return run.labelled, places


def _leave_out_failing(documents: Stage, stages: Sequence[Stage], bare: Sequence[Block]) -> None:
    """Have new documents that a stage had to leave out count as empty."""
    rows = left_out(stages)
    for block in bare:
        if block.name in rows:
            described = LeaveOutDocuments(documents, rows)(block)
            documents.remove(block.name)
            documents.write_block(block, described)


def _predict(
    run: Run,
    embeddings: Stage,
    placed: Stage,
    bare: Sequence[Block],
    executor: Executor,
    *,
    trust: bool,
) -> None:
    """Leave the clusters of placed blocks, and their memberships; of those without a name."""
    map_blocks, clusters = executor.map_blocks, run.fitted("clusters")
    if run.has_fitted("zero-shot"):
        assigned, remaining = run.fitted("zero-shot"), run.fitted("remaining")
        name_new(run, embeddings, assigned, bare, executor)
        map_blocks(remaining, LeaveOut(placed, assigned), bare)
        placed = remaining
    map_blocks(clusters, PredictBlock(placed, clusters, trust=trust), bare)
    if run.has_fitted("memberships"):
        table, stage = run.fitted("membership table"), run.fitted("memberships")
        dense = (stage.location / "data.zarr" / run.segments[0]["name"] / "dense").exists()
        among = NewMemberships(placed, clusters, table, 0 if dense else KEPT_CLUSTERS)
        map_blocks(stage, among, bare)


@dataclass(frozen=True)
class LabelNearest:
    """Label a block by the nearest centroid, where there is no clusterer to predict by.

    `topics` are those of the fit: a label must not depend on what was merged since.
    """

    documents: Stage
    embeddings: Stage
    topics: Topics

    def __call__(self, block: Block) -> Result:
        """Return ``labels`` and ``probabilities``."""
        vectors = self.embeddings.array("embeddings", block)
        empty = self.documents.table("documents", block, ["empty"])["empty"].to_numpy()
        found, probabilities = self.topics.nearest(np.where(empty[:, None], 0, vectors))
        label = {topic: cluster for cluster, topic in sorted(self.topics.mapping.items())[::-1]}
        labels = [label.get(topic, OUTLIER) for topic in found.tolist()]
        return {"labels": np.array(labels, np.int32), "probabilities": probabilities}


@dataclass(frozen=True)
class CopyLabels:
    """Take the labels of clusters for those of a version that has labels of its own."""

    clusters: Stage

    def __call__(self, block: Block) -> Result:
        """Return ``labels`` and ``probabilities``."""
        return {name: self.clusters.array(name, block) for name in ("labels", "probabilities")}


def _check_columns(documents: Stage, old: Block, new: Block) -> None:
    kept, found = (documents.table("documents", block).column_names for block in (old, new))
    missing = sorted(set(kept) - set(found))
    if missing:
        message = (
            f"the run keeps {', '.join(missing)} of each document, and the new ones have none; "
            "give a Corpus with the same columns"
        )
        raise InputError(message)


def _check_width(n_features: int, topics: Topics) -> None:
    if n_features != topics.centroids.shape[1]:
        message = (
            f"the new embeddings have {n_features} features, those of the fit "
            f"{topics.centroids.shape[1]}"
        )
        raise EmbeddingError(message)


def drift(run: Run, topics: Topics) -> list[dict[str, Any]]:
    """Return for each segment how many documents are outliers, and far from the sample.

    Returns
    -------
    list of dict
        ``segment``, ``documents``, ``outliers`` and ``far`` (shares of the documents).
    """
    labels, found = run.labelled, []
    for segment in run.segments:
        blocks = [block for block in run.blocks() if block.segment == segment["name"]]
        outliers = sum(
            int((topics.of_clusters(labels.array("labels", block)) == OUTLIER).sum())
            for block in blocks
        )
        found.append({
            "segment": segment["name"], "documents": segment["n_rows"],
            "outliers": outliers / max(segment["n_rows"], 1), "far": _far(run, blocks),
        })  # fmt: skip
    return found


def _far(run: Run, blocks: list[Block]) -> float:
    name = "placed" if blocks[0].segment != run.segments[0]["name"] else "reduced"
    if not run.has_fitted(name):
        return 0.0
    receipts = [receipt for block in blocks if (receipt := run.fitted(name).receipt(block))]
    rows = sum(receipt.rows for receipt in receipts)
    return sum(int(receipt.notes.get("far", 0)) for receipt in receipts) / max(rows, 1)
