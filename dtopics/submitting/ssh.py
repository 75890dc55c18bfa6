"""Bare hosts over SSH, each with a loop that brings its worker back."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from dtopics.errors import SettingError
from dtopics.submitting.job import Job, in_background
from dtopics.submitting.local import AGAIN

_SCRIPT = """\
#!/bin/bash
# The first host has the scheduler and runs the command; every host has a worker. A connection that
# is lost is made again, and what ran at its other end is begun again.
folder={folder}
connect() {{ {connect} "$1" bash -s; }}
keep() {{
    while [ ! -e "$folder/done" ]; do
        connect "$1" < "$folder/$2.sh" >> "$folder/log-$2-$1.txt" 2>&1
        sleep {every}
    done
}}
rm -f "$folder/done"
keep {head} scheduler &
for host in {hosts}; do keep "$host" worker & done
sleep {every}
{again}
touch "$folder/done"
connect {head} <<< {stop}
kill $(jobs -p) 2> /dev/null
exit $status
"""


@dataclass(frozen=True)
class Ssh:
    """Hosts that this machine may log in to without being asked.

    Attributes
    ----------
    job : Job
        Its `workers` are those of each host.
    hosts : sequence of str
        The first has the scheduler as well, and an address that the others reach.
    port : int
        Of the scheduler.
    connect : str
        The command that runs a shell on a host whose name follows.
    every : int
        Seconds before a lost connection is made again.
    head : str or None
        The first host's address as the others reach it, where that is not its name here.
    """

    job: Job
    hosts: Sequence[str]
    port: int = 8786
    connect: str = "ssh -o BatchMode=yes"
    every: int = 5
    head: str | None = None

    def __post_init__(self) -> None:
        if not self.hosts or any(not host.strip() or host.startswith("-") for host in self.hosts):
            message = f"hosts are {list(self.hosts)!r}; expected names, the scheduler's first"
            raise SettingError(message)

    @property
    def address(self) -> str:
        """Where the scheduler answers."""
        host = self.head or self.hosts[0].rpartition("@")[2]
        return f"{'tls' if self.job.tls else 'tcp'}://{host}:{self.port}"

    def files(self) -> dict[str, str]:
        """Return ``job.sh`` for this machine, and what it has the hosts do."""
        job, exports = self.job, self.job.exports()
        pid = f"/tmp/dtopics-{job.name}.pid"  # noqa: S108 (a process id, on the hosts)
        host = [] if self.head is None else ["--host", self.head]
        scheduler = job.scheduler("--port", str(self.port), *host)
        worker = job.worker(self.address)
        script = _SCRIPT.format(
            folder=shlex.quote(str(job.place)), connect=self.connect, every=self.every,
            head=shlex.quote(self.hosts[0]), hosts=shlex.join(list(self.hosts) * job.workers),
            again=AGAIN.format(
                retries=job.retries,
                command=f'connect {shlex.quote(self.hosts[0])} < "$folder/command.sh"',
            ),
            stop=shlex.quote(f"kill $(cat {pid})"),
        )  # fmt: skip
        command = job.dtopics(self.address)
        return {
            "job.sh": script,
            "scheduler.sh": f"{exports}echo $$ > {pid}\nexec {scheduler}\n",
            "worker.sh": f"{exports}exec {worker}\n",
            "command.sh": f"{exports}exec {command} < /dev/null\n",
        }

    def send(self) -> str:
        """Start the script in the background; return its process id."""
        return in_background(self.job)
