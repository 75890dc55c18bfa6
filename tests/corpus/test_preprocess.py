"""Texts that are changed before they are embedded or counted."""

import threading

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import CountVectorizer

from dtopics import TopicModel, strip_html
from dtopics.cli import cli
from dtopics.corpus.preprocess import as_preprocessing, changed
from dtopics.errors import InputError, SettingError
from dtopics.testing import HashingEmbedder


def upper(texts):
    return [text.upper() for text in texts]


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>Fish</p><p>chips</p>", "Fish chips"),
        ("un<b>bel</b>ievable", "unbelievable"),
        ("a<br>b<br/>c", "a b c"),
        ("<script>var x = '<p>no</p>';</script>yes<style>p {}</style>", "yes"),
        ("<!-- never -->ever", "ever"),
        ("&lt;tag&gt; &amp; &eacute;&#8364;", "<tag> & é€"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ("R&D, AT&T", "R&D, AT&T"),
        ('<a href="x?a=1&b=2" title=">">link</a>', "link"),
        ("plain\n text", "plain\n text"),
        ("<p></p>", ""),
    ],
)
def test_strip_html(html, text):
    assert strip_html([html]) == [text]


@given(st.text(alphabet="<>&;!-/ab\"'= \n\ud800p", max_size=40))
def test_any_text_is_stripped(text):
    (found,) = strip_html([text])
    assert isinstance(found, str)
    assert len(changed([text], strip_html)) == 1


@given(st.text(alphabet=st.characters(exclude_characters="<&", exclude_categories=["Cs"])))
def test_text_without_html_stays(text):
    assert strip_html([text]) == [text]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda texts: texts[:-1], "returned 1 texts"),
        (lambda texts: "ab", "returned 2 texts"),
        (lambda texts: None, "NoneType"),
        (lambda texts: [1, 2], "returned 1, which is no text"),
    ],
)
def test_what_returns_no_texts_is_refused(change, said):
    with pytest.raises(InputError, match=said):
        changed(["a", "b"], change)


@pytest.mark.parametrize("given", [3, "strip", list, {}, {"embeds": upper}, {"embed": "x"}])
def test_what_changes_nothing_is_refused(given):
    with pytest.raises(SettingError, match="preprocess"):
        as_preprocessing(given)


PAGES = [f"<div class=fruit><p>apple {w}</p><p>pear</p></div>" for w in ("fig", "plum")] * 15 + [
    f"<div class=car><p>engine {w}</p><p>wheel</p></div>" for w in ("gear", "brake")
] * 15


def model_of(**params):
    settings = {"umap_model": PCA(2), "hdbscan_model": KMeans(2, random_state=0),
                "embedding_model": HashingEmbedder(), "block_size": 40}  # fmt: skip
    return TopicModel(**settings | params)


def words(model):
    return {word for topic in model.get_topics().values() for word, _ in topic if word}


def test_both_uses_or_one(client):
    plain = model_of().fit(PAGES, client=client)
    both = model_of(preprocess="strip_html").fit(PAGES, client=client)
    assert {"div", "class"} <= words(plain)
    assert not {"div", "class"} & words(both)
    assert both.get_representative_docs(0)[0] in PAGES  # what is shown stays as it is
    stripped = model_of().fit(strip_html(PAGES), client=client)
    assert both.topics_ == stripped.topics_
    assert both.get_topics() == stripped.get_topics()
    assert (both.embeddings.compute() == stripped.embeddings.compute()).all()

    counted = model_of(preprocess={"count": strip_html}).fit(PAGES, client=client)
    assert not {"div", "class"} & words(counted)
    assert (counted.embeddings.compute() == plain.embeddings.compute()).all()
    embedded = model_of(preprocess={"embed": strip_html}).fit(PAGES, client=client)
    assert {"div", "class"} <= words(embedded)
    assert (embedded.embeddings.compute() == both.embeddings.compute()).all()


def test_another_preprocess_reuses_what_does_not_depend_on_it(tmp_path):
    model_of(run=str(tmp_path)).fit(PAGES)
    vectors = {path.name for path in (tmp_path / "stages" / "embeddings").iterdir()}
    tokens = {path.name for path in (tmp_path / "stages" / "tokens").iterdir()}
    model_of(run=str(tmp_path), preprocess={"count": "strip_html"}).fit(PAGES)
    assert {path.name for path in (tmp_path / "stages" / "embeddings").iterdir()} == vectors
    assert len({path.name for path in (tmp_path / "stages" / "tokens").iterdir()} - tokens) == 1


def test_new_documents_are_changed_too(tmp_path):
    model = model_of(preprocess=strip_html, run=str(tmp_path)).fit(PAGES)
    found = model.transform(["<div class=car>engine</div>"])[0]
    assert found == [model.topics_[-1]]
    again = TopicModel.load(str(tmp_path), HashingEmbedder())
    with pytest.raises(SettingError, match=r"model\.preprocess"):
        again.transform(["<div class=car>engine</div>"])
    again.preprocess = strip_html
    assert again.transform(["<div class=car>engine</div>"])[0] == found
    assert again.approximate_distribution("<div>engine gear</div>")[0].argmax() == found[0]
    again.partial_fit(["<p>apple fig</p>"] * 3)
    assert not {"div", "class", "p"} & words(again)


def test_an_emptied_document_is_an_outlier():
    model = model_of(preprocess="strip_html").fit([*PAGES, "<br>", "<p></p>"])
    assert model.topics_[-2:] == [-1, -1]
    assert set(model.topics_) == {-1, 0, 1}


def test_by_the_command_line(tmp_path):
    (tmp_path / "pages.txt").write_text("\n".join(PAGES))
    np.save(tmp_path / "vectors.npy", HashingEmbedder().encode(strip_html(PAGES)))
    run = str(tmp_path / "run")
    done = CliRunner().invoke(cli, [
        "fit", str(tmp_path / "pages.txt"), "--run", run, "--strip-html", "--embeddings",
        str(tmp_path / "vectors.npy"), "--workers", "1",
    ])  # fmt: skip
    assert done.exit_code == 0, done.output
    opened = TopicModel.load(run)
    assert opened.preprocess == "strip_html"
    assert not {"div", "class"} & words(opened)


class Holding:
    """Offers a method that a module might offer as its function, and holds a lock."""

    def __init__(self):
        self.lock = threading.Lock()

    def cut(self, text):
        with self.lock:
            return text.split("-")


holding = Holding()
cut = holding.cut


@pytest.mark.filterwarnings("ignore:lock objects cannot be described")
def test_what_cannot_travel_is_said_before_work(client):
    lock = threading.Lock()

    def locked(texts):
        with lock:
            return texts

    with pytest.raises(SettingError, match=r"preprocess .*locked.* cannot be sent to workers"):
        model_of(preprocess=locked).fit(PAGES, client=client)
    with pytest.raises(SettingError, match=r"vectorizer's tokenizer .*cannot be sent"):
        model_of(vectorizer_model=CountVectorizer(tokenizer=Holding().cut, token_pattern=None)).fit(
            PAGES, client=client
        )
    # in this process nothing needs to travel
    assert model_of(preprocess=locked, block_size=100).fit(PAGES).topic_sizes_


def test_a_modules_method_travels_by_name():
    import pickle

    from dtopics.store.travelling import dumps

    def around(text):
        return [part.upper() for part in cut(text)]

    for function, expected in ((cut, ["a", "b"]), (around, ["A", "B"])):
        sent = pickle.loads(dumps(function))
        assert sent("a-b") == expected


def test_what_has_the_name_of_a_method_is_not_the_method(monkeypatch):
    import pickle
    import sys

    from dtopics.store.travelling import dumps

    class Words:
        def cut(self, text):
            return text.split()

    monkeypatch.setattr(sys.modules[Words.__module__], "cut", np.zeros(3))
    assert pickle.loads(dumps(Words().cut))("a b") == ["a", "b"]


@pytest.mark.filterwarnings("ignore:Holding objects cannot be described")
def test_what_an_update_cannot_send_is_said(client):
    model = model_of().fit(PAGES, client=client)
    held = Holding()
    vectorizer = CountVectorizer(tokenizer=held.cut, token_pattern=None)
    with pytest.raises(SettingError, match="cannot be sent to workers"):
        model.update_topics(vectorizer_model=vectorizer, client=client)
