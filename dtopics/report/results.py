"""Results read back from a run: lazily where they are as long as the corpus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtopics.data import Block
from dtopics.errors import EmbeddingError
from dtopics.execution.cache import cached
from dtopics.report.tables import describe_topics
from dtopics.store import Location, Run, Stage
from dtopics.store.tables import read_table
from dtopics.topics import Topics
from dtopics.topics.counted import CountedTopics
from dtopics.topics.zeroshot import fitted_names


def far_share(run: Run) -> float:
    """Return the share of documents further from the sample than its own from each other.

    0 where they were moved since: then they stand among their own.
    """
    if "reduced" not in run.state["stages"] or run.has_fitted("refined"):
        return 0.0
    receipts = list(run.fitted("reduced").receipts())
    rows = sum(receipt.rows for receipt in receipts)
    return float(sum(receipt.notes.get("far", 0) for receipt in receipts)) / max(rows, 1)


def refinable(run: Run) -> bool:
    """Return whether documents outside a sample were placed by a UMAP and not moved since."""
    if not run.has_fitted("reduced") or run.has_fitted("refined"):
        return False
    whole = run.fitted("sample").whole_json("about")["whole"]
    return not whole and run.fitted("reducer").whole_json("model").get("kind") == "umap"


def gave_way(run: Run) -> float:
    """Return the share of the documents of a cluster that was divided; 0 where none was."""
    receipt = run.fitted("clusters").whole_receipt()
    return float(receipt.notes.get("gave_way", 0.0)) if receipt is not None else 0.0


def unused_names(run: Run, topics: Topics) -> list[str]:
    """Return the names of zero-shot topics that no document was given."""
    if not run.has_fitted("zero-shot topics"):
        return []
    names = fitted_names(run.fitted("cluster count"), run.fitted("zero-shot topics"))
    return [name for label, name in names.items() if label not in topics.mapping]


def c_tf_idf(run: Run) -> Any:
    """Return the topics' c-TF-IDF, csr_matrix of float64, shape (n_topics, n_terms)."""
    counted = CountedTopics.of(run.fitted("topics"))
    return counted.weigh(counted.X)


def parts(folder: Location, run: Run) -> list[Location]:
    """Return the files of a run's assignments in the order of the documents."""
    return [
        folder / f"part-{segment['name']}-{index:06d}.parquet"
        for segment in run.segments
        for index in range(-(-segment["n_rows"] // segment["block_rows"]))
    ]


def read_assignments(folder: Location, run: Run) -> tuple[list[int], NDArray[np.float32]]:
    """Return topics and probabilities of a corpus that was a list."""
    import pyarrow as pa

    table = pa.concat_tables(
        [read_table(part, ["topic", "probability"]) for part in parts(folder, run)]
    )
    return table["topic"].to_pylist(), table["probability"].to_numpy().astype(np.float32)


def lazy_assignments(folder: Location, run: Run) -> tuple[Any, Any]:
    """Return topics and probabilities as Dask arrays over the files."""
    import dask.array as da
    from dask import delayed

    columns = []
    for name, dtype in (("topic", np.int32), ("probability", np.float32)):
        blocks = [
            da.from_delayed(delayed(read_column)(part, name), shape=(rows,), dtype=dtype)
            for part, rows in zip(parts(folder, run), _rows(run), strict=True)
        ]
        columns.append(da.concatenate(blocks))
    return columns[0], columns[1]


def memberships(stage: Stage, topics: Topics) -> Any:
    """Return memberships in every topic as a Dask array, shape (n_documents, n_topics)."""
    import dask.array as da

    (segment, *_), *_ = stage.segments
    dense = (stage.location / "data.zarr" / segment / "dense").exists()
    names = ("dense",) if dense else ("cluster", "membership")
    arrays = [stage.dask_array(name) for name in names]
    rows, n_topics = arrays[0].chunks[0], topics.n_topics
    step = dense_topics if dense else sparse_topics
    return da.map_blocks(
        step, *arrays, lookup=topics.lookup, n_topics=n_topics, dtype=np.float32,
        chunks=(rows, (n_topics,)), meta=np.empty((0, 0), np.float32),
    )  # fmt: skip


def dense_topics(
    vectors: NDArray[np.float32], *, lookup: NDArray[np.int32], n_topics: int
) -> NDArray[np.float32]:
    """Add up the memberships in the clusters of each topic."""
    found = np.zeros((len(vectors), n_topics), np.float32)
    for cluster, topic in enumerate(lookup[1 : vectors.shape[1] + 1]):
        if topic >= 0:
            found[:, topic] += vectors[:, cluster]
    return found


def sparse_topics(
    clusters: NDArray[np.int32],
    values: NDArray[np.float32],
    *,
    lookup: NDArray[np.int32],
    n_topics: int,
) -> NDArray[np.float32]:
    """Add up the memberships that were kept."""
    found = np.zeros((len(clusters), n_topics), np.float32)
    topics = lookup[clusters + 1]
    rows, columns = np.nonzero((clusters >= 0) & (topics >= 0))
    np.add.at(found, (rows, topics[rows, columns]), values[rows, columns])
    return found


def distributions(stage: Stage, run: Run, topics: Topics) -> Any:
    """Return how much of each topic is in each document, a Dask array over what was kept."""
    import dask.array as da
    from dask import delayed

    ids = tuple(topic for topic in topics.ids if topic >= 0)
    return da.concatenate([
        da.from_delayed(delayed(dense_distributions)(stage, block, ids),
                        shape=(block.n_rows, len(ids)), dtype=np.float64)
        for block in run.blocks()
    ])  # fmt: skip


def dense_distributions(stage: Stage, block: Block, ids: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the distributions of one block, shape (n_rows, n_topics)."""
    row, topic, value = stage.table("distributions", block).columns
    found = np.zeros((block.n_rows, len(ids)))
    found[row.to_numpy(), np.searchsorted(ids, topic.to_numpy())] = value.to_numpy()
    return found


def lazy_document_info(run: Run) -> Any:
    """Return doc_id, Topic, Probability and what stands for the topic as a Dask DataFrame."""
    import dask.dataframe as dd

    blocks = run.blocks()
    stages = {"documents": run.fitted("documents"), "clusters": run.labelled}
    folder = run.topics_folder(run.finished["topics_version"])
    meta = read_frame(blocks[-1], folder=folder, **stages).iloc[:0]
    return dd.from_map(read_frame, blocks, folder=folder, meta=meta, **stages)


def read_frame(block: Block, *, folder: Location, documents: Stage, clusters: Stage) -> Any:
    """Return one block's documents as a table; topics are read once by each process."""
    topics = cached(("version", folder.url), lambda: Topics.load(folder))
    table = documents.table("documents", block, ["doc_id"]).to_pandas()
    table["Topic"] = topics.of_clusters(clusters.array("labels", block))
    table["Probability"] = clusters.array("probabilities", block)
    return describe_topics(table, topics)


def read_column(part: Location, name: str) -> NDArray[Any]:
    """Return one column of one file of assignments."""
    return np.asarray(read_table(part, [name])[name].to_numpy())


def known_params(config: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return the parameters of a run's configuration that are data, or classes known here.

    What is neither, a foreign estimator say, is left at its default: nothing is imported because
    a run's file says so.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    from dtopics.clustering import HDBSCAN
    from dtopics.reduction import UMAP
    from dtopics.representation.ctfidf import ClassTfidfTransformer
    from dtopics.representation.representers import KeyBERTInspired, MaximalMarginalRelevance

    known = {f"{c.__module__}:{c.__qualname__}": c for c in (
        CountVectorizer, HDBSCAN, UMAP, ClassTfidfTransformer, KeyBERTInspired,
        MaximalMarginalRelevance,
    )}  # fmt: skip
    found: dict[str, Any] = {}
    for name, value in config.items():
        if name not in names:
            continue
        if name == "preprocess":
            found[name] = value if _is_named_change(value) else None
        elif name == "representation_model":
            found[name] = _representation(value, known)
        elif isinstance(value, dict):
            made = _known(value, known)
            if made is not None:
                found[name] = made
        else:
            found[name] = tuple(value) if isinstance(value, list) else value
    return found


def _representation(value: Any, known: Mapping[str, Any]) -> Any:
    """Return representation models that are all known; else None."""
    if isinstance(value, list):
        parts = [_representation(item, known) for item in value]
        return None if None in parts else parts
    if isinstance(value, dict) and "class" not in value:
        aspects = {name: _representation(item, known) for name, item in value.items()}
        return None if None in aspects.values() else aspects
    return _known(value, known)


def _known(value: Any, known: Mapping[str, Any]) -> Any:
    """Return the object of a class that is known, of parameters that are data; else None."""
    params = value.get("params", {}) if isinstance(value, dict) else {}
    if not isinstance(value, dict) or value.get("class") not in known:
        return None
    if any(isinstance(item, dict) for item in params.values()):
        return None
    return known[value["class"]](**_tuples(params))


def _is_named_change(preprocess: Any) -> bool:
    """Return whether what is done to texts is known by its name alone."""
    parts = [preprocess] if not isinstance(preprocess, dict) else [
        preprocess[name] for name in ("embed", "count") if name in preprocess
    ]  # fmt: skip
    return bool(parts) and all(part is None or isinstance(part, str) for part in parts)


def stored_embedder(
    run: Run, embedding_model: Any, language: str, random_state: int | None, *, trust: bool
) -> Any:
    """Return the embedder of a run that was opened, or None where embeddings were given."""
    from dtopics.embedding import as_embedder
    from dtopics.embedding.static import StoredStatic
    from dtopics.embedding.steps import StoredEmbedder

    config = run.finished["config"]
    as_fitted = isinstance(embedding_model, str) and embedding_model == config["embedding_model"]
    if (embedding_model is None or as_fitted) and run.has_fitted("embedder"):
        static = StoredStatic.of(run.fitted("embedder"))
        if static is not None:
            return static
    if embedding_model is None and config.get("embeddings_given"):
        return None
    if embedding_model is None and run.has_fitted("embedder"):
        stage = run.fitted("embedder")
        receipt = stage.whole_receipt()
        if trust and receipt is not None:
            return StoredEmbedder(stage, receipt.notes["sha256"])
        message = (
            "this run's embedding model was fitted in the run and is kept as a pickle, which can "
            "execute code; if you made the run, open it with TopicModel.load(run, trust=True)"
        )
        raise EmbeddingError(message)
    described = config.get("embedding_model")
    if embedding_model is None and isinstance(described, dict):
        message = (
            f"this run's embedding model is an object ({described.get('class', 'unknown')}); "
            "give it again: TopicModel.load(run, embedding_model=…)"
        )
        raise EmbeddingError(message)
    return as_embedder(embedding_model, language=language, random_state=random_state)


def _rows(run: Run) -> list[int]:
    return [
        min(segment["block_rows"], segment["n_rows"] - start)
        for segment in run.segments
        for start in range(0, segment["n_rows"], segment["block_rows"])
    ]


def _tuples(params: Mapping[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) and k.endswith("range") else v
            for k, v in params.items()}  # fmt: skip
