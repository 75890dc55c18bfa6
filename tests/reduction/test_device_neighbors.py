import numpy as np
import pytest

from dtopics.errors import SettingError
from dtopics.reduction import UMAP, ExactNeighbors
from dtopics.reduction import device_neighbors as module
from dtopics.reduction.device_neighbors import DeviceNeighbors, placing_device

from .contract import clustered, same_bits


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("tile", [64, 10_000])
def test_neighbours_are_the_exact_ones(monkeypatch, metric, tile):
    monkeypatch.setattr(module, "TILE_ROWS", tile)
    monkeypatch.setattr(module, "TILE_QUERIES", 70)
    X, Q = clustered(500, 20, seed=1)[0] * 3, clustered(200, 20, seed=2)[0]
    X[11] = X[300]
    X[5] = 0
    Q = np.concatenate([Q, X[:20]])
    indices, distances = DeviceNeighbors(X, metric, "cpu").query(Q, 7)
    expected = ExactNeighbors(X, metric).query(Q, 7)
    np.testing.assert_allclose(distances, expected[1], rtol=1e-7, atol=1e-12)
    # To a row of zeros all are equally far, and any of them may be found.
    told = Q.any(axis=1)
    np.testing.assert_array_equal(indices[told], expected[0][told])


def test_a_model_for_a_gpu_places_without_one_too():
    X = clustered(300, seed=1)[0]
    settings = {"n_neighbors": 8, "n_components": 2, "parameters": {"n_epochs": 60}}
    model = UMAP(**settings, device="cuda").fit(X[:100])
    assert isinstance(model._index, DeviceNeighbors)
    plain = UMAP(**settings).fit(X[:100])
    assert (model.device, plain.device) == ("cuda", "cpu")
    places = model.transform(X[100:])
    np.testing.assert_allclose(places, plain.transform(X[100:]), atol=1e-3)
    same_bits(places[:9], model.transform(X[100:109]))
    assert UMAP(device="cuda").describe() != UMAP().describe() == UMAP(device="cpu").describe()


def test_without_a_gpu_torch_is_not_imported_to_find_out(monkeypatch):
    import sys

    monkeypatch.setattr(module.Path, "exists", lambda _: False)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert placing_device() == "cpu"


def test_too_many_neighbours_are_refused():
    X = clustered(20)[0]
    with pytest.raises(SettingError, match="k must be from 1 to 20"):
        DeviceNeighbors(X, "cosine", "cpu").query(X, 21)
