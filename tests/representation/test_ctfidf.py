from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.base import clone

from dtopics.errors import NotFittedError, SettingError
from dtopics.representation.ctfidf import (
    ClassTfidfTransformer,
    as_ctfidf,
    c_tf_idf,
    inverse_frequencies,
    seed_multiplier,
)


def counts(seed=0, shape=(7, 40)):
    X = np.random.default_rng(seed).poisson(0.7, size=shape)
    X[0, X.sum(axis=0) == 0] = 1
    return csr_matrix(X)


def test_by_hand():
    X = csr_matrix([[3, 1, 0], [0, 4, 1]])  # 9 terms in 2 topics: 4, not 4.5
    idf = np.log(4 / np.array([3, 5, 1]) + 1)
    assert np.array_equal(inverse_frequencies(X), idf)
    tf = np.array([[3 / 4, 1 / 4, 0], [0, 4 / 5, 1 / 5]])
    np.testing.assert_allclose(c_tf_idf(X).toarray(), tf * idf, rtol=1e-15)
    reduced = c_tf_idf(X, reduce_frequent_words=True).toarray()
    np.testing.assert_allclose(reduced, np.sqrt(tf) * idf, rtol=1e-15)


def test_the_input_is_left_alone():
    X = csr_matrix((np.array([1, 2, 3]), np.array([1, 0, 0]), np.array([0, 3])), shape=(1, 2))
    before = X.indices.copy(), X.data.copy()
    c_tf_idf(X)
    assert np.array_equal(X.indices, before[0])
    assert np.array_equal(X.data, before[1])


@pytest.mark.parametrize(
    "X",
    [csr_matrix([[5], [2]]), csr_matrix((0, 4), dtype=np.int64), csr_matrix((3, 0), dtype=np.int64),
     csr_matrix([[1, 2], [0, 0]]), csr_matrix([[0, 2], [0, 1]]), csr_matrix([[1, 0], [0, 0]])],
    ids=["one term", "no topic", "no term", "empty topic", "absent term", "average below one"],
)  # fmt: skip
@pytest.mark.parametrize("bm25_weighting", [False, True])
def test_edges_have_results(X, bm25_weighting):
    weights = c_tf_idf(X, bm25_weighting=bm25_weighting)
    assert weights.shape == X.shape
    assert weights.dtype == np.float64
    assert np.isfinite(weights.toarray()).all()
    assert not weights.toarray()[X.toarray() == 0].any()


def test_seeds():
    factors = seed_multiplier("abcd", seed_words=["a", "b", "z"], seed_multiplier=3,
                              seed_topic_list=[["b"], ["c"]])  # fmt: skip
    assert factors.tolist() == [3.0, 1.2, 1.2, 1.0]
    assert seed_multiplier("ab") is None
    X = counts()
    idf = inverse_frequencies(X, multiplier=np.full(40, 2.0))
    assert np.array_equal(idf, inverse_frequencies(X) * 2)


def test_transformer_is_the_function_with_scikit_learns_habits():
    X = counts()
    model = ClassTfidfTransformer(bm25_weighting=True, seed_words=["a"], seed_multiplier=4)
    assert clone(model).get_params() == model.get_params()
    weights = model.fit_transform(X)
    assert (weights != c_tf_idf(X, bm25_weighting=True)).nnz == 0
    assert model.multiplier_for("ab").tolist() == [4.0, 1.0]
    assert model.describe()["seed_words"] == ["a"]
    with pytest.raises(NotFittedError, match="fit first"):
        clone(model).transform(X)


@pytest.mark.parametrize("model", [3, ClassTfidfTransformer, ClassTfidfTransformer(seed_words="ab"),
                                   ClassTfidfTransformer(bm25_weighting="maybe"),
                                   ClassTfidfTransformer(seed_multiplier=-1)])  # fmt: skip
def test_models_that_mean_nothing(model):
    with pytest.raises(SettingError, match="expected"):
        as_ctfidf(model)


def test_default_model():
    assert as_ctfidf(None).get_params() == ClassTfidfTransformer().get_params()
