"""What a document costs, stage by stage, from whole runs, and what larger runs would take.

``python -m benchmarks costs`` reads ``benchmarks/out/scale.jsonl``, which ``make bench-scale``
wrote: CPU microseconds a document of each stage by size (a picture of it goes to
``docs/cost_per_document.png``), the share of the time in which one worker does all, what two
workers gain over one, the memory of each stage by size, and, on paper, time, storage and money of
larger runs. Prices, the rate of a GPU, and the gigabytes a second that a worker reads are options:
``--core-hour=0.045 --gpu-hour=1.0 --gpu-rate=2000 --read=1``.
"""

import json
from collections import defaultdict
from pathlib import Path

import numpy as np

from benchmarks.corpora import OUT

REAL, MADE_UP = "reddit_titles", "made_up"
PICTURE = Path(__file__).parent.parent / "docs" / "cost_per_document.png"
#: Groups of stages, in the order of a run.
GROUPS = {
    "reading, tokens, terms": (
        "documents", "tokens", "sketches", "sketch", "terms", "term sums", "vocabulary",
    ),
    "embeddings taken": ("embeddings",),
    "sample, UMAP's fit": ("sample", "reducer"),
    "placing": ("reduced",),
    "refining: graph": ("cells", "coded", "gathered", "neighbours", "graph"),
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
STORED, REFINED = 30 + 768 + 80, 946
#: Refining: bytes of a document's codes and places; epochs.
CODE_BYTES, PLACE_BYTES, EPOCHS = 256, 20, 200
#: Refining (`looking`): of so many documents, with how many each is compared; how often its codes
#: are read.
LOOKED = (
    (300_000, 1_128_958, 5_000_000, 10_000_000, 100_000_000, 1_000_000_000),
    (18_641, 25_169, 39_074, 56_621, 372_141, 3_624_818),
    (2, 9, 37, 69, 126, 595),
)
#: Bytes a document of the tree of HDBSCAN's edges, on one worker.
TREE_BYTES = 60


def main(options):
    given = dict(option.lstrip("-").split("=", 1) for option in options if "=" in option)
    price, gpu_price = float(given.get("core-hour", 0.045)), float(given.get("gpu-hour", 1.0))
    rate, read = float(given.get("gpu-rate", 2_000)), 1e9 * float(given.get("read", 1))
    lines = (OUT / "scale.jsonl").read_text().splitlines()
    rows = [{"corpus": REAL, **row} for row in map(json.loads, lines)]
    runs = by_method(rows)
    for corpus, method in ((REAL, "dtopics, placed"), (REAL, "dtopics"), (MADE_UP, "dtopics")):
        of_sizes = runs[corpus, method]
        if not of_sizes:
            continue
        print(f"\n{corpus}, {method}: CPU microseconds a document")
        table(of_sizes)
        serial(of_sizes)
        memory(of_sizes)
    draw({corpus: runs[corpus, "dtopics"] for corpus in (REAL, MADE_UP)})
    speed_up([row for row in rows if row["corpus"] == REAL])
    print(
        "\nOn paper: documents, method, workers; hours of embedding, of all workers, of reading, of"
    )
    print("one worker; storage, memory of one worker beside 1.5 GB, money, what takes longest")
    for n, workers, gpus in CLUSTERS:
        for method in ("dtopics, placed", "dtopics"):
            if runs[REAL, method]:
                on_paper(runs[REAL, method], n, workers, gpus, method, price, gpu_price, rate, read)


def by_method(rows):
    """Return the last run of each corpus, method and size on two workers."""
    runs = defaultdict(dict)
    for row in rows:
        if row.get("workers", 2) == 2 and not row.get("cores") and "stages" in row:
            runs[row["corpus"], row["method"]][row["n"]] = row
    return runs


def serial(sizes):
    """Print the share of the whole time in which one worker does a stage by itself."""
    for n, row in sorted(sizes.items()):
        alone = {
            stage: wall for stage, wall in row["walls"].items()
            if row["stages"].get(stage, (0, 0, 1))[2] == 1
        }  # fmt: skip
        most = sorted(alone, key=alone.get)[-3:][::-1]
        named = ", ".join(f"{stage} {alone[stage]:.0f}" for stage in most)
        print(f"{n:,}: {sum(alone.values()) / row['seconds']:.0%} by one worker alone "
              f"({sum(alone.values()):.0f} of {row['seconds']:.0f} s: {named})")  # fmt: skip


def memory(sizes):
    """Print MiB by size: all processes, the client, and the largest worker in each stage."""
    ns = [n for n in sorted(sizes) if "stage_mib" in sizes[n]]
    print("\n| MiB | " + " | ".join(f"{n:,}" for n in ns) + " |")
    print("|---" * (len(ns) + 1) + "|")
    whole = {"peak_mib": "all processes", "first_process_mib": "client"}
    for key, name in whole.items():
        print(f"| {name} | " + " | ".join(str(sizes[n][key]) for n in ns) + " |")
    for stages in GROUPS.values():
        for stage in stages:
            held = [most_of(sizes[n]["stage_mib"], stage) for n in ns]
            if any(held):
                print(f"| {stage} | " + " | ".join(map(str, held)) + " |")


def most_of(held, stage):
    """Return the most of a stage, or of all its rounds."""
    return max((mib for name, mib in held.items() if name_of(name) == stage), default=0)


def speed_up(rows):
    """Print how much sooner two workers end each stage that takes them a second than one."""
    walls = {
        (row["method"], row["n"], row.get("cores", 0), row["workers"]): row["walls"]
        for row in rows
        if "walls" in row
    }
    for (method, n, cores, workers), one in walls.items():
        two = walls.get((method, n, cores, 2))
        if workers != 1 or two is None:
            continue
        held = f", each on {cores} of a core" if cores else ""
        print(f"\n{method}, {n:,}: seconds on one worker, on two, and their ratio{held}")
        for stage, seconds in two.items():
            if seconds >= 1.0 and stage in one:
                print(f"| {stage} | {one[stage]:.1f} | {seconds:.1f} | "
                      f"{one[stage] / seconds:.2f} |")  # fmt: skip


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
    found = {n: by_group(sizes[n]["stages"]) for n in sorted(sizes)}
    for group in GROUPS:
        if any(seconds[group] for seconds in found.values()):
            costs = (f"{1e6 * seconds[group] / n:.0f}" for n, seconds in found.items())
            print(f"| {group} | " + " | ".join(costs) + " |")


def draw(corpora):
    """Draw the cost of a document in each group of stages against the size."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7.5, 4.5), layout="constrained")
    for (corpus, sizes), line in zip(corpora.items(), ("-", "--"), strict=True):
        axes.set_prop_cycle(None)
        ns = sorted(sizes)
        found = [by_group(sizes[n]["stages"]) for n in ns]
        for group in GROUPS:
            # a group that a size does not have is no point
            costs = [
                1e6 * of[group] / n if of[group] else None for n, of in zip(ns, found, strict=True)
            ]
            label = group if corpus == REAL else None
            axes.plot(ns, costs, line, marker="o", markersize=4, label=label)
    axes.set(xscale="log", yscale="log", xlabel="documents", ylabel="CPU microseconds a document",
             title="Reddit titles; made-up documents dashed, or single points")  # fmt: skip
    axes.grid(visible=True, alpha=0.3)
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(PICTURE, dpi=120)
    print(f"\n{PICTURE}")


def looked(n):
    """Return with how many of `n` documents each is compared, and how often its codes are read."""
    ns, compared, read = (np.log(values) for values in LOOKED)
    return [float(np.exp(np.interp(np.log(n), ns, values))) for values in (compared, read)]


def on_paper(sizes, n, workers, gpus, method, price, gpu_price, rate, read):
    """Say what a run would take, from the cost of a document in the largest run measured.

    What grows faster than the corpus is added: with how many a document is compared, and how often
    its codes are read; every worker reads all places in each epoch.
    """
    measured = max(sizes)
    fixed = one = spread = 0.0
    for stage, (total, _, _) in sizes[measured]["stages"].items():
        if name_of(stage) in FIXED:
            fixed += total
        elif name_of(stage) in ONE_WORKER:
            one += total / measured * n
        else:
            more = looked(n)[0] / looked(measured)[0] if stage == "neighbours" else 1
            spread += total / measured * n * more
    embedding = n / rate / gpus
    refines = "placed" not in method
    codes, places = n * looked(n)[1] * CODE_BYTES / workers, EPOCHS * n * PLACE_BYTES
    reading = (codes + places) / read if refines else 0.0
    seconds = fixed + one + reading + spread / (workers * CORES)
    money = seconds / 3600 * workers * CORES * price + embedding / 3600 * gpus * gpu_price
    stored = n * (STORED + REFINED * refines)
    memory = n * max(TREE_BYTES, PLACE_BYTES * refines)
    parts = {
        "embedding": embedding,
        "all workers": spread / (workers * CORES),
        "reading": reading,
        "one worker": fixed + one,
    }
    hours = " | ".join(f"{seconds / 3600:.2f}" for seconds in parts.values())
    print(
        f"| {n:,} | {method} | {workers} of {CORES} cores, {gpus} GPUs | {hours} | "
        f"{stored / 1e9:,.0f} GB | {memory / 1e9:.1f} GB | {money:,.0f} | "
        f"{max(parts, key=parts.__getitem__)} |"
    )


if __name__ == "__main__":
    main([])
