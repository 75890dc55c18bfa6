"""One version of the topics, from counts and sums alone: numbers, words, weights, centroids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dtopics.data import OUTLIER, TermCounts
from dtopics.representation.centroids import centroids, sizes
from dtopics.representation.counts import counts_table, from_table, regroup, reterm, to_csr
from dtopics.representation.ctfidf import ClassTfidfTransformer
from dtopics.representation.vectorizer import Counting
from dtopics.representation.vocabulary import Vocabulary, prune, topic_term_table
from dtopics.representation.words import top_words
from dtopics.store import Stage

if TYPE_CHECKING:
    import pyarrow as pa
    from scipy.sparse import csr_matrix


@dataclass(frozen=True)
class Naming:
    """How the words of topics are weighed and chosen; a version keeps it for the next.

    Attributes
    ----------
    ctfidf : ClassTfidfTransformer
    top_n_words : int
    counting : mapping
        How terms are made of tokens: `Counting.describe_counting`.
    seeds : sequence of sequence of str
        Words of seed topics, which weigh more.
    """

    ctfidf: ClassTfidfTransformer
    top_n_words: int
    counting: Mapping[str, Any]
    seeds: Sequence[Sequence[str]] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as a version's stage keeps it."""
        return {
            "ctfidf": self.ctfidf.describe(),
            "top_n_words": self.top_n_words,
            "counting": dict(self.counting),
            "seeds": [list(words) for words in self.seeds],
        }

    @classmethod
    def from_json(cls, about: Mapping[str, Any]) -> Naming:
        """Read what `to_json` gave."""
        ctfidf = ClassTfidfTransformer(**about["ctfidf"])
        return cls(ctfidf, about["top_n_words"], about["counting"], about.get("seeds", ()))


def name_topics(
    mapping: Mapping[int, int],
    counts: TermCounts,
    vocabulary: pa.Table,
    sums: pa.Table,
    naming: Naming,
) -> dict[str, Any]:
    """Return what the stage of a version holds.

    Parameters
    ----------
    mapping : mapping of int to int
        Cluster to topic.
    counts : TermCounts
        Topics × terms.
    vocabulary : pyarrow.Table
        ``term``, ``df``, ``cf``.
    sums : pyarrow.Table
        The clusters' sizes and sums of vectors, as `merge_sums` made them.
    naming : Naming

    Returns
    -------
    dict
        ``topics`` (JSON), ``vocabulary``, ``counts``, ``idf``, ``centroids``.
    """
    ids = np.array(sorted(set(mapping.values())), np.int32)
    terms = vocabulary["term"].to_pylist()
    X = to_csr(counts, ids, len(terms))
    model = ClassTfidfTransformer(**naming.ctfidf.get_params())
    model.fit(X, multiplier=model.multiplier_for(terms, naming.seeds))
    total: Counter[int] = Counter()
    for cluster, size in sizes(sums).items():
        total[mapping[cluster]] += size
    topics = {
        "ids": ids.tolist(),
        "sizes": [total[topic] for topic in ids.tolist()],
        "mapping": [[cluster, topic] for cluster, topic in sorted(mapping.items())],
        "words": top_words(model.transform(X), terms, naming.top_n_words),
        "naming": naming.to_json(),
    }
    return {
        "topics": topics,
        "vocabulary": vocabulary,
        "counts": counts_table(counts),
        "idf": model.idf_,
        "centroids": centroids(sums, ids, dict(mapping)).astype(np.float32),
    }


def number_by_size(
    groups: Mapping[int, int], cluster_sizes: Mapping[int, int], first: Sequence[int] = ()
) -> dict[int, int]:
    """Map clusters to topics: groups of clusters by falling size, ties by group.

    Parameters
    ----------
    groups : mapping of int to int
        The group of each cluster; `OUTLIER` stays what it is.
    cluster_sizes : mapping of int to int
        Documents of each cluster.
    first : sequence of int
        Groups that come before all others, in this order.
    """
    total: Counter[int] = Counter()
    for cluster, size in cluster_sizes.items():
        total[groups[cluster]] += size
    leading = [group for group in first if group in total]
    others = total.keys() - {OUTLIER, *leading}
    ranked = [*leading, *sorted(others, key=lambda g: (-total[g], g))]
    topic = {group: number for number, group in enumerate(ranked)}
    if OUTLIER in total:
        topic[OUTLIER] = OUTLIER
    return {cluster: topic[group] for cluster, group in groups.items() if group in topic}


def topic_terms(
    counts: Stage, vocabulary: Stage, counting: Counting, mapping: Mapping[int, int]
) -> tuple[pa.Table, TermCounts]:
    """Return the terms of topics, and topics × terms, from the counts of clusters."""
    terms = vocabulary.whole_table("vocabulary")
    found = regroup(from_table(counts.whole_table("counts")), mapping)
    if counting.min_df_scope == "document":
        return terms, found
    pruned = prune(topic_term_table(terms, found), counting, len(set(mapping.values())))
    return pruned, reterm(found, Vocabulary.of(pruned).ids_of(terms["term"]))


@dataclass(frozen=True)
class RenameTopics:
    """Make a version of topics that are there: count and weigh their words anew.

    Parameters
    ----------
    counts, sums, vocabulary : Stage
    counting : Counting
    naming : Naming
    mapping : mapping of int to int
        Topic of each label.
    """

    counts: Stage
    sums: Stage
    vocabulary: Stage
    counting: Counting
    naming: Naming
    mapping: Mapping[int, int]

    def __call__(self, stage: Stage) -> Mapping[str, Any]:  # noqa: ARG002
        """Return what `name_topics` does."""
        vocabulary, counts = topic_terms(self.counts, self.vocabulary, self.counting, self.mapping)
        sums = self.sums.whole_table("sums")
        return name_topics(self.mapping, counts, vocabulary, sums, self.naming)


@dataclass(frozen=True)
class RegroupTopics:
    """Make a version of the topics from another by putting topics together.

    Parameters
    ----------
    parent : Stage
        The other version's.
    sums : Stage
        The clusters' sums of vectors.
    groups : mapping of int to int
        The group of each topic of the other version; `OUTLIER` for one that goes.
    """

    parent: Stage
    sums: Stage
    groups: Mapping[int, int]

    def __call__(self, stage: Stage) -> Mapping[str, Any]:  # noqa: ARG002
        """Return what `name_topics` does."""
        about = self.parent.whole_json("topics")
        before, sums = dict(about["mapping"]), self.sums.whole_table("sums")
        groups = {cluster: self.groups[topic] for cluster, topic in before.items()}
        mapping = number_by_size(groups, sizes(sums))
        became = {before[cluster]: topic for cluster, topic in mapping.items()}
        counts = regroup(from_table(self.parent.whole_table("counts")), became)
        vocabulary = self.parent.whole_table("vocabulary")
        return name_topics(mapping, counts, vocabulary, sums, Naming.from_json(about["naming"]))


@dataclass(frozen=True)
class CountedTopics:
    """What is read of a version's stage where its counts are asked for.

    Attributes
    ----------
    ids : tuple of int
    X : csr_matrix of int64, shape (n_topics, n_terms)
    idf : ndarray of float64, shape (n_terms,)
    terms : list of str
    naming : Naming
    """

    ids: tuple[int, ...]
    X: csr_matrix
    idf: Any
    terms: list[str]
    naming: Naming

    @classmethod
    def of(cls, stage: Stage) -> CountedTopics:
        """Read a version's stage."""
        about, idf = stage.whole_json("topics"), stage.whole_array("idf")
        ids = tuple(about["ids"])
        X = to_csr(from_table(stage.whole_table("counts")), ids, len(idf))
        terms = stage.whole_table("vocabulary")["term"].to_pylist()
        return cls(ids, X, idf, terms, Naming.from_json(about["naming"]))

    def weigh(self, X: csr_matrix) -> csr_matrix:
        """Return the c-TF-IDF of counts over the same terms."""
        model = ClassTfidfTransformer(**self.naming.ctfidf.get_params())
        model.idf_ = self.idf
        return model.transform(X)

    def words(self, X: csr_matrix) -> list[list[tuple[str, float]]]:
        """Return the heaviest terms of each row of c-TF-IDF."""
        return top_words(X, self.terms, self.naming.top_n_words)
