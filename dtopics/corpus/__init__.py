"""From any kind of source to blocks of documents.

A `Corpus` is checked, planned into a `Segment` of blocks, and read block by block with what
`reader_for` returns.
"""

from __future__ import annotations

from dtopics.corpus.base import CorpusEstimate, CorpusSummary
from dtopics.corpus.corpus import Corpus, as_corpus
from dtopics.corpus.plan import default_block_rows, segment_from_table, segment_to_table
from dtopics.corpus.reader import BlockReader, reader_for, verify_read, verify_sources

__all__ = [
    "BlockReader",
    "Corpus",
    "CorpusEstimate",
    "CorpusSummary",
    "as_corpus",
    "default_block_rows",
    "reader_for",
    "segment_from_table",
    "segment_to_table",
    "verify_read",
    "verify_sources",
]
