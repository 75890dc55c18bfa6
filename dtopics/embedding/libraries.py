"""Models of other libraries that embed: Hugging Face pipelines, gensim, spaCy, Flair.

Each is sent to the workers as it is, and described by its weights, so that the same model gives
the same stages.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cloudpickle
import numpy as np
from numpy.typing import NDArray

from dtopics.embedding.checks import checked, unit_rows
from dtopics.embedding.encode import ObjectEmbedder
from dtopics.store.fingerprint import versions

#: Texts that a Hugging Face model is given at a time, alike in length.
BATCH_TEXTS = 32
#: Doc2Vec draws at random while it infers, from one generator of the model.
_inferring = threading.Lock()


def of_library(model: Any) -> Any:
    """Return the embedder for a model of one of these libraries; None for any other object.

    A gensim model's word vectors are averaged, a Doc2Vec infers, a spaCy pipeline's ``doc.vector``
    is taken (or its transformer's output), Flair's token embeddings are pooled, and the token
    vectors of a Hugging Face feature-extraction pipeline averaged and scaled to unit length: each
    as BERTopic's backends do.
    """
    kind = type(model)
    library = kind.__module__.partition(".")[0]
    if library == "transformers" and getattr(model, "task", None) == "feature-extraction":
        return PipelineOfTransformers(model)
    if library == "gensim":
        if hasattr(model, "infer_vector"):
            return ParagraphVectors(model)
        vectors = getattr(model, "wv", model)
        return WordVectors(vectors) if hasattr(vectors, "key_to_index") else None
    if library == "spacy" and hasattr(model, "pipe"):
        return Spacy(model)
    if library == "flair" and hasattr(model, "embed"):
        return Flair(model)
    return None


@dataclass(frozen=True)
class LibraryEmbedder:
    """What these embedders have in common."""

    model: Any

    needs_fit = False

    def check(self) -> None:
        """See that the model can be sent to a worker.

        Raises
        ------
        EmbeddingError
        """
        ObjectEmbedder(self.model).check()

    def describe(self) -> Mapping[str, Any]:
        """Return the model's class, the hash of its weights, and the library's version."""
        kind = type(self.model)
        library = kind.__module__.partition(".")[0]
        return {
            "library": f"{kind.__module__}.{kind.__qualname__}",
            "sha256": digest(self.weights()),
            "versions": versions(library, "torch") if library != "gensim" else versions(library),
        }

    def weights(self) -> Any:
        """Return what the vectors depend on."""
        return cloudpickle.dumps(self.model)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return vectors, shape (n_texts, n_features)."""
        if not texts:
            return self.encode(["a"])[:0]
        return checked(self.vectors(list(texts)), len(texts), type(self.model).__name__)

    def vectors(self, texts: list[str]) -> Any:
        """Return a vector for each text; there is at least one."""
        raise NotImplementedError


class PipelineOfTransformers(LibraryEmbedder):
    """A Hugging Face pipeline for feature extraction."""

    stored_as = "float16"

    def weights(self) -> Any:
        """Return the model's parameters by name."""
        return self.model.model.state_dict()

    def vectors(self, texts: list[str]) -> NDArray[np.float32]:
        """Return the mean of each text's token vectors, of unit length."""
        import torch

        order = sorted(range(len(texts)), key=lambda row: (-len(texts[row]), row))
        found: list[Any] = [None] * len(texts)
        model = self.model.model.eval()
        for start in range(0, len(order), BATCH_TEXTS):
            rows = order[start : start + BATCH_TEXTS]
            tokens = self.model.tokenizer(
                [texts[row] for row in rows], truncation=True, padding=True, return_tensors="pt"
            ).to(model.device)
            with torch.inference_mode():
                states = model(**tokens)[0]
            mask = tokens["attention_mask"].unsqueeze(-1).to(states.dtype)
            means = (states * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1e-9)
            for row, vector in zip(rows, means.float().cpu().numpy(), strict=True):
                found[row] = vector
        return unit_rows(np.stack(found))


class WordVectors(LibraryEmbedder):
    """gensim's word vectors; a text without a known word has the zero vector."""

    def weights(self) -> Any:
        """Return the words and their vectors."""
        return {"words": "\n".join(self.model.index_to_key), "vectors": self.model.vectors}

    def vectors(self, texts: list[str]) -> NDArray[np.float32]:
        """Return the mean of the vectors of each text's words."""
        known = self.model.key_to_index
        found = np.zeros((len(texts), self.model.vector_size), np.float32)
        for row, text in enumerate(texts):
            words = [word for word in text.split() if word in known]
            if words:
                found[row] = np.mean([self.model[word] for word in words], axis=0)
        return found


class ParagraphVectors(LibraryEmbedder):
    """gensim's Doc2Vec, whose inference begins from the same seed for each text."""

    def weights(self) -> Any:
        """Return the vectors of words and documents, and how a text's are inferred."""
        model = self.model
        parts = {"words": "\n".join(model.wv.index_to_key), "vectors": model.wv.vectors,
                 "settings": repr((model.epochs, model.alpha, model.min_alpha, model.dm)),
                 }  # fmt: skip
        for name in ("syn1", "syn1neg"):
            if getattr(model, name, None) is not None:
                parts[name] = getattr(model, name)
        return parts

    def vectors(self, texts: list[str]) -> list[NDArray[np.float32]]:
        """Return what the model infers of each text's words."""
        found = []
        with _inferring:
            for text in texts:
                self.model.random.seed(0)
                found.append(self.model.infer_vector(text.split()))
        return found


class Spacy(LibraryEmbedder):
    """A spaCy pipeline with word vectors or a transformer."""

    def weights(self) -> Any:
        """Return what the pipeline is, and its vectors."""
        vocab = self.model.vocab.vectors
        meta = {k: v for k, v in self.model.meta.items() if isinstance(v, str | list | dict)}
        return {"meta": repr(sorted(meta.items())), "vectors": np.asarray(vocab.data),
                "keys": repr(sorted(vocab.key2row.items()))}  # fmt: skip

    def vectors(self, texts: list[str]) -> list[Any]:
        """Return each text's vector."""
        return [self._vector(doc) for doc in self.model.pipe(texts)]

    @staticmethod
    def _vector(doc: Any) -> Any:
        vector = doc.vector if doc.has_vector else None
        if vector is None and doc.has_extension("trf_data"):
            vector = doc._.trf_data.tensors[-1][0]
        if vector is None:  # of no known word
            vector = np.zeros(doc.vocab.vectors_length, np.float32)
        return vector.get() if hasattr(vector, "get") else vector


class Flair(LibraryEmbedder):
    """Flair's document embeddings, or its token embeddings pooled."""

    def weights(self) -> Any:
        """Return the model's parameters by name."""
        return self.model.state_dict()

    def vectors(self, texts: list[str]) -> list[Any]:
        """Return each text's embedding."""
        from flair.data import Sentence
        from flair.embeddings import DocumentPoolEmbeddings, TokenEmbeddings

        model = self.model
        if isinstance(model, TokenEmbeddings):
            model = DocumentPoolEmbeddings([model])
        elif getattr(model, "fine_tune", False):
            model.fine_tune = False
        found = []
        for text in texts:
            sentence = Sentence(text)
            model.embed(sentence)
            found.append(sentence.embedding.detach().cpu().numpy())
        return found


def digest(weights: Any) -> str:
    """Return a hash of bytes, or of arrays, tensors and strings by name."""
    found = hashlib.sha256()
    parts = weights.items() if isinstance(weights, Mapping) else [("", weights)]
    for name, part in sorted(parts, key=lambda pair: str(pair[0])):
        found.update(str(name).encode())
        if isinstance(part, str):
            found.update(part.encode())
        elif isinstance(part, bytes):
            found.update(part)
        else:
            array = part.detach().cpu().float().numpy() if hasattr(part, "detach") else part
            found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()
