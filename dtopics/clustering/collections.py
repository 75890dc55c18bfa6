"""HDBSCAN on a Dask array: rows go into a run directory, labels come out of it, block by block.

No process holds all rows, this one none: each block is written by the worker that computes it. The
stage of rows is kept by their bytes, so equal ones given again are neither kept twice nor clustered
again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import uuid
import weakref
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dtopics.clustering.distributed import content_key
from dtopics.clustering.hdbscan_clusterer import HDBSCANClusterer
from dtopics.clustering.points import as_new_points, not_finite
from dtopics.clustering.steps import cluster_points, clusterer_model
from dtopics.data import Block
from dtopics.errors import InputError
from dtopics.execution import Executor, SilentProgress
from dtopics.execution.cluster import executor_for
from dtopics.store import Location, Run, Stage

if TYPE_CHECKING:
    from dtopics.clustering.distributed import PartsModel
    from dtopics.clustering.hdbscan_model import HDBSCANModel

#: The only segment, as everywhere in a run.
SEGMENT = "0000"
#: What `Run.claim` tells the run from a model's by.
CLAIM = "points given to HDBSCAN"


class TemporaryFolder:
    """A folder that is removed with the last object that holds this one.

    Copies in other processes are its URL and hold nothing.
    """

    def __init__(self) -> None:
        self.url = tempfile.mkdtemp(prefix="dtopics-")
        weakref.finalize(self, shutil.rmtree, self.url, ignore_errors=True)

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (self.url,)

    def __deepcopy__(self, memo: object) -> TemporaryFolder:
        return self

    def __dask_tokenize__(self) -> str:
        return self.url


@dataclass(frozen=True, eq=False)
class Clustered:
    """What a fit on a Dask array left.

    Attributes
    ----------
    stage : Stage
        ``clusters``: labels, probabilities and outlier scores by block, and the model.
    folder : TemporaryFolder, str or None
        What the stage lies in, where it is temporary.
    """

    stage: Stage
    folder: TemporaryFolder | str | None

    def rows(self, name: str) -> Any:
        """Return one of the stage's arrays as a Dask array, one chunk a block."""
        import dask.array as da

        _, n_rows, block_rows = self.stage.segments[0]
        starts = range(0, n_rows, block_rows)
        chunks = (tuple(min(block_rows, n_rows - start) for start in starts),)
        meta = np.empty(0, np.int32 if name == "labels" else np.float32)
        return da.map_blocks(
            ReadRows(self, name), token=name, chunks=chunks, dtype=meta.dtype, meta=meta
        )

    def model(self) -> PartsModel | HDBSCANModel:
        """Return this process's copy of the model."""
        return clusterer_model(self.stage, trust=False)  # type: ignore[no-any-return]


@dataclass(frozen=True, eq=False)
class ReadRows:
    """Read a block's rows of an array; a graph that has it keeps the folder."""

    clustered: Clustered
    name: str

    def __call__(self, block_info: Any = None) -> NDArray[Any]:
        """Return the rows, shape (n_rows,)."""
        (index,) = block_info[None]["chunk-location"]
        return self.clustered.stage.array(self.name, Block(SEGMENT, index, 0, 0))


def cluster_array(X: Any, clusterer: HDBSCANClusterer, run: str | None, client: Any) -> Clustered:
    """Cluster the rows of a Dask array over all workers.

    Parameters
    ----------
    X : dask.array.Array of numbers, shape (n_points, n_components)
    clusterer : HDBSCANClusterer
    run : str or None
        The run directory; None for a temporary one.
    client : distributed.Client, str or None
        As in `executor_for`.

    Raises
    ------
    InputError
        `X` is no array of points, has no rows or chunks of unknown size, or has NaN or infinity.
    RunMismatchError
        The run is that of a corpus.
    ClusterError
        Workers cannot serve, or cannot see the run.
    """
    check_array(X)
    n_rows, n_components = X.shape
    if np.isnan(n_rows):
        raise InputError(
            "the Dask array's chunks are of unknown size: call X.compute_chunk_sizes() before, "
            "or make it with to_dask_array(lengths=True)"
        )
    if n_rows == 0:
        raise InputError(f"points of shape {X.shape}: expected at least one row")
    block_rows = max(X.chunks[0])
    X = X.rechunk((block_rows, n_components))
    folder = TemporaryFolder() if run is None else None
    opened = Run(Location(folder.url if folder is not None else str(run)))
    opened.load()
    opened.check_writable()
    opened.claim(CLAIM, CLAIM)
    opened.state["segments"] = [{"name": SEGMENT, "n_rows": n_rows, "block_rows": block_rows}]
    opened.begin(clusterer.describe())
    blocks = opened.blocks()
    progress = SilentProgress()
    with executor_for(client, opened.location, n_blocks=len(blocks), progress=progress) as executor:
        reduced = import_points(opened, X, executor)
        stage = cluster_points(opened, clusterer, reduced, blocks, executor)
    opened.finish("")
    return Clustered(stage, folder)


def label_array(
    X: Any, n_components: int, clustered: Clustered | None, model: HDBSCANModel | PartsModel
) -> Any:
    """Return the labels of a Dask array's rows as a Dask array, computed when they are asked for.

    Parameters
    ----------
    X : dask.array.Array, shape (n_new, n_components)
    n_components : int
        Those of the fit.
    clustered : Clustered or None
        The fit on a Dask array, whose model each process opens once.
    model : HDBSCANModel or PartsModel
        Travels to the workers where there is no such fit.

    Raises
    ------
    InputError
        `X` is no array of points, or has another number of components.
    """
    import dask
    import dask.array as da

    check_array(X)
    if X.shape[1] != n_components:
        as_new_points(np.empty((0, int(X.shape[1]))), n_components)
    given = {} if clustered is not None else {"model": dask.delayed(model, traverse=False)}
    return da.map_blocks(
        LabelRows(n_components, clustered),
        X.rechunk({1: -1}),
        token="labels",  # noqa: S106 (the prefix of keys)
        drop_axis=1,
        dtype=np.int32,
        meta=np.empty(0, np.int32),
        **given,
    )


def check_array(X: Any) -> None:
    """Raise InputError where a Dask array cannot be points."""
    if X.dtype.kind not in "fiub":
        raise InputError(f"points are of type {X.dtype}: expected numbers")
    if X.ndim != 2 or not X.shape[1] > 0:
        raise InputError(f"points of shape {X.shape}: expected (n_points, n_features)")


def import_points(run: Run, X: Any, executor: Executor) -> Stage:
    """Write the blocks of `X`, which are the plan's, and return their stage under a content key.

    Raises
    ------
    InputError
        Rows have NaN or infinity; nothing of `X` is kept then.
    """
    import dask

    state = run.state
    if "importing" in state:  # what a fit that was killed had written
        _imported(run, state["importing"]).location.remove()
    state["importing"] = uuid.uuid4().hex
    stage = _imported(run, state["importing"])
    dtype = np.dtype(np.float32 if X.dtype == np.float32 else np.float64)
    step: Any = dask.delayed(ImportPoints(stage, dtype, X.shape[1]), traverse=False)
    parts = X.to_delayed().ravel()
    tasks = [step(block, part) for block, part in zip(run.blocks(), parts, strict=True)]
    client = getattr(executor, "client", None)
    found = dask.compute(*tasks, scheduler="threads" if client is None else client)
    bad = [(count, first) for count, first in found if count]
    if bad:
        stage.location.remove()
        raise not_finite(sum(count for count, _ in bad), X.shape[0], bad[0][1])
    about = [*X.shape, X.chunks[0][0], dtype.str, content_key(stage)]
    key = hashlib.sha256(json.dumps(about).encode()).hexdigest()[:20]
    kept = state.setdefault("points", {}).setdefault(key, state["importing"])
    if kept != state["importing"]:
        stage.location.remove()
    del state["importing"]
    return replace(_imported(run, kept), fingerprint=key)


def _imported(run: Run, name: str) -> Stage:
    return run.stage("reduced", {"import": name})


@dataclass(frozen=True)
class ImportPoints:
    """Keep a block of points, where all of them are finite.

    Parameters
    ----------
    stage : Stage
    dtype : numpy.dtype
    n_components : int
    """

    stage: Stage
    dtype: np.dtype[Any]
    n_components: int

    def __call__(self, block: Block, rows: Any) -> tuple[int, int]:
        """Return how many rows have NaN or infinity, and the first of these among all rows."""
        points = np.ascontiguousarray(rows, self.dtype)
        if points.shape != (block.n_rows, self.n_components):
            raise InputError(
                f"a chunk of the Dask array has shape {points.shape}, and the array says "
                f"{(block.n_rows, self.n_components)}"
            )
        bad = np.flatnonzero(~np.isfinite(points).all(axis=1))
        if len(bad):
            return len(bad), block.row_start + int(bad[0])
        self.stage.write_block(block, {"reduced": points})
        return 0, 0


@dataclass(frozen=True, eq=False)
class LabelRows:
    """Label rows by a model that the process opens once, or by one that is given."""

    n_components: int
    clustered: Clustered | None

    def __call__(self, rows: Any, model: Any = None) -> NDArray[np.int32]:
        """Return the rows' labels."""
        points = as_new_points(rows, self.n_components)
        if self.clustered is not None:
            model = self.clustered.model()
        labels: NDArray[np.int32] = model.predict(points)[0]
        return labels
