"""Static embeddings: a text's vector is the mean of its tokens' vectors, which are looked up.

A static model is data, a matrix and a tokenizer, and is kept as that in the run: every worker finds
it there, and a run that is opened embeds new documents without executing code.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtopics.embedding.checks import checked, unit_rows
from dtopics.embedding.sentence_transformers import SentenceTransformerEmbedder, file_hashes
from dtopics.errors import EmbeddingError, SettingError
from dtopics.execution.cache import cached
from dtopics.execution.threads import numeric_threads
from dtopics.store import Stage
from dtopics.store.fingerprint import versions

#: So many texts, or so many characters of them, are held as tokens at a time.
BATCH_TEXTS = 2_048
BATCH_CHARACTERS = 1 << 20
#: model2vec's own number of dimensions.
DISTILLED_FEATURES = 256


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
class StaticFolder:
    """A folder that holds a static model, of sentence-transformers or of model2vec.

    Parameters
    ----------
    path : str
        Every worker sees it.
    """

    path: str

    needs_fit = False
    stored_as = "float16"

    def check(self) -> None:
        """See that what reads the folder is installed."""
        if _is_model2vec(self.path):
            _need_model2vec("model2vec")

    def describe(self) -> Mapping[str, Any]:
        """Return the hashes of its files."""
        return {"static folder": file_hashes(self.path)}

    def load(self) -> StaticEmbedder:
        """Return the model.

        Raises
        ------
        EmbeddingError
            Where it cannot be read.
        """
        if _is_model2vec(self.path):
            _need_model2vec("model2vec")
            from model2vec import StaticModel

            model = StaticModel.from_pretrained(self.path)
        else:
            model = SentenceTransformerEmbedder(self.path, device="cpu", dtype="float32").load()
        found = as_static(model)
        if found is None:
            message = f"{self.path} holds a model that is more than static embeddings"
            raise EmbeddingError(message)
        return found


@dataclass(frozen=True)
class Distilled:
    """The static embeddings that model2vec distils from another model, once for a run.

    Parameters
    ----------
    base : SentenceTransformerEmbedder
        The model to distil, by name or path.

    Notes
    -----
    Each token of the vocabulary is embedded by itself, in float32 on one core of one worker; then
    256 principal components, weighted by the tokens' ranks, and float16, as model2vec does by
    default.
    """

    base: SentenceTransformerEmbedder

    needs_fit = False
    stored_as = "float16"

    def check(self) -> None:
        """See that model2vec and the base model are here, without loading them.

        Raises
        ------
        SettingError
            Naming the extra that is missing.
        EmbeddingError
        """
        _need_model2vec("model2vec", "skeletoken")
        self.base.check()

    def describe(self) -> Mapping[str, Any]:
        """Return the base model and the versions of what distils it."""
        base = replace(self.base, device="cpu", dtype="float32").describe()
        made_by = versions("model2vec", "skeletoken", "tokenizers", "numpy")
        return {"distilled": base, "n_features": DISTILLED_FEATURES, "made by": made_by}

    def load(self) -> StaticEmbedder:
        """Distil the model.

        Raises
        ------
        EmbeddingError
            Where the base model cannot be loaded or distilled.
        """
        _need_model2vec("model2vec", "skeletoken")
        from model2vec.distill import distill_from_model

        model = replace(self.base, device="cpu", dtype="float32").load()
        try:
            transformer = model[0].auto_model
            transformer.name_or_path = os.curdir  # else the Hub is asked what language it has
            # its bar would run into the client's; torch's sums differ by the number of threads
            with contextlib.redirect_stderr(io.StringIO()), numeric_threads(1):
                found = distill_from_model(
                    transformer, model.tokenizer, device="cpu", pca_dims=DISTILLED_FEATURES
                )
        except Exception as error:
            message = (
                f"model2vec cannot distil {self.base.name!r}: {type(error).__name__}: {error}; "
                "give another model, or one that is static already"
            )
            raise EmbeddingError(message) from error
        embedder = as_static(found)
        assert embedder is not None
        return embedder


#: Where a static model comes from.
StaticSource = StaticEmbedder | StaticFolder | Distilled


@dataclass(frozen=True)
class KeepStatic:
    """Load or distil a static model, for the run to keep."""

    source: StaticSource

    def __call__(self, stage: Stage) -> Mapping[str, Any]:  # noqa: ARG002
        """Return the array ``vectors`` and the mapping ``model``."""
        found = self.source.load()
        params, arrays = found.to_arrays()
        return {"model": params, **arrays, "notes": {"static": found.digest}}


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


def as_static(model: Any) -> StaticEmbedder | None:
    """Return what an object of static embeddings holds; None where it is or does anything else.

    Parameters
    ----------
    model : model2vec.StaticModel, StaticEmbedding or SentenceTransformer
        The last with a StaticEmbedding and nothing else that changes a vector's direction.
    """
    kind = type(model).__name__
    if kind == "StaticModel" and type(model).__module__.startswith("model2vec."):
        return _of_model2vec(model)
    if kind == "StaticEmbedding" and hasattr(model, "embedding"):
        return _of_module(model, None)
    if kind == "SentenceTransformer" and getattr(model, "default_prompt_name", None) is None:
        modules = list(model)
        kinds = [type(module).__name__ for module in modules]
        if _are_static(kinds):
            return _of_module(modules[0], getattr(model, "truncate_dim", None))
    return None


def is_static_folder(path: str) -> bool:
    """Whether a local folder holds static embeddings and nothing more."""
    if _is_model2vec(path):
        return True
    try:
        modules = json.loads((Path(path) / "modules.json").read_text(encoding="utf-8"))
        return _are_static([module["type"].rpartition(".")[2] for module in modules])
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return False


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


def _are_static(kinds: Sequence[str]) -> bool:
    """Whether modules are static embeddings, with nothing after them that turns a vector."""
    return kinds[:1] == ["StaticEmbedding"] and set(kinds[1:]) <= {"Normalize"}


def _is_model2vec(path: str) -> bool:
    """Whether a folder is model2vec's own: it names its matrix otherwise."""
    file = Path(path) / "model.safetensors"
    if not file.is_file():
        return False
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "numpy") as tensors:
            return "embeddings" in tensors.keys()  # noqa: SIM118 (it is no mapping)
    except (OSError, SafetensorError):
        return False


def _need_model2vec(*packages: str) -> None:
    from importlib.util import find_spec

    lacking = [name for name in packages if find_spec(name) is None]
    if lacking:
        message = (
            f"this embedding_model needs {' and '.join(lacking)}: "
            "pip install 'dtopics[static]'; distilling needs it on the workers too"
        )
        raise SettingError(message)


def _of_model2vec(model: Any) -> StaticEmbedder:
    """Take a model2vec.StaticModel apart; the weights and the mapping go into the vectors."""
    vectors = np.asarray(model.embedding)
    if getattr(model, "token_mapping", None) is not None:
        vectors = vectors[np.asarray(model.token_mapping)]
    if getattr(model, "weights", None) is not None:
        vectors = vectors.astype(np.float32) * np.asarray(model.weights, np.float32)[:, None]
    length, characters = model.max_length, None
    if length is not None:
        characters = int(length) * int(model.median_token_length)
    unknown = None if model.unk_token_id is None else int(model.unk_token_id)
    tokenizer = _tokenizer_json(model.tokenizer, length)
    return StaticEmbedder(np.array(vectors), tokenizer, unknown, characters)


def _of_module(module: Any, n_features: int | None) -> StaticEmbedder:
    """Take a StaticEmbedding of sentence-transformers apart."""
    weights = module.embedding.weight.detach().cpu()
    if str(weights.dtype) != "torch.float16":
        weights = weights.float()
    return StaticEmbedder(
        np.array(weights.numpy()[:, :n_features]), _tokenizer_json(module.tokenizer, None)
    )


def _tokenizer_json(tokenizer: Any, max_length: int | None) -> str:
    """Return a tokenizer as JSON, without padding, with the given truncation or its own."""
    from tokenizers import Tokenizer

    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.no_padding()
    if max_length is not None:
        copy.enable_truncation(int(max_length))
    return str(copy.to_str())
