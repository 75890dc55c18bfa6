"""Documents of a picture: drawn at random, with their texts and places in two dimensions."""

from __future__ import annotations

import html
import textwrap
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtopics.data import Block
from dtopics.errors import InputError
from dtopics.planning import Surroundings, planned
from dtopics.store import Run
from dtopics.topics import Topics
from dtopics.topics.steps import ReadRows
from dtopics.versions import FEW_BLOCKS, executor_of

#: Documents of a picture by default, and blocks that they are drawn from at most: of each a
#: picture reads all texts.
N_DRAWN, MOST_BLOCKS = 10_000, 64
#: Characters of a document that a picture shows, and of a line of it.
N_SHOWN, LINE = 400, 80


@dataclass(frozen=True)
class Drawn:
    """Documents of a picture.

    Attributes
    ----------
    rows : ndarray of int64
        Their numbers, ascending.
    texts : list of str
    vectors : ndarray of float32, shape (n_drawn, n_features)
    topics : ndarray of int32
    n_documents : int
        That they were drawn from.
    """

    rows: NDArray[np.int64]
    texts: list[str]
    vectors: NDArray[np.float32]
    topics: NDArray[np.int32]
    n_documents: int

    @property
    def said(self) -> str:
        """What the picture says of them; nothing where all are shown."""
        if len(self.rows) == self.n_documents:
            return ""
        return f"{len(self.rows):,} of {self.n_documents:,} documents, drawn at random"


def draw_documents(
    run: Run,
    topics: Topics,
    sample: float | None,
    random_state: int | None,
    around: Surroundings,
    docs: Sequence[str] | None = None,
) -> Drawn:
    """Draw documents of a run, and read what a picture needs of them.

    Parameters
    ----------
    run : Run
    topics : Topics
    sample : float, optional
        A share up to 1, or a number. None: 10,000 at most.
    random_state : int, optional
    around : Surroundings
    docs : sequence of str, optional
        The texts of all documents, which need not be read then.

    Raises
    ------
    InputError
        `sample` is no share or number, or `docs` are not as many as there are.
    """
    blocks = run.blocks()
    n_documents = sum(block.n_rows for block in blocks)
    if docs is not None and len(docs) != n_documents:
        message = f"docs are {len(docs):,}; expected the {n_documents:,} that were fitted, in order"
        raise InputError(message)
    chosen = _choose(blocks, _number(sample, n_documents), random_state)
    readers = {segment.name: (segment, read) for segment, read in planned(run)}
    embeddings, labels = run.fitted("embeddings"), run.labelled
    starts = run.starts
    wanted = []
    for block, rows in chosen:
        segment, _ = readers[block.segment]
        wanted.append((segment.blocks[block.index], rows))
    found: list[list[tuple[Any, str, bytes]]] = []
    with executor_of(run, around, FEW_BLOCKS) as executor:
        for name, (_, read) in readers.items():
            of_segment = [item for item in wanted if item[0].segment == name]
            found += executor.map(ReadRows(read, embeddings), of_segment)
    numbers, assigned = [], []
    for block, rows in chosen:
        numbers.append(starts[block.segment] + block.row_start + np.array(rows, np.int64))
        assigned.append(topics.of_clusters(labels.array("labels", block)[rows]))
    read_rows = [row for listed in found for row in listed]
    vectors = np.stack([np.frombuffer(vector, np.float32) for _, _, vector in read_rows])
    kept: NDArray[np.bool_] = np.asarray(vectors.any(axis=1))  # an empty document has no place
    all_rows = np.concatenate(numbers)[kept]
    texts = [text for (_, text, _), keep in zip(read_rows, kept, strict=True) if keep]
    if docs is not None:
        texts = [docs[row] for row in all_rows]
    return Drawn(all_rows, texts, vectors[kept], np.concatenate(assigned)[kept], n_documents)


def _number(sample: float | None, n_documents: int) -> int:
    if sample is None:
        return min(N_DRAWN, n_documents)
    if isinstance(sample, bool) or not isinstance(sample, int | float) or sample <= 0:
        message = f"sample must be a share up to 1 or a number of documents, not {sample!r}"
        raise InputError(message)
    wanted = round(sample * n_documents) if sample <= 1 else int(sample)
    return max(1, min(wanted, n_documents))


def _choose(
    blocks: Sequence[Block], n_drawn: int, random_state: int | None
) -> list[tuple[Block, list[int]]]:
    """Choose rows at random, of some blocks where there are many."""
    rng = np.random.default_rng(random_state)
    among = list(blocks)
    if len(among) > MOST_BLOCKS:
        picked = np.sort(rng.choice(len(among), MOST_BLOCKS, replace=False))
        among = [among[i] for i in picked]
    starts = np.cumsum([0, *(block.n_rows for block in among)])
    n_drawn = min(n_drawn, int(starts[-1]))
    rows = np.sort(rng.choice(int(starts[-1]), n_drawn, replace=False))
    at = np.searchsorted(starts, rows, side="right") - 1
    return [
        (block, (rows[at == i] - starts[i]).tolist()) for i, block in enumerate(among)
        if (at == i).any()
    ]  # fmt: skip


def places(
    vectors: NDArray[np.float32], n_neighbors: int, min_dist: float, random_state: int | None
) -> NDArray[np.float32]:
    """Place vectors in two dimensions by UMAP, as BERTopic does for pictures."""
    from umap import UMAP

    if len(vectors) <= 3:  # too few for a graph
        return np.ascontiguousarray(vectors[:, :2])
    model = UMAP(
        n_neighbors=min(n_neighbors, len(vectors) - 1), n_components=2, min_dist=min_dist,
        metric="cosine", random_state=random_state,
        init="spectral" if len(vectors) > 10 else "random",
    )  # fmt: skip
    with warnings.catch_warnings():  # that a seed takes one thread
        warnings.simplefilter("ignore")
        return np.asarray(model.fit_transform(vectors), np.float32)


def shown(texts: Sequence[str]) -> list[str]:
    """Return documents as a page shows them: their beginning, in lines, with no HTML of theirs."""
    return [
        "<br>".join(
            html.escape(line)
            for line in textwrap.wrap(textwrap.shorten(text, N_SHOWN, placeholder=" …"), LINE)
        )
        for text in texts
    ]
