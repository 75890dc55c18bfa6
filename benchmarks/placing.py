"""Placing documents outside the sample: ours beside umap-learn's `transform`, one thread each.

``python -m benchmarks placing [small|large]``: 20 Newsgroups by MiniLM (384 dimensions), a sample
of 4,700; Reddit titles by a static model (256 dimensions), a sample of 100,000. Both place the
same rows among umap-learn's own layout. CPU seconds are medians of interleaved runs. AMI with the
true labels, and agreement (adjusted Rand index, the median over umap-learn's other seeds), are each
given twice: of HDBSCAN's clusters of the places, and of the cluster of the sampled document that a
place is nearest to.
"""

import time
import warnings
from dataclasses import replace
from statistics import median

import numpy as np

from benchmarks.corpora import load, static

#: sample, rows to place, least size of a cluster, runs
SMALL, LARGE = (4_700, 12_000, 50, 3), (100_000, 30_000, 100, 3)
#: Of placing, for each of both.
SEEDS = (42, 43, 44)
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
    seconds = cpu(theirs.fit, sample)[0]
    print(f"{name}: {len(sample):,} rows in {X.shape[1]} dimensions, fit {seconds:.0f} s of CPU")
    ours = given(theirs).fit(sample)
    ways = {"umap-learn": theirs.transform, "ours": ours.transform}
    for way in ways.values():
        way(Q[:64])
    spent = {name: [] for name in ways}
    for _ in range(runs):
        for way, place in ways.items():
            spent[way].append(cpu(place, Q)[0])
    for way, times in spent.items():
        print(f"  {way}: {len(Q) / median(times):,.0f} documents a CPU-second", flush=True)
    faithful(theirs, ours, sample, Q, labels, least)


def faithful(theirs, ours, sample, Q, labels, least):
    """Compare places with umap-learn's, and umap-learn's with those of its other seeds."""
    from sklearn.manifold import trustworthiness
    from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

    from dtopics.reduction import ExactNeighbors

    kth = ExactNeighbors(sample, "cosine").query(Q[:TRUSTED], 15)[1][:, -1:]
    found = ours._index.query(Q[:TRUSTED], 15)[1]
    print(f"  of the 15 nearest {(found <= kth + 1e-12).mean():.3f} are found")
    ways = {f"umap-learn, seed {seed}": reseeded(theirs, seed).transform for seed in SEEDS}
    ways |= {f"ours, seed {seed}": replace(ours, transform_seed=seed).transform for seed in SEEDS}
    ways["umap-learn, exact neighbours"] = with_exact(theirs, sample).transform
    ways["ours, exact neighbours"] = replace(ours, cells=None).transform
    for epochs in (0, 100):
        ways[f"ours, {epochs} epochs"] = replace(ours, n_epochs=epochs).transform
    of_sample, own, near, placed = clusters(theirs.embedding_, least), {}, {}, {}
    for way, place in ways.items():
        placed[way] = places = place(Q)
        own[way], near[way] = clusters(places, least), nearest(theirs.embedding_, places, of_sample)
    for way, places in placed.items():
        trust = trustworthiness(Q[:TRUSTED], places[:TRUSTED], n_neighbors=15, metric="cosine")
        others = [other for other in ways if other.startswith("umap-learn, seed") and other != way]
        agree = [
            median([adjusted_rand_score(found[way], found[other]) for other in others])
            for found in (own, near)
        ]
        print(
            f"  {way}: trustworthiness {trust:.4f}, "
            f"AMI {adjusted_mutual_info_score(labels, own[way]):.3f} and "
            f"{adjusted_mutual_info_score(labels, near[way]):.3f}, "
            f"agreement with umap-learn {agree[0]:.3f} and {agree[1]:.3f}, "
            f"{own[way].max() + 1} clusters, {(own[way] < 0).mean():.1%} outliers",
            flush=True,
        )


def clusters(places, least):
    """Return the clusters of places by HDBSCAN, none of them over 0.8 of the places."""
    import hdbscan

    most = int(0.8 * len(places))
    model = hdbscan.HDBSCAN(
        least, max_cluster_size=most, approx_min_span_tree=False, core_dist_n_jobs=1
    )
    return model.fit_predict(np.asarray(places, dtype=np.float64))


def nearest(embedding, places, of_sample):
    """Return the cluster of the sampled document that each place is nearest to."""
    from scipy.spatial import cKDTree

    return of_sample[cKDTree(embedding).query(places)[1]]


def reseeded(estimator, seed):
    """Return umap-learn's estimator with another seed for placing."""
    import copy

    other = copy.copy(estimator)
    other.transform_seed = seed
    return other


def with_exact(estimator, sample):
    """Return umap-learn's estimator with our exact neighbours in place of its search."""
    import copy

    from dtopics.reduction import ExactNeighbors

    class Exact:
        _angular_trees = True

        def query(self, X, k, **_):
            return ExactNeighbors(sample, "cosine").query(X, k)

    other = copy.copy(estimator)
    other._knn_search_index = Exact()
    return other


def given(estimator):
    """Return our UMAP, whose layout of the sample is the estimator's."""
    from dtopics.reduction import UMAP

    class Given(UMAP):
        def _layout(self, *_):
            places = np.asarray(estimator.embedding_, dtype=np.float32)
            return places, float(estimator._a), float(estimator._b)

    return Given()


def cpu(work, rows):
    """Return the CPU seconds and the result."""
    started = time.process_time()
    result = work(rows)
    return time.process_time() - started, result
