"""What is the same for every way to run."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from dtopics.errors import ClusterError, SettingError
from dtopics.execution.security import certificates, environment

#: The commands that can be sent.
COMMANDS = ("fit", "transform", "update")
#: A fit may hold the GIL for minutes, and a machine that is taken away blames innocent tasks.
DASK = {
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "30 minutes",
    "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "3",
    "DASK_DISTRIBUTED__ADMIN__TICK__LIMIT": "1 hour",
}


@dataclass(frozen=True)
class Job:
    """A command and the workers that it needs.

    Attributes
    ----------
    command : sequence of str
        Of ``dtopics``: ``fit reviews.parquet --run …``, without ``--scheduler``.
    name : str
    workers, threads : int
        Processes, and tasks that each does at a time.
    memory : str
        Of each process, as Dask writes it: ``8GiB``.
    gpus : int
        Of each machine; one worker for each by dask-cuda, in place of `workers`' threads.
    folder : Path
        Where the job's files and logs lie; machines that share no disk need not see it.
    python : str
        The interpreter on the machines.
    environment : mapping of str to str
        Variables beside Dask's own.
    tls : bool
        Whether all that processes say to each other is encrypted.
    retries : int
        How often a command that failed is begun again.

    Raises
    ------
    SettingError
        The command is none that can be sent, or names a scheduler or secrets.
    """

    command: Sequence[str]
    name: str = "dtopics"
    workers: int = 2
    threads: int = 1
    memory: str = "4GiB"
    gpus: int = 0
    folder: Path = Path("dtopics-job")
    python: str = sys.executable
    environment: Mapping[str, str] = field(default_factory=dict)
    tls: bool = False
    retries: int = 10

    def __post_init__(self) -> None:
        from dask.utils import parse_bytes

        if not self.command or self.command[0] not in COMMANDS:
            found = self.command[0] if self.command else "nothing"
            message = f"{found} cannot be sent; expected {', '.join(COMMANDS)}"
            raise SettingError(message)
        names = {word.partition("=")[0] for word in self.command}
        for name in ("--scheduler", "--workers", "--memory-limit", "--tls"):
            if name in names:
                message = f"{name} is the job's to say: give it before the --, or not at all"
                raise SettingError(message)
        for name, value in zip(self.command, [*self.command[1:], ""], strict=True):
            secret = value if name == "--storage-options" else name.partition("=")[2]
            if name.startswith("--storage-options") and not secret.startswith("@"):
                message = (
                    "storage options would be written into the job's files, with what is secret in "
                    "them: give --storage-options @FILE, or set the store's variables, such as "
                    "AWS_ACCESS_KEY_ID"
                )
                raise SettingError(message)
        for name, number in (("workers", self.workers), ("threads", self.threads)):
            if number < 1:
                message = f"{name} must be at least 1, not {number}"
                raise SettingError(message)
        try:
            fits = parse_bytes(self.memory) > 0
        except ValueError:
            fits = False
        if not fits:
            message = f"memory must be such as '8GiB', not {self.memory!r}"
            raise SettingError(message)
        if not self.name.replace("-", "").isalnum() or self.name != self.name.lower():
            message = f"a job's name is of small letters, digits and hyphens, not {self.name!r}"
            raise SettingError(message)

    @property
    def place(self) -> Path:
        """The folder, absolute."""
        return self.folder.absolute()

    def variables(self) -> dict[str, str]:
        """Return the variables of every process of the job."""
        encrypted = environment(self.place / "tls") if self.tls else {}
        return {**DASK, **encrypted, **self.environment}

    def exports(self) -> str:
        """Return the variables as lines of a shell script."""
        return "".join(
            f"export {name}={shlex.quote(value)}\n" for name, value in self.variables().items()
        )

    def dtopics(self, scheduler: str) -> str:
        """Return the command as a shell takes it; `scheduler` may be a variable of the shell's."""
        words = shlex.join([self.python, "-m", "dtopics.cli", *self.command])
        return f'{words} --scheduler "{scheduler}"'

    def worker(self, *options: str) -> str:
        """Return the command of a worker as a shell takes it."""
        common = ["--no-dashboard", "--death-timeout", "120"]
        if self.gpus:
            words = ["dask", "cuda", "worker", "--resources", "GPU=1", "--device-memory-limit", "0"]
        else:
            words = ["dask", "worker", "--nworkers", "1", "--nthreads", str(self.threads)]
        words = [self.python, "-m", *words, "--memory-limit", self.memory, *common]
        return " ".join([shlex.join(words), *options])

    def scheduler(self, *options: str) -> str:
        """Return the command of the scheduler; its dashboard is for its own machine alone."""
        words = [self.python, "-m", "dask", "scheduler", "--dashboard-address", "127.0.0.1:0"]
        return " ".join([shlex.join(words), *options])


class Way(Protocol):
    """A way to run a job."""

    job: Job

    def files(self) -> Mapping[str, str]:
        """Return the files that the job consists of, by name."""
        ...

    def send(self) -> str:
        """Begin the job; return what it is known by."""
        ...


def prepare(way: Way) -> Path:
    """Write a job's files into its folder, and return that.

    Raises
    ------
    SettingError
        The folder holds something else.
    """
    folder = way.job.place
    files = way.files()
    if folder.exists() and not folder.is_dir():
        message = f"{folder} is no folder"
        raise SettingError(message)
    folder.mkdir(parents=True, exist_ok=True)
    if way.job.tls:
        certificates(folder / "tls")
    for name, content in files.items():
        path = folder / name
        path.write_text(content)
        if name.endswith(".sh"):
            path.chmod(0o755)
    return folder


def in_background(job: Job) -> str:
    """Start a job's script so that it goes on without this process; return its process id."""
    start = 'nohup "$0" >> "$1" 2>&1 < /dev/null & echo $!'
    words = ["setsid", "bash", "-c", start, str(job.place / "job.sh"), str(job.place / "log.txt")]
    return f"process {told(words)}"


def told(command: Sequence[str]) -> str:
    """Run a command of the cluster's and return what it says.

    Raises
    ------
    ClusterError
        It is not there, or says that it failed.
    """
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except FileNotFoundError as error:
        message = f"{command[0]} is not installed here, or not on the path"
        raise ClusterError(message) from error
    if found.returncode:
        message = f"{shlex.join(command)} failed ({found.returncode}): {found.stderr.strip()}"
        raise ClusterError(message)
    return found.stdout.strip()
