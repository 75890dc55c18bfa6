"""For tests, here and elsewhere: made-up corpora, and an embedder that needs no model."""

from dtopics.testing.corpora import MadeUp, docstrings, made_up
from dtopics.testing.embedders import HashingEmbedder

__all__ = ["HashingEmbedder", "MadeUp", "docstrings", "made_up"]
