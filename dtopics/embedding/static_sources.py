"""Where static models come from: objects, folders, and models that they are distilled from."""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dtopics.embedding.sentence_transformers import SentenceTransformerEmbedder, file_hashes
from dtopics.embedding.static import StaticEmbedder
from dtopics.errors import EmbeddingError, SettingError
from dtopics.execution.threads import numeric_threads
from dtopics.store import Stage
from dtopics.store.fingerprint import versions

#: model2vec's own number of dimensions.
DISTILLED_FEATURES = 256


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
