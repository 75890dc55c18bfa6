"""What tokens, terms and counts will take, from a sample of documents."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dtopics.representation.sketch import least_documents
from dtopics.representation.terms import BlockTerms, block_terms
from dtopics.representation.tokens import token_block, tokenize_block
from dtopics.representation.vectorizer import Counting
from dtopics.representation.vocabulary import block_term_table, by_bucket, merge_term_tables
from dtopics.representation.vocabulary_steps import most_term_spans
from dtopics.store.tables import table_bytes

#: Documents of the sample.
SAMPLE_DOCUMENTS = 16_384
#: Stored bytes of counts for an n-gram in the text, and of memory for a term of the vocabulary:
#: 1.13 million Reddit titles took 1.8 (a few hundred clusters; fewer take less).
COUNT_BYTES = 2
VOCABULARY_BYTES = 100


@dataclass(frozen=True)
class CountingForecast:
    """Bytes of storage, and terms of the vocabulary.

    Attributes
    ----------
    n_sampled : int
        Documents that it was estimated from.
    tokens, terms, counts : int
        Bytes in the run directory.
    n_terms : int
        Terms of the vocabulary; each takes about 100 bytes of every worker.
    """

    n_sampled: int
    tokens: int
    terms: int
    counts: int
    n_terms: int


def forecast_counting(
    texts: Sequence[str], counting: Counting, n_documents: int, block_rows: int
) -> CountingForecast:
    """Extrapolate from a sample, whose tokens and terms are made and whose bytes are counted.

    The vocabulary grows as a power of the number of documents, which is read from the sample and
    its half.

    Parameters
    ----------
    texts : sequence of str
        At least two documents.
    counting : Counting
    n_documents : int
        Of the corpus.
    block_rows : int
        Rows of its blocks.
    """
    n = len(texts)
    table = tokenize_block(texts, counting)
    terms = block_terms(token_block(table), counting)
    half = np.bincount(_rows_to(terms, n // 2), minlength=len(terms.grams))
    times = n_documents / n
    tokens = len(table_bytes(table)) * times
    # Terms seen twice in the sample stand for those that the sketch of the corpus lets through.
    written = terms.df >= min(least_documents(counting, n_documents), 2)
    stored = by_bucket(merge_term_tables([block_term_table(terms.take(written))]))
    n_grams = int(terms.counts.sum() * times)
    spans = min(-(-n_documents // block_rows), most_term_spans(n_grams))
    rows = n_documents / spans
    per_span = len(table_bytes(stored)) * (rows / n) ** _power(half > 0, terms.df > 0)
    return CountingForecast(
        n,
        int(tokens),
        int(per_span * spans),
        n_grams * COUNT_BYTES,
        _vocabulary_terms(terms.df, half, counting, n, n_documents),
    )


def _rows_to(terms: BlockTerms, row: int) -> NDArray[np.int32]:
    found: NDArray[np.int32] = terms.counts.indices[: terms.counts.indptr[row]]
    return found


def _power(half: NDArray[np.bool_], whole: NDArray[np.bool_]) -> float:
    """Return the power by which a vocabulary grows, 1 at most, from two sizes of it."""
    few, many = max(int(half.sum()), 1), max(int(whole.sum()), 1)
    return min(1.0, math.log2(many / few))


def _vocabulary_terms(
    df: NDArray[np.int64], half: NDArray[np.int64], counting: Counting, n: int, n_documents: int
) -> int:
    if counting.vocabulary is not None:
        return len(counting.vocabulary)
    if isinstance(counting.min_df, float):
        found = int((df >= max(1, counting.min_df * n)).sum())
    else:
        kept, before = df >= counting.min_df, half >= counting.min_df
        found = int(kept.sum() * (n_documents / n) ** _power(before, kept))
    return found if counting.max_features is None else min(found, counting.max_features)
