"""Topics and documents as pandas tables, with BERTopic's columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dtopics.data import OUTLIER
from dtopics.topics import Topics
from dtopics.topics.labelling import label_of

if TYPE_CHECKING:
    import pandas as pd


def topic_info(topics: Topics, topic: int | None = None) -> pd.DataFrame:
    """Return Topic, Count, Name, Representation, Representative_Docs; outliers first.

    Parameters
    ----------
    topics : Topics
    topic : int, optional
        Only this one.
    """
    import pandas as pd

    ids = [t for t in topics.ids if topic is None or t == topic]
    labels = {"CustomName": [label_of(topics, t) for t in ids]} if topics.labels else {}
    return pd.DataFrame(
        {
            "Topic": ids,
            "Count": [topics.sizes[t] for t in ids],
            "Name": [topics.names[t] for t in ids],
            **labels,
            "Representation": [words_of(topics, t) for t in ids],
            **{
                aspect: [[word for word, _ in words[t]] for t in ids]
                for aspect, words in topics.aspects.items()
            },
            "Representative_Docs": [texts_of(topics, t) for t in ids],
        }
    )


def topic_freq(topics: Topics, topic: int | None = None) -> pd.DataFrame | int:
    """Return Topic and Count, largest first; one topic's count where it is given."""
    import pandas as pd

    if topic is not None:
        return topics.sizes.get(topic, 0)
    ids = sorted(topics.ids, key=lambda t: (-topics.sizes[t], t))
    return pd.DataFrame({"Topic": ids, "Count": [topics.sizes[t] for t in ids]})


def document_info(
    docs: Sequence[str],
    assigned: Sequence[int],
    probabilities: Any,
    topics: Topics,
    beside: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return a row per document, as BERTopic's ``get_document_info``.

    Parameters
    ----------
    docs : sequence of str
    assigned : sequence of int
        The topic of each.
    probabilities : ndarray of float32, shape (n_documents,) or (n_documents, n_topics)
    topics : Topics
    beside : pandas.DataFrame, optional
        Columns that come first.
    """
    import pandas as pd

    table = pd.DataFrame() if beside is None else beside.reset_index(drop=True)
    table["Document"], table["Topic"] = list(docs), list(assigned)
    table = describe_topics(table, topics)
    strengths = np.asarray(probabilities)
    if strengths.ndim == 2:
        outlying = np.array(assigned) == OUTLIER
        most = strengths.max(axis=1, initial=0)
        strengths = np.where(outlying, 1 - strengths.sum(axis=1), most)
    table["Probability"] = strengths
    examples = {t: set(texts_of(topics, t)) for t in topics.ids}
    table["Representative_document"] = [
        text in examples[topic] for text, topic in zip(docs, assigned, strict=True)
    ]
    return table


def describe_topics(table: pd.DataFrame, topics: Topics) -> pd.DataFrame:
    """Add Name, Representation, Representative_Docs and Top_n_words by the column Topic."""
    table["Name"] = table["Topic"].map(topics.names)
    table["Representation"] = table["Topic"].map({t: words_of(topics, t) for t in topics.ids})
    texts = {t: texts_of(topics, t) for t in topics.ids}
    table["Representative_Docs"] = table["Topic"].map(texts)
    joined = {t: " - ".join(words_of(topics, t)) for t in topics.ids}
    table["Top_n_words"] = table["Topic"].map(joined)
    return table


def texts_of(topics: Topics, topic: int) -> list[str]:
    """Return the three documents that stand for a topic, as many as BERTopic shows."""
    return [example.text for example in topics.examples[topic][:3]]


def words_of(topics: Topics, topic: int) -> list[str]:
    """Return a topic's words without their weights."""
    return [word for word, _ in topics.words[topic]]
