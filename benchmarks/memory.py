"""The client's memory at 100,000 and at 1,000,000 Reddit titles, embeddings given as Zarr.

``python -m benchmarks memory``: each size in a process of its own, on two workers.
"""

import subprocess
import sys
import tempfile

import numpy as np

from benchmarks.corpora import FOLDER

CODE = """
import resource, sys
from dtopics import HDBSCAN, Corpus, TopicModel
from dtopics.execution.cluster import LocalSettings, local_cluster
documents, vectors, run = sys.argv[1:4]
with local_cluster(LocalSettings(workers=2)) as client:
    clusterer = HDBSCAN(500, min_samples=10)
    model = TopicModel(hdbscan_model=clusterer, sample_size=5_000, refine=False, run=run)
    corpus = Corpus(documents, text_column="text")
    topics, probabilities = model.fit_transform(corpus, vectors, client=client)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, model._topics.n_topics)
"""


def main(_options):
    import pyarrow.parquet as pq
    import zarr

    texts = pq.read_table(FOLDER / "reddit_titles.parquet", columns=["text"])
    peaks = {}
    with tempfile.TemporaryDirectory() as folder:
        for n in (100_000, 1_000_000):
            pq.write_table(texts[:n], f"{folder}/{n}.parquet", row_group_size=65_536)
            rng = np.random.default_rng(0)
            centres = rng.normal(size=(60, 64))
            array = zarr.create_array(
                f"{folder}/{n}.zarr", shape=(n, 64), chunks=(65_536, 64), dtype="f2"
            )
            for start in range(0, n, 65_536):
                stop = min(start + 65_536, n)
                rows = centres[rng.integers(0, 60, stop - start)]
                rows = rows + rng.normal(0, 0.5, rows.shape)
                array[start:stop] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
            command = [sys.executable, "-c", CODE, f"{folder}/{n}.parquet", f"{folder}/{n}.zarr",
                       f"{folder}/run-{n}"]  # fmt: skip
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            peaks[n], topics = (float(word) for word in done.stdout.split()[-2:])
            print(
                f"{n:,} titles: client's peak {peaks[n]:.0f} MiB, {topics:.0f} topics", flush=True
            )
    print(f"difference: {peaks[1_000_000] - peaks[100_000]:+.0f} MiB")
