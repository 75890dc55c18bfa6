"""What BERTopic's FAQ and guides have their readers write, in one script.

`docs`, `timestamps`, `classes`, `texts_in_chinese`, `model_path` and `folder` are there already. The
import of BERTopic is the one line that a test changes.
"""

# ruff: noqa: F821

import jieba
from bertopic import BERTopic
from bertopic.dimensionality import BaseDimensionalityReduction
from bertopic.representation import KeyBERTInspired, MaximalMarginalRelevance
from bertopic.vectorizers import ClassTfidfTransformer, OnlineCountVectorizer
from hdbscan import HDBSCAN
from sentence_transformers import SentenceTransformer
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.decomposition import PCA, IncrementalPCA, TruncatedSVD
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from umap import UMAP

# Why are the results not consistent between runs?
umap_model = UMAP(n_neighbors=15, n_components=5, min_dist=0.0, metric="cosine", random_state=42)

# Which embedding model should I choose? Computed before, to be used again
sentence_model = SentenceTransformer(model_path)
embeddings = sentence_model.encode(docs, show_progress_bar=False)
topic_model = BERTopic(
    embedding_model=sentence_model, umap_model=umap_model, min_topic_size=10, verbose=True
)
topics, probs = topic_model.fit_transform(docs, embeddings)
assert len(topics) == len(docs) == len(topic_model.topics_)
print(topic_model.get_topic_info())
topic_model.get_topic(0)
topic_model.get_document_info(docs)
topic_model.find_topics("documents", top_n=3)

# How do I reduce topic outliers?
hdbscan_model = HDBSCAN(
    min_cluster_size=10, metric="euclidean", cluster_selection_method="eom", prediction_data=True,
    min_samples=5,
)  # fmt: skip
BERTopic(umap_model=umap_model, hdbscan_model=hdbscan_model).fit(docs, embeddings)
new_topics = topic_model.reduce_outliers(docs, topics)
new_topics = topic_model.reduce_outliers(docs, new_topics, strategy="c-tf-idf", threshold=0.1)
new_topics = topic_model.reduce_outliers(docs, topics, strategy="embeddings", embeddings=embeddings)
topic_model.update_topics(docs, topics=new_topics)
assert topic_model.topics_ == new_topics
assert -1 not in BERTopic(hdbscan_model=KMeans(n_clusters=5)).fit_transform(docs, embeddings)[0]

# How do I remove stop words?
vectorizer_model = CountVectorizer(stop_words="english")
topic_model = BERTopic(vectorizer_model=vectorizer_model, umap_model=umap_model,
                       embedding_model=sentence_model)  # fmt: skip
topics, probs = topic_model.fit_transform(docs, embeddings)
topic_model.update_topics(
    docs, vectorizer_model=CountVectorizer(stop_words="english", ngram_range=(1, 3))
)
topic_model.update_topics(docs, n_gram_range=(1, 2))
topic_model.update_topics(
    docs, ctfidf_model=ClassTfidfTransformer(reduce_frequent_words=True, bm25_weighting=True)
)
topic_model.update_topics(docs, representation_model=KeyBERTInspired())
topic_model.update_topics(docs, representation_model=MaximalMarginalRelevance(diversity=0.3))

# How can I speed up BERTopic? I am facing memory issues. Help!
topic_model = BERTopic(low_memory=True, calculate_probabilities=False, umap_model=umap_model,
                       vectorizer_model=CountVectorizer(ngram_range=(1, 2), stop_words="english", min_df=2))  # fmt: skip
topics, probs = topic_model.fit_transform(docs, embeddings)

# Online topic modelling
online = BERTopic(
    umap_model=IncrementalPCA(n_components=5),
    hdbscan_model=MiniBatchKMeans(n_clusters=5, random_state=0),
    vectorizer_model=OnlineCountVectorizer(stop_words="english", decay=0.01),
    embedding_model=sentence_model,
)
half = len(docs) // 2
for part in (docs[:half], docs[half:]):
    online.partial_fit(part)

# I have only a few topics, how do I increase them? I have too many, how do I reduce them?
topics, probs = BERTopic(nr_topics="auto", umap_model=umap_model).fit_transform(docs, embeddings)
topic_model = BERTopic(min_topic_size=8, umap_model=umap_model, embedding_model=sentence_model,
                       calculate_probabilities=True)  # fmt: skip
topics, probs = topic_model.fit_transform(docs, embeddings)
assert probs.shape[0] == len(docs)
topic_distr, topic_token_distr = topic_model.approximate_distribution(docs, calculate_tokens=True)
topic_model.visualize_distribution(probs[0], min_probability=0.0)
topic_model.visualize_approximate_distribution(docs[1], topic_token_distr[1])
hierarchical_topics = topic_model.hierarchical_topics(docs)
print(topic_model.get_topic_tree(hierarchical_topics))
topics_over_time = topic_model.topics_over_time(docs, timestamps, nr_bins=5)
topics_per_class = topic_model.topics_per_class(docs, classes=classes)
figures = [
    topic_model.visualize_barchart(), topic_model.visualize_heatmap(), topic_model.visualize_term_rank(),
    topic_model.visualize_hierarchy(hierarchical_topics=hierarchical_topics),
    topic_model.visualize_topics_over_time(topics_over_time, top_n_topics=3),
    topic_model.visualize_topics_per_class(topics_per_class),
    topic_model.visualize_documents(docs, embeddings=embeddings),
]  # fmt: skip
topic_model.set_topic_labels(topic_model.generate_topic_labels(nr_words=3, separator=", "))
topic_model.merge_topics(docs, [0, 1])
topic_model.reduce_topics(docs, nr_topics=3)
assert len(topic_model.get_topics()) <= 3

# Guided, zero-shot and supervised topics
BERTopic(seed_topic_list=[["array", "matrix"], ["file", "path"]], umap_model=umap_model,
         embedding_model=sentence_model).fit(docs, embeddings)  # fmt: skip
zeroshot = BERTopic(zeroshot_topic_list=["arrays and matrices", "files"], zeroshot_min_similarity=0.3,
                    umap_model=umap_model, embedding_model=sentence_model)  # fmt: skip
zeroshot.fit_transform(docs, embeddings)
assert "arrays and matrices" in zeroshot.topic_labels_.values()
supervised = BERTopic(umap_model=BaseDimensionalityReduction(), hdbscan_model=LogisticRegression(),
                      ctfidf_model=ClassTfidfTransformer(reduce_frequent_words=True))  # fmt: skip
codes = [sorted(set(classes)).index(name) for name in classes]
topics, probs = supervised.fit_transform(docs, embeddings, y=codes)
supervised.transform(docs[:3], embeddings[:3])

# Without an internet connection; other embeddings and reductions
pipe = make_pipeline(TfidfVectorizer(), TruncatedSVD(20))
BERTopic(embedding_model=pipe, umap_model=PCA(n_components=5)).fit(docs)


# How do I use it with Chinese documents?
def tokenize_zh(text):
    return jieba.lcut(text)


vectorizer = CountVectorizer(tokenizer=tokenize_zh, token_pattern=None)
words = make_pipeline(TfidfVectorizer(tokenizer=tokenize_zh, token_pattern=None), TruncatedSVD(2))
chinese = BERTopic(vectorizer_model=vectorizer, language="multilingual", embedding_model=words,
                   umap_model=PCA(n_components=2), hdbscan_model=KMeans(n_clusters=2))  # fmt: skip
chinese.fit(texts_in_chinese)

# Saving, loading and merging
topic_model.save(f"{folder}/model")
loaded = BERTopic.load(f"{folder}/model", embedding_model=sentence_model)
assert len(loaded.transform(docs[:2])[0]) == 2
merged = BERTopic.merge_models([online, zeroshot], min_similarity=0.9)
merged.get_topic_info()
