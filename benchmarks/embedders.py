"""What static embeddings save and cost: MiniLM beside what is distilled from it.

``python -m benchmarks embedders [--seeds=3] [--corpus=20newsgroups]`` appends a line of JSON for
each corpus, embedder and seed to ``benchmarks/out/embedders.jsonl`` (what is there is not done
again) and prints the medians. MiniLM's vectors are given or embedded once; static ones are embedded
on one core, and the documents a second of the embedding step are of CPU time.
"""

import functools
import json
import time

import numpy as np

from benchmarks.corpora import OUT, Labelled, load
from benchmarks.quality import dtopics

#: corpus, documents, min_cluster_size
CORPORA = (("20newsgroups", None, 50), ("agnews_test", None, 15), ("reddit_titles", 100_000, 100))
EMBEDDERS = ("MiniLM", "static")
BLOCK = 16_384


def main(options):
    seeds = next((int(o.partition("=")[2]) for o in options if o.startswith("--seeds=")), 3)
    only = next((o.partition("=")[2] for o in options if o.startswith("--corpus=")), None)
    file = OUT / "embedders.jsonl"
    OUT.mkdir(exist_ok=True)
    done = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    have = {(row["corpus"], row["embedder"], row["seed"]) for row in done}
    for name, n_documents, size in CORPORA:
        todo = [
            (embedder, seed) for seed in range(seeds) for embedder in EMBEDDERS
            if (name, embedder, seed) not in have and only in {None, name}
        ]  # fmt: skip
        given = load(name, n_documents) if todo else None
        for embedder, seed in todo:
            corpus, rate = (given, None) if embedder == "MiniLM" else by_static(given)
            labels, _, _ = dtopics(corpus, size, seed, None)
            row = {"corpus": name, "embedder": embedder, "seed": seed, "documents_a_second": rate,
                   **scored(corpus.labels, labels)}  # fmt: skip
            with file.open("a") as lines:
                lines.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)
    report([json.loads(line) for line in file.read_text().splitlines()])


@functools.cache
def static():
    from dtopics.embedding import as_embedder

    started = time.process_time()
    model = as_embedder("static").load()
    print(f"distilled in {time.process_time() - started:.0f} s of CPU time", flush=True)
    return model


def by_static(corpus):
    """Return the corpus with static embeddings, and how many documents a second it was."""
    from dtopics.data import Block, Documents
    from dtopics.embedding.steps import EmbedBlock

    static().encode(corpus.texts[:100])
    started, parts = time.process_time(), []
    for start in range(0, len(corpus.texts), BLOCK):
        texts = corpus.texts[start : start + BLOCK]
        step = EmbedBlock(lambda _, texts=texts: Documents(texts, None), static())
        parts.append(step(Block("0000", start // BLOCK, start, len(texts)))["embeddings"])
    rate = len(corpus.texts) / (time.process_time() - started)
    return Labelled(corpus.texts, corpus.labels, np.concatenate(parts).astype(np.float32)), rate


def scored(truth, labels):
    from sklearn.metrics import adjusted_mutual_info_score as ami

    inside = labels >= 0
    return {
        "ami": ami(truth, labels),
        "ami_clustered": ami(truth[inside], labels[inside]) if inside.any() else 0.0,
        "topics": len(set(labels[inside].tolist())),
        "outliers": float((~inside).mean()),
    }


def report(rows):
    """Print medians and the spread of AMI as Markdown."""
    import pandas as pd

    print("| corpus | embedder | AMI all (spread) | AMI clustered | topics | outliers "
          "| documents a CPU-second |")  # fmt: skip
    print("|---|---|---|---|---|---|---|")
    for (corpus, embedder), part in pd.DataFrame(rows).groupby(["corpus", "embedder"], sort=False):
        mid, rate = part.median(numeric_only=True), part["documents_a_second"].median()
        print(
            f"| {corpus} | {embedder} | {mid.ami:.3f} ({part.ami.min():.3f} to "
            f"{part.ami.max():.3f}) | {mid.ami_clustered:.3f} | {mid.topics:.0f} | "
            f"{mid.outliers:.0%} | {'' if np.isnan(rate) else f'{rate:,.0f}'} |"
        )
