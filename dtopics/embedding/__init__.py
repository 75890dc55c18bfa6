"""Texts to vectors: sentence-transformers by default, or whatever a user has.

`as_embedder` turns what was given as ``embedding_model`` into an object with the `Embedder` role.
"""

from __future__ import annotations

import os
from typing import Any

from dtopics.errors import SettingError

__all__ = ["DEFAULT_MODEL", "MULTILINGUAL_MODEL", "as_embedder"]

DEFAULT_MODEL = "all-MiniLM-L6-v2"
MULTILINGUAL_MODEL = "paraphrase-multilingual-MiniLM-L12-v2"


def as_embedder(
    embedding_model: Any, *, language: str = "english", random_state: int | None = None
) -> Any:
    """Return the embedder for what a user gave as ``embedding_model``.

    Parameters
    ----------
    embedding_model : str, path, object or None
        ``None``: the default model of the language. A string: a sentence-transformers name or a
        local path. A scikit-learn pipeline or transformer, or BERTopic's ``SklearnEmbedder``
        around one: a clone of it is fit on the sample's texts, also where it is fit already. Any
        object with `encode`, `embed` (BERTopic's backends) or `embed_documents` (LangChain's):
        itself.
    language : str, default="english"
        ``"english"``, or any other for the multilingual model.
    random_state : int, optional
        For scikit-learn objects whose own is ``None``.

    Returns
    -------
    Embedder
        Or, where its `needs_fit` says so, an object whose `fit(texts)` returns one.

    Raises
    ------
    SettingError
        Where the object can do nothing of this.

    Examples
    --------
    >>> as_embedder(None).name
    'all-MiniLM-L6-v2'
    """
    from dtopics.embedding.encode import METHODS, ObjectEmbedder
    from dtopics.embedding.sentence_transformers import SentenceTransformerEmbedder
    from dtopics.embedding.sklearn import PipelineEmbedder

    if embedding_model is None:
        english = language.lower() in {"english", "en"}
        return SentenceTransformerEmbedder(DEFAULT_MODEL if english else MULTILINGUAL_MODEL)
    if isinstance(embedding_model, str | os.PathLike):
        name = os.path.expanduser(embedding_model)  # noqa: PTH111 (a model's name is no path)
        return SentenceTransformerEmbedder(name)
    if isinstance(embedding_model, type):
        message = f"embedding_model is the class {embedding_model.__name__}; give an instance"
        raise SettingError(message)
    if any(kind.__name__ == "SklearnEmbedder" for kind in type(embedding_model).__mro__):
        # By itself it would fit its pipeline on whatever block a worker comes to first.
        embedding_model = embedding_model.pipe
    if any(hasattr(embedding_model, name) for name in METHODS):
        return ObjectEmbedder(embedding_model)
    if hasattr(embedding_model, "fit") and hasattr(embedding_model, "transform"):
        return PipelineEmbedder(embedding_model, random_state)
    message = (
        f"embedding_model is a {type(embedding_model).__name__}; expected a model's name, a local "
        "path, an object with encode(texts), or a scikit-learn pipeline"
    )
    raise SettingError(message)
