"""What a fit would need, before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dtopics.corpus import default_block_rows
from dtopics.reduction import UMAP, as_reducer
from dtopics.report.counting_forecast import (
    VOCABULARY_BYTES,
    CountingForecast,
    forecast_counting,
)
from dtopics.report.memory import Need
from dtopics.representation.vectorizer import Counting, as_counting
from dtopics.representation.vocabulary import many_terms

#: Bytes a document in each store: float16 vectors of 384, float32 places, labels and receipts.
EMBEDDING_BYTES = 768
PLACE_BYTES = 24
LABEL_BYTES = 8
#: Refining: codes and places by span and by stretch, edges to and from a document, places of the
#: last two epochs and the last ones.
REFINING_BYTES = 946
#: Measured on English text: token ids and vocabulary, compressed, for a byte of text.
TOKEN_SHARE = 0.35
#: Text that a byte of a compressed file makes.
COMPRESSION = 3


@dataclass(frozen=True)
class Forecast:
    """What would be read, needed and left.

    Attributes
    ----------
    files, bytes, n_documents, n_blocks : int
    exact : bool
        Whether the documents were counted, or estimated from the files' beginnings.
    storage : int
        Bytes of the run directory.
    block_memory, global_memory : int
        Bytes that every worker needs, and the one that fits and clusters.
    advice : tuple of str
    counting : CountingForecast or None
        None where no document could be looked at.
    """

    files: int
    bytes: int
    n_documents: int
    exact: bool
    block_rows: int
    n_blocks: int
    storage: int
    block_memory: int
    global_memory: int
    advice: tuple[str, ...]
    counting: CountingForecast | None = None


def forecast(estimate: Any, params: Mapping[str, Any], texts: Sequence[str] = ()) -> Forecast:
    """Say what a fit of these sources would take.

    Parameters
    ----------
    estimate : CorpusEstimate
        What the corpus says of itself: files, bytes, documents.
    params : mapping
        Settings of the model that are not the defaults.
    texts : sequence of str
        Some of the documents, from which tokens, terms and counts are estimated; without any,
        tokens are taken to be a share of the text.
    """
    n = estimate.documents
    counting = as_counting(
        params.get("vectorizer_model"),
        n_gram_range=params.get("n_gram_range", (1, 1)),
        min_df_scope=params.get("min_df_scope", "document"),
    )
    rows = params.get("block_size") or default_block_rows(n)
    text = estimate.bytes * (COMPRESSION if estimate.compressed else 1)
    counted = forecast_counting(texts, counting, n, rows) if len(texts) > 1 else None
    storage = n * (EMBEDDING_BYTES + PLACE_BYTES + LABEL_BYTES)
    umap = isinstance(as_reducer(params.get("umap_model"), random_state=0), UMAP)
    wanted = params.get("refine") is None or bool(params["refine"])
    refines = wanted and umap and n > params.get("sample_size", 100_000)
    need = Need.of(n, rows, params.get("sample_size", 100_000), text, refines=refines)
    block = max(need.block, need.refining)
    storage += n * REFINING_BYTES if refines else 0
    if counted is None:
        storage += int(text * TOKEN_SHARE)
    else:
        storage += counted.tokens + counted.terms + counted.counts
        block += counted.n_terms * VOCABULARY_BYTES
    return Forecast(
        estimate.files, estimate.bytes, n, estimate.exact, rows, -(-n // rows), storage, block,
        need.whole, tuple(_advice(n, params, counting)), counted,
    )  # fmt: skip


def _advice(n: int, params: Mapping[str, Any], counting: Counting) -> list[str]:
    said = []
    size = params.get("min_topic_size", 10)
    wanted = max(10, round(n / 5_000, -1 if n < 5_000_000 else -2))
    if n >= 100_000 and size < wanted / 2:
        said.append(
            f"min_topic_size={size} can give many thousands of topics on {n:,} documents; "
            f"--min-topic-size {int(wanted)} is a better start"
        )
    many = many_terms(counting, n)
    if many is not None:
        said.append(f"{many}: --min-df 10")
    if n > 20 * params.get("sample_size", 100_000):
        said.append("the sample is less than a twentieth of the corpus; look at the coverage")
    return said
