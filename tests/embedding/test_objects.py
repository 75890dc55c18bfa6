"""Objects that embed: anything with `encode`, and scikit-learn's pipelines."""

import pickle
import threading
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

from dtopics.embedding import DEFAULT_MODEL, MULTILINGUAL_MODEL, as_embedder
from dtopics.embedding.checks import checked, unit_rows
from dtopics.embedding.encode import ObjectEmbedder
from dtopics.embedding.sentence_transformers import SentenceTransformerEmbedder
from dtopics.embedding.sklearn import PipelineEmbedder
from dtopics.errors import EmbeddingError, SettingError
from dtopics.store import describe, fingerprint
from dtopics.testing import HashingEmbedder

TEXTS = [f"{one} and {two}" for one in ("cat", "dog", "tree") for two in ("house", "sea", "road")]


class Answers:
    """Encodes as it was told to."""

    def __init__(self, answer):
        self.answer = answer

    def encode(self, texts):
        return self.answer(texts) if callable(self.answer) else self.answer


class Backend:
    """As BERTopic's backends have it."""

    def embed(self, documents, verbose=False):
        assert isinstance(documents, list)
        return [[len(text), 1] for text in documents]


def test_vectors_are_the_objects_own_as_float32():
    found = ObjectEmbedder(HashingEmbedder(8)).encode(TEXTS)
    np.testing.assert_array_equal(found, HashingEmbedder(8).encode(TEXTS))
    found = ObjectEmbedder(Backend()).encode(("ab", "abc"))
    np.testing.assert_array_equal(found, [[2, 1], [3, 1]])
    assert found.dtype == np.float32
    assert ObjectEmbedder(HashingEmbedder(8)).encode([]).shape == (0, 8)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (np.zeros((2, 4)), r"Answers returned shape \(2, 4\) for 3 texts; expected a row each"),
        (np.zeros(3), r"returned shape \(3,\)"),
        (np.zeros((3, 2, 2)), r"returned shape \(3, 2, 2\)"),
        (np.array([[1, 2], [np.nan, 0], [np.inf, 1]]), "NaN or infinity for 2 of 3 texts"),
        (np.array([[1e300, 0]] * 3), "NaN or infinity for 3 of 3 texts"),
        ([[1.0], [2.0, 3.0], [4.0]], "Answers returned a list that is no array of numbers"),
        (["a", "b", "c"], "returned a list that is no array of numbers"),
        (None, r"returned shape \(\)"),
        ({"a": 1}, "returned a dict that is no array of numbers"),
    ],
    ids=str,
)
def test_answers_that_are_no_vectors(answer, message):
    with pytest.raises(EmbeddingError, match=message):
        ObjectEmbedder(Answers(answer)).encode(["a", "b", "c"])


def test_check_refuses_what_cannot_be_sent():
    ObjectEmbedder(Answers(lambda texts: texts)).check()
    with pytest.raises(EmbeddingError, match=r"\(Answers\) cannot be sent to workers: TypeError"):
        ObjectEmbedder(Answers(threading.Lock())).check()


def test_the_cache_key_is_the_description():
    one, two = (as_embedder(HashingEmbedder(n)) for n in (8, 9))
    assert describe(one.describe()) == describe(as_embedder(HashingEmbedder(8)).describe())
    assert fingerprint("embeddings", one.describe()) != fingerprint("embeddings", two.describe())


def test_what_every_kind_of_model_becomes():
    assert as_embedder(None).name == DEFAULT_MODEL
    assert as_embedder(None, language="EN").name == DEFAULT_MODEL
    assert as_embedder(None, language="multilingual").name == MULTILINGUAL_MODEL
    assert as_embedder(None, language="german").name == MULTILINGUAL_MODEL
    assert as_embedder("a/b", language="german") == SentenceTransformerEmbedder("a/b")
    assert isinstance(as_embedder(HashingEmbedder()), ObjectEmbedder)
    assert isinstance(as_embedder(Backend()), ObjectEmbedder)
    assert as_embedder(Path("some") / "folder") == SentenceTransformerEmbedder("some/folder")
    assert as_embedder("~/folder").name == str(Path.home() / "folder")
    embedder = as_embedder(pipeline(), random_state=3)
    assert isinstance(embedder, PipelineEmbedder)
    assert embedder.random_state == 3
    assert embedder.needs_fit
    assert not as_embedder(HashingEmbedder()).needs_fit


class LangChain:
    def embed_documents(self, texts):
        return [[len(text), 1.0] for text in texts]


def test_any_of_the_known_methods_embeds():
    for model in (Backend(), LangChain()):
        np.testing.assert_array_equal(as_embedder(model).encode(["ab", ""]), [[2, 1], [0, 1]])


@pytest.mark.filterwarnings("ignore:Tensorflow not installed:ImportWarning")
def test_bertopics_pipeline_is_fit_once_and_not_by_each_worker():
    from bertopic.backend._sklearn import SklearnEmbedder

    mine = SklearnEmbedder(pipeline())
    embedder = as_embedder(mine, random_state=5)
    assert embedder == PipelineEmbedder(mine.pipe, 5)
    expected = PipelineEmbedder(pipeline(), 5).fit(TEXTS).encode(TEXTS)
    np.testing.assert_array_equal(embedder.fit(TEXTS).encode(TEXTS), expected)
    assert not hasattr(mine.pipe[0], "vocabulary_"), "the user's object was fit"


def test_no_texts_have_the_width_of_others():
    for embedder in (as_embedder(HashingEmbedder(8)), PipelineEmbedder(pipeline(), 0).fit(TEXTS)):
        assert embedder.encode([]).shape == (0, embedder.encode(["cat"]).shape[1])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (HashingEmbedder, "the class HashingEmbedder; give an instance"),
        (TfidfVectorizer, "the class TfidfVectorizer"),
        (5, "is a int; expected a model's name"),
        (np.zeros((3, 2)), "is a ndarray"),
    ],
)
def test_what_cannot_embed(given, message):
    with pytest.raises(SettingError, match=message):
        as_embedder(given)


def pipeline(**svd):
    return make_pipeline(TfidfVectorizer(), TruncatedSVD(3, **svd), Normalizer())


def test_a_clone_of_the_pipeline_is_fit():
    mine = pipeline()
    fitted = PipelineEmbedder(mine, 5).fit(TEXTS)
    assert not hasattr(mine[0], "vocabulary_")
    assert mine[1].random_state is None
    expected = pipeline(random_state=5).fit_transform(TEXTS)
    np.testing.assert_array_equal(fitted.encode(TEXTS), expected.astype(np.float32))
    back = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(back.encode(TEXTS[:2]), fitted.encode(TEXTS)[:2])


def test_the_seed_fills_what_is_not_set():
    fitted = PipelineEmbedder(pipeline(random_state=1), 5).fit(TEXTS).pipeline
    assert fitted[1].random_state == 1
    assert PipelineEmbedder(pipeline(), 5).fit(TEXTS).pipeline[1].random_state == 5
    assert PipelineEmbedder(pipeline()).fit(TEXTS).pipeline[1].random_state is None


def test_sparse_rows_become_dense():
    fitted = as_embedder(HashingVectorizer(n_features=16)).fit(TEXTS)
    found = fitted.encode(TEXTS)
    assert found.shape == (9, 16)
    assert found.dtype == np.float32
    assert fitted.encode(["nothing of it"]).shape == (1, 16)


def test_sparse_rows_that_are_too_wide_are_refused_at_the_fit():
    wide = as_embedder(HashingVectorizer(n_features=20_000))
    with pytest.raises(EmbeddingError, match=r"20,000 sparse features.*TruncatedSVD"):
        wide.fit(TEXTS)


@pytest.mark.parametrize(
    ("texts", "message"),
    [(["", " "], "on 2 texts: empty vocabulary"), (["one two"], r"on 1 texts: n_components")],
)
def test_texts_that_the_pipeline_refuses(texts, message):
    with pytest.raises(EmbeddingError, match="the embedding pipeline cannot be fit " + message):
        PipelineEmbedder(pipeline(), 0).fit(texts)


def test_words_that_the_pipeline_does_not_know():
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(PipelineEmbedder(pipeline(), 0).fit(TEXTS).encode(["zzz"]), 0)


class OneNumber(BaseEstimator):
    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return np.zeros((1, 2))


def test_a_pipeline_that_loses_rows():
    with pytest.raises(EmbeddingError, match=r"OneNumber returned shape \(1, 2\) for 9 texts"):
        as_embedder(OneNumber()).fit(TEXTS).encode(TEXTS)


def test_settings_and_seed_are_in_the_description():
    cases = [(TruncatedSVD(3), 0), (TruncatedSVD(3), 1), (TruncatedSVD(3, n_iter=9), 0)]
    keys = [fingerprint("embedder", PipelineEmbedder(*case).describe()) for case in cases]
    assert len(set(keys)) == 3
    again = PipelineEmbedder(TruncatedSVD(3), 0).describe()
    assert fingerprint("embedder", again) == keys[0]


def test_checks():
    rows = np.array([[3.0, 4.0], [0.0, 0.0], [-2.0, 0.0]], np.float32)
    unit = unit_rows(rows)
    np.testing.assert_allclose(unit, [[0.6, 0.8], [0, 0], [-1, 0]], rtol=1e-6)
    assert checked(unit, 3, "model") is unit
