"""Topics merged step by step, and the words of each merge, from counts alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dtopics.data import OUTLIER
from dtopics.errors import InputError
from dtopics.topics.counted import CountedTopics
from dtopics.topics.reduce import cosine_distances

if TYPE_CHECKING:
    import pandas as pd

#: Words in the name of a merge, as in BERTopic.
NAME_WORDS = 5
COLUMNS = ("Parent_ID", "Parent_Name", "Topics", "Child_Left_ID", "Child_Left_Name",
           "Child_Right_ID", "Child_Right_Name", "Distance")  # fmt: skip


def hierarchical_topics(
    counted: CountedTopics,
    vectors: Any,
    linkage_function: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None,
    distance_function: Callable[[Any], Any] | None = None,
) -> pd.DataFrame:
    """Return the merges of all topics to one, the last first.

    The members of a merge follow from the linkage itself; counts of both sides are added, so that
    all merges take one pass over the counts of the topics for each level of the tree.

    Parameters
    ----------
    counted : CountedTopics
    vectors : ndarray or csr_matrix, shape (n_topics, n_features)
        What topics are compared by, in the order of their ids.
    linkage_function : callable, optional
        From condensed distances to a linkage. None: Ward's, leaves in the best order.
    distance_function : callable, optional
        From vectors to distances, square or condensed. None: 1 − cosine.

    Returns
    -------
    pandas.DataFrame
        `COLUMNS`, as BERTopic names them.

    Raises
    ------
    InputError
        Where there are fewer than two topics, or their numbers have a gap.
    """
    import pandas as pd
    import scipy.cluster.hierarchy as sch

    inside = np.array([topic != OUTLIER for topic in counted.ids])
    n_topics = int(inside.sum())
    if n_topics < 2:
        message = f"a hierarchy needs two topics, there are {n_topics}"
        raise InputError(message)
    missing = set(range(n_topics)) - set(counted.ids)
    if missing:  # merges are numbered from there on
        message = (
            f"there is no topic {min(missing)}, and a hierarchy needs numbers without a gap; "
            "merge_topics and reduce_topics number them anew"
        )
        raise InputError(message)
    distances = condensed((distance_function or cosine_distances)(vectors[inside]), n_topics)
    if linkage_function is None:
        Z = sch.linkage(distances, "ward", optimal_ordering=True)
    else:
        Z = np.asarray(linkage_function(distances))

    counts = [row.copy() for row in counted.X[inside]]
    members: list[list[int]] = [[topic] for topic in range(n_topics)]
    first = [words[:NAME_WORDS] for words in counted.words(counted.weigh(counted.X[inside]))]
    names = ["_".join(word for word, _ in words) for words in first]
    rows = []
    for step, (left, right, distance, _) in enumerate(Z):
        one, two = int(left), int(right)
        counts.append(counts[one] + counts[two])
        counts[one] = counts[two] = None
        members.append(sorted(members[one] + members[two]))
        words = counted.words(counted.weigh(counts[-1]))[0][:NAME_WORDS]
        names.append("_".join(word for word, _ in words))
        rows.append((str(n_topics + step), names[-1], members[-1], str(one), names[one], str(two),
                     names[two], float(distance)))  # fmt: skip
    return pd.DataFrame(rows[::-1], columns=list(COLUMNS), index=range(len(rows))[::-1])


def condensed(distances: Any, n_topics: int) -> NDArray[np.float64]:
    """Return distances in SciPy's condensed form.

    Raises
    ------
    InputError
        Where they are not the distances of so many topics.
    """
    from scipy.spatial.distance import squareform

    found = np.asarray(distances.toarray() if hasattr(distances, "toarray") else distances)
    if found.shape == (n_topics, n_topics):
        square = found.astype(np.float64)
        np.fill_diagonal(square, 0)
        if not np.allclose(square, square.T):
            message = "distance_function gave distances that differ by direction"
            raise InputError(message)
        return np.asarray(squareform(square, checks=False), np.float64)
    if found.shape == (n_topics * (n_topics - 1) // 2,):
        return found.astype(np.float64)
    message = (
        f"distance_function gave shape {found.shape} for {n_topics} topics; expected "
        f"({n_topics}, {n_topics}), or the condensed form"
    )
    raise InputError(message)


def topic_tree(
    hier_topics: pd.DataFrame, max_distance: float | None = None, *, tight_layout: bool = False
) -> str:
    """Draw a hierarchy as text.

    Parameters
    ----------
    hier_topics : pandas.DataFrame
        What `hierarchical_topics` returned.
    max_distance : float, optional
        Merges further apart are left out. None: all are drawn.
    tight_layout : bool, default=False
        Indent each level less.

    Returns
    -------
    str

    Raises
    ------
    InputError
        Where a column is missing.
    """
    missing = [name for name in COLUMNS if name not in hier_topics.columns]
    if missing:
        message = f"hier_topics lacks {missing}; expected what hierarchical_topics returned"
        raise InputError(message)
    merges: dict[str, Any] = {str(row.Parent_ID): row for row in hier_topics.itertuples()}
    n_topics = len(merges) + 1
    width = 1 if tight_layout else 5
    shown = {name for name, row in merges.items()
             if max_distance is None or row.Distance <= max_distance}  # fmt: skip
    children = {str(child) for name in shown
                for child in (merges[name].Child_Left_ID, merges[name].Child_Right_ID)}  # fmt: skip
    lines = ["."]
    roots = sorted(shown - children, key=lambda name: -merges[name].Distance)
    # a stack, for a tree can be as deep as there are topics
    waiting = [(name, "", str(merges[name].Parent_Name)) for name in reversed(roots)]
    while waiting:
        name, indent, words = waiting.pop()
        if int(name) < n_topics:
            lines.append(f"{indent}├─■──{words} ── Topic: {name}")
            continue
        lines.append(f"{indent}├─{words}")
        row = merges[name]
        deeper = indent + "│" + " " * width
        waiting.append((str(row.Child_Right_ID), deeper, str(row.Child_Right_Name)))
        waiting.append((str(row.Child_Left_ID), deeper, str(row.Child_Left_Name)))
    return "\n".join(lines) + "\n"
