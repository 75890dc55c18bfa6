"""Models of other libraries: as BERTopic's backends embed, and the same on every worker."""

import sys
import types

import numpy as np
import pytest

from dtopics import TopicModel
from dtopics.embedding import as_embedder
from dtopics.embedding.libraries import Flair, ParagraphVectors, Spacy, WordVectors, digest
from dtopics.embedding.packaged import packaged_path
from dtopics.errors import EmbeddingError

pytestmark = pytest.mark.filterwarnings("ignore")  # the libraries' own

TEXTS = [
    "apple pear plum",
    "engine wheel",
    "a pear, an unknownword",
    "wheel engine brake gear",
] * 12


@pytest.fixture(scope="module")
def words():
    from gensim.models import KeyedVectors

    rng = np.random.default_rng(0)
    names = ["apple", "pear", "plum", "engine", "wheel", "brake", "gear"]
    vectors = KeyedVectors(8)
    centres = np.repeat(rng.normal(size=(2, 8)), [3, 4], axis=0)
    vectors.add_vectors(names, (centres + rng.normal(0, 0.1, (7, 8))).astype(np.float32))
    return vectors


def test_word_vectors_like_bertopic(words):
    from bertopic.backend._gensim import GensimBackend

    found = as_embedder(words)
    assert isinstance(found, WordVectors)
    expected = GensimBackend(words).embed(TEXTS[:4])
    np.testing.assert_allclose(found.encode(TEXTS[:4]), expected, rtol=1e-6)
    assert not found.encode(["nothing known"]).any()


def test_a_word2vec_is_its_vectors():
    from gensim.models import Word2Vec

    model = Word2Vec(
        [text.split() for text in TEXTS], vector_size=8, min_count=1, workers=1, seed=1
    )
    assert (as_embedder(model).encode(TEXTS[:2]) == as_embedder(model.wv).encode(TEXTS[:2])).all()


def test_doc2vec_gives_a_text_the_same_vector_wherever_it_stands():
    from gensim.models.doc2vec import Doc2Vec, TaggedDocument

    tagged = [TaggedDocument(text.split(), [i]) for i, text in enumerate(TEXTS)]
    model = Doc2Vec(tagged, vector_size=8, min_count=1, workers=1, seed=1, epochs=5)
    embedder = as_embedder(model)
    assert isinstance(embedder, ParagraphVectors)
    one, other = embedder.encode(TEXTS[:3]), embedder.encode(TEXTS[2::-1])
    assert (one == other[::-1]).all()
    assert embedder.describe() == as_embedder(model).describe()


def test_spacy_like_bertopic():
    import spacy
    from bertopic.backend._spacy import SpacyBackend

    nlp = spacy.blank("en")
    rng = np.random.default_rng(0)
    for word in ("apple", "pear", "plum", "engine", "wheel"):
        nlp.vocab.set_vector(word, rng.normal(size=8).astype(np.float32))
    found = as_embedder(nlp)
    assert isinstance(found, Spacy)
    np.testing.assert_allclose(
        found.encode(TEXTS[:3]), SpacyBackend(nlp).embed(TEXTS[:3]), rtol=1e-6
    )
    assert found.encode(["none of these"]).shape == (1, 8)


def test_a_pipeline_like_bertopic_and_sentence_transformers():
    from bertopic.backend._hftransformers import HFTransformerBackend
    from transformers import pipeline

    path = packaged_path("all-MiniLM-L6-v2")
    made = pipeline("feature-extraction", model=str(path), device="cpu")
    embedder = as_embedder(made)
    found = embedder.encode(TEXTS[:4])
    np.testing.assert_allclose(found, HFTransformerBackend(made).embed(TEXTS[:4]), atol=1e-5)
    plain = as_embedder(str(path)).settle({"device": "cpu", "dtype": "float32"})
    np.testing.assert_allclose(found, plain.encode(TEXTS[:4]), atol=1e-5)
    again = as_embedder(pipeline("feature-extraction", model=str(path), device="cpu"))
    assert again.describe() == embedder.describe()


def test_flair_as_bertopic_uses_it(monkeypatch):
    """Flair is heavy: a stand-in has its classes and what is asked of them."""
    import torch

    class TokenEmbeddings(torch.nn.Module):
        def embed(self, sentence):
            raise AssertionError("token embeddings are pooled first")

    TokenEmbeddings.__module__ = "flair.embeddings.token"

    class DocumentPoolEmbeddings:
        def __init__(self, embeddings):
            assert isinstance(embeddings[0], TokenEmbeddings)

        def embed(self, sentence):
            sentence.embedding = torch.tensor([float(len(sentence.text)), 1.0])

    class Sentence:
        def __init__(self, text):
            self.text = text

    for name, held in {
        "flair": {},
        "flair.data": {"Sentence": Sentence},
        "flair.embeddings": {"TokenEmbeddings": TokenEmbeddings,
                             "DocumentPoolEmbeddings": DocumentPoolEmbeddings},
    }.items():  # fmt: skip
        module = types.ModuleType(name)
        module.__dict__.update(held)
        monkeypatch.setitem(sys.modules, name, module)
    found = as_embedder(TokenEmbeddings())
    assert isinstance(found, Flair)
    assert found.encode(["ab", "abcd"]).tolist() == [[2.0, 1.0], [4.0, 1.0]]


def test_word_vectors_on_workers(words, client, tmp_path):
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA

    settings = {"umap_model": PCA(2), "hdbscan_model": KMeans(2, random_state=0),
                "embedding_model": words, "block_size": 12}  # fmt: skip
    texts = [*TEXTS, "", "nothing known"]
    model = TopicModel(run=str(tmp_path), **settings).fit(texts, client=client)
    assert model.topics_[0] == model.topics_[2] != model.topics_[1]
    assert model.topics_[48] == -1
    stages = {path.name for path in (tmp_path / "stages" / "embeddings").iterdir()}
    TopicModel(run=str(tmp_path), top_n_words=3, **settings).fit(texts, client=client)
    assert {path.name for path in (tmp_path / "stages" / "embeddings").iterdir()} == stages
    with pytest.raises(EmbeddingError, match="give it again"):
        TopicModel.load(str(tmp_path)).transform(["apple"])
    assert TopicModel.load(str(tmp_path), words).transform(["apple"])[0] == [model.topics_[0]]


def test_other_weights_are_another_model(words):
    one = digest({"a": np.zeros(3), "b": "x"})
    assert one == digest({"b": "x", "a": np.zeros(3)})
    assert one != digest({"a": np.ones(3), "b": "x"})
    assert digest(b"x") != digest(b"y")


def test_prompt_and_remote_code_are_passed_on(monkeypatch):
    from dtopics.embedding import SentenceTransformerEmbedder

    seen = {}

    class Model:
        def __init__(self, path, **options):
            seen.update(options)

        def encode(self, texts, **options):
            seen.update(encoded=options)
            return np.ones((len(texts), 2), np.float32)

    import sentence_transformers

    monkeypatch.setattr(sentence_transformers, "SentenceTransformer", Model)
    embedder = SentenceTransformerEmbedder(
        str(packaged_path("all-MiniLM-L6-v2")), revision="abc", device="cpu", dtype="float32",
        prompt="query: ", trust_remote_code=True,
    )  # fmt: skip
    embedder.encode(["a text of its own"])
    assert seen["trust_remote_code"] is True
    assert seen["revision"] == "abc"
    assert "prompt" not in seen
    assert seen["encoded"]["prompt"] == "query: "
    assert embedder.describe()["prompt"] == "query: "
