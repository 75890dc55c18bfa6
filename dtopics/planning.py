"""What a job works on and where: the plan of its blocks, what is given for them, the cluster."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from dtopics.corpus import (
    reader_for,
    segment_from_table,
    segment_to_table,
    verify_sources,
)
from dtopics.data import Segment
from dtopics.embedding.given import ArrayRows, ReadRows, check_given
from dtopics.errors import DamagedError, InputError, RunMismatchError
from dtopics.execution import Executor, InProcessExecutor, Progress
from dtopics.execution.cluster import LocalSettings, connect, current_client, executor_for
from dtopics.inputs import Given, Inputs
from dtopics.store import Location, Run, fingerprint
from dtopics.store.arrays import write_chunk
from dtopics.store.tables import read_table, table_bytes
from dtopics.store.verifying import remove, remove_noted

T = TypeVar("T")

logger = logging.getLogger("dtopics")

SEGMENT = "0000"
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


def is_list(documents: Any) -> bool:
    """Return whether the documents are held in memory, and so their results."""
    return isinstance(documents, list | tuple | np.ndarray)


def claim(run: Run, corpus: Any) -> None:
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
def planning(
    corpus: Any, run: Run, block_size: int | None, around: Surroundings
) -> Iterator[tuple[Segment, Executor]]:
    """Give the plan, made now or before, and an executor of the size that it asks for."""
    file = plan_file(run, SEGMENT)
    planned = file.exists() and bool(run.segments)
    if run.segments and not planned:  # damaged, and removed: the same is made again
        block_size = run.segments[0]["block_rows"]
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
    run.state["segments"] = [rows, *run.state.get("segments", [])[1:]]
    run.save()
    return segment


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


def anything(damage: DamagedError) -> bool:  # noqa: ARG001 (of any kind)
    """Say of any damage that the work makes it anew."""
    return True


def repairing(
    run: Run, work: Callable[[], T], makes: Callable[[DamagedError], bool] = anything
) -> T:
    """Do what goes on where it was broken off, and again where something of the run is damaged.

    What turns out to be missing, or not as it was written, is removed when it is read: each by
    itself, and what it was made of stays. A block that is damaged anew takes the whole of its stage
    with it, and then it is an error.

    Parameters
    ----------
    run : Run
    work : callable
    makes : callable (DamagedError) -> bool
        Whether the work makes anew what is damaged.

    Raises
    ------
    DamagedError
        Where it is not this run's to make, or again not as it was written.
    """
    removed: set[tuple[str, str]] = set()
    while True:
        try:
            return work()
        except DamagedError as damage:
            block = "" if (damage.stage, damage.block) in removed else damage.block
            again = (damage.stage, block) in removed
            if again or not damage.stage or not makes(damage):
                raise
            if not remove(run, damage.stage, block):
                raise
            removed.add((damage.stage, block))
            logger.warning("done again: %s", damage.message)


def mend_noted(run: Run) -> None:
    """Remove what a check found damaged, to be done again."""
    for what in remove_noted(run):
        logger.warning("done again: %s", what)


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


def make_inputs(
    run: Run,
    segment: Segment,
    corpus: Any,
    embeddings: Any,
    y: Any,
    executor: Executor,
    progress: Progress,
) -> Inputs:
    """Return the planned documents with what is given for each of them."""
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


def array_digest(array: Any) -> str:
    """Return a hash of an array's content, type and shape."""
    digest = hashlib.sha256(f"{array.dtype}{array.shape}".encode())
    for start in range(0, len(array), 65_536):
        digest.update(np.ascontiguousarray(array[start : start + 65_536]).data)
    return digest.hexdigest()
