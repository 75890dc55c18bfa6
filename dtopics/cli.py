"""The command line: ``dtopics fit``, ``transform``, ``topics``, ``status``, ``plan``.

Exit codes: 0 done; 1 blocks failed or the cluster was lost, run the same again; 2 the input, the
settings or the run directory cannot serve.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

import dtopics
from dtopics.errors import BlockError, ClusterError, DTopicsError, InputError, SettingError

if TYPE_CHECKING:
    from dtopics.model import TopicModel

F = TypeVar("F", bound=Callable[..., Any])

#: Flags that belong to one of the four strategies: flag -> (section, parameter).
STRATEGY_FLAGS = {
    "n_neighbors": ("umap_model", "n_neighbors"),
    "n_components": ("umap_model", "n_components"),
    "min_dist": ("umap_model", "min_dist"),
    "metric": ("umap_model", "metric"),
    "min_samples": ("hdbscan_model", "min_samples"),
    "cluster_selection_method": ("hdbscan_model", "cluster_selection_method"),
    "cluster_selection_epsilon": ("hdbscan_model", "cluster_selection_epsilon"),
    "max_cluster_size": ("hdbscan_model", "max_cluster_size"),
    "min_df": ("vectorizer_model", "min_df"),
    "max_df": ("vectorizer_model", "max_df"),
    "max_features": ("vectorizer_model", "max_features"),
    "stop_words": ("vectorizer_model", "stop_words"),
    "bm25_weighting": ("ctfidf_model", "bm25_weighting"),
    "reduce_frequent_words": ("ctfidf_model", "reduce_frequent_words"),
}
SECTIONS = ("embedding_model", "umap_model", "hdbscan_model", "vectorizer_model", "ctfidf_model")


class Number(click.ParamType[Any]):
    """An integer, or a float where there is a point: 5 documents, 0.5 of them."""

    name = "number"

    def convert(self, value: Any, param: Any, ctx: Any) -> int | float:
        """Return the number."""
        if isinstance(value, int | float):
            return value
        try:
            return float(value) if "." in value else int(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number nor a share", param, ctx)


def corpus_options(command: F) -> F:
    """Add the options that say how sources are read."""
    for option in reversed((
        click.option("--text-column", metavar="NAME", help="Column of the documents."),
        click.option("--id-column", metavar="NAME", help="Column that becomes doc_id."),
        click.option("--timestamp-column", metavar="NAME", help="Column of times, kept."),
        click.option("--class-column", metavar="NAME", help="Column of classes, kept."),
        click.option("--format", "format_", metavar="NAME",
                     help="parquet, jsonl, csv, text or files; else by the files' ending."),
        click.option("--storage-options", metavar="JSON",
                     help="What fsspec needs to open the URLs, as JSON. Never written."),
    )):  # fmt: skip
        command = option(command)
    return command


def cluster_options(command: F) -> F:
    """Add the options that say where the work is done."""
    for option in reversed((
        click.option("--scheduler", metavar="ADDRESS", envvar="DASK_SCHEDULER_ADDRESS",
                     help="A Dask scheduler; else a cluster on this machine."),
        click.option("--workers", type=int, help="Processes of the local cluster."),
        click.option("--threads", type=int, default=1, show_default=True,
                     help="Tasks that each process does at a time."),
        click.option("--memory-limit", default="auto", show_default=True,
                     help="Memory of each process, such as 2GiB."),
    )):  # fmt: skip
        command = option(command)
    return command


def model_options(command: F) -> F:
    """Add the settings of the model."""
    for option in reversed((
        click.option("--config", type=click.Path(exists=True, dir_okay=False),
                     help="YAML of settings; flags win. See `dtopics fit --help`."),
        click.option("--embedding-model", help="Name or local path; static: distilled, for CPUs."),
        click.option("--language", help="english or multilingual.  [english]"),
        click.option("--min-topic-size", type=int, help="Least documents of a topic.  [10]"),
        click.option("--nr-topics", help="Merge to so many topics, or auto."),
        click.option("--top-n-words", type=int, help="Words that stand for a topic.  [10]"),
        click.option("--n-gram-range", nargs=2, type=int, help="Such as 1 2.  [1 1]"),
        click.option("--calculate-probabilities", type=click.Choice(["sparse", "dense"]),
                     help="Keep memberships in every topic."),
        click.option("--min-df-scope", type=click.Choice(["document", "topic"]),
                     help="What --min-df counts.  [document]"),
        click.option("--strip-html", "preprocess", flag_value="strip_html",
                     help="Take HTML out of texts before they are embedded and counted."),
        click.option("--random-state", type=int, help="Seed of everything.  [42]"),
        click.option("--sample-size", type=int, help="Documents UMAP is fit on.  [100000]"),
        click.option("--refine", type=int,
                     help="Epochs in which UMAP's forces move all documents; 0 for none.  [200]"),
        click.option("--block-size", type=int, help="Documents of a block; never the result."),
        click.option("--n-neighbors", type=int, help="UMAP's.  [15]"),
        click.option("--n-components", type=int, help="UMAP's.  [5]"),
        click.option("--min-dist", type=float, help="UMAP's.  [0.0]"),
        click.option("--metric", help="UMAP's.  [cosine]"),
        click.option("--min-samples", type=int, help="HDBSCAN's.  [min-topic-size]"),
        click.option("--cluster-selection-method", type=click.Choice(["eom", "leaf"]),
                     help="HDBSCAN's.  [eom]"),
        click.option("--cluster-selection-epsilon", type=float, help="HDBSCAN's.  [0.0]"),
        click.option("--max-cluster-size", type=Number(),
                     help="HDBSCAN's; a number of documents or a share.  [0.8]"),
        click.option("--min-df", type=Number(), help="Least documents of a word.  [1]"),
        click.option("--max-df", type=Number(), help="Most documents of a word.  [1.0]"),
        click.option("--max-features", type=int, help="Most words."),
        click.option("--stop-words", help="english."),
        click.option("--bm25-weighting", is_flag=True, default=None, help="c-TF-IDF's."),
        click.option("--reduce-frequent-words", is_flag=True, default=None, help="c-TF-IDF's."),
    )):  # fmt: skip
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(dtopics.__version__)
def cli() -> None:
    """Find the topics in millions of documents."""


@cli.command("fit")
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
    from dtopics.model import TopicModel

    storage = _storage_options(options)
    with _reported():
        params = settings(options)
        model = TopicModel(run=run_url, storage_options=storage, **params)
        corpus = Corpus(list(sources), storage_options=storage, **_columns(options))
        with _progress() as progress:
            model._fit(
                corpus, embeddings, None, client=options["scheduler"], progress=progress,
                local=_local(options),
            )  # fmt: skip
        _print_topics(model, limit=20)
        _say_where(model)


@cli.command("transform")
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
    from dtopics.corpus import Corpus
    from dtopics.model import TopicModel

    storage = _storage_options(options)
    with _reported():
        model = TopicModel.load(
            run_url, options["embedding_model"], storage_options=storage, trust=options["trust"]
        )
        corpus = Corpus(list(sources), storage_options=storage, **_columns(options))
        with _progress() as progress:
            model._transform(
                corpus, embeddings, out=out, client=options["scheduler"], progress=progress,
                local=_local(options),
            )  # fmt: skip
        click.echo(f"doc_id, topic, probability: {out}/part-*.parquet")


@cli.command("update")
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
    from dtopics.corpus import Corpus
    from dtopics.model import TopicModel

    storage = _storage_options(options)
    with _reported():
        model = TopicModel.load(
            run_url, options["embedding_model"], storage_options=storage, trust=options["trust"]
        )
        corpus = Corpus(list(sources), storage_options=storage, **_columns(options))
        with _progress() as progress:
            around = dataclasses.replace(
                model._around(options["scheduler"]), progress=progress, local=_local(options)
            )
            model._add(corpus, embeddings, around)
        _print_topics(model, limit=20)
        click.echo(model.drift_.to_string(index=False, float_format="{:.1%}".format))


@cli.command("topics")
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

    with _reported():
        storage = _storage_options({"storage_options": storage_options})
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
            _print_topics(model, limit)


@cli.command("export")
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

    with _reported():
        storage = _storage_options({"storage_options": storage_options})
        TopicModel.load(run_url, storage_options=storage).export_bertopic(folder)
        click.echo(f"BERTopic.load({folder!r}) opens it ({kind})")


@cli.command("status")
@click.argument("run_url", metavar="RUN")
@click.option("--storage-options", metavar="JSON")
def status_command(run_url: str, storage_options: str | None) -> None:
    """Show how far RUN is: stages, blocks, documents, from its receipts alone."""
    from dtopics.report import status, text
    from dtopics.store import Location, Run

    with _reported():
        storage = _storage_options({"storage_options": storage_options})
        text.print_status(status.read(Run.open(Location(run_url, storage))))


@cli.command("plan")
@click.argument("sources", nargs=-1, required=True)
@corpus_options
@model_options
def plan_command(sources: tuple[str, ...], **options: Any) -> None:
    """Show what a fit would read, need and leave; nothing is written."""
    from dtopics.corpus import Corpus
    from dtopics.report import forecast, text
    from dtopics.report.counting_forecast import SAMPLE_DOCUMENTS

    with _reported():
        corpus = Corpus(
            list(sources), storage_options=_storage_options(options), **_columns(options)
        )
        corpus.check()
        texts = corpus.head(SAMPLE_DOCUMENTS)
        text.print_forecast(forecast.forecast(corpus.estimate(), settings(options), texts))


def settings(options: dict[str, Any]) -> dict[str, Any]:
    """Return `TopicModel`'s parameters from a configuration file and flags; flags win.

    Raises
    ------
    SettingError
        Where the file has a name that is no parameter.
    """
    from dtopics.model import TopicModel

    names = set(TopicModel._get_param_names()) - {"run", "storage_options"}
    params = _read_config(options.get("config"), names)
    for name, value in options.items():
        if value is None or name in {"config", "embeddings"}:
            continue
        if name in names:
            params[name] = value
        elif name in STRATEGY_FLAGS:
            section, parameter = STRATEGY_FLAGS[name]
            if params.get(section) is None:
                params[section] = {}
            if not isinstance(params[section], dict):
                message = f"{section} is {params[section]!r}; expected its parameters, as a mapping"
                raise SettingError(message)
            params[section][parameter] = value
    if isinstance(params.get("n_gram_range"), list):
        params["n_gram_range"] = tuple(params["n_gram_range"])
    if str(params.get("nr_topics", "")).isdigit():
        params["nr_topics"] = int(params["nr_topics"])
    return _with_strategies(params)


def _read_config(path: str | None, names: set[str]) -> dict[str, Any]:
    import yaml

    if path is None:
        return {}
    try:
        params = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        message = f"{path} is not YAML that dtopics reads: {error}"
        raise SettingError(message) from error
    if not isinstance(params, dict):
        message = f"{path} holds a {type(params).__name__}; expected settings, as a mapping"
        raise SettingError(message)
    unknown = sorted(map(str, set(params) - names))
    if unknown:
        message = f"{path} has unknown settings: {', '.join(unknown)}; known: {sorted(names)}"
        raise SettingError(message)
    return params


def _with_strategies(params: dict[str, Any]) -> dict[str, Any]:
    """Make the estimators whose parameters are given as mappings."""
    from sklearn.feature_extraction.text import CountVectorizer

    from dtopics.clustering import GIANT_SHARE, HDBSCAN
    from dtopics.embedding import SentenceTransformerEmbedder
    from dtopics.reduction import UMAP
    from dtopics.representation.ctfidf import ClassTfidfTransformer

    vectorizer = params.get("vectorizer_model")
    if isinstance(vectorizer, dict):
        given = vectorizer.get("ngram_range", params.get("n_gram_range", (1, 1)))
        vectorizer["ngram_range"] = tuple(given) if isinstance(given, list) else given
    clusterer = params.get("hdbscan_model")
    if isinstance(clusterer, dict):
        clusterer.setdefault("min_cluster_size", params.get("min_topic_size", 10))
        clusterer.setdefault("max_cluster_size", GIANT_SHARE)
    if isinstance(params.get("umap_model"), dict):
        params["umap_model"].setdefault("random_state", params.get("random_state", 42))
    kinds = (SentenceTransformerEmbedder, UMAP, HDBSCAN, CountVectorizer, ClassTfidfTransformer)
    for section, kind in zip(SECTIONS, kinds, strict=True):
        if isinstance(params.get(section), dict):
            try:
                params[section] = kind(**params[section])
            except TypeError as error:
                message = f"{section}: {error}"
                raise SettingError(message) from error
    return params


def _columns(options: dict[str, Any]) -> dict[str, Any]:
    names = ("text_column", "id_column", "timestamp_column", "class_column")
    return {name: options[name] for name in names} | {"format": options["format_"]}


def _storage_options(options: dict[str, Any]) -> dict[str, Any]:
    given = options.get("storage_options")
    if given is None:
        return {}
    try:
        found = json.loads(given)
    except ValueError as error:
        raise click.BadParameter("not JSON", param_hint="--storage-options") from error
    if not isinstance(found, dict):
        raise click.BadParameter("expected a JSON object", param_hint="--storage-options")
    return found


def _local(options: dict[str, Any]) -> Any:
    from dtopics.execution.cluster import LocalSettings

    if options["scheduler"] is not None:
        return None
    return LocalSettings(options["workers"], options["threads"], options["memory_limit"])


@contextlib.contextmanager
def _progress() -> Iterator[Any]:
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
def _reported() -> Iterator[None]:
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


def _print_topics(model: TopicModel, limit: int) -> None:
    from dtopics.report import text

    text.print_topics(model._topics, limit)
    for message in model.messages_:
        click.secho(f"Note: {message}", fg="yellow", err=True)


def _say_where(model: TopicModel) -> None:
    run = model._run.location
    click.echo(f"Run:          {run}")
    click.echo(f"Assignments:  {run}/assignments/*.parquet  (doc_id, topic, probability)")
    click.echo(f"More:         dtopics topics {run} --topic 0;  dtopics status {run}")


def main() -> None:
    """Run the command line."""
    cli(prog_name="dtopics")


if __name__ == "__main__":
    main()
