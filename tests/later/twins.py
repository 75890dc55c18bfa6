"""A corpus of docstrings, and BERTopic beside dtopics on the same classes."""

import datetime as dt
import inspect
import warnings
from dataclasses import dataclass

import numpy as np

from dtopics import TopicModel


@dataclass
class Twins:
    texts: list
    vectors: np.ndarray
    labels: np.ndarray
    times: list
    classes: list

    def ours(self, run=None, client=None, **params):
        params = {"block_size": len(self.texts), **params}  # one block needs no cluster
        model = TopicModel(hdbscan_model=_no_clusterer(), umap_model=_no_reducer(), run=run,
                           min_df_scope="topic", **params)  # fmt: skip
        return model.fit(self.texts, self.vectors, y=self.labels, client=client)

    def theirs(self, **params):
        from bertopic import BERTopic
        from bertopic.cluster import BaseCluster
        from bertopic.dimensionality import BaseDimensionalityReduction

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = BERTopic(language="multilingual", umap_model=BaseDimensionalityReduction(),
                             hdbscan_model=BaseCluster(), **params)  # fmt: skip
            model.embedding_model = None
            model.fit_transform(self.texts, embeddings=self.vectors.copy(), y=self.labels)
        return model


def _no_clusterer():
    from bertopic.cluster import BaseCluster

    return BaseCluster()


def _no_reducer():
    from bertopic.dimensionality import BaseDimensionalityReduction

    return BaseDimensionalityReduction()


def paragraphs(n):
    import scipy.sparse
    import scipy.stats

    docs = [inspect.getdoc(vars(module)[name]) or "" for module in (np, scipy.sparse, scipy.stats)
            for name in sorted(vars(module)) if not name.startswith("_")]  # fmt: skip
    found = (part for text in docs for part in text.split("\n\n") if len(part.split()) > 7)
    texts = list(dict.fromkeys(found))[:n]
    assert len(texts) == n
    return texts


def make_twins():
    """1,500 paragraphs of docstrings in 9 classes and outliers, of different sizes."""
    rng = np.random.default_rng(5)
    texts = paragraphs(1_500)
    labels = rng.choice(np.arange(-1, 9), len(texts), p=np.arange(10, 0, -1) / 55)
    centres = rng.normal(size=(10, 16))
    vectors = centres[labels + 1] + rng.normal(0, 0.3, (len(texts), 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    days = rng.integers(0, 40, len(texts))
    times = [dt.datetime(2021, 1, 1) + dt.timedelta(days=int(day)) for day in days]
    classes = [f"class {day % 7}" for day in days]
    vectors = vectors.astype(np.float16).astype(np.float32)  # as they are kept
    return Twins(texts, vectors, labels, times, classes)
