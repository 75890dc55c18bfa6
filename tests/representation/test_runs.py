"""Tokens cut without a regular expression are those that scikit-learn's analyzer finds."""

from __future__ import annotations

import dataclasses
import re
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer
from test_tokens import streams

from dtopics.representation.runs import runs_of
from dtopics.representation.tokens import token_block, tokenize_block
from dtopics.representation.vectorizer import as_counting

DEFAULT = CountVectorizer().token_pattern
TAKEN = [
    DEFAULT, r"\w+", r"(?u)\b\w+\b", r"\b\w{3,}\b", r"\b[a-zA-Z]{2,}\b", r"[a-z]+", r"[\w'-]+",
    r"\S+", r"[^\s,]{2,}", r"\b[^\W\d_]+\b", r"\w\w{2,}", "[\ud800-\udfff]+",
]  # fmt: skip
#: Letters of one, two, three and four bytes; those whose lower case is longer, or depends on what
#: is beside them; marks, digits, joiners, spaces and surrogates.
HARD = "aZ_09 \x00\n,'-İIıΣσςßẞÅÉe\u0301ﬁΔ日本\u200d\u00ad\u0e33𝒜😀𐐀\ud83d\ude00\udfff\U0010ffff"


@settings(deadline=None, max_examples=400)
@given(
    texts=st.lists(
        st.text(max_size=20)
        | st.text(alphabet=HARD, max_size=20)
        | st.text(st.characters(categories=["Cs", "Lu", "Mn", "Nd", "Zs"]), max_size=9),
        max_size=6,
    ),
    pattern=st.sampled_from(TAKEN),
    lowercase=st.booleans(),
    strip_accents=st.sampled_from([None, "ascii", "unicode"]),
)
def test_any_unicode(texts, pattern, lowercase, strip_accents):
    vectorizer = CountVectorizer(
        token_pattern=pattern, lowercase=lowercase, strip_accents=strip_accents
    )
    counting = as_counting(vectorizer)
    assert counting.runs is not None
    table = tokenize_block(texts, counting)
    assert table.equals(tokenize_block(texts, dataclasses.replace(counting, runs=None)))
    analyze = vectorizer.build_analyzer()
    if not re.search("[\ud800-\udfff]", "".join(texts)):
        assert streams(token_block(table)) == [analyze(text) for text in texts]


@pytest.mark.parametrize("pattern", [DEFAULT, r"\S+", r"\b[a-zA-Z]+\b"])
def test_every_character_there_is(pattern):
    characters = [chr(i) for i in range(sys.maxunicode + 1) if not 0xD800 <= i <= 0xDFFF]
    texts = [f"ab{c}cd {c}{c} {c}" for c in characters[::7]]
    vectorizer = CountVectorizer(token_pattern=pattern)
    analyze = vectorizer.build_analyzer()
    table = tokenize_block(texts, as_counting(vectorizer))
    assert streams(token_block(table)) == [analyze(text) for text in texts]


def test_more_tokens_than_any_first_table_holds():
    texts = [" ".join(f"w{i * k}" for i in range(4_000)) for k in (1, 3, 7, 0)]
    counting = as_counting()
    ordinary = dataclasses.replace(counting, runs=None)
    assert tokenize_block(texts, counting).equals(tokenize_block(texts, ordinary))


@pytest.mark.parametrize(
    "pattern",
    [
        r"\w+?", r"\w*", r"\b\w+", r"\w+\b", r"\b[\w-]+\b", r"(\w)\w+", r"(?i)[a-z]+", r"\w+|\S",
        r"[]a]+", r"\w++", r"\d+", r"(?u)\b\w\w+\b ", "a+", r"\w{2}", r"\w{2,4}", r"\wa+", "",
    ],
)  # fmt: skip
def test_other_patterns_are_left_to_re(pattern):
    assert runs_of(pattern) is None


class Own(CountVectorizer):
    def build_tokenizer(self):
        return str.split


@pytest.mark.parametrize(
    "vectorizer",
    [
        CountVectorizer(tokenizer=str.split, token_pattern=None),
        CountVectorizer(preprocessor=str.upper),
        CountVectorizer(analyzer="char"),
        CountVectorizer(analyzer=str.split),
        Own(),
    ],
    ids=["tokenizer", "preprocessor", "char", "function", "subclass"],
)
def test_other_analyzers_take_the_ordinary_path(vectorizer):
    counting = as_counting(vectorizer)
    assert counting.runs is None
    (found,) = streams(token_block(tokenize_block(["Two words"], counting)))
    assert found == counting.tokenize("Two words")
