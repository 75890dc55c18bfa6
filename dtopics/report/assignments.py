"""Topics of documents as Parquet, for people: ``doc_id``, ``topic``, ``probability``."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dtopics.data import Block, Result
from dtopics.execution import Executor
from dtopics.store import Location, Run, Stage
from dtopics.store.tables import table_bytes
from dtopics.topics import Topics

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class AssignBlock:
    """Write a block's assignments; done again, it writes the same file.

    Parameters
    ----------
    documents, clusters : Stage
    lookup : tuple of int
        Topic of each cluster, from cluster −1 on.
    folder : Location
        Where the files lie.
    """

    documents: Stage
    clusters: Stage
    lookup: tuple[int, ...]
    folder: Location

    def __call__(self, block: Block) -> Result:
        """Write ``part-<segment>-<block>.parquet``."""
        import pyarrow as pa

        topics = np.array(self.lookup, np.int32)[self.clusters.array("labels", block) + 1]
        table = pa.table(
            {
                "doc_id": self.documents.table("documents", block, ["doc_id"])["doc_id"],
                "topic": topics,
                "probability": self.clusters.array("probabilities", block),
            }
        )
        return _written(table, self.folder, block)


@dataclass(frozen=True)
class AssignNearest:
    """Write the topic of nearest centroid for a block; what a saved predictor does."""

    documents: Stage
    embeddings: Stage
    topics: Any
    folder: Location

    def __call__(self, block: Block) -> Result:
        """Write ``part-<segment>-<block>.parquet``."""
        import pyarrow as pa

        vectors: NDArray[Any] = self.embeddings.array("embeddings", block)
        documents = self.documents.table("documents", block, ["doc_id", "empty"])
        vectors = np.where(documents["empty"].to_numpy()[:, None], 0, vectors)
        topics, probabilities = self.topics.nearest(vectors)
        table = pa.table({
            "doc_id": documents["doc_id"], "topic": topics, "probability": probabilities
        })  # fmt: skip
        return _written(table, self.folder, block)


def _written(table: pa.Table, folder: Location, block: Block) -> Result:
    data = table_bytes(table)
    part_location(folder, block).write(data)
    return {"notes": {"file_bytes": len(data), "file_sha256": hashlib.sha256(data).hexdigest()}}


def part_location(folder: Location, block: Block) -> Location:
    """Return the file of one block's assignments."""
    return folder / f"part-{block.segment}-{block.index:06d}.parquet"


def assign(
    run: Run,
    blocks: Sequence[Block],
    topics: Topics,
    documents: Stage,
    clusters: Stage,
    executor: Executor,
) -> None:
    """Write every document's topic as Parquet; files of other topics are removed first."""
    folder, lookup = run.location / "assignments", tuple(topics.lookup.tolist())
    stage = run.stage("assignments", {"topics": list(lookup)}, [documents, clusters])
    take_over(run, stage, folder, blocks)
    executor.map_blocks(stage, AssignBlock(documents, clusters, lookup, folder), blocks)


def take_over(run: Run, stage: Stage, folder: Location, blocks: Sequence[Block]) -> None:
    """Make `folder` the place of this stage's files: those of another configuration go.

    The files are written over, so that receipts alone do not say whose they are: the run notes it.
    """
    there = set(folder.names())
    parts = {part_location(folder, block).name: block for block in blocks}
    if run.state.get("assignments") != stage.fingerprint:
        (stage.location / "receipts").remove()
        for name in there:
            if name.startswith("part-"):
                (folder / name).remove()
        run.state["assignments"] = stage.fingerprint
        run.save()
        return
    for name in parts.keys() - there:
        stage.forget(parts[name])
    for name in there - parts.keys():  # of an update that was undone
        if name.startswith("part-"):
            (folder / name).remove()
