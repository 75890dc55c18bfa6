"""What a block and a stage cost when the step does nothing, and what a real run spends beside it.

``python -m benchmarks overhead``: 2,000 blocks on two workers of one thread; then a fit of made-up
documents with embeddings given, whose stages' own seconds are compared with the whole. It is done
twice: the first has client and workers import and load what they need.
"""

import tempfile
import time

import numpy as np

N_BLOCKS = 2_000
N_DOCUMENTS = 60_000


class Nothing:
    def __call__(self, block):
        return {"x": np.zeros(block.n_rows, np.float32)}


def main(_options):
    from dtopics.execution.cluster import LocalSettings, local_cluster

    with local_cluster(LocalSettings(workers=2)) as client:
        for _ in range(3):
            nothing(client)
        for _ in range(2):
            real(client)


def nothing(client):
    """Time planning, scheduling, storage and receipts of blocks of one row."""
    from dtopics.corpus import Corpus, segment_from_table, segment_to_table
    from dtopics.execution.dask_executor import DaskExecutor
    from dtopics.store import Location, Run
    from dtopics.store.tables import read_table, table_bytes

    with tempfile.TemporaryDirectory() as folder:
        corpus_file = Location(f"{folder}/x.txt")
        corpus_file.write(b"a\n" * (N_BLOCKS * 10))
        started = time.perf_counter()
        run = Run(Location(f"{folder}/run"))
        segment = Corpus(corpus_file.url).plan(
            segment="0000", block_rows=10, spool=run.location / "spool", map_=map
        )
        file = run.location / "plan" / "0000.parquet"
        file.write(table_bytes(segment_to_table(segment)))
        segment = segment_from_table(read_table(file))
        run.state["segments"] = [{"name": "0000", "n_rows": segment.n_rows, "block_rows": 10}]
        executor = DaskExecutor(lambda: client, run.foreign)
        executor.map_blocks(run.stage("nothing", {}), Nothing(), segment.blocks)
        seconds = time.perf_counter() - started
    print(
        f"{N_BLOCKS} blocks that do nothing: {seconds / N_BLOCKS * 1000:.2f} ms a block and stage"
    )


def real(client):
    """Compare the wall time of a fit with its stages' own seconds over both workers."""
    from dtopics import TopicModel
    from dtopics.testing import made_up

    corpus = made_up(N_DOCUMENTS, 40, n_features=64)
    with tempfile.TemporaryDirectory() as folder:
        model = TopicModel(min_topic_size=100, sample_size=10_000, refine=False, run=folder)
        started = time.perf_counter()
        model.fit(corpus.texts, corpus.embeddings, client=client)
        seconds = time.perf_counter() - started
        blocks = whole = 0.0
        for stage in model._run.in_use():
            blocks += sum(receipt.seconds for receipt in stage.receipts())
            receipt = stage.whole_receipt()
            if receipt is not None and stage.name != "clusters":
                whole += receipt.seconds
        clusters = model._run.fitted("clusters").whole_receipt().seconds
    work = blocks / 2 + whole + clusters
    print(
        f"{N_DOCUMENTS:,} documents: {seconds:.1f} s, of which the stages' own work "
        f"{work:.1f} s ({(seconds - work) / seconds:.1%} beside it)"
    )
