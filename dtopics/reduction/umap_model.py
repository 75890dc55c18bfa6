"""A fitted UMAP, which places rows one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dtopics.reduction._rows import checked
from dtopics.reduction.cells import CellNeighbors, Cells
from dtopics.reduction.device_neighbors import DeviceNeighbors, placing_device
from dtopics.reduction.neighbors import ExactNeighbors


@dataclass(frozen=True, eq=False, repr=False)
class UMAPModel:
    """A fitted UMAP: the sample, its places, and how other rows are placed among them.

    Attributes
    ----------
    sample : ndarray of float32 or float16, shape (n_sample, n_features)
    embedding : ndarray of float32, shape (n_sample, n_components)
        umap-learn's own places of the sample.
    n_neighbors : int
    metric : str
    a, b : float
        Of the curve ``1 / (1 + a·d^(2b))``.
    n_epochs : int
        Of placing.
    learning_rate : float
        At the first epoch of placing.
    negative_sample_rate, repulsion_strength, local_connectivity : float
    disconnection_distance : float or None
        From here on, a neighbour has no pull.
    transform_seed : int
    mean_distance : float
        Of the sample's rows to their neighbours.
    sample_spacing : float
        The distance that 99 % of the sample's rows are nearer than to their nearest other row.
    cells : Cells or None
        Of a larger sample, where its rows are looked for; a few neighbours are then missed.
    device : str
        A machine without it looks for the same neighbours on the CPU, slower.
    """

    kind: ClassVar[str] = "umap"

    sample: NDArray[Any]
    embedding: NDArray[np.float32]
    n_neighbors: int
    metric: str
    a: float
    b: float
    n_epochs: int
    learning_rate: float
    negative_sample_rate: float
    repulsion_strength: float
    local_connectivity: float
    disconnection_distance: float | None
    transform_seed: int
    mean_distance: float
    sample_spacing: float
    cells: Cells | None = None
    device: str = "cpu"

    @cached_property
    def _index(self) -> ExactNeighbors | CellNeighbors | DeviceNeighbors:
        if self.device != "cpu":
            return DeviceNeighbors(self.sample, self.metric, placing_device())
        if self.cells is None:
            return ExactNeighbors(self.sample, self.metric)
        return CellNeighbors(self.sample, self.metric, self.cells)

    @cached_property
    def forces(self) -> NDArray[np.float32]:
        """What pulls and pushes at a distance, as `force_curve` has it."""
        from dtopics.reduction._placing_kernels import force_curve

        return force_curve(self.a, self.b, self.repulsion_strength)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out of a pickle what is cheap to make again."""
        return {
            name: value for name, value in self.__dict__.items() if name not in {"_index", "forces"}
        }

    def transform(self, X: NDArray[Any]) -> NDArray[np.float32]:
        """Place rows; each row's place depends on that row and the model only.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)

        Returns
        -------
        ndarray of float32, shape (n_rows, n_components)

        Raises
        ------
        EmbeddingError
            If the vectors are of another length or not finite.
        """
        return self.place(X)[0]

    def place(self, X: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Place rows, and tell how far each lies from the sample.

        Returns
        -------
        places : ndarray of float32, shape (n_rows, n_components)
        nearest : ndarray of float32, shape (n_rows,)
            As `distance_to_sample`.
        """
        from dtopics.reduction import _placing_kernels as kernels

        rows = checked(X, self.sample.shape[1])
        neighbours, distances = self._index.query(rows, self.n_neighbors)
        # Adding zero makes −0 into 0: equal vectors have equal bits, and so equal places.
        bits = (rows + np.float32(0)).view(np.uint32)
        far = self.disconnection_distance
        places = kernels.place_rows(
            bits,
            neighbours,
            distances,
            self.embedding,
            self.transform_seed,
            self.local_connectivity,
            self.mean_distance,
            np.inf if far is None else far,
            self.n_epochs,
            self.learning_rate,
            self.forces,
            self.negative_sample_rate,
        )
        return places, distances[:, 0].astype(np.float32)

    def distance_to_sample(self, X: NDArray[Any]) -> NDArray[np.float32]:
        """Return each row's distance to the nearest row of the sample, shape (n_rows,).

        Against `sample_spacing` it says how much of a corpus lies outside what the sample shows.
        With `cells`, the nearest row is now and then missed, and the distance a little too long.
        """
        return self._index.query(X, self.n_neighbors)[1][:, 0].astype(np.float32)

    def to_arrays(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return JSON-able parameters and the arrays; `load_model` is the way back."""
        arrays = {"sample": self.sample, "embedding": self.embedding}
        params = {name: value for name, value in self.__getstate__().items() if name not in arrays}
        if self.cells is not None:
            params["cells"], of_cells = self.cells.to_arrays()
            arrays.update((f"cells_{name}", array) for name, array in of_cells.items())
        return {"kind": self.kind, **params}, arrays

    @classmethod
    def from_arrays(
        cls, params: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
    ) -> UMAPModel:
        """Return the model that `to_arrays` took apart."""
        numbers = {name: value for name, value in params.items() if name not in {"kind", "cells"}}
        own: dict[str, Any] = {}
        of_cells: dict[str, Any] = {}
        for name, array in arrays.items():
            part = of_cells if name.startswith("cells_") else own
            part[name.removeprefix("cells_")] = np.asarray(array)
        cells = Cells.from_arrays(params["cells"], of_cells) if params.get("cells") else None
        return cls(**own, **numbers, cells=cells)
