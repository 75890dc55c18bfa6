"""What two bare processes gain over one on this machine: the most that two workers could.

``python -m benchmarks cores``: each kind of work runs for some seconds in one process and in two at
once, five times in turn (``cores 3``: three times), without Dask, a scheduler, a client or a store.
"""

import multiprocessing
import os
import statistics
import time

SECONDS, ROUNDS = 4.0, 5


def tokens():
    """Tokens of Reddit titles, numbered by dtopics' kernels."""
    import pandas as pd
    from sklearn.feature_extraction.text import CountVectorizer

    from benchmarks.corpora import FOLDER
    from dtopics.representation.tokens import tokenize_block
    from dtopics.representation.vectorizer import as_counting

    counting = as_counting(CountVectorizer())
    texts = pd.read_parquet(FOLDER / "reddit_titles.parquet", columns=["text"])["text"][:16_384]
    texts = texts.tolist()
    return lambda: tokenize_block(texts, counting)


def products():
    """Matrix products that stay in the caches."""
    import numpy as np

    left = np.random.default_rng(0).random((512, 256), np.float32)
    return lambda: [left @ left.T for _ in range(50)]


def sums():
    """Sums over 256 MiB: the memory's bandwidth."""
    import numpy as np

    values = np.ones(32 << 20)
    return values.sum


def placing():
    """Rows placed among a sample of 100,000 Reddit titles."""
    import numpy as np

    from benchmarks.corpora import static
    from dtopics.reduction.umap import _look_around
    from dtopics.reduction.umap_model import UMAPModel

    vectors = static("reddit_titles")[1][:104_096].astype(np.float32)
    X, Q = vectors[:100_000], vectors[100_000:]
    mean_distance, spacing, cells = _look_around(X, "cosine", 15, by_cells=True)
    model = UMAPModel(
        sample=X, embedding=X[:, :5].copy(), n_neighbors=15, metric="cosine", a=1.93, b=0.79,
        n_epochs=30, learning_rate=0.25, negative_sample_rate=5.0, repulsion_strength=1.0,
        local_connectivity=0.0, disconnection_distance=2.0, transform_seed=42,
        mean_distance=mean_distance, sample_spacing=spacing, cells=cells,
    )  # fmt: skip
    return lambda: model.transform(Q)


def epochs():
    """An epoch of the refinement: 75,000 of 300,000 rows, 25 edges each."""
    import numpy as np

    from dtopics.reduction._layout_kernels import draw_rows, mover, shares
    from dtopics.reduction._placing_kernels import force_curve
    from dtopics.reduction.layout import DRAWN

    rng, n, n_rows, n_edges = np.random.default_rng(0), 300_000, 75_000, 25
    places = rng.normal(size=(n, 5)).astype(np.float32)
    apart = rng.normal(scale=1_000, size=(n_rows, n_edges))  # as if by cell
    tails = np.clip(np.arange(n_rows)[:, None] + apart, 0, n - 1).astype(np.int32).ravel()
    offsets = np.arange(n_rows + 1) * n_edges
    weights, forces = shares(rng.random(tails.size) ** 2), force_curve(1.93, 0.79, 1.0)
    drawn, move = places[draw_rows(n, DRAWN, 0, 50)], mover(5)
    return lambda: move(
        places, 0, offsets, tails, weights, drawn, 0, 50, 200, 0.5, forces, 5.0
    )  # fmt: skip


def python():
    """A loop of Python."""
    return lambda: sum(i % 7 for i in range(200_000))


def work(kind, barrier, rates):
    """Do a kind of work for some seconds after all are ready; put how often in a second."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = "1"
    do = KINDS[kind]()
    do()
    barrier.wait()
    started, n = time.perf_counter(), 0
    while time.perf_counter() - started < SECONDS:
        do()
        n += 1
    rates.put(n / (time.perf_counter() - started))


KINDS = {
    "tokens": tokens, "placing": placing, "epochs": epochs, "products": products, "sums": sums,
    "python": python,
}  # fmt: skip


def rate(kind, n_processes):
    """Return how often a second all processes together do it."""
    context = multiprocessing.get_context("spawn")
    barrier, rates = context.Barrier(n_processes), context.Queue()
    processes = [
        context.Process(target=work, args=(kind, barrier, rates)) for _ in range(n_processes)
    ]
    for process in processes:
        process.start()
    total = sum(rates.get() for _ in processes)
    for process in processes:
        process.join()
    return total


def main(options):
    rounds = int(options[0]) if options else ROUNDS
    print(f"{os.cpu_count()} cores; two processes over one, median of {rounds} (least to most)")
    for kind, does in KINDS.items():
        gains = sorted(rate(kind, 2) / rate(kind, 1) for _ in range(rounds))
        shown = f"{statistics.median(gains):.2f} ({gains[0]:.2f} to {gains[-1]:.2f})"
        print(f"{does.__doc__.rstrip('.')}: {shown}", flush=True)
