import numpy as np
import pytest
from sklearn.decomposition import PCA, IncrementalPCA, TruncatedSVD

from dtopics.errors import SettingError
from dtopics.reduction import Linear, LinearModel

from .contract import ReducerContract, clustered, same_bits


class TestPCA(ReducerContract):
    def make(self):
        return Linear(PCA(3, random_state=0))


class TestTruncatedSVD(ReducerContract):
    def make(self):
        return Linear(TruncatedSVD(3, random_state=0))


@pytest.mark.parametrize(
    "estimator",
    [
        PCA(4, random_state=0),
        PCA(4, whiten=True, random_state=0),
        PCA(0.9, random_state=0),
        IncrementalPCA(4),
        IncrementalPCA(4, whiten=True),
        TruncatedSVD(4, random_state=0),
    ],
    ids=repr,
)
def test_places_are_those_of_scikit_learn(estimator):
    X, Q = clustered(200, seed=4)[0] + 1, clustered(50, seed=5)[0] + 1
    model = Linear(estimator).fit(X)
    assert not hasattr(estimator, "components_")
    expected = estimator.__class__(**estimator.get_params()).fit(X.astype(np.float64))
    np.testing.assert_allclose(model.transform(Q), expected.transform(Q), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(model.embedding, expected.transform(X), rtol=1e-5, atol=1e-5)


def test_more_components_than_rows_are_refused():
    with pytest.raises(SettingError, match="3 rows of 16"):
        Linear(PCA(5)).fit(clustered(3)[0])


def test_parameters_that_scikit_learn_refuses_are_refused():
    with pytest.raises(SettingError, match="PCA could not be fit"):
        Linear(PCA(2, svd_solver="nonsense")).fit(clustered(30)[0])


def test_sums_that_cancel_are_the_same_in_every_block():
    # Rows at right angles to the components: a sum in another order shows even in float32.
    rng = np.random.default_rng(0)
    components, _ = np.linalg.qr(rng.normal(size=(384, 5)))
    rows = rng.normal(size=(64, 384))
    rows = (rows - rows @ components @ components.T).astype(np.float32)
    model = LinearModel(np.zeros((1, 5), np.float32), np.zeros(384), components.T.copy())
    whole = model.transform(rows)
    for size in (1, 3, 7, 32):
        blocks = [model.transform(rows[i : i + size]) for i in range(0, len(rows), size)]
        same_bits(np.concatenate(blocks), whole)
