import numpy as np

from dtopics.reduction import NoReduction

from .contract import ReducerContract, clustered


class TestNoReduction(ReducerContract):
    n_components = 16

    def make(self):
        return NoReduction()


def test_every_vector_stays_as_it_is():
    X, _ = clustered(20)
    half = X.astype(np.float16)
    model = NoReduction().fit(X)
    np.testing.assert_array_equal(model.embedding, X)
    np.testing.assert_array_equal(model.transform(half), half.astype(np.float32))
