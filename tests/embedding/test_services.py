"""Embedding services: a server of OpenAI's protocol that limits, fails and counts."""

import http.server
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA

from dtopics import EmbeddingService, TopicModel
from dtopics.cli import cli
from dtopics.errors import EmbeddingError, SettingError
from dtopics.testing import HashingEmbedder

TEXTS = ["apple pear", "engine wheel", "pear plum", "wheel brake"] * 10


class Server:
    """Answers as OpenAI's embeddings do; `refusals` are statuses that it gives before."""

    def __init__(self):
        self.asked, self.refusals, self.keys = [], [], set()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.keys.add(self.headers["Authorization"])
                if outer.refusals:
                    said = f"slow down, {self.headers['Authorization']}"
                    self.answer(outer.refusals.pop(0), {"error": {"message": said}})
                    return
                outer.asked.append(body)
                vectors = HashingEmbedder(8).encode(body["input"])
                rows = [{"object": "embedding", "index": i, "embedding": row.tolist()}
                        for i, row in enumerate(vectors)]  # fmt: skip
                n = sum(len(text.split()) for text in body["input"])
                self.answer(200, {"object": "list", "data": rows[::-1], "model": body["model"],
                                  "usage": {"prompt_tokens": n, "total_tokens": n}})  # fmt: skip

            def answer(self, status, content):
                data = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.send_header("retry-after-ms", "10")
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def server():
    server = Server()
    yield server
    server.server.shutdown()
    server.server.server_close()


def test_vectors_in_order_in_batches(server, monkeypatch):
    monkeypatch.setenv("MY_KEY", "secret")
    service = EmbeddingService("small", server.url, "MY_KEY", batch_size=3, dimensions=8)
    service.check()
    vectors, tokens = service.encode_counted(TEXTS[:8])
    np.testing.assert_allclose(vectors, HashingEmbedder(8).encode(TEXTS[:8]), rtol=1e-6)
    assert tokens == 16
    assert [len(body["input"]) for body in server.asked] == [3, 3, 2]
    assert {body["dimensions"] for body in server.asked} == {8}
    assert server.keys == {"Bearer secret"}
    assert "secret" not in json.dumps(service.describe())


def test_limits_and_errors_are_waited_for(server):
    server.refusals = [429, 500, 503, 429]
    vectors = EmbeddingService("small", server.url).encode(TEXTS[:2])
    assert vectors.shape == (2, 8)
    assert not server.refusals


def test_a_refusal_is_said(server):
    server.refusals = [401]
    with pytest.raises(EmbeddingError, match=r"refused 1 texts for small.*401.*slow down"):
        EmbeddingService("small", server.url).encode(["a"])
    server.refusals = [429] * 3
    with pytest.raises(EmbeddingError, match="429"):
        EmbeddingService("small", server.url, max_retries=1).encode(["a"])


def test_the_key_is_in_no_message(server, monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-very-secret")
    server.refusals = [401]
    with pytest.raises(EmbeddingError, match="slow down") as refused:
        EmbeddingService("small", server.url, "MY_KEY").encode(["a"])
    assert "sk-very-secret" not in str(refused.value)
    with pytest.raises(SettingError, match="api_key_env"):
        EmbeddingService("small", "https://user:password@host/v1")


def test_nothing_has_the_width_of_something(server):
    assert EmbeddingService("small", server.url).encode([]).shape == (0, 8)


def test_long_texts_are_cut(server):
    EmbeddingService("small", server.url, max_characters=4).encode(["abcdefgh"])
    assert server.asked[0]["input"] == ["abcd"]


def test_many_threads(server):
    service = EmbeddingService("small", server.url)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(service.encode, [TEXTS[:2]] * 8))
    assert all((one == found[0]).all() for one in found)


def test_no_key_is_said_before_work(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(SettingError, match="OPENAI_API_KEY"):
        TopicModel(embedding_model=EmbeddingService("small")).fit(TEXTS)
    with pytest.raises(SettingError, match="batch_size"):
        EmbeddingService("small", batch_size=0)


def test_a_fit_pays_once_and_says_what(server, client, tmp_path):
    service = EmbeddingService("small", server.url, price=2.0)
    settings = {"umap_model": PCA(2), "hdbscan_model": KMeans(2, random_state=0), "block_size": 10,
                "embedding_model": service, "run": str(tmp_path)}  # fmt: skip
    model = TopicModel(**settings).fit(TEXTS, client=client)
    assert model.topics_[0] == model.topics_[2] != model.topics_[1]
    assert sum(len(body["input"]) for body in server.asked) == len(TEXTS)
    n = len(server.asked)
    TopicModel(**{**settings, "hdbscan_model": KMeans(3, random_state=0)}).fit(TEXTS, client=client)
    assert len(server.asked) == n
    said = CliRunner().invoke(cli, ["status", str(tmp_path)])
    assert said.exit_code == 0, said.output
    assert "80 service tokens" in said.output
    # a run that somebody else wrote must not have documents or keys sent anywhere
    with pytest.raises(EmbeddingError, match="give it again"):
        TopicModel.load(str(tmp_path)).transform(["apple"])
    assert TopicModel.load(str(tmp_path), service).transform(["apple"])[0]
