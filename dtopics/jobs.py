"""A fit or a transform from beginning to end: checks, run directory, plan, cluster, pipeline."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import secrets
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtopics.clustering import as_clusterer
from dtopics.corpus import (
    as_corpus,
    reader_for,
    segment_from_table,
    segment_to_table,
    verify_read,
    verify_sources,
)
from dtopics.data import Segment
from dtopics.embedding import as_embedder
from dtopics.embedding.given import ArrayRows, ReadRows, check_given, width_of
from dtopics.errors import EmbeddingError, InputError, RunMismatchError, SettingError
from dtopics.execution import Executor, InProcessExecutor, Progress
from dtopics.execution.cluster import LocalSettings, connect, current_client, executor_for
from dtopics.pipeline import N_EXAMPLES, Fitted, Given, Inputs, Recipe, assign, fit, transform
from dtopics.reduction import UMAP, as_reducer
from dtopics.reduction.device_neighbors import placing_device
from dtopics.reduction.layout import EPOCHS
from dtopics.report.memory import Need
from dtopics.representation.ctfidf import as_ctfidf
from dtopics.representation.vectorizer import as_counting
from dtopics.representation.vocabulary import many_terms
from dtopics.store import Location, Run, fingerprint
from dtopics.store.arrays import write_chunk
from dtopics.store.fingerprint import describe
from dtopics.store.stage import read_table, table_bytes
from dtopics.topics import Topics
from dtopics.topics.representing import as_representation, embeds, n_texts

logger = logging.getLogger("dtopics")

SEGMENT = "0000"
#: Epochs are numbered with four digits.
MOST_EPOCHS = 9_999
#: Sources of at most so many bytes are planned in this process; larger ones by the workers.
SMALL_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Surroundings:
    """Where a job runs.

    Attributes
    ----------
    run : Location
        The run directory.
    client : distributed.Client, str or None
    local : LocalSettings or None
        The size of a local cluster, where one was asked for.
    progress : Progress
    model : Location or None
        The run that a transform reads.
    """

    run: Location
    client: Any
    progress: Progress
    local: LocalSettings | None = None
    model: Location | None = None


@dataclass(frozen=True)
class Job:
    """A finished fit: the run, its topics, and the stages that results are read from."""

    run: Run
    fitted: Fitted
    segment: Segment


def make_recipe(
    params: Mapping[str, Any], *, embedded: bool, targets: bool, listed: bool = False
) -> Recipe:
    """Choose the strategies that a model's parameters ask for.

    Parameters
    ----------
    params : mapping
        `TopicModel.get_params`.
    embedded : bool
        Whether embeddings are given.
    targets : bool
        Whether classes are given (``y``).
    listed : bool
        Whether the documents are a list, whose results are held in memory.

    Raises
    ------
    SettingError
        Where a parameter has a value that means nothing.
    """
    _check_numbers(params)
    if not isinstance(params["language"], str):
        message = f"language must be a name such as 'english', not {params['language']!r}"
        raise SettingError(message)
    seed = params["random_state"]
    min_topic_size = params["min_topic_size"]
    embedder = None
    if not embedded:
        language = params["language"]
        embedder = as_embedder(params["embedding_model"], language=language, random_state=seed)
    clusterer = as_clusterer(
        params["hdbscan_model"], min_topic_size=min_topic_size, random_state=seed
    )
    if clusterer is None and not targets:
        message = "a hdbscan_model that does not cluster needs the classes: fit(documents, y=…)"
        raise SettingError(message)
    reducer = as_reducer(params["umap_model"], random_state=seed)
    models = as_representation(params["representation_model"])
    word_embedder = None
    if embedded and embeds(models):
        if params["embedding_model"] is None:
            message = (
                "representation_model embeds words, and the documents' embeddings are given: give "
                "the embedding_model that made them"
            )
            raise SettingError(message)
        word_embedder = as_embedder(
            params["embedding_model"], language=params["language"], random_state=seed
        )
    return Recipe(
        embedder=embedder,
        reducer=reducer,
        clusterer=clusterer,
        counting=as_counting(
            params["vectorizer_model"],
            n_gram_range=params["n_gram_range"],
            min_df_scope=params["min_df_scope"],
        ),
        ctfidf=as_ctfidf(params["ctfidf_model"]),
        sample_size=params["sample_size"],
        random_state=0 if seed is None else seed,
        top_n_words=params["top_n_words"],
        refine=refining_epochs(params["refine"], reducer, targets=targets),
        nr_topics=params["nr_topics"],
        memberships=membership_form(params["calculate_probabilities"], listed=listed),
        representation=models,
        word_embedder=word_embedder,
        n_examples=max(N_EXAMPLES, n_texts(models)),
    )


def refining_epochs(wanted: Any, reducer: Any, *, targets: bool) -> int:
    """Return the epochs that ``refine`` asks for; 0 for none.

    Raises
    ------
    SettingError
    """
    if wanted is None:
        n_epochs = EPOCHS if isinstance(reducer, UMAP) and not targets else 0
    elif isinstance(wanted, bool):
        n_epochs = EPOCHS if wanted else 0
    elif isinstance(wanted, int) and 0 <= wanted <= MOST_EPOCHS:
        n_epochs = wanted
    else:
        message = (
            f"refine must be a bool or a number of epochs up to {MOST_EPOCHS:,}, not {wanted!r}"
        )
        raise SettingError(message)
    if n_epochs and not isinstance(reducer, UMAP):
        message = f"refine moves documents by UMAP's forces; a {type(reducer).__name__} has none"
        raise SettingError(message)
    if n_epochs and targets:
        message = "refine knows nothing of classes (y), and would undo what they did; leave it out"
        raise SettingError(message)
    return n_epochs


def membership_form(wanted: Any, *, listed: bool) -> str | None:
    """Return the form of memberships that ``calculate_probabilities`` asks for.

    Raises
    ------
    SettingError
    """
    if wanted is False:
        return None
    if wanted is True:
        return "held" if listed else "sparse"
    if isinstance(wanted, str) and wanted in ("dense", "sparse"):
        return "held" if listed and wanted == "dense" else wanted
    message = f"calculate_probabilities must be a bool, 'dense' or 'sparse', not {wanted!r}"
    raise SettingError(message)


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
    run.check_writable()
    run.check_free(run.location / "assignments")
    with computing(around.client):
        _claim(run, corpus)
    if params["random_state"] is None:  # drawn once for a run: what is done again must be the same
        seed = run.state.setdefault("drawn_random_state", secrets.randbelow(2**32))
        seeded = {**params, "random_state": seed}
        recipe = make_recipe(
            seeded, embedded=embeddings is not None, targets=y is not None,
            listed=is_list(documents),
        )  # fmt: skip
    with _planned(corpus, run, params["block_size"], around) as (segment, executor):
        with computing(around.client):
            inputs = _inputs(run, segment, corpus, embeddings, y, executor, around.progress)
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
        documents, clusters = fitted.stages["documents"], fitted.stages["clusters"]
        assign(run, inputs.bare, fitted.topics, documents, clusters, executor)
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
) -> Run:
    """Label new documents by a run; the results lie in `out`, its own state below it."""
    with connected(around) as reached:
        return _transform(
            run, topics, embedder, documents, embeddings, out, reached,
            trust=trust, block_size=block_size, memberships=memberships,
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
    work.check_writable()
    work.check_free(out)
    with computing(around.client):
        _claim(work, corpus)
    around = replace(around, run=work.location, model=run.location)
    with _planned(corpus, work, block_size, around) as (segment, executor):
        with computing(around.client):
            inputs = _inputs(work, segment, corpus, embeddings, None, executor, around.progress)
        embedder = settled(embedder, work, executor)
        if "fitted" not in work.state:
            _check_width(embeddings, embedder, topics, around.run.storage_options, executor)
        work.begin({"model": str(run.location)})
        transform(run, work, inputs, embedder, topics, out, executor, trust=trust,
                  memberships=memberships)  # fmt: skip
        verify_read(segment, corpus.storage_options)
        work.finish("")
    return work


def is_list(documents: Any) -> bool:
    """Return whether the documents are held in memory, and so their results."""
    return isinstance(documents, list | tuple | np.ndarray)


def describe_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as ``run.json`` keeps them; objects by class and parameters."""
    hidden = {"run", "storage_options", "verbose", "low_memory"}
    with warnings.catch_warnings():  # said where it matters: at the stages that are keyed by it
        warnings.simplefilter("ignore", UserWarning)
        return {name: describe(value) for name, value in params.items() if name not in hidden}


def _claim(run: Run, corpus: Any) -> None:
    """Make this the run of a corpus; of the same files that changed since, name the one."""
    try:
        run.claim(corpus.fingerprint(), str(corpus))
    except RunMismatchError:
        file = plan_file(run, SEGMENT)
        if corpus.files and file.exists():
            segment = segment_from_table(read_table(file))
            if corpus.files == tuple(source.url for source in segment.sources):
                verify_sources(segment, corpus.storage_options)
        raise


def plan_file(run: Run, segment: str) -> Location:
    """Return where the plan of a segment lies."""
    return run.location / "plan" / f"{segment}.parquet"


@contextlib.contextmanager
def _planned(
    corpus: Any, run: Run, block_size: int | None, around: Surroundings
) -> Iterator[tuple[Segment, Executor]]:
    """Give the plan, made now or before, and an executor of the size that it asks for."""
    file = plan_file(run, SEGMENT)
    planned = file.exists() and bool(run.segments)
    with computing(around.client):
        small = corpus.in_memory or corpus.estimate().bytes <= SMALL_BYTES

    def executor(n_blocks: int) -> Any:
        return executor_for(
            around.client,
            around.run,
            n_blocks=n_blocks,
            progress=around.progress,
            local=around.local,
            model=around.model,
        )

    if planned:
        segment = segment_from_table(read_table(file))
        verify_sources(segment, corpus.storage_options)
        if block_size not in {None, segment.block_rows}:
            logger.info("the run's plan has blocks of %d rows; they stay", segment.block_rows)
        with executor(len(segment.blocks)) as found:
            yield segment, found
    elif small:
        with computing(around.client):
            segment = _plan(corpus, run, block_size, map)
        with executor(len(segment.blocks)) as found:
            yield segment, found
    else:
        with executor(3) as found:
            yield _plan(corpus, run, block_size, found.map), found


def _plan(corpus: Any, run: Run, block_size: int | None, map_: Any) -> Segment:
    spool = run.location / "spool" / SEGMENT
    segment: Segment = corpus.plan(segment=SEGMENT, block_rows=block_size, spool=spool, map_=map_)
    keep_plan(run, segment)
    rows = {"name": SEGMENT, "n_rows": segment.n_rows, "block_rows": segment.block_rows}
    run.state["segments"] = [rows]
    run.save()
    return segment


def _inputs(
    run: Run,
    segment: Segment,
    corpus: Any,
    embeddings: Any,
    y: Any,
    executor: Executor,
    progress: Progress,
) -> Inputs:
    here = InProcessExecutor(progress)
    return Inputs(
        key=plan_key(run),
        blocks=segment.blocks,
        read=reader_for(segment, corpus.storage_options, run.location / "spool" / SEGMENT),
        embeddings=None
        if embeddings is None
        else given_embeddings(embeddings, segment.n_rows, run, here, executor),
        targets=None if y is None else _given_targets(y, segment.n_rows, here),
    )


def keep_plan(run: Run, segment: Segment) -> None:
    """Write the plan of a segment."""
    plan_file(run, segment.name).write(table_bytes(segment_to_table(segment)))


def plan_key(run: Run) -> str:
    """Return the fingerprint of a run's plan: the corpus, and how it is divided."""
    first = run.segments[0]
    layout = {name: first[name] for name in ("n_rows", "block_rows")}
    return fingerprint("plan", layout, [run.state["corpus"]["fingerprint"]])


def planned(run: Run) -> Iterator[tuple[Segment, Any]]:
    """Give the segments of a run that was fitted, each with what reads its documents.

    Raises
    ------
    RunError
        Where a source changed since.
    """
    options = run.location.storage_options
    for known in run.segments:
        segment = segment_from_table(read_table(plan_file(run, known["name"])))
        verify_sources(segment, options)
        yield segment, reader_for(segment, options, run.location / "spool" / known["name"])


def given_embeddings(
    embeddings: Any, n_rows: int, run: Run, here: Executor, executor: Executor
) -> Given:
    """Return embeddings that a caller gave, and who reads them."""
    info = check_given(embeddings, n_rows, run.location.storage_options)
    if hasattr(embeddings, "dask"):
        embeddings = _spool_dask(embeddings, run)
    if isinstance(embeddings, str | bytes) or hasattr(embeddings, "__fspath__"):
        rows = ReadRows(str(embeddings), run.location.storage_options)
        return Given(rows, rows.key(), info.dtype, executor)
    array = np.asarray(embeddings)
    return Given(ArrayRows(array), array_digest(array), info.dtype, here)


def _given_targets(y: Any, n_rows: int, here: Executor) -> Given:
    targets = np.asarray([-1 if value is None else value for value in y])
    if targets.shape != (n_rows,):
        message = f"y has shape {targets.shape}, expected one class per document: ({n_rows},)"
        raise InputError(message)
    if targets.dtype.kind not in "iu":
        message = f"y must hold integers (-1 where unknown), not {targets.dtype}"
        raise InputError(message)
    if targets.min(initial=0) < -1:
        message = f"y holds {targets.min()}; classes are 0 or more, and -1 where unknown"
        raise InputError(message)
    _, found = np.unique(targets[targets >= 0], return_inverse=True)
    targets = targets.astype(np.int64)
    targets[targets >= 0] = found
    return Given(ArrayRows(targets), array_digest(targets), "int64", here)


def _spool_dask(embeddings: Any, run: Run) -> str:
    """Write a Dask array to Zarr in the run, from the workers that compute it."""
    import dask

    target = run.location / "spool" / "embeddings.zarr"
    target.remove()
    n_rows, width = embeddings.shape
    chunk_rows = min(run.segments[0]["block_rows"], n_rows)
    parts = embeddings.rechunk((chunk_rows, width)).to_delayed().ravel()
    write = dask.delayed(_spool_chunk)
    dask.compute(*(write(target, i, part, n_rows, chunk_rows) for i, part in enumerate(parts)))
    return target.url


def _spool_chunk(
    target: Location, index: int, rows: NDArray[Any], n_rows: int, chunk_rows: int
) -> None:
    write_chunk(target, index, np.asarray(rows), n_rows=n_rows, chunk_rows=chunk_rows)


@contextlib.contextmanager
def connected(around: Surroundings) -> Iterator[Surroundings]:
    """Give the same with a client in place of a scheduler's address, and close that after."""
    address = around.client
    if address is None and around.local is None and current_client() is None:
        address = os.environ.get("DASK_SCHEDULER_ADDRESS")
    if not isinstance(address, str):
        yield around
        return
    with connect(address) as client:
        yield replace(around, client=client)


@contextlib.contextmanager
def computing(client: Any) -> Iterator[None]:
    """Let Dask collections be computed by a client where one was given.

    Where there is none at all, threads compute them: a bag's own default, processes, would need
    a main guard in the user's script.
    """
    if hasattr(client, "as_current"):
        with client.as_current():
            yield
    elif current_client() is None and "dask" in sys.modules:
        import dask

        with dask.config.set(scheduler=dask.config.get("scheduler", "threads")):
            yield
    else:
        yield


def array_digest(array: Any) -> str:
    """Return a hash of an array's content, type and shape."""
    digest = hashlib.sha256(f"{array.dtype}{array.shape}".encode())
    for start in range(0, len(array), 65_536):
        digest.update(np.ascontiguousarray(array[start : start + 65_536]).data)
    return digest.hexdigest()


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


def _check_numbers(params: Mapping[str, Any]) -> None:
    for name, least in (("min_topic_size", 2), ("top_n_words", 1), ("sample_size", 10)):
        value = params[name]
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            message = f"{name} must be an integer of at least {least}, not {value!r}"
            raise SettingError(message)
    nr_topics = params["nr_topics"]
    number = isinstance(nr_topics, int) and not isinstance(nr_topics, bool) and nr_topics >= 1
    if not (nr_topics is None or number or (isinstance(nr_topics, str) and nr_topics == "auto")):
        message = f"nr_topics must be None, 'auto' or a positive integer, not {nr_topics!r}"
        raise SettingError(message)
    block_size = params["block_size"]
    if block_size is not None and (not isinstance(block_size, int) or block_size < 1):
        message = f"block_size must be a positive integer or None, not {block_size!r}"
        raise SettingError(message)
    seed = params["random_state"]
    if seed is not None and (not isinstance(seed, int) or not 0 <= seed < 2**32):
        message = f"random_state must be None or an integer from 0 to 2**32 - 1, not {seed!r}"
        raise SettingError(message)
