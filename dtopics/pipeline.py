"""The stages in order, on one screen.

Each pair of lines names a stage with what it depends on and reads, and has it done. A stage whose
receipts are there is not done again; which those are follows from the fingerprints alone. What is
cheap and can fail comes first: a vocabulary that comes out empty is known before a GPU is paid for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dtopics.clustering.membership_steps import find_memberships
from dtopics.clustering.steps import ImportTargets, LabelBlock, cluster_points
from dtopics.corpus.leaving_out import leave_out_failing
from dtopics.corpus.steps import DescribeBlock, DrawSample
from dtopics.data import Block
from dtopics.embedding.static import StaticEmbedder, StoredStatic
from dtopics.embedding.static_sources import KeepStatic, StaticSource
from dtopics.embedding.steps import EmbedBlock, FitEmbedder, ImportBlock, StoredEmbedder
from dtopics.execution import Executor, InProcessExecutor
from dtopics.inputs import Inputs, Recipe
from dtopics.reduction import UMAP
from dtopics.reduction.refining import refine
from dtopics.reduction.steps import FitReducer, ReduceBlock, places_on_gpu
from dtopics.representation.steps import (
    CountBlocks,
    MergeCounts,
    MergeSums,
    SumVectors,
    TokenizeBlock,
)
from dtopics.representation.vectorizer import Counting
from dtopics.representation.vocabulary_steps import find_vocabulary
from dtopics.steering import (
    guide,
    leave_out,
    put_back,
    take_named,
)
from dtopics.store import Run, Stage, fingerprint, own_lengths, rows_by_block, spans
from dtopics.topics import Example, Topics
from dtopics.topics.counted import Naming
from dtopics.topics.representing import (
    RepresentTopics,
    all_ours,
    describe_embedder,
    describe_models,
    with_words,
)
from dtopics.topics.steps import BuildTopics, ChooseExamples, CompareCandidates, ReadRows, assemble
from dtopics.topics.zeroshot import fitted_names, names_of


@dataclass(frozen=True)
class Fitted:
    """What later steps read of a fit.

    Attributes
    ----------
    topics : Topics
    version : str
        Of the topics.
    embedder : Embedder or None
        As fitted; None where embeddings were given.
    stages : mapping of str to Stage
    """

    topics: Topics
    version: str
    embedder: Any
    stages: Mapping[str, Stage] = field(repr=False)


def fit(run: Run, inputs: Inputs, recipe: Recipe, executor: Executor) -> Fitted:
    """Do the main job; every stage that is done already is reused."""
    blocks, bare, counting = inputs.blocks, inputs.bare, recipe.counting
    map_blocks, do = executor.map_blocks, executor.run

    documents = run.stage("documents", inputs.changed, [inputs.key])
    map_blocks(documents, DescribeBlock(inputs.read_changed), blocks)

    sample = draw_sample(run, recipe, documents, bare, executor)

    tokens = run.stage("tokens", counting.describe_tokens(), [inputs.key])
    map_blocks(tokens, TokenizeBlock(inputs.read, counting), blocks)
    vocabulary = find_vocabulary(run, counting, tokens, bare, executor)
    executor.forget()

    embeddings, embedder = embed(run, inputs, recipe.embedder, documents, sample, executor)
    described = leave_out_failing(
        run, inputs.changed, inputs.key, documents, [tokens, embeddings], bare, executor
    )
    if described is not documents:
        documents, sample = described, draw_sample(run, recipe, described, bare, executor)

    word_embedder = ready(run, embedder or recipe.word_embedder, executor)
    known, vectors, targets = recipe.known, embeddings, import_targets(run, inputs)
    if known.seeds:
        vectors = guide(run, known.seeds, word_embedder, embeddings, sample, bare, executor)
        targets = [vectors]
    assigned, names = None, {}
    if known.names:
        phrases, assigned = take_named(run, known, word_embedder, embeddings, bare, executor)
    clusters = cluster(run, bare, recipe, documents, sample, vectors, targets, assigned, executor)
    labels = clusters
    if assigned is not None:
        labels, counted = put_back(run, clusters, assigned, bare, executor)
        names = fitted_names(counted, phrases)

    totals, centroids = count(
        run, bare, counting, tokens, vocabulary, labels, documents, embeddings, executor
    )

    naming = Naming(recipe.ctfidf, recipe.top_n_words, counting.describe_counting(), known.seeds)
    about = {"nr_topics": recipe.nr_topics, **naming.to_json()}
    built = run.stage("topics", about, [totals, centroids, vocabulary, labels])
    do(built, BuildTopics(totals, centroids, vocabulary, labels, bare, counting, naming,
                          recipe.nr_topics, tuple(names)))  # fmt: skip
    version = built.fingerprint
    if recipe.representation:
        chosen = {
            "models": describe_models(recipe.representation), "examples": recipe.n_examples,
            "embedder": describe_embedder(recipe.representation, word_embedder),
        }  # fmt: skip
        version = fingerprint("represented", chosen, [built.fingerprint])
    folder = run.topics_folder(version)
    if not Topics.saved(folder):
        found = examples(run, inputs, recipe, tokens, labels, built, embeddings, executor)
        topics = assemble(built, found)
        if names:
            given = names_of(names, topics.mapping, topics.ids, topics.centroids, phrases)
            topics = replace(topics, given=given)
        if recipe.representation:
            models = recipe.representation
            topics = represent(run, topics, built, models, word_embedder, executor)
        topics.save(folder)
    stages = {"documents": documents, "sample": sample, "embeddings": embeddings,
              "tokens": tokens, "clusters": clusters, "labels": labels,
              "topics": built}  # fmt: skip
    return Fitted(Topics.load(folder), version, embedder, stages)


def draw_sample(
    run: Run, recipe: Recipe, documents: Stage, bare: Sequence[Block], executor: Executor
) -> Stage:
    """Leave the rows that the reducer is fitted on."""
    draw = {"sample_size": recipe.sample_size, "random_state": recipe.random_state}
    sample = run.stage("sample", draw, [documents])
    step = DrawSample(documents, bare, recipe.sample_size, recipe.random_state)
    executor.run(sample, step)
    return sample


def count(
    run: Run,
    bare: Sequence[Block],
    counting: Counting,
    tokens: Stage,
    vocabulary: Stage,
    labels: Stage,
    documents: Stage,
    embeddings: Stage,
    executor: Executor,
) -> tuple[Stage, Stage]:
    """Leave the counts of terms and the sums of vectors of each label."""
    members = spans(bare)
    by_name = {span.name: blocks for span, blocks in members.items()}
    counts = run.stage("counts", {}, [tokens, vocabulary, labels], own_lengths(members))
    step = CountBlocks(tokens, counting, vocabulary, labels, by_name)
    executor.map_blocks(counts, step, list(members))
    totals = run.stage("topic counts", {}, [counts])
    executor.run(totals, MergeCounts(counts, list(members)))
    sums = run.stage("vectors", {}, [documents, embeddings, labels], own_lengths(members))
    summing = SumVectors(embeddings, labels, documents, by_name)
    executor.map_blocks(sums, summing, list(members))
    centroids = run.stage("centroids", {}, [sums])
    executor.run(centroids, MergeSums(sums, list(members)))
    return totals, centroids


def embed(
    run: Run, inputs: Inputs, embedder: Any, documents: Stage, sample: Stage, executor: Executor
) -> tuple[Stage, Any]:
    """Leave a vector for each document, taken or computed, and return the embedder as fitted."""
    given = inputs.embeddings
    if given is not None:
        stage = run.stage("embeddings", {"given": given.key, "dtype": given.dtype}, [documents])
        importing = ImportBlock(given.rows, documents, given.dtype)
        given.executor.map_blocks(stage, importing, inputs.bare)
        return by_content(stage), None
    read = inputs.read_changed
    if getattr(embedder, "needs_fit", False):
        fitted = run.stage("embedder", {**embedder.describe(), **inputs.changed}, [sample])
        executor.run(fitted, FitEmbedder(embedder, read, inputs.blocks, sample))
        receipt = fitted.whole_receipt()
        assert receipt is not None
        embedder = StoredEmbedder(fitted, receipt.notes["sha256"])
    if isinstance(embedder, StaticSource):
        embedder = keep_static(run, embedder, executor)
    dtype = getattr(embedder, "stored_as", "float32")
    about = {**embedder.describe(), **inputs.changed, "stored_as": dtype}
    stage = run.stage("embeddings", about, [inputs.key])
    step = EmbedBlock(read, embedder, dtype)
    executor.map_blocks(stage, step, inputs.blocks, accelerated=True)
    return stage, embedder


def ready(run: Run, embedder: Any, executor: Executor) -> Any:
    """Return what embeds words; a static model is kept in the run before."""
    return keep_static(run, embedder, executor) if isinstance(embedder, StaticSource) else embedder


def keep_static(run: Run, model: StaticSource, executor: Executor) -> StoredStatic:
    """Keep a static model in the run, where every worker finds it; distilled once, by one."""
    stage = run.stage("embedder", dict(model.describe()))
    if not isinstance(model, StaticEmbedder):
        executor.run(stage, KeepStatic(model))
    elif stage.whole_receipt() is None:  # the client holds it: no worker need be sent it
        stage.write_whole(KeepStatic(model)(stage), 0.0)
    stored = StoredStatic.of(stage)
    assert stored is not None
    return stored


def import_targets(run: Run, inputs: Inputs) -> list[Stage]:
    """Keep the classes that a caller gave (``y``); none where there are none."""
    given = inputs.targets
    if given is None:
        return []
    stage = run.stage("targets", {"given": given.key}, [inputs.key])
    given.executor.map_blocks(stage, ImportTargets(given.rows), inputs.bare)
    return [by_content(stage)]


def cluster(
    run: Run,
    bare: list[Block],
    recipe: Recipe,
    documents: Stage,
    sample: Stage,
    embeddings: Stage,
    targets: list[Stage],
    assigned: Stage | None,
    executor: Executor,
) -> Stage:
    """Leave a cluster label for each document: reduce and cluster, or take what is given.

    Documents to which a name was `assigned` are no part of it.
    """
    if recipe.clusterer is None:
        stage = run.stage("clusters", {"given": True}, targets)
        executor.map_blocks(stage, LabelBlock(targets[0]), bare)
        return stage
    reads = [sample, embeddings, *targets]
    model = run.stage("reducer", dict(recipe.reducer.describe()), reads)
    target = targets[0] if targets else None
    fitting = FitReducer(recipe.reducer, embeddings, bare, sample, target)
    executor.run(model, fitting, accelerated=getattr(recipe.reducer, "on_gpu", False))
    reduced = run.stage("reduced", {}, [model, embeddings, documents])
    bounds = fit_bounds(sample, model, bare)
    step = ReduceBlock(embeddings, documents, model, bounds, trust=True)
    executor.map_blocks(reduced, step, bare, accelerated=places_on_gpu(model))
    if recipe.refine and bounds is None:
        assert isinstance(recipe.reducer, UMAP)
        reduced, _ = refine(run, recipe.reducer, recipe.refine, model, reduced, embeddings, sample,
                            bare, executor)  # fmt: skip
    if assigned is not None:
        reduced = leave_out(run, reduced, assigned, bare, executor)
    executor.forget()
    clusters = cluster_points(run, recipe.clusterer, reduced, bare, executor, target)
    if recipe.memberships is not None:
        find_memberships(run, recipe.memberships, reduced, clusters, bare, executor)
    executor.forget()
    return clusters


def examples(
    run: Run,
    inputs: Inputs,
    recipe: Recipe,
    tokens: Stage,
    clusters: Stage,
    built: Stage,
    embeddings: Stage,
    executor: Executor,
) -> dict[int, list[Example]]:
    """Return each topic's representative documents with their texts."""
    bare = inputs.bare
    compared = run.stage("candidates", {}, [built, tokens])
    positions = {block.name: i for i, block in enumerate(bare)}
    reduce_ = recipe.ctfidf.reduce_frequent_words
    step = CompareCandidates(tokens, clusters, recipe.counting, built, positions, reduce_)
    executor.map_blocks(compared, step, bare)
    chosen = run.stage("examples", {"examples": recipe.n_examples}, [compared])
    executor.run(chosen, ChooseExamples(compared, bare, recipe.n_examples))

    table = chosen.whole_table("examples").sort_by([("block", "ascending")])
    wanted = [(b, r.tolist()) for b, r in rows_by_block(table, inputs.blocks) if len(r)]
    reading = ReadRows(inputs.read, embeddings)
    texts = [text for read in executor.map(reading, wanted) for text in read]
    found: dict[int, list[Example]] = {}
    for topic, alike, (doc_id, text, vector) in zip(
        table["topic"].to_pylist(), table["similarity"].to_pylist(), texts, strict=True
    ):
        found.setdefault(topic, []).append(Example(doc_id, text, alike, vector))
    return {topic: sorted(listed, key=lambda e: -e.similarity) for topic, listed in found.items()}


def represent(
    run: Run,
    topics: Topics,
    version: Stage,
    models: Mapping[str, Sequence[Any]],
    embedder: Any,
    executor: Executor,
) -> Topics:
    """Return topics with the words that representation models choose."""
    about = {"models": describe_models(models), "topics": topics.content(),
             "embedder": describe_embedder(models, embedder)}  # fmt: skip
    stage = run.stage("representation", about, [version])
    step = RepresentTopics(version, topics, models, embedder, run.location / "answers")
    # clients of services cannot be sent
    here = executor if all_ours(models) else InProcessExecutor()
    here.run(stage, step)
    return with_words(topics, stage)


def by_content(stage: Stage) -> Stage:
    """Return the stage under a key of its bytes, so that equal rows given again are the same."""
    digest = hashlib.sha256()
    for receipt in stage.receipts():
        digest.update(receipt.sha256.encode())
    return replace(stage, fingerprint=digest.hexdigest()[:20])


def fit_bounds(
    sample: Stage, model: Stage, blocks: Sequence[Block]
) -> dict[str, tuple[int, int]] | None:
    """Return each block's rows of the fit, where the sample is the whole corpus."""
    if not sample.whole_json("about")["whole"]:
        return None
    receipt = model.whole_receipt()
    aimless = receipt.notes.get("aimless", {}) if receipt is not None else {}
    bounds, start = {}, 0
    for block, rows in rows_by_block(sample.whole_table("rows"), blocks):
        stop = start + len(rows) - aimless.get(block.name, 0)
        bounds[block.name] = (start, stop)
        start = stop
    return bounds
