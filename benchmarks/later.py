"""Steps after a fit: seconds, and peak memory of all processes together, at any size.

``python -m benchmarks later 1128958`` (Reddit titles, with their dates and subreddits): fits once,
without refinement, with static embeddings given and (1,2)-grams of ``min_df=10``, on two workers of
2 GiB, opens the run with new workers, as on another day, and takes each step by itself, each undone
before the next. The peak is of the client, the scheduler and both workers together.
"""

import functools
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.corpora import FOLDER, OUT
from benchmarks.scale import MIB, static, vectorizer, watch_all


def main(options):
    given = dict(option.lstrip("-").split("=", 1) for option in options if "=" in option)
    if "child" in given:
        child(Path(given["child"]))
        return
    sizes = [int(option) for option in options if option.isdigit()] or [100_000]
    OUT.mkdir(exist_ok=True)
    for n in sizes:
        with tempfile.TemporaryDirectory(dir=OUT) as name:
            folder = Path(name)
            prepared(n, folder)
            command = [sys.executable, "-m", "benchmarks", "later", f"--child={folder}"]
            process = subprocess.Popen(command)
            held = watch_all(process)
            for line in (folder / "steps.jsonl").read_text().splitlines():
                step = json.loads(line)
                start, stop = step.pop("start"), step.pop("stop")
                during = [total for when, total in held if start <= when <= stop + 0.5]
                row = {"n": n, **step, "seconds": round(stop - start, 1),
                       "peak_mib": max(during, default=0) // MIB}  # fmt: skip
                print(json.dumps(row), flush=True)


def prepared(n, folder):
    import pandas as pd

    table = pd.read_parquet(FOLDER / "reddit_titles.parquet")
    vectors = static("reddit_titles", table["text"])
    if n < len(table):
        rows = np.sort(np.random.default_rng(0).choice(len(table), n, replace=False))
        table, vectors = table.iloc[rows], vectors[rows]
    cut = len(table) * 99 // 100
    table[:cut].to_parquet(folder / "documents.parquet", row_group_size=65_536)
    table[cut:].to_parquet(folder / "more.parquet", row_group_size=65_536)
    np.save(folder / "embeddings.npy", vectors[:cut])
    np.save(folder / "more.npy", vectors[cut:])


def child(folder):
    from dtopics import Corpus, TopicModel
    from dtopics.execution.cluster import LocalSettings, local_cluster

    columns = {"text_column": "text", "timestamp_column": "date", "class_column": "label"}
    with local_cluster(LocalSettings(workers=2, memory_limit="2GiB")) as client:
        model = TopicModel(min_topic_size=100, vectorizer_model=vectorizer(), refine=False,
                           run=str(folder / "run"))  # fmt: skip

        def timed(name, step, **more):
            start = time.time()
            found = step()
            line = {"step": name, "start": start, "stop": time.time(), **more}
            line["topics"] = sum(topic >= 0 for topic in model.topic_sizes_)
            with (folder / "steps.jsonl").open("a") as lines:
                lines.write(json.dumps(line) + "\n")
            return found

        corpus = Corpus(str(folder / "documents.parquet"), **columns)
        timed("fit", lambda: model.fit(corpus, str(folder / "embeddings.npy"), client=client))
        client.restart()
        model = TopicModel.load(str(folder / "run"))
        timed("merge_topics", lambda: model.merge_topics(
            topics_to_merge=[[1, 2], [3, 4, 5]], client=client))  # fmt: skip
        model.undo(client=client)
        timed("reduce_topics(50)", lambda: model.reduce_topics(nr_topics=50, client=client))
        timed("undo", lambda: model.undo(client=client))
        timed("hierarchical_topics", model.hierarchical_topics)
        over_time = timed("topics_over_time(nr_bins=200)",
                          lambda: model.topics_over_time(nr_bins=200, client=client))  # fmt: skip
        per_class = timed("topics_per_class", lambda: model.topics_per_class(client=client))
        assert over_time["Frequency"].sum() == per_class["Frequency"].sum()
        new = {}
        for strategy in ("c-tf-idf", "embeddings", "distributions"):
            step = functools.partial(model.reduce_outliers, strategy=strategy, client=client)
            new[strategy] = timed(f"reduce_outliers({strategy})", step)
        timed("update_topics(topics)",
              lambda: model.update_topics(topics=new["embeddings"], client=client))  # fmt: skip
        model.undo(client=client)
        more = Corpus(str(folder / "more.parquet"), **columns)
        timed("partial_fit(1 %)", lambda: model.partial_fit(
            more, str(folder / "more.npy"), client=client))  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1:])
