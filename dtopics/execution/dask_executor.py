"""Steps on a Dask cluster: a window of futures over the plan.

Tasks return receipts, never arrays. The driver counts each block's attempts itself, because Dask
blames every task that was waiting on a lost worker and then gives up on innocent ones. Resources
are asked for per task: annotations get lost in collections, and Dask does not queue tasks that
carry them, which is why the window is ours.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import logging
import queue
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

from dtopics.data import Block, Receipt
from dtopics.errors import ClusterError, DTopicsError
from dtopics.execution import quarantine
from dtopics.execution.cache import forget, relieve
from dtopics.execution.executor import blocks_to_do, do_rounds, raise_failures, staged
from dtopics.execution.progress import Progress, SilentProgress
from dtopics.execution.steps import (
    GlobalStep,
    Packed,
    Refusal,
    do_packed_blocks,
    do_packed_call,
    do_packed_whole,
    try_packed_block,
)
from dtopics.execution.waiting import Batch, Waiting
from dtopics.protocols import BlockStep
from dtopics.store import Location, Stage

T = TypeVar("T")
R = TypeVar("R")

logger = logging.getLogger("dtopics")

Resources: TypeAlias = dict[str, float] | None
#: What a task asks for that belongs on a GPU.
GPU: Resources = {"GPU": 1}
MAX_ATTEMPTS = 3
TASKS_PER_SLOT = 2
#: How long a cluster may be without workers (preempted, say), and how often that is looked at.
NO_WORKERS_S = 600.0
POLL_S = 5.0
#: How long a worker may be paused and idle before it has to forget what it holds; before it is
#: started anew.
FORGET_S, RESTART_S = 10.0, 60.0
#: How long is waited for workers to forget what they hold, where nothing hangs on it.
ANSWER_S = 10.0
#: How long all may wait for a task whose worker uses no more of a core, in percent (Dask's own
#: profile of a task that waits takes 8), where Dask's setting ``dtopics.execution.hang-after`` does
#: not say.
HANG_S, HANG_CPU = 3600.0, 25.0


class DaskExecutor:
    """Runs steps on the workers of a Dask client.

    Parameters
    ----------
    connect : callable
        Gives the client, already checked. It is called when the first task is there to be done:
        a run that finds everything done starts no cluster.
    folder : Location
        Where large steps are left for the workers, usually ``run/foreign``.
    progress : Progress, optional
    """

    def __init__(
        self, connect: Callable[[], Any], folder: Location, progress: Progress | None = None
    ) -> None:
        self._connect = connect
        self._checks: list[Callable[[int], None]] = []
        self.folder = folder
        self.progress = progress or SilentProgress()
        self._looked, self._workers_then = 0.0, dict[str, Any]()
        # Dask takes a key that it knows for the same task, and others send to the scheduler too.
        mine = uuid.uuid4().hex
        self._names = (f"{mine}-{n}" for n in itertools.count())

    @functools.cached_property
    def client(self) -> Any:
        """The Dask client."""
        client = self._connect()
        for check in self._checks:
            _check_memory(client, check)
        return client

    def forget(self) -> None:
        """Have every worker forget what it keeps for the next task."""
        self._on_every_worker(forget)

    def relieve(self) -> None:
        """Have workers that are rather full forget what they keep for the next task."""
        self._on_every_worker(relieve)

    def _on_every_worker(self, function: Callable[..., None]) -> None:
        """Call a function in all workers, where there is a client; one that hangs is left."""
        if "client" not in self.__dict__:
            return

        def call() -> None:
            with contextlib.suppress(Exception):  # they may have gone, and nothing depends on it
                self.client.run(function, on_error="ignore")

        calling = threading.Thread(target=call, daemon=True)
        calling.start()
        calling.join(ANSWER_S)

    def require(self, check: Callable[[int], None]) -> None:
        """Have the smallest worker's memory checked, now or once there is a client."""
        self._checks.append(check)
        if "client" in self.__dict__:
            _check_memory(self.client, check)

    def map_blocks(
        self, stage: Stage, step: BlockStep, blocks: Sequence[Block], *, accelerated: bool = False
    ) -> None:
        """Do every block that has no receipt, about two at a time per slot."""
        todo = blocks_to_do(stage, blocks)
        with staged(self.progress, stage, blocks, todo):
            self._do(stage, step, todo, {}, accelerated=accelerated)

    def map_rounds(
        self,
        stage: Stage,
        step: BlockStep,
        rounds: Sequence[Sequence[Block]],
        after: Callable[[int], None],
    ) -> None:
        """Do rounds of blocks one after the other.

        A block of a number goes to the same worker in every round, which keeps what it needs; to
        another where that one has fallen behind or is gone.
        """

        def do(todo: Sequence[Block]) -> None:
            threads = {a: worker["nthreads"] for a, worker in self._workers().items()}
            self._do(stage, step, todo, threads, accelerated=False)

        do_rounds(self.progress, stage, rounds, do, after)

    def _do(
        self,
        stage: Stage,
        step: BlockStep,
        todo: Sequence[Block],
        threads: Mapping[str, int],
        *,
        accelerated: bool,
    ) -> None:
        """Do blocks, at home with the workers whose threads are given, if any are."""
        if not todo:
            return
        resources = self._resources(accelerated=accelerated)

        def do(step: Any, blocks: Sequence[Block]) -> dict[str, BaseException]:
            packed = Packed.pack(step, self.folder)

            def submit(batch: Batch, home: str | None) -> Any:
                return self._submit(
                    do_packed_blocks, packed, stage, batch,
                    name=stage.name, resources=resources, home=home,
                )  # fmt: skip

            waiting = Waiting(blocks, threads)
            return self._window(stage, waiting, submit, resources)

        failures = do(step, todo)
        for block in [block for block in todo if block.name in failures]:
            fails = functools.partial(self._fails, step, block, resources)
            without = quarantine.without(step, block, fails, stage.location.without_secrets)
            if without is not None:
                del failures[block.name]
                failures |= do(without, [block])
        raise_failures(stage, failures)

    def _fails(
        self, step: BlockStep, block: Block, resources: Any, rows: Collection[int]
    ) -> BaseException | None:
        """Try a block once without some of its rows; return what it died of."""
        packed = Packed.pack(quarantine.withholding(step, rows), self.folder)
        future = self._submit(
            try_packed_block, packed, block, name="without documents", resources=resources
        )
        self._until_done(future, resources)
        return _error(future)

    def run(self, stage: Stage, step: GlobalStep, *, accelerated: bool = False) -> None:
        """Do a global step that has no receipt, on one worker."""
        reused = stage.whole_receipt() is not None
        self.progress.start(stage.name, blocks=1, rows=0, done=int(reused))
        if not reused:
            packed = Packed.pack(step, self.folder)
            resources = self._resources(accelerated=accelerated)
            self._attempt(lambda: self._submit(
                do_packed_whole, packed, stage, name=stage.name, resources=resources
            ), resources)  # fmt: skip
            self.progress.advance(stage.name, rows=0)
        self.progress.finish(stage.name, reused=reused)

    def map(
        self, function: Callable[[T], R], items: Iterable[T], *, accelerated: bool = False
    ) -> Iterator[R]:
        """Return small results in the order of the items, a window of them at a time."""
        packed = Packed.pack(function, self.folder)
        resources = self._resources(accelerated=accelerated)
        slots = self._slots(resources)
        call = functools.partial(
            self._submit, do_packed_call, packed, name="call", resources=resources
        )
        window: deque[tuple[Any, T]] = deque()
        remaining = iter(items)
        while True:
            for item in itertools.islice(remaining, 2 * TASKS_PER_SLOT * slots - len(window)):
                window.append((call(item), item))
            if not window:
                return
            future, item = window.popleft()
            yield self._attempt(functools.partial(call, item), resources, future).result()

    def _window(
        self,
        stage: Stage,
        waiting: Waiting,
        submit: Callable[[Batch, str | None], Any],
        resources: Resources,
    ) -> dict[str, BaseException]:
        attempts: Counter[Batch] = Counter()
        failures: dict[str, BaseException] = {}
        running: dict[Any, tuple[Batch, str | None]] = {}
        finished: queue.SimpleQueue[Any] = queue.SimpleQueue()

        def add(batch: Batch, home: str | None) -> None:
            attempts[batch] += 1
            future = submit(batch, home)
            running[future] = batch, home
            future.add_done_callback(finished.put)

        try:
            while True:
                size = TASKS_PER_SLOT * self._slots(resources)
                while len(running) < size and (following := waiting.take()) is not None:
                    add(*following)
                if not running:
                    return failures
                future = self._wait(finished, resources)
                batch, home = running.pop(future)
                error = _error(future)
                if isinstance(error, DTopicsError):
                    raise error
                if error is not None and len(batch) == 1 and attempts[batch] < MAX_ATTEMPTS:
                    add(batch, home)
                    continue
                waiting.done(home)
                if error is None:
                    for block in batch:
                        self.progress.advance(stage.name, rows=block.n_rows)
                elif len(batch) == 1:
                    failures[batch[0].name] = error
                else:  # which of them it was is found out one by one
                    logger.debug("%s failed together: %s", [b.name for b in batch], error)
                    waiting.apart(batch)
        finally:
            if running:
                self.client.cancel(list(running))

    def _wait(self, finished: queue.SimpleQueue[Any], resources: Resources) -> Any:
        """Return the next finished future; workers may come and go, but not stay away.

        Raises
        ------
        ClusterError
            Where there has been no worker that has the resources for `NO_WORKERS_S`.
        """
        alone_since: float | None = None
        stuck = Stuck(self.client)
        while True:
            with contextlib.suppress(queue.Empty):
                return finished.get(timeout=POLL_S)
            now = time.monotonic()
            workers = self.client.scheduler_info(n_workers=-1)["workers"]
            if workers:
                stuck.look(workers, now)
            if any(_has(worker, resources) for worker in workers.values()):
                alone_since = None
            elif alone_since is None:
                alone_since = now
            elif now - alone_since > NO_WORKERS_S:
                message = (
                    f"the cluster has had no workers{' with a GPU' if resources else ''} for "
                    f"{NO_WORKERS_S:.0f} s; what is finished is kept: run the same command again "
                    "when there are some"
                )
                raise ClusterError(message)

    def _until_done(self, future: Any, resources: Resources) -> None:
        finished: queue.SimpleQueue[Any] = queue.SimpleQueue()
        future.add_done_callback(finished.put)
        self._wait(finished, resources)

    def _attempt(self, submit: Callable[[], Any], resources: Resources, future: Any = None) -> Any:
        """Return the future of a task once it is done, which may take another try."""
        error: BaseException | None = None
        for _ in range(MAX_ATTEMPTS):
            future = submit() if future is None else future
            self._until_done(future, resources)
            error = _error(future)
            if error is None:
                return future
            if isinstance(error, DTopicsError):
                raise error
            future = None
        assert error is not None
        if type(error).__name__ == "KilledWorker":
            message = (
                f"the workers that did this ended each time, mostly for want of memory ({error}); "
                "give them more, or fewer at a time. What is finished is kept: run the same again"
            )
            raise ClusterError(message) from error
        raise error

    def _submit(
        self,
        function: Callable[..., Any],
        *args: Any,
        name: str,
        resources: Any = None,
        home: str | None = None,
    ) -> Any:
        """Send a task; to its home where it has one, which others may take it from."""
        key = f"dtopics-{name}-{next(self._names)}"
        where = {} if home is None else {"workers": [home], "allow_other_workers": True}
        return self.client.submit(
            function, *args, key=key, pure=False, resources=resources, **where
        )

    def _workers(self) -> dict[str, Any]:
        """Return the cluster's workers, which come and go, as they were `POLL_S` ago at most."""
        if not self._workers_then or time.monotonic() - self._looked > POLL_S:
            self._workers_then = self.client.scheduler_info(n_workers=-1)["workers"]
            self._looked = time.monotonic()
        return self._workers_then

    def _resources(self, *, accelerated: bool) -> Resources:
        """Return the resources to ask for: a GPU where some worker has one."""
        if not accelerated:
            return None
        workers = self.client.scheduler_info(n_workers=-1)["workers"].values()
        return GPU if any(_has(worker, GPU) for worker in workers) else None

    def _slots(self, resources: Resources) -> int:
        """Return how many tasks can run at once that ask for these resources."""
        workers = self._workers().values()
        of_each = (w["nthreads"] if resources is None else _gpus(w) for w in workers)
        return max(1, sum(map(int, of_each)))


class Stuck:
    """Sets workers going again that would stay as they are for ever.

    Dask pauses a worker whose memory is nearly full, to wait for what its tasks hold. Where it
    does nothing and holds what it keeps between tasks, nothing will go, and neither will the
    tasks that it has been given. And a task may hang, on a lock or a connection, while its worker
    answers: it uses no core, and nothing else is finished in the meantime.
    """

    def __init__(self, client: Any) -> None:
        import dask

        self._client = client
        self._since: dict[str, float] = {}
        self._told: set[str] = set()
        self._hanging: dict[str, float] = {}
        after = dask.config.get("dtopics.execution.hang-after", None)
        self._patience = HANG_S if after is None else dask.utils.parse_timedelta(after)

    def look(self, workers: Mapping[str, Mapping[str, Any]], now: float) -> None:
        """Look at the workers, some seconds after the last time.

        A cluster that cannot be asked just now, because a worker went meanwhile, is asked again.
        """
        try:
            self._look(workers, now)
            self._look_for_hanging(workers, now)
        except Exception as error:  # noqa: BLE001 (Dask raises of many kinds where a worker goes)
            logger.debug("paused workers could not be looked at: %s", error)

    def _look(self, workers: Mapping[str, Mapping[str, Any]], now: float) -> None:
        paused = [address for address, worker in workers.items() if worker["status"] == "paused"]
        if paused:
            working = self._client.call_stack()
            paused = [address for address in paused if not working.get(address)]
        self._since = {address: self._since.get(address, now) for address in paused}
        self._told &= set(paused)
        for address, since in list(self._since.items()):
            if now - since > RESTART_S:
                logger.warning("%s is paused and does nothing; it is started anew", address)
                self._client.restart_workers([address], raise_for_error=False)
                del self._since[address]
            elif now - since > FORGET_S and address not in self._told:
                self._client.run(forget, workers=[address], on_error="ignore")
                self._told.add(address)

    def _look_for_hanging(self, workers: Mapping[str, Mapping[str, Any]], now: float) -> None:
        hanging = [
            address for address, worker in workers.items()
            if worker["metrics"]["task_counts"].get("executing")
            and worker["metrics"]["cpu"] <= HANG_CPU
        ]  # fmt: skip
        self._hanging = {address: self._hanging.get(address, now) for address in hanging}
        for address, since in list(self._hanging.items()):
            if now - since > self._patience:
                logger.warning("a task hangs on %s; it is started anew", address)
                self._client.restart_workers([address], raise_for_error=False)
                del self._hanging[address]


def _gpus(worker: Mapping[str, Any]) -> float:
    return float(worker.get("resources", {}).get("GPU", 0))


def _has(worker: Mapping[str, Any], resources: Resources) -> bool:
    return resources is None or _gpus(worker) >= 1


def _check_memory(client: Any, check: Callable[[int], None]) -> None:
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    limits = [worker["memory_limit"] for worker in workers if worker.get("memory_limit")]
    if limits:
        check(min(limits))


def _error(future: Any) -> BaseException | None:
    """Wait for a future; return what it died of, or None.

    Raises
    ------
    ClusterError
        Where the scheduler was lost, and every future with it.
    """
    from distributed import CancelledError

    # Most are told by their type, which comes with the news; to fetch them all takes milliseconds
    # of client, scheduler and worker, in which the next task could have been sent.
    if future.status == "finished" and future.type is Receipt:
        return None
    try:
        found = future.result()
    except CancelledError as error:
        message = (
            f"the Dask scheduler was lost ({error}); what is finished is kept: run the same "
            "command again"
        )
        raise ClusterError(message) from error
    except Exception as error:  # noqa: BLE001 (counted, retried or reported by the caller)
        return error
    return found.error if isinstance(found, Refusal) else None
