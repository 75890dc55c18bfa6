"""The commands that look: ``plan``, ``status``, ``topics``, ``verify``, ``export``."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import click

from dtopics.cli.options import (
    cluster_options,
    columns_of,
    corpus_options,
    local_of,
    model_options,
    settings,
    storage_options_of,
)
from dtopics.cli.running import print_topics, progress_shown, reported
from dtopics.errors import InputError


@click.command("plan")
@click.argument("sources", nargs=-1, required=True)
@corpus_options
@model_options
def plan_command(sources: tuple[str, ...], **options: Any) -> None:
    """Show what a fit would read, need and leave; nothing is written."""
    from dtopics.corpus import Corpus
    from dtopics.report import forecast, text
    from dtopics.report.counting_forecast import SAMPLE_DOCUMENTS

    with reported():
        corpus = Corpus(
            list(sources), storage_options=storage_options_of(options), **columns_of(options)
        )
        corpus.check()
        texts = corpus.head(SAMPLE_DOCUMENTS)
        text.print_forecast(forecast.forecast(corpus.estimate(), settings(options), texts))


@click.command("topics")
@click.argument("run_url", metavar="RUN")
@click.option("--topic", type=int, help="One topic: its words, weights and examples.")
@click.option("--limit", type=int, default=50, show_default=True, help="Most topics shown.")
@click.option("--json", "as_json", is_flag=True, help="All of it as JSON.")
@click.option("--versions", is_flag=True, help="What was done to the topics since the fit.")
@click.option("--storage-options", metavar="JSON")
def topics_command(
    run_url: str,
    topic: int | None,
    limit: int,
    *,
    as_json: bool,
    versions: bool,
    storage_options: str | None,
) -> None:
    r"""Show the topics of RUN.

    \b
    Examples:
      dtopics topics runs/reviews
      dtopics topics runs/reviews --topic 3
      dtopics topics runs/reviews --json | jq '.[].words[0]'
      dtopics topics runs/reviews --versions
    """
    from dtopics.model import TopicModel
    from dtopics.report import text

    with reported():
        storage = storage_options_of({"storage_options": storage_options})
        model = TopicModel.load(run_url, storage_options=storage)
        topics = model._topics
        if versions:
            text.print_versions(model._run.versions)
            return
        if topic is not None and topic not in topics.ids:
            message = f"there is no topic {topic}; there are {topics.ids[0]} to {topics.ids[-1]}"
            raise InputError(message)
        if as_json:
            rows = text.topics_json(topics)
            chosen: Any = rows if topic is None else next(r for r in rows if r["topic"] == topic)
            click.echo(json.dumps(chosen, ensure_ascii=False, indent=2, default=str))
        elif topic is not None:
            text.print_topic(topics, topic)
        else:
            print_topics(model, limit)


@click.command("export")
@click.argument("run_url", metavar="RUN")
@click.argument("folder", metavar="DIR")
@click.option(
    "--to",
    "kind",
    type=click.Choice(["bertopic"]),
    default="bertopic",
    show_default=True,
    help="Whose format.",
)
@click.option("--storage-options", metavar="JSON")
def export_command(run_url: str, folder: str, kind: str, storage_options: str | None) -> None:
    r"""Write the topics of RUN to DIR as BERTopic.load opens them.

    \b
    Example:
      dtopics export runs/reviews reviews-bertopic
    """
    from dtopics.model import TopicModel

    with reported():
        storage = storage_options_of({"storage_options": storage_options})
        TopicModel.load(run_url, storage_options=storage).export_bertopic(folder)
        click.echo(f"BERTopic.load({folder!r}) opens it ({kind})")


@click.command("status")
@click.argument("run_url", metavar="RUN")
@click.option("--storage-options", metavar="JSON")
@click.option("--follow", is_flag=True, help="Show it again until it is finished.")
@click.option("--every", type=float, default=10.0, show_default=True, help="Seconds between.")
def status_command(
    run_url: str, storage_options: str | None, *, follow: bool, every: float
) -> None:
    """Show how far RUN is: stages, blocks, documents, from its receipts alone."""
    from dtopics.report import status, text
    from dtopics.store import Location, Run

    with reported():
        location = Location(run_url, storage_options_of({"storage_options": storage_options}))
        while follow and not (location / "run.json").exists():
            time.sleep(every)
        found = status.read(Run.open(location))
        text.print_status(found)
        while follow and not found.finished:
            time.sleep(every)
            found = status.read(Run.open(location))
            text.print_status(found)


@click.command("verify")
@click.argument("run_url", metavar="RUN")
@click.option("--storage-options", metavar="JSON")
@cluster_options
def verify_command(run_url: str, storage_options: str | None, **options: Any) -> None:
    r"""Compare everything in RUN with what its receipts say; all of it is read.

    What is damaged is named and noted: the same fit (or update) again does it anew, and nothing
    else. The exit code is 1 where something is.

    \b
    Example:
      dtopics verify runs/reviews
    """
    from dtopics.execution.cluster import executor_for
    from dtopics.execution.security import encrypted
    from dtopics.report import text
    from dtopics.report.verify import verify
    from dtopics.store import Location, Run

    with reported(), encrypted(options["tls"]):
        storage = storage_options_of({"storage_options": storage_options})
        run = Run.open(Location(run_url, storage))
        local = local_of(options) if options["workers"] else None
        with (
            progress_shown() as progress,
            executor_for(
                options["scheduler"], run.location, n_blocks=1, progress=progress, local=local
            ) as executor,
        ):
            found = verify(run, executor)
        text.print_verified(found)
    if found.damage:
        sys.exit(1)
