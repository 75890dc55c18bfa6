"""Block and global steps over the documents themselves: what each is, and which are the sample."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtopics.data import Block, Result
from dtopics.errors import CorpusError
from dtopics.protocols import DocumentReader
from dtopics.store import Stage

#: SplitMix64 (Steele, Lea, Flood, 2014), a bijection that spreads keys evenly.
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True)
class DescribeBlock:
    """Read a block once and keep what later stages need of its documents beside the text.

    Leaves the table ``documents``: ``doc_id``, ``text_hash`` (64 bits of the text's BLAKE2b),
    ``n_chars``, ``empty`` (nothing but white space), and the time and class columns.
    """

    read: DocumentReader

    def __call__(self, block: Block) -> Result:
        """Return the block's table and its counts of empty, null and mended texts."""
        import pyarrow as pa

        documents = self.read(block)
        texts = documents.texts
        hashes = np.fromiter((text_hash(text) for text in texts), np.uint64, len(texts))
        empty = np.fromiter((not text.strip() for text in texts), bool, len(texts))
        columns: dict[str, Any] = {
            "doc_id": documents.ids,
            "text_hash": hashes,
            "n_chars": np.fromiter(map(len, texts), np.int32, len(texts)),
            "empty": empty,
        }
        if documents.timestamps is not None:
            columns["timestamp"] = documents.timestamps
        if documents.classes is not None:
            columns["class"] = documents.classes
        notes: Mapping[str, Any] = {
            "empty": int(empty.sum()),
            "null": documents.n_null,
            "replaced": documents.n_replaced,
            "characters": int(columns["n_chars"].sum()),
        }
        return {"documents": pa.table(columns), "notes": notes}


@dataclass(frozen=True)
class DrawSample:
    """Draw the rows that a reducer is fitted on.

    All rows that are not empty, where they are at most `sample_size`. Otherwise the `sample_size`
    distinct texts of the least hash of (seed, text): a bottom-k sample, which depends neither on
    the blocks nor on the order of the rows. A text that stands more than once is drawn by its
    first row, once.

    Parameters
    ----------
    documents : Stage
    blocks : sequence of Block
    sample_size : int
    random_state : int
    """

    documents: Stage
    blocks: Sequence[Block]
    sample_size: int
    random_state: int

    def __call__(self, stage: Stage) -> Mapping[str, Any]:  # noqa: ARG002
        """Return the table ``rows`` (``block``: position in the plan, ``row`` within it)."""
        import pyarrow as pa

        n_filled = n_waiting = 0
        drawn, waiting = np.empty((0,), _DRAW), []
        for position, block in enumerate(self.blocks):
            candidates = self._candidates(position, block)
            n_filled += len(candidates)
            if len(drawn) == self.sample_size:  # ordered: above its last, none can enter
                candidates = candidates[candidates["key"] < drawn["key"][-1]]
            waiting.append(candidates)
            n_waiting += len(candidates)
            if len(drawn) + n_waiting > 2 * self.sample_size:
                drawn = bottom_k(np.concatenate([drawn, *waiting]), self.sample_size)
                waiting, n_waiting = [], 0
        drawn = np.concatenate([drawn, *waiting])
        if n_filled > self.sample_size:
            drawn = bottom_k(drawn, self.sample_size)
        if n_filled == 0:
            total = sum(block.n_rows for block in self.blocks)
            message = f"all {total} documents are empty; there is nothing to find topics in"
            raise CorpusError(message)
        drawn = np.sort(drawn, order=("block", "row"))
        rows = pa.table({"block": drawn["block"], "row": drawn["row"]})
        whole = n_filled <= self.sample_size
        return {"rows": rows, "about": {"whole": whole, "n_filled": n_filled, "n_rows": len(drawn)}}

    def _candidates(self, position: int, block: Block) -> NDArray[Any]:
        table = self.documents.table("documents", block, ["text_hash", "empty"])
        rows = np.flatnonzero(~table["empty"].to_numpy())
        candidates = np.empty(len(rows), _DRAW)
        candidates["key"] = mix(table["text_hash"].to_numpy()[rows], self.random_state)
        candidates["block"], candidates["row"] = position, rows
        return candidates


_DRAW = np.dtype([("key", np.uint64), ("block", np.int64), ("row", np.int64)])


def bottom_k(candidates: NDArray[Any], k: int) -> NDArray[Any]:
    """Return the `k` least keys, each with its first row."""
    ordered = candidates[np.lexsort([candidates[name] for name in ("row", "block", "key")])]
    first = np.ones(len(ordered), bool)
    first[1:] = ordered["key"][1:] != ordered["key"][:-1]
    return ordered[first][:k]


def mix(hashes: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """Return hashes that are unrelated for each seed."""
    with np.errstate(over="ignore"):
        z = hashes ^ (np.uint64(seed & 0xFFFFFFFFFFFFFFFF) * _GAMMA)
        z = (z + _GAMMA) & np.uint64(0xFFFFFFFFFFFFFFFF)
        z = (z ^ (z >> np.uint64(30))) * _MIX_1
        z = (z ^ (z >> np.uint64(27))) * _MIX_2
        return np.asarray(z ^ (z >> np.uint64(31)), np.uint64)


def text_hash(text: str) -> int:
    """Return 64 bits of a text's BLAKE2b hash."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
