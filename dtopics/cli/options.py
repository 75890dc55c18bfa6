"""The options of commands, and what they mean to `TopicModel`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from dtopics.errors import SettingError

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
                     help="What fsspec needs to open the URLs, as JSON or @FILE. Never written."),
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
        click.option("--tls", metavar="FOLDER",
                     help="Encrypt what processes say to each other by ca.pem, cert.pem and "
                          "key.pem there; made where there are none."),
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


def columns_of(options: dict[str, Any]) -> dict[str, Any]:
    """Return what `Corpus` is told of columns and format."""
    names = ("text_column", "id_column", "timestamp_column", "class_column")
    return {name: options[name] for name in names} | {"format": options["format_"]}


def storage_options_of(options: dict[str, Any]) -> dict[str, Any]:
    """Return the storage options that were given, as JSON or in a file."""
    given = options.get("storage_options")
    if given is None:
        return {}
    try:
        found = json.loads(Path(given[1:]).read_text() if given.startswith("@") else given)
    except OSError as error:
        raise click.BadParameter(str(error), param_hint="--storage-options") from error
    except ValueError as error:
        raise click.BadParameter("not JSON", param_hint="--storage-options") from error
    if not isinstance(found, dict):
        raise click.BadParameter("expected a JSON object", param_hint="--storage-options")
    return found


def local_of(options: dict[str, Any]) -> Any:
    """Return the size of a local cluster; None where there is a scheduler."""
    from dtopics.execution.cluster import LocalSettings

    if options["scheduler"] is not None:
        return None
    return LocalSettings(options["workers"], options["threads"], options["memory_limit"])
