"""Static embeddings: a text's vector is the mean of its tokens' vectors, which are looked up.

A static model is data, a matrix and a tokenizer, and is kept as that in the run: every worker finds
it there, and a run that is opened embeds new documents without executing code.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtopics.embedding.checks import checked, unit_rows
from dtopics.execution.cache import cached
from dtopics.store import Stage
from dtopics.store.fingerprint import versions

#: So many texts, or so many characters of them, are held as tokens at a time.
BATCH_TEXTS = 2_048
BATCH_CHARACTERS = 1 << 20


@dataclass(frozen=True, eq=False)
class StaticEmbedder:
    """A vector for each token, and the tokenizer.

    Parameters
    ----------
    vectors : ndarray, shape (n_tokens, n_features)
    tokenizer : str
        A tokenizer of the package ``tokenizers``, as its JSON.
    unknown : int or None
        The token that is left out of a text's mean.
    max_characters : int or None
        What is read of a text.
    """

    vectors: NDArray[Any]
    tokenizer: str
    unknown: int | None = None
    max_characters: int | None = None

    needs_fit = False
    stored_as = "float16"

    def describe(self) -> Mapping[str, Any]:
        """Return the hash of the content, and the tokenizer's version."""
        return described(self.digest)

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of all that the vectors depend on."""
        params, arrays = self.to_arrays()
        digest = hashlib.sha256(json.dumps(params, sort_keys=True).encode())
        vectors = arrays["vectors"]
        digest.update(f"{vectors.dtype.str}{vectors.shape}".encode())
        digest.update(np.ascontiguousarray(vectors).data)
        return digest.hexdigest()

    def load(self) -> StaticEmbedder:
        """Return itself; what is not loaded yet has the same method."""
        return self

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors, shape (n_texts, n_features); zeros where no token is known."""
        found = np.empty((len(texts), self.vectors.shape[1]), np.float32)
        for start, stop in batches([len(text) for text in texts]):
            found[start:stop] = self._sums(texts[start:stop])
        return unit_rows(checked(found, len(texts), "the static model"))

    def to_arrays(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return JSON-able parameters and the arrays; `from_arrays` is the way back."""
        params = {"tokenizer": self.tokenizer, "unknown": self.unknown,
                  "max_characters": self.max_characters}  # fmt: skip
        return params, {"vectors": self.vectors}

    @classmethod
    def from_arrays(
        cls, params: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
    ) -> StaticEmbedder:
        """Return the embedder that `to_arrays` took apart."""
        return cls(vectors=np.asarray(arrays["vectors"]), **params)

    def __getstate__(self) -> dict[str, Any]:
        """Leave what is cheap to make again out of a pickle."""
        made = ("_tokenizer", "_matrix")
        return {name: value for name, value in self.__dict__.items() if name not in made}

    @cached_property
    def _tokenizer(self) -> Any:
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # a worker has its own threads
        from tokenizers import Tokenizer

        return Tokenizer.from_str(self.tokenizer)

    @cached_property
    def _matrix(self) -> NDArray[np.float32]:
        return np.ascontiguousarray(self.vectors, np.float32)

    def _sums(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the sums of the texts' token vectors, each added up in the order of its tokens."""
        from scipy.sparse import csr_matrix

        read = [text[: self.max_characters] for text in texts]
        encoded = self._tokenizer.encode_batch_fast(read, add_special_tokens=False)
        listed = [encoding.ids for encoding in encoded]
        bounds = np.zeros(len(listed) + 1, np.int64)
        np.cumsum([len(ids) for ids in listed], out=bounds[1:])
        ids = np.fromiter(chain.from_iterable(listed), np.int64, bounds[-1])
        weight = np.ones(len(ids), np.float32)
        if self.unknown is not None:
            weight[ids == self.unknown] = 0
        shape = (len(texts), len(self._matrix))
        return np.asarray(csr_matrix((weight, ids, bounds), shape) @ self._matrix, np.float32)


@dataclass(frozen=True)
class StoredStatic:
    """A static model that a run keeps.

    Parameters
    ----------
    stage : Stage
    digest : str
        Of the model's content; it says which vectors are the same.
    """

    stage: Stage
    digest: str

    needs_fit = False
    stored_as = "float16"

    @classmethod
    def of(cls, stage: Stage) -> StoredStatic | None:
        """Return the model of a stage that `KeepStatic` has done; None of any other stage."""
        receipt = stage.whole_receipt()
        digest = receipt.notes.get("static") if receipt is not None else None
        return None if digest is None else cls(stage, digest)

    def describe(self) -> Mapping[str, Any]:
        """Return the hash of the content, and the tokenizer's version."""
        return described(self.digest)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors, shape (n_texts, n_features); zeros where no token is known."""
        model = cached(("static", self.stage.location.url, self.digest), self._load)
        return model.encode(texts)

    def _load(self) -> StaticEmbedder:
        return StaticEmbedder.from_arrays(self.stage.whole_json("model"), self.stage.whole_arrays())


def described(digest: str) -> dict[str, Any]:
    """Return what vectors of a static model depend on, wherever it came from."""
    return {"static": digest, "versions": versions("tokenizers")}


def batches(lengths: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Divide texts, in their order, into batches of bounded size.

    Examples
    --------
    >>> list(batches([1, BATCH_CHARACTERS, 1, 1]))
    [(0, 1), (1, 2), (2, 4)]
    """
    start, held = 0, 0
    for i, length in enumerate(lengths):
        if i > start and (i - start == BATCH_TEXTS or held + length > BATCH_CHARACTERS):
            yield start, i
            start, held = i, 0
        held += length
    if start < len(lengths):
        yield start, len(lengths)
