from __future__ import annotations

import json
import pickle

import pytest
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer

from dtopics.errors import SettingError
from dtopics.representation.tokens import tokenize_block
from dtopics.representation.vectorizer import as_counting


def letters(text):
    return list(text)


class Shouting(CountVectorizer):
    def build_preprocessor(self):
        return str.upper


class Cut(CountVectorizer):
    def build_analyzer(self):
        analyze = super().build_analyzer()
        return lambda text: [term[:3] for term in analyze(text)]


class Duck:
    min_df = 2

    def build_analyzer(self):
        return str.split


def test_none_is_bertopics_default():
    counting = as_counting(n_gram_range=(1, 3))
    assert counting.n_gram_range == (1, 3)
    assert counting.tokenize("An Old house") == ["an", "old", "house"]


def test_counting_parameters_do_not_touch_the_tokens():
    other = CountVectorizer(stop_words="english", ngram_range=(1, 2), min_df=3, max_df=0.5,
                            max_features=9, binary=True)  # fmt: skip
    plain, other = as_counting(), as_counting(other)
    assert plain.describe_tokens() == other.describe_tokens()
    assert plain.describe_counting() != other.describe_counting()
    assert other.tokenize("the house") == ["the", "house"]
    assert "the" in other.stop_words


@pytest.mark.parametrize(
    "changed",
    [{"lowercase": False}, {"strip_accents": "ascii"}, {"token_pattern": r"\w+"},
     {"tokenizer": letters}, {"preprocessor": str.upper}, {"analyzer": "char"},
     {"analyzer": letters}],
)  # fmt: skip
def test_tokenising_parameters_are_described(changed):
    counting = as_counting(CountVectorizer(**changed))
    assert counting.describe_tokens() != as_counting().describe_tokens()


def test_parameters_without_effect_are_not_described():
    tokenizer = {"tokenizer": letters, "token_pattern": None}
    one = as_counting(CountVectorizer(**tokenizer))
    two = as_counting(CountVectorizer(**tokenizer | {"token_pattern": "x"}))
    assert one.describe_tokens() == two.describe_tokens()
    assert one.describe_tokens()["tokenizer"] == {"callable": letters}


def test_character_ngrams_are_tokens():
    two, three = (as_counting(CountVectorizer(analyzer="char", ngram_range=(2, n))) for n in (2, 3))
    assert two.describe_tokens() != three.describe_tokens()
    assert two.n_gram_range == three.n_gram_range == (1, 1)
    assert two.tokenize("Abc") == ["ab", "bc"]


def test_subclasses():
    shouting = as_counting(Shouting(ngram_range=(1, 2)))
    assert shouting.tokenize("ab cd") == ["AB", "CD"]
    assert shouting.n_gram_range == (1, 2)
    assert shouting.describe_tokens()["class"] == {"callable": Shouting}
    whole = as_counting(Cut(ngram_range=(2, 2), stop_words=["with"]))
    assert whole.tokenize("house with door") == ["hou"]  # what its own analyzer gives
    assert (whole.n_gram_range, whole.stop_words) == ((1, 1), None)
    assert whole.describe_tokens() != as_counting(Cut()).describe_tokens()


def test_keyword_arguments_of_a_subclass_are_described():
    class Passing(CountVectorizer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)

    one, two = (as_counting(Passing(lowercase=lower)) for lower in (True, False))
    assert one.describe_tokens() == as_counting().describe_tokens()
    assert two.describe_tokens() != one.describe_tokens()


def test_methods_replaced_on_the_object():
    vectorizer = CountVectorizer(stop_words=["a"])
    vectorizer.build_tokenizer = lambda: str.split
    counting = as_counting(vectorizer)
    assert counting.tokenize("A b-c") == ["a", "b-c"]
    assert counting.stop_words == ("a",)
    replaced = counting.describe_tokens()["replaced"]
    assert replaced == {"build_tokenizer": {"callable": vectorizer.build_tokenizer}}


def test_duck_type():
    counting = as_counting(Duck())
    assert counting.tokenize("a b") == ["a", "b"]
    assert (counting.min_df, counting.max_df) == (2, 1.0)


def test_dask_mls_vectorizer():
    vectorizers = pytest.importorskip("dask_ml.feature_extraction.text")
    assert as_counting(vectorizers.CountVectorizer(min_df=2)).min_df == 2


def test_the_vectorizer_is_left_alone_and_its_fit_stays_behind():
    vectorizer = CountVectorizer(stop_words="english", vocabulary=["house"]).fit(["house"])
    before = dict(vars(vectorizer))
    counting = as_counting(vectorizer)
    tokenize_block(["the house"], counting)
    assert vars(vectorizer) == before
    assert not hasattr(counting._vectorizer, "vocabulary_")
    assert counting._vectorizer.vocabulary is None


@pytest.mark.parametrize(
    "vectorizer", [None, CountVectorizer(analyzer="char_wb"), CountVectorizer(analyzer=letters)]
)
def test_pickles(vectorizer):
    counting = as_counting(vectorizer)
    read = pickle.loads(pickle.dumps(counting))
    assert read == counting
    assert read.tokenize("a house") == counting.tokenize("a house")


def test_descriptions_are_json():
    vectorizer = CountVectorizer(stop_words=["b", "a"], vocabulary={"y": 1, "x": 0})
    counting = as_counting(vectorizer, min_df_scope="topic")
    json.dumps([counting.describe_tokens(), counting.describe_counting()])
    assert counting.stop_words == ("a", "b")
    assert counting.vocabulary == ("x", "y")
    assert as_counting(CountVectorizer(vocabulary={"b", "a"})).vocabulary == ("a", "b")


@pytest.mark.parametrize(
    ("vectorizer", "said"),
    [
        (TfidfVectorizer(), "c-TF-IDF"),
        (HashingVectorizer(), "forgets the words"),
        (CountVectorizer, "not its class"),
        (3, "build_analyzer"),
        (CountVectorizer(input="filename"), "content"),
        (CountVectorizer(analyzer="letters"), "char_wb"),
        (CountVectorizer(tokenizer="split"), "tokenizer='split'; expected a function"),
        (CountVectorizer(preprocessor=3), "preprocessor=3"),
        (CountVectorizer(ngram_range=(2, 1)), "n_gram_range"),
        (CountVectorizer(ngram_range=(0, 1)), "n_gram_range"),
        (CountVectorizer(min_df=0), "min_df"),
        (CountVectorizer(min_df=True), "min_df"),
        (CountVectorizer(max_df=1.5), "max_df"),
        (CountVectorizer(max_features=0), "max_features"),
        (CountVectorizer(stop_words="klingon"), "klingon"),
        (CountVectorizer(stop_words=[1]), "strings only"),
        (CountVectorizer(token_pattern="("), "analyse"),
        (CountVectorizer(token_pattern="(a)(b)"), "capturing group"),
        (CountVectorizer(vocabulary=[]), "empty"),
        (CountVectorizer(vocabulary=["a", "a"]), "twice"),
        (CountVectorizer(vocabulary={"a": 1}), "indices"),
        (CountVectorizer(vocabulary="word"), "expected terms"),
    ],
)
def test_settings_that_mean_nothing(vectorizer, said):
    with pytest.raises(SettingError, match=said):
        as_counting(vectorizer)


def test_scope_that_means_nothing():
    with pytest.raises(SettingError, match="'document' or 'topic'"):
        as_counting(min_df_scope="corpus")


def test_scikit_learns_warning_about_stop_words_comes_early():
    with pytest.warns(UserWarning, match="inconsistent"):
        as_counting(CountVectorizer(stop_words=["don't"]))
