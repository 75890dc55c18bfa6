"""Models put together: the topics of one, and what others have besides, counted as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dtopics.data import OUTLIER
from dtopics.embedding.checks import unit
from dtopics.representation.centroids import merge_sums
from dtopics.representation.counts import from_table, merge_counts, regroup, reterm
from dtopics.store import Stage
from dtopics.topics.counted import Naming, name_topics
from dtopics.topics.topics import Example, Topics

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Part:
    """A model that is put together with others.

    Attributes
    ----------
    topics : Topics
    version : Stage
        Of the topics, with their counts.
    sums : Stage
        Sizes and sums of vectors of the labels.
    """

    topics: Topics
    version: Stage
    sums: Stage


def matched(models: Sequence[Topics], min_similarity: float) -> list[dict[int, int]]:
    """Return for each model which topic of all its topics become.

    The first model's keep their numbers. A topic of a later one becomes the topic most alike to it
    by the cosine of their centroids, or a new one where none is alike enough. Outliers stay so.
    """
    base = models[0]
    found = [{topic: topic for topic in base.ids}]
    ids = [topic for topic in base.ids if topic != OUTLIER]
    vectors = unit(base.centroids)[[topic != OUTLIER for topic in base.ids]]
    for model in models[1:]:
        inside = [topic for topic in model.ids if topic != OUTLIER]
        rows = unit(model.centroids)[[topic != OUTLIER for topic in model.ids]]
        # einsum sums in one order; a topic alike to none is compared with −2
        cosines = np.einsum("ij,kj->ik", rows, vectors)
        cosines = np.column_stack([cosines, np.full(len(rows), -2.0)])
        best = cosines.argmax(axis=1)
        new = cosines[np.arange(len(rows)), best] < min_similarity
        numbers = max(ids, default=OUTLIER) + np.cumsum(new)
        became = {OUTLIER: OUTLIER} if OUTLIER in model.ids else {}
        for topic, at, is_new, number in zip(inside, best, new, numbers, strict=True):
            became[topic] = int(number) if is_new else ids[at]
        ids += numbers[new].tolist()
        vectors = np.concatenate([vectors, rows[new]])
        found.append(became)
    return found


@dataclass(frozen=True)
class AddSums:
    """Add up the sums of vectors of models; the labels are the topics of all."""

    parts: Sequence[Part]
    became: Sequence[Mapping[int, int]]

    def __call__(self, stage: Stage) -> Mapping[str, Any]:  # noqa: ARG002
        """Return the table ``sums``."""
        import pyarrow as pa

        tables = []
        for part, became in zip(self.parts, self.became, strict=True):
            table = part.sums.whole_table("sums")
            topics = [became[part.topics.mapping[label]] for label in table["cluster"].to_pylist()]
            tables.append(table.set_column(0, "cluster", pa.array(topics, pa.int32())))
        return {"sums": merge_sums(tables)}


@dataclass(frozen=True)
class AddCounts:
    """Add up the counts of models; nothing is estimated.

    Parameters
    ----------
    parts : sequence of Part
    became : sequence of mapping of int to int
        The topic of all that each part's topics become.
    sums : Stage
        Of `AddSums`.
    naming : Naming
    """

    parts: Sequence[Part]
    became: Sequence[Mapping[int, int]]
    sums: Stage
    naming: Naming

    def __call__(self, stage: Stage) -> Mapping[str, Any]:  # noqa: ARG002
        """Return what `name_topics` does."""
        vocabulary = self._vocabulary()
        position = {term: i for i, term in enumerate(vocabulary["term"].to_pylist())}
        counts = []
        for part, became in zip(self.parts, self.became, strict=True):
            own = part.version.whole_table("vocabulary")["term"].to_pylist()
            where = np.array([position[term] for term in own], np.int32)
            found = reterm(from_table(part.version.whole_table("counts")), where)
            counts.append(regroup(found, became))
        mapping = {topic: topic for became in self.became for topic in became.values()}
        sums = self.sums.whole_table("sums")
        return name_topics(mapping, merge_counts(counts), vocabulary, sums, self.naming)

    def _vocabulary(self) -> pa.Table:
        """Return the terms of all parts, with the documents and times of each added up."""
        import pyarrow as pa

        tables = [part.version.whole_table("vocabulary") for part in self.parts]
        columns = ["term", "df", "cf"]
        every = pa.concat_tables([table.select(columns) for table in tables])
        found = every.group_by("term").aggregate([("df", "sum"), ("cf", "sum")])
        # Arrow compares strings by their bytes, which is by code point
        ordered = found.select(["term", "df_sum", "cf_sum"]).sort_by("term")
        return ordered.rename_columns(columns).combine_chunks()


def put_together(
    made: Topics, parts: Sequence[Topics], became: Sequence[Mapping[int, int]]
) -> Topics:
    """Return merged topics with the examples, labels and given names of their parts."""
    examples: dict[int, list[Example]] = {topic: [] for topic in made.ids}
    labels: dict[int, str] = {}
    given: dict[int, str] = {}
    for part, topics in zip(parts, became, strict=True):
        for topic, to in topics.items():
            examples[to].extend(part.examples[topic])
            for held, own in ((labels, part.labels), (given, part.given)):
                if topic in own:
                    held.setdefault(to, own[topic])
    most = max(len(listed) for part in parts for listed in part.examples.values())
    return replace(
        made,
        examples={
            topic: tuple(sorted(listed, key=lambda example: -example.similarity)[:most])
            for topic, listed in examples.items()
        },
        labels=labels,
        given=given,
    )
