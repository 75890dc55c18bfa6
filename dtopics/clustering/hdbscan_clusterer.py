"""HDBSCAN* in the pipeline: over all workers, or on the points of an array."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from dtopics.clustering.hdbscan_model import HDBSCANModel
from dtopics.clustering.points import as_points, is_integer
from dtopics.clustering.principal import Projection
from dtopics.clustering.selection import (
    CondensedTree,
    Selection,
)
from dtopics.errors import SettingError

if TYPE_CHECKING:
    from dtopics.data import Block
    from dtopics.execution import Executor
    from dtopics.store import Run, Stage

logger = logging.getLogger("dtopics")

#: hdbscan's tree of fewer points than this has no split to look at.
MIN_POINTS = 3


@dataclass(frozen=True)
class HDBSCANClusterer:
    """HDBSCAN* in the `Clusterer` role; parameters as in `HDBSCAN`."""

    min_cluster_size: int = 10
    min_samples: int | None = None
    selection: Selection = field(default_factory=Selection)
    principal_components: int | None = None

    @property
    def n_neighbours(self) -> int:
        """`min_samples` where it is given, else `min_cluster_size`."""
        return int(self.min_samples or self.min_cluster_size)

    def __post_init__(self) -> None:
        if not is_integer(self.min_cluster_size) or self.min_cluster_size < 2:
            raise SettingError(
                f"min_cluster_size={self.min_cluster_size!r}: expected an integer of at least 2"
            )
        if self.min_samples is not None and (
            not is_integer(self.min_samples) or self.min_samples < 1
        ):
            raise SettingError(
                f"min_samples={self.min_samples!r}: expected an integer of at least 1, or None"
            )
        if self.principal_components is not None and (
            not is_integer(self.principal_components) or self.principal_components < 1
        ):
            raise SettingError(
                f"principal_components={self.principal_components!r}: expected an integer of at "
                "least 1, or None"
            )

    def describe(self) -> dict[str, Any]:
        """Return what the labels depend on, as JSON."""
        return {
            "clusterer": "hdbscan",
            "min_cluster_size": int(self.min_cluster_size),
            "min_samples": self.n_neighbours,
            **asdict(self.selection),
            **self._approximation,
            "version": 2,
        }

    @property
    def _approximation(self) -> dict[str, Any]:
        n_components = self.principal_components
        return {} if n_components is None else {"principal_components": int(n_components)}

    def approximates(self, n_features: int) -> bool:
        """Whether points of so many coordinates are clustered in fewer."""
        return self.principal_components is not None and self.principal_components < n_features

    def fit(self, X: ArrayLike) -> HDBSCANModel:
        """Cluster the points in this process.

        Parameters
        ----------
        X : array-like of float, shape (n_points, n_components)

        Returns
        -------
        HDBSCANModel
            With fewer points than `min_cluster_size`, or than three, all are outliers.

        Raises
        ------
        InputError
            `X` is not two-dimensional or has NaN or infinity.
        """
        from dtopics.clustering.spanning.memory import spanning_tree

        points, projection = as_points(X), None
        if self.approximates(points.shape[1]) and len(points):
            assert self.principal_components is not None
            projection = Projection.of(points, int(self.principal_components))
            logger.info("%s", projection)
            points = projection(points)
        size = int(self.min_cluster_size)
        min_samples = self.n_neighbours
        if len(points) < max(size, MIN_POINTS):
            tree, core = CondensedTree.without_clusters(len(points)), np.zeros(len(points))
        else:
            spanned = spanning_tree(points, min_samples=min_samples)
            tree = CondensedTree.of_edges(spanned.one, spanned.other, spanned.weight, size)
            core = spanned.core_to_join
        return HDBSCANModel(size, min_samples, self.selection, points, core, tree, projection)

    def fit_blocks(
        self, run: Run, reduced: Stage, blocks: Sequence[Block], executor: Executor
    ) -> Stage | None:
        """Cluster the points of a run over all workers; None where one worker does it sooner."""
        from dtopics.clustering.distributed import cluster_by_parts, part_points

        if sum(block.n_rows for block in blocks) <= part_points():
            return None
        return cluster_by_parts(run, self, reduced, blocks, executor)


def from_foreign(estimator: Any) -> HDBSCANClusterer | None:
    """Return ours with the settings of another library's HDBSCAN, where they mean the same.

    ``algorithm``, ``leaf_size`` and the like change the speed only; ``approx_min_span_tree`` and
    cuML's ``build_algo`` the exactness, and ours is exact. cuML counts `min_samples` as hdbscan
    does.
    """
    kind = type(estimator)
    origin = kind.__module__.partition(".")[0]
    if kind.__name__ != "HDBSCAN" or origin not in ("hdbscan", "sklearn", "cuml"):
        return None
    params = estimator.get_params(deep=False)
    neutral = {
        "alpha": 1.0,
        "cluster_selection_persistence": 0.0,
        "cluster_selection_epsilon_max": float("inf"),
        "match_reference_implementation": False,
    }
    euclidean = params["metric"] in ("euclidean", "l2") or (
        params["metric"] == "minkowski" and params.get("p") == 2
    )
    if not euclidean or any(params.get(name, value) != value for name, value in neutral.items()):
        return None
    min_samples = params["min_samples"]
    if origin == "sklearn":  # it counts the point itself among min_samples
        min_samples = (min_samples or params["min_cluster_size"]) - 1
        if min_samples == 0:
            return None
    selection = Selection(
        params["cluster_selection_method"],
        float(params["cluster_selection_epsilon"]),
        int(params["max_cluster_size"] or 0),
        bool(params["allow_single_cluster"]),
    )
    return HDBSCANClusterer(params["min_cluster_size"], min_samples, selection)
