"""What every command does around its work: progress, errors as exit codes, what it says last."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from dtopics.errors import BlockError, ClusterError, DTopicsError

if TYPE_CHECKING:
    from dtopics.model import TopicModel
    from dtopics.store import Run

#: So many documents are named on the terminal; `dtopics status` names all.
MOST_NAMED = 10


@contextlib.contextmanager
def progress_shown() -> Iterator[Any]:
    """Give bars on a terminal, lines in a log."""
    from dtopics.execution.progress import BarProgress, LogProgress

    if sys.stderr.isatty():
        from rich.console import Console

        with BarProgress(Console(stderr=True)) as bars:
            yield bars
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    log = logging.getLogger("dtopics")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield LogProgress()
    finally:
        log.removeHandler(handler)


@contextlib.contextmanager
def reported() -> Iterator[None]:
    """Turn errors into a line on stderr and an exit code."""
    try:
        yield
    except (BlockError, ClusterError) as error:
        click.echo(f"dtopics: {error}", err=True)
        sys.exit(1)
    except DTopicsError as error:
        click.echo(f"dtopics: {error}", err=True)
        sys.exit(2)
    except OSError as error:
        click.echo(f"dtopics: {type(error).__name__}: {error}; run the same again", err=True)
        sys.exit(1)


def print_topics(model: TopicModel, limit: int) -> None:
    """Print the topics, and what looks wrong with them."""
    from dtopics.report import text

    text.print_topics(model._topics, limit)
    for message in model.messages_:
        click.secho(f"Note: {message}", fg="yellow", err=True)


def say_quarantined(run: Run) -> None:
    """Name the documents that a run had to do without; exit with 3 where there are any."""
    from dtopics.report.status import quarantined

    found = quarantined(run)
    if not found:
        return
    for each in found[:MOST_NAMED]:
        click.secho(f"Quarantined: {each.doc_id}: {each.reason}", fg="yellow", err=True)
    if len(found) > MOST_NAMED:
        click.secho(f"and {len(found) - MOST_NAMED:,} more: dtopics status {run.location}",
                    fg="yellow", err=True)  # fmt: skip
    sys.exit(3)


def say_where(model: TopicModel) -> None:
    """Say where results lie, and what shows more of them."""
    run = model._run.location
    click.echo(f"Run:          {run}")
    click.echo(f"Assignments:  {run}/assignments/*.parquet  (doc_id, topic, probability)")
    click.echo(f"More:         dtopics topics {run} --topic 0;  dtopics status {run}")
