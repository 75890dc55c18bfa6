"""From counts and centroids to the first version of the topics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dtopics.data import OUTLIER, Block, Result
from dtopics.execution.cache import cached
from dtopics.protocols import DocumentReader
from dtopics.representation.centroids import centroids, sizes
from dtopics.representation.counts import (
    document_counts,
    from_table,
    to_csr,
)
from dtopics.representation.ctfidf import ClassTfidfTransformer
from dtopics.representation.examples import (
    Examples,
    best_examples,
    candidate_rows,
    draw_candidates,
    similarities,
)
from dtopics.representation.terms import block_terms
from dtopics.representation.tokens import select_documents, token_block
from dtopics.representation.vectorizer import Counting
from dtopics.representation.vocabulary import Vocabulary
from dtopics.store import Stage
from dtopics.topics.counted import Naming, name_topics, number_by_size, topic_terms
from dtopics.topics.reduce import merged_topics
from dtopics.topics.topics import Example, Topics


@dataclass(frozen=True)
class BuildTopics:
    """Number the clusters by size, weigh their words, and draw who may stand for them.

    Parameters
    ----------
    counts, sums, vocabulary, clusters : Stage
    blocks : sequence of Block
    counting : Counting
    naming : Naming
    nr_topics : int, "auto" or None
    first : sequence of int
        Labels that come before all others, where topics are not merged.
    """

    counts: Stage
    sums: Stage
    vocabulary: Stage
    clusters: Stage
    blocks: Sequence[Block]
    counting: Counting
    naming: Naming
    nr_topics: int | str | None = None
    first: Sequence[int] = ()

    def __call__(self, stage: Stage) -> Mapping[str, Any]:  # noqa: ARG002
        """Return topics as JSON, their centroids, counts, weights and the candidates' rows."""
        sums = self.sums.whole_table("sums")
        cluster_sizes = sizes(sums)
        mapping = number_by_size({c: c for c in cluster_sizes}, cluster_sizes, self.first)
        if self.nr_topics is not None:
            ids = np.array(sorted(set(mapping.values())), np.int64)
            merged = merged_topics(ids, centroids(sums, ids, mapping), self.nr_topics)
            groups = {cluster: merged[topic] for cluster, topic in mapping.items()}
            mapping = number_by_size(groups, cluster_sizes)
        vocabulary, counts = topic_terms(self.counts, self.vocabulary, self.counting, mapping)
        parts = name_topics(mapping, counts, vocabulary, sums, self.naming)
        about = parts["topics"]
        total = dict(zip(about["ids"], about["sizes"], strict=True))
        return {**parts, "candidates": self._candidates(mapping, total)}

    def _candidates(self, mapping: dict[int, int], total: Mapping[int, int]) -> Any:
        import pyarrow as pa

        drawn = draw_candidates(total)
        lookup = np.array([mapping.get(c, OUTLIER) for c in range(OUTLIER, max(mapping) + 1)])
        before: Counter[int] = Counter()
        positions: list[NDArray[np.int64]] = []
        rows: list[NDArray[np.int64]] = []
        for position, block in enumerate(self.blocks):
            topics = lookup[self.clusters.array("labels", block) + 1]
            chosen = candidate_rows(topics, before, drawn)
            positions.append(np.full(len(chosen), position, np.int64))
            rows.append(chosen)
            found, n = np.unique(topics, return_counts=True)
            before.update(dict(zip(found.tolist(), n.tolist(), strict=True)))
        return pa.table({"block": np.concatenate(positions), "row": np.concatenate(rows)})


@dataclass(frozen=True)
class CompareCandidates:
    """Say how alike a block's candidates are to their topics.

    `positions` are the blocks' places in the plan, by name.
    """

    tokens: Stage
    clusters: Stage
    counting: Counting
    built: Stage
    positions: Mapping[str, int]
    reduce_frequent_words: bool

    def __call__(self, block: Block) -> Result:
        """Return the table ``candidates``: ``topic``, ``row`` within the block, ``similarity``."""
        import pyarrow as pa

        built = built_topics(self.built)
        rows = built.rows_of(self.positions[block.name])
        chosen = select_documents(token_block(self.tokens.table("tokens", block)), rows)
        counts = document_counts(block_terms(chosen, self.counting), built.vocabulary)
        topics = built.lookup[self.clusters.array("labels", block)[rows] + 1]
        weigh = ClassTfidfTransformer(reduce_frequent_words=self.reduce_frequent_words)
        weigh.idf_ = built.idf
        weights = cached(
            ("topic weights", self.built.identity, self.reduce_frequent_words),
            lambda: built.weights(weigh),
        )
        alike = similarities(weigh.transform(counts), topics, weights, built.ids)
        return {"candidates": pa.table({"topic": topics, "row": rows, "similarity": alike})}


@dataclass(frozen=True)
class ChooseExamples:
    """Choose the documents most like their topic, so many of each."""

    compared: Stage
    blocks: Sequence[Block]
    n_examples: int

    def __call__(self, stage: Stage) -> Mapping[str, Any]:  # noqa: ARG002
        """Return the table ``examples``: ``topic``, ``block``, ``row``, ``similarity``."""
        import pyarrow as pa

        best = best_examples([], self.n_examples)
        starts = np.cumsum([0, *(block.n_rows for block in self.blocks)])
        for position, block in enumerate(self.blocks):
            table = self.compared.table("candidates", block)
            topic, row, alike = (table[name].to_numpy() for name in table.column_names)
            found = Examples(topic, starts[position] + row, alike)
            best = best_examples([best, found], self.n_examples)
        at = np.searchsorted(starts, best.rows, side="right") - 1
        columns = [best.topics, at, best.rows - starts[at], best.similarities]
        return {"examples": pa.table(columns, names=["topic", "block", "row", "similarity"])}


@dataclass(frozen=True)
class ReadRows:
    """Read a few documents of a block, and their embeddings."""

    read: DocumentReader
    embeddings: Stage

    def __call__(self, item: tuple[Block, Sequence[int]]) -> list[tuple[Any, str, bytes]]:
        """Return the id, text and embedding of the rows asked for."""
        block, rows = item
        documents, vectors = self.read(block), self.embeddings.array("embeddings", block)
        return [
            (documents.ids[row].as_py(), documents.texts[row], vectors[row].astype("f4").tobytes())
            for row in rows
        ]


class Built(NamedTuple):
    """What comparing documents with topics needs of `BuildTopics`' stage."""

    ids: NDArray[np.int32]
    lookup: NDArray[np.int32]
    vocabulary: Vocabulary
    idf: NDArray[np.float64]
    stage: Stage
    candidates: Any

    def rows_of(self, position: int) -> NDArray[np.int64]:
        """Return the candidates of one block."""
        block = self.candidates["block"].to_numpy()
        start, stop = np.searchsorted(block, [position, position + 1])
        return np.asarray(self.candidates["row"].to_numpy()[start:stop], np.int64)

    def weights(self, weigh: ClassTfidfTransformer) -> Any:
        """Return the topics' c-TF-IDF."""
        counts = from_table(self.stage.whole_table("counts"))
        return weigh.transform(to_csr(counts, self.ids, len(self.idf)))


def built_topics(stage: Stage) -> Built:
    """Return the process's copy of `BuildTopics`' stage."""

    def load() -> Built:
        about = stage.whole_json("topics")
        mapping = dict(about["mapping"])
        lookup = [mapping.get(c, OUTLIER) for c in range(OUTLIER, max(mapping) + 1)]
        return Built(
            np.array(about["ids"], np.int32),
            np.array(lookup, np.int32),
            Vocabulary.of(stage.whole_table("vocabulary")),
            stage.whole_array("idf"),
            stage,
            stage.whole_table("candidates"),
        )

    return cached(("topics", stage.identity), load)


def assemble(stage: Stage, examples: Mapping[int, Sequence[Example]]) -> Topics:
    """Put a version of the topics together from `BuildTopics`' stage and its examples."""
    about = stage.whole_json("topics")
    ids = tuple(about["ids"])
    return Topics(
        ids=ids,
        sizes=dict(zip(ids, about["sizes"], strict=True)),
        mapping=dict(about["mapping"]),
        words={
            topic: [(word, weight) for word, weight in words]
            for topic, words in zip(ids, about["words"], strict=True)
        },
        centroids=stage.whole_array("centroids"),
        examples={topic: tuple(examples.get(topic, ())) for topic in ids},
    )
