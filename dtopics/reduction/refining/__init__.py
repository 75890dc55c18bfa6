"""Refinement: UMAP on all documents, from where the sample's fit has placed them.

A fit on a sample, applied, loses topics: what is rare is not in the sample, and a document that is
placed among the sample's pulls on nothing. Here every document has a place of its own, is bound to
its nearest documents, and all are moved by UMAP's forces, stretch by stretch and epoch by epoch.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from typing import Any

from dtopics.data import Block
from dtopics.execution import Executor
from dtopics.reduction.layout import DRAWN, PUSHES
from dtopics.reduction.refining.graph import LOOK_ROWS
from dtopics.reduction.refining.steps import (
    AXES,
    CodeSpan,
    DivideSample,
    FindNeighbours,
    GatherStretch,
    MoveModel,
    MoveStretch,
    Numbered,
    ReturnBlock,
    UniteEdges,
    blocks_of_epoch,
)
from dtopics.reduction.umap import UMAP
from dtopics.store import Run, Stage, own_lengths, spans

#: Documents of a span or stretch, at the most.
SPAN_ROWS = 2**17
#: Spans and stretches that even a small corpus is divided into. Any other has a multiple of them,
#: so that two or four workers end an epoch together.
MIN_SPANS = 4
#: The part of umap-learn's learning rate that the first epoch has.
RATE = 0.5


def refine(
    run: Run,
    reducer: UMAP,
    n_epochs: int,
    model: Stage,
    reduced: Stage,
    embeddings: Stage,
    sample: Stage,
    blocks: Sequence[Block],
    executor: Executor,
) -> tuple[Stage, Stage]:
    """Move all documents that have a place.

    Parameters
    ----------
    run : Run
    reducer : UMAP
    n_epochs : int
    model : Stage
        The fitted UMAP.
    reduced : Stage
        The places that it gave.
    embeddings, sample : Stage
    blocks : sequence of Block
        The plan.
    executor : Executor

    Returns
    -------
    refined : Stage
        The places, as `reduced` has them.
    moved : Stage
        The fitted UMAP with its sample where it is now.

    References
    ----------
    The forces, and which edges pull in which epoch: McInnes, Healy and Melville, arXiv:1802.03426.
    """
    others = reducer.parameters
    n_rows = sum(block.n_rows for block in blocks)
    n_spans = MIN_SPANS * -(-n_rows // (MIN_SPANS * SPAN_ROWS))
    members = list(spans(blocks, n_spans).values())
    listed = tuple(
        Block("spans", number, 0, sum(block.n_rows for block in of_span))
        for number, of_span in enumerate(members)
    )
    cells = run.stage("cells", {"axes": AXES}, [model])
    executor.run(cells, DivideSample(model))
    about: dict[str, Any] = {"spans": len(listed), "places": "by cell"}
    coded = run.stage("coded", about, [embeddings, reduced, cells], own_lengths(listed))
    executor.map_blocks(coded, CodeSpan(embeddings, reduced, cells, members), listed)
    documents = numbered(coded, listed, n_spans)
    stretches, lengths = documents.stretches, own_lengths(documents.stretches)

    connectivity = float(others.get("local_connectivity", 1.0))
    gathered = run.stage("gathered", {"stretches": n_spans}, [coded], lengths)
    executor.map_blocks(gathered, GatherStretch(documents), stretches)
    about = {"look": LOOK_ROWS, "local_connectivity": connectivity}
    neighbours = run.stage("neighbours", about, [gathered], lengths)
    step = FindNeighbours(documents, gathered, cells, model, connectivity)
    executor.map_blocks(neighbours, step, stretches)
    mix = float(others.get("set_op_mix_ratio", 1.0))
    about = {"mix": mix, "n_epochs": n_epochs}
    graph = run.stage("graph", about, [neighbours], lengths)
    executor.map_blocks(graph, UniteEdges(neighbours, stretches, mix, n_epochs), stretches)

    rate = float(others.get("learning_rate", 1.0)) * RATE
    seed = reducer.random_state or 0
    about = {"n_epochs": n_epochs, "rate": rate, "seed": seed, "drawn": DRAWN, "pushes": PUSHES}
    # There and back: where a worker's edges are more than it keeps, it begins with those it has.
    epochs = [
        blocks_of_epoch(epoch, stretches)[:: -1 if epoch % 2 else 1] for epoch in range(n_epochs)
    ]
    of_epochs = [(blocks_[0].segment, n_spans, 0) for blocks_ in epochs]
    moved = run.stage("moved", about, [graph], of_epochs)
    executor.map_rounds(
        moved,
        MoveStretch(
            graph, gathered, moved, model, documents, reducer.n_components, n_epochs, rate, seed
        ),
        epochs,
        # two are kept: a worker may still be busy with the last but one
        lambda epoch: moved.discard(epochs[epoch - 2][0].segment) if epoch >= 2 else None,
    )

    where = {
        block.name: (number, position)
        for number, of_span in enumerate(members)
        for position, block in enumerate(of_span)
    }
    refined = run.stage("refined", {}, [moved])
    executor.map_blocks(refined, ReturnBlock(reduced, moved, documents, n_epochs, where), blocks)
    placed_by = run.stage("moved model", {}, [model, refined, sample])
    executor.run(placed_by, MoveModel(model, refined, sample, blocks))
    return refined, placed_by


def numbered(coded: Stage, listed: tuple[Block, ...], n_stretches: int) -> Numbered:
    """Return the coded documents, in stretches that are one document apart at the most."""
    receipts = list(coded.receipts())
    n_placed = sum(receipt.notes["placed"] for receipt in receipts)
    bounds = [n_placed * i // n_stretches for i in range(n_stretches + 1)]
    stretches = tuple(
        Block("stretches", number, start, stop - start)
        for number, (start, stop) in enumerate(itertools.pairwise(bounds))
    )
    digest = hashlib.sha256("".join(receipt.sha256 for receipt in receipts).encode())
    return Numbered(coded, listed, stretches, digest.hexdigest())
