"""One version of a run's topics: immutable, small, and all that a reader of results needs."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dtopics.data import OUTLIER
from dtopics.embedding.checks import unit
from dtopics.errors import DamagedError, EmbeddingError
from dtopics.representation.words import topic_name
from dtopics.store import Location
from dtopics.store.tables import read_table, table_bytes

if TYPE_CHECKING:
    import pyarrow as pa


class Example(NamedTuple):
    """A document that stands for its topic.

    Attributes
    ----------
    doc_id : object
        Its id, or its row number.
    text : str
    similarity : float
        Cosine of its own c-TF-IDF to its topic's.
    vector : bytes
        Its embedding, float32.
    """

    doc_id: Any
    text: str
    similarity: float
    vector: bytes = b""


@dataclass(frozen=True)
class Topics:
    """Topics over the clusters of a run.

    Attributes
    ----------
    ids : tuple of int
        Ascending; −1, the outliers, first where there are any.
    sizes : mapping of int to int
        Documents of each topic.
    mapping : mapping of int to int
        Cluster to topic. Labels stay as the clustering left them.
    words : mapping of int to list of (str, float)
        Heaviest first.
    centroids : ndarray of float32, shape (n_topics, n_features)
        Mean embedding of each topic, in the order of `ids`.
    examples : mapping of int to tuple of Example
        Representative documents, most alike first.
    labels : mapping of int to str
        Labels that a user gave.
    given : mapping of int to str
        Names that were known beforehand, of topics that bear one.
    aspects : mapping of str to mapping of int to list of (str, float)
        Further words of each topic, by what they are chosen by.
    """

    ids: tuple[int, ...]
    sizes: Mapping[int, int]
    mapping: Mapping[int, int]
    words: Mapping[int, Sequence[tuple[str, float]]]
    centroids: NDArray[np.float32]
    examples: Mapping[int, tuple[Example, ...]]
    labels: Mapping[int, str] = field(default_factory=dict)
    given: Mapping[int, str] = field(default_factory=dict)
    aspects: Mapping[str, Mapping[int, Sequence[tuple[str, float]]]] = field(default_factory=dict)

    @property
    def n_documents(self) -> int:
        """How many documents there are."""
        return sum(self.sizes.values())

    @property
    def n_topics(self) -> int:
        """How many topics there are, the outliers not counted."""
        return sum(topic != OUTLIER for topic in self.ids)

    @property
    def n_outliers(self) -> int:
        """How many documents belong to no topic."""
        return self.sizes.get(OUTLIER, 0)

    @functools.cached_property
    def names(self) -> dict[int, str]:
        """``id_word_word_word_word`` of each topic, or the name that it was given beforehand."""
        return {
            topic: self.given.get(topic) or topic_name(topic, self.words[topic])
            for topic in self.ids
        }

    @functools.cached_property
    def lookup(self) -> NDArray[np.int32]:
        """Topic of each cluster, from cluster −1 on: ``lookup[cluster + 1]``."""
        table = np.full(max(self.mapping, default=OUTLIER) + 2, OUTLIER, np.int32)
        for cluster, topic in self.mapping.items():
            table[cluster + 1] = topic
        return table

    def of_clusters(self, labels: NDArray[np.integer[Any]]) -> NDArray[np.int32]:
        """Return the topic of each cluster label."""
        return mapped(labels, self.lookup)

    def nearest(
        self, vectors: NDArray[np.floating[Any]]
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return the topic whose centroid is nearest by cosine, and that cosine.

        The outliers' centroid takes part, as in a BERTopic model loaded from safetensors. A zero
        vector, which is an empty document's, is an outlier of probability zero.
        """
        ids = np.array(self.ids, np.int32)
        if np.shape(vectors)[1] != self.centroids.shape[1]:
            message = (
                f"embeddings have {np.shape(vectors)[1]} features, the topics were made of "
                f"{self.centroids.shape[1]}; embed with the model that made those"
            )
            raise EmbeddingError(message)
        # einsum sums in one order, so that a row's answer does not depend on its neighbours
        cosines = np.einsum("ij,kj->ik", unit(vectors), unit(self.centroids))
        best = cosines.argmax(axis=1)
        probabilities = cosines[np.arange(len(best)), best].astype(np.float32)
        empty = ~np.asarray(vectors).any(axis=1)
        return np.where(empty, OUTLIER, ids[best]).astype(np.int32), np.where(
            empty, np.float32(0), probabilities
        )

    def digest(self) -> str:
        """Return a hash of what tells topics apart: ids, words, centroids."""
        digest = hashlib.sha256(repr((self.ids, sorted(self.names.items()))).encode())
        digest.update(np.ascontiguousarray(self.centroids).tobytes())
        return digest.hexdigest()

    def content(self) -> list[Any]:
        """Return words, labels and examples as JSON: what tells versions of one stage apart."""
        return [
            [topic, list(map(list, self.words[topic])), self.labels.get(topic),
             self.given.get(topic),
             [example.text for example in self.examples[topic]]]
            for topic in self.ids
        ] + [self._listed_aspects()]  # fmt: skip

    def save(self, folder: Location) -> None:
        """Write examples and aspects, then ``topics.parquet``, which says that all are there."""
        (folder / "examples.parquet").write(table_bytes(self._examples_table()))
        (folder / "aspects.json").write(json.dumps(self._listed_aspects()).encode())
        (folder / "topics.parquet").write(table_bytes(self._topics_table()))

    @staticmethod
    def saved(folder: Location) -> bool:
        """Whether `save` has finished there."""
        return (folder / "topics.parquet").exists()

    @classmethod
    def load(cls, folder: Location) -> Topics:
        """Read what `save` wrote.

        Raises
        ------
        DamagedError
            Where there are no topics, or they are not as they were written.
        """
        import pyarrow as pa

        try:
            table = read_table(folder / "topics.parquet")
            examples = read_table(folder / "examples.parquet").to_pylist()
            aspects = json.loads((folder / "aspects.json").read())
        except (FileNotFoundError, DamagedError, ValueError) as error:
            message = f"no topics at {folder}, or not all; run the same `dtopics fit` again"
            raise DamagedError(message, folder.url) from error
        try:
            return cls._of_tables(table, examples, aspects)
        except (LookupError, TypeError, ValueError, AttributeError, pa.ArrowException) as error:
            message = f"the topics at {folder} are not what dtopics writes: {error}"
            raise DamagedError(message, folder.url) from error

    @classmethod
    def _of_tables(
        cls, table: pa.Table, examples: list[dict[str, Any]], aspects: Mapping[str, Any]
    ) -> Topics:
        rows = table.drop_columns(["centroid"]).to_pylist()
        lists = table["centroid"].combine_chunks()
        found: dict[int, list[Example]] = {row["topic"]: [] for row in rows}
        for row in examples:
            fields = (row[name] for name in Example._fields)
            found[row["topic"]].append(Example(*fields))
        return cls(
            ids=tuple(row["topic"] for row in rows),
            sizes={row["topic"]: row["size"] for row in rows},
            mapping={cluster: row["topic"] for row in rows for cluster in row["clusters"]},
            words={
                row["topic"]: list(zip(row["words"], row["weights"], strict=True)) for row in rows
            },
            centroids=lists.flatten().to_numpy().reshape(len(rows), lists.type.list_size),
            examples={topic: tuple(listed) for topic, listed in found.items()},
            labels={row["topic"]: row["label"] for row in rows if row["label"] is not None},
            given={row["topic"]: row["given"] for row in rows if row.get("given") is not None},
            aspects={
                aspect: {topic: [(word, weight) for word, weight in words] for topic, words in all_}
                for aspect, all_ in aspects.items()
            },
        )

    def _listed_aspects(self) -> dict[str, Any]:
        return {
            aspect: [[topic, [list(pair) for pair in listed]] for topic, listed in words.items()]
            for aspect, words in self.aspects.items()
        }

    def _topics_table(self) -> pa.Table:
        import pyarrow as pa

        clusters: dict[int, list[int]] = {topic: [] for topic in self.ids}
        for cluster, topic in sorted(self.mapping.items()):
            clusters[topic].append(cluster)
        vectors = np.ascontiguousarray(self.centroids, np.float32)
        return pa.table(
            {
                "topic": pa.array(self.ids, pa.int32()),
                "size": pa.array([self.sizes[topic] for topic in self.ids], pa.int64()),
                "name": pa.array([self.names[topic] for topic in self.ids], pa.string()),
                "label": pa.array([self.labels.get(topic) for topic in self.ids], pa.string()),
                "given": pa.array([self.given.get(topic) for topic in self.ids], pa.string()),
                "words": pa.array(
                    [[word for word, _ in self.words[topic]] for topic in self.ids],
                    pa.list_(pa.string()),
                ),
                "weights": pa.array(
                    [[weight for _, weight in self.words[topic]] for topic in self.ids],
                    pa.list_(pa.float64()),
                ),
                "clusters": pa.array([clusters[topic] for topic in self.ids], pa.list_(pa.int32())),
                "centroid": pa.FixedSizeListArray.from_arrays(
                    pa.array(vectors.ravel()), vectors.shape[1]
                ),
            }
        )

    def _examples_table(self) -> pa.Table:
        import pyarrow as pa

        rows = [(topic, example) for topic in self.ids for example in self.examples[topic]]
        return pa.table(
            {
                "topic": pa.array([topic for topic, _ in rows], pa.int32()),
                "doc_id": pa.array([example.doc_id for _, example in rows]),
                "text": pa.array([example.text for _, example in rows], pa.string()),
                "similarity": pa.array([example.similarity for _, example in rows], pa.float64()),
                "vector": pa.array([example.vector for _, example in rows], pa.binary()),
            }
        )


def mapped(labels: NDArray[np.integer[Any]], lookup: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the topic of each cluster label by `Topics.lookup`."""
    return np.asarray(lookup[np.asarray(labels) + 1], np.int32)
