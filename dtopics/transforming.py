"""New documents by a fitted run: embedded, placed and labelled, as those of the fit were."""

from __future__ import annotations

from typing import Any

from dtopics.clustering.membership_steps import NewMemberships, kept
from dtopics.clustering.steps import PredictBlock
from dtopics.corpus.leaving_out import leave_out_failing
from dtopics.corpus.steps import DescribeBlock
from dtopics.execution import Executor
from dtopics.inputs import Inputs
from dtopics.pipeline import embed
from dtopics.reduction.steps import ReduceBlock, places_on_gpu
from dtopics.report.assignments import AssignBlock, AssignNearest, take_over
from dtopics.steering import (
    guide_new,
    leave_out,
    name_new,
    put_back_new,
)
from dtopics.store import Location, Run, Stage
from dtopics.topics import Topics


def transform(
    run: Run,
    out: Run,
    inputs: Inputs,
    embedder: Any,
    topics: Topics,
    folder: Location,
    executor: Executor,
    *,
    trust: bool,
    memberships: str | None = None,
) -> dict[str, Stage]:
    """Embed, place and label new documents by a fitted run; write their topics to `folder`."""
    bare, map_blocks = inputs.bare, executor.map_blocks
    documents = out.stage("documents", inputs.changed, [inputs.key])
    map_blocks(documents, DescribeBlock(inputs.read_changed), inputs.blocks)
    embeddings, _ = embed(out, inputs, embedder, documents, documents, executor)
    documents = leave_out_failing(
        out, inputs.changed, inputs.key, documents, [embeddings], bare, executor
    )
    vectors = embeddings
    if run.has_fitted("guided"):
        reads = [run.fitted("seeds"), run.fitted("mean"), embeddings]
        vectors = guide_new(run, embeddings, out.stage("guided", {}, reads), bare, executor)
    if not run.has_fitted("reducer"):
        nearest = out.stage("assignments", {"topics": topics.digest()}, [documents, embeddings])
        take_over(out, nearest, folder, bare)
        map_blocks(nearest, AssignNearest(documents, embeddings, topics, folder), bare)
        return {"documents": documents, "embeddings": embeddings, "assignments": nearest}
    model = run.fitted("moved model" if run.has_fitted("moved model") else "reducer")
    clusterer = run.fitted("clusters")
    reduced = out.stage("reduced", {}, [model, vectors, documents])
    step = ReduceBlock(vectors, documents, model, trust=trust)
    map_blocks(reduced, step, bare, accelerated=places_on_gpu(model))
    assigned = None
    if run.has_fitted("zero-shot topics"):
        assigned = out.stage("zero-shot", {}, [run.fitted("zero-shot topics"), embeddings])
        name_new(run, embeddings, assigned, bare, executor)
        reduced = leave_out(out, reduced, assigned, bare, executor)
    clusters = out.stage("clusters", {}, [clusterer, reduced])
    map_blocks(clusters, PredictBlock(reduced, clusterer, trust=trust), bare)
    labels = clusters
    if assigned is not None:
        labels = out.stage("labels", {}, [clusters, assigned, run.fitted("cluster count")])
        put_back_new(run, clusters, assigned, labels, bare, executor)
    if memberships is not None and run.has_fitted("membership table"):
        table = run.fitted("membership table")
        keep = kept(table, memberships, sum(block.n_rows for block in bare))
        among = out.stage("memberships", {"keep": keep}, [table, reduced])
        map_blocks(among, NewMemberships(reduced, clusterer, table, keep), bare)
    lookup = tuple(topics.lookup.tolist())
    stage = out.stage("assignments", {"topics": list(lookup)}, [documents, labels])
    take_over(out, stage, folder, bare)
    map_blocks(stage, AssignBlock(documents, labels, lookup, folder), bare)
    return {"documents": documents, "clusters": clusters, "assignments": stage}
