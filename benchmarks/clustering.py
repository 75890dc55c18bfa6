"""CPU, wall time and memory of HDBSCAN* over two Dask workers.

``python -m benchmarks clustering 1000000 4``: points and parts. Made-up points in five dimensions:
clusters of lognormal sizes, some bent, and a fifth of the points noise.
"""

import tempfile
import threading
import time

import numpy as np

BLOCK_ROWS = 65_536


def points(n, d=5, seed=0):
    """Return made-up points, shape (n, d), float32."""
    rng = np.random.default_rng(seed)
    n_clusters = int(np.clip(0.35 * n**0.5, 20, 800))
    share = rng.lognormal(0, 1, n_clusters)
    sizes = rng.multinomial(int(n * 0.8), share / share.sum())
    regions = rng.uniform(0, 12, (max(4, n_clusters // 12), d))
    centres = regions[rng.integers(0, len(regions), n_clusters)] + rng.normal(
        0, 1.3, (n_clusters, d)
    )
    parts = []
    for size, centre in zip(sizes, centres, strict=True):
        rotation, _ = np.linalg.qr(rng.normal(size=(d, d)))
        rows = rng.normal(size=(size, d))
        rows[:, 1] += 0.5 * rows[:, 0] ** 2
        parts.append(centre + (rows * rng.lognormal(-1.9, 0.5, d)) @ rotation)
    n_noise = n - sizes.sum()
    parts.append(rng.uniform(-1, 13, (n_noise // 2, d)))
    around = regions[rng.integers(0, len(regions), n_noise - n_noise // 2)]
    parts.append(around + rng.normal(0, 1.6, around.shape))
    return rng.permutation(np.concatenate(parts).astype(np.float32))


def main(options):
    import dask
    import psutil

    from dtopics.clustering import HDBSCAN
    from dtopics.clustering.steps import cluster_points
    from dtopics.execution.cluster import LocalSettings, local_cluster
    from dtopics.execution.dask_executor import DaskExecutor
    from dtopics.store import Location, Run

    n, n_parts = (int(option) for option in (options or ["1000000", "4"])[:2])
    X = points(n)

    def processes():
        me = psutil.Process()
        return [me, *me.children(recursive=True)]

    def cpu():
        return sum(sum(p.cpu_times()[:2]) for p in processes())

    peaks, done = {}, threading.Event()

    def watch():
        while not done.wait(0.1):
            for process in processes():
                rss = process.memory_info().rss
                peaks[process.pid] = max(peaks.get(process.pid, 0), rss)

    with tempfile.TemporaryDirectory() as folder:
        run = Run(Location(folder))
        run.state["segments"] = [{"name": "0000", "n_rows": n, "block_rows": BLOCK_ROWS}]
        reduced = run.stage("reduced", {})
        for block in run.blocks():
            rows = X[block.row_start : block.row_start + block.n_rows]
            reduced.write_block(block, {"reduced": rows})
        with (
            local_cluster(LocalSettings(workers=2, memory_limit="3GiB")) as client,
            dask.config.set({"dtopics.clustering.part-points": -(-n // n_parts)}),
        ):
            before, started = cpu(), time.perf_counter()
            threading.Thread(target=watch, daemon=True).start()
            executor = DaskExecutor(lambda: client, run.foreign)
            clusterer = HDBSCAN(100, min_samples=10).clusterer()
            stage = cluster_points(run, clusterer, reduced, run.blocks(), executor)
            wall, spent = time.perf_counter() - started, cpu() - before
            done.set()
        labels = np.concatenate([stage.array("labels", block) for block in run.blocks()])
    largest = ", ".join(f"{peak / 2**20:.0f}" for peak in sorted(peaks.values())[-2:])
    print(
        f"{n:,} points in {n_parts} parts: {spent:.1f} s of CPU, {wall:.1f} s, "
        f"peaks {largest} MiB, {labels.max() + 1} clusters, {(labels < 0).mean():.1%} outliers"
    )
