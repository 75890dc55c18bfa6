"""The spanning tree over a run directory: block steps by parts, a merge for each round.

========================  ==========  =============================================================
stage                     done by     leaves
========================  ==========  =============================================================
``point sample``          span        some points, and how many each block has
``division``              whole       the boxes, and the first row of each block
``scattered points``      span        its points by part, with their rows
``layout``                whole       where each part's points are, and its box
``parts``                 part        its points in the order of a tree
``forests``               part        core distances, sure edges, open edges, components
``joined 0``              whole       the size of each component
``lightest edges r``      part        the lightest edge it knows from each of its components
``joined r``              whole       which components these joined, by which edges
========================  ==========  =============================================================

A *span* is a run of the plan's blocks. A part reads from other parts what its neighbourhoods
reach and no more; a worker keeps what it has read for its next part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtopics.clustering.principal import Projection
from dtopics.clustering.spanning.memory import Splits, join
from dtopics.clustering.spanning.parts import (
    Boxes,
    Candidates,
    Forest,
    Grown,
    Part,
    grow_forest,
    lightest_edges,
    neighbourhood,
)
from dtopics.data import Block, Result
from dtopics.errors import InputError
from dtopics.execution.cache import SizedCache, cached
from dtopics.store import Stage

#: Points that the boxes are drawn from.
SAMPLE_POINTS = 2**18
#: Points that are not of one part are of a multiple of these, so that two or four workers end
#: together.
EVEN = 4
#: Bytes of other parts that a worker keeps.
CACHE_BYTES = 256 * 2**20

kept_parts = SizedCache(CACHE_BYTES, "clustering")


@dataclass(frozen=True)
class Placed:
    """The reduced points that have a place, block by block.

    Attributes
    ----------
    reduced : Stage
    spans : mapping of str to tuple of Block
        The blocks of each span, by its name.
    components : Stage, optional
        The principal components that the points are taken in.
    """

    reduced: Stage
    spans: Mapping[str, tuple[Block, ...]]
    components: Stage | None = None

    @property
    def source(self) -> Stage:
        """What the points depend on."""
        return self.reduced if self.components is None else self.components

    def points(self, span: Block) -> Iterator[NDArray[Any]]:
        """Return the points of each block of a span."""
        projection = None if self.components is None else projection_of(self.components)
        for block in self.spans[span.name]:
            rows = self.reduced.array("reduced", block)
            rows = rows[np.isfinite(rows).all(axis=1)]
            yield rows if projection is None else projection(rows)


def projection_of(stage: Stage) -> Projection:
    """Return the process's copy of a projection."""

    def load() -> Projection:
        projection = Projection.from_arrays(stage.whole_json("about"), stage.whole_arrays())
        assert projection is not None
        return projection

    return cached(("projection", stage.identity), load)


@dataclass(frozen=True)
class SampleSpan:
    """Take some points of a span, evenly, and count those of each block."""

    placed: Placed

    def __call__(self, block: Block) -> Result:
        """Return ``sample``, shape (n_sampled, n_components), and ``counts`` of each block."""
        n_blocks = len(self.placed.spans) * len(self.placed.spans[block.name])
        most = max(1, SAMPLE_POINTS // n_blocks)
        sample, counts = [], []
        for points in self.placed.points(block):
            sample.append(points[:: max(1, len(points) // most)])
            counts.append(len(points))
        return {"sample": np.concatenate(sample), "counts": np.array(counts, np.int64)}


@dataclass(frozen=True)
class Divide:
    """Draw the boxes of the parts, and number the points.

    Parameters
    ----------
    sampled : Stage
    spans : sequence of Block
    part_points : int
        Points that a part should have at the most.
    """

    sampled: Stage
    spans: Sequence[Block]
    part_points: int

    def __call__(self, stage: Stage) -> Mapping[str, Any]:  # noqa: ARG002
        """Return the splits, ``first`` (the number of each block's first point) and ``about``."""
        counts = np.concatenate([self.sampled.array("counts", span) for span in self.spans])
        n_points = int(counts.sum())
        if n_points > np.iinfo(np.int32).max:
            raise InputError(
                f"{n_points:,} points: HDBSCAN takes up to {np.iinfo(np.int32).max:,}; fit a "
                "k-means, which has no limit"
            )
        sample = np.concatenate([self.sampled.array("sample", span) for span in self.spans])
        few = n_points <= self.part_points
        n_parts = 1 if few else EVEN * -(-n_points // (EVEN * self.part_points))
        splits = Splits.of(sample, n_parts)
        about = {"n_points": n_points, "n_parts": splits.n_parts}
        return {
            "axis": splits.axis,
            "threshold": splits.threshold,
            "child": splits.child,
            "first": np.cumsum(counts) - counts,
            "about": about,
            "notes": about,
        }


@dataclass(frozen=True)
class ScatterSpan:
    """Sort the points of a span by part.

    Parameters
    ----------
    placed : Placed
    division : Stage
    first_blocks : mapping of str to int
        The position in the plan of each span's first block.
    """

    placed: Placed
    division: Stage
    first_blocks: Mapping[str, int]

    def __call__(self, block: Block) -> Result:
        """Return ``rows`` (a point and its id) by part, their ``offsets``, and the parts' boxes."""
        splits = Splits(*(self.division.whole_array(n) for n in ("axis", "threshold", "child")))
        start = self.division.whole_array("first")[self.first_blocks[block.name]]
        points = np.concatenate(list(self.placed.points(block)))
        where = splits.part_of(points)
        order = np.argsort(where, kind="stable")
        points = points[order]
        offsets = np.searchsorted(where[order], np.arange(splits.n_parts + 1))
        low = np.full((splits.n_parts, points.shape[1]), np.inf, points.dtype)
        high = -low
        for part, (a, b) in enumerate(pairwise(offsets)):
            if a < b:
                low[part], high[part] = points[a:b].min(axis=0), points[a:b].max(axis=0)
        return {
            "rows": to_rows(points, (start + order).astype(np.int32)),
            "offsets": offsets.astype(np.int64),
            "low": low,
            "high": high,
        }


@dataclass(frozen=True)
class LayOut:
    """Put together where the spans have which part's points."""

    scattered: Stage
    spans: Sequence[Block]

    def __call__(self, stage: Stage) -> Mapping[str, Any]:  # noqa: ARG002
        """Return ``offsets``, shape (n_spans, n_parts + 1), and each part's ``low``, ``high``."""
        low, high = (
            [self.scattered.array(name, span) for span in self.spans] for name in ("low", "high")
        )
        offsets = np.stack([self.scattered.array("offsets", span) for span in self.spans])
        sizes = np.diff(offsets, axis=1).sum(axis=0)
        return {
            "offsets": offsets,
            "low": np.min(low, axis=0),
            "high": np.max(high, axis=0),
            "notes": {"sizes": sizes.tolist()},
        }


@dataclass(frozen=True)
class GatherPart:
    """Bring a part's points together and build their tree."""

    scattered: Stage
    layout: Stage
    spans: Sequence[Block]

    def __call__(self, block: Block) -> Result:
        """Return the arrays of a `Part`."""
        low = self.layout.whole_array("low")
        bounds = self.layout.whole_array("offsets")[:, block.index : block.index + 2]
        rows = [
            self.scattered.array_rows("rows", span, int(start), int(stop))
            for span, (start, stop) in zip(self.spans, bounds, strict=True)
            if start < stop
        ]
        part = Part.of(*from_rows(np.concatenate(rows), low.dtype))
        return {
            "points": part.points,
            "ids": part.ids,
            "start": part.start,
            "stop": part.stop,
            "child": part.child,
        }


@dataclass(frozen=True)
class Parts:
    """The parts of a run, read where they are needed.

    Attributes
    ----------
    stage, layout : Stage
    blocks : tuple of Block
        One for each part.
    key : str
        What tells these parts from any others.
    """

    stage: Stage
    layout: Stage
    blocks: tuple[Block, ...]
    key: str

    def boxes(self) -> Boxes:
        """Return the boxes of all parts, kept by this process."""

        def load() -> Boxes:
            return Boxes(self.layout.whole_array("low"), self.layout.whole_array("high"))

        return kept_parts.get((self.key, "boxes"), load, lambda boxes: boxes.low.nbytes)

    def part(self, number: int) -> Part:
        """Return a part, kept by this process."""
        names = ("points", "ids", "start", "stop", "child")

        def load() -> Part:
            return Part(*(self.stage.array(name, self.blocks[number]) for name in names))

        return kept_parts.get((self.key, number), load, lambda part: part.nbytes)


@dataclass(frozen=True)
class GrowForest:
    """Measure a part's core distances and build its forest."""

    parts: Parts
    min_samples: int
    n_points: int

    def __call__(self, block: Block) -> Result:
        """Return core distances, components, sure edges by ids and open ones by rows."""
        part = self.parts.part(block.index)
        around = neighbourhood(
            part, block.index, self.parts.boxes(), self.parts.part,
            min_samples=self.min_samples, n_points=self.n_points,
        )  # fmt: skip
        forest = grow_forest(part, around)
        sure, unsure = np.flatnonzero(forest.sure), np.flatnonzero(~forest.sure)
        return {
            "core": around.core,
            "core_to_join": around.core_to_join,
            "outside": around.outside,
            "component": forest.component,
            "sure_one": part.ids[forest.one[sure]],
            "sure_other": part.ids[forest.other[sure]],
            "sure_weight": forest.weight[sure],
            "sure_distance": forest.distance[sure],
            "open_one": forest.one[unsure],
            "open_other": forest.other[unsure],
            "open_weight": forest.weight[unsure],
            "open_distance": forest.distance[unsure],
            "notes": {"components": forest.n_components},
        }


@dataclass(frozen=True)
class Forests:
    """The parts' forests and how far they are joined.

    Attributes
    ----------
    parts : Parts
    stage : Stage
    first : tuple of int
        The number, over all parts, of each part's first component; then that of all components.
    key : str
        What tells these forests from any others.
    """

    parts: Parts
    stage: Stage
    first: tuple[int, ...]
    key: str

    def grown(self, number: int, joined: Stage, key: str) -> Grown:
        """Return a part with its components as joined, kept by this process.

        Parameters
        ----------
        number : int
        joined : Stage
        key : str
            What tells this merge of these forests from any other.
        """

        def load() -> Grown:
            return self._grown(number, joined, key)

        def size(grown: Grown) -> int:
            return int(2 * grown.core.nbytes + 20 * len(grown.part.start))

        return kept_parts.get((self.key, key, number), load, size)

    def _grown(self, number: int, joined: Stage, key: str) -> Grown:
        core = self.stage.array("core", self.parts.blocks[number])
        return Grown(self.parts.part(number), core, self.components(number, joined, key))

    def components(self, number: int, joined: Stage, key: str) -> NDArray[np.int32]:
        """Return the components of a part's points as joined; parameters as of `grown`."""
        component = self.stage.array("component", self.parts.blocks[number])
        parent = kept_parts.get(
            (self.key, key, "parent"),
            lambda: joined.whole_array("parent"),
            lambda parent: parent.nbytes,
        )
        return np.asarray(parent[component + np.int32(self.first[number])])

    def open_edges(self, block: Block) -> Forest:
        """Return a part's edges that are not sure."""
        names = ("component", "open_one", "open_other", "open_weight", "open_distance")
        component, one, other, weight, distance = (self.stage.array(n, block) for n in names)
        return Forest(component, 0, one, other, weight, distance, np.zeros(len(one), np.bool_))


@dataclass(frozen=True)
class CountComponents:
    """Count the points of each component, before any round."""

    forests: Forests

    def __call__(self, stage: Stage) -> Mapping[str, Any]:  # noqa: ARG002
        """Return ``parent`` (each its own), ``size``, and no edges."""
        sizes = [
            np.bincount(self.forests.stage.array("component", block))
            for block in self.forests.parts.blocks
        ]
        size = np.concatenate(sizes).astype(np.int64)
        nothing = np.empty(0), np.empty(0), np.empty(0, np.int32), np.empty(0, np.int32)
        return joined_arrays(np.arange(len(size), dtype=np.int32), size, nothing)


@dataclass(frozen=True)
class FindLightest:
    """Find the lightest edge that a part knows from each of its components.

    Parameters
    ----------
    forests : Forests
    joined : Stage
        The rounds so far.
    key : str
        What tells them from any others.
    left_out : int
        A component that nothing is looked for.
    """

    forests: Forests
    joined: Stage
    key: str
    left_out: int

    def __call__(self, block: Block) -> Result:
        """Return the arrays of `Candidates`."""
        component = self.forests.components(block.index, self.joined, self.key)
        if (component == self.left_out).all():
            return dict(vars(Candidates.none()))
        found = lightest_edges(
            self.forests.grown(block.index, self.joined, self.key),
            block.index,
            self.forests.open_edges(block),
            self.forests.stage.array("outside", block),
            self.forests.parts.boxes(),
            lambda number: self.forests.grown(number, self.joined, self.key),
            left_out=self.left_out,
        )
        return dict(vars(found))


@dataclass(frozen=True)
class JoinParts:
    """Join components by the lightest edge of each."""

    lightest: Stage
    joined: Stage
    blocks: Sequence[Block]

    def __call__(self, stage: Stage) -> Mapping[str, Any]:  # noqa: ARG002
        """Return ``parent``, ``size`` and the edges that joined two."""
        parent, size = (self.joined.whole_array(name).copy() for name in ("parent", "size"))
        names = Candidates.__dataclass_fields__
        found = [
            Candidates(*(self.lightest.array(name, block) for name in names))
            for block in self.blocks
        ]
        return joined_arrays(parent, size, join(parent, size, found))


def joined_arrays(
    parent: NDArray[np.int32], size: NDArray[np.int64], edges: tuple[NDArray[Any], ...]
) -> dict[str, Any]:
    """Return what a merge leaves; its notes say how many components are left, and the largest."""
    weight, distance, one, other = edges
    notes = {"components": int((size > 0).sum()), "largest": int(size.argmax())}
    return {
        "parent": parent, "size": size, "weight": weight, "distance": distance, "one": one,
        "other": other, "notes": notes,
    }  # fmt: skip


def to_rows(points: NDArray[Any], ids: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Return points and ids as the bytes of one array, so that one read brings both."""
    columns = [np.ascontiguousarray(part).view(np.uint8) for part in (points, ids[:, None])]
    return np.concatenate(columns, axis=1)


def from_rows(
    rows: NDArray[np.uint8], dtype: np.dtype[Any]
) -> tuple[NDArray[Any], NDArray[np.int32]]:
    """Return the points and ids that `to_rows` put together."""
    points, ids = (np.ascontiguousarray(part) for part in (rows[:, :-4], rows[:, -4:]))
    return points.view(dtype), ids.view(np.int32)[:, 0]
