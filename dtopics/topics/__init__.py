"""After the clusters: topics, which number, name and map them without rewriting a label."""

from dtopics.topics.health import diagnose
from dtopics.topics.topics import Example, Topics

__all__ = ["Example", "Topics", "diagnose"]
