"""Texts to vectors: sentence-transformers by default, or whatever a user has.

`as_embedder` turns what was given as ``embedding_model`` into an object with the `Embedder` role.
"""

from __future__ import annotations

import os
from typing import Any

from dtopics.embedding.sentence_transformers import SentenceTransformerEmbedder
from dtopics.errors import SettingError

__all__ = ["DEFAULT_MODEL", "MULTILINGUAL_MODEL", "SentenceTransformerEmbedder", "as_embedder"]

DEFAULT_MODEL = "all-MiniLM-L6-v2"
MULTILINGUAL_MODEL = "paraphrase-multilingual-MiniLM-L12-v2"
#: The name, or the beginning of the name, of what is distilled.
STATIC = "static"


def as_embedder(
    embedding_model: Any, *, language: str = "english", random_state: int | None = None
) -> Any:
    """Return the embedder for what a user gave as ``embedding_model``.

    Parameters
    ----------
    embedding_model : str, path, object or None
        ``None``: the default model of the language. A string: a sentence-transformers name or a
        local path; ``"static"``: static embeddings distilled from the default model;
        ``"static:NAME"``: from another. A `SentenceTransformerEmbedder`: itself. A
        ``StaticEmbedding``, a SentenceTransformer made of one, or a ``model2vec.StaticModel``: its
        vectors and tokenizer. A feature-extraction pipeline of transformers, word vectors or
        Doc2Vec of gensim, a spaCy pipeline, Flair's embeddings: as BERTopic's backends use them.
        An `EmbeddingService`: itself. A scikit-learn pipeline or transformer, or BERTopic's
        ``SklearnEmbedder`` around one: a clone of it is fit on the sample's texts, also where it
        is fit already. Any object with `encode`, `embed` (BERTopic's backends) or
        `embed_documents` (LangChain's): itself.
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
    from dtopics.embedding.libraries import of_library
    from dtopics.embedding.services import EmbeddingService
    from dtopics.embedding.sklearn import PipelineEmbedder
    from dtopics.embedding.static_sources import as_static

    if embedding_model is None or isinstance(embedding_model, str | os.PathLike):
        return _by_name(embedding_model, language)
    if isinstance(embedding_model, SentenceTransformerEmbedder):
        return embedding_model
    if isinstance(embedding_model, EmbeddingService):
        return embedding_model
    found = as_static(embedding_model) or of_library(embedding_model)
    if found is not None:
        return found
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


def _by_name(name: str | os.PathLike[str] | None, language: str) -> Any:
    from dtopics.embedding.static_sources import Distilled, StaticFolder, is_static_folder

    default = DEFAULT_MODEL if language.lower() in {"english", "en"} else MULTILINGUAL_MODEL
    given = default if name is None else os.path.expanduser(name)  # noqa: PTH111 (a model's name is no path)
    if given == STATIC:
        return Distilled(SentenceTransformerEmbedder(default))
    if given.startswith(f"{STATIC}:"):
        base = os.path.expanduser(given.removeprefix(f"{STATIC}:")) or default  # noqa: PTH111
        return Distilled(SentenceTransformerEmbedder(base))
    if is_static_folder(given):
        return StaticFolder(given)
    return SentenceTransformerEmbedder(given)
