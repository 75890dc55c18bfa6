"""SLURM: one allocation, or workers that come and go."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from dask.utils import parse_bytes

from dtopics.errors import SettingError
from dtopics.submitting.job import Job, told
from dtopics.submitting.local import AGAIN

_HEAD = """\
#!/bin/bash
{directives}
cd {directory}
{exports}
"""

_SCHEDULER = """\
scheduler={folder}/scheduler-$SLURM_JOB_ID-${{SLURM_RESTART_COUNT:-0}}.json
{command} &
"""

_END = """\
rm -f "$scheduler"
kill $(jobs -p) 2> /dev/null
exit $status
"""

_ONE = """\
srun --overlap --kill-on-bad-exit=0 bash -c {worker} &
"""

_ELASTIC = """\
export scheduler
keep() {{
    while :; do
        there=$(squeue --noheader --array --name={name}-worker \\
            --states=PENDING,RUNNING,CONFIGURING,COMPLETING | wc -l)
        for _ in $(seq $((there + 1)) {workers}); do
            sbatch --quiet --export=ALL {folder}/worker.sh
        done
        sleep {every}
    done
}}
keep &
trap 'kill %2 2> /dev/null; scancel --name={name}-worker' EXIT
"""


@dataclass(frozen=True)
class Slurm:
    """One allocation for scheduler, workers and the command, begun again where it is preempted.

    Attributes
    ----------
    job : Job
    time : str
        Of the allocation, as SLURM writes it.
    options : sequence of str
        More of ``sbatch``'s, such as ``--partition=gpu``.
    """

    job: Job
    time: str = "24:00:00"
    options: Sequence[str] = ()

    def files(self) -> dict[str, str]:
        """Return ``job.sh``."""
        job = self.job
        directives = _directives(self, job.name, job.workers, "log.txt")
        loop = f"while :; do {job.worker('--scheduler-file', '$scheduler')}; sleep 2; done"
        workers = "export scheduler\n" + _ONE.format(worker=shlex.quote(loop))
        return {"job.sh": _script(self, directives, workers)}

    def send(self) -> str:
        """Submit the job; return its number."""
        return f"SLURM job {told(['sbatch', '--parsable', str(self.job.place / 'job.sh')])}"


@dataclass(frozen=True)
class ElasticSlurm(Slurm):
    """A small job for scheduler and command, and one for each worker, sent again as they go.

    Attributes
    ----------
    worker_options : sequence of str
        ``sbatch``'s for the workers, such as the partition whose jobs are preempted.
    worker_time : str
        Of each worker's job; it leaves before, in good order.
    every : int
        Seconds between two looks at how many workers there are.
    """

    worker_options: Sequence[str] = ()
    worker_time: str = "01:00:00"
    every: int = 30

    def files(self) -> dict[str, str]:
        """Return ``job.sh`` and ``worker.sh``."""
        job = self.job
        directives = _directives(self, job.name, 1, "log.txt")
        keep = _ELASTIC.format(name=job.name, workers=job.workers, folder=_quoted(job),
                               every=self.every)  # fmt: skip
        of_worker = [
            *_directives(self, f"{job.name}-worker", 1, "log-worker-%j.txt"),
            *(f"#SBATCH {option}" for option in self.worker_options),
            f"#SBATCH --time={self.worker_time}",
        ]
        lifetime = seconds_of(self.worker_time)
        leaving = ["--lifetime", f"{lifetime * 0.9:.0f}s", "--lifetime-stagger",
                   f"{lifetime * 0.05:.0f}s"]  # fmt: skip
        head = _HEAD.format(directives="\n".join(of_worker), directory=_directory(),
                            exports=job.exports())  # fmt: skip
        worker = job.worker("--scheduler-file", '"$scheduler"', *leaving)
        return {
            "job.sh": _script(self, directives, keep), "worker.sh": f"{head}exec {worker}\n"
        }  # fmt: skip


def _script(way: Slurm, directives: Sequence[str], workers: str) -> str:
    job = way.job
    head = _HEAD.format(directives="\n".join(directives), directory=_directory(),
                        exports=job.exports())  # fmt: skip
    scheduler = _SCHEDULER.format(
        folder=_quoted(job),
        command=job.scheduler("--port", "0", "--scheduler-file", '"$scheduler"'),
    )
    again = AGAIN.format(retries=job.retries, command=job.dtopics("$scheduler"))
    return head + scheduler + workers + again + _END


def _directives(way: Slurm, name: str, tasks: int, log: str) -> list[str]:
    job = way.job
    megabytes = math.ceil(parse_bytes(job.memory) / 2**20)
    found = {
        "job-name": name, "ntasks": tasks, "cpus-per-task": job.threads,
        "mem-per-cpu": f"{math.ceil(megabytes / job.threads)}M", "time": way.time,
        "output": job.place / log, "open-mode": "append",
    }  # fmt: skip
    if job.gpus:
        found["gpus-per-task"] = job.gpus
    return [
        *(f"#SBATCH --{option}={value}" for option, value in found.items()),
        "#SBATCH --requeue",
        *(f"#SBATCH {option}" for option in way.options),
    ]


def seconds_of(time: str) -> int:
    """Return the seconds of a time as SLURM writes it: ``[days-]hours:minutes:seconds``.

    Examples
    --------
    >>> seconds_of("01:30:00"), seconds_of("2-00:00:00"), seconds_of("10")
    (5400, 172800, 600)
    """
    days, _, rest = time.rpartition("-")
    try:
        numbers = [int(part) for part in rest.split(":")]
        if not days and len(numbers) < 3:  # minutes, or minutes and seconds
            numbers = [0, *numbers, 0][:3]
        hours, minutes, seconds = [*numbers, 0, 0][:3]
        return int(days or 0) * 86_400 + hours * 3_600 + minutes * 60 + seconds
    except ValueError as error:
        message = f"{time!r} is no time of SLURM's, such as 12:00:00"
        raise SettingError(message) from error


def _directory() -> str:
    from pathlib import Path

    return shlex.quote(str(Path.cwd()))


def _quoted(job: Job) -> str:
    return shlex.quote(str(job.place))
