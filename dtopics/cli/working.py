"""The commands that do the work: ``fit``, ``transform``, ``update``."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

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
from dtopics.cli.running import print_topics, progress_shown, reported, say_quarantined, say_where

if TYPE_CHECKING:
    from dtopics.corpus import Corpus
    from dtopics.model import TopicModel


@click.command("fit")
@click.argument("sources", nargs=-1, required=True)
@click.option("--run", "run_url", required=True, help="URL of the run directory.")
@click.option("--embeddings", metavar="URL", help="Zarr array or .npy of given embeddings.")
@corpus_options
@model_options
@cluster_options
def fit_command(
    sources: tuple[str, ...], run_url: str, embeddings: str | None, **options: Any
) -> None:
    r"""Find the topics of the documents in SOURCES: files, folders, globs, URLs.

    The same command goes on where it was broken off. Another --min-topic-size reuses the
    embeddings; another vectorizer reuses the clusters.

    \b
    Examples:
      dtopics fit reviews.parquet --text-column body --run runs/reviews
      dtopics fit 's3://bucket/posts/*.jsonl.gz' --run s3://bucket/run --min-topic-size 200
      dtopics fit docs/ --format files --run run --config settings.yaml --workers 4

    \b
    settings.yaml may hold every setting, those of a strategy in a section of its own:
      min_topic_size: 100
      umap_model: {n_neighbors: 30}
      vectorizer_model: {stop_words: english, ngram_range: [1, 2], min_df: 10}
    """
    from dtopics.corpus import Corpus
    from dtopics.execution.security import encrypted
    from dtopics.model import TopicModel

    storage = storage_options_of(options)
    with reported(), encrypted(options["tls"]):
        params = settings(options)
        model = TopicModel(run=run_url, storage_options=storage, **params)
        corpus = Corpus(list(sources), storage_options=storage, **columns_of(options))
        with progress_shown() as progress:
            model._fit(
                corpus, embeddings, None, client=options["scheduler"], progress=progress,
                local=local_of(options),
            )  # fmt: skip
        print_topics(model, limit=20)
        say_where(model)
    say_quarantined(model._run)


@click.command("transform")
@click.argument("run_url", metavar="RUN")
@click.argument("sources", nargs=-1, required=True)
@click.option("--out", required=True, help="URL of the folder for the Parquet files.")
@click.option("--embeddings", metavar="URL", help="Embeddings of the new documents.")
@click.option("--embedding-model", help="The model to embed with, where RUN does not know it.")
@click.option("--trust", is_flag=True, help="Open pickled objects of RUN: only of your own runs.")
@corpus_options
@cluster_options
def transform_command(
    run_url: str, sources: tuple[str, ...], out: str, embeddings: str | None, **options: Any
) -> None:
    r"""Give the documents in SOURCES a topic of RUN each.

    \b
    Example:
      dtopics transform runs/reviews new.parquet --text-column body --out new-topics
    """
    from dtopics.execution.security import encrypted
    from dtopics.store import Location, Run

    with reported(), encrypted(options["tls"]):
        model, corpus = _opened(run_url, sources, options)
        with progress_shown() as progress:
            model._transform(
                corpus, embeddings, out=out, client=options["scheduler"], progress=progress,
                local=local_of(options),
            )  # fmt: skip
        click.echo(f"doc_id, topic, probability: {out}/part-*.parquet")
    say_quarantined(Run.open(Location(out, storage_options_of(options)) / "_dtopics"))


@click.command("update")
@click.argument("run_url", metavar="RUN")
@click.argument("sources", nargs=-1, required=True)
@click.option("--embeddings", metavar="URL", help="Embeddings of the new documents.")
@click.option("--embedding-model", help="The model to embed with, where RUN does not know it.")
@click.option("--trust", is_flag=True, help="Open pickled objects of RUN: only of your own runs.")
@corpus_options
@cluster_options
def update_command(
    run_url: str, sources: tuple[str, ...], embeddings: str | None, **options: Any
) -> None:
    r"""Add the documents in SOURCES to RUN, and count all together.

    The same command goes on where it was broken off; given again, it changes nothing.

    \b
    Example:
      dtopics update runs/reviews reviews-2026-11.parquet --text-column body
    """
    from dtopics.execution.security import encrypted

    with reported(), encrypted(options["tls"]):
        model, corpus = _opened(run_url, sources, options)
        with progress_shown() as progress:
            around = dataclasses.replace(
                model._around(options["scheduler"]), progress=progress, local=local_of(options)
            )
            model._add(corpus, embeddings, around)
        print_topics(model, limit=20)
        click.echo(model.drift_.to_string(index=False, float_format="{:.1%}".format))
    say_quarantined(model._run)


def _opened(
    run_url: str, sources: tuple[str, ...], options: dict[str, Any]
) -> tuple[TopicModel, Corpus]:
    """Return the model of a run, and the new documents."""
    from dtopics.corpus import Corpus
    from dtopics.model import TopicModel

    storage = storage_options_of(options)
    model = TopicModel.load(
        run_url, options["embedding_model"], storage_options=storage, trust=options["trust"]
    )
    return model, Corpus(list(sources), storage_options=storage, **columns_of(options))
