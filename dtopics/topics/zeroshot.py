"""Names that a user gave to topics beforehand, and which topics bear them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtopics.embedding.checks import unit
from dtopics.store import Stage


def fitted_names(counted: Stage, phrases: Stage) -> dict[int, str]:
    """Return the phrase of each label of documents that were given one.

    `counted` says how many labels are of clusters; those of phrases come after.
    """
    first = int(counted.whole_json("counted")["clusters"])
    return {first + i: name for i, name in enumerate(phrases.whole_json("about")["names"])}


def names_of(
    named: Mapping[int, str],
    became: Mapping[int, int],
    ids: tuple[int, ...],
    centroids: NDArray[np.floating[Any]],
    phrases: Stage,
) -> dict[int, str]:
    """Return the name of each topic that bears one.

    Parameters
    ----------
    named : mapping of int to str
        Names of what topics were made of: labels, or the topics of the version before.
    became : mapping of int to int
        Which topic each of those became.
    ids : tuple of int
    centroids : ndarray, shape (n_topics, n_features)
        In the order of `ids`.
    phrases : Stage
        The names' vectors, and how alike a topic must be to bear one.

    Returns
    -------
    dict of int to str
        A topic made of one that is named keeps the name. One made of several bears the name most
        alike to it, if that is alike enough.
    """
    parts: dict[int, list[int]] = {}
    for part, topic in sorted(became.items()):
        parts.setdefault(topic, []).append(part)
    names, least = (phrases.whole_json("about")[name] for name in ("names", "least"))
    vectors = dict(zip(names, unit(phrases.whole_array("phrases")), strict=True))
    rows = dict(zip(ids, unit(np.asarray(centroids)), strict=True))
    found = {}
    for topic, made_of in parts.items():
        given = [named[part] for part in made_of if part in named]
        if given and topic >= 0:
            best = max(given, key=lambda name: float(vectors[name] @ rows[topic]))
            if len(made_of) == 1 or float(vectors[best] @ rows[topic]) >= least:
                found[topic] = best
    return found
