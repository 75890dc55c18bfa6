"""Principal components of all placed points, over a run directory.

The stages ``extents`` and ``moments`` are by span; one worker makes ``principal components``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dtopics.clustering.principal import Projection, extent, merged, moments
from dtopics.clustering.spanning.steps import Placed
from dtopics.data import Block, Result
from dtopics.execution import Executor
from dtopics.store import Run, Stage, own_lengths


def find_components(
    run: Run, placed: Placed, n_components: int, spans: Sequence[Block], executor: Executor
) -> Stage:
    """Leave the principal components of all placed points in a stage."""
    lengths = own_lengths(spans)
    extents = run.stage("extents", {}, [placed.reduced], lengths)
    executor.map_blocks(extents, MeasureExtent(placed), spans)
    summed = run.stage("moments", {}, [extents], lengths)
    executor.map_blocks(summed, AddUp(placed, extents, tuple(spans)), spans)
    stage = run.stage("principal components", {"n_components": n_components}, [summed])
    executor.run(stage, FindComponents(extents, summed, tuple(spans), n_components))
    return stage


@dataclass(frozen=True)
class MeasureExtent:
    """Measure how far a span's points reach."""

    placed: Placed

    def __call__(self, block: Block) -> Result:
        """Return ``low`` and ``high``, shape (1, n_features), and the ``count`` of points."""
        parts = [(len(points), *extent(points)) for points in self.placed.points(block)]
        counts, low, high = (np.array(column) for column in zip(*parts, strict=True))
        return {
            "count": counts.sum(keepdims=True),
            "low": low.min(axis=0, keepdims=True),
            "high": high.max(axis=0, keepdims=True),
        }


@dataclass(frozen=True)
class AddUp:
    """Add up a span's coordinates and their products."""

    placed: Placed
    extents: Stage
    spans: tuple[Block, ...]

    def __call__(self, block: Block) -> Result:
        """Return ``sums``, shape (1, n_features), and ``products``, both in whole steps."""
        low, high = whole_extent(self.extents, self.spans)
        parts = [moments(points, low, high) for points in self.placed.points(block)]
        sums, products = merged(parts)
        return {"sums": sums[None], "products": products[None]}


@dataclass(frozen=True)
class FindComponents:
    """Find the principal components."""

    extents: Stage
    summed: Stage
    spans: tuple[Block, ...]
    n_components: int

    def __call__(self, stage: Stage) -> Mapping[str, Any]:  # noqa: ARG002
        """Return the arrays of a `Projection`; its share of the variance is in the notes too."""
        names = ("sums", "products")
        parts = [tuple(self.summed.array(n, span)[0] for n in names) for span in self.spans]
        n_points = sum(int(self.extents.array("count", span)[0]) for span in self.spans)
        low, high = whole_extent(self.extents, self.spans)
        projection = Projection.of_moments(
            max(1, n_points), low, high, *merged(parts), self.n_components
        )
        about, arrays = projection.to_arrays()
        return {"about": about, **arrays, "notes": about}


def whole_extent(extents: Stage, spans: Sequence[Block]) -> tuple[Any, Any]:
    """Return the least and the largest of each coordinate over all spans."""
    low = np.min([extents.array("low", span)[0] for span in spans], axis=0)
    high = np.max([extents.array("high", span)[0] for span in spans], axis=0)
    if np.isfinite(low).all():
        return low, high
    return np.zeros_like(low), np.zeros_like(high)  # no document has a place
