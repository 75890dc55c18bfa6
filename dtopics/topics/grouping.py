"""Which topics are put together: what `merge_topics` and `delete_topics` ask for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import Any

from dtopics.data import OUTLIER
from dtopics.errors import InputError


def merge_groups(ids: Sequence[int], topics_to_merge: Any) -> dict[int, int]:
    """Return the group of each topic where some are merged.

    Parameters
    ----------
    ids : sequence of int
        The topics that there are.
    topics_to_merge : list of int, or list of lists of int
        Topics that become one, or several such groups. A group with the outliers in its first
        place becomes outliers; with −1 elsewhere, the outliers become part of the topic.

    Returns
    -------
    dict of int to int
        Topic to the first of its group.

    Raises
    ------
    InputError
        Where there is no such topic, or one stands in two groups.
    """
    listed = _listed(topics_to_merge)
    nested = [isinstance(item, Iterable) and not isinstance(item, str) for item in listed]
    if not listed or (any(nested) and not all(nested)):
        message = (
            f"topics_to_merge is {topics_to_merge!r}; expected topics, as [1, 2], or groups of "
            "them, as [[1, 2], [3, 4]]"
        )
        raise InputError(message)
    groups = [_listed(group) for group in listed] if all(nested) else [listed]
    found = {topic: topic for topic in ids}
    seen: set[int] = set()
    for group in groups:
        checked = check_topics(ids, group, "topics_to_merge")
        if twice := seen.intersection(checked):
            message = f"topic {min(twice)} stands in two groups of topics_to_merge"
            raise InputError(message)
        seen.update(checked)
        found.update(dict.fromkeys(checked, checked[0]))
    return found


def delete_groups(ids: Sequence[int], topics_to_delete: Any) -> dict[int, int]:
    """Return the group of each topic where the documents of some become outliers.

    Raises
    ------
    InputError
        Where there is no such topic.
    """
    gone = check_topics(ids, _listed(topics_to_delete), "topics_to_delete")
    return {topic: OUTLIER if topic in gone else topic for topic in ids}


def check_topics(ids: Sequence[int], topics: Iterable[Any], name: str) -> list[int]:
    """Return topics as integers.

    Raises
    ------
    InputError
        Where one is not among `ids`.
    """
    found = []
    for topic in topics:
        if not isinstance(topic, Integral) or int(topic) not in ids:
            message = f"{name} names topic {topic!r}; there are {min(ids)} to {max(ids)}"
            raise InputError(message)
        found.append(int(topic))
    return found


def _listed(given: Any) -> list[Any]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        return [given]
    return list(given)
