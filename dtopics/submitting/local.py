"""The machine at hand: a command in the background, begun again where it can go on."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from dtopics.submitting.job import Job, in_background

#: Begins a command again where its exit code says that it can go on.
AGAIN = """\
for try in $(seq 0 {retries}); do
    {command}
    status=$?
    [ $status -eq 1 ] || [ $status -gt 128 ] || break
    echo "ended with $status; begun again"
    sleep 5
done
"""


@dataclass(frozen=True)
class Local:
    """On this machine, on a cluster of its own or one that is there.

    Attributes
    ----------
    job : Job
    scheduler : str or None
        Of the cluster that is there.
    """

    job: Job
    scheduler: str | None = None

    def files(self) -> dict[str, str]:
        """Return ``job.sh``."""
        job = self.job
        if self.scheduler is not None:
            command = job.dtopics(self.scheduler)
        else:
            command = shlex.join([
                job.python, "-m", "dtopics.cli", *job.command, "--workers", str(job.workers),
                "--threads", str(job.threads), "--memory-limit", job.memory,
            ])  # fmt: skip
        again = AGAIN.format(retries=job.retries, command=command)
        return {"job.sh": f"#!/bin/bash\n{job.exports()}{again}exit $status\n"}

    def send(self) -> str:
        """Start the script in the background; return its process id."""
        return in_background(self.job)
