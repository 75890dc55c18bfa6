"""What a document costs, stage by stage, from whole runs, and what larger runs would take.

``python -m benchmarks costs`` reads ``benchmarks/out/scale.jsonl``, which ``make bench-scale``
wrote: CPU microseconds a document of each stage by size (a picture of it goes to
``docs/cost_per_document.png``), and, on paper, time, storage and money of larger runs. Prices and
the rate of a GPU are options: ``--core-hour=0.045 --gpu-hour=1.0 --gpu-rate=2000``.
"""

import json
from collections import defaultdict
from pathlib import Path

from benchmarks.corpora import OUT

REAL = "reddit_titles"
PICTURE = Path(__file__).parent.parent / "docs" / "cost_per_document.png"
#: Groups of stages, in the order of a run.
GROUPS = {
    "reading, tokens, terms": (
        "documents", "tokens", "sketches", "sketch", "terms", "term sums", "vocabulary",
    ),
    "embeddings taken": ("embeddings",),
    "sample, UMAP's fit": ("sample", "reducer"),
    "placing": ("reduced",),
    "refining: graph": ("cells", "coded", "neighbours", "graph"),
    "refining: epochs": ("moved", "refined", "moved model"),
    "clustering": (
        "point sample", "division", "scattered points", "layout", "parts", "forests",
        "lightest edges", "joined", "clusters",
    ),
    "counts, topics, examples": (
        "counts", "topic counts", "vectors", "centroids", "topics", "candidates", "examples",
        "assignments",
    ),
}  # fmt: skip
#: Stages that one worker does, of a size that does not grow with the corpus, and that grow with it.
FIXED, ONE_WORKER = ("reducer", "cells"), ("sample", "clusters", "topic counts", "centroids")
#: documents; workers of 4 cores; GPUs that embed
CLUSTERS = ((10_000_000, 4, 1), (100_000_000, 16, 4), (1_000_000_000, 64, 16))
CORES = 4
#: Bytes that a document leaves in a run: token ids, vectors of 384 float16 features, the rest.
STORED, REFINED = 30 + 768 + 80, 750


def main(options):
    given = dict(option.lstrip("-").split("=", 1) for option in options if "=" in option)
    price, gpu_price = float(given.get("core-hour", 0.045)), float(given.get("gpu-hour", 1.0))
    rate = float(given.get("gpu-rate", 2_000))
    lines = (OUT / "scale.jsonl").read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if row.get("corpus", REAL) == REAL]
    runs = by_method(rows)
    for method in ("dtopics, placed", "dtopics"):
        print(f"\n{method}: CPU microseconds a document")
        table(runs[method])
    draw(runs["dtopics"])
    speed_up(rows)
    print("\nOn paper")
    for n, workers, gpus in CLUSTERS:
        for method in ("dtopics, placed", "dtopics"):
            on_paper(runs[method], n, workers, gpus, method, price, gpu_price, rate)


def by_method(rows):
    """Return the last run of each method and size on two workers: seconds by stage."""
    runs = defaultdict(dict)
    for row in rows:
        if row.get("workers", 2) == 2 and "stages" in row:
            runs[row["method"]][row["n"]] = row["stages"]
    return runs


def speed_up(rows):
    """Print how much sooner two workers end each group of stages than one."""
    walls = {
        (row["method"], row["n"], row["workers"]): row["walls"] for row in rows if "walls" in row
    }
    for (method, n, workers), one in walls.items():
        two = walls.get((method, n, 2))
        if workers != 1 or two is None:
            continue
        print(f"\n{method}, {n:,}: seconds on one worker, on two, and their ratio")
        for group, names in GROUPS.items():
            seconds = [
                sum(wall for stage, wall in of.items() if name_of(stage) in names)
                for of in (one, two)
            ]
            if seconds[1]:
                print(f"| {group} | {seconds[0]:.0f} | {seconds[1]:.0f} | "
                      f"{seconds[0] / seconds[1]:.2f} |")  # fmt: skip


def name_of(stage):
    """Return a stage's name without the number of its round."""
    return stage.rstrip("0123456789").strip()


def group_of(stage):
    return next((g for g, names in GROUPS.items() if name_of(stage) in names), None)


def by_group(stages):
    seconds = dict.fromkeys(GROUPS, 0.0)
    for stage, (total, _, _) in stages.items():
        seconds[group_of(stage)] += total
    return seconds


def table(sizes):
    print("| stages | " + " | ".join(f"{n:,}" for n in sorted(sizes)) + " |")
    print("|---" * (len(sizes) + 1) + "|")
    found = {n: by_group(sizes[n]) for n in sorted(sizes)}
    for group in GROUPS:
        if any(seconds[group] for seconds in found.values()):
            costs = (f"{1e6 * seconds[group] / n:.0f}" for n, seconds in found.items())
            print(f"| {group} | " + " | ".join(costs) + " |")


def draw(sizes):
    """Draw the cost of a document in each group of stages against the size."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7.5, 4.5), layout="constrained")
    ns = sorted(sizes)
    found = [by_group(sizes[n]) for n in ns]
    for group in GROUPS:
        costs = [1e6 * seconds[group] / n for n, seconds in zip(ns, found, strict=True)]
        axes.plot(ns, costs, marker="o", label=group)
    axes.set(xscale="log", yscale="log", xlabel="documents", ylabel="CPU microseconds a document")
    axes.grid(visible=True, alpha=0.3)
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(PICTURE, dpi=120)
    print(f"\n{PICTURE}")


def on_paper(sizes, n, workers, gpus, method, price, gpu_price, rate):
    """Say what a run would take, from the cost of a document in the largest run measured."""
    measured = max(sizes)
    fixed = one = spread = 0.0
    for stage, (total, _, _) in sizes[measured].items():
        if name_of(stage) in FIXED:
            fixed += total
        elif name_of(stage) in ONE_WORKER:
            one += total / measured * n
        else:
            spread += total / measured * n
    embedding = n / rate / gpus
    seconds = fixed + one + spread / (workers * CORES)
    money = seconds / 3600 * workers * CORES * price + embedding / 3600 * gpus * gpu_price
    stored = n * (STORED + (0 if "placed" in method else REFINED))
    parts = {
        "embedding": embedding,
        "all workers": spread / (workers * CORES),
        "one worker": fixed + one,
    }
    hours = " | ".join(f"{seconds / 3600:.2f} h" for seconds in parts.values())
    print(
        f"| {n:,} | {method} | {workers} of {CORES} cores, {gpus} GPUs | {hours} | "
        f"{stored / 1e9:,.0f} GB | {money:,.0f} | {max(parts, key=parts.__getitem__)} |"
    )


if __name__ == "__main__":
    main([])
