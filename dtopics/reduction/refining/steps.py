"""UMAP on all documents over a run directory: a graph, then rounds over spans of blocks.

==============  ======  ==========================================================================
stage           by      leaves
==============  ======  ==========================================================================
``cells``       whole   the cells that documents are compared in
``coded``       span    the codes of its documents by cell, their numbers, their places
``neighbours``  span    edges to the nearest documents, by the span that these are in
``graph``       span    the edges of its documents, in both directions, to where these stand by cell
``moved``       span    the places of its documents after an epoch; a segment for each epoch
``refined``     block   the last places
``moved model`` whole   the fitted UMAP with its sample where it is now
==============  ======  ==========================================================================

Documents that have a place are numbered over all spans, in their order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtopics.data import Block, Result
from dtopics.execution.cache import SizedCache, cached
from dtopics.reduction.cells import Cells, cells_of, divide, encoded
from dtopics.reduction.layout import DRAWN
from dtopics.reduction.refining.graph import Affinity, Coded, Edges, Graph, nearest_rows, strengths
from dtopics.reduction.steps import reducer_model
from dtopics.reduction.umap_model import UMAPModel
from dtopics.store import Stage, rows_by_block

#: Axes that documents are compared in. Among 100,000 static embeddings of 256 features, these find
#: 0.87 of the exact neighbours, and 127, which placing makes do with, find 0.65.
AXES = 255
#: Bytes of graphs that a worker keeps between epochs.
GRAPH_BYTES = 256 * 2**20

kept_graphs = SizedCache(GRAPH_BYTES, "refining")
#: The places before one epoch.
kept_places = SizedCache(1, "refining")
#: Where the documents of a run stand by cell.
kept_positions = SizedCache(1, "refining")


@dataclass(frozen=True)
class DivideSample:
    """Divide the sample of a fitted UMAP into the cells that documents are compared in."""

    model: Stage

    def __call__(self, stage: Stage) -> Mapping[str, Any]:  # noqa: ARG002
        """Return the arrays of `Cells`, without any rows, and the rest as ``about``."""
        model = umap_model(self.model)
        about, arrays = divide(np.asarray(model.sample, np.float32), model.metric, AXES).to_arrays()
        for name in ("codes", "order"):
            arrays[name] = arrays[name][:0]
        return {"about": about, **arrays}


@dataclass(frozen=True)
class CodeSpan:
    """Code a span's documents, and sort them by cell.

    Parameters
    ----------
    embeddings, reduced, cells : Stage
    blocks : sequence of tuple of Block
        Those of each span.
    """

    embeddings: Stage
    reduced: Stage
    cells: Stage
    blocks: Sequence[tuple[Block, ...]]

    def __call__(self, block: Block) -> Result:
        """Return ``codes`` and ``rows`` by cell, ``offsets``, ``places``, and rows ``before``."""
        cells = cells_of_stage(self.cells)
        codes, places, counts = [], [], [0]
        for one in self.blocks[block.index]:
            reduced = self.reduced.array("reduced", one)
            placed = np.flatnonzero(np.isfinite(reduced).all(axis=1))
            vectors = self.embeddings.array("embeddings", one)[placed].astype(np.float32)
            codes.append(encoded(vectors, cells))
            places.append(reduced[placed])
            counts.append(len(placed))
        of_span = np.concatenate(codes)
        where = cells_of_rows(of_span, cells)
        order = np.argsort(where, kind="stable").astype(np.int32)
        offsets = np.searchsorted(where[order], np.arange(len(cells.centres) + 1))
        return {
            "codes": of_span[order],
            "rows": order,
            "offsets": offsets.astype(np.int32),
            "places": np.concatenate(places),
            "before": np.cumsum(counts),
            "notes": {"placed": len(of_span)},
        }


@dataclass(frozen=True)
class Spans:
    """The coded documents of a run.

    Attributes
    ----------
    coded : Stage
    blocks : tuple of Block
        One for each span.
    first : tuple of int
        The number of each span's first document; then that of all documents.
    key : str
        What tells these spans from any others.
    """

    coded: Stage
    blocks: tuple[Block, ...]
    first: tuple[int, ...]
    key: str

    def read(self, number: int) -> Coded:
        """Return the codes of a span."""
        names = ("codes", "rows", "offsets")
        codes, rows, offsets = (self.coded.array(n, self.blocks[number]) for n in names)
        return Coded(codes, rows + np.int32(self.first[number]), offsets)

    def positions(self) -> NDArray[np.int32]:
        """Return where each document stands when all are sorted by cell."""

        def load() -> NDArray[np.int32]:
            offsets = [self.coded.array("offsets", span) for span in self.blocks]
            counts = np.diff(np.stack(offsets), axis=1).T  # by cell, then by span
            starts = np.cumsum(counts).reshape(counts.shape) - counts
            found = np.empty(self.first[-1], dtype=np.int32)
            for number, span in enumerate(self.blocks):
                shifts = np.repeat(starts[:, number] - offsets[number][:-1], counts[:, number])
                rows = self.first[number] + self.coded.array("rows", span)
                found[rows] = shifts + np.arange(len(rows))
            return found

        return kept_positions.get(self.key, load, lambda found: found.nbytes)

    def size(self, number: int) -> int:
        """Return how many documents a span has."""
        return self.first[number + 1] - self.first[number]


@dataclass(frozen=True)
class FindNeighbours:
    """Find the nearest documents of each of a span, and how strongly it is bound to them.

    Parameters
    ----------
    spans : Spans
    cells, model : Stage
    local_connectivity : float
        UMAP's.
    """

    spans: Spans
    cells: Stage
    model: Stage
    local_connectivity: float

    def __call__(self, block: Block) -> Result:
        """Return the arrays of `Edges`."""
        spans, cells, model = self.spans, cells_of_stage(self.cells), umap_model(self.model)
        numbers = range(len(spans.blocks))
        offsets = [spans.coded.array("offsets", span) for span in spans.blocks]
        sizes: NDArray[np.int64] = np.diff(np.sum(offsets, axis=0).astype(np.int64))
        mine = spans.read(block.index)
        others = (mine if number == block.index else spans.read(number) for number in numbers)
        nearest, apart = nearest_rows(mine, others, cells, sizes, model.n_neighbors)
        far = model.disconnection_distance
        affinity = Affinity(
            model.metric,
            self.local_connectivity,
            model.mean_distance,
            np.inf if far is None else far,
        )
        bound = strengths(apart, cells, affinity)
        return dict(vars(Edges.of(nearest, bound, mine.ids, np.array(spans.first))))


@dataclass(frozen=True)
class UniteEdges:
    """Unite the edges that leave a span's documents and those that come to them.

    Parameters
    ----------
    neighbours : Stage
    spans : Spans
    mix : float
        UMAP's ``set_op_mix_ratio``.
    n_epochs : int
        An edge that would pull in none of them is left out.
    """

    neighbours: Stage
    spans: Spans
    mix: float
    n_epochs: int

    def __call__(self, block: Block) -> Result:
        """Return the arrays of `Graph`: edges to where documents stand by cell, as shares."""
        from dtopics.reduction._layout_kernels import shares

        ends = self.neighbours.array("ends", block)
        held = self.neighbours.array("strengths", block)
        first, n_rows = self.spans.first[block.index], self.spans.size(block.index)
        graph = Graph.of(
            ends, held, *self._into(block.index), first, n_rows,
            mix=self.mix, least=1.0 / self.n_epochs,
        )  # fmt: skip
        tails, weights = self.spans.positions()[graph.tails], shares(graph.weights)
        return {"offsets": graph.offsets, "tails": tails, "weights": weights}

    def _into(self, number: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        ends, held = [], []
        for span in self.spans.blocks:
            offsets = self.neighbours.array("offsets", span)
            start, stop = int(offsets[number]), int(offsets[number + 1])
            ends.append(self.neighbours.array_rows("ends", span, start, stop))
            held.append(self.neighbours.array_rows("strengths", span, start, stop))
        return np.concatenate(ends), np.concatenate(held)


@dataclass(frozen=True)
class MoveSpan:
    """Move a span's documents for an epoch, against where all others were before it.

    Parameters
    ----------
    graph, moved, model : Stage
    spans : Spans
    n_components : int
    n_epochs : int
    rate : float
        At the first epoch; it falls to zero.
    seed : int
    """

    graph: Stage
    moved: Stage
    model: Stage
    spans: Spans
    n_components: int
    n_epochs: int
    rate: float
    seed: int

    def __call__(self, block: Block) -> Result:
        """Return the ``places`` after the epoch that the block's segment names."""
        from dtopics.reduction import _layout_kernels as kernels

        epoch, model = epoch_of(block), umap_model(self.model)
        graph, order = self._graph(block.index)
        places, positions = self._places(epoch), self.spans.positions()
        first, stop = self.spans.first[block.index : block.index + 2]
        drawn = positions[kernels.draw_rows(len(places), DRAWN, self.seed, epoch)]
        moved = kernels.mover(self.n_components)(
            places, positions[first:stop], order, first,
            graph.offsets, graph.tails, graph.weights, places[drawn], self.seed, epoch,
            self.n_epochs, self.rate, model.forces, model.negative_sample_rate,
        )  # fmt: skip
        return {"places": moved}

    def _graph(self, number: int) -> tuple[Graph, NDArray[np.int32]]:
        """Return the edges to where documents stand by cell, and the span's rows by cell."""
        span = self.spans.blocks[number]

        def load() -> tuple[Graph, NDArray[np.int32]]:
            graph = Graph(*(self.graph.array(name, span) for name in Graph.__dataclass_fields__))
            return graph, self.spans.coded.array("rows", span)

        key = self.graph.location.url, self.spans.key, number
        return kept_graphs.get(key, load, lambda found: found[0].nbytes + found[1].nbytes)

    def _places(self, epoch: int) -> NDArray[np.float32]:
        """Return the places before an epoch, sorted by cell."""
        from dtopics.reduction._layout_kernels import put_rows

        def load() -> NDArray[np.float32]:
            kept_places.clear()  # those of the epoch before: never two of them are held
            spans, first = self.spans.blocks, self.spans.first
            stage, positions = (
                self.spans.coded if epoch == 0 else self.moved,
                self.spans.positions(),
            )
            places = np.empty((first[-1], self.n_components), np.float32)
            for number, span in enumerate(blocks_of_epoch(epoch - 1, spans) if epoch else spans):
                where = positions[first[number] : first[number + 1]]
                put_rows(places, where, stage.array("places", span))
            return places

        key = self.moved.location.url, self.spans.key, epoch
        return kept_places.get(key, load, lambda places: places.nbytes)


@dataclass(frozen=True)
class ReturnBlock:
    """Give a block the places that its documents have in the end.

    Parameters
    ----------
    reduced, moved : Stage
    spans : Spans
    n_epochs : int
    where : mapping of str to (int, int)
        By a block's name, the span that it is in, and its place among the span's blocks.
    """

    reduced: Stage
    moved: Stage
    spans: Spans
    n_epochs: int
    where: Mapping[str, tuple[int, int]]

    def __call__(self, block: Block) -> Result:
        """Return ``reduced``, NaN where a document has no place."""
        reduced = self.reduced.array("reduced", block).copy()
        number, position = self.where[block.name]
        before = self.spans.coded.array("before", self.spans.blocks[number])
        start, stop = before[position : position + 2].tolist()
        last = blocks_of_epoch(self.n_epochs - 1, self.spans.blocks)[number]
        reduced[np.isfinite(reduced).all(axis=1)] = self.moved.array_rows(
            "places", last, start, stop
        )
        return {"reduced": reduced}


@dataclass(frozen=True)
class MoveModel:
    """Put a fitted UMAP's sample where its documents are now, for new documents to be placed by.

    Parameters
    ----------
    model, refined, sample : Stage
    blocks : sequence of Block
    """

    model: Stage
    refined: Stage
    sample: Stage
    blocks: Sequence[Block]

    def __call__(self, stage: Stage) -> Mapping[str, Any]:  # noqa: ARG002
        """Return the model as `FitReducer` does."""
        model = umap_model(self.model)
        places = []
        for block, rows in rows_by_block(self.sample.whole_table("rows"), self.blocks):
            if len(rows):
                refined = self.refined.array("reduced", block)[rows]
                places.append(refined[np.isfinite(refined).all(axis=1)])
        params, arrays = replace(model, embedding=np.concatenate(places)).to_arrays()
        return {"model": params, **arrays}


def umap_model(stage: Stage) -> UMAPModel:
    """Return the process's copy of a fitted UMAP."""
    model = reducer_model(stage, trust=False)
    assert isinstance(model, UMAPModel)
    return model


def cells_of_stage(stage: Stage) -> Cells:
    """Return the process's copy of the cells."""

    def load() -> Cells:
        return Cells.from_arrays(stage.whole_json("about"), stage.whole_arrays())

    return cached(("cells", stage.identity), load)


def cells_of_rows(codes: NDArray[np.int8], cells: Cells, some: int = 65_536) -> NDArray[np.int32]:
    """Return the cell of each row, some rows at a time."""
    starts = range(0, len(codes), some)
    found = [cells_of(codes[start : start + some], cells) for start in starts]
    return np.concatenate([np.empty(0, np.int32), *found])


def blocks_of_epoch(epoch: int, spans: Sequence[Block]) -> list[Block]:
    """Return the blocks of an epoch: its segment, one for each span."""
    return [replace(span, segment=f"{epoch:04d}") for span in spans]


def epoch_of(block: Block) -> int:
    """Return the epoch that a block is of."""
    return int(block.segment)
