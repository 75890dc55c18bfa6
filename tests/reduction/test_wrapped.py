import numpy as np
import pytest
from sklearn.decomposition import NMF
from sklearn.feature_selection import SelectKBest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler
from sklearn.random_projection import GaussianRandomProjection

from dtopics.errors import RunError, SettingError
from dtopics.reduction import Wrapped, as_reducer, load_model

from .contract import ReducerContract, clustered


class TestScaler(ReducerContract):
    n_components = 16
    trust = True

    def make(self):
        return Wrapped(MaxAbsScaler())


class Halves:
    """Not of scikit-learn: no `get_params`."""

    def __init__(self, n):
        self.n = n

    def fit(self, X):
        self.shift_ = X.mean()
        return self

    def transform(self, X):
        return X[:, : self.n] - self.shift_


class OneNumber(Halves):
    def transform(self, X):
        return np.zeros(3)


def test_the_users_object_is_never_changed():
    X, labels = clustered(60)
    selector, halves = SelectKBest(k=3), Halves(2)
    fitted = Wrapped(selector).fit(X, labels)
    assert not hasattr(selector, "scores_")
    np.testing.assert_array_equal(fitted.embedding, SelectKBest(k=3).fit_transform(X, labels))
    assert Wrapped(halves).fit(X).embedding.shape == (60, 2)
    assert not hasattr(halves, "shift_")


def test_parameters_change_the_description():
    descriptions = [
        Wrapped(estimator).describe()
        for estimator in (
            Halves(1),
            Halves(2),
            MinMaxScaler(),
            MinMaxScaler(feature_range=(0, 2)),
            make_pipeline(MinMaxScaler()),
            make_pipeline(MinMaxScaler(clip=True)),
        )
    ]
    assert all(descriptions.count(description) == 1 for description in descriptions)
    assert descriptions[2]["version"]


def test_seeds_reach_every_part():
    pipeline = make_pipeline(MinMaxScaler(), NMF(2), GaussianRandomProjection(2, random_state=5))
    steps = as_reducer(pipeline, random_state=7).estimator.named_steps
    assert steps["nmf"].random_state == 7
    assert steps["gaussianrandomprojection"].random_state == 5
    assert pipeline.named_steps["nmf"].random_state is None


def test_a_pickle_is_opened_only_with_trust():
    params, arrays = Wrapped(MaxAbsScaler()).fit(clustered(10)[0]).to_arrays()
    assert params["kind"] == "foreign"
    assert arrays["pickle"].dtype == np.uint8
    with pytest.raises(RunError, match="trust=True"):
        load_model(params, arrays)


def test_failures_of_the_object_are_named():
    X, _ = clustered(10)
    with pytest.raises(SettingError, match="NMF could not be fit"):
        Wrapped(NMF(2)).fit(X)
    with pytest.raises(SettingError, match=r"OneNumber.transform returned shape \(3,\)"):
        Wrapped(OneNumber(1)).fit(X)
