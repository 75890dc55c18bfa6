"""Topics that a user knows beforehand: seed topics that draw documents, names that take them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dtopics.clustering.steps import CountClusters, LeaveOut, PutBack
from dtopics.data import Block
from dtopics.embedding.phrases import AssignPhrase, AverageSample, EmbedPhrases, GuideBlock
from dtopics.execution import Executor
from dtopics.store import Run, Stage


@dataclass(frozen=True)
class Known:
    """What is known of the topics beforehand.

    Attributes
    ----------
    seeds : tuple of tuple of str
        The words of each seed topic.
    names : tuple of str
        Topics that documents alike to their name are given.
    least : float
        How alike they must be, by the cosine of their embeddings.
    """

    seeds: tuple[tuple[str, ...], ...] = ()
    names: tuple[str, ...] = ()
    least: float = 0.7

    def __bool__(self) -> bool:
        """Whether anything is known."""
        return bool(self.seeds or self.names)


def guide(
    run: Run,
    seeds: Sequence[Sequence[str]],
    embedder: Any,
    embeddings: Stage,
    sample: Stage,
    blocks: Sequence[Block],
    executor: Executor,
) -> Stage:
    """Leave ``embeddings`` drawn to the seed topics, and which topic each was drawn to (``y``)."""
    about = {"phrases": [" ".join(words) for words in seeds], "embedder": embedder.describe()}
    phrases = run.stage("seeds", about)
    step = EmbedPhrases(embedder, about["phrases"], embeddings, blocks[0])
    executor.run(phrases, step)
    mean = run.stage("mean", {}, [embeddings, sample])
    executor.run(mean, AverageSample(embeddings, blocks, sample))
    guided = run.stage("guided", {}, [phrases, mean, embeddings])
    executor.map_blocks(guided, GuideBlock(embeddings, phrases, mean), blocks)
    return guided


def guide_new(
    run: Run, embeddings: Stage, guided: Stage, blocks: Sequence[Block], executor: Executor
) -> Stage:
    """Draw new documents as those of the fit were."""
    step = GuideBlock(embeddings, run.fitted("seeds"), run.fitted("mean"))
    executor.map_blocks(guided, step, blocks)
    return guided


def take_named(
    run: Run,
    known: Known,
    embedder: Any,
    embeddings: Stage,
    blocks: Sequence[Block],
    executor: Executor,
) -> tuple[Stage, Stage]:
    """Leave the names' vectors, and for each document the name that it is alike to."""
    about = {"phrases": list(known.names), "embedder": embedder.describe(), "least": known.least}
    names = run.stage("zero-shot topics", about)
    step = EmbedPhrases(embedder, known.names, embeddings, blocks[0], known.least)
    executor.run(names, step)
    assigned = run.stage("zero-shot", {}, [names, embeddings])
    executor.map_blocks(assigned, AssignPhrase(embeddings, names, known.least), blocks)
    return names, assigned


def leave_out(
    run: Run, reduced: Stage, assigned: Stage, blocks: Sequence[Block], executor: Executor
) -> Stage:
    """Leave the points that are to be clustered: those without a name."""
    stage = run.stage("remaining", {}, [reduced, assigned])
    executor.map_blocks(stage, LeaveOut(reduced, assigned), blocks)
    return stage


def put_back(
    run: Run, clusters: Stage, assigned: Stage, blocks: Sequence[Block], executor: Executor
) -> tuple[Stage, Stage]:
    """Leave labels of clusters and names, and how many are of clusters."""
    counted = run.stage("cluster count", {}, [clusters])
    executor.run(counted, CountClusters(clusters, blocks))
    labels = run.stage("labels", {}, [clusters, assigned, counted])
    executor.map_blocks(labels, PutBack(clusters, assigned, counted), blocks)
    return labels, counted


def name_new(
    run: Run, embeddings: Stage, assigned: Stage, blocks: Sequence[Block], executor: Executor
) -> None:
    """Leave for each new document the name that it is alike to, as for those of the fit."""
    names = run.fitted("zero-shot topics")
    least = names.whole_json("about")["least"]
    executor.map_blocks(assigned, AssignPhrase(embeddings, names, least), blocks)


def put_back_new(
    run: Run,
    clusters: Stage,
    assigned: Stage,
    labels: Stage,
    blocks: Sequence[Block],
    executor: Executor,
) -> None:
    """Leave labels of clusters and names of new documents."""
    executor.map_blocks(labels, PutBack(clusters, assigned, run.fitted("cluster count")), blocks)
