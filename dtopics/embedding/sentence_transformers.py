"""sentence-transformers models: one per process, batches by length, half precision where faster."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtopics.embedding.checks import checked, unit_rows
from dtopics.embedding.device import best_device, best_dtype, usable_device
from dtopics.embedding.packaged import packaged_path
from dtopics.errors import EmbeddingError, SettingError
from dtopics.execution.cache import cached
from dtopics.store.fingerprint import versions

#: A batch holds at most so many texts, and so many characters when padded to its longest. A text
#: counts for at most what models read of it.
BATCH_TEXTS = 256
BATCH_CHARACTERS = 32_768
READ_CHARACTERS = 2_048
#: Files that say what a model is: settings, vocabulary and weights of every module.
_NAMED = frozenset({".json", ".txt", ".model", ".safetensors", ".bin"})
#: The organisation that a name without one means.
_ORGANISATION = "sentence-transformers/"
#: Folders with the same weights again, for other engines.
_OTHER_ENGINES = frozenset({"onnx", "openvino"})
_ENGINE_FILES = frozenset({".onnx", ".onnx_data", ".xml"})
#: Half precision is used where vectors keep this cosine to those of float32, on these texts.
LEAST_COSINE = 0.999
PROBE = (
    "The committee met on Tuesday to discuss next year's budget.",
    "RE: error 404 when I install the driver (v2.1), please help!",
    "hockey",
    "A longer text, with numbers such as 3.14 and 1,000,000, and a list: one, two, three. " * 8,
)
#: So long the Hub has to answer before a model is asked for; its own retries take minutes.
HUB_SECONDS = 5.0


@dataclass(frozen=True)
class SentenceTransformerEmbedder:
    """A sentence-transformers model by name or path; loaded where it is used.

    Parameters
    ----------
    name : str
        A model's name, or the path of a folder that every worker sees.
    revision : str, optional
    device, dtype : str, optional
        None: chosen by `resolve` on a worker, once for all blocks.
    backend : {"torch", "onnx", "openvino"}, default="torch"
        sentence-transformers' engine; the last two need its extras on every worker.
    model_kwargs : mapping, optional
        Passed on to sentence-transformers, ``{"file_name": "onnx/model_qint8_avx512.onnx"}`` say.
    truncate_dim : int, optional
        So many first components are kept, of models that were trained for that.
    prompt : str, optional
        What stands before each text, for models that want an instruction.
    trust_remote_code : bool, default=False
        Let a model from the Hub bring code of its own, which runs on every worker.

    Raises
    ------
    SettingError
        If the backend is unknown.

    Notes
    -----
    A name whose weights are installed as a package (``dtopics[minilm]``) is loaded from there.
    """

    name: str
    revision: str | None = None
    device: str | None = None
    dtype: str | None = None
    backend: str = "torch"
    model_kwargs: Mapping[str, Any] = field(default_factory=dict, hash=False)
    truncate_dim: int | None = None
    prompt: str | None = None
    trust_remote_code: bool = False

    needs_fit = False
    stored_as = "float16"

    def __post_init__(self) -> None:
        if self.backend not in {"torch", *_OTHER_ENGINES}:
            message = f"backend must be 'torch', 'onnx' or 'openvino', not {self.backend!r}"
            raise SettingError(message)

    @property
    def options(self) -> dict[str, Any]:
        """What was asked for beside the model's name, device and precision."""
        asked = {"backend": self.backend, "model_kwargs": dict(self.model_kwargs),
                 "truncate_dim": self.truncate_dim, "prompt": self.prompt,
                 "trust_remote_code": self.trust_remote_code or None}  # fmt: skip
        return {name: value for name, value in asked.items() if value not in ("torch", {}, None)}

    @property
    def path(self) -> str:
        """The packaged weights' folder where there is one, else the name."""
        packaged = None if Path(self.name).is_dir() else packaged_path(self.name)
        return str(packaged or self.name)

    def check(self) -> None:
        """See that the model can be found here, without loading it.

        Raises
        ------
        EmbeddingError
            Saying what was looked for and what to do.
        """
        if Path(self.path).is_dir():
            if not any(
                (Path(self.path) / name).exists() for name in ("modules.json", "config.json")
            ):
                message = (
                    f"{self.path} holds no model: there is neither modules.json nor config.json; "
                    "give a folder that SentenceTransformer.save wrote"
                )
                raise EmbeddingError(message)
        elif self.name.startswith((".", "/", "~")):
            message = f"there is no folder {self.name}; give a model's name or an existing folder"
            raise EmbeddingError(message)

    def settings(self) -> dict[str, Any]:
        """Return what `resolve` chose, for the run to remember."""
        return {"device": self.device, "dtype": self.dtype}

    def settle(self, settings: Mapping[str, Any]) -> SentenceTransformerEmbedder:
        """Return the embedder with what was chosen before, so that all blocks agree."""
        return replace(self, device=settings["device"], dtype=settings["dtype"])

    def resolve(self) -> SentenceTransformerEmbedder:
        """Return the embedder with device and precision settled; loads the model.

        Raises
        ------
        EmbeddingError
            Where it cannot be loaded.
        """
        device = self.device or best_device()
        # other engines have their precision from the file that they read
        best = best_dtype(device) if self.backend == "torch" else "float32"
        settled = self.settle({"device": device, "dtype": self.dtype or best})
        if self.dtype is None and settled.dtype != "float32" and not settled.is_faithful():
            settled = replace(settled, dtype="float32")
        settled.encode([])  # loads it: a model that cannot be loaded is known before any work
        return settled

    def is_faithful(self) -> bool:
        """Whether vectors in this precision keep a cosine above 0.999 to those of float32."""
        # The float32 copy is not kept: a large model would fill the device twice.
        exact = encode_with(replace(self, dtype="float32").load(), PROBE, self.name, self.prompt)
        try:
            found = self.encode(PROBE)
        except (EmbeddingError, RuntimeError):  # overflow, or a layer without half precision
            return False
        return bool(np.all((found * exact).sum(axis=1) > LEAST_COSINE))

    def describe(self) -> Mapping[str, Any]:
        """Return the model's files or name and revision, precision, device class and versions."""
        files = file_hashes(self.path, self.backend)
        engines = () if self.backend == "torch" else ("onnxruntime", "openvino", "optimum")
        return {
            "model": "" if files else self.name.removeprefix(_ORGANISATION),
            "revision": self.revision,
            "files": files,
            "dtype": self.dtype,
            "device": self.device,
            "versions": versions("sentence-transformers", "transformers", "torch", *engines),
            **self.options,
        }

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors, shape (n_texts, n_features)."""
        if not texts:
            return self.encode(["a"])[:0]
        asked = repr(sorted(self.options.items()))
        key = ("sentence-transformers", self.path, self.revision, self.device, self.dtype, asked)
        return encode_with(cached(key, self.load), texts, self.name, self.prompt)

    def load(self) -> Any:
        """Return a new copy of the model; `encode` keeps one in a process.

        Raises
        ------
        EmbeddingError
            Saying where it was looked for and what to do.
        """
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        import torch
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # a worker's bars would run into the client's
        precision = {"dtype": getattr(torch, self.dtype or "float32")}
        options = {
            "device": usable_device(self.device),
            "revision": self.revision,
            **{name: value for name, value in self.options.items() if name != "prompt"},
            "model_kwargs": {
                **(precision if self.backend == "torch" else {}),
                **self.model_kwargs,
            },
        }
        # A model that the machine has needs no network; a missing one is asked for once.
        sources = (True,) if Path(self.path).is_dir() else (True, False)
        failures = []
        for local in sources:
            if not local and not hub_answers():
                failures.append("the Hugging Face Hub does not answer, or HF_HUB_OFFLINE is set")
                break
            try:
                return SentenceTransformer(self.path, local_files_only=local, **options)
            except Exception as error:  # noqa: BLE001 (libraries raise many kinds here)
                said = str(error).partition("\n")[0][:200]
                failures.append(f"{type(error).__name__}: {said}")
        message = (
            f"the embedding model {self.name!r} cannot be loaded ({'; '.join(failures)}). Install "
            "the packaged default with `pip install 'dtopics[minilm]'`, give the path of a folder "
            "that SentenceTransformer.save wrote, or give embeddings"
        )
        raise EmbeddingError(message)


def encode_with(
    model: Any, texts: Sequence[str], name: str, prompt: str | None = None
) -> NDArray[np.float32]:
    """Return a loaded model's unit vectors, shape (n_texts, n_features); at least one text."""
    order = sorted(range(len(texts)), key=lambda row: (-len(texts[row]), row))
    vectors: NDArray[np.float32] | None = None
    for rows in batches([min(len(texts[row]), READ_CHARACTERS) for row in order]):
        chosen = [order[i] for i in rows]
        encoded = model.encode(
            [texts[row] for row in chosen],
            batch_size=len(chosen),
            show_progress_bar=False,
            convert_to_numpy=True,
            **({} if prompt is None else {"prompt": prompt}),
        )
        found = checked(encoded, len(chosen), name)
        if vectors is None:
            vectors = np.empty((len(texts), found.shape[1]), np.float32)
        vectors[chosen] = found
    assert vectors is not None
    return unit_rows(vectors)


def hub_answers() -> bool:
    """Whether the Hugging Face Hub may be asked, and can be reached; known within seconds."""
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session  # type: ignore[attr-defined]

    if constants.HF_HUB_OFFLINE or os.environ.get("HF_HUB_OFFLINE") == "1":
        return False
    try:
        get_session().head(constants.ENDPOINT, timeout=HUB_SECONDS)
    except Exception:  # noqa: BLE001 (its HTTP library differs by version)
        return False
    return True


def batches(lengths: Sequence[int]) -> Iterator[range]:
    """Divide texts, longest first, into batches of bounded size.

    Parameters
    ----------
    lengths : sequence of int
        Descending.
    """
    start = 0
    while start < len(lengths):
        fitting = BATCH_CHARACTERS // max(lengths[start], 1)
        stop = min(start + max(1, min(BATCH_TEXTS, fitting)), len(lengths))
        yield range(start, stop)
        start = stop


@cache
def file_hashes(path: str, engine: str = "torch") -> dict[str, str]:
    """Return the SHA-256 of the files that say what a local model is for an engine."""
    root, found = Path(path), {}
    named = _NAMED if engine == "torch" else _NAMED | _ENGINE_FILES
    for file in sorted(root.rglob("*")) if root.is_dir() else ():
        name = file.relative_to(root)
        own = name.parts[0] not in _OTHER_ENGINES - {engine}
        if file.suffix in named and own and file.is_file():
            with file.open("rb") as opened:
                found[name.as_posix()] = hashlib.file_digest(opened, "sha256").hexdigest()
    return found
