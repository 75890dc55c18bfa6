"""HDBSCAN* over all workers: the stages in order, and the model that they leave.

The spanning tree is built by parts (`spanning.steps`); one worker makes the condensed tree of its
edges, in at most 60 bytes a point, and labels the blocks. Points and core distances stay where
they are, in parts, and prediction reads those parts that new points lie in or near.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dtopics.clustering.prediction import (
    Clusters,
    Joined,
    TrainedPart,
    join_in_batches,
    predict,
)
from dtopics.clustering.principal import Projection
from dtopics.clustering.principal_steps import find_components
from dtopics.clustering.selection import (
    Chosen,
    CondensedTree,
    Selection,
    choose,
    giant_share,
    label_points,
    outlier_scores,
)
from dtopics.clustering.spanning.memory import edge_order
from dtopics.clustering.spanning.parts import Boxes
from dtopics.clustering.spanning.steps import (
    EVEN,
    CountComponents,
    Divide,
    FindLightest,
    Forests,
    GatherPart,
    GrowForest,
    JoinParts,
    LayOut,
    Parts,
    Placed,
    SampleSpan,
    ScatterSpan,
    kept_parts,
    projection_of,
)
from dtopics.data import OUTLIER, Block
from dtopics.store import Run, Stage, own_lengths, spans

if TYPE_CHECKING:
    from dtopics.clustering.hdbscan_clusterer import HDBSCANClusterer
    from dtopics.execution import Executor

logger = logging.getLogger("dtopics")

#: Features from which on an exact search is said to be slow.
MANY_FEATURES = 15
#: The kind of model that is kept in parts.
PARTS = "hdbscan parts"
#: Points of a part at the most, where Dask's configuration (``dtopics.clustering.part-points``) has
#: no other.
PART_POINTS = 2**18
#: Rows of a span, at the most.
SPAN_ROWS = 2**20


def part_points() -> int:
    """Return how many points a part should have; the result does not depend on it."""
    import dask

    return int(dask.config.get("dtopics.clustering.part-points", PART_POINTS))


def cluster_by_parts(
    run: Run,
    clusterer: HDBSCANClusterer,
    reduced: Stage,
    blocks: Sequence[Block],
    executor: Executor,
) -> Stage | None:
    """Leave a label and a probability for each document in the stage ``clusters``.

    Parameters
    ----------
    run : Run
    clusterer : HDBSCANClusterer
    reduced : Stage
        The points, NaN where a document has no place.
    blocks : sequence of Block
        The plan.
    executor : Executor

    Returns
    -------
    Stage or None
        None where the points make one part only: so few have a place, or so few places differ.
    """
    about = dict(clusterer.describe())
    clusters = run.stage("clusters", about, [reduced])
    if clusters.whole_receipt() is not None:  # however the points were divided
        run.use(clusters.whole_json("model").get("stages", {}))
        executor.run(clusters, _nothing_to_do)
        return clusters
    n_rows = sum(block.n_rows for block in blocks)
    members = spans(blocks, max(64, -(-n_rows // SPAN_ROWS)))
    placed = Placed(reduced, {span.name: among for span, among in members.items()})
    placed = approximated(run, clusterer, placed, list(members), executor)
    divided = divide(run, placed, members, executor)
    if divided is None:
        return None
    parts, n_points = divided
    forests = grow(run, parts, clusterer.n_neighbours, n_points, executor)
    rounds = join_all(run, forests, executor)
    step = FitTree(
        forests, tuple(rounds), n_points, int(clusterer.min_cluster_size), clusterer.n_neighbours,
        clusterer.selection, placed, tuple(blocks),
    )  # fmt: skip
    planned = [(s["name"], s["n_rows"], s["block_rows"]) for s in run.segments]
    both = [*planned, *own_lengths(parts.blocks)]
    clusters = run.stage("clusters", about, [reduced], both)
    executor.run(clusters, step)
    return clusters


def approximated(
    run: Run, clusterer: HDBSCANClusterer, placed: Placed, listed: list[Block], executor: Executor
) -> Placed:
    """Return the points as they are to be clustered: in principal components if that is wanted."""
    first = placed.spans[listed[0].name][0]
    n_features = placed.reduced.array("reduced", first).shape[1]
    n_components = clusterer.principal_components
    if n_components is not None and clusterer.approximates(n_features):
        components = find_components(run, placed, int(n_components), listed, executor)
        logger.info("%s", projection_of(components))
        return replace(placed, components=components)
    if n_features > MANY_FEATURES:
        logger.warning(
            "HDBSCAN*: exact in %d dimensions, where nearly all pairs of points are compared; "
            "HDBSCAN(principal_components=%d) approximates it",
            n_features, MANY_FEATURES,
        )  # fmt: skip
    return placed


def divide(
    run: Run, placed: Placed, members: Mapping[Block, tuple[Block, ...]], executor: Executor
) -> tuple[Parts, int] | None:
    """Divide the points into parts; return these and the number of points, or None for one part."""
    listed, blocks = list(members), [block for among in members.values() for block in among]
    lengths = own_lengths(listed)

    sampled = run.stage("point sample", {}, [placed.source], lengths)
    executor.map_blocks(sampled, SampleSpan(placed), listed)
    points = part_points()
    division = run.stage("division", {"part_points": points, "even": EVEN}, [sampled])
    executor.run(division, Divide(sampled, listed, points))
    about = division.whole_json("about")
    if about["n_parts"] == 1:
        return None

    position = {block: i for i, block in enumerate(blocks)}
    first_blocks = {span.name: position[among[0]] for span, among in members.items()}
    scattered = run.stage("scattered points", {}, [placed.source, division], lengths)
    executor.map_blocks(scattered, ScatterSpan(placed, division, first_blocks), listed)
    layout = run.stage("layout", {}, [scattered])
    executor.run(layout, LayOut(scattered, listed))
    receipt = layout.whole_receipt()
    assert receipt is not None
    sizes = receipt.notes["sizes"]
    in_parts = tuple(Block("parts", i, 0, size) for i, size in enumerate(sizes))
    gathered = run.stage("parts", {}, [layout], own_lengths(in_parts))
    executor.map_blocks(gathered, GatherPart(scattered, layout, listed), in_parts)
    return Parts(gathered, layout, in_parts, content_key(gathered)), int(about["n_points"])


def grow(run: Run, parts: Parts, min_samples: int, n_points: int, executor: Executor) -> Forests:
    """Measure core distances and build the parts' forests."""
    stage = run.stage(
        "forests", {"min_samples": min_samples}, [parts.stage], own_lengths(parts.blocks)
    )
    executor.map_blocks(stage, GrowForest(parts, min_samples, n_points), parts.blocks)
    components = [receipt.notes["components"] for receipt in stage.receipts()]
    first = tuple(np.cumsum([0, *components]).tolist())
    return Forests(parts, stage, first, content_key(stage))


def join_all(run: Run, forests: Forests, executor: Executor) -> list[Stage]:
    """Join components round by round until one is left; return what each merge left."""
    blocks = forests.parts.blocks
    joined = run.stage("joined 0", {}, [forests.stage])
    executor.run(joined, CountComponents(forests))
    rounds: list[Stage] = []
    while True:
        receipt = joined.whole_receipt()
        assert receipt is not None
        if receipt.notes["components"] == 1:
            return rounds
        number = len(rounds) + 1
        lightest = run.stage(f"lightest edges {number}", {}, [joined], own_lengths(blocks))
        step = FindLightest(forests, joined, receipt.sha256, receipt.notes["largest"])
        executor.map_blocks(lightest, step, blocks)
        before, joined = joined, run.stage(f"joined {number}", {}, [lightest])
        executor.run(joined, JoinParts(lightest, before, blocks))
        rounds.append(joined)


def content_key(stage: Stage) -> str:
    """Return a key of what the stage's blocks hold."""
    digest = hashlib.sha256()
    for receipt in stage.receipts():
        digest.update(receipt.sha256.encode())
    return digest.hexdigest()


def _nothing_to_do(stage: Stage) -> Mapping[str, Any]:
    raise AssertionError(f"{stage.name} has a receipt")


@dataclass(frozen=True)
class FitTree:
    """Make the tree of all edges, choose the clusters, and label the blocks.

    Parameters
    ----------
    forests : Forests
    rounds : tuple of Stage
        What each merge left.
    n_points : int
    min_cluster_size, min_samples : int
    selection : Selection
    placed : Placed
    blocks : tuple of Block
        The plan.
    """

    forests: Forests
    rounds: tuple[Stage, ...]
    n_points: int
    min_cluster_size: int
    min_samples: int
    selection: Selection
    placed: Placed
    blocks: tuple[Block, ...]

    def __call__(self, stage: Stage) -> Mapping[str, Any]:
        """Write labels and nodes of all points, by block and by part; return the tree's nodes."""
        kept_parts.clear()
        one, other, weight = self._edges()
        tree = CondensedTree.of_edges(one, other, weight, self.min_cluster_size)
        chosen = choose(tree, self.selection)
        self._label_blocks(stage, tree, chosen)
        parts, forests = self.forests.parts, self.forests.stage
        for block in parts.blocks:
            ids = parts.stage.array("ids", block)
            node, lambdas = tree.point_node[ids], tree.point_lambda[ids]
            stage.write_block(replace(block, n_rows=0), {"node": node, "lambda": lambdas})
        params = {
            "kind": PARTS,
            "min_cluster_size": self.min_cluster_size,
            "min_samples": self.min_samples,
            "selection": asdict(self.selection),
            "root_lambda": chosen.root_lambda,
            "sizes": [block.n_rows for block in parts.blocks],
            "key": parts.key,
            "stages": {s.name: s.fingerprint for s in (parts.stage, parts.layout, forests)},
        }
        projection: dict[str, NDArray[Any]] = {}
        if self.placed.components is not None:
            more, projection = projection_of(self.placed.components).to_arrays()
            params.update(more)
        return {
            "model": params,
            **projection,
            "node_parent": tree.parent,
            "node_birth": tree.birth,
            "node_size": tree.size,
            "node_max_lambda": tree.max_lambda(),
            "cluster_node": chosen.clusters,
            "node_label": chosen.node_label,
            "node_cluster_lambda": chosen.node_max_lambda,
            "notes": {"gave_way": giant_share(tree, self.selection)},
        }

    def _edges(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Return ends and weights of all edges in their total order."""
        names = ("one", "other", "weight", "distance")
        dtypes = (np.int32, np.int32, np.float64, np.float64)
        columns: list[NDArray[Any]] = [np.empty(self.n_points - 1, d) for d in dtypes]
        start = 0
        for found in self._found(names):
            stop = start + len(found[0])
            for column, values in zip(columns, found, strict=True):
                column[start:stop] = values
            start = stop
        assert start == self.n_points - 1, "a spanning tree has one edge less than points"
        one, other, weight, distance = columns
        del columns
        order = edge_order(weight, distance, one, other)
        del distance
        one, other = one[order], other[order]
        return one, other, np.sqrt(weight[order])

    def _found(self, names: Sequence[str]) -> Iterator[list[NDArray[Any]]]:
        forests = self.forests
        for block in forests.parts.blocks:
            yield [forests.stage.array(f"sure_{name}", block) for name in names]
        for joined in self.rounds:
            yield [joined.whole_array(name) for name in names]

    def _label_blocks(self, stage: Stage, tree: CondensedTree, chosen: Chosen) -> None:
        start, largest = 0, tree.largest_lambda()
        for block in self.blocks:
            placed = np.isfinite(self.placed.reduced.array("reduced", block)).all(axis=1)
            stop = start + int(placed.sum())
            node, lambdas = tree.point_node[start:stop], tree.point_lambda[start:stop]
            values: dict[str, NDArray[Any]] = {
                "labels": np.full(block.n_rows, OUTLIER, np.int32),
                "probabilities": np.zeros(block.n_rows, np.float32),
                "node": np.full(block.n_rows, -1, np.int32),
                "lambda": np.zeros(block.n_rows),
                "outlier_scores": np.zeros(block.n_rows, np.float32),
            }
            labels, probabilities = label_points(chosen, node, lambdas)
            scores = outlier_scores(largest, node, lambdas)
            found = labels, probabilities, node, lambdas, scores
            for array, rows in zip(values.values(), found, strict=True):
                array[placed] = rows
            stage.write_block(block, values)
            start = stop


@dataclass(frozen=True, eq=False)
class StoredPoints:
    """Training points in the parts of a run."""

    parts: Parts
    forests: Stage
    clusters: Stage
    first: NDArray[np.int64]

    @property
    def boxes(self) -> Boxes:
        """The parts' boxes."""
        return self.parts.boxes()

    def part(self, number: int) -> TrainedPart:
        """Return a part, kept by this process."""

        def load() -> TrainedPart:
            block = self.parts.blocks[number]
            core = np.sqrt(self.forests.array("core_to_join", block))
            fallen = (self.clusters.array(name, block) for name in ("node", "lambda"))
            return TrainedPart(self.parts.part(number), core, *fallen)

        key = (self.clusters.location.url, self.parts.key, number)
        return kept_parts.get(key, load, lambda trained: 20 * len(trained.core))


@dataclass(frozen=True, eq=False)
class PartsModel:
    """A fitted HDBSCAN* whose points lie in the parts of a run.

    Attributes
    ----------
    min_samples : int
    points : StoredPoints
    clusters : Clusters
    projection : Projection or None
        What the points were made by, where they are not the points that were given.
    """

    min_samples: int
    points: StoredPoints
    clusters: Clusters
    projection: Projection | None

    def project(self, X: NDArray[Any]) -> NDArray[Any]:
        """Return points as they were clustered."""
        return X if self.projection is None else self.projection(X)

    @classmethod
    def of(cls, stage: Stage) -> PartsModel:
        """Open the model that `FitTree` left."""
        params, arrays = stage.whole_json("model"), stage.whole_arrays()
        sizes, keys = params["sizes"], params["stages"]
        blocks = tuple(Block("parts", number, 0, size) for number, size in enumerate(sizes))
        lengths = own_lengths(blocks)
        parts = Parts(
            stage.beside("parts", keys["parts"], lengths),
            stage.beside("layout", keys["layout"], ()),
            blocks,
            params["key"],
        )
        forests = stage.beside("forests", keys["forests"], lengths)
        chosen = Chosen(
            arrays["cluster_node"], arrays["node_label"], arrays["node_cluster_lambda"],
            float(params["root_lambda"]),
        )  # fmt: skip
        return cls(
            int(params["min_samples"]),
            StoredPoints(parts, forests, stage, np.cumsum([0, *sizes])),
            Clusters(
                arrays["node_parent"], arrays["node_birth"], arrays["node_max_lambda"], chosen
            ),
            Projection.from_arrays(params, arrays),
        )

    def join(self, X: NDArray[Any]) -> Iterator[tuple[slice, Joined]]:
        """Find where new points, projected, join the tree, some rows at a time."""
        return join_in_batches(self.points, X, min_samples=self.min_samples)

    def predict(self, X: NDArray[Any]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Label new points as `HDBSCANModel.predict` does, reading the parts that they lie near."""
        new = self.project(X)
        return predict(self.points, self.clusters, new, min_samples=self.min_samples)
