"""Placing documents outside the sample: ours beside umap-learn's `transform`, one thread each.

``python -m benchmarks placing [small|large]``: 20 Newsgroups by MiniLM (384 dimensions), a sample
of 4,700; Reddit titles by a static model (256 dimensions), a sample of 100,000. Both place the
same rows among umap-learn's own layout. CPU seconds are medians of interleaved runs.
"""

import time
import warnings
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

import numpy as np

from benchmarks.corpora import load, static

#: sample, rows to place, least size of a cluster, runs
SMALL, LARGE = (4_700, 12_000, 50, 3), (100_000, 30_000, 100, 3)
#: Rows that trustworthiness is measured on.
TRUSTED = 4_000


def main(options):
    import numba
    from threadpoolctl import threadpool_limits

    numba.set_num_threads(1)
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if "large" not in options:
            corpus = load("20newsgroups")
            compare("20 Newsgroups", corpus.labels, corpus.embeddings, *SMALL)
        if "small" not in options:
            compare("Reddit titles", *static("reddit_titles"), *LARGE)


def compare(name, labels, vectors, n_sample, n_rows, least, runs):
    """Print a line of figures for each way of placing."""
    import umap

    rows = np.random.default_rng(0).permutation(len(vectors))
    rows = rows[: n_sample + n_rows]
    X, labels = vectors[np.sort(rows)].astype(np.float32), labels[np.sort(rows)]
    filled = np.abs(X).max(axis=1) > 0
    chosen = np.isin(np.sort(rows), rows[:n_sample])
    sample, Q = X[chosen & filled], X[~chosen & filled]
    labels = labels[~chosen & filled]
    settings = {"n_components": 5, "min_dist": 0.0, "metric": "cosine"}
    theirs = umap.UMAP(**settings, random_state=42, n_jobs=1)
    seconds = cpu(lambda: theirs.fit(sample))[0]
    print(f"{name}: {len(sample):,} rows in {X.shape[1]} dimensions, fit {seconds:.0f} s of CPU")
    ours = given(theirs).fit(sample)
    ways = {"umap-learn": theirs.transform, "ours": ours.transform}
    for way in ways.values():
        way(Q[:64])
    spent = {name: [] for name in ways}
    for _ in range(runs):
        for way, place in ways.items():
            spent[way].append(cpu(lambda: place(Q))[0])
    for way, times in spent.items():
        print(f"  {way}: {len(Q) / median(times):,.0f} documents a CPU-second", flush=True)
    faithful(theirs, ours, sample, Q, labels, least)


def faithful(theirs, ours, sample, Q, labels, least):
    """Compare places with umap-learn's, and umap-learn's with those of another seed."""
    from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score
    from sklearn.manifold import trustworthiness

    from dtopics.reduction.neighbors import ExactNeighbors

    exact = replace(ours, cells=None)
    if ours.cells is not None:
        kth = ExactNeighbors(sample, "cosine").query(Q[:TRUSTED], 15)[1][:, -1:]
        found = ours._index.query(Q[:TRUSTED], 15)[1]
        print(f"  of the 15 nearest {(found <= kth + 1e-12).mean():.3f} are found")
    first = clusters(theirs.transform(Q), least)
    ways = {
        "umap-learn": theirs.transform,
        "umap-learn, other seed": lambda Q: reseeded(theirs, 43).transform(Q),
        "ours": ours.transform,
        "ours, other seed": replace(ours, transform_seed=43).transform,
        "ours, exact neighbours": exact.transform,
        **{
            f"ours, {epochs} epochs": replace(ours, n_epochs=epochs).transform
            for epochs in (0, 15, 30, 50, 100, 200)
            if epochs != ours.n_epochs
        },
    }
    for way, place in ways.items():
        places = place(Q)
        found = clusters(places, least)
        trust = trustworthiness(Q[:TRUSTED], places[:TRUSTED], n_neighbors=15, metric="cosine")
        ami = adjusted_mutual_info_score(labels, found)
        agreement = adjusted_rand_score(first, found)
        print(
            f"  {way}: trustworthiness {trust:.4f}, AMI {ami:.3f}, agreement {agreement:.3f}, "
            f"{found.max() + 1} clusters, {(found < 0).mean():.1%} outliers",
            flush=True,
        )


def clusters(places, least):

    import hdbscan

    model = hdbscan.HDBSCAN(least, approx_min_span_tree=False, core_dist_n_jobs=1)
    return model.fit_predict(np.asarray(places, dtype=np.float64))


def reseeded(estimator, seed):
    import copy

    other = copy.copy(estimator)
    other.transform_seed = seed
    return other


def given(estimator):
    """Return our UMAP, whose layout of the sample is the estimator's."""
    from dtopics.reduction import UMAP

    @dataclass(frozen=True)
    class Given(UMAP):
        layout: Any = field(default=None, compare=False)

        def _layout(self, rows, y, n_neighbors):
            return self.layout

    places = np.asarray(estimator.embedding_, dtype=np.float32)
    return Given(layout=(places, float(estimator._a), float(estimator._b)))


def cpu(work):
    """Return the CPU seconds and the result."""
    started = time.process_time()
    result = work()
    return time.process_time() - started, result
