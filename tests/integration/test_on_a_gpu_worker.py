"""cuML's objects, by stand-ins of the same interface: they work where a GPU is."""

import numpy as np
from sklearn.base import BaseEstimator

from dtopics import TopicModel
from dtopics.testing import made_up


class OnDevice:
    """An array that a GPU holds: NumPy cannot have it without asking."""

    def __init__(self, values):
        self._values = values

    def get(self):
        return self._values

    def __array__(self, *_, **__):
        raise TypeError("Implicit conversion to a NumPy array is not allowed")


def check_device():
    from distributed import get_worker

    if not get_worker().state.total_resources.get("GPU"):
        raise RuntimeError("no CUDA device is there")


class UMAP(BaseEstimator):
    """``cuml.manifold.UMAP``'s interface; random directions in its place."""

    def __init__(self, n_neighbors=15, n_components=2, min_dist=0.1, metric="euclidean",
                 random_state=None, y_seen=None):  # fmt: skip
        self.n_neighbors = n_neighbors
        self.n_components = n_components
        self.min_dist = min_dist
        self.metric = metric
        self.random_state = random_state
        self.y_seen = y_seen

    def fit(self, X, y=None, convert_dtype=True):
        check_device()
        rng = np.random.default_rng(self.random_state)
        self.axes_ = rng.normal(size=(X.shape[1], self.n_components))
        return self

    def transform(self, X, convert_dtype=True):
        check_device()
        return OnDevice((X @ self.axes_).astype(np.float32))


class HDBSCAN(BaseEstimator):
    """``cuml.cluster.HDBSCAN``'s parameters; dtopics clusters by its own."""

    def __init__(self, min_cluster_size=5, min_samples=None, cluster_selection_epsilon=0.0,
                 max_cluster_size=0, metric="euclidean", alpha=1.0, p=None,
                 cluster_selection_method="eom", allow_single_cluster=False,
                 gen_min_span_tree=False, build_algo="brute_force"):  # fmt: skip
        for name, value in list(locals().items()):
            if name != "self":
                setattr(self, name, value)

    def fit(self, X):
        raise AssertionError("ours is exact and over all workers")


UMAP.__module__ = "cuml.manifold.umap"
HDBSCAN.__module__ = "cuml.cluster.hdbscan.hdbscan"


def test_cumls_objects_work_where_a_gpu_is(with_a_gpu):
    made = made_up(300, 3, random_state=0)
    model = TopicModel(umap_model=UMAP(n_components=5), hdbscan_model=HDBSCAN(20), block_size=60)
    model.fit(made.texts, made.embeddings, client=with_a_gpu)
    assert sum(topic >= 0 for topic in model.topic_sizes_) >= 2
    run = model._run
    receipts = [run.fitted("reducer").whole_receipt(), *run.fitted("reduced").receipts()]
    places = {receipt.worker for receipt in receipts}
    found = with_a_gpu.scheduler_info(n_workers=-1)["workers"]
    assert places == {address for address, w in found.items() if w["resources"].get("GPU")}
    assert len({r.worker for r in run.fitted("tokens").receipts()}) == 2
    topics, _ = model.transform(made.texts[:50], made.embeddings[:50], client=with_a_gpu)
    assert topics == model.topics_[:50]
