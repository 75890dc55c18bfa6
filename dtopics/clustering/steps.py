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
    run: Run,
    clusterer: Any,
    reduced: Stage,
    blocks: Sequence[Block],
    executor: Executor,
    targets: Stage | None = None,
) -> Stage:
    """Leave a label for each document: over all workers if the clusterer can, else on one.

    One that `classifies` learns the classes (`targets`), which are the labels.
    """
    if getattr(clusterer, "classifies", False):
        assert targets is not None
        stage = run.stage("clusters", dict(clusterer.describe()), [reduced, targets])
        executor.run(stage, FitClassifier(clusterer, reduced, targets, blocks))
        return stage
    by_blocks = getattr(clusterer, "fit_blocks", None)
    found: Stage | None = by_blocks(run, reduced, blocks, executor) if by_blocks else None
    if found is None:
        found = run.stage("clusters", dict(clusterer.describe()), [reduced])
        executor.run(found, FitClusterer(clusterer, reduced, blocks))
    return found


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
class FitClassifier:
    """Learn the documents' classes from their places; the classes are the labels.

    Parameters
    ----------
    classifier : object
        With `fit_classes`.
    reduced, targets : Stage
    blocks : sequence of Block
    """

    classifier: Any
    reduced: Stage
    targets: Stage
    blocks: Sequence[Block]

    def __call__(self, stage: Stage) -> Mapping[str, Any]:
        """Write each block's ``labels`` and ``probabilities``; return the fitted model."""
        points, classes = [], []
        for block in self.blocks:
            rows, y = self.reduced.array("reduced", block), self.targets.array("y", block)
            learned = np.isfinite(rows).all(axis=1) & (y >= 0)
            points.append(rows[learned])
            classes.append(y[learned])
            stage.write_block(block, given_labels(y))
        model = self.classifier.fit_classes(np.concatenate(points), np.concatenate(classes))
        params, arrays = model.to_arrays()
        return {"model": params, **arrays}


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
        return given_labels(self.targets.array("y", block))


def given_labels(y: NDArray[np.integer[Any]]) -> Result:
    """Return classes that are given as labels, of probability one."""
    return {"labels": y.astype(np.int32), "probabilities": np.ones(len(y), np.float32)}


@dataclass(frozen=True)
class LeaveOut:
    """Take documents that have a phrase out of the points to be clustered: they have no place."""

    reduced: Stage
    assigned: Stage

    def __call__(self, block: Block) -> Result:
        """Return ``reduced``, shape (n_rows, n_components)."""
        points = np.array(self.reduced.array("reduced", block))
        points[self.assigned.array("phrase", block) >= 0] = np.nan
        return {"reduced": points}


@dataclass(frozen=True)
class CountClusters:
    """Say how many labels are of clusters."""

    clusters: Stage
    blocks: Sequence[Block]

    def __call__(self, stage: Stage) -> Mapping[str, Any]:  # noqa: ARG002
        """Return ``counted`` (JSON)."""
        most = max(
            int(self.clusters.array("labels", block).max(initial=OUTLIER)) for block in self.blocks
        )
        return {"counted": {"clusters": most + 1}}


@dataclass(frozen=True)
class PutBack:
    """Give documents that have a phrase a label for it, beyond those of the clusters."""

    clusters: Stage
    assigned: Stage
    counted: Stage

    def __call__(self, block: Block) -> Result:
        """Return ``labels`` and ``probabilities``."""
        first = int(self.counted.whole_json("counted")["clusters"])
        phrase, alike = (self.assigned.array(n, block) for n in ("phrase", "similarity"))
        labels, probabilities = (
            self.clusters.array(name, block) for name in ("labels", "probabilities")
        )
        return {
            "labels": np.where(phrase >= 0, first + phrase, labels).astype(np.int32),
            "probabilities": np.where(phrase >= 0, alike, probabilities).astype(np.float32),
        }


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
