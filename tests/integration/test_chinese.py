"""Chinese: jieba's cutter, which pickle cannot send, and functions around it."""

import pickle

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import CountVectorizer

from dtopics import TopicModel

pytestmark = pytest.mark.filterwarnings("ignore")  # jieba's own

TEXTS = ["我喜欢吃苹果和梨", "苹果很好吃", "汽车的发动机坏了", "修理汽车轮子"] * 10
VECTORS = np.repeat([[1.0, 0, 0.1], [1, 0.1, 0], [0, 1, 0.1], [0.1, 1, 0]], 1, axis=0).repeat(
    1, axis=0
)
VECTORS = np.tile(VECTORS, (10, 1))


@pytest.fixture(scope="module")
def jieba():
    found = pytest.importorskip("jieba")
    found.setLogLevel(60)
    return found


def fitted(tokenizer, client):
    vectorizer = CountVectorizer(tokenizer=tokenizer, token_pattern=None)
    model = TopicModel(umap_model=PCA(2), hdbscan_model=KMeans(2, random_state=0), block_size=10,
                       vectorizer_model=vectorizer)  # fmt: skip
    return model.fit(TEXTS, VECTORS, client=client)


def test_jieba_as_it_is(jieba, client):
    with pytest.raises(TypeError):
        pickle.dumps(jieba.lcut)
    model = fitted(jieba.lcut, client)
    words = [{word for word, _ in model.get_topic(topic)} for topic in (0, 1)]
    fruit, cars = words if "苹果" in words[0] else words[::-1]
    assert "苹果" in fruit
    assert "汽车" in cars
    expected = CountVectorizer(tokenizer=jieba.lcut, token_pattern=None).fit(TEXTS)
    terms = model._run.fitted("vocabulary").whole_table("vocabulary")["term"].to_pylist()
    assert terms == sorted(expected.vocabulary_)


def test_a_function_around_it(jieba, client):
    lcut = jieba.lcut

    def cut(text):
        return [word for word in lcut(text) if len(word) > 1]

    model = fitted(cut, client)
    words = {word for topic in (0, 1) for word, _ in model.get_topic(topic) if word}
    assert "汽车" in words
    assert all(len(word) > 1 for word in words)
