"""Memberships of every document in every cluster, block by block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtopics.clustering.membership import Membership, exemplar_rows, top
from dtopics.clustering.selection import CondensedTree
from dtopics.clustering.steps import clusterer_model
from dtopics.data import Block, Result
from dtopics.errors import SettingError
from dtopics.execution import Executor
from dtopics.execution.cache import cached
from dtopics.store import Run, Stage

#: Memberships of a document that a sparse form keeps.
KEPT_CLUSTERS = 8
#: Bytes above which dense memberships are refused: for a list, which is held, and in a store.
HELD_BYTES = 4 * 2**30
STORED_BYTES = 200 * 2**30
#: Rows whose memberships are held in float64 at once.
BATCH_BYTES = 64 * 2**20


def find_memberships(
    run: Run, form: str, reduced: Stage, clusters: Stage, blocks: Sequence[Block], ex: Executor
) -> Stage:
    """Leave the memberships of a fit's documents in the stage ``memberships``.

    Parameters
    ----------
    run : Run
    form : {"held", "dense", "sparse"}
        Dense to be held in memory, dense, or the largest `KEPT_CLUSTERS` of each document.
    reduced, clusters : Stage
    blocks : sequence of Block
    ex : Executor

    Raises
    ------
    SettingError
        The clusterer has no memberships, or the dense form would be too large; nothing of it is
        written then, and all that was done is kept.
    """
    if clusters.whole_json("model")["kind"] not in ("hdbscan", "hdbscan parts"):
        raise SettingError(
            "calculate_probabilities needs HDBSCAN; other clusterers have no memberships"
        )
    table = run.stage("membership table", {}, [clusters, reduced])
    ex.run(table, TabulateMembership(reduced, clusters, tuple(blocks)))
    keep = kept(table, form, sum(block.n_rows for block in blocks))
    stage = run.stage("memberships", {"keep": keep}, [table])
    ex.map_blocks(stage, FittedMemberships(reduced, clusters, table, keep), blocks)
    return stage


def kept(table: Stage, form: str, n_rows: int) -> int:
    """Return how many clusters of a document are kept; 0 for all.

    Raises
    ------
    SettingError
    """
    receipt = table.whole_receipt()
    assert receipt is not None
    n_clusters = int(receipt.notes["clusters"])
    if form == "sparse" or n_clusters == 0:
        return KEPT_CLUSTERS
    size, limit = 4 * n_rows * n_clusters, HELD_BYTES if form == "held" else STORED_BYTES
    if size > limit:
        raise SettingError(
            f"memberships of {n_rows:,} documents in {n_clusters:,} topics take "
            f"{size / 2**30:,.0f} GiB, over the limit of {limit / 2**30:,.0f}: "
            f'calculate_probabilities="sparse" keeps the {KEPT_CLUSTERS} largest of each'
        )
    return 0


@dataclass(frozen=True)
class TabulateMembership:
    """Gather the exemplars of all clusters.

    Parameters
    ----------
    reduced, clusters : Stage
    blocks : tuple of Block
    """

    reduced: Stage
    clusters: Stage
    blocks: tuple[Block, ...]

    def __call__(self, stage: Stage) -> Mapping[str, Any]:  # noqa: ARG002
        """Return the arrays of a `Membership`."""
        model = clusterer_model(self.clusters, trust=False)
        found = model.clusters
        nodes, lambdas, points = [], [], []
        for block in self.blocks:
            node, value = (self.clusters.array(name, block) for name in ("node", "lambda"))
            last = np.flatnonzero(node >= 0)
            last = last[value[last] == found.max_lambda[node[last]]]
            nodes.append(node[last])
            lambdas.append(value[last])
            points.append(model.project(self.reduced.array("reduced", block)[last]))
        tree = CondensedTree(
            np.concatenate(nodes), np.concatenate(lambdas), found.parent, found.birth,
            np.zeros(len(found.parent), np.int64),
        )  # fmt: skip
        rows, labels = exemplar_rows(tree, found.chosen)
        membership = Membership.of(
            found.parent, found.birth, found.max_lambda, found.chosen,
            np.concatenate(points)[rows], labels,
        )  # fmt: skip
        params, arrays = membership.to_arrays()
        return {"model": params, **arrays, "notes": {"clusters": membership.n_clusters}}


@dataclass(frozen=True)
class FittedMemberships:
    """Memberships of documents that were clustered."""

    reduced: Stage
    clusters: Stage
    table: Stage
    keep: int

    def __call__(self, block: Block) -> Result:
        """Return ``dense``, or ``cluster`` and ``membership``; zeros where there is no place."""
        node, lambdas = (self.clusters.array(name, block) for name in ("node", "lambda"))
        points, table = self.reduced.array("reduced", block), membership_of(self.table)
        model = clusterer_model(self.clusters, trust=False)
        placed = np.flatnonzero(node >= 0)
        form = Form.empty(block.n_rows, table.n_clusters, self.keep)
        size = max(1, BATCH_BYTES // (8 * max(table.n_clusters, 1)))
        for start in range(0, len(placed), size):
            rows = placed[start : start + size]
            some = model.project(points[rows])
            form.put(rows, table.of_fitted(some, node[rows], lambdas[rows]))
        return form.arrays


@dataclass(frozen=True)
class NewMemberships:
    """Memberships of new documents."""

    reduced: Stage
    clusters: Stage
    table: Stage
    keep: int

    def __call__(self, block: Block) -> Result:
        """Return ``dense``, or ``cluster`` and ``membership``; zeros where there is no place."""
        points, table = self.reduced.array("reduced", block), membership_of(self.table)
        model = clusterer_model(self.clusters, trust=False)
        placed = np.flatnonzero(np.isfinite(points).all(axis=1))
        form = Form.empty(block.n_rows, table.n_clusters, self.keep)
        size = max(1, BATCH_BYTES // (8 * max(table.n_clusters, 1)))
        for start in range(0, len(placed) if table.n_clusters else 0, size):
            rows = placed[start : start + size]
            new = model.project(np.ascontiguousarray(points[rows]))
            for some, joined in model.join(new):
                found = table.of_new(new[some], joined.node, joined.lambdas, joined.density)
                form.put(rows[some], found)
        return form.arrays


@dataclass(frozen=True, eq=False)
class Form:
    """A block's memberships as they are kept.

    Attributes
    ----------
    arrays : dict
        ``dense``, float32 of shape (n_rows, n_clusters); or ``cluster``, int32, −1 for none, and
        ``membership``, float32, of shape (n_rows, keep), largest first.
    """

    arrays: dict[str, NDArray[Any]]

    @classmethod
    def empty(cls, n_rows: int, n_clusters: int, keep: int) -> Form:
        """Return the form of rows that belong nowhere."""
        if keep == 0:
            return cls({"dense": np.zeros((n_rows, n_clusters), np.float32)})
        cluster = np.full((n_rows, keep), -1, np.int32)
        return cls({"cluster": cluster, "membership": np.zeros((n_rows, keep), np.float32)})

    def put(self, rows: NDArray[Any], vectors: NDArray[np.float64]) -> None:
        """Keep the memberships of some rows."""
        if "dense" in self.arrays:
            self.arrays["dense"][rows] = vectors
        else:
            largest = top(vectors, self.arrays["cluster"].shape[1])
            self.arrays["cluster"][rows], self.arrays["membership"][rows] = largest


def membership_of(stage: Stage) -> Membership:
    """Return the process's copy of a table."""

    def load() -> Membership:
        return Membership.from_arrays(stage.whole_json("model"), stage.whole_arrays())

    return cached(("membership", stage.identity), load)
