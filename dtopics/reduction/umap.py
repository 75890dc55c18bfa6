"""UMAP: umap-learn's fit on the sample, and a placing of all other rows that is its own.

umap-learn's ``transform`` scales edges by the largest weight of the batch, changes the number of
epochs with the batch, and above 4,096 rows of sample looks for neighbours approximately; so a
document's place would depend on the company it comes in. `UMAPModel` does the same arithmetic for
each row alone: neighbours that are the same in any company (exact in a small sample, by cells in a
larger one), edges scaled by 1, and negative samples drawn from a generator that is seeded by the
row's own vector.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtopics.errors import SettingError
from dtopics.reduction._rows import checked_sample
from dtopics.reduction.cells import CellNeighbors, Cells, fit_cells
from dtopics.reduction.layout import EPOCHS, lay_out
from dtopics.reduction.neighbors import ExactNeighbors, check_metric
from dtopics.reduction.umap_model import UMAPModel

#: Epochs of placing where the user set none: umap-learn's number for more than 10,000 rows. 100
#: cost three times as much, raise trustworthiness by 0.003 to 0.006, and AMI by nothing that can
#: be told from chance (`benchmarks/placing.py`).
PLACING_EPOCHS = 30
#: Below so many rows umap-learn itself compares all pairs. From there up to EXACT_ROWS the fit is
#: given exact neighbours: they cost a matrix product of the sample with itself, on all threads,
#: where umap-learn's search is on one if there is a seed, and compiles for half a minute in each
#: new process. Beyond, neighbours are found by cells, and the layout is our own: umap-learn's is on
#: one thread if there is a seed (`benchmarks/fitting.py`).
PAIRWISE_ROWS = 4_096
EXACT_ROWS = 50_000
#: From so many rows, neighbours of other rows are looked for by cells.
CELLS_FROM = 2_048
#: Rows of the sample that its spacing, and the cells' recall, are measured on.
SPACING_ROWS, RECALL_ROWS = 4_096, 512
#: The part of the sample that lies nearer to its neighbour than the spacing.
SPACING_QUANTILE = 0.99
#: Where neighbours can be looked for.
DEVICES = ("cpu", "cuda")
#: Below this many rows there is no layout to find.
MIN_ROWS = 3

#: What `UMAPModel` cannot follow, and the one value with which it need not.
_FIXED: dict[str, Any] = {
    "densmap": False,
    "output_dens": False,
    "metric_kwds": None,
    "output_metric": "euclidean",
    "output_metric_kwds": None,
    "transform_mode": "embedding",
    "precomputed_knn": (None, None, None),
}
#: Parameters of umap-learn that leave the result as it is.
_SILENT = frozenset({"n_jobs", "verbose", "tqdm_kwds", "transform_queue_size"})
_LIBRARIES = ("umap-learn", "pynndescent", "scikit-learn", "scipy", "numpy", "numba")


@dataclass(frozen=True)
class UMAP:
    """UMAP with BERTopic's defaults, fit on a sample and applied to every row by itself.

    Parameters
    ----------
    n_neighbors : int, default=15
        Lowered to n_sample − 1 for a smaller sample.
    n_components : int, default=5
    min_dist : float, default=0.0
    metric : {"cosine", "euclidean"}, default="cosine"
    random_state : int or None, default=42
        ``None``: another layout with every fit.
    parameters : mapping, optional
        umap-learn's other parameters, by its names. ``transform_seed`` seeds the placing;
        ``n_epochs`` gives it ``n_epochs // 3`` epochs, as in umap-learn, else there are 30.
    device : {"cpu", "cuda"}, optional
        Where placing looks for neighbours in the sample. By default a run takes its workers' GPU
        where they have one.

    Raises
    ------
    SettingError
        If a parameter is unknown, has a value that means nothing, or one that rows outside the
        sample cannot be placed with.

    References
    ----------
    McInnes, Healy and Melville, "UMAP: Uniform Manifold Approximation and Projection for Dimension
    Reduction", arXiv:1802.03426.

    Examples
    --------
    >>> UMAP(n_components=2).describe()["n_components"]
    2
    """

    n_neighbors: int = 15
    n_components: int = 5
    min_dist: float = 0.0
    metric: str = "cosine"
    random_state: int | None = 42
    parameters: Mapping[str, Any] = field(default_factory=dict)
    device: str | None = None

    def __post_init__(self) -> None:
        check_metric(self.metric)
        for name, least in (("n_neighbors", 2), ("n_components", 1)):
            object.__setattr__(self, name, _whole(name, getattr(self, name), least))
        if self.random_state is not None:
            state = _whole("random_state", self.random_state, 0)
            object.__setattr__(self, "random_state", state)
        spread = self.parameters.get("spread", 1.0)
        if not 0.0 <= self.min_dist <= spread:
            message = f"min_dist must be from 0 to spread ({spread}), got {self.min_dist!r}"
            raise SettingError(message)
        _check_parameters(self.parameters)
        if self.device not in {None, *DEVICES}:
            message = f"device must be one of {', '.join(DEVICES)}, got {self.device!r}"
            raise SettingError(message)

    def describe(self) -> Mapping[str, Any]:
        """Return what the places depend on, as JSON."""
        from importlib.metadata import version

        others = {name: value for name, value in self.parameters.items() if name not in _SILENT}
        return {
            "kind": UMAPModel.kind,
            "placing": 2,
            "layout": 2,
            "exact_rows": EXACT_ROWS,
            "cells_from": CELLS_FROM,
            "n_neighbors": self.n_neighbors,
            "n_components": self.n_components,
            "min_dist": float(self.min_dist),
            "metric": self.metric,
            "random_state": self.random_state,
            "parameters": dict(sorted(others.items())),
            "device": self.device or "cpu",
            "versions": {library: version(library) for library in _LIBRARIES},
        }

    def fit(self, X: NDArray[Any], y: NDArray[np.int64] | None = None) -> UMAPModel:
        """Fit on a sample.

        Parameters
        ----------
        X : ndarray of float32 or float16, shape (n_sample, n_features)
        y : ndarray of int64, shape (n_sample,), optional
            Known topics, −1 where there is none, for a layout that keeps them apart.

        Returns
        -------
        UMAPModel
            Of fewer than three rows, all places are zeros. Rows that umap-learn leaves without a
            place (disconnected ones) stand at the origin, as in BERTopic.

        Raises
        ------
        EmbeddingError
            If `X` is empty or not finite.
        SettingError
            If umap-learn refuses the parameters.
        """
        rows = checked_sample(X)
        sample = np.array(X) if np.asarray(X).dtype == np.float16 else rows.copy()
        n_neighbors = max(1, min(self.n_neighbors, len(rows) - 1))
        others = self.parameters
        by_cells = self.device != "cuda" and len(rows) >= CELLS_FROM
        mean_distance, spacing, cells = _look_around(rows, self.metric, n_neighbors, by_cells)
        places = np.zeros((len(rows), self.n_components), dtype=np.float32)
        a, b = others.get("a"), others.get("b")
        if len(rows) >= MIN_ROWS:
            places, a, b = self._layout(rows, y, n_neighbors, cells)
        n_epochs, disconnection = others.get("n_epochs"), others.get("disconnection_distance")
        if disconnection is None and self.metric == "cosine":
            disconnection = 2.0
        return UMAPModel(
            sample=sample,
            embedding=places,
            n_neighbors=n_neighbors,
            metric=self.metric,
            a=1.0 if a is None else float(a),
            b=1.0 if b is None else float(b),
            n_epochs=PLACING_EPOCHS if n_epochs is None else int(n_epochs) // 3,
            learning_rate=float(others.get("learning_rate", 1.0)) / 4.0,
            negative_sample_rate=float(others.get("negative_sample_rate", 5)),
            repulsion_strength=float(others.get("repulsion_strength", 1.0)),
            local_connectivity=max(0.0, float(others.get("local_connectivity", 1.0)) - 1.0),
            disconnection_distance=None if disconnection is None else float(disconnection),
            transform_seed=int(others.get("transform_seed", 42)),
            mean_distance=mean_distance,
            sample_spacing=spacing,
            cells=cells,
            device=self.device or "cpu",
        )

    def _layout(
        self,
        rows: NDArray[np.float32],
        y: NDArray[np.int64] | None,
        n_neighbors: int,
        cells: Cells | None,
    ) -> tuple[NDArray[np.float32], float, float]:
        """Return the sample's places, and the a and b of UMAP's curve."""
        settings = dict(self.parameters)
        if self.random_state is not None:
            settings["n_jobs"] = 1  # what a seed makes of any other value, with a warning
        if len(rows) <= self.n_components + 1:  # too few for the eigenvectors of a spectral start
            settings["init"] = "random"
        index: ExactNeighbors | CellNeighbors | None = None
        if PAIRWISE_ROWS <= len(rows) <= EXACT_ROWS:
            index = ExactNeighbors(rows, self.metric)
        elif len(rows) > EXACT_ROWS and cells is not None:
            index = CellNeighbors(rows, self.metric, cells)
            settings["n_epochs"] = 0
        if index is not None:
            found, distances = index.query(rows, n_neighbors)
            settings["precomputed_knn"] = (found, distances.astype(np.float32), None)
        estimator = self._fit_umap_learn(rows, y, n_neighbors, settings)
        places = np.nan_to_num(np.asarray(estimator.embedding_, dtype=np.float32))
        a, b = float(estimator._a), float(estimator._b)  # noqa: SLF001 (nowhere else)
        if settings.get("n_epochs") == 0 and self.parameters.get("n_epochs") != 0:
            places = self._move(estimator.graph_, places, a, b)
        return places, a, b

    def _move(
        self, graph: Any, places: NDArray[np.float32], a: float, b: float
    ) -> NDArray[np.float32]:
        """Return umap-learn's start after our layout."""
        from dtopics.reduction._placing_kernels import force_curve

        others = self.parameters
        seed = np.random.SeedSequence().entropy if self.random_state is None else self.random_state
        return lay_out(
            graph.tocsr(),
            places,
            force_curve(a, b, float(others.get("repulsion_strength", 1.0))),
            n_epochs=int(others.get("n_epochs") or EPOCHS),
            rate=float(others.get("learning_rate", 1.0)),
            # umap-learn's edges pull at both of their ends, so twice for each time that they push
            negatives=float(others.get("negative_sample_rate", 5)) / 2.0,
            seed=int(seed) % 2**32,  # type: ignore[arg-type]
        )

    def _fit_umap_learn(
        self,
        rows: NDArray[np.float32],
        y: NDArray[np.int64] | None,
        n_neighbors: int,
        settings: Mapping[str, Any],
    ) -> Any:
        import numba
        from threadpoolctl import threadpool_limits

        estimator = _umap_learn()(
            n_neighbors=n_neighbors,
            n_components=self.n_components,
            min_dist=self.min_dist,
            metric=self.metric,
            random_state=self.random_state,
            **settings,
        )
        n_threads = numba.get_num_threads()
        try:
            with threadpool_limits(1), warnings.catch_warnings():
                # it misses a search index, which its own transform would need; ours does not
                warnings.filterwarnings("ignore", r"precomputed_knn\[2\]", UserWarning)
                return estimator.fit(rows, y=y)
        except ValueError as error:
            message = f"umap-learn could not be fit with these parameters: {error}"
            raise SettingError(message) from error
        finally:
            numba.set_num_threads(n_threads)


def from_umap_learn(estimator: Any) -> UMAP:
    """Return the reducer with the parameters of an ``umap.UMAP``, which stays as it is."""
    own = UMAP.__dataclass_fields__.keys() - {"parameters", "device"}
    params = estimator.get_params(deep=False)
    defaults = _umap_learn()().get_params(deep=False)
    others = {
        name: value
        for name, value in params.items()
        if name not in own and not _same(value, defaults[name])
    }
    return UMAP(**{name: params[name] for name in own}, parameters=others)


def _umap_learn() -> Any:
    """Return umap-learn's class, imported without its word about a missing Tensorflow."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Tensorflow not installed", ImportWarning)
        from umap import UMAP as Original  # noqa: N811

    return Original


def _check_parameters(parameters: Mapping[str, Any]) -> None:
    if not parameters:
        return
    import inspect
    import json

    known = set(inspect.signature(_umap_learn()).parameters)
    own = set(UMAP.__dataclass_fields__)
    for name, value in parameters.items():
        if name not in known - own:
            message = f"{name!r} is not a further parameter of umap-learn's UMAP"
            raise SettingError(message)
        if name in _FIXED and not _same(value, _FIXED[name]):
            message = (
                f"UMAP's {name}={value!r} cannot place documents outside the sample; "
                f"leave it at {_FIXED[name]!r}"
            )
            raise SettingError(message)
        if name in _SILENT:
            continue
        try:
            json.dumps(value)
        except TypeError:
            message = f"UMAP's {name} must be a number, text or None here, got {type(value)}"
            raise SettingError(message) from None
    if isinstance(parameters.get("n_epochs"), (list, tuple)):
        message = "UMAP's n_epochs must be one number here, not a list"
        raise SettingError(message)


def _look_around(
    rows: NDArray[np.float32],
    metric: str,
    k: int,
    by_cells: bool,  # noqa: FBT001
) -> tuple[float, float, Cells | None]:
    """Measure a sample: what `UMAPModel` calls mean_distance, sample_spacing and cells."""
    if len(rows) < 2:
        return 0.0, 0.0, None
    chosen = np.unique(np.linspace(0, len(rows) - 1, SPACING_ROWS).astype(np.int64))
    _, distances = ExactNeighbors(rows, metric).query(rows[chosen], k + 1)
    others = distances[:, 1:]  # the first is the row itself, or a duplicate as near
    spacing = float(np.quantile(others[:, 0], SPACING_QUANTILE))
    cells = None
    if by_cells:
        step = -(-len(chosen) // RECALL_ROWS)
        cells = fit_cells(rows, metric, chosen[::step], distances[::step])
    return float(others.mean()), spacing, cells


def _whole(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        message = f"UMAP's {name} must be a whole number from {least}, got {value!r}"
        raise SettingError(message)
    return int(value)


def _same(value: Any, default: Any) -> bool:
    """Whether a parameter is at its default; arrays never are."""
    if isinstance(value, np.ndarray):
        return False
    if isinstance(value, (tuple, list)) and isinstance(default, (tuple, list)):
        return len(value) == len(default) and all(map(_same, value, default))
    return bool(value is default or (type(value) is type(default) and value == default))
