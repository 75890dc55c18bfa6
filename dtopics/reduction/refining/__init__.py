"""Refinement: UMAP on all documents, from where the sample's fit has placed them.

A fit on a sample, applied, loses topics: what is rare is not in the sample, and a document that is
placed among the sample's pulls on nothing. Here every document has a place of its own, is bound to
its nearest documents, and all are moved by UMAP's forces, span by span and epoch by epoch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from dtopics.data import Block
from dtopics.execution import Executor
from dtopics.reduction.layout import DRAWN, PUSHES
from dtopics.reduction.refining.graph import LOOK_ROWS
from dtopics.reduction.refining.steps import (
    AXES,
    CodeSpan,
    DivideSample,
    FindNeighbours,
    MoveModel,
    MoveSpan,
    ReturnBlock,
    Spans,
    UniteEdges,
    blocks_of_epoch,
)
from dtopics.reduction.umap import UMAP
from dtopics.store import Run, Stage, even_spans, own_lengths

#: Documents of a span, at the most.
SPAN_ROWS = 2**17
#: Spans that even a small corpus is divided into. Any other has a multiple of them, so that two or
#: four workers end an epoch together.
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
    members = even_spans(blocks, n_spans)
    listed = tuple(
        Block("spans", number, 0, sum(block.n_rows for block in of_span))
        for number, of_span in enumerate(members)
    )
    lengths = own_lengths(listed)
    cells = run.stage("cells", {"axes": AXES}, [model])
    executor.run(cells, DivideSample(model))
    coded = run.stage("coded", {"spans": n_spans}, [embeddings, reduced, cells], lengths)
    executor.map_blocks(coded, CodeSpan(embeddings, reduced, cells, members), listed)
    receipts = list(coded.receipts())
    first = np.cumsum([0, *(receipt.notes["placed"] for receipt in receipts)]).tolist()
    digest = hashlib.sha256("".join(receipt.sha256 for receipt in receipts).encode())
    documents = Spans(coded, listed, tuple(first), digest.hexdigest())

    connectivity = float(others.get("local_connectivity", 1.0))
    about = {"look": LOOK_ROWS, "local_connectivity": connectivity}
    neighbours = run.stage("neighbours", about, [coded], lengths)
    step = FindNeighbours(documents, cells, model, connectivity)
    executor.map_blocks(neighbours, step, listed)
    mix = float(others.get("set_op_mix_ratio", 1.0))
    joined = {"mix": mix, "n_epochs": n_epochs, "tails": "by cell"}
    graph = run.stage("graph", joined, [neighbours], lengths)
    executor.map_blocks(graph, UniteEdges(neighbours, documents, mix, n_epochs), listed)

    rate = float(others.get("learning_rate", 1.0)) * RATE
    seed = reducer.random_state or 0
    about = {"n_epochs": n_epochs, "rate": rate, "seed": seed, "drawn": DRAWN, "pushes": PUSHES}
    # There and back: where a worker's edges are more than it keeps, it begins with those it has.
    epochs = [
        blocks_of_epoch(epoch, listed)[:: -1 if epoch % 2 else 1] for epoch in range(n_epochs)
    ]
    of_epochs = [(blocks_[0].segment, len(listed), 0) for blocks_ in epochs]
    moved = run.stage("moved", about, [graph], of_epochs)
    executor.map_rounds(
        moved,
        MoveSpan(graph, moved, model, documents, reducer.n_components, n_epochs, rate, seed),
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
