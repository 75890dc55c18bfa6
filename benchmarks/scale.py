"""The whole run beside BERTopic: wall time and peak memory of all processes together, and quality.

``python -m benchmarks scale 100000 300000`` (or ``make bench-scale``): sizes; further options:
``--corpus=reddit_titles`` (or ``made_up``), ``--methods="BERTopic;dtopics"``, ``--workers=2``,
``--memory=2GiB`` (of each), ``--size=100`` (the least size of a topic), ``--cores=0.75`` (the part
of a core that a worker may use, by a control group: as if on machines of their own, where client
and scheduler have what is left; needs root and control groups of version 1). Each method runs in a
process of its own, with the same static embeddings given (256 features), UMAP (15 neighbours, 5
components), HDBSCAN and ``CountVectorizer(ngram_range=(1, 2), min_df=10)``; BERTopic unseeded,
which is its fast way, and dtopics seeded. ``dtopics, placed`` does without refinement
(``refine=False``); ``dtopics, from text`` embeds too. A line of JSON for each goes to
``benchmarks/out/scale.jsonl``, its labels beside it; the last labels of all methods, of this call
or before, are compared over the documents that each of them put in a topic.
"""

import contextlib
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

from benchmarks.corpora import FOLDER, OUT
from benchmarks.quality import CoOccurrence, scored

METHODS = ("dtopics, placed", "dtopics", "dtopics, from text", "BERTopic")
MIB = 2**20
#: After how many microseconds a worker that has used its part of a core may go on.
PERIOD_US = 10_000
#: Documents that quality is measured on, at the most.
MOST_SCORED = 1_200_000


def main(options):
    given = dict(option.lstrip("-").split("=", 1) for option in options if "=" in option)
    if "child" in given:
        child(json.loads(given["child"]))
        return
    sizes = [int(option) for option in options if option.isdigit()] or [100_000]
    methods = given.get("methods", ";".join(METHODS)).split(";")
    OUT.mkdir(exist_ok=True)
    for n in sizes:
        with tempfile.TemporaryDirectory(dir=OUT) as folder:
            name = given.get("corpus", "reddit_titles")
            corpus, size = prepared(name, n, Path(folder)), int(given.get("size", 100))
            kept = f"{name}.{n}.{size}."
            for method in methods:
                task = {
                    "method": method, "folder": folder, "size": size,
                    "memory": given.get("memory", "2GiB"), "workers": int(given.get("workers", 2)),
                    "cores": float(given.get("cores", 0)),
                }  # fmt: skip
                about = {"workers": task["workers"], "cores": task["cores"]}
                row = {"corpus": name, "n": n, **about, **measured(task, corpus)}
                with (OUT / "scale.jsonl").open("a") as lines:
                    lines.write(json.dumps(row) + "\n")
                print(json.dumps(row), flush=True)
                labels = OUT / f"{kept}{method}.npy"
                labels.unlink(missing_ok=True)
                if "failed" not in row:
                    shutil.copy(Path(folder) / "labels.npy", labels)
            found = {path.stem.split(".")[-1]: np.load(path) for path in OUT.glob(f"{kept}*.npy")}
            if len(found) > 1:
                print(json.dumps({"n": n, **over_shared(corpus.labels, found)}), flush=True)


def over_shared(true, found):
    """Compare methods over the documents that all of them put in a topic.

    Each method's figure over its own clustered documents is of other documents than the next
    one's: one that leaves hard documents out looks better by it.
    """
    from sklearn.metrics import adjusted_mutual_info_score as ami

    shared = np.all([labels >= 0 for labels in found.values()], axis=0)
    rows = drawn_rows(len(true))
    rows = rows[shared[rows]]
    scores = {method: ami(true[rows], labels[rows]) for method, labels in found.items()}
    return {"shared": float(shared.mean()), "ami_shared": scores}


class Taken:
    """A part of a corpus, in a folder: texts, labels and embeddings."""

    def __init__(self, texts, labels):
        self.texts, self.labels = texts, labels


def prepared(name, n, folder):
    """Write `n` documents and their embeddings to a folder."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    if name == "made_up":
        from dtopics.testing import made_up

        made = made_up(n, 2_000, n_features=64, outliers=0.2, random_state=1)
        table, vectors = pd.DataFrame({"text": made.texts, "label": made.labels}), made.embeddings
        vectors = vectors.astype(np.float16)
    else:
        table = pd.read_parquet(FOLDER / f"{name}.parquet", columns=["text", "label"])
        vectors = static(name, table["text"])
    if n < len(table):
        rows = np.sort(np.random.default_rng(0).choice(len(table), n, replace=False))
        table, vectors = table.iloc[rows], vectors[rows]
    kept = pa.Table.from_pandas(table, preserve_index=False)
    pq.write_table(kept, folder / "documents.parquet", row_group_size=65_536)
    np.save(folder / "embeddings.npy", vectors)
    return Taken(table["text"].tolist(), pd.factorize(table["label"])[0])


def static(name, texts):
    """Return the corpus's static embeddings, float16, computed once."""
    path = OUT / f"{name}.static.npy"
    if not path.exists():
        from dtopics.embedding import as_embedder

        model = as_embedder("static").load()
        parts = [
            np.asarray(model.encode(texts[start : start + 65_536].tolist()), np.float16)
            for start in range(0, len(texts), 65_536)
        ]
        np.save(path, np.concatenate(parts))
    return np.load(path, mmap_mode="r")


def measured(task, corpus):
    """Run a method in a process of its own; return its figures."""
    command = [sys.executable, "-m", "benchmarks", "scale", f"--child={json.dumps(task)}"]
    started = time.perf_counter()
    process = subprocess.Popen(command)
    peaks, held = watch(process)
    seconds = time.perf_counter() - started
    if process.returncode:
        return {"method": task["method"], "failed": process.returncode, "seconds": seconds}
    found = json.loads((Path(task["folder"]) / "found.json").read_text())
    labels = np.load(Path(task["folder"]) / "labels.npy")
    words, ends = found.pop("words"), found.pop("ends", {})
    if ends:
        found["stage_mib"] = peak_of_stages(held, found["walls"], ends)
    corpus, labels = some_of(corpus, labels)
    row = scored(task["method"], corpus, CoOccurrence(corpus.texts), labels, words, seconds)
    return {**row, **peaks, **found}


def some_of(corpus, labels):
    """Return the documents that are scored."""
    rows = drawn_rows(len(labels))
    if len(rows) == len(labels):
        return corpus, labels
    return Taken([corpus.texts[row] for row in rows], corpus.labels[rows]), labels[rows]


def drawn_rows(n):
    """Return the numbers of the documents that are scored: all, or a draw where they are very many.

    The expected mutual information of thousands of clusters takes a quarter of an hour for five
    million.
    """
    if n <= MOST_SCORED:
        return np.arange(n)
    return np.sort(np.random.default_rng(0).choice(n, MOST_SCORED, replace=False))


def watch(process):
    """Wait for a process; return the peak MiB of it and all its children together, and of each.

    Also the times that were looked at, and the bytes of the largest child at each.
    """
    import psutil

    together, largest, first, children = 0, 0, 0, []
    parent = psutil.Process(process.pid)
    while process.poll() is None:
        held = []
        with contextlib.suppress(psutil.Error):
            for one in [parent, *parent.children(recursive=True)]:
                with contextlib.suppress(psutil.Error, OSError):
                    held.append(proportional(one.pid))
        if held:
            together, first = max(together, sum(held)), max(first, held[0])
            children.append((time.time(), max(held[1:], default=0)))
            largest = max(largest, children[-1][1])
        time.sleep(0.5)  # looking takes milliseconds for each process
    peaks = {
        "peak_mib": together // MIB,
        "first_process_mib": first // MIB,
        "largest_child_mib": largest // MIB,
    }
    return peaks, children


def watch_all(process):
    """Wait for a process; return the bytes of it and all its children together, by time."""
    import psutil

    found, parent = [], psutil.Process(process.pid)
    while process.poll() is None:
        with contextlib.suppress(psutil.Error, OSError):
            every = [parent, *parent.children(recursive=True)]
            found.append((time.time(), sum(proportional(one.pid) for one in every)))
        time.sleep(0.5)
    return found


def peak_of_stages(held, walls, ends):
    """Return the peak MiB of the largest child while each stage was at work."""
    return {
        stage: max(
            (n for when, n in held if end - walls[stage] - 0.6 <= when <= end), default=0
        ) // MIB
        for stage, end in ends.items()
    }  # fmt: skip


def proportional(pid):
    """Return the memory of a process, what it shares with others in equal parts."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def vectorizer():
    from sklearn.feature_extraction.text import CountVectorizer

    return CountVectorizer(ngram_range=(1, 2), min_df=10)


def child(task):
    warnings.simplefilter("ignore")
    folder = Path(task["folder"])
    labels, words, more = (bertopic if task["method"] == "BERTopic" else dtopics)(task, folder)
    np.save(folder / "labels.npy", labels)
    (folder / "found.json").write_text(json.dumps({"words": words, **more}))


def bertopic(task, folder):
    import hdbscan
    import pandas as pd
    import umap
    from bertopic import BERTopic

    texts = pd.read_parquet(folder / "documents.parquet")["text"].tolist()
    model = BERTopic(
        umap_model=umap.UMAP(n_neighbors=15, n_components=5, min_dist=0.0, metric="cosine"),
        hdbscan_model=hdbscan.HDBSCAN(min_cluster_size=task["size"], prediction_data=True),
        vectorizer_model=vectorizer(),
    )
    topics, _ = model.fit_transform(texts, np.load(folder / "embeddings.npy").astype(np.float32))
    words = [[w for w, _ in model.get_topic(t)] for t in sorted(set(topics)) if t >= 0]
    return np.array(topics), words, {}


def dtopics(task, folder):
    from dtopics import Corpus, TopicModel
    from dtopics.execution.cluster import LocalSettings, local_cluster

    given, settings = str(folder / "embeddings.npy"), {}
    if task["method"].endswith("from text"):
        given, settings = None, {"embedding_model": "static"}
    if task["method"].endswith("placed"):
        settings = {"refine": False}
    with (
        tempfile.TemporaryDirectory(dir=folder) as run,
        local_cluster(
            LocalSettings(workers=task["workers"], memory_limit=task["memory"])
        ) as client,
        StageSeconds() as stages,
    ):
        if task["cores"]:
            hold(client.run(os.getpid).values(), task["cores"])
        model = TopicModel(
            min_topic_size=task["size"], vectorizer_model=vectorizer(), run=run, verbose=True,
            **settings,
        )  # fmt: skip
        corpus = Corpus(str(folder / "documents.parquet"), text_column="text")
        labels, _ = model.fit_transform(corpus, given, client=client)
        words = [[w for w, _ in model.get_topic(t)] for t in model.topic_sizes_ if t >= 0]
        more = {
            "walls": stages.found, "ends": stages.ends, "stages": seconds_of(Path(run)),
        }  # fmt: skip
        return np.asarray(labels), words, more


def hold(pids, cores):
    """Let each process use so much of a core and no more, in control groups of this name."""
    for number, pid in enumerate(pids):
        group = Path(f"/sys/fs/cgroup/cpu/dtopics{number}")
        group.mkdir(exist_ok=True)
        (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
        (group / "cpu.cfs_quota_us").write_text(str(round(PERIOD_US * cores)))
        (group / "cgroup.procs").write_text(str(pid))


class StageSeconds(logging.Handler):
    """Collects what the log says of the seconds that each stage took, and when it was done."""

    def __enter__(self):
        self.found, self.ends = {}, {}
        logging.getLogger("dtopics").addHandler(self)
        return self

    def __exit__(self, *_):
        logging.getLogger("dtopics").removeHandler(self)

    def emit(self, record):
        said = re.fullmatch(r"(.+): done in ([\d.]+) s", record.getMessage())
        if said:
            self.found[said[1]], self.ends[said[1]] = float(said[2]), time.time()


def seconds_of(run):
    """Return the seconds of each stage's steps, summed over workers, and of its slowest."""
    stages = {}
    for path in run.glob("stages/*/*/receipts/**/*.json"):
        name = path.relative_to(run).parts[1]
        spent = json.loads(path.read_text()).get("seconds", 0.0)
        total, most, count = stages.get(name, (0.0, 0.0, 0))
        stages[name] = total + spent, max(most, spent), count + 1
    return {name: [round(v, 2) for v in values] for name, values in stages.items()}


if __name__ == "__main__":
    main(sys.argv[1:])
