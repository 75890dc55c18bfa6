"""Embedding services: OpenAI's, and all that speak its protocol."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from dtopics.embedding.checks import checked
from dtopics.errors import EmbeddingError, MissingPackageError, SettingError
from dtopics.execution.cache import cached


@dataclass(frozen=True)
class EmbeddingService:
    """An embedding service that speaks OpenAI's protocol; each worker asks it for its own blocks.

    Parameters
    ----------
    model : str
        Such as ``"text-embedding-3-small"``.
    base_url : str, optional
        None: OpenAI's, or what ``OPENAI_BASE_URL`` says.
    api_key_env : str, default="OPENAI_API_KEY"
        The environment variable that holds the key, on every worker. The key itself is never
        written or sent.
    batch_size : int, default=256
        Texts of a request.
    dimensions : int, optional
        Ask for so many components.
    max_characters : int, default=24_000
        Texts are cut to so many: services refuse longer ones, and a whole request with them.
    max_retries : int, default=10
        How often a request is made again after a rate limit (as the service says when), a time-out
        or an error of the service.
    timeout : float, default=60.0
        Seconds.
    price : float, optional
        Of a million tokens, for `dtopics status`.

    Raises
    ------
    SettingError
        A number is not positive.

    Notes
    -----
    A finished block is never asked for again: the vectors lie in the run. The tokens that were
    paid for are counted in the blocks' receipts.

    Examples
    --------
    >>> EmbeddingService("text-embedding-3-small", price=0.02).batch_size
    256
    """

    model: str
    base_url: str | None = None
    api_key_env: str = "OPENAI_API_KEY"
    batch_size: int = 256
    dimensions: int | None = None
    max_characters: int = 24_000
    max_retries: int = 10
    timeout: float = 60.0
    price: float | None = None

    needs_fit = False

    def __post_init__(self) -> None:
        for name in ("batch_size", "max_characters", "timeout"):
            if getattr(self, name) <= 0:
                message = f"{name} must be positive, not {getattr(self, name)!r}"
                raise SettingError(message)
        if "@" in urlsplit(self.base_url or "").netloc:  # it is written in the run
            message = "base_url holds a password; give the key by api_key_env"
            raise SettingError(message)

    def check(self) -> None:
        """See that the client and the key are here, without asking the service.

        Raises
        ------
        MissingPackageError, SettingError
        """
        self._key()
        self._package()

    def describe(self) -> Mapping[str, Any]:
        """Return the model, where it is, and how long texts are cut."""
        return {"service": self.base_url or "openai", "model": self.model,
                "dimensions": self.dimensions, "max_characters": self.max_characters}  # fmt: skip

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return vectors, shape (n_texts, n_features)."""
        return self.encode_counted(texts)[0]

    def encode_counted(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], int]:
        """Return vectors, and the tokens that the service counted for them.

        Raises
        ------
        EmbeddingError
            The service refuses, or still does not answer after all retries.
        """
        if not texts:
            return self.encode(["a"])[:0], 0
        client = cached(("service", self.base_url, self.api_key_env), self._client)
        found, tokens = [], 0
        for start in range(0, len(texts), self.batch_size):
            batch = [text[: self.max_characters] for text in texts[start : start + self.batch_size]]
            vectors, n = self._ask(client, batch)
            found.append(vectors)
            tokens += n
        return np.concatenate(found), tokens

    def _ask(self, client: Any, batch: list[str]) -> tuple[NDArray[np.float32], int]:
        import openai

        options = {} if self.dimensions is None else {"dimensions": self.dimensions}
        try:
            answer = client.with_options(max_retries=self.max_retries, timeout=self.timeout
                                         ).embeddings.create(
                model=self.model, input=batch, encoding_format="float", **options
            )  # fmt: skip
        except openai.OpenAIError as error:
            said, key = str(error), os.environ.get(self.api_key_env)
            said = said.replace(key, "***") if key else said  # some services repeat it
            message = (
                f"the embedding service refused {len(batch)} texts for {self.model}: "
                f"{type(error).__name__}: {said[:300]}"
            )
            raise EmbeddingError(message) from error
        rows = sorted(answer.data, key=lambda row: row.index)
        tokens = answer.usage.total_tokens if answer.usage is not None else 0
        return checked([row.embedding for row in rows], len(batch), self.model), int(tokens)

    def _key(self) -> str:
        key = os.environ.get(self.api_key_env)
        if key:
            return key
        if self.base_url is not None:  # a server of one's own may want none
            return "none"
        message = f"the environment variable {self.api_key_env} holds no key for {self.model}"
        raise SettingError(message)

    def _package(self) -> Any:
        try:
            import openai
        except ImportError as error:
            message = "an embedding service is asked by openai: pip install 'dtopics[openai]'"
            raise MissingPackageError(message) from error
        return openai

    def _client(self) -> Any:
        return self._package().OpenAI(api_key=self._key(), base_url=self.base_url)
