"""Objects that embed: anything with ``encode``, and BERTopic's backends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtopics.embedding.checks import checked
from dtopics.errors import EmbeddingError
from dtopics.store.travelling import dumps

#: What a method that embeds a list of texts may be called; the first that is there is used.
METHODS = ("encode", "embed", "embed_documents")


@dataclass(frozen=True)
class ObjectEmbedder:
    """A user's object, sent to the workers as it is.

    Parameters
    ----------
    model : object
        With ``encode(texts)``, or ``embed(texts)`` as BERTopic's backends have it, or LangChain's
        ``embed_documents(texts)``. Its attribute ``cache_key``, where it has one, says which
        vectors are the same.
    """

    model: Any

    needs_fit = False

    def check(self) -> None:
        """See that the object can be sent to a worker.

        Raises
        ------
        EmbeddingError
        """
        try:
            dumps(self.model)
        except Exception as error:
            message = (
                f"the embedding model ({type(self.model).__name__}) cannot be sent to workers: "
                f"{type(error).__name__}: {error}. Give it what pickle can send, a model's name "
                "or path, or embeddings"
            )
            raise EmbeddingError(message) from error

    def describe(self) -> Mapping[str, Any]:
        """Return the object itself; the store describes it."""
        return {"object": self.model}

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return vectors, shape (n_texts, n_features)."""
        if not texts:  # few models know the width of an answer without a question
            return self.encode(["a"])[:0]
        call = next(getattr(self.model, name) for name in METHODS if hasattr(self.model, name))
        return checked(call(list(texts)), len(texts), type(self.model).__name__)
