"""dtopics: the topics of millions of documents, BERTopic's pipeline on Dask.

Examples
--------
>>> from dtopics import TopicModel  # doctest: +SKIP
>>> topics, probabilities = TopicModel().fit_transform(documents)  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dtopics.clustering import HDBSCAN
    from dtopics.corpus import Corpus
    from dtopics.corpus.preprocess import strip_html
    from dtopics.embedding.services import EmbeddingService
    from dtopics.model import TopicModel
    from dtopics.reduction import UMAP
    from dtopics.representation.ctfidf import ClassTfidfTransformer
    from dtopics.representation.representers import (
        KeyBERTInspired,
        MaximalMarginalRelevance,
        PartOfSpeech,
    )

__version__ = "0.1.0"

_HOMES = {
    "HDBSCAN": "dtopics.clustering",
    "UMAP": "dtopics.reduction",
    "ClassTfidfTransformer": "dtopics.representation.ctfidf",
    "Corpus": "dtopics.corpus",
    "EmbeddingService": "dtopics.embedding.services",
    "KeyBERTInspired": "dtopics.representation.representers",
    "MaximalMarginalRelevance": "dtopics.representation.representers",
    "PartOfSpeech": "dtopics.representation.representers",
    "TopicModel": "dtopics.model",
    "strip_html": "dtopics.corpus.preprocess",
}

__all__ = [
    "HDBSCAN", "UMAP", "ClassTfidfTransformer", "Corpus", "EmbeddingService", "KeyBERTInspired",
    "MaximalMarginalRelevance", "PartOfSpeech", "TopicModel", "strip_html",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for (PEP 562)."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    message = f"module 'dtopics' has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted([*__all__, "__version__"])
