"""Quality side by side: BERTopic, dtopics fit on all, dtopics fit on a quarter.

``python -m benchmarks quality [--seeds=10] [--corpus=20newsgroups]`` appends a line of JSON for
each corpus, seed and method to ``benchmarks/out/quality.jsonl`` (what is there is not done again)
and prints the medians.
"""

import json
import time
import warnings

import numpy as np

from benchmarks.corpora import OUT, load

#: corpus, documents, min_cluster_size, seeds of the comparison, seeds that collapses are counted on
CORPORA = (
    ("20newsgroups", None, 50, 10, 20),
    ("agnews_test", None, 50, 10, 10),
    ("agnews_test", None, 15, 10, 10),
    ("reddit_titles", 100_000, 100, 3, 3),
)
METHODS = ("BERTopic", "dtopics, all", "dtopics, quarter", "umap-learn, quarter", "raw, quarter")


def main(options):
    seeds = next((int(o.partition("=")[2]) for o in options if o.startswith("--seeds=")), None)
    only = next((o.partition("=")[2] for o in options if o.startswith("--corpus=")), None)
    file = OUT / "quality.jsonl"
    OUT.mkdir(exist_ok=True)
    done = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    have = {(r["corpus"], r["size"], r["seed"], r["method"]) for r in done}
    for name, n_documents, size, n_seeds, n_collapses in CORPORA:
        if only not in {None, name}:
            continue
        corpus = None
        for seed in range(min(seeds or 99, n_collapses)):
            methods = METHODS if seed < n_seeds else METHODS[2:]
            if all((name, size, seed, method) in have for method in methods):
                continue
            corpus = corpus or load(name, n_documents)
            for figures in measure(corpus, size, seed, methods):
                row = {"corpus": name, "size": size, "seed": seed, **figures}
                with file.open("a") as lines:
                    lines.write(json.dumps(row) + "\n")
                print(json.dumps(row), flush=True)
    report([json.loads(line) for line in file.read_text().splitlines()])


def measure(corpus, size, seed, methods):
    """Give a row of figures for each method."""
    co_occurrence = CoOccurrence(corpus.texts)
    if "BERTopic" in methods:
        yield scored("BERTopic", corpus, co_occurrence, *bertopic(corpus, size, seed))
        yield scored("dtopics, all", corpus, co_occurrence, *dtopics(corpus, size, seed, None))
    model, *found = dtopics(corpus, size, seed, len(corpus.texts) // 4, keep=True)
    yield scored("dtopics, quarter", corpus, co_occurrence, *found)
    started = time.perf_counter()
    places, filled = umap_learn(corpus, model, seed)
    seconds = time.perf_counter() - started
    for method, share in (("umap-learn, quarter", 0.8), ("raw, quarter", 0)):
        labels = clustered(places, filled, size, share)
        yield scored(method, corpus, co_occurrence, labels, words_of(corpus, labels), seconds)


def bertopic(corpus, size, seed):
    """Fit BERTopic with the settings that dtopics has by default."""
    import hdbscan
    import umap
    from bertopic import BERTopic

    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = BERTopic(
            umap_model=umap.UMAP(
                n_neighbors=15, n_components=5, min_dist=0.0, metric="cosine", random_state=seed
            ),
            hdbscan_model=hdbscan.HDBSCAN(
                min_cluster_size=size, approx_min_span_tree=False, prediction_data=True
            ),
            vectorizer_model=vectorizer(),
        )
        topics, _ = model.fit_transform(corpus.texts, corpus.embeddings)
    words = [[w for w, _ in model.get_topic(t)] for t in sorted(set(topics)) if t >= 0]
    return np.array(topics), words, time.perf_counter() - started


def dtopics(corpus, size, seed, sample_size, *, keep=False):
    """Fit dtopics in this process."""
    from dtopics import TopicModel
    from dtopics.store import Location

    url = f"memory://quality-{seed}-{sample_size}"
    Location(url).remove()
    started = time.perf_counter()
    model = TopicModel(
        min_topic_size=size,
        random_state=seed,
        sample_size=sample_size or len(corpus.texts),
        refine=False,
        vectorizer_model=vectorizer(),
        run=url,
    )
    topics, _ = model.fit_transform(corpus.texts, corpus.embeddings)
    seconds = time.perf_counter() - started
    words = [[w for w, _ in model.get_topic(t)] for t in model.topic_sizes_ if t >= 0]
    found = np.array(topics), words, seconds
    if not keep:
        Location(url).remove()
    return (model, *found) if keep else found


def umap_learn(corpus, model, seed):
    """Place all documents by umap-learn's transform, fit on the sample of a dtopics run."""
    import umap

    table = model._run.fitted("sample").whole_table("rows")
    (segment,) = model._run.segments
    rows = table["block"].to_numpy() * segment["block_rows"] + table["row"].to_numpy()
    filled = np.array([bool(text.strip()) for text in corpus.texts])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reducer = umap.UMAP(
            n_neighbors=15, n_components=5, min_dist=0.0, metric="cosine", random_state=seed
        ).fit(corpus.embeddings[rows])
        return reducer.transform(corpus.embeddings[filled]), filled


def clustered(places, filled, size, share):
    from dtopics.clustering import HDBSCAN

    labels = np.full(len(filled), -1)
    labels[filled] = HDBSCAN(size, max_cluster_size=share).fit(places).labels_
    return labels


def words_of(corpus, labels):
    """Return the ten heaviest words of each topic, by c-TF-IDF."""
    from scipy.sparse import csr_matrix

    from dtopics.representation.ctfidf import c_tf_idf
    from dtopics.representation.words import top_words

    counter = vectorizer()
    counts = counter.fit_transform(corpus.texts)
    topics, rows = np.unique(labels, return_inverse=True)
    one = np.ones(len(rows), np.int64)
    shape = (len(topics), len(rows))
    totals = csr_matrix((one, (rows, np.arange(len(rows)))), shape=shape) @ counts
    listed = top_words(c_tf_idf(csr_matrix(totals)), counter.get_feature_names_out(), 10)
    return [[w for w, _ in ws] for t, ws in zip(topics, listed, strict=True) if t >= 0]


def vectorizer():
    from sklearn.feature_extraction.text import CountVectorizer

    return CountVectorizer(stop_words="english")


class CoOccurrence:
    """NPMI by co-occurrence of words within whole documents."""

    def __init__(self, texts):
        self.texts = texts

    def npmi(self, topics):
        from itertools import combinations

        from sklearn.feature_extraction.text import CountVectorizer

        words = sorted({word for topic in topics for word in topic if word})
        longest = max(word.count(" ") + 1 for word in words)
        counter = CountVectorizer(vocabulary=words, binary=True, ngram_range=(1, longest))
        X = counter.fit_transform(self.texts).astype(np.float64)
        share = np.asarray(X.mean(axis=0)).ravel()
        both = (X.T @ X).tocsr() / X.shape[0]
        place = {word: i for i, word in enumerate(words)}
        values = []
        for topic in topics:
            pairs = list(combinations([place[w] for w in topic if w], 2))
            if not pairs:  # a topic of empty documents has no words
                continue
            values.append(np.mean([_npmi(share[i], share[j], both[i, j]) for i, j in pairs]))
        return float(np.mean(values))


def _npmi(one, other, both):
    if both == 0:
        return -1.0
    return 1.0 if both == 1 else np.log(both / (one * other)) / -np.log(both)


def scored(method, corpus, co_occurrence, labels, words, seconds):
    """Return a row of figures."""
    from sklearn.metrics import adjusted_mutual_info_score as ami

    inside = labels >= 0
    n_topics = len(set(labels[inside].tolist()))
    largest = np.bincount(labels[inside]).max() / len(labels) if inside.any() else 0.0
    outliers = float((~inside).mean())
    listed = [word for topic in words for word in topic if word]
    return {
        "method": method,
        "ami": ami(corpus.labels, labels),
        "ami_clustered": ami(corpus.labels[inside], labels[inside]) if inside.any() else 0.0,
        "npmi": co_occurrence.npmi(words) if words else 0.0,
        "diversity": len(set(listed)) / max(len(listed), 1),
        "topics": n_topics,
        "outliers": outliers,
        "largest": float(largest),
        "degenerate": bool(n_topics < 3 or largest > 0.5 or outliers > 0.6),
        "seconds": seconds,
    }


def report(rows):
    """Print medians and spread as Markdown, and differences pair by pair."""
    import pandas as pd

    table = pd.DataFrame(rows)
    print("| corpus | method | AMI all (spread) | AMI clustered | NPMI | diversity | topics "
          "| outliers | degenerate | seconds |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|---|")
    for (corpus, size), part in table.groupby(["corpus", "size"], sort=False):
        compared = part[part.seed < part[part.method == "BERTopic"].seed.max() + 1]
        for method in METHODS:
            own, every = compared[compared.method == method], part[part.method == method]
            mid = own.median(numeric_only=True)
            print(
                f"| {corpus}, {size} | {method} | {mid.ami:.3f} ({own.ami.min():.3f} to "
                f"{own.ami.max():.3f}) | {mid.ami_clustered:.3f} | {mid.npmi:.3f} | "
                f"{mid.diversity:.3f} | {mid.topics:.0f} | {mid.outliers:.0%} | "
                f"{every.degenerate.sum()} of {len(every)} | {mid.seconds:.0f} |"
            )
        wide = part.pivot_table(index="seed", columns="method", values="ami")
        for one, other in (("dtopics, all", "BERTopic"),
                           ("dtopics, quarter", "umap-learn, quarter")):  # fmt: skip
            pairs = (wide[one] - wide[other]).dropna()
            print(
                f"\n{corpus}, {size}: {one} − {other}, pair by pair: median "
                f"{pairs.median():+.4f} (from {pairs.min():+.4f} to {pairs.max():+.4f}, "
                f"{len(pairs)} pairs)\n"
            )
