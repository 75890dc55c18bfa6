import subprocess
import sys

import pytest
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.manifold import TSNE
from sklearn.preprocessing import MaxAbsScaler

from dtopics.errors import RunError, SettingError
from dtopics.reduction import UMAP, Linear, NoReduction, Wrapped, as_reducer, load_model


class BaseDimensionalityReduction:
    """As BERTopic's."""

    def fit(self, X=None, y=None):
        return self

    def transform(self, X):
        return X


class Halved(BaseDimensionalityReduction):
    def transform(self, X):
        return X / 2


def test_nothing_means_umap_with_bertopics_defaults():
    reducer = as_reducer(None, random_state=3)
    assert reducer == UMAP(15, 5, 0.0, "cosine", 3)


def test_no_reduction():
    assert as_reducer("none", random_state=0) == NoReduction()
    assert as_reducer(BaseDimensionalityReduction(), random_state=0) == NoReduction()
    assert isinstance(as_reducer(Halved(), random_state=0), Wrapped)


def test_linear_ones_are_known_and_seeded():
    for cls in (PCA, TruncatedSVD):
        estimator = cls(2)
        reducer = as_reducer(estimator, random_state=3)
        assert isinstance(reducer, Linear)
        assert reducer.estimator.random_state == 3
        assert estimator.random_state is None
        assert as_reducer(cls(2, random_state=1), random_state=3).estimator.random_state == 1


def test_any_other_transformer_is_wrapped_and_a_reducer_stays():
    reducer = as_reducer(MaxAbsScaler(), random_state=0)
    assert isinstance(reducer, Wrapped)
    assert as_reducer(reducer, random_state=0) is reducer


@pytest.mark.parametrize(
    "wrong", ["pca", 5, PCA, object(), TSNE()], ids=lambda wrong: type(wrong).__name__
)
def test_what_cannot_reduce_is_refused(wrong):
    with pytest.raises(SettingError, match="fit and transform"):
        as_reducer(wrong, random_state=0)


def test_unknown_kinds_are_refused():
    with pytest.raises(RunError, match="'cuml'"):
        load_model({"kind": "cuml"}, {})


def test_importing_loads_nothing_heavy():
    code = (
        "import sys, dtopics.reduction as r; r.as_reducer(None, random_state=0);"
        "print([m for m in ('umap', 'numba', 'sklearn', 'dask', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
