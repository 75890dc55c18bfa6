"""The command that sends a job to a cluster: ``submit``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from dtopics.cli.running import reported
from dtopics.errors import SettingError

CONNECT = (
    "ssh -o BatchMode=yes -o ServerAliveInterval=15 -o ServerAliveCountMax=3 -o ConnectTimeout=20"
)
WAYS = ("local", "scheduler", "slurm", "slurm-elastic", "kubernetes", "ssh")


@click.command("submit", context_settings={"ignore_unknown_options": False})
@click.option("--on", "way", type=click.Choice(WAYS), required=True, help="Where it runs.")
@click.option("--job", "folder", type=click.Path(file_okay=False, path_type=Path),
              default=Path("dtopics-job"), show_default=True,
              help="Folder for the job's files and logs.")  # fmt: skip
@click.option("--name", default="dtopics", show_default=True, help="The job's name.")
@click.option("--workers", type=int, default=2, show_default=True,
              help="Worker processes; on ssh, of each host.")  # fmt: skip
@click.option("--threads", type=int, default=1, show_default=True, help="Tasks of each at a time.")
@click.option("--memory", default="4GiB", show_default=True, help="Memory of each.")
@click.option("--gpus", type=int, default=0, show_default=True,
              help="GPUs of each machine; one worker for each, by dask-cuda.")  # fmt: skip
@click.option("--retries", type=int, default=10, show_default=True,
              help="How often a command that failed is begun again.")  # fmt: skip
@click.option("--tls", is_flag=True, help="Encrypt all that processes say to each other.")
@click.option("--env", "variables", multiple=True, metavar="NAME=VALUE",
              help="A variable of every process; written into the job's files.")  # fmt: skip
@click.option("--python", metavar="PATH", help="The interpreter on the machines; else this one.")
@click.option("--scheduler", metavar="ADDRESS",
              help="On scheduler: the one that is there. On ssh: the first host, where the others "
                   "reach it by another name than --hosts has.")  # fmt: skip
@click.option("--time", default="24:00:00", show_default=True, help="SLURM's limit.")
@click.option("--sbatch", "options", multiple=True, metavar="OPTION",
              help="More for sbatch, such as --sbatch=--partition=gpu.")  # fmt: skip
@click.option("--sbatch-worker", "worker_options", multiple=True, metavar="OPTION",
              help="More for the jobs of elastic workers.")  # fmt: skip
@click.option("--hosts", help="On ssh: hosts with commas between, the scheduler's first.")
@click.option("--ssh", "connect", default=CONNECT, show_default=True,
              help="On ssh: what runs a command on the host whose name follows.")  # fmt: skip
@click.option("--image", help="On kubernetes: the image that cluster/Dockerfile makes.")
@click.option("--namespace", default="default", show_default=True, help="On kubernetes.")
@click.option("--secret", help="On kubernetes: a Secret with the store's credentials.")
@click.option("--service-account", help="On kubernetes: one that may use the store.")
@click.option("--dry-run", is_flag=True, help="Write the files and send nothing.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def submit_command(
    way: str, folder: Path, command: tuple[str, ...], *, dry_run: bool, **options: Any
) -> None:
    r"""Write and send the job that runs `dtopics COMMAND` on a cluster.

    COMMAND is a fit, transform or update, after two hyphens. It is begun again where it is broken
    off, and goes on; sent again after it is done, it finds everything done.

    \b
    Examples:
      dtopics submit --on slurm --workers 8 --threads 4 --memory 16GiB \
          -- fit 's3://bucket/posts/*.parquet' --text-column body --run s3://bucket/run
      dtopics submit --on kubernetes --image registry/dtopics --secret store --workers 20 \
          -- fit s3://bucket/posts/ --run s3://bucket/run
      dtopics submit --on ssh --hosts node1,node2,node3 -- fit /data/posts.parquet --run /data/run
    """
    from dtopics.submitting import prepare

    with reported():
        made = chosen(way, command, folder, options)
        place = prepare(made)
        names = ", ".join(sorted(made.files()))
        if dry_run:
            click.echo(f"{place}: {names} (nothing was sent)")
            return
        click.echo(f"Sent:    {made.send()}  ({place}: {names})")
        run = _value(command, "--run") or _value(command, "--out")
        if run is not None:
            click.echo(f"Follow:  dtopics status {run} --follow")


def chosen(way: str, command: Sequence[str], folder: Path, options: dict[str, Any]) -> Any:
    """Return the way to run that options ask for.

    Raises
    ------
    SettingError
        One that it needs is missing.
    """
    import sys

    from dtopics.submitting import ElasticSlurm, Job, Kubernetes, Local, Slurm, Ssh

    variables = dict(_variable(given) for given in options["variables"])
    job = Job(
        command, options["name"], options["workers"], options["threads"], options["memory"],
        options["gpus"], folder, options["python"] or sys.executable, variables, options["tls"],
        options["retries"],
    )  # fmt: skip
    match way:
        case "local":
            return Local(job)
        case "scheduler":
            return Local(job, _needed(options, "scheduler", way))
        case "slurm":
            return Slurm(job, options["time"], options["options"])
        case "slurm-elastic":
            return ElasticSlurm(job, options["time"], options["options"],
                                options["worker_options"])  # fmt: skip
        case "ssh":
            hosts = tuple(_needed(options, "hosts", way).split(","))
            return Ssh(job, hosts, connect=options["connect"], head=options["scheduler"])
        case _:
            return Kubernetes(job, _needed(options, "image", way), options["namespace"],
                              options["secret"], options["service_account"])  # fmt: skip


def _needed(options: dict[str, Any], name: str, way: str) -> str:
    if not options[name]:
        message = f"a job on {way} needs --{name}"
        raise SettingError(message)
    return str(options[name])


def _variable(given: str) -> tuple[str, str]:
    name, equals, value = given.partition("=")
    if not equals or not name.isidentifier():
        message = f"--env is {given!r}; expected NAME=VALUE"
        raise SettingError(message)
    return name, value


def _value(command: Sequence[str], option: str) -> str | None:
    for word, following in zip(command, [*command[1:], ""], strict=True):
        if word == option:
            return following
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
    return None
