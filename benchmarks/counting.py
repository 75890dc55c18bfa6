"""Tokens, vocabulary and counts: speed beside scikit-learn's, and memory over a million titles.

``python -m benchmarks counting``: CPU seconds of one thread, ours and scikit-learn's in turn; then
(1,2)-grams with ``min_df=10`` of all Reddit titles, subreddits as clusters, two workers of 2 GiB.
``python -m benchmarks counting 3`` measures the first part only, in so many rounds.
"""

import statistics
import tempfile
import threading
import time

import numpy as np

from benchmarks.corpora import FOLDER

SAMPLES = (("reddit_titles", 65_536), ("20newsgroups", 8_192))
BLOCK_ROWS = 16_384


def main(options):
    for name, n in SAMPLES:
        for n_grams in ((1, 1), (1, 2)):
            speed(name, n, n_grams, rounds=int(options[0]) if options else 5)
    if not options:
        million()


def speed(name, n, n_grams, rounds):
    """Print megabytes of text a second, from texts to vocabulary and documents × terms."""
    import pandas as pd
    import pyarrow as pa
    from sklearn.feature_extraction.text import CountVectorizer

    pa.set_cpu_count(1)
    texts = pd.read_parquet(FOLDER / f"{name}.parquet", columns=["text"])["text"].tolist()[:n]
    size = sum(len(text.encode()) for text in texts) / 1e6
    vectorizer = CountVectorizer(ngram_range=n_grams)
    ours(texts[:100], vectorizer)
    seconds = {"analyzer": [], "fit_transform": [], "tokens": [], "terms": [], "whole": []}
    for _ in range(rounds):
        started = time.process_time()
        analyze = vectorizer.build_analyzer()
        for text in texts:
            analyze(text)
        seconds["analyzer"].append(time.process_time() - started)
        started = time.process_time()
        X = CountVectorizer(ngram_range=n_grams).fit_transform(texts)
        seconds["fit_transform"].append(time.process_time() - started)
        *spent, nnz = ours(texts, vectorizer)
        for part, value in zip(("tokens", "terms", "whole"), spent, strict=True):
            seconds[part].append(value)
        assert nnz == X.nnz
    shown = ", ".join(f"{k} {size / statistics.median(v):.1f}" for k, v in seconds.items())
    print(f"{name}, {size:.1f} MB, {n_grams}, MB/s: {shown}", flush=True)


def ours(texts, vectorizer):
    """Return CPU seconds until tokens, block terms and all are there, and the entries of all."""
    from dtopics.representation.counts import document_counts
    from dtopics.representation.terms import block_terms
    from dtopics.representation.tokens import token_block, tokenize_block
    from dtopics.representation.vectorizer import as_counting
    from dtopics.representation.vocabulary import (
        Vocabulary,
        block_term_table,
        merge_term_tables,
        prune,
    )

    counting = as_counting(vectorizer)
    started = time.process_time()
    tables = [
        tokenize_block(texts[i : i + BLOCK_ROWS], counting)
        for i in range(0, len(texts), BLOCK_ROWS)
    ]
    tokens = time.process_time() - started
    terms = [block_terms(token_block(table), counting) for table in tables]
    counted = time.process_time() - started
    merged = merge_term_tables(block_term_table(block) for block in terms)
    vocabulary = Vocabulary.of(prune(merged, counting, len(texts)))
    nnz = sum(document_counts(block, vocabulary).nnz for block in terms)
    return tokens, counted, time.process_time() - started, nnz


def million():
    """Count all titles' (1,2)-grams by subreddit; print seconds by stage and peaks."""
    import pandas as pd
    import psutil
    from bertopic.cluster import BaseCluster
    from sklearn.feature_extraction.text import CountVectorizer

    from dtopics import Corpus, TopicModel
    from dtopics.execution.cluster import LocalSettings, local_cluster

    file = FOLDER / "reddit_titles.parquet"
    labels = pd.factorize(pd.read_parquet(file, columns=["label"])["label"])[0]
    vectors = np.random.default_rng(0).normal(size=(len(labels), 2)).astype(np.float16)
    peaks, done = {}, threading.Event()

    def watch():
        while not done.wait(0.05):
            for process in psutil.Process().children(recursive=True):
                rss = process.memory_info().rss
                peaks[process.pid] = max(peaks.get(process.pid, 0), rss)

    with (
        tempfile.TemporaryDirectory() as folder,
        local_cluster(LocalSettings(workers=2, memory_limit="2GiB")) as client,
    ):
        threading.Thread(target=watch, daemon=True).start()
        started = time.perf_counter()
        model = TopicModel(
            hdbscan_model=BaseCluster(),
            vectorizer_model=CountVectorizer(ngram_range=(1, 2), min_df=10),
            run=folder,
        )
        model.fit(Corpus(str(file), text_column="text"), vectors, y=labels, client=client)
        wall = time.perf_counter() - started
        done.set()
        n_terms = model._run.fitted("vocabulary").whole_receipt().notes["terms"]
        for stage in model._run.in_use():
            receipts = [*stage.receipts(), *filter(None, [stage.whole_receipt()])]
            seconds = sum(receipt.seconds for receipt in receipts)
            size = sum(receipt.bytes for receipt in receipts) / 2**20
            print(f"  {stage.name}: {seconds:.1f} s of tasks, {size:.0f} MiB")
    largest = ", ".join(f"{peak / 2**20:.0f}" for peak in sorted(peaks.values())[-2:])
    print(
        f"{len(labels):,} titles, {n_terms:,} terms: {wall:.1f} s in all, peaks of the workers "
        f"{largest} MiB"
    )
