"""Words that are tokenised once give the ids of the whole text."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import BPE, WordPiece
from tokenizers.normalizers import BertNormalizer, Lowercase
from tokenizers.pre_tokenizers import BertPreTokenizer, Whitespace

from dtopics.embedding import token_ids
from dtopics.embedding.token_ids import TokenIds, divides_at_spaces

LETTERS = [
    *"abcdeσςοiıİéß東京한ा",
    "ab",
    "cd",
    "##a",
    "##b",
    "##σ",
    "##ς",
    "##e",
    "##́",
    ".",
    "-",
    "[",
    "]",
]


def bert(**normalizer):
    words = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[SEP]", *LETTERS])}
    made = Tokenizer(WordPiece(words, unk_token="[UNK]", max_input_chars_per_word=8))
    made.normalizer, made.pre_tokenizer = BertNormalizer(**normalizer), BertPreTokenizer()
    made.add_special_tokens(["[PAD]", "[UNK]", "[SEP]"])
    return made


def texts():
    odd = st.sampled_from(
        [*LETTERS, " ", "  ", "\t", "\n", "\x0b", "\x1c", "\x85", "\xa0", "\u2003", "\u200b", "\u0301",
         "\u3000", "\ufeff", "\x00", "[SEP]", "[UNK]", "[SE", "ΟΔΟΣ", "Σ", "A\u030a", "ﬁ", "👩‍🚀", "abcdeabcde"]
    )  # fmt: skip
    return st.lists(odd | st.characters(exclude_categories=["Cs"]), max_size=25).map("".join)


@pytest.mark.parametrize(
    "tokenizer",
    [bert(), bert(lowercase=False), bert(strip_accents=True, handle_chinese_chars=False)],
    ids=["default", "cased", "stripped"],
)
@settings(deadline=None, max_examples=150, derandomize=True)
@given(st.lists(texts(), max_size=8), st.sampled_from([None, 3, 512]))
def test_the_ids_are_those_of_the_whole_text(tokenizer, listed, most):
    if most is None:
        tokenizer.no_truncation()
    else:
        tokenizer.enable_truncation(most)
    by_word = TokenIds(tokenizer.to_str())
    assert by_word.by_word
    for _ in range(2):  # then from memory
        ids, bounds = by_word(listed)
        found = [ids[a:b].tolist() for a, b in itertools.pairwise(bounds)]
        whole = tokenizer.encode_batch(listed, add_special_tokens=False)
        assert found == [encoding.ids for encoding in whole]


def test_other_tokenizers_see_whole_texts():
    def parsed(change):
        made = bert()
        change(made)
        return json.loads(made.to_str())

    changes = [
        lambda t: setattr(t, "normalizer", Lowercase()),
        lambda t: setattr(t, "pre_tokenizer", Whitespace()),
        lambda t: setattr(t, "model", BPE({"a": 0}, [])),
        lambda t: t.enable_truncation(3, direction="left"),
        lambda t: t.add_tokens([AddedToken("new york")]),
        lambda t: t.add_tokens([AddedToken("york", lstrip=True)]),
        lambda t: t.add_tokens([AddedToken("york", single_word=True)]),
    ]
    assert divides_at_spaces(parsed(lambda t: None))
    assert not any(divides_at_spaces(parsed(change)) for change in changes)
    made = bert()
    made.pre_tokenizer = Whitespace()
    ids, bounds = TokenIds(made.to_str())(["ab cd", "", "a"])
    assert bounds.tolist() == [0, 2, 2, 3]
    assert ids.tolist() == made.encode("ab cd").ids + made.encode("a").ids


def test_no_texts():
    ids, bounds = TokenIds(bert().to_str())([])
    assert (len(ids), bounds.tolist()) == (0, [0])


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(token_ids, "MOST_WORDS", 5)
    made = TokenIds(bert().to_str())
    rng = np.random.default_rng(0)
    for _ in range(20):
        listed = [" ".join(rng.choice(list("abcde"), 3)) for _ in range(4)]
        made([*listed, "a" * 41])
        assert len(made._known) <= 5 + 12
        assert max(map(len, made._known)) <= token_ids.LONGEST_WORD
