"""Topics known beforehand: seed topics, names, classes."""

import itertools

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from dtopics import Corpus, TopicModel
from dtopics.cli import cli
from dtopics.errors import EmbeddingError, SettingError
from dtopics.testing import HashingEmbedder

pytestmark = pytest.mark.filterwarnings("ignore")  # BERTopic's and its dependencies' own

THEMES = ("apple pear plum fig", "engine wheel brake gear", "violin cello flute harp",
          "river lake pond creek")  # fmt: skip
SEEDS = [["apple", "pear"], ["violin", "cello", "flute"]]
NAMES = ["apple pear plum", "nothing of this kind", "river lake pond creek"]


def texts_of(n=400, seed=0):
    rng = np.random.default_rng(seed)
    found, themes = [], rng.choice(4, n, p=[0.4, 0.3, 0.2, 0.1])
    for theme in themes:
        words = rng.choice(THEMES[theme].split(), 3, replace=False)
        found.append(" ".join([*words, *(f"w{i}" for i in rng.integers(0, 30, 2))]))
    return found, themes


@pytest.fixture(scope="module")
def texts():
    return texts_of()[0]


@pytest.fixture(scope="module")
def vectors(texts):
    found = HashingEmbedder().encode(texts)
    return found.astype(np.float16).astype(np.float32)  # as they are kept


def backend():
    from bertopic.backend import BaseEmbedder

    class Hashing(BaseEmbedder):
        def embed(self, documents, verbose=False):
            return HashingEmbedder().encode(list(documents))

    return Hashing()


def theirs(**params):
    from bertopic import BERTopic
    from bertopic.dimensionality import BaseDimensionalityReduction

    kmeans = KMeans(3, random_state=0)
    reduction = BaseDimensionalityReduction()
    return BERTopic(umap_model=reduction, hdbscan_model=kmeans, embedding_model=backend(), **params)


def ours(**params):
    from bertopic.dimensionality import BaseDimensionalityReduction

    settings = {"umap_model": BaseDimensionalityReduction(), "block_size": 200,
                "hdbscan_model": KMeans(3, random_state=0),
                "embedding_model": HashingEmbedder()} | params  # fmt: skip
    return TopicModel(**settings)


def same_parts(one, other):
    """Whether two labellings divide documents alike, whatever the numbers."""
    pairs = set(zip(one, other, strict=True))
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def test_guided_like_bertopic(texts, vectors, client):
    expected = theirs(seed_topic_list=SEEDS)
    y, guided = expected._guided_topic_modeling(vectors.copy())
    model = ours(seed_topic_list=SEEDS).fit(texts, vectors, client=client)
    stage, blocks = model._run.fitted("guided"), model._run.blocks()
    assert np.concatenate([stage.array("y", block) for block in blocks]).tolist() == y
    found = np.concatenate([stage.array("embeddings", block) for block in blocks])
    np.testing.assert_allclose(found, guided, atol=5e-4)  # kept as float16
    assert {-1, 0, 1} == set(y)

    expected.fit(texts, vectors.copy())
    assert same_parts(model.topics_, expected.topics_)
    for topic, other in set(zip(model.topics_, expected.topics_, strict=True)):
        weights, others = dict(model.get_topic(topic)), dict(expected.get_topic(other))
        assert weights.keys() == others.keys()
        for word, weight in weights.items():
            assert weight == pytest.approx(others[word])


def test_seed_words_weigh_more(texts, vectors):
    plain = ours().fit(texts, vectors)
    model = ours(seed_topic_list=[["w3"]]).fit(texts, vectors)
    vocabulary = model._run.fitted("vocabulary").whole_table("vocabulary")["term"].to_pylist()
    column = vocabulary.index("w3")
    from dtopics.topics.counted import CountedTopics

    found, before = (CountedTopics.of(m._run.fitted("topics")) for m in (model, plain))
    assert found.idf[column] == pytest.approx(1.2 * before.idf[column])
    others = np.arange(len(vocabulary)) != column
    assert (found.idf[others] == before.idf[others]).all()
    model.update_topics(top_n_words=5)  # a later version weighs by the same seeds
    assert CountedTopics.of(model._run.fitted("topics")).idf[column] == found.idf[column]


def test_callers_embeddings_stay(texts, vectors):
    held = vectors.copy()
    ours(seed_topic_list=SEEDS).fit(texts, held)
    assert (held == vectors).all()


def test_guided_new_documents_are_guided_too(texts, vectors):
    model = ours(seed_topic_list=SEEDS, hdbscan_model=KMeans(4, random_state=0), block_size=1_000)
    model.fit(texts, vectors)
    topics, _ = model.transform(texts, vectors)
    assert topics == model.topics_


def test_zeroshot_like_bertopic(texts, vectors, client):
    params = {"zeroshot_topic_list": NAMES, "zeroshot_min_similarity": 0.5}
    expected = theirs(**params)
    expected.fit(texts, vectors)
    model = ours(**params).fit(texts, vectors, client=client)
    assert same_parts(model.topics_, expected.topics_)
    assert model.topics_.count(-1) == 0
    (said,) = (said for said in model.messages_ if "zeroshot_min_similarity" in said)
    assert said.startswith("no document is alike enough to 'nothing of this kind'; lower")
    names, others = model.topic_labels_, expected.topic_labels_
    bears = {topic: names[topic] for topic in names if names[topic] in NAMES}
    assert bears == {0: NAMES[0], 1: NAMES[2]}  # the other name has no document
    for topic, other in set(zip(model.topics_, expected.topics_, strict=True)):
        assert (names[topic] in NAMES) == (others[other] in NAMES)
        if names[topic] in NAMES:
            assert names[topic] == others[other]
        assert dict(model.get_topic(topic)) == pytest.approx(dict(expected.get_topic(other)))
        np.testing.assert_allclose(
            model.topic_embeddings_[topic], expected.topic_embeddings_[other], atol=1e-6
        )
    assert model.get_topic_info().Name.tolist() == [names[topic] for topic in sorted(names)]


def test_new_documents_take_names(texts, vectors, tmp_path):
    params = {"zeroshot_topic_list": NAMES, "zeroshot_min_similarity": 0.5}
    model = ours(**params, run=str(tmp_path / "run")).fit(texts, vectors)
    assert model.transform(texts, vectors)[0] == model.topics_
    shown = [
        CliRunner().invoke(cli, ["topics", str(tmp_path / "run"), *options]).output
        for options in ([], ["--topic", "0"], ["--json", "--topic", "0"])
    ]
    assert all("apple pear plum" in said for said in shown)
    assert "vector" not in shown[2]
    again = TopicModel.load(str(tmp_path / "run"), HashingEmbedder(), trust=True)
    assert again.topic_labels_ == model.topic_labels_
    assert again.transform(["apple pear plum w1"])[0] == [0]
    model.save(str(tmp_path / "saved"))
    assert TopicModel.load(str(tmp_path / "saved")).topic_labels_ == model.topic_labels_


def test_memberships_are_of_those_that_were_clustered(texts, vectors):
    model = TopicModel(zeroshot_topic_list=NAMES, zeroshot_min_similarity=0.5, min_topic_size=20,
                       embedding_model=HashingEmbedder(), umap_model=PCA(3), block_size=1_000,
                       calculate_probabilities=True)  # fmt: skip
    model.fit(texts, vectors)
    topics, memberships = np.array(model.topics_), model.probabilities_
    named = np.isin(topics, [t for t, name in model.topic_labels_.items() if name in NAMES])
    assert named.any()
    assert not memberships[named].any()
    assert memberships[topics > 1].any(axis=1).all()
    found, others = model.transform(texts, vectors)
    assert (np.array(found)[named] == topics[named]).all()
    assert not others[named].any()


def test_added_documents_are_guided_too(texts, vectors):
    model = ours(seed_topic_list=SEEDS, hdbscan_model=KMeans(4, random_state=0), block_size=1_000)
    model.fit(texts[:300], vectors[:300])
    expected = model.transform(texts[300:], vectors[300:])[0]
    model.partial_fit(texts[300:], vectors[300:])
    assert model.topics_[300:] == expected


def test_bertopic_has_the_names_as_labels(texts, vectors, tmp_path):
    from bertopic import BERTopic

    model = ours(zeroshot_topic_list=NAMES, zeroshot_min_similarity=0.5).fit(texts, vectors)
    model.export_bertopic(str(tmp_path / "theirs"))
    loaded = BERTopic.load(str(tmp_path / "theirs"))
    assert loaded.custom_labels_ == [model.topic_labels_[t] for t in sorted(model.topic_sizes_)]


def test_names_stay_with_their_topics(texts, vectors):
    params = {"zeroshot_topic_list": NAMES, "zeroshot_min_similarity": 0.5}
    model = ours(**params).fit(texts, vectors)
    one_named = model.topics_.index(0)
    model.update_topics(top_n_words=4)
    assert model.topic_labels_[0] == NAMES[0]
    others = [t for t in model.topic_sizes_ if model.topic_labels_[t] not in NAMES]
    model.merge_topics(topics_to_merge=others)
    assert model.topic_labels_[model.topics_[one_named]] == NAMES[0]
    # of two names merged, the one most alike to what the topic has become
    model.merge_topics(topics_to_merge=[t for t in model.topic_sizes_
                                        if model.topic_labels_[t] in NAMES])  # fmt: skip
    topic = model.topics_[one_named]
    row = model.topic_embeddings_[sorted(model.topic_sizes_).index(topic)]
    alike = {name: float(HashingEmbedder().encode([name])[0] @ row) for name in NAMES[::2]}
    assert model.topic_labels_[topic] == max(alike, key=alike.get)
    model.merge_topics(topics_to_merge=[0, 1])  # and none where it is alike to none
    assert not set(model.topic_labels_.values()) & set(NAMES)
    model.undo().undo()
    assert {NAMES[0], NAMES[2]} <= set(model.topic_labels_.values())


def test_added_documents_take_names(client):
    texts, _ = texts_of(600, seed=4)
    params = {"zeroshot_topic_list": NAMES, "zeroshot_min_similarity": 0.5,
              "hdbscan_model": KMeans(2, random_state=0)}  # fmt: skip
    model = ours(**params).fit(texts[:400], client=client)
    expected = model.transform(texts[400:])[0]
    model.partial_fit(texts[400:], client=client)
    assert model.topics_[400:] == expected
    assert 0 in expected
    assert model.topic_labels_[0] == NAMES[0]
    # and given topics after that: labels of the fit are there for the added documents as well
    topics = list(model.topics_)
    topics[450] = 1 if topics[450] == 0 else 0
    assert model.update_topics(topics=topics).topics_ == topics


@pytest.mark.parametrize("least", [-1.0, 1.0])
def test_all_or_none_take_a_name(texts, vectors, least):
    model = TopicModel(zeroshot_topic_list=NAMES, zeroshot_min_similarity=least,
                       embedding_model=HashingEmbedder(), block_size=1_000, min_topic_size=20,
                       )  # fmt: skip
    model.fit(texts, vectors)
    named = set(model.topic_labels_.values()) & set(NAMES)
    assert len(named) == (3 if least < 0 else 0)
    assert sum(model.topic_sizes_.values()) == len(texts)


def test_zeroshot_and_reduced(texts, vectors):
    model = ours(zeroshot_topic_list=NAMES, zeroshot_min_similarity=0.5, nr_topics=2)
    model.fit(texts, vectors)
    assert len(model.topic_sizes_) == 2


def test_any_blocks_give_the_same_known_topics(texts, vectors):
    params = {"zeroshot_topic_list": NAMES[2:], "seed_topic_list": SEEDS,
              "zeroshot_min_similarity": 0.5}  # fmt: skip
    found = [
        ours(**params, block_size=size).fit(texts, vectors).topics_ for size in (100, 230, 1_000)
    ]
    assert all(a == b for a, b in itertools.pairwise(found))


def test_a_classifier_learns_the_classes(texts, vectors, tmp_path, client):
    from bertopic import BERTopic
    from bertopic.dimensionality import BaseDimensionalityReduction

    _, themes = texts_of()
    y = np.where(np.arange(len(texts)) % 7 == 0, -1, themes * 10)
    model = ours(hdbscan_model=LogisticRegression(), run=str(tmp_path))
    model.fit(texts, vectors, y=y.tolist(), client=client)
    assert same_parts(model.topics_, y.tolist())
    known = y >= 0
    expected = BERTopic(umap_model=BaseDimensionalityReduction(), embedding_model=backend(),
                        hdbscan_model=LogisticRegression())  # fmt: skip
    expected.fit(
        [t for t, k in zip(texts, known, strict=True) if k], vectors[known], y=themes[known]
    )
    new, _ = texts_of(50, seed=9)
    found, _ = model.transform(new)
    assert same_parts(found, expected.transform(new)[0])
    assert TopicModel.load(str(tmp_path), HashingEmbedder(), trust=True).transform(new)[0] == found


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"seed_topic_list": ["apple", "pear"]}, "list of lists"),
        ({"seed_topic_list": []}, "list of lists"),
        ({"seed_topic_list": [["apple", ""]]}, "list of lists"),
        ({"zeroshot_topic_list": "fruit"}, "list of different names"),
        ({"zeroshot_topic_list": ["fruit", "fruit"]}, "different names"),
        ({"zeroshot_topic_list": [" "]}, "different names"),
        ({"zeroshot_topic_list": NAMES, "zeroshot_min_similarity": 2}, "cosine"),
        ({"zeroshot_topic_list": NAMES, "embedding_model": None}, "embedding_model"),
        ({"seed_topic_list": SEEDS, "refine": True}, "refine"),
        ({"hdbscan_model": LogisticRegression()}, "classes"),
    ],
)
def test_what_cannot_be_is_said_before_work(texts, vectors, params, said):
    with pytest.raises(SettingError, match=said):
        ours(**params).fit(texts, vectors)


def test_classes_and_names_are_not_mixed(texts, vectors):
    with pytest.raises(SettingError, match="one of them"):
        ours(zeroshot_topic_list=NAMES).fit(texts, vectors, y=[0] * len(texts))


@pytest.mark.parametrize("params", [{"seed_topic_list": [["apple"], ["—"]]},
                                    {"zeroshot_topic_list": ["apple", "—"]}])  # fmt: skip
def test_phrases_of_unknown_words_are_refused(texts, vectors, params):
    """Their vector is zero, and alike to nothing: every document would be drawn to it."""

    class Known(HashingEmbedder):
        def encode(self, phrases):
            return HashingEmbedder.encode(self, [phrase.replace("—", "") for phrase in phrases])

    with pytest.raises(EmbeddingError, match="knows no word of '—'"):
        ours(**params, embedding_model=Known()).fit(texts, vectors)


def test_another_models_phrases_are_refused(texts, vectors):
    model = ours(zeroshot_topic_list=NAMES, embedding_model=HashingEmbedder(8))
    with pytest.raises(EmbeddingError, match="8 features"):
        model.fit(texts, vectors)


def test_from_files_with_ngrams(texts, tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(texts))
    model = ours(
        zeroshot_topic_list=NAMES,
        zeroshot_min_similarity=0.5,
        vectorizer_model=CountVectorizer(ngram_range=(1, 2)),
        run=str(tmp_path / "run"),
    )
    model.fit(Corpus(str(path)))
    assert model.topic_labels_[0] == NAMES[0]
    assert (model.topics_.compute(scheduler="threads") == 0).sum() == model.topic_sizes_[0]
