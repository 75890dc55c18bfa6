"""Which Dask cluster a fit runs on, and whether it can serve."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dtopics.errors import ClusterError, SettingError
from dtopics.execution.dask_executor import DaskExecutor
from dtopics.execution.environ import variables
from dtopics.execution.executor import Executor, InProcessExecutor
from dtopics.execution.progress import Progress
from dtopics.execution.threads import available_cores
from dtopics.store import Location
from dtopics.store.fingerprint import versions

#: Packages whose version changes a result, or how it travels.
COMPARED = (
    "dtopics", "dask", "distributed", "cloudpickle", "hdbscan", "numba", "numpy", "pyarrow",
    "pynndescent", "scikit-learn", "scipy", "sentence-transformers", "torch", "transformers",
    "umap-learn", "zarr",
)  # fmt: skip

#: Settings of a cluster of our own. A global fit may hold the GIL for minutes, which a scheduler
#: takes for a dead worker; one that is silent for longer has stopped. A task that loses its worker
#: so often goes back to the executor, which tries it again: a lost worker must not condemn those
#: that merely waited on it, and a task that ends every worker must not go on for ever.
_SCHEDULER_ENVIRONMENT = {
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "30 minutes",
    "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "2",
    "DASK_DISTRIBUTED__ADMIN__TICK__LIMIT": "1 hour",
    "DASK_DISTRIBUTED__SCHEDULER__PRELOAD": "['dtopics.execution.orphans']",
}


#: Settings of this process while it keeps a cluster of its own. A lost worker's process is started
#: again by its nanny; the default gives the nanny itself up when two losses lie 15 s apart.
_CLIENT_SETTINGS = {"distributed.deploy.lost-worker-timeout": "1 day"}

#: What a scheduler must have as well, to pass on what the others say.
PASSED_ON = ("python", "dask", "distributed", "cloudpickle", "msgpack")

CONNECT_TIMEOUT = "20s"
#: How long a scheduler on a busy cluster may take to start.
SCHEDULER_FILE_S = 120.0
#: A cluster of our own that has had nothing to do for so long ends itself, should its scheduler not
#: have noticed that the client is gone.
ORPHANED = "30 minutes"


@dataclass(frozen=True)
class LocalSettings:
    """A local cluster's size.

    Attributes
    ----------
    workers : int or None
        Processes; one per core by default.
    threads : int
        Tasks that a process does at a time.
    memory_limit : str
        Of each process, as Dask writes it (``"2GiB"``), or ``"auto"``.

    Raises
    ------
    SettingError
        Where no cluster has such a size: its processes would end, and be started, for ever.
    """

    workers: int | None = None
    threads: int = 1
    memory_limit: str = "auto"

    def __post_init__(self) -> None:
        from dask.utils import parse_bytes

        for name, size in (("workers", self.workers), ("threads", self.threads)):
            if size is not None and size < 1:
                message = f"{name} must be at least 1, not {size}"
                raise SettingError(message)
        try:
            fits = self.memory_limit == "auto" or parse_bytes(self.memory_limit) > 0
        except ValueError:
            fits = False
        if not fits:
            message = f"memory_limit must be 'auto' or such as '2GiB', not {self.memory_limit!r}"
            raise SettingError(message)


@contextlib.contextmanager
def executor_for(
    client: Any,
    run: Location,
    *,
    n_blocks: int,
    progress: Progress,
    local: LocalSettings | None = None,
    model: Location | None = None,
) -> Iterator[Executor]:
    """Give an executor for a run, and close what was opened for it.

    Parameters
    ----------
    client : distributed.Client, str or None
        A client, a scheduler's address or file (``.json``), or None: the current client, else
        ``DASK_SCHEDULER_ADDRESS``, else this process where there are at most two blocks,
        else a local cluster.
    run : Location
        The run directory, which every worker must see.
    n_blocks : int
    progress : Progress
    local : LocalSettings, optional
        The local cluster's size; given, there will be a cluster however few the blocks.
    model : Location, optional
        Another run that the work reads.

    Raises
    ------
    ClusterError
        Where the scheduler cannot be reached, has no workers, or workers cannot serve.
    SettingError
        Where `client` is none.
    """
    if client is None and local is None:
        client = current_client() or os.environ.get("DASK_SCHEDULER_ADDRESS")
    if not (client is None or isinstance(client, str) or hasattr(client, "scheduler_info")):
        message = f"client is a {type(client).__name__}; expected a Dask Client or an address"
        raise SettingError(message)
    in_memory = "memory" in {run.protocol, (model or run).protocol}
    if client is None and (in_memory or (n_blocks <= 2 and local is None)):
        yield InProcessExecutor(progress)
        return
    if in_memory:
        message = f"{model or run} lives in one process; give a run URL that the workers can reach"
        raise ClusterError(message)
    with contextlib.ExitStack() as stack:

        def ready() -> Any:
            found = client
            if found is None:
                found = stack.enter_context(local_cluster(local or LocalSettings()))
            elif isinstance(found, str):
                found = stack.enter_context(connect(found))
            check_workers(found, run)
            return found

        executor = DaskExecutor(ready, run / "foreign", progress)
        yield executor
        if hasattr(client, "scheduler_info"):  # one that somebody else goes on with
            executor.relieve()


def current_client() -> Any:
    """Return the process's current Dask client, or None."""
    if "distributed" not in sys.modules:
        return None
    from distributed import default_client

    try:
        return default_client()
    except ValueError:
        return None


@contextlib.contextmanager
def connect(address: str) -> Iterator[Any]:
    """Give a client of the scheduler at `address`, or of the one whose file that is.

    Neither it nor that of a local cluster is Dask's default: it is begun within other settings and
    ends after them, and would leave them behind.
    """
    from distributed import Client

    where = {"scheduler_file": address} if address.endswith(".json") else {"address": address}
    if "scheduler_file" in where:
        _wait_for_file(address)
    try:
        client = Client(**where, timeout=CONNECT_TIMEOUT, set_as_default=False)
    except (OSError, ValueError) as error:
        message = f"no Dask scheduler answers at {address}: {error}"
        raise ClusterError(message) from error
    with client:
        yield client


def _wait_for_file(path: str) -> None:
    """Wait for a scheduler that has just been started to write its file; Dask waits for ever."""
    deadline = time.monotonic() + SCHEDULER_FILE_S
    while not os.path.exists(path):  # noqa: PTH110 (as Dask does)
        if time.monotonic() > deadline:
            message = f"there is no scheduler file {path} after {SCHEDULER_FILE_S:.0f} s"
            raise ClusterError(message)
        time.sleep(0.1)


@contextlib.contextmanager
def local_cluster(settings: LocalSettings) -> Iterator[Any]:
    """Give a client of a cluster on this machine.

    Its processes are started as commands of their own, so a script needs no
    ``if __name__ == "__main__"``.
    """
    import dask
    from distributed import Client
    from distributed.deploy.subprocess import SubprocessCluster

    workers = settings.workers or available_cores()
    options: dict[str, Any] = {"death_timeout": 60}
    if settings.memory_limit != "auto":
        options["memory_limit"] = settings.memory_limit
    with variables(_environment()):
        cluster = SubprocessCluster(
            n_workers=workers,
            threads_per_worker=settings.threads,
            worker_kwargs=options,
            scheduler_kwargs={
                "dashboard": False,
                "dashboard_address": "127.0.0.1:0",
                "idle_timeout": ORPHANED,
            },
            silence_logs=40,
        )
    with (
        dask.config.set(_CLIENT_SETTINGS),
        cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        try:
            client.wait_for_workers(workers, timeout=120)
        except TimeoutError as error:
            message = f"of {workers} processes on this machine, some did not start: {error}"
            raise ClusterError(message) from error
        yield client


def check_workers(client: Any, run: Location) -> None:
    """Compare the workers' packages with the client's, and see that they see the run.

    Raises
    ------
    ClusterError
    """
    if not client.scheduler_info(n_workers=1)["workers"]:
        try:
            client.wait_for_workers(1, timeout=60)
        except TimeoutError as error:
            message = f"the scheduler at {client.scheduler.address} has no workers"
            raise ClusterError(message) from error
    _check_versions(client)
    _check_sight(client, run)


def _check_versions(client: Any) -> None:
    """Compare packages of the workers, and what the scheduler needs of them, with this process's.

    The scheduler need not have dtopics: it passes on what it does not open.
    """
    from distributed.versions import get_versions

    found = client.run(versions, *COMPARED, on_error="return")
    compared: dict[str, tuple[tuple[str, ...], Any]]
    compared = {f"worker {worker}": (COMPARED, theirs) for worker, theirs in sorted(found.items())}
    hosts = client.get_versions()
    here = {name: str(value) for name, value in _told(get_versions()).items()}
    compared["the scheduler"] = (PASSED_ON, _told(hosts["scheduler"]))
    ours = versions(*COMPARED) | here
    different = []
    for who, (names, theirs) in compared.items():
        if isinstance(theirs, BaseException):
            different.append(f"{who}: cannot import dtopics: {theirs}")
            continue
        different += [
            f"{who}: {name} {theirs.get(name, 'missing')}, here {ours.get(name, 'missing')}"
            for name in names
            if theirs.get(name) != ours.get(name)
        ]
    pythons = {f"worker {name}": _told(told) for name, told in hosts["workers"].items()}
    different += [
        f"{who}: python {told['python']}, here {here['python']}"
        for who, told in sorted(pythons.items())
        if told.get("python") != here["python"]
    ]
    if different:
        message = (
            "packages differ from the client's, so results could, or tasks could not be sent; "
            "install the same everywhere:\n  " + "\n  ".join(different[:20])
        )
        raise ClusterError(message)


def _told(host: Mapping[str, Any]) -> dict[str, str]:
    """Return what a process says of its Python (without the third number) and its packages."""
    python = ".".join(str(dict(host["host"]).get("python", "")).split(".")[:2])
    return {**{k: str(v) for k, v in host["packages"].items()}, "python": python}


def _check_sight(client: Any, run: Location) -> None:
    probe = run / f"probe-{uuid.uuid4().hex}"
    probe.create(b"")
    try:
        blind = sorted(worker for worker, sees in client.run(probe.exists).items() if not sees)
    finally:
        probe.remove()
    if blind:
        message = (
            f"{len(blind)} workers cannot see {run} ({', '.join(blind[:5])}); give a run URL on "
            "storage that all of them share, such as s3:// or a network file system"
        )
        raise ClusterError(message)


def _environment() -> dict[str, str]:
    """Return the variables of a cluster's processes.

    They import what this process can: a module beside the user's script, say.
    """
    chosen = {name: os.environ.get(name, value) for name, value in _SCHEDULER_ENVIRONMENT.items()}
    return {**chosen, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
