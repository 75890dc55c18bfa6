"""What BERTopic's users do, each on all of 20 Newsgroups, on two workers.

``python -m benchmarks rows``: 18,846 documents with their MiniLM embeddings, two workers of 2 GiB.
Each row is a call of the FAQ's or of a guide; what is said of it was looked at by the program, and
a row that does not hold ends it. With ``--chinese``, say, rows of that name only.
"""

import contextlib
import tempfile
import time
import warnings

import numpy as np

from benchmarks.corpora import FOLDER

PARAMS = {"min_topic_size": 50, "block_size": 2_048}


def main(options):
    import pandas as pd

    from dtopics.execution.cluster import LocalSettings, local_cluster

    warnings.simplefilter("ignore")
    table = pd.read_parquet(FOLDER / "20newsgroups.parquet")
    vectors = np.load(FOLDER / "20newsgroups.minilm.f16.npy")
    with (
        tempfile.TemporaryDirectory() as folder,
        local_cluster(LocalSettings(workers=2, memory_limit="2GiB")) as client,
    ):
        rows = Rows(table["text"].tolist(), table["label"].tolist(), vectors, client, folder)
        print("| what | seconds | |\n|---|---|---|")
        wanted = [name.removeprefix("--") for name in options]
        for name in [name for name in vars(Rows) if name.startswith("row_")]:
            if wanted and not any(part in name for part in ("row_a_fit", *wanted)):
                continue
            started = time.perf_counter()
            said = getattr(rows, name)()
            seconds = time.perf_counter() - started
            print(f"| {name[4:].replace('_', ' ')} | {seconds:.1f} | {said} |", flush=True)


class Rows:
    """A method for each row; `self.model` is the one that most of them ask."""

    def __init__(self, texts, classes, vectors, client, folder):
        self.texts, self.classes, self.vectors = texts, classes, vectors
        self.client, self.folder = client, folder
        self.codes = np.unique(classes, return_inverse=True)[1]
        self.model = None

    def fit(self, vectors=None, y=None, texts=None, **params):
        from dtopics import TopicModel

        given = self.vectors if vectors is None else vectors
        model = TopicModel(**PARAMS | params)
        return model.fit(texts or self.texts, None if given is False else given, y,
                         client=self.client)  # fmt: skip

    def ami(self, topics):
        from sklearn.metrics import adjusted_mutual_info_score

        return f"{adjusted_mutual_info_score(self.codes[: len(topics)], topics):.3f}"

    def row_a_fit(self):
        from sklearn.feature_extraction.text import CountVectorizer

        self.model = self.fit(vectorizer_model=CountVectorizer(stop_words="english"),
                              run=f"{self.folder}/run", calculate_probabilities=True)  # fmt: skip
        topics = self.model.topics_
        return f"{self.model._topics.n_topics} topics, AMI {self.ami(topics)}"

    def row_the_same_with_other_blocks(self):
        from sklearn.feature_extraction.text import CountVectorizer

        other = self.fit(vectorizer_model=CountVectorizer(stop_words="english"), block_size=5_000)
        assert other.topics_ == self.model.topics_
        assert other.get_topics() == self.model.get_topics()
        return "topics and words equal"

    def row_static_embeddings(self):
        model = self.fit(False, embedding_model="static")
        return f"AMI {self.ami(model.topics_)}"

    def row_scikit_learn_pipeline_as_embedding_model(self):
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.pipeline import make_pipeline

        pipe = make_pipeline(TfidfVectorizer(min_df=3, stop_words="english"), TruncatedSVD(100))
        return f"AMI {self.ami(self.fit(False, embedding_model=pipe).topics_)}"

    def row_word_vectors_of_gensim(self):
        from gensim.models import Word2Vec

        sentences = [text.lower().split()[:200] for text in self.texts[:6_000]]
        vectors = Word2Vec(sentences, vector_size=64, workers=2, epochs=3, min_count=10).wv
        return f"AMI {self.ami(self.fit(False, embedding_model=vectors).topics_)}"

    def row_doc2vec(self):
        from gensim.models.doc2vec import Doc2Vec, TaggedDocument

        tagged = [
            TaggedDocument(t.lower().split()[:100], [i]) for i, t in enumerate(self.texts[:2_000])
        ]
        model = Doc2Vec(tagged, vector_size=32, epochs=5, workers=2)
        found = self.fit(False, texts=self.texts[:2_000], embedding_model=model, min_topic_size=20)
        return f"2,000 documents, {found._topics.n_topics} topics"

    def row_hugging_face_pipeline(self):
        from transformers import pipeline

        from dtopics.embedding.packaged import packaged_path

        path = str(packaged_path("all-MiniLM-L6-v2"))
        found = self.fit(False, texts=self.texts[:200], min_topic_size=10, block_size=100,
                         embedding_model=pipeline("feature-extraction", model=path))  # fmt: skip
        cosines = (found.embeddings.compute(scheduler="threads").astype(float)
                   * self.vectors[:200].astype(float)).sum(axis=1)  # fmt: skip
        assert np.median(cosines) > 0.99
        return f"200 documents, median cosine to the given {np.median(cosines):.4f}"

    def row_bertopics_backend(self):
        from bertopic.backend import BaseEmbedder

        class Backend(BaseEmbedder):
            def embed(self, documents, verbose=False):  # noqa: ARG002
                from dtopics.testing import HashingEmbedder

                return HashingEmbedder(128).encode(documents)

        return f"AMI {self.ami(self.fit(False, embedding_model=Backend()).topics_)}"

    def row_reduce_outliers(self):
        before = self.model.topic_sizes_[-1]
        found = []
        for strategy in ("probabilities", "distributions", "c-tf-idf", "embeddings"):
            topics = self.model.reduce_outliers(
                strategy=strategy, threshold=0.05, client=self.client
            )
            assert all(a == b for a, b in zip(self.model.topics_, topics, strict=True) if a >= 0)
            found.append(f"{strategy} {before:,} → {topics.count(-1):,}")
        self.model.update_topics(topics=topics, client=self.client)
        assert self.model.topics_ == topics
        self.model.undo(client=self.client)
        return "; ".join(found)

    def row_clusterers_without_outliers(self):
        from dask_ml.cluster import KMeans as KMeansParallel
        from sklearn.cluster import BisectingKMeans, KMeans, MiniBatchKMeans

        found = []
        for clusterer in (KMeansParallel(20, random_state=0), MiniBatchKMeans(20), KMeans(20),
                          BisectingKMeans(20)):  # fmt: skip
            topics = self.fit(hdbscan_model=clusterer).topics_
            empty = sum(not text.strip() for text in self.texts)
            assert topics.count(-1) == empty
            found.append(f"{type(clusterer).__name__} {self.ami(topics)}")
        return "AMI: " + ", ".join(found)

    def row_stop_words_after_the_fit(self):
        from bertopic.vectorizers import ClassTfidfTransformer
        from sklearn.feature_extraction.text import CountVectorizer

        model = self.model
        model.update_topics(vectorizer_model=CountVectorizer(ngram_range=(1, 2), min_df=5),
                            client=self.client)  # fmt: skip
        assert any(" " in word for words in model.get_topics().values() for word, _ in words)
        model.update_topics(ctfidf_model=ClassTfidfTransformer(reduce_frequent_words=True,
                                                               bm25_weighting=True))  # fmt: skip
        words = [word for word, _ in model.get_topic(0)][:3]
        model.undo().undo()
        return f"first words of topic 0: {', '.join(words)}"

    def row_more_documents(self):
        from bertopic.cluster import BaseCluster

        half = 14_000
        model = self.fit(self.vectors[:half], texts=self.texts[:half])
        model.partial_fit(self.texts[half:], self.vectors[half:], client=self.client)
        whole = self.fit(hdbscan_model=BaseCluster(), y=model.topics_)
        rows = [whole.topics_[model.topics_.index(topic)] for topic in sorted(model.topic_sizes_)]
        order = [sorted(whole.topic_sizes_).index(topic) for topic in rows]
        assert (model.c_tf_idf_ != whole.c_tf_idf_[order]).nnz == 0
        assert (model.topic_embeddings_ == whole.topic_embeddings_[order]).all()
        return f"equal to one count; drift {model.drift_['outliers'].round(3).tolist()}"

    def row_merge_models(self):
        from dtopics import TopicModel

        half = 9_000
        parts = [self.fit(self.vectors[rows], texts=self.texts[rows])
                 for rows in (slice(half), slice(half, None))]  # fmt: skip
        merged = TopicModel.merge_models(parts, min_similarity=0.7)
        assert sum(merged.topic_sizes_.values()) == len(self.texts)
        topics, _ = merged.transform(self.texts, self.vectors, client=self.client)
        counts = [part._topics.n_topics for part in parts]
        return f"{counts} topics → {merged._topics.n_topics}; AMI {self.ami(topics)}"

    def row_number_of_topics(self):
        model, n = self.model, len(self.model.topic_sizes_)
        sizes = dict(model.topic_sizes_)
        model.reduce_topics(nr_topics=10, client=self.client)
        assert len(model.topic_sizes_) == 10
        model.undo(client=self.client).merge_topics(
            topics_to_merge=[[0, 1], [2, 3]], client=self.client
        )
        assert len(model.topic_sizes_) == n - 2
        model.undo(client=self.client).delete_topics([0], client=self.client)
        assert model.topic_sizes_[-1] == sizes[-1] + sizes[0]
        assert model.undo(client=self.client).topic_sizes_ == sizes
        found = [
            self.fit(nr_topics="auto")._topics.n_topics,
            self.fit(min_topic_size=150)._topics.n_topics,
        ]
        return f"{n} → 10, {n - 2}, {n - 1}, each undone; auto {found[0]}, size 150 {found[1]}"

    def row_probabilities(self):
        held = self.model.probabilities_
        assert held.shape == (len(self.texts), self.model._topics.n_topics)
        lazy, _ = self.model.approximate_distribution(client=self.client)
        shares = lazy.compute(scheduler="threads")
        assert shares.shape == held.shape
        return f"memberships and distributions of {held.shape[0]:,} × {held.shape[1]}"

    def row_html(self):
        pages = [f"<html><body><p>{text}</p></body></html>" for text in self.texts]
        plain = self.fit(hdbscan_model=self.manual(), y=self.codes.tolist())
        model = self.fit(texts=pages, preprocess="strip_html", hdbscan_model=self.manual(),
                         y=self.codes.tolist())  # fmt: skip
        assert "html" not in [word for word, _ in model.get_topic(0)]
        same = sum(model.get_topic(t)[0][0] == plain.get_topic(t)[0][0] for t in range(20))
        return f"first words of {same} of 20 topics as without"

    def row_guided(self):
        seeds = [
            ["god", "faith", "christian"],
            ["hockey", "team", "season"],
            ["space", "nasa", "orbit"],
        ]
        model = self.fit(seed_topic_list=seeds, embedding_model="all-MiniLM-L6-v2")
        return f"{model._topics.n_topics} topics, AMI {self.ami(model.topics_)}"

    def row_zero_shot(self):
        names = ["ice hockey", "space flight", "cryptography", "motorcycles"]
        model = self.fit(zeroshot_topic_list=names, zeroshot_min_similarity=0.4,
                         embedding_model="all-MiniLM-L6-v2")  # fmt: skip
        found = {name: model.topic_sizes_[topic] for topic, name in model.topic_labels_.items()
                 if name in names}  # fmt: skip
        return f"{found}; AMI {self.ami(model.topics_)}"

    @staticmethod
    def manual():
        from bertopic.cluster import BaseCluster

        return BaseCluster()

    def row_supervised_and_semi_supervised(self):
        from sklearn.linear_model import LogisticRegression

        known = np.where(np.arange(len(self.texts)) % 2, self.codes, -1).tolist()
        half = self.fit(y=known).topics_
        model = self.fit(umap_model="none", hdbscan_model=LogisticRegression(max_iter=200), y=known)
        found, _ = model.transform(self.texts[::2], self.vectors[::2], client=self.client)
        from sklearn.metrics import adjusted_mutual_info_score

        others = adjusted_mutual_info_score(self.codes[::2], found)
        return (
            f"UMAP told of half: AMI {self.ami(half)}; a classifier on the other half: {others:.3f}"
        )

    def row_aspects(self):
        from dtopics import KeyBERTInspired, MaximalMarginalRelevance

        models = {
            "Main": [KeyBERTInspired(), MaximalMarginalRelevance(0.3)],
            "MMR": MaximalMarginalRelevance(),
        }
        self.model.embedding_model = "all-MiniLM-L6-v2"
        self.model.update_topics(representation_model=models, client=self.client)
        words = [word for word, _ in self.model.get_topic(0)][:3]
        assert self.model.topic_aspects_["MMR"].keys() == self.model.topic_sizes_.keys()
        self.model.undo(client=self.client)
        self.model.representation_model = None
        return f"topic 0: {', '.join(words)}"

    def row_hierarchy(self):
        merges = self.model.hierarchical_topics()
        assert len(merges) == self.model._topics.n_topics - 1
        return self.model.get_topic_tree(merges).splitlines()[1].strip()

    def row_over_time_and_per_class(self):
        import pandas as pd

        times = pd.date_range("1993-01-01", periods=len(self.texts), freq="h")
        over = self.model.topics_over_time(timestamps=times, nr_bins=20, client=self.client)
        per = self.model.topics_per_class(classes=self.classes, client=self.client)
        assert over.Frequency.sum() == per.Frequency.sum() == len(self.texts)
        return f"{over.Timestamp.nunique()} times, {per.Class.nunique()} classes"

    def row_find_topics_and_labels(self):
        topics, alike = self.model.find_topics("spacecraft")
        self.model.set_topic_labels(self.model.generate_topic_labels(nr_words=2))
        said = self.model.custom_labels_[sorted(self.model.topic_sizes_).index(topics[0])]
        self.model.undo()
        return f"{said} ({alike[0]:.2f})"

    def row_document_info(self):
        table = self.model.get_document_info(self.texts, metadata={"class": self.classes})
        assert len(table) == len(self.texts)
        return f"{table.shape[1]} columns"

    def row_pictures(self):
        model = self.model
        drawn = [
            model.visualize_topics(), model.visualize_barchart(), model.visualize_heatmap(),
            model.visualize_hierarchy(), model.visualize_term_rank(),
            model.visualize_documents(client=self.client),
            model.visualize_hierarchical_documents(sample=5_000, client=self.client),
            model.visualize_distribution(model.probabilities_[0], min_probability=0),
        ]  # fmt: skip
        assert all(figure.data for figure in drawn)
        for i, figure in enumerate(drawn):
            with contextlib.suppress(OSError):
                figure.write_html(f"benchmarks/out/picture-{i}.html", include_plotlyjs=True)
        return f"{len(drawn)} figures"

    def row_both_ways(self):
        from bertopic import BERTopic

        from dtopics import TopicModel

        self.model.export_bertopic(f"{self.folder}/bertopic")
        theirs = BERTopic.load(f"{self.folder}/bertopic")
        found, _ = theirs.transform(self.texts[:2_000], self.vectors[:2_000].astype(np.float32))
        back = TopicModel.from_bertopic(f"{self.folder}/bertopic")
        topics, _ = back.transform(self.texts[:2_000], self.vectors[:2_000], client=self.client)
        filled = np.array([bool(text.strip()) for text in self.texts[:2_000]])
        same = float(np.mean((np.array(found) == np.array(topics))[filled]))
        assert same > 0.999
        return f"predictions of both equal for {same:.2%} of {filled.sum():,} that are not empty"

    def row_chinese(self):
        import jieba
        import pandas as pd
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
        from sklearn.pipeline import make_pipeline

        table = pd.read_parquet(FOLDER / "thucnews_devtest.parquet")
        pipe = make_pipeline(TfidfVectorizer(tokenizer=jieba.lcut, token_pattern=None, min_df=5),
                             TruncatedSVD(100))  # fmt: skip
        texts = table["text"].tolist()
        model = self.fit(False, texts=texts, embedding_model=pipe, language="chinese",
                         vectorizer_model=CountVectorizer(tokenizer=jieba.lcut, token_pattern=None,
                                                          min_df=5))  # fmt: skip
        from sklearn.metrics import adjusted_mutual_info_score

        ami = adjusted_mutual_info_score(table["label"], model.topics_)
        return f"{len(table):,} documents, {model._topics.n_topics} topics, AMI {ami:.3f}"
