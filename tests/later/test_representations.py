"""Words by representation models: what they choose, in versions, and what services answered."""

import numpy as np
import pytest

from dtopics import KeyBERTInspired, MaximalMarginalRelevance, PartOfSpeech, TopicModel
from dtopics.errors import EmbeddingError, MissingPackageError, SettingError
from dtopics.representation.representers import Described
from dtopics.testing import HashingEmbedder

pytestmark = pytest.mark.filterwarnings("ignore")  # BERTopic's and its dependencies' own


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


class Vectors:
    """Words with a vector each."""

    def __init__(self, seed=0):
        self.seed = seed

    def __call__(self, texts):
        return np.stack(
            [np.random.default_rng([self.seed, *text.encode()]).normal(size=12) for text in texts]
        )


@pytest.fixture
def about():
    rng = np.random.default_rng(1)
    words = {t: [(f"w{t}{i}", 1.0 - i / 50) for i in range(30)] for t in (-1, 0, 1)}
    vectors = {t: rng.normal(size=(5, 12)) for t in words}
    texts = {t: [f"text {t} {i}" for i in range(5)] for t in words}
    return Described(
        words, lambda n: {t: w[:n] for t, w in words.items()}, texts, vectors, Vectors()
    )


@pytest.mark.parametrize("diversity", [0.0, 0.1, 0.5, 1.0])
def test_mmr_like_bertopic(about, diversity):
    from bertopic.representation import MaximalMarginalRelevance as Theirs

    from dtopics.representation.foreign import Standing

    found = MaximalMarginalRelevance(diversity, 7).extract_words(about)
    expected = Theirs(diversity, 7).extract_topics(Standing(about), None, None, about.words)
    assert found == expected


def test_keybert_takes_the_nearest_words(about):
    found = KeyBERTInspired(top_n_words=6, nr_repr_docs=3, nr_candidate_words=20).extract_words(
        about
    )
    for topic, words in found.items():
        own = [word for word, _ in about.words[topic][:20]]
        cosines = unit(Vectors()(own)) @ unit(about.vectors[topic][:3].mean(axis=0))
        best = np.argsort(-cosines)[:6]
        assert [word for word, _ in words] == [own[i] for i in best]
        np.testing.assert_allclose([weight for _, weight in words], cosines[best])


TEXTS = [f"{a} {b} {c}" for a in ("apple", "pear") for b in ("plum", "fruit") for c in ("tree", "jam")] * 8 + [
    f"{a} {b} {c}" for a in ("engine", "brake") for b in ("wheel", "car") for c in ("road", "oil")] * 8  # fmt: skip


def fitted(run=None, client=None, **params):
    from bertopic.cluster import BaseCluster

    params = {"embedding_model": HashingEmbedder(), "block_size": 200, **params}
    model = TopicModel(hdbscan_model=BaseCluster(), run=run, **params)
    classes = ["engine" in text for text in TEXTS], ["brake" in text for text in TEXTS]
    return model.fit(TEXTS, y=np.array(classes[0]) + 2 * np.array(classes[1]), client=client)


def test_aspects_and_chains(tmp_path, client):
    models = {
        "Main": KeyBERTInspired(),
        "Diverse": [KeyBERTInspired(top_n_words=20), MaximalMarginalRelevance(0.5, 5)],
    }
    model = fitted(str(tmp_path / "run"), client, representation_model=models, block_size=30)
    plain = fitted()
    assert model.topics_ == plain.topics_
    assert model.get_topics() != plain.get_topics()
    for topic, words in model.get_topics().items():
        vectors = HashingEmbedder().encode([word for word, _ in words])
        own = [text for text, t in zip(TEXTS, model.topics_, strict=True) if t == topic]
        assert {word for word, _ in words} <= set(" ".join(own).split())
        assert [w for _, w in words] == sorted((w for _, w in words), reverse=True)
        assert len(vectors) == len(words)
        assert len(model.topic_aspects_["Diverse"][topic]) == 5
    assert model.get_topic(0, full=True).keys() == {"Main", "Diverse"}
    assert model.get_topics(full=True)["Main"] == model.get_topics()
    assert "Diverse" in model.get_topic_info().columns
    assert model.generate_topic_labels(aspect="Diverse")[0].startswith("0_")
    opened = TopicModel.load(str(tmp_path / "run"), embedding_model=HashingEmbedder())
    assert opened.topic_aspects_ == model.topic_aspects_
    one, two = (
        m.merge_topics(topics_to_merge=[1, 2])
        for m in (opened, fitted(representation_model=models))
    )
    assert one.get_topics(full=True) == two.get_topics(full=True)
    assert one.undo().get_topics(full=True) == model.get_topics(full=True)
    assert len(model.get_representative_docs(0)) == 3


def test_update_topics_by_a_representation():
    model = fitted()
    before = model.get_topics()
    model.update_topics(representation_model=KeyBERTInspired())
    assert model.get_topics() == fitted(representation_model=KeyBERTInspired()).get_topics()
    assert model.undo().get_topics() == before


def test_given_embeddings_need_a_model_for_words():
    vectors = HashingEmbedder().encode(TEXTS)
    from bertopic.cluster import BaseCluster

    def model(embedding_model):
        return TopicModel(hdbscan_model=BaseCluster(), representation_model=KeyBERTInspired(),
                          embedding_model=embedding_model, block_size=200)  # fmt: skip

    y = [0] * 64 + [1] * 64
    with pytest.raises(SettingError, match="give the embedding_model"):
        model(None).fit(TEXTS, vectors, y=y)
    found = model(HashingEmbedder()).fit(TEXTS, vectors, y=y)
    computed = model(HashingEmbedder()).fit(TEXTS, y=y).get_topics()
    for topic, words in found.get_topics().items():
        assert [word for word, _ in words] == [word for word, _ in computed[topic]]
    with pytest.raises(EmbeddingError, match="features"):
        model(HashingEmbedder(n_features=7)).fit(TEXTS, vectors, y=y)


class Service:
    """Stands for a service that names topics, as BERTopic's language models do."""

    def __init__(self, fail_at=None, prompt="name it"):
        self.asked, self.fail_at, self.prompt, self.nr_docs = [], [fail_at], prompt, 4

    def extract_topics(self, topic_model, documents, c_tf_idf, topics):
        found = {}
        texts, _, _, _ = topic_model._extract_representative_docs(
            c_tf_idf, documents, topics, 500, 4, None
        )
        for topic in topics:
            if [len(self.asked)] == self.fail_at:
                raise ConnectionError("the service is down")
            assert len(texts[topic]) == 4
            self.asked.append(topic)
            found[topic] = [(f"about {topics[topic][0][0]}", 1)]
        return found


def test_a_service_is_asked_once_for_a_topic(tmp_path):
    run = str(tmp_path / "run")
    service = Service()
    model = fitted(run, representation_model={"Main": KeyBERTInspired(), "Label": service})
    assert service.asked == [0, 1, 2]
    assert model.topic_aspects_["Label"][0][0][0].startswith("about ")
    again = Service()
    fitted(run, representation_model={"Main": KeyBERTInspired(), "Label": again})
    assert again.asked == []
    model.merge_topics(topics_to_merge=[1, 2])
    assert len(service.asked) == 3 + len(set(service.asked[3:])) <= 5
    other = Service(prompt="name it well")
    fitted(run, representation_model={"Main": KeyBERTInspired(), "Label": other})
    assert other.asked == [0, 1, 2]


def test_a_service_that_fails_loses_nothing(tmp_path):
    run = str(tmp_path / "run")
    failing = Service(fail_at=2)
    with pytest.raises(ConnectionError):
        fitted(run, representation_model=failing)
    service = Service()
    model = fitted(run, representation_model=service)
    assert service.asked == [2]
    assert all(words[0][0].startswith("about ") for words in model.get_topics().values())


@pytest.mark.parametrize(
    "given", [KeyBERTInspired, "keybert", [KeyBERTInspired(), 3], {"Main": None}]
)
def test_what_chooses_no_words_is_said(given):
    with pytest.raises(SettingError, match="representation_model has"):
        fitted(representation_model=given)


def test_a_representation_that_is_not_known_any_more_is_said(tmp_path, caplog):
    run = str(tmp_path / "run")
    fitted(run, representation_model=Service())
    opened = TopicModel.load(run)
    assert opened.get_topic(0)[0][0].startswith("about ")
    opened.merge_topics(topics_to_merge=[0, 1])
    assert "representation_model of this run is not known" in caplog.text


def test_another_model_for_words_chooses_anew(tmp_path):
    from bertopic.cluster import BaseCluster

    vectors, run = HashingEmbedder().encode(TEXTS), str(tmp_path / "run")

    class Other(HashingEmbedder):
        cache_key = "another"

        def encode(self, texts):
            return -super().encode(texts)

    found = []
    for embedder in (HashingEmbedder(), Other()):
        model = TopicModel(hdbscan_model=BaseCluster(), representation_model=KeyBERTInspired(),
                           embedding_model=embedder, block_size=200, run=run)  # fmt: skip
        found.append(model.fit(TEXTS, vectors, y=[0] * 64 + [1] * 64).get_topics())
    assert found[0] != found[1]


@pytest.fixture
def tagger():
    """A spaCy pipeline that knows the parts of speech of a few words."""
    import spacy
    from spacy.language import Language

    kinds = {"red": "ADJ", "apple": "NOUN", "apples": "NOUN", "eat": "VERB", "pear": "NOUN"}

    @Language.component("tag_by_list")
    def tag(doc):
        for token in doc:
            token.pos_ = kinds.get(token.text.lower(), "X")
        return doc

    nlp = spacy.blank("en")
    nlp.add_pipe("tag_by_list")
    return nlp


def spoken(words):
    return Described(
        {0: words[:2], 1: [("zzz", 1.0)]}, lambda n: {0: words[:n], 1: [("zzz", 1.0)]},
        {0: ["I eat a Red apple", "eat pear"], 1: ["eat eat"]}, {}, None,
    )  # fmt: skip


def test_parts_of_speech(tagger):
    words = [("eat", 5.0), ("of", 4.0), ("red apple", 3.0), ("apple", 2.0), ("red", 1.5),
             ("pear", 1.0), ("apples", 0.5)]  # fmt: skip
    found = PartOfSpeech(tagger, top_n_words=3).extract_words(spoken(words))
    assert found[0] == [("red apple", 3.0), ("apple", 2.0), ("red", 1.5)]
    assert found[1] == [("zzz", 1.0)]  # none matched: the topic keeps its words
    nouns = PartOfSpeech(tagger, pos_patterns=[[{"POS": "NOUN"}]]).extract_words(spoken(words))
    assert nouns[0] == [("apple", 2.0), ("pear", 1.0)]


def test_a_spacy_model_that_is_not_there():
    with pytest.raises(MissingPackageError, match="spacy download no_such_model"):
        PartOfSpeech("no_such_model").extract_words(spoken([("a", 1.0)]))


def test_bertopics_part_of_speech(tagger):
    from bertopic.representation import PartOfSpeech as Theirs

    from dtopics.representation.foreign import ForeignRepresenter

    words = [("eat", 5.0), ("apple", 2.0), ("red", 1.5), ("pear", 1.0)]
    about = spoken(words)
    about = Described({0: words}, lambda n: {0: words[:n]}, {0: about.texts[0]}, {}, None)
    found = ForeignRepresenter(Theirs(tagger), lambda _, ask: ask()).extract_words(about)
    assert [word for word, _ in found[0] if word] == ["apple", "pear"]


def test_parts_of_speech_in_a_fit(tagger, tmp_path):
    from bertopic.cluster import BaseCluster

    texts = ["I eat a red apple"] * 10 + ["eat a pear"] * 10
    params = {"hdbscan_model": BaseCluster(), "representation_model": PartOfSpeech(tagger)}
    model = TopicModel(run=str(tmp_path), **params)
    model.fit(texts, np.repeat(np.eye(2, 4), 10, axis=0), y=[0] * 10 + [1] * 10)
    assert {word for word, _ in model.get_topic(0)} == {"red", "apple"}
    assert {word for word, _ in model.get_topic(1)} == {"pear"}
    again = TopicModel(run=str(tmp_path), **params)
    again.fit(texts, np.repeat(np.eye(2, 4), 10, axis=0), y=[0] * 10 + [1] * 10)
    assert again.get_topics() == model.get_topics()
