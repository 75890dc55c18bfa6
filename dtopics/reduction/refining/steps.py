"""UMAP on all documents over a run directory: a graph, then rounds over stretches of documents.

==============  =======  =========================================================================
stage           by       leaves
==============  =======  =========================================================================
``cells``       whole    the cells that documents are compared in
``coded``       span     the codes of its documents by cell, and their places
``gathered``    stretch  the codes and places of its documents
``neighbours``  stretch  edges to the nearest documents, by the stretch that these are in
``graph``       stretch  the edges of its documents, in both directions
``moved``       stretch  the places of its documents after an epoch; a segment for each epoch
``refined``     block    the last places
``moved model`` whole    the fitted UMAP with its sample where it is now
==============  =======  =========================================================================

A *span* is a run of blocks. Documents that have a place are numbered cell by cell, in each cell in
their order, and a *stretch* is a run of these numbers: its documents have their neighbours, and so
what they read, in common.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtopics.data import Block, Result
from dtopics.execution.cache import SizedCache, cached
from dtopics.reduction.cells import Cells, cells_of, divide, encoded
from dtopics.reduction.layout import DRAWN
from dtopics.reduction.refining.graph import Affinity, Edges, Graph, nearest_rows, strengths
from dtopics.reduction.steps import reducer_model
from dtopics.reduction.umap_model import UMAPModel
from dtopics.store import Stage, rows_by_block

#: Axes that documents are compared in. Among 100,000 static embeddings of 256 features, these find
#: 0.87 of the exact neighbours, and 127, which placing makes do with, find 0.65.
AXES = 255
#: Bytes of graphs that a worker keeps between epochs.
GRAPH_BYTES = 256 * 2**20
#: Parts of a stretch that are read at once: each is small, and a store takes its time to answer.
READERS = 16

kept_graphs = SizedCache(GRAPH_BYTES, "refining")
#: The places before one epoch.
kept_places = SizedCache(1, "refining")
#: Where the numbers of each span and cell begin.
kept_starts = SizedCache(1, "refining")


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
        """Return ``codes``, ``places`` and ``rows`` by cell, ``offsets``, and rows ``before``."""
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
            "places": np.concatenate(places)[order],
            "before": np.cumsum(counts),
            "notes": {"placed": len(of_span)},
        }


@dataclass(frozen=True)
class Numbered:
    """The coded documents of a run, numbered cell by cell.

    Attributes
    ----------
    coded : Stage
    spans : tuple of Block
    stretches : tuple of Block
        Their rows are numbers of documents.
    key : str
        What tells these documents from any others.
    """

    coded: Stage
    spans: tuple[Block, ...]
    stretches: tuple[Block, ...]
    key: str

    @property
    def bounds(self) -> NDArray[np.int64]:
        """The first number of each stretch; then the number of all documents."""
        firsts = [stretch.row_start for stretch in self.stretches]
        return np.array([*firsts, self.stretches[-1].row_stop])

    def starts(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return where the documents of each span and cell begin.

        Returns
        -------
        offsets : ndarray of int64, shape (n_spans, n_cells + 1)
            In the span's own arrays.
        starts : ndarray of int64, shape (n_spans, n_cells)
            Among all numbers.
        """

        def load() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
            listed = [self.coded.array("offsets", span) for span in self.spans]
            offsets = np.stack(listed).astype(np.int64)
            counts = np.diff(offsets, axis=1).T  # by cell, then by span
            starts = np.cumsum(counts).reshape(counts.shape) - counts
            return offsets, np.ascontiguousarray(starts.T)

        return kept_starts.get(self.key, load, lambda found: found[0].nbytes + found[1].nbytes)

    def firsts(self) -> NDArray[np.int64]:
        """Return the first number of each cell; then the number of all documents."""
        return np.append(self.starts()[1][0], self.bounds[-1])

    def ids(self, number: int) -> NDArray[np.int32]:
        """Return the numbers of a span's documents, cell by cell."""
        return self.part(number, 0, self.bounds[-1])[1]

    def part(self, number: int, start: int, stop: int) -> tuple[slice, NDArray[np.int32]]:
        """Return the documents of a span that are numbered from `start` to before `stop`.

        Returns
        -------
        rows : slice
            Of the span's own arrays.
        ids : ndarray of int32
            Their numbers, ascending.
        """
        offsets, starts = (of_span[number] for of_span in self.starts())
        sizes = np.diff(offsets)
        a, b = (int(np.clip(bound - starts, 0, sizes).sum()) for bound in (start, stop))
        rows = np.arange(a, b)
        cells = np.searchsorted(offsets, rows, side="right") - 1
        return slice(a, b), (rows + (starts - offsets[:-1])[cells]).astype(np.int32)


@dataclass(frozen=True)
class GatherStretch:
    """Bring a stretch's documents together, of whom each span has some.

    Parameters
    ----------
    documents : Numbered
    """

    documents: Numbered

    def __call__(self, block: Block) -> Result:
        """Return ``codes`` and ``places``, by the documents' numbers."""
        spans = self.documents.spans
        parts = [
            self.documents.part(number, block.row_start, block.row_stop)
            for number in range(len(spans))
        ]
        order = np.argsort(np.concatenate([ids for _, ids in parts]))
        with ThreadPoolExecutor(READERS) as readers:
            return {
                name: np.concatenate(
                    list(readers.map(functools.partial(self._read, name), spans, parts))
                )[order]
                for name in ("codes", "places")
            }

    def _read(self, name: str, span: Block, part: tuple[slice, Any]) -> NDArray[Any]:
        rows, _ = part
        return self.documents.coded.array_rows(name, span, rows.start, rows.stop)


@dataclass(frozen=True)
class FindNeighbours:
    """Find the nearest documents of each of a stretch, and how strongly it is bound to them.

    Parameters
    ----------
    documents : Numbered
    gathered, cells, model : Stage
    local_connectivity : float
        UMAP's.
    """

    documents: Numbered
    gathered: Stage
    cells: Stage
    model: Stage
    local_connectivity: float

    def __call__(self, block: Block) -> Result:
        """Return the arrays of `Edges`."""
        cells, model = cells_of_stage(self.cells), umap_model(self.model)
        codes, firsts = self.gathered.array("codes", block), self.documents.firsts()
        nearest, apart = nearest_rows(
            codes, block.row_start, firsts, cells, self._codes, model.n_neighbors
        )
        far = model.disconnection_distance
        affinity = Affinity(
            model.metric,
            self.local_connectivity,
            model.mean_distance,
            np.inf if far is None else far,
        )
        bound = strengths(apart, cells, affinity)
        return dict(vars(Edges.of(nearest, bound, block.row_start, self.documents.bounds)))

    def _codes(self, start: int, stop: int) -> NDArray[np.int8]:
        """Read the codes of documents from one number to another, out of stretch after stretch."""
        parts = [
            self.gathered.array_rows("codes", stretch, a - stretch.row_start, b - stretch.row_start)
            for stretch in self.documents.stretches
            if (a := max(start, stretch.row_start)) < (b := min(stop, stretch.row_stop))
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


@dataclass(frozen=True)
class UniteEdges:
    """Unite the edges that leave a stretch's documents and those that come to them.

    Parameters
    ----------
    neighbours : Stage
    stretches : sequence of Block
    mix : float
        UMAP's ``set_op_mix_ratio``.
    n_epochs : int
        An edge that would pull in none of them is left out.
    """

    neighbours: Stage
    stretches: Sequence[Block]
    mix: float
    n_epochs: int

    def __call__(self, block: Block) -> Result:
        """Return the arrays of `Graph`, its weights as shares."""
        from dtopics.reduction._layout_kernels import shares

        ends = self.neighbours.array("ends", block)
        held = self.neighbours.array("strengths", block)
        graph = Graph.of(
            ends, held, *self._into(block.index), block.row_start, block.n_rows,
            mix=self.mix, least=1.0 / self.n_epochs,
        )  # fmt: skip
        return {**vars(graph), "weights": shares(graph.weights)}

    def _into(self, number: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        ends, held = [], []
        for stretch in self.stretches:
            offsets = self.neighbours.array("offsets", stretch)
            start, stop = int(offsets[number]), int(offsets[number + 1])
            ends.append(self.neighbours.array_rows("ends", stretch, start, stop))
            held.append(self.neighbours.array_rows("strengths", stretch, start, stop))
        return np.concatenate(ends), np.concatenate(held)


@dataclass(frozen=True)
class MoveStretch:
    """Move a stretch's documents for an epoch, against where all others were before it.

    Parameters
    ----------
    graph, gathered, moved, model : Stage
    documents : Numbered
    n_components : int
    n_epochs : int
    rate : float
        At the first epoch; it falls to zero.
    seed : int
    """

    graph: Stage
    gathered: Stage
    moved: Stage
    model: Stage
    documents: Numbered
    n_components: int
    n_epochs: int
    rate: float
    seed: int

    def __call__(self, block: Block) -> Result:
        """Return the ``places`` after the epoch that the block's segment names."""
        from dtopics.reduction import _layout_kernels as kernels

        epoch, model, graph = epoch_of(block), umap_model(self.model), self._graph(block.index)
        before, stretches = self.gathered, self.documents.stretches
        if epoch:
            before, stretches = self.moved, blocks_of_epoch(epoch - 1, stretches)
        places = places_of(before, stretches, self.documents.key)
        drawn = places[kernels.draw_rows(len(places), DRAWN, self.seed, epoch)]
        moved = kernels.mover(self.n_components)(
            places, block.row_start, graph.offsets, graph.tails, graph.weights, drawn, self.seed,
            epoch, self.n_epochs, self.rate, model.forces, model.negative_sample_rate,
        )  # fmt: skip
        return {"places": moved}

    def _graph(self, number: int) -> Graph:
        stretch = self.documents.stretches[number]

        def load() -> Graph:
            return Graph(*(self.graph.array(name, stretch) for name in Graph.__dataclass_fields__))

        key = self.graph.location.url, self.documents.key, number
        return kept_graphs.get(key, load, lambda found: found.nbytes)


def places_of(stage: Stage, stretches: Sequence[Block], key: str) -> NDArray[np.float32]:
    """Return the process's copy of the places of all documents, by their numbers.

    Parameters
    ----------
    stage : Stage
        It has ``places``.
    stretches : sequence of Block
        All, of one epoch.
    key : str
        What tells the documents from any others.
    """

    def load() -> NDArray[np.float32]:
        kept_places.clear()  # those of the epoch before: never two of them are held
        first = stage.array("places", stretches[0])
        places = np.empty((stretches[-1].row_stop, first.shape[1]), np.float32)
        for stretch in stretches:
            places[stretch.row_start : stretch.row_stop] = stage.array("places", stretch)
        return places

    of_stage = stage.location.url, key, stretches[0].segment
    return kept_places.get(of_stage, load, lambda places: places.nbytes)


@dataclass(frozen=True)
class ReturnBlock:
    """Give a block the places that its documents have in the end.

    Parameters
    ----------
    reduced, moved : Stage
    documents : Numbered
    n_epochs : int
    where : mapping of str to (int, int)
        By a block's name, the span that it is in, and its place among the span's blocks.
    """

    reduced: Stage
    moved: Stage
    documents: Numbered
    n_epochs: int
    where: Mapping[str, tuple[int, int]]

    def __call__(self, block: Block) -> Result:
        """Return ``reduced``, NaN where a document has no place."""
        reduced = self.reduced.array("reduced", block).copy()
        number, position = self.where[block.name]
        span, coded = self.documents.spans[number], self.documents.coded
        start, stop = coded.array("before", span)[position : position + 2].tolist()
        rows = coded.array("rows", span)
        ids = np.empty_like(rows)
        ids[rows] = self.documents.ids(number)
        last = blocks_of_epoch(self.n_epochs - 1, self.documents.stretches)
        places = places_of(self.moved, last, self.documents.key)
        reduced[np.isfinite(reduced).all(axis=1)] = places[ids[start:stop]]
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


def blocks_of_epoch(epoch: int, stretches: Sequence[Block]) -> tuple[Block, ...]:
    """Return the blocks of an epoch: its segment, one for each stretch."""
    return tuple(replace(stretch, segment=f"{epoch:04d}") for stretch in stretches)


def epoch_of(block: Block) -> int:
    """Return the epoch that a block is of."""
    return int(block.segment)
