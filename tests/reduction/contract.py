"""What every reducer must keep: subclass `ReducerContract`, say how to make one."""

import copy
import json
import pickle

import numba
import numpy as np
import pytest

from dtopics.errors import EmbeddingError
from dtopics.protocols import Reducer
from dtopics.reduction import load_model


def clustered(n_rows, n_features=16, n_clusters=4, seed=0, scale=0.3):
    """Return unit float32 rows around well-separated centres, and their clusters."""
    centres = np.random.default_rng(99).normal(size=(n_clusters, n_features))
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_clusters, n_rows)
    X = centres[labels] + scale * rng.normal(size=(n_rows, n_features))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    return X.astype(np.float32), labels


def same_bits(x, y):
    assert x.dtype == y.dtype
    np.testing.assert_array_equal(x.view(np.uint32), y.view(np.uint32))


class ReducerContract:
    """Hooks: `make`; `n_components` of the places; `trust` for a foreign pickle."""

    n_components = 3
    trust = False

    def make(self):
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def sample(cls):
        return clustered(90, seed=1)[0]

    @pytest.fixture(scope="class")
    @classmethod
    def rows(cls, sample):
        new = clustered(150, seed=2)[0]
        return np.concatenate([sample[:5], new, sample[7:8], sample[7:8]])

    @pytest.fixture(scope="class")
    @classmethod
    def model(cls, sample):
        return cls().make().fit(sample)

    def test_it_is_a_reducer_and_described_as_json(self):
        reducer = self.make()
        assert isinstance(reducer, Reducer)
        described = json.dumps(reducer.describe(), allow_nan=False)
        assert described == json.dumps(self.make().describe(), allow_nan=False)
        assert pickle.loads(pickle.dumps(reducer)).describe() == reducer.describe()

    def test_fit_gives_the_same_places_again(self, model, sample):
        again = self.make().fit(sample)
        same_bits(model.embedding, again.embedding)
        assert model.embedding.shape == (len(sample), self.n_components)
        assert model.embedding.dtype == np.float32

    def test_arrays_and_json_keep_the_model_exactly(self, model, rows):
        params, arrays = model.to_arrays()
        assert all(array.dtype != object for array in arrays.values())
        params = json.loads(json.dumps(params, allow_nan=False))
        back = load_model(params, copy.deepcopy(arrays), trust=self.trust)
        same_bits(back.embedding, model.embedding)
        same_bits(back.transform(rows), model.transform(rows))

    def test_pickle_keeps_the_model_exactly(self, model, rows):
        expected = model.transform(rows)
        same_bits(pickle.loads(pickle.dumps(model)).transform(rows), expected)

    def test_shape_and_dtype_of_places(self, model, rows):
        places = model.transform(rows)
        assert places.shape == (len(rows), self.n_components)
        assert places.dtype == np.float32
        assert np.isfinite(places).all()
        assert model.transform(rows[:0]).shape == (0, self.n_components)

    @pytest.mark.parametrize("size", [1, 7, 100])
    def test_places_do_not_depend_on_the_block(self, model, rows, size):
        blocks = [model.transform(rows[i : i + size]) for i in range(0, len(rows), size)]
        same_bits(np.concatenate(blocks), model.transform(rows))

    def test_places_do_not_depend_on_the_order(self, model, rows):
        order = np.random.default_rng(3).permutation(len(rows))
        same_bits(model.transform(rows[order]), model.transform(rows)[order])

    def test_places_do_not_depend_on_the_layout_of_memory(self, model, rows):
        wide = np.asfortranarray(np.repeat(rows, 2, axis=0))
        same_bits(model.transform(wide[::2]), model.transform(rows))

    def test_places_do_not_depend_on_the_threads(self, model, rows):
        if numba.config.NUMBA_NUM_THREADS < 2:
            pytest.skip("one thread only")
        before, places = numba.get_num_threads(), []
        try:
            for n_threads in (1, 2):
                numba.set_num_threads(n_threads)
                places.append(model.transform(rows))
        finally:
            numba.set_num_threads(before)
        same_bits(*places)

    def test_input_is_never_changed(self, sample, rows):
        X, Q = sample.copy(), rows.copy()
        X.flags.writeable = Q.flags.writeable = False
        model = self.make().fit(X)
        places = model.transform(Q)
        assert not np.shares_memory(model.embedding, X)
        assert not np.shares_memory(places, Q)
        same_bits(X, sample)
        same_bits(Q, rows)

    def test_unusable_vectors_are_refused(self, model, rows):
        broken = rows.copy()
        broken[4, 2] = np.nan
        with pytest.raises(EmbeddingError, match="row 4"):
            model.transform(broken)
        with pytest.raises(EmbeddingError, match="dimensions"):
            model.transform(rows[:, :-1])
        with pytest.raises(EmbeddingError, match="two-dimensional"):
            model.transform(rows[0])
        with pytest.raises(EmbeddingError, match="empty"):
            self.make().fit(rows[:0])
