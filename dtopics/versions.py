"""Steps after the fit: each makes a version of the topics from the one in use.

Labels of clusters stay as they are, and so do the counts and sums of earlier versions: a version
is made of those of the one before it, without a document, and can be undone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from dtopics.errors import InputError, RunError
from dtopics.execution import Executor, InProcessExecutor
from dtopics.execution.cluster import current_client, executor_for
from dtopics.planning import Surroundings, connected
from dtopics.report.assignments import assign
from dtopics.store import Run, Stage, fingerprint
from dtopics.topics import Example, Topics
from dtopics.topics.counted import RegroupTopics
from dtopics.topics.steps import assemble
from dtopics.topics.zeroshot import names_of

#: From a version's topics and stage to the topics with their words.
Represent = Callable[[Topics, Stage], Topics]
#: So many blocks are written by this process where there is no cluster, sooner than by its own.
FEW_BLOCKS = 256


def regroup(
    run: Run,
    topics: Topics,
    groups: Mapping[int, int],
    made: str,
    around: Surroundings,
    represent: Represent,
) -> Topics:
    """Put topics together and take the result into use.

    Parameters
    ----------
    run : Run
    topics : Topics
        The version in use.
    groups : mapping of int to int
        The group of each topic; `OUTLIER` for one whose documents become outliers.
    made : str
        What is being done, for people.
    around : Surroundings
    represent : callable (topics, stage) -> topics
        Gives the topics of a version's stage their words, where c-TF-IDF does not.

    Returns
    -------
    Topics
        The same, where no topic changes.

    Raises
    ------
    RunError
        Where somebody else has put another version into use.
    """
    check_current(run, topics)
    if all(group == topic for topic, group in groups.items()):
        return topics
    parent, sums = run.fitted("topics"), run.fitted("centroids")
    config = {"groups": [[topic, group] for topic, group in sorted(groups.items())]}
    stage = run.stage("topics", config, [parent, sums])
    InProcessExecutor(around.progress).run(stage, RegroupTopics(parent, sums, groups))
    made_topics = assemble(stage, {})
    became = {topics.mapping[c]: topic for c, topic in made_topics.mapping.items()}
    regrouped = replace(
        made_topics,
        examples=grouped_examples(topics, became),
        labels=kept(topics.labels, topics.ids, became),
        given=kept(topics.given, topics.ids, became),
    )
    if run.has_fitted("zero-shot topics"):
        phrases = run.fitted("zero-shot topics")
        made_of = made_topics.ids, made_topics.centroids
        given = names_of(topics.given, became, *made_of, phrases)
        regrouped = replace(regrouped, given=given)
    regrouped = represent(regrouped, stage)
    version = fingerprint("regrouped", {"content": regrouped.content()}, [stage.fingerprint])
    regrouped.save(run.topics_folder(version))
    write_assignments(run, regrouped, around)
    run.add_version(version, made, {"topics": stage.fingerprint})
    return regrouped


def relabel(run: Run, topics: Topics, labels: Mapping[int, str], made: str) -> Topics:
    """Give topics other labels and take the result into use; nothing else changes."""
    check_current(run, topics)
    labelled = replace(topics, labels=dict(labels))
    about = {"labels": [[topic, label] for topic, label in sorted(labels.items())]}
    version = fingerprint("labels", about, [run.finished["topics_version"]])
    labelled.save(run.topics_folder(version))
    run.add_version(version, made, {})
    return labelled


def undo(run: Run, topics: Topics, version: str | None, around: Surroundings) -> Topics:
    """Take the version before into use again, or the one that is named.

    Raises
    ------
    InputError
        Where there is no such version.
    """
    check_current(run, topics)
    names = [entry["version"] for entry in run.versions]
    if version is None:
        if len(names) < 2:
            message = "there is nothing to undo: the topics are as they were fitted"
            raise InputError(message)
        n_kept = len(names) - 1
    else:
        found = [i for i, name in enumerate(names) if name.startswith(version)]
        if len(found) != 1 or not version:
            message = f"{len(found)} versions begin with {version!r}; there are {', '.join(names)}"
            raise InputError(message)
        n_kept = found[0] + 1
    earlier = Topics.load(run.topics_folder(names[n_kept - 1]))
    run.drop_versions(n_kept)
    write_assignments(run, earlier, around)
    return earlier


def check_current(run: Run, topics: Topics) -> None:
    """See that the topics at hand are those in use: another process may have changed them.

    Raises
    ------
    RunError
    """
    now = Run.open(run.location)
    if now.finished["topics_version"] != run.finished["topics_version"]:
        message = (
            f"{run.location} has other topics by now: {now.versions[-1]['made']}; open it again "
            f"with TopicModel.load to go on from there ({topics.n_topics} topics are held here)"
        )
        raise RunError(message)
    run.state = now.state


def write_assignments(
    run: Run, topics: Topics, around: Surroundings, labels: Stage | None = None
) -> None:
    """Write the Parquet files of every document's topic anew, where they are others now.

    `labels` are those that `topics` map; None: the version's in use.
    """
    if not run.has_fitted("clusters"):  # of models put together, without documents
        return
    blocks = run.blocks()
    documents, clusters = run.fitted("documents"), labels or run.labelled
    with executor_of(run, around, FEW_BLOCKS) as executor:
        assign(run, blocks, topics, documents, clusters, executor)


@contextlib.contextmanager
def executor_of(run: Run, around: Surroundings, few_blocks: int) -> Iterator[Executor]:
    """Give what does a later step's blocks: a cluster that is there, else this process for few.

    Parameters
    ----------
    run : Run
    around : Surroundings
    few_blocks : int
        So many blocks at most are done by this process where there is no cluster.
    """
    n_blocks = len(run.blocks())
    with connected(around) as reached:
        alone = reached.client is None and reached.local is None and current_client() is None
        if alone and n_blocks <= few_blocks:
            yield InProcessExecutor(reached.progress)
            return
        with executor_for(reached.client, run.location, n_blocks=n_blocks,
                          progress=reached.progress, local=reached.local) as found:  # fmt: skip
            yield found


def grouped_examples(topics: Topics, became: Mapping[int, int]) -> dict[int, tuple[Example, ...]]:
    """Return the examples of topics put together: those most like the topic that they were of."""
    found: dict[int, list[Example]] = {topic: [] for topic in became.values()}
    for topic in topics.ids:
        found[became[topic]].extend(topics.examples[topic])
    most = max(len(listed) for listed in topics.examples.values())
    return {
        topic: tuple(sorted(listed, key=lambda example: -example.similarity)[:most])
        for topic, listed in found.items()
    }


def kept(
    labels: Mapping[int, str], topics: Sequence[int], became: Mapping[int, int]
) -> dict[int, str]:
    """Return the labels of topics that stand alone as before."""
    parts: dict[int, list[int]] = {}
    for topic in topics:
        parts.setdefault(became[topic], []).append(topic)
    return {
        new: labels[olds[0]] for new, olds in parts.items() if len(olds) == 1 and olds[0] in labels
    }
