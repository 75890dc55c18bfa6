"""Cluster all reduced points; label new ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtopics.clustering import load_model
from dtopics.clustering.distributed import PARTS, PartsModel
from dtopics.data import OUTLIER, Block, Result
from dtopics.execution import Executor
from dtopics.execution.cache import cached
from dtopics.protocols import Clusterer
from dtopics.store import Run, Stage


def cluster_points(
    run: Run, clusterer: Any, reduced: Stage, blocks: Sequence[Block], executor: Executor
) -> Stage:
    """Leave a label for each document: over all workers if the clusterer can, else on one."""
    by_blocks = getattr(clusterer, "fit_blocks", None)
    stage: Stage | None = by_blocks(run, reduced, blocks, executor) if by_blocks else None
    if stage is None:
        stage = run.stage("clusters", dict(clusterer.describe()), [reduced])
        executor.run(stage, FitClusterer(clusterer, reduced, blocks))
    return stage


@dataclass(frozen=True)
class FitClusterer:
    """Cluster every point that has a place; the others are outliers of probability zero.

    Parameters
    ----------
    clusterer : Clusterer
    reduced : Stage
    blocks : sequence of Block
    """

    clusterer: Clusterer
    reduced: Stage
    blocks: Sequence[Block]

    def __call__(self, stage: Stage) -> Mapping[str, Any]:
        """Write each block's ``labels`` and ``probabilities``; return the fitted model."""
        points = [self.reduced.array("reduced", block) for block in self.blocks]
        placed = [np.isfinite(rows).all(axis=1) for rows in points]
        X = np.concatenate([rows[mask] for rows, mask in zip(points, placed, strict=True)])
        del points
        model: Any = self.clusterer.fit(X)
        more = getattr(model, "point_arrays", {})
        start = 0
        for block, mask in zip(self.blocks, placed, strict=True):
            stop = start + int(mask.sum())
            found = model.labels[start:stop], model.probabilities[start:stop]
            values: dict[str, Any] = dict(spread(mask, *found))
            for name, array in more.items():
                values[name] = np.full(len(mask), -1 if name == "node" else 0, array.dtype)
                values[name][mask] = array[start:stop]
            stage.write_block(block, values)
            start = stop
        params, arrays = model.to_arrays()
        notes = {"gave_way": getattr(model, "gave_way", 0.0)}
        return {"model": params, **arrays, "notes": notes}


@dataclass(frozen=True)
class ImportTargets:
    """Keep a block's classes that a caller gave (``y``); −1 where unknown."""

    rows: Callable[[int, int], NDArray[Any]]

    def __call__(self, block: Block) -> Result:
        """Return the array ``y``, shape (n_rows,), int64."""
        return {"y": np.asarray(self.rows(block.row_start, block.n_rows), np.int64)}


@dataclass(frozen=True)
class LabelBlock:
    """Give the labels that a caller knows (``y``) instead of clustering."""

    targets: Stage

    def __call__(self, block: Block) -> Result:
        """Return ``labels`` and ``probabilities`` (one)."""
        labels = self.targets.array("y", block).astype(np.int32)
        return {"labels": labels, "probabilities": np.ones(len(labels), np.float32)}


@dataclass(frozen=True)
class PredictBlock:
    """Label a block of new documents by a fitted clusterer."""

    reduced: Stage
    model: Stage
    trust: bool = False

    def __call__(self, block: Block) -> Result:
        """Return ``labels`` and ``probabilities``, shape (n_rows,)."""
        points = self.reduced.array("reduced", block)
        mask = np.isfinite(points).all(axis=1)
        model = clusterer_model(self.model, trust=self.trust)
        return spread(mask, *model.predict(np.ascontiguousarray(points[mask])))


def spread(
    mask: NDArray[np.bool_], labels: NDArray[np.int32], probabilities: NDArray[np.float32]
) -> Result:
    """Return labels and probabilities of all rows, given those of the rows in `mask`."""
    all_labels = np.full(len(mask), OUTLIER, np.int32)
    all_probabilities = np.zeros(len(mask), np.float32)
    all_labels[mask], all_probabilities[mask] = labels, probabilities
    return {"labels": all_labels, "probabilities": all_probabilities}


def clusterer_model(stage: Stage, *, trust: bool) -> Any:
    """Return the process's copy of a fitted clusterer."""

    def load() -> Any:
        params = stage.whole_json("model")
        if params["kind"] == PARTS:
            return PartsModel.of(stage)
        return load_model(params, stage.whole_arrays(), trust=trust)

    return cached(("clusterer", stage.identity, trust), load)
