"""UMAP's fit of a large sample: ours beside umap-learn's, seeded and not.

``python -m benchmarks fitting [n_rows] [n_seeds]``: Reddit titles by a static model (256 features),
100,000 by default. Each fit runs in a process of its own, all of them in turns: wall and CPU
seconds, peak memory, and HDBSCAN's topics of the layout beside the subreddits.
"""

import json
import resource
import subprocess
import sys
import time
import warnings
from statistics import median

import numpy as np

from benchmarks.corpora import static

WAYS = ("umap-learn, seeded", "umap-learn, no seed", "dtopics")


def main(options):
    numbers = [int(option) for option in options if option.isdigit()]
    task = next((option for option in options if option.startswith("{")), None)
    if task is not None:
        print(json.dumps(fitted(**json.loads(task))))
        return
    n, seeds = (*numbers, *(100_000, 3)[len(numbers) :])
    found = {way: [] for way in WAYS}
    for seed in range(seeds):
        for way in WAYS:
            task = json.dumps({"way": way, "seed": seed, "n": n})
            command = [sys.executable, "-m", "benchmarks", "fitting", task]
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            found[way].append(json.loads(said.splitlines()[-1]))
    print(f"{n:,} rows, medians of {seeds}")
    for way, rows in found.items():
        middle = {name: median(row[name] for row in rows) for name in rows[0]}
        spread = sorted(row["AMI"] for row in rows)
        print(
            f"{way:20} {middle['wall']:6.0f} s, {middle['cpu']:6.0f} s of CPU, "
            f"{middle['peak_mib']:5.0f} MiB; AMI {middle['AMI']:.3f} "
            f"({spread[0]:.3f} to {spread[-1]:.3f}) / {middle['AMI_clustered']:.3f}, "
            f"{middle['topics']:.0f} topics, {middle['outliers']:.0%} outliers"
        )


def fitted(way, seed, n):
    from sklearn.metrics import adjusted_mutual_info_score

    from dtopics.clustering import HDBSCAN
    from dtopics.execution.threads import available_cores, numeric_threads

    labels, vectors = static("reddit_titles")
    rows = np.sort(np.random.default_rng(seed).choice(len(labels), min(n, len(labels)), False))
    X, labels = vectors[rows], labels[rows]
    filled = X.any(axis=1)
    X, labels = X[filled], labels[filled]
    with numeric_threads(available_cores()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        started, spent = time.perf_counter(), time.process_time()
        places = ours(X, seed) if way == "dtopics" else theirs(X, seed, seeded="no" not in way)
        row = {"wall": time.perf_counter() - started, "cpu": time.process_time() - spent}
    row["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    topics = HDBSCAN(min_cluster_size=max(10, n // 1_000)).fit_predict(places)
    inside = topics >= 0
    return {
        **row,
        "AMI": adjusted_mutual_info_score(labels, topics),
        "AMI_clustered": adjusted_mutual_info_score(labels[inside], topics[inside]),
        "topics": int(topics.max()) + 1,
        "outliers": float(1 - inside.mean()),
    }


def ours(X, seed):
    from dtopics import UMAP

    return UMAP(random_state=seed).fit(X).embedding


def theirs(X, seed, *, seeded):
    import umap

    state = {"random_state": seed, "n_jobs": 1} if seeded else {}
    settings = {"n_neighbors": 15, "n_components": 5, "min_dist": 0.0, "metric": "cosine"}
    return umap.UMAP(**settings, **state).fit_transform(X.astype(np.float32))


if __name__ == "__main__":
    main(sys.argv[1:])
