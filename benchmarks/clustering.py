"""HDBSCAN*: CPU, wall time, bytes and memory, beside hdbscan and fast_hdbscan.

``python -m benchmarks clustering`` does all of them at small sizes; one at a time:

- ``clustering 1000000 4``: points and parts over two Dask workers of 3 GiB, phase by phase;
- ``clustering --trees=200000``: spanning trees in one process on one thread, by parts;
- ``clustering --fits=1000000``: fits over two workers in 4 and in 16 parts, and the references';
- ``clustering --dimensions=50000``: 2 to 50 dimensions;
- ``clustering --predict=200000``: new points and memberships;
- ``clustering --real``: the trees and labels of real corpora, reduced by UMAP, beside hdbscan's.

Made-up points: clusters of lognormal sizes, some bent, and a fifth of the points noise. CPU is that
of all processes, and what is compared runs in turns.
"""

import contextlib
import statistics
import sys
import tempfile
import threading
import time

import numpy as np

BLOCK_ROWS = 65_536
MIN_SAMPLES = 10
#: Turns of a comparison.
TURNS = 3


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
    """Do one benchmark, or all at small sizes."""
    named = {"trees": trees, "fits": fits, "dimensions": dimensions, "predict": prediction}
    if "--real" in options:
        real()
        return
    for option in options:
        name, _, n = option.lstrip("-").partition("=")
        if name in named:
            named[name](int(n))
            return
    numbers = [int(option) for option in options if option.isdigit()]
    over_dask(*numbers or (1_000_000, 4))
    if not numbers:
        for name, n in (("trees", 50_000), ("dimensions", 20_000), ("predict", 50_000)):
            named[name](n)


def min_cluster_size(n):
    return 50 if n <= 200_000 else 100


def in_turns(turns=TURNS, **contestants):
    """Print the median CPU seconds of each, and how many times the first's."""
    spent = {name: [] for name in contestants}
    for _ in range(turns):
        for name, contestant in contestants.items():
            spent[name].append(contestant())
            print(f"    {name}: {spent[name][-1]:.2f}", file=sys.stderr, flush=True)
    medians = {name: statistics.median(seconds) for name, seconds in spent.items()}
    first = next(iter(medians.values()))
    for name, median in medians.items():
        print(f"  {name:<28} {median:8.2f} s of CPU  {median / first:6.2f}", flush=True)


def timed(work, *args, **kwargs):
    def contestant():
        before = time.process_time()
        work(*args, **kwargs)
        return time.process_time() - before

    return contestant


def references(X):
    """Return whole fits of the other libraries, on one thread."""
    import fast_hdbscan
    import hdbscan

    size = min_cluster_size(len(X))
    theirs = hdbscan.HDBSCAN(size, MIN_SAMPLES, approx_min_span_tree=False, core_dist_n_jobs=1)
    fast = fast_hdbscan.HDBSCAN(min_cluster_size=size, min_samples=MIN_SAMPLES)
    return {"hdbscan": timed(theirs.fit, X), "fast_hdbscan": timed(fast.fit, X)}


@contextlib.contextmanager
def one_thread():
    import numba  # noqa: F401 (loaded before its threads are set)

    from dtopics.execution.threads import numeric_threads

    with numeric_threads(1):
        yield


def trees(n):
    """Compare the spanning tree by parts with the references' whole fits."""
    from dtopics.clustering import HDBSCAN
    from dtopics.clustering.spanning.memory import spanning_tree

    small, X = points(5_000), points(n)
    print(f"{n:,} points, 5 dimensions, one thread, {TURNS} turns")
    with one_thread():
        for contestant in (
            *references(small).values(),
            lambda: spanning_tree(small, min_samples=10, n_parts=4),
        ):
            contestant()
        ours = {
            f"tree in {n_parts} parts": timed(
                spanning_tree, X, min_samples=MIN_SAMPLES, n_parts=n_parts
            )
            for n_parts in (1, 4, 16, 64)
        }
        fit = HDBSCAN(min_cluster_size(n), MIN_SAMPLES).fit
        in_turns(**ours, **{"dtopics, whole fit": timed(fit, X)}, **references(X))


def dimensions(n):
    """Compare whole fits by dimension."""
    from dtopics.clustering import HDBSCAN

    for d in (2, 5, 10, 15, 20, 30, 50):
        X = points(n, d)
        with one_thread():
            fit = HDBSCAN(min_cluster_size(n), MIN_SAMPLES).fit
            fit(X[:5_000])
            for contestant in references(X[:5_000]).values():
                contestant()
            print(f"{n:,} points, {d} dimensions, one thread")
            in_turns(1, **{"dtopics, whole fit": timed(fit, X)}, **references(X))


def prediction(n):
    """Compare labels and memberships of new points with those of hdbscan."""
    import hdbscan

    from dtopics.clustering import HDBSCAN

    X = points(n + 20_000)
    X, new = X[:n], X[n:]
    size = min_cluster_size(n)
    with one_thread():
        theirs = hdbscan.HDBSCAN(
            size, MIN_SAMPLES, approx_min_span_tree=False, core_dist_n_jobs=1, prediction_data=True
        ).fit(X)
        ours = HDBSCAN(size, MIN_SAMPLES).fit(X).model_
        ours.predict(new[:100])
        labels, _ = ours.predict(new)
        expected, _ = hdbscan.approximate_predict(theirs, new)
        same = (labels == matched(ours.labels, theirs.labels_, expected)).mean()
        print(f"{len(new):,} new points, {n:,} trained on: {same:.2%} of the labels equal")
        in_turns(
            **{
                "dtopics, predict": timed(ours.predict, new),
                "hdbscan, approximate_predict": timed(hdbscan.approximate_predict, theirs, new),
            }
        )
        memberships(ours, theirs, X, new[:1_000])


def memberships(ours, theirs, X, new):
    import hdbscan

    from dtopics.clustering.membership import Membership, exemplar_rows

    clusters, tree = ours.clusters, ours.tree
    rows, labels = exemplar_rows(tree, clusters.chosen)
    table = Membership.of(
        clusters.parent, clusters.birth, clusters.max_lambda, clusters.chosen, X[rows], labels
    )

    def of_new():
        for some, joined in ours.join(new):
            table.of_new(new[some], joined.node, joined.lambdas, joined.density)

    def of_fitted():
        for start in range(0, len(X), 4_096):
            some = slice(start, start + 4_096)
            table.of_fitted(X[some], tree.point_node[some], tree.point_lambda[some])

    table.of_fitted(X[:10], tree.point_node[:10], tree.point_lambda[:10])
    of_new()
    print(f"memberships in {ours.n_clusters} clusters of {len(new):,} new points")
    theirs_of_new = timed(hdbscan.membership_vector, theirs, new)
    in_turns(**{"dtopics, new points": timed(of_new), "hdbscan, membership_vector": theirs_of_new})
    print(f"memberships of the {len(X):,} points themselves")
    theirs_of_all = timed(hdbscan.all_points_membership_vectors, theirs)
    in_turns(1, **{"dtopics, all points": timed(of_fitted), "hdbscan, all points": theirs_of_all})


def matched(ours, theirs, labels):
    """Return their labels by our numbers of the same clusters."""
    pairs = np.stack([theirs, ours], axis=1)[(theirs >= 0) & (ours >= 0)]
    numbers = np.full(theirs.max() + 2, -1)
    for cluster in range(theirs.max() + 1):
        among = pairs[pairs[:, 0] == cluster, 1]
        numbers[cluster] = np.bincount(among).argmax() if len(among) else -1
    return numbers[labels]


def real():
    """Compare trees, flat cuts and labels of real corpora with those of hdbscan."""
    import pandas as pd

    from benchmarks.corpora import FOLDER, load
    from benchmarks.scale import static
    from dtopics import UMAP

    def titles():
        texts = pd.read_parquet(FOLDER / "reddit_titles.parquet", columns=["text"])["text"]
        return np.asarray(static("reddit_titles", texts)[:100_000], np.float32)

    for name, embed in (
        ("20 Newsgroups, MiniLM", lambda: load("20newsgroups").embeddings),
        ("100,000 Reddit titles, static", titles),
    ):
        embeddings = embed()
        filled = np.flatnonzero(np.any(embeddings != 0, axis=1))
        compare(name, UMAP().fit(embeddings[filled]).embedding)


def compare(name, X):
    import hdbscan
    from sklearn.metrics import adjusted_rand_score

    from dtopics.clustering import HDBSCAN
    from dtopics.clustering.selection import CondensedTree, Selection, choose, label_points
    from dtopics.clustering.spanning.memory import spanning_tree

    size = min_cluster_size(len(X))
    theirs = hdbscan.HDBSCAN(
        size, MIN_SAMPLES, approx_min_span_tree=False, core_dist_n_jobs=1, gen_min_span_tree=True
    ).fit(X)
    edges = theirs.minimum_spanning_tree_.to_numpy()
    fitted = HDBSCAN(size, MIN_SAMPLES).fit(X)
    trees = {n: spanning_tree(X, min_samples=MIN_SAMPLES, n_parts=n) for n in (1, 4, 16, 64)}
    one = trees[1]
    print(f"{name}: {len(X):,} points, {fitted.labels_.max() + 1} clusters")
    print(f"  weights equal to the bit: {(np.sort(edges[:, 2]) == one.weight).all()}")
    cuts = np.quantile(one.weight, np.linspace(0.1, 0.99, 9))
    flat = [
        adjusted_rand_score(
            under(cut, edges[:, 0], edges[:, 1], edges[:, 2]),
            under(cut, one.one, one.other, one.weight),
        )
        for cut in cuts
    ]
    print(f"  flat cuts: ARI at least {min(flat)}")
    for n_parts, tree in trees.items():
        condensed = CondensedTree.of_edges(tree.one, tree.other, tree.weight, size)
        chosen = choose(condensed, Selection())
        found = label_points(chosen, condensed.point_node, condensed.point_lambda)
        same = (found[0] == fitted.labels_).all() and (found[1] == fitted.probabilities_).all()
        print(f"  {n_parts} parts: labels and probabilities equal to the bit: {same}")
    labels = matched(fitted.labels_, theirs.labels_, theirs.labels_)
    agree = labels == fitted.labels_
    apart = np.abs(theirs.probabilities_ - fitted.probabilities_)[agree]
    print(
        f"  labels beside hdbscan's: ARI {adjusted_rand_score(labels, fitted.labels_):.5f}, "
        f"{(~agree).sum()} points differ; of the others' probabilities "
        f"{(apart > 1e-6).sum()} differ by more than 1e-6"
    )
    other = hdbscan.HDBSCAN(
        size, MIN_SAMPLES, approx_min_span_tree=False, algorithm="prims_kdtree"
    ).fit(X)
    print(
        "  hdbscan's own two exact algorithms beside each other: ARI "
        f"{adjusted_rand_score(other.labels_, theirs.labels_):.5f}, and beside ours "
        f"{adjusted_rand_score(other.labels_, fitted.labels_):.5f}"
    )
    order = np.argsort(edges[:, 2], kind="stable")
    condensed = CondensedTree.of_edges(
        edges[order, 0].astype(np.int32), edges[order, 1].astype(np.int32), edges[order, 2], size
    )
    given, _ = label_points(
        choose(condensed, Selection()), condensed.point_node, condensed.point_lambda
    )
    ari = adjusted_rand_score(given, theirs.labels_)
    print(f"  our tree of hdbscan's edges: ARI {ari:.5f} with its labels", flush=True)


def under(cut, one, other, weight):
    """Return the components of the edges that are no heavier than a cut."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows = weight <= cut
    ends = one[rows].astype(int), other[rows].astype(int)
    n = len(one) + 1
    return connected_components(coo_array((np.ones(rows.sum()), ends), shape=(n, n)))[1]


def over_dask(n, n_parts):
    """Fit over two workers and print what each phase took."""
    X = points(n)
    with cluster() as client:
        fit_in_parts(client, points(200_000), 4)  # kernels are loaded from numba's cache
        phases, labels, peaks = fit_in_parts(client, X, n_parts)
    print(f"{n:,} points in {n_parts} parts, two workers of 3 GiB")
    print(f"  {'':<20} {'wall':>7} {'CPU':>8} {'read':>9} {'written':>9}")
    total = np.zeros(4)
    for name, figures in phases.items():
        total += figures
        print("  {:<20} {:6.1f}s {:7.1f}s {:6.0f} MB {:6.0f} MB".format(name, *figures))
    print("  {:<20} {:6.1f}s {:7.1f}s {:6.0f} MB {:6.0f} MB".format("all", *total))
    print(
        f"  peaks of the workers in block steps {peaks[0]}, in all {peaks[1]} MiB, "
        f"{labels.max() + 1} clusters, "
        f"{(labels < 0).mean():.1%} outliers",
        flush=True,
    )


def fits(n):
    """Compare fits over two workers, 4 and 16 parts, with the references'; all processes' CPU."""
    X = points(n)
    with cluster() as client, one_thread():
        fit_in_parts(client, points(200_000), 4)
        for contestant in references(points(5_000)).values():
            contestant()

        def ours(n_parts):
            phases, labels, _ = fit_in_parts(client, X, n_parts)
            found.append(labels)
            return sum(figures[1] for figures in phases.values())

        found = []
        print(f"{n:,} points, two workers of one thread; the references on one thread")
        in_turns(
            2,
            **{"dtopics, 4 parts": lambda: ours(4), "dtopics, 16 parts": lambda: ours(16)},
            **references(X),
        )
        print(f"  labels equal: {all((labels == found[0]).all() for labels in found)}")


@contextlib.contextmanager
def cluster():
    from dtopics.execution.cluster import LocalSettings, local_cluster

    with local_cluster(LocalSettings(workers=2, memory_limit="3GiB")) as client:
        yield client


def fit_in_parts(client, X, n_parts):
    """Return (wall, CPU, bytes read, written) of each phase, labels, and the workers' peaks."""
    import dask

    from dtopics.clustering import HDBSCAN
    from dtopics.clustering.steps import cluster_points
    from dtopics.execution.dask_executor import DaskExecutor
    from dtopics.store import Location, Run

    n, phases, in_blocks = len(X), {}, {}

    class Measured(DaskExecutor):
        def map_blocks(self, stage, *args, **kwargs):
            with measured(phases, stage.name), watched() as peaks:
                super().map_blocks(stage, *args, **kwargs)
            in_blocks.update({pid: max(peak, in_blocks.get(pid, 0)) for pid, peak in peaks.items()})

        def run(self, stage, *args):
            with measured(phases, stage.name):
                super().run(stage, *args)

    with (
        tempfile.TemporaryDirectory() as folder,
        dask.config.set({"dtopics.clustering.part-points": -(-n // n_parts)}),
        watched() as peaks,
    ):
        run = Run(Location(folder))
        run.state["segments"] = [{"name": "0000", "n_rows": n, "block_rows": BLOCK_ROWS}]
        reduced = run.stage("reduced", {})
        for block in run.blocks():
            rows = X[block.row_start : block.row_start + block.n_rows]
            reduced.write_block(block, {"reduced": rows})
        clusterer = HDBSCAN(min_cluster_size(n), MIN_SAMPLES).clusterer()
        executor = Measured(lambda: client, run.foreign)
        stage = cluster_points(run, clusterer, reduced, run.blocks(), executor)
        labels = np.concatenate([stage.array("labels", block) for block in run.blocks()])
    return (
        phases,
        labels,
        [[peak // 2**20 for peak in sorted(found.values())[-2:]] for found in (in_blocks, peaks)],
    )


def processes():
    import psutil

    me = psutil.Process()
    return [me, *me.children(recursive=True)]


@contextlib.contextmanager
def measured(phases, name):
    def now():
        alive = processes()
        io = [process.io_counters() for process in alive]
        cpu = sum(sum(process.cpu_times()[:2]) for process in alive)
        moved = sum(i.read_chars for i in io), sum(i.write_chars for i in io)
        return np.array([time.perf_counter(), cpu, *(count / 1e6 for count in moved)])

    before = now()
    yield
    phases[name] = now() - before


@contextlib.contextmanager
def watched():
    """Note the peak memory of this process's children."""
    peaks, done = {}, threading.Event()

    def watch():
        while not done.wait(0.1):
            for process in processes()[1:]:
                with contextlib.suppress(Exception):
                    rss = process.memory_info().rss
                    peaks[process.pid] = max(peaks.get(process.pid, 0), rss)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peaks
    finally:
        done.set()
        thread.join()
