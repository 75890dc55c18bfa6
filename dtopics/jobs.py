"""A fit or a transform from beginning to end: checks, run directory, plan, cluster, pipeline."""

from __future__ import annotations

import logging
import secrets
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dtopics.corpus import (
    as_corpus,
    verify_read,
)
from dtopics.corpus.preprocess import Preprocessing
from dtopics.data import Segment
from dtopics.embedding.given import width_of
from dtopics.errors import EmbeddingError, InputError, SettingError
from dtopics.execution import Executor, InProcessExecutor
from dtopics.inputs import Recipe
from dtopics.pipeline import Fitted, fit
from dtopics.planning import (
    Surroundings,
    claim,
    computing,
    connected,
    is_list,
    make_inputs,
    mend_noted,
    planning,
    repairing,
)
from dtopics.recipes import make_recipe
from dtopics.reduction.device_neighbors import placing_device
from dtopics.report.assignments import assign
from dtopics.report.memory import Need
from dtopics.representation.vocabulary import many_terms
from dtopics.store import Location, Run, fingerprint
from dtopics.store.fingerprint import describe
from dtopics.topics import Topics
from dtopics.transforming import transform

logger = logging.getLogger("dtopics")


@dataclass(frozen=True)
class Job:
    """A finished fit: the run, its topics, and the stages that results are read from."""

    run: Run
    fitted: Fitted
    segment: Segment


def run_fit(
    params: Mapping[str, Any], documents: Any, embeddings: Any, y: Any, around: Surroundings
) -> Job:
    """Fit, or go on with a fit that was broken off."""
    recipe = make_recipe(
        params, embedded=embeddings is not None, targets=y is not None, listed=is_list(documents)
    )
    with connected(around) as reached:
        return _fit(params, recipe, documents, embeddings, y, reached)


def _fit(
    params: Mapping[str, Any],
    recipe: Recipe,
    documents: Any,
    embeddings: Any,
    y: Any,
    around: Surroundings,
) -> Job:
    with computing(around.client):
        corpus = as_corpus(documents)
        corpus.check()
    if recipe.embedder is not None and hasattr(recipe.embedder, "check"):
        recipe.embedder.check()
    run = Run(around.run)
    run.load()
    run.check_free(run.location / "assignments")
    run.check_writable()
    with run.writing("a fit"):
        run.load()
        with computing(around.client):
            claim(run, corpus)
        if params["random_state"] is None:  # once for a run: what is done again must be the same
            seed = run.state.setdefault("drawn_random_state", secrets.randbelow(2**32))
            seeded = {**params, "random_state": seed}
            recipe = make_recipe(
                seeded, embedded=embeddings is not None, targets=y is not None,
                listed=is_list(documents),
            )  # fmt: skip
        mend_noted(run)
        return repairing(run, lambda: _fit_run(params, recipe, run, corpus, embeddings, y, around))


def _fit_run(
    params: Mapping[str, Any],
    recipe: Recipe,
    run: Run,
    corpus: Any,
    embeddings: Any,
    y: Any,
    around: Surroundings,
) -> Job:
    with planning(corpus, run, params["block_size"], around) as (segment, executor):
        with computing(around.client):
            inputs = make_inputs(run, segment, corpus, embeddings, y, executor, around.progress)
        inputs = replace(inputs, change=recipe.preprocessing.embed)
        if not isinstance(executor, InProcessExecutor):
            recipe.counting.check()
            recipe.preprocessing.check()
        recipe = replace(
            recipe,
            embedder=settled(recipe.embedder, run, executor),
            word_embedder=settled(recipe.word_embedder, run, executor),
        )
        if many := many_terms(recipe.counting, segment.n_rows):
            logger.warning(many)
        executor.require(_need(corpus, segment, recipe, around).check)
        recipe = replace(recipe, reducer=_with_device(recipe.reducer, run, executor))
        run.begin(describe_params(params) | {"embeddings_given": embeddings is not None})
        fitted = fit(run, inputs, recipe, executor)
        verify_read(segment, corpus.storage_options)
        documents, labels = fitted.stages["documents"], fitted.stages["labels"]
        assign(run, inputs.bare, fitted.topics, documents, labels, executor)
        run.finish(fitted.version)
    return Job(run, fitted, segment)


def _need(corpus: Any, segment: Segment, recipe: Recipe, around: Surroundings) -> Need:
    """Return what a worker must hold at the peak."""
    with computing(around.client):
        text = corpus.estimate().bytes if not corpus.in_memory else 0
    umap = recipe.reducer.describe().get("kind") == "umap"
    clusters = recipe.clusterer is not None and hasattr(recipe.clusterer, "fit_blocks")
    return Need.of(
        segment.n_rows, segment.block_rows, recipe.sample_size if umap else 0, text,
        clusters=clusters, refines=recipe.refine > 0 and recipe.sample_size < segment.n_rows,
    )  # fmt: skip


def run_transform(
    run: Run,
    topics: Topics,
    embedder: Any,
    documents: Any,
    embeddings: Any,
    out: Location,
    around: Surroundings,
    *,
    trust: bool,
    block_size: int | None,
    memberships: str | None = None,
    preprocessing: Preprocessing,
) -> Run:
    """Label new documents by a run; the results lie in `out`, its own state below it."""
    with connected(around) as reached:
        return _transform(
            run, topics, embedder, documents, embeddings, out, reached,
            trust=trust, block_size=block_size, memberships=memberships,
            preprocessing=preprocessing,
        )  # fmt: skip


def _transform(
    run: Run,
    topics: Topics,
    embedder: Any,
    documents: Any,
    embeddings: Any,
    out: Location,
    around: Surroundings,
    *,
    trust: bool,
    block_size: int | None,
    memberships: str | None = None,
    preprocessing: Preprocessing,
) -> Run:
    with computing(around.client):
        corpus = as_corpus(documents)
        corpus.check()
    if embeddings is None and embedder is None:
        message = (
            "this run was fitted with given embeddings, so the model that made them is not known; "
            "give the new documents' embeddings, or an embedding_model"
        )
        raise EmbeddingError(message)
    if embeddings is None and getattr(embedder, "needs_fit", False):
        message = "new documents need an embedding model that is fitted; this one is not"
        raise SettingError(message)
    if embeddings is None and hasattr(embedder, "check"):
        embedder.check()
    if f"{out.url}/".startswith(f"{run.location.url}/"):
        message = f"{out} lies in the run {run.location}, whose own files are there; give another"
        raise InputError(message)
    work = Run(out / "_dtopics")
    work.load()
    work.check_free(out)
    work.check_writable()
    with work.writing("a transform"):
        work.load()
        with computing(around.client):
            claim(work, corpus)
        reached = replace(around, run=work.location, model=run.location)
        mend_noted(work)
        repairing(work, lambda: _transform_run(
            run, work, topics, embedder, corpus, embeddings, out, reached,
            trust=trust, block_size=block_size, memberships=memberships,
            preprocessing=preprocessing,
        ))  # fmt: skip
    return work


def _transform_run(
    run: Run,
    work: Run,
    topics: Topics,
    embedder: Any,
    corpus: Any,
    embeddings: Any,
    out: Location,
    around: Surroundings,
    *,
    trust: bool,
    block_size: int | None,
    memberships: str | None,
    preprocessing: Preprocessing,
) -> None:
    with planning(corpus, work, block_size, around) as (segment, executor):
        with computing(around.client):
            inputs = make_inputs(work, segment, corpus, embeddings, None, executor, around.progress)
        inputs = replace(inputs, change=preprocessing.embed)
        if not isinstance(executor, InProcessExecutor):
            preprocessing.check()
        embedder = settled(embedder, work, executor)
        if "fitted" not in work.state:
            _check_width(embeddings, embedder, topics, around.run.storage_options, executor)
        work.begin({"model": str(run.location)})
        transform(run, work, inputs, embedder, topics, out, executor, trust=trust,
                  memberships=memberships)  # fmt: skip
        verify_read(segment, corpus.storage_options)
        work.finish("")


def describe_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as ``run.json`` keeps them; objects by class and parameters."""
    hidden = {"run", "storage_options", "verbose", "low_memory"}
    with warnings.catch_warnings():  # said where it matters: at the stages that are keyed by it
        warnings.simplefilter("ignore", UserWarning)
        return {name: describe(value) for name, value in params.items() if name not in hidden}


def settled(embedder: Any, run: Run, executor: Executor) -> Any:
    """Settle what depends on the workers' hardware: once for a run, and for all its blocks."""
    if not hasattr(embedder, "resolve"):
        return embedder
    chosen = run.state.setdefault("embedder", {})
    about = {"model": embedder.name, "revision": embedder.revision, **embedder.options}
    key = fingerprint("embedder", about)
    if key not in chosen:
        found = next(iter(executor.map(_resolve, [embedder], accelerated=True)))
        chosen[key] = found.settings()
    return embedder.settle(chosen[key])


def _with_device(reducer: Any, run: Run, executor: Executor) -> Any:
    """Settle where a reducer that leaves it open looks for neighbours: once for a run."""
    if getattr(reducer, "device", "cpu") is not None:
        return reducer
    if "placing_device" not in run.state:
        found = executor.map(_placing_device, [None], accelerated=True)
        run.state["placing_device"] = next(iter(found))
    return replace(reducer, device=run.state["placing_device"])


def _placing_device(_: None) -> str:
    return placing_device()


def _resolve(embedder: Any) -> Any:
    return embedder.resolve()


def _check_width(
    embeddings: Any,
    embedder: Any,
    topics: Topics,
    storage_options: Mapping[str, Any],
    executor: Executor,
) -> None:
    """See that new vectors are as wide as those of the fit, before any document is embedded."""
    found: int | None
    if embeddings is not None:
        found = width_of(embeddings, storage_options)
    else:
        found = next(iter(executor.map(_width, [embedder], accelerated=True)))
    wanted = topics.centroids.shape[1]
    if found not in {None, wanted}:
        message = (
            f"the new embeddings have {found} features, the topics were made of {wanted}; embed "
            "with the same model as before"
        )
        raise EmbeddingError(message)


def _width(embedder: Any) -> int | None:
    try:
        return int(np.asarray(embedder.encode(["a"])).shape[1])
    except EmbeddingError:
        raise
    except Exception:  # noqa: BLE001 (the blocks will say so, by name)
        return None
