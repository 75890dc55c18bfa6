"""Texts to token ids; each distinct word once, where the tokenizer allows it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: So many words are remembered, some 30 MB, before all are forgotten; in scripts without spaces a
#: whole text is a word, and is not.
MOST_WORDS = 100_000
LONGEST_WORD = 40


class TokenIds:
    """A tokenizer of the package ``tokenizers``.

    BERT's kind divides a text at spaces before anything else that it does, so the ids of a text
    are those of its words one after the other, and most words of a corpus are the same few.

    Parameters
    ----------
    described : str
        The tokenizer's JSON.
    """

    def __init__(self, described: str) -> None:
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # a worker has its own threads
        from tokenizers import Tokenizer

        self.tokenizer = Tokenizer.from_str(described)
        parsed = json.loads(described)
        self.by_word = divides_at_spaces(parsed)
        self.most = (parsed.get("truncation") or {}).get("max_length")
        self._known: dict[str, list[int]] = {}

    def __call__(self, texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return all ids, one text after the other, and where each text's begin and end."""
        listed = self._of_words(texts) if self.by_word else self._of_texts(texts)
        bounds = np.zeros(len(listed) + 1, np.int64)
        np.cumsum([len(ids) for ids in listed], out=bounds[1:])
        return np.fromiter(chain.from_iterable(listed), np.int64, bounds[-1]), bounds

    def _of_texts(self, texts: Sequence[str]) -> list[list[int]]:
        encoded = self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return [encoding.ids for encoding in encoded]

    def _of_words(self, texts: Sequence[str]) -> list[list[int]]:
        if len(self._known) > MOST_WORDS:
            self._known = {}
        known = self._known  # only ever added to: another thread may be reading it
        divided = [text.split(" ") for text in texts]
        words = set(chain.from_iterable(divided))
        new = list(words.difference(known))
        fresh = dict(zip(new, self._of_texts(new), strict=True))
        get = {word: fresh[word] if word in fresh else known[word] for word in words}.__getitem__
        known.update((word, ids) for word, ids in fresh.items() if len(word) <= LONGEST_WORD)
        return [list(chain.from_iterable(map(get, words)))[: self.most] for words in divided]


def divides_at_spaces(tokenizer: Mapping[str, Any]) -> bool:
    """Whether a text's ids are those of its words, divided at U+0020, one after the other.

    Parameters
    ----------
    tokenizer : mapping
        Its parsed JSON.
    """
    parts = ("normalizer", "pre_tokenizer", "model")
    steps = {name: (tokenizer.get(name) or {}).get("type") for name in parts}
    truncation = tokenizer.get("truncation") or {}
    across = ("single_word", "lstrip", "rstrip")
    return (
        steps["normalizer"] in {None, "BertNormalizer"}
        and steps["pre_tokenizer"] == "BertPreTokenizer"
        and steps["model"] == "WordPiece"
        and truncation.get("direction", "Right") == "Right"
        and not any(
            " " in token["content"] or any(token[name] for name in across)
            for token in tokenizer.get("added_tokens") or ()
        )
    )
