"""Topics over time and per class: slices of a run, counted in one pass over its tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dtopics.data import Block
from dtopics.embedding.given import ArrayRows, BlockRows
from dtopics.errors import InputError
from dtopics.execution import Executor, InProcessExecutor
from dtopics.planning import Surroundings, array_digest
from dtopics.reassigning import assigned_topics
from dtopics.representation.slices import (
    CountSlices,
    DistinctValues,
    ReadColumn,
    SliceColumn,
    SliceRows,
    Slicing,
    ValueRange,
    parsed_times,
)
from dtopics.representation.vectorizer import counting_of
from dtopics.store import Run, Stage, own_lengths, spans
from dtopics.topics import Topics
from dtopics.topics.slices import NameSlices
from dtopics.versions import check_current, executor_of

if TYPE_CHECKING:
    import pandas as pd

#: So many blocks are counted in this process, where no cluster is there.
FEW_BLOCKS = 4
#: Counts that a share of the topics has, at most, where no topic is larger.
SHARE_COUNTS = 1 << 24
#: A group is a topic in a slice, and is numbered in 31 bits.
MOST_GROUPS = 2**31 - 1


@dataclass(frozen=True)
class Sliced:
    """What documents are divided by.

    Attributes
    ----------
    column : {"timestamp", "class"}
        The column of the run, where no values are given.
    values : sequence or None
        One for each document, where they are given.
    nr_bins : int or None
        Divide times into so many bins.
    datetime_format : str or None
        How times are written.
    """

    column: str
    values: Any = None
    nr_bins: int | None = None
    datetime_format: str | None = None


def topics_in_slices(
    run: Run,
    topics: Topics,
    sliced: Sliced,
    around: Surroundings,
    *,
    assigned: Any = None,
    evolution_tuning: bool,
    global_tuning: bool,
) -> pd.DataFrame:
    """Return each topic's words and documents in each slice.

    Parameters
    ----------
    run : Run
    topics : Topics
        The version in use.
    sliced : Sliced
    around : Surroundings
    assigned : sequence of int, optional
        Other topics for the documents than those of the run.
    evolution_tuning, global_tuning : bool
        As `NameSlices` says.

    Returns
    -------
    pandas.DataFrame
        Topic, Words, Frequency, Slice; by slice, then topic.

    Raises
    ------
    InputError
        Where the run keeps no such column, or the values do not fit.
    """
    import pandas as pd

    check_current(run, topics)
    members = spans(run.blocks())
    by_name = {span.name: blocks for span, blocks in members.items()}
    with executor_of(run, around, FEW_BLOCKS) as executor:
        slicing, slices = find_slices(run, sliced, executor)
        n_slices = len(slicing.values)
        if n_slices * (len(topics.ids) + 1) > MOST_GROUPS:
            message = f"{n_slices:,} slices of {len(topics.ids):,} topics are too many"
            raise InputError(message)
        version = run.fitted("topics")
        counting = version.whole_json("topics")["naming"]["counting"]
        clusters, of_labels = assigned_topics(run, topics, assigned)
        row = {topic: i for i, topic in enumerate(topics.ids)}
        lookup = tuple(row.get(topic, 0) for topic in of_labels)
        n_shares = _shares(run, counting)
        about = {"lookup": list(lookup), "slices": n_slices, "shares": n_shares,
                 "counting": counting}  # fmt: skip
        counts = run.stage("slice counts", about, [run.fitted("tokens"), version, clusters, slices],
                           own_lengths(members))  # fmt: skip
        step = CountSlices(
            run.fitted("tokens"), clusters, slices, counting_of(counting), version,
            lookup, n_slices, n_shares, by_name,
        )  # fmt: skip
        executor.map_blocks(counts, step, list(members))
        shares = [Block(run.blocks()[0].segment, index, 0, 0) for index in range(n_shares)]
        tuning = {"evolution": evolution_tuning, "global": global_tuning}
        words = run.stage("slice words", tuning, [counts], own_lengths(shares))
        naming = NameSlices(counts, list(members), version, n_slices, n_shares,
                            evolution_tuning, global_tuning)  # fmt: skip
        executor.map_blocks(words, naming, shares)
    table = pd.concat([words.table("words", share).to_pandas() for share in shares])
    table = table.sort_values(["slice", "topic"], kind="stable", ignore_index=True)
    return pd.DataFrame({
        "Topic": table["topic"], "Words": table["words"], "Frequency": table["size"],
        "Slice": slicing.values.take(table["slice"].to_numpy()),
    })  # fmt: skip


def find_slices(run: Run, sliced: Sliced, executor: Executor) -> tuple[Slicing, Stage]:
    """Leave the slice of each document, and say which there are."""
    if sliced.values is not None:
        return _given_slices(run, sliced)
    documents, blocks = run.fitted("documents"), run.blocks()
    if sliced.column not in documents.table("documents", blocks[0]).column_names:
        what = {"timestamp": "timestamps", "class": "classes"}[sliced.column]
        message = (
            f"the run keeps no {what}: give them, one for each document, or fit with a corpus that "
            f"has {sliced.column}_column=…"
        )
        raise InputError(message)
    read = ReadColumn(documents, sliced.column, sliced.datetime_format)
    if sliced.nr_bins is not None:
        ranges = [found for found in executor.map(ValueRange(read), blocks) if found is not None]
        _check_any(ranges, sliced)
        least, most = min(r[0] for r in ranges), max(r[1] for r in ranges)
        slicing = Slicing.of_bins(least, most, sliced.nr_bins)
    else:
        distinct: dict[Any, None] = {}
        for values in executor.map(DistinctValues(read), blocks):
            distinct.update(dict.fromkeys(values))
        _check_any(distinct, sliced)
        slicing = Slicing.of_values(distinct)
    about = {**slicing.describe(), "column": sliced.column, "format": sliced.datetime_format}
    stage = run.stage("slices", about, [documents])
    executor.map_blocks(stage, SliceColumn(read, slicing), blocks)
    return slicing, stage


def _given_slices(run: Run, sliced: Sliced) -> tuple[Slicing, Stage]:
    import pandas as pd

    n_rows = sum(block.n_rows for block in run.blocks())
    values = pd.Series(list(sliced.values))
    if len(values) != n_rows:
        what = {"timestamp": "timestamps", "class": "classes"}[sliced.column]
        message = (
            f"{len(values):,} {what} are given for {n_rows:,} documents; expected one for each"
        )
        raise InputError(message)
    if sliced.column == "timestamp":
        values = parsed_times(values, sliced.datetime_format)
    present = values.dropna()
    _check_any(present, sliced)
    if sliced.nr_bins is not None:
        slicing = Slicing.of_bins(present.min(), present.max(), sliced.nr_bins)
    else:
        slicing = Slicing.of_values(present)
    codes = slicing.codes(values)
    about = {**slicing.describe(), "given": array_digest(codes)}
    stage = run.stage("slices", about)
    InProcessExecutor().map_blocks(
        stage, SliceRows(BlockRows(ArrayRows(codes), run.starts)), run.blocks()
    )
    return slicing, stage


def _check_any(values: Any, sliced: Sliced) -> None:
    if len(values) == 0:
        message = f"no document has a {sliced.column}"
        raise InputError(message)


def _shares(run: Run, counting: dict[str, Any]) -> int:
    lengths: list[int] = counting["n_gram_range"]
    tokens = sum(int(receipt.notes.get("tokens", 0)) for receipt in run.fitted("tokens").receipts())
    return max(1, -(-tokens * (lengths[1] - lengths[0] + 1) // SHARE_COUNTS))
