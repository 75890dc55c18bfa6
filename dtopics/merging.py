"""Runs put together into one that has their topics and counts, and no documents."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from dtopics.errors import InputError
from dtopics.execution import InProcessExecutor
from dtopics.store import Run
from dtopics.topics import Topics
from dtopics.topics.counted import Naming
from dtopics.topics.merging import AddCounts, AddSums, Part, matched, put_together
from dtopics.topics.steps import assemble

logger = logging.getLogger("dtopics")


def merge_runs(target: Run, runs: Sequence[tuple[Run, Topics]], min_similarity: float) -> Topics:
    """Leave in `target` the topics of the first run, and those of the others that are new.

    Parameters
    ----------
    target : Run
        New.
    runs : sequence of (Run, Topics)
        With the version of the topics that is in use.
    min_similarity : float
        How alike a topic must be to another to become part of it.

    Returns
    -------
    Topics

    Raises
    ------
    InputError
        Where the embeddings are of different widths.
    """
    parts = [Part(topics, run.fitted("topics"), run.fitted("centroids")) for run, topics in runs]
    widths = [part.topics.centroids.shape[1] for part in parts]
    if len(set(widths)) > 1:
        message = f"the models' embeddings have {widths} features; expected one width"
        raise InputError(message)
    namings = [Naming.from_json(part.version.whole_json("topics")["naming"]) for part in parts]
    if any(naming.counting != namings[0].counting for naming in namings):
        logger.warning("the models count other terms (vectorizer_model); all are added up")
    target.begin(runs[0][0].finished["config"])
    became = matched([part.topics for part in parts], min_similarity)
    about = {"became": [sorted(topics.items()) for topics in became]}
    here = InProcessExecutor()
    sums = target.stage("centroids", about, [part.sums for part in parts])
    here.run(sums, AddSums(parts, became))
    stage = target.stage("topics", about, [sums, *(part.version for part in parts)])
    here.run(stage, AddCounts(parts, became, sums, namings[0]))
    topics = put_together(assemble(stage, {}), [part.topics for part in parts], became)
    topics.save(target.topics_folder(stage.fingerprint))
    target.finish(stage.fingerprint)
    return topics
