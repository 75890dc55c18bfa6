import functools
import json
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer

from dtopics.store import describe, fingerprint


def module_level(text):
    return text.split()


def test_it_is_the_same_in_another_process():
    code = (
        "from dtopics.store import fingerprint\n"
        "from sklearn.feature_extraction.text import CountVectorizer\n"
        "print(fingerprint('x', {'v': CountVectorizer(min_df=2), 's': {'b', 'a'}}, ['r']))"
    )
    here = fingerprint("x", {"v": CountVectorizer(min_df=2), "s": {"a", "b"}}, ["r"])
    outputs = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                       env={"PYTHONHASHSEED": seed}).stdout.strip()
        for seed in ("1", "2")
    }  # fmt: skip
    assert outputs == {here}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1}, {"a": 2}),
        ({"a": 1}, {"b": 1}),
        ({"a": [1, 2]}, {"a": [2, 1]}),
        ({"a": np.arange(3)}, {"a": np.arange(3.0)}),
        ({"a": CountVectorizer(min_df=1)}, {"a": CountVectorizer(min_df=2)}),
        ({"a": lambda text: text.split()}, {"a": lambda text: text.upper()}),
        ({"a": functools.partial(int, base=2)}, {"a": functools.partial(int, base=3)}),
    ],
)
def test_what_differs_has_another_key(one, other):
    assert fingerprint("x", one) != fingerprint("x", other)
    assert fingerprint("x", one) == fingerprint("x", one)


def test_order_of_names_does_not_matter():
    assert fingerprint("x", {"a": 1, "b": 2}) == fingerprint("x", {"b": 2, "a": 1})


def test_what_is_read_is_in_the_key():
    assert fingerprint("x", {}, ["a"]) != fingerprint("x", {}, ["b"])


def test_closures_are_in_the_key():
    def make(separator):
        return lambda text: text.split(separator)

    assert describe(make(",")) != describe(make(";"))
    assert describe(make(",")) == describe(make(","))


STOP = ["the"]


def helper(text):
    return [word for word in text.split() if word not in STOP]


def tokenizer(text):
    return [helper(line) for line in text.splitlines()] or tokenizer("the end")


def test_globals_that_a_scripts_function_reads_are_in_the_key(monkeypatch):
    before = describe(tokenizer)
    assert describe(tokenizer) == before
    monkeypatch.setattr(sys.modules[__name__], "STOP", ["the", "a"])
    assert describe(tokenizer) != before


def test_a_scripts_class_is_keyed_by_its_code():
    def make(separator):
        if separator == ",":

            class Splitter(CountVectorizer):
                def split(self, text):
                    return text.split(",")
        else:

            class Splitter(CountVectorizer):
                def split(self, text):
                    return text.split(";")

        return Splitter

    assert describe(make(",")) == describe(make(","))
    assert describe(make(",")) != describe(make(";"))


def test_a_function_of_a_package_is_its_path_and_version():
    from sklearn.feature_extraction.text import strip_accents_ascii

    described = describe(strip_accents_ascii)
    assert described["callable"] == "sklearn.feature_extraction.text:strip_accents_ascii"
    assert described["version"]


def test_a_function_of_a_script_is_its_code():
    assert "code" in describe(module_level)


def test_methods_of_builtin_types_patterns_and_paths_are_described():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert describe(str.split) == {"callable": "builtins:str.split", "builtin": True}
        assert describe(str.split) != describe(str.lower)
        words = describe(re.compile(r"\w+").findall)
        assert words == describe(re.compile(r"\w+").findall)
        assert words != describe(re.compile(r"\w").findall)
        assert words != describe(re.compile(r"\w+", re.ASCII).findall)
        assert describe(Path("a") / "b") == "a/b"


def test_cache_key_speaks_for_an_object():
    class Model:
        cache_key = "v1"

    assert describe(Model()) == {"cache_key": "v1"}


def test_what_cannot_be_described_is_not_reused_and_said():
    with pytest.warns(UserWarning, match="cache_key"):
        one = describe(object())
    with pytest.warns(UserWarning, match="cache_key"):
        other = describe(object())
    assert one != other


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan"), np.float64("inf")])
def test_numbers_that_json_lacks(value):
    text = json.dumps(describe({"epsilon": value}), allow_nan=False)
    assert repr(float(value)) in text
