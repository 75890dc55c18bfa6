"""The command line: ``dtopics fit``, ``transform``, ``topics``, ``status``, ``plan`` and others.

Exit codes: 0 done; 1 blocks failed, something is damaged or the cluster was lost, run the same
again; 2 the input, the settings or the run directory cannot serve; 3 done, but for documents that
had to be left out, which are named.
"""

from __future__ import annotations

import click

import dtopics
from dtopics.cli.looking import (
    export_command,
    plan_command,
    status_command,
    topics_command,
    verify_command,
)
from dtopics.cli.options import settings
from dtopics.cli.submitting import submit_command
from dtopics.cli.working import fit_command, transform_command, update_command

__all__ = ["cli", "main", "settings"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(dtopics.__version__)
def cli() -> None:
    """Find the topics in millions of documents."""


for _command in (
    fit_command, transform_command, update_command, plan_command, status_command,
    topics_command, verify_command, export_command, submit_command,
):  # fmt: skip
    cli.add_command(_command)


def main() -> None:
    """Run the command line."""
    cli(prog_name="dtopics")
