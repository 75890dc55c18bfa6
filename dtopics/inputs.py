"""What a fit works on, and what it is made of: documents, what is given for them, strategies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from numpy.typing import NDArray

from dtopics.corpus.preprocess import ChangedReader, Preprocessing
from dtopics.data import Block
from dtopics.execution import Executor
from dtopics.protocols import DocumentReader, Reducer
from dtopics.representation.ctfidf import ClassTfidfTransformer
from dtopics.representation.vectorizer import Counting
from dtopics.steering import Known

#: Representative documents of a topic: as many as representation models look at by default.
N_EXAMPLES = 5


@dataclass(frozen=True)
class Given:
    """Rows that exist already, embeddings or classes, and who can read them.

    Attributes
    ----------
    rows : callable (row_start, n_rows) -> ndarray
    key : str
        Identity of what is read.
    dtype : str
        What they are kept as.
    executor : Executor
        This process where only it holds the rows, else the workers.
    """

    rows: Callable[[int, int], NDArray[Any]]
    key: str
    dtype: str
    executor: Executor


@dataclass(frozen=True)
class Inputs:
    """The documents of a fit or a transform.

    Attributes
    ----------
    key : str
        Fingerprint of the plan.
    blocks : sequence of Block
    read : DocumentReader
    embeddings, targets : Given or None
    change : callable (list of str) -> sequence of str, or None
        What is done to texts before they are embedded.
    """

    key: str
    blocks: Sequence[Block]
    read: DocumentReader
    embeddings: Given | None = None
    targets: Given | None = None
    change: Any = None

    @property
    def read_changed(self) -> DocumentReader:
        """What reads the texts that are embedded; a document that is empty then is so for all."""
        return self.read if self.change is None else ChangedReader(self.read, self.change)

    @property
    def changed(self) -> dict[str, Any]:
        """What tells stages of changed texts from others, for their configuration."""
        return {} if self.change is None else {"preprocess": self.change}

    @property
    def bare(self) -> list[Block]:
        """The blocks without their pieces, for steps that read no source."""
        return [replace(block, pieces=()) for block in self.blocks]


@dataclass(frozen=True)
class Recipe:
    """What a fit is made of; the strategies have been chosen and checked.

    Attributes
    ----------
    embedder : Embedder or None
        None where embeddings are given.
    reducer : Reducer
    clusterer : Clusterer or None
        None where the classes that are given are the clusters.
    counting : Counting
    ctfidf : ClassTfidfTransformer
    sample_size, refine, random_state, top_n_words, nr_topics
        As in `TopicModel`.
    memberships : {"held", "dense", "sparse"} or None
        The form in which memberships in every topic are kept; None where they are not wanted.
    representation : mapping of str to list
        Representation models of each aspect.
    word_embedder : Embedder or None
        What embeds words, where embeddings are given.
    n_examples : int
        Representative documents of a topic.
    known : Known
        Seed topics, and topics named beforehand.
    preprocessing : Preprocessing
        What is done to texts before they are embedded; `counting` has its own.
    """

    embedder: Any
    reducer: Reducer
    clusterer: Any
    counting: Counting
    ctfidf: ClassTfidfTransformer
    sample_size: int
    random_state: int
    top_n_words: int
    refine: int = 0
    nr_topics: int | str | None = None
    memberships: str | None = None
    representation: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    word_embedder: Any = None
    n_examples: int = N_EXAMPLES
    known: Known = field(default_factory=Known)
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
