"""What a user's CountVectorizer means, split where the work is split.

The *tokenising* half turns a text into a stream of tokens and runs once per document, whatever
the clustering. The *counting* half turns streams into terms and a vocabulary; it can change
without any text being read again.
"""

from __future__ import annotations

import copy
import hashlib
import logging
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from numbers import Integral, Real
from typing import Any

import numpy as np

from dtopics.errors import SettingError
from dtopics.representation.runs import Runs, runs_of
from dtopics.store.travelling import check_travels

logger = logging.getLogger("dtopics")

#: Parameters of CountVectorizer that no token depends on.
_COUNTING_PARAMETERS = frozenset({"min_df", "max_df", "max_features", "vocabulary", "binary"})
#: Parameters that say how files are opened or what type counts have; texts are strings here.
_UNUSED_PARAMETERS = frozenset({"input", "encoding", "decode_error", "dtype"})
#: Parameters of CountVectorizer that may be functions.
_FUNCTIONS = ("tokenizer", "preprocessor", "analyzer")
_FITTED = ("vocabulary_", "fixed_vocabulary_", "stop_words_", "_stop_words_id", "X_")
#: A subclass that overrides one of these can only be asked for its finished terms.
_WHOLE = ("build_analyzer", "_word_ngrams")
_HOOKS = (*_WHOLE, "build_preprocessor", "build_tokenizer", "decode", "_char_ngrams",
          "_char_wb_ngrams")  # fmt: skip


@dataclass(frozen=True)
class Counting:
    """How texts become tokens, and tokens become counted terms; made by `as_counting`.

    Attributes
    ----------
    stop_words : tuple of str or None
        Tokens that are left out before n-grams are made, sorted.
    n_gram_range : tuple of int
        The shortest and the longest n-gram made of the tokens.
    min_df, max_df : int or float
        Bounds on the number (int) or the share (float) of documents, or topics, with a term.
    max_features : int or None
        How many terms are kept, those with the highest totals.
    vocabulary : tuple of str or None
        A fixed vocabulary in its order; the bounds are then not used.
    binary : bool
        A term counts at most once per document.
    min_df_scope : {"document", "topic"}
        What `min_df` and `max_df` count. ``"topic"`` is BERTopic's reading.
    tokens : mapping
        What the stream of tokens depends on.
    runs : Runs or None
        What the token pattern takes, where tokens can be cut without a regular expression.
    preprocess : callable (list of str) -> sequence of str, or None
        What is done to texts before.
    """

    stop_words: tuple[str, ...] | None
    n_gram_range: tuple[int, int]
    min_df: int | float
    max_df: int | float
    max_features: int | None
    vocabulary: tuple[str, ...] | None
    binary: bool
    min_df_scope: str
    tokens: Mapping[str, Any]
    runs: Runs | None = field(repr=False, compare=False)
    _vectorizer: Any = field(repr=False, compare=False)
    preprocess: Any = None

    def check(self) -> None:
        """See that what a user gave can be sent to workers.

        Raises
        ------
        SettingError
        """
        for name in _FUNCTIONS:
            function = getattr(self._vectorizer, name, None)
            if callable(function):
                check_travels(function, f"the vectorizer's {name}")

    def build_tokenizer(self) -> Callable[[str], Iterable[str]]:
        """Return the function from a text to its tokens.

        It is built where it is used: scikit-learn lets it be a closure, which cannot be sent.
        """
        return self._vectorizer.build_analyzer()  # type: ignore[no-any-return]

    def build_preprocessor(self) -> Callable[[str], str]:
        """Return the function that prepares a text, where `runs` then cuts it."""
        if self._vectorizer.lowercase and self._vectorizer.strip_accents is None:
            return str.lower
        return self._vectorizer.build_preprocessor()  # type: ignore[no-any-return]

    def tokenize(self, text: str) -> list[str]:
        """Return the tokens of one text, before stop words and n-grams."""
        return list(self.build_tokenizer()(text))

    def describe_tokens(self) -> dict[str, Any]:
        """Return what the tokens depend on; a callable stands as ``{"callable": object}``."""
        return dict(self.tokens)

    def describe_counting(self) -> dict[str, Any]:
        """Return what terms, vocabulary and counts depend on, beside the tokens, as JSON."""
        return {
            "stop_words": None if self.stop_words is None else list(self.stop_words),
            "n_gram_range": list(self.n_gram_range),
            "min_df": self.min_df,
            "max_df": self.max_df,
            "max_features": self.max_features,
            "vocabulary": _digest(self.vocabulary),
            "binary": self.binary,
            "min_df_scope": self.min_df_scope,
        }


def counting_of(described: Mapping[str, Any], vocabulary: Iterable[str] | None = None) -> Counting:
    """Return what makes the same terms of tokens that are there; it cannot tokenise.

    Parameters
    ----------
    described : mapping
        What `Counting.describe_counting` returned.
    vocabulary : iterable of str, optional
        The terms, where the vectorizer had them fixed.
    """
    words = described["stop_words"]
    fixed = vocabulary if described["vocabulary"] is not None else None
    return replace(
        as_counting(min_df_scope=described["min_df_scope"]),
        stop_words=None if words is None else tuple(words),
        n_gram_range=tuple(described["n_gram_range"]),
        vocabulary=None if fixed is None else tuple(fixed),
        **{name: described[name] for name in ("min_df", "max_df", "max_features", "binary")},
    )


def as_counting(
    vectorizer_model: Any = None,
    *,
    n_gram_range: tuple[int, int] = (1, 1),
    min_df_scope: str = "document",
    preprocess: Any = None,
) -> Counting:
    """Read a vectorizer as tokenising and counting; the vectorizer itself is left as it is.

    Parameters
    ----------
    vectorizer_model : CountVectorizer or object with ``build_analyzer``, optional
        ``None`` means ``CountVectorizer(ngram_range=n_gram_range)``. A fitted vocabulary is not
        used: pass it as the parameter `vocabulary` to fix it. Where `analyzer` is ``"char"``,
        ``"char_wb"`` or a function, or a subclass makes its own, what it returns are the tokens.
    n_gram_range : tuple of int, default=(1, 1)
        Used where there is no `vectorizer_model`, as in BERTopic.
    min_df_scope : {"document", "topic"}, default="document"
        Whether `min_df` and `max_df` count documents, as scikit-learn says, or topics, as they
        do in BERTopic, which joins each topic's documents to one. ``binary`` means documents
        in both.
    preprocess : callable, optional
        What is done to a block's texts before.

    Returns
    -------
    Counting

    Raises
    ------
    SettingError
        If the vectorizer does not count (TF-IDF, hashing), or a parameter means nothing.

    Examples
    --------
    >>> as_counting(n_gram_range=(1, 2)).tokenize("An n-gram, or two")
    ['an', 'gram', 'or', 'two']
    """
    from sklearn.feature_extraction.text import CountVectorizer

    if min_df_scope not in {"document", "topic"}:
        raise SettingError(f"min_df_scope={min_df_scope!r}; expected 'document' or 'topic'")
    if vectorizer_model is None:
        vectorizer_model = CountVectorizer(ngram_range=_n_gram_range(n_gram_range))
    _check_kind(vectorizer_model)
    ours = _private_copy(vectorizer_model)
    whole = _is_whole(ours)
    if not whole or isinstance(ours, CountVectorizer):
        _check_count_vectorizer(ours)
    _try_analyzer(ours)
    by_word = not whole and ours.analyzer == "word"
    tokens = _describe_tokens(ours, whole=whole)
    if preprocess is not None:
        tokens["preprocess"] = {"callable": preprocess}
    counting = Counting(
        stop_words=_stop_words(ours) if by_word else None,
        n_gram_range=_n_gram_range(ours.ngram_range) if by_word else (1, 1),
        min_df=_document_bound("min_df", getattr(ours, "min_df", 1)),
        max_df=_document_bound("max_df", getattr(ours, "max_df", 1.0)),
        max_features=_max_features(getattr(ours, "max_features", None)),
        vocabulary=_fixed_vocabulary(getattr(ours, "vocabulary", None)),
        binary=bool(getattr(ours, "binary", False)),
        min_df_scope=min_df_scope,
        tokens=tokens,
        runs=_runs(ours) if by_word else None,
        _vectorizer=ours,
        preprocess=preprocess,
    )
    if isinstance(ours, CountVectorizer):
        # Only what tokens need may travel: a fixed vocabulary can be large.
        ours.min_df, ours.max_df, ours.max_features, ours.vocabulary = 1, 1.0, None, None
        if by_word:
            ours.stop_words, ours.ngram_range = None, (1, 1)
    return counting


def _check_kind(vectorizer: Any) -> None:
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer

    name = type(vectorizer).__name__
    if isinstance(vectorizer, type) or not hasattr(vectorizer, "build_analyzer"):
        raise SettingError(
            f"vectorizer_model={vectorizer!r} has no build_analyzer(); expected a "
            "CountVectorizer or an object with that method, not its class"
        )
    if isinstance(vectorizer, TfidfVectorizer):
        raise SettingError(
            f"vectorizer_model is a {name}, which weights words per document; c-TF-IDF weights "
            "them per topic and needs counts: use CountVectorizer with the same parameters"
        )
    if isinstance(vectorizer, HashingVectorizer):
        raise SettingError(
            f"vectorizer_model is a {name}, which forgets the words that topics are named by: "
            "use CountVectorizer; its vocabulary is built in bounded memory here"
        )
    for parameter in ("decay", "delete_min_df"):
        if getattr(vectorizer, parameter, None) is not None:
            logger.warning(
                "%s(%s=%r): words of all documents are counted here, and none is forgotten",
                name, parameter, getattr(vectorizer, parameter),
            )  # fmt: skip


def _private_copy(vectorizer: Any) -> Any:
    ours = copy.copy(vectorizer)
    for name in _FITTED:
        getattr(ours, "__dict__", {}).pop(name, None)
    return ours


def _overrides(vectorizer: Any, names: Iterable[str]) -> bool:
    from sklearn.feature_extraction.text import CountVectorizer

    return any(
        getattr(getattr(vectorizer, name, None), "__func__", None)
        is not getattr(CountVectorizer, name)
        for name in names
    )


def _is_whole(vectorizer: Any) -> bool:
    """Whether only the analyzer as a whole can be asked, n-grams and stop words in it."""
    return callable(getattr(vectorizer, "analyzer", None)) or _overrides(vectorizer, _WHOLE)


def _check_count_vectorizer(vectorizer: Any) -> None:
    if vectorizer.input != "content":
        raise SettingError(
            f"vectorizer_model has input={vectorizer.input!r}; documents are texts here, so it "
            "must be 'content': give files to `documents` instead"
        )
    analyzer = vectorizer.analyzer
    if not callable(analyzer) and analyzer not in {"word", "char", "char_wb"}:
        raise SettingError(
            f"vectorizer_model has analyzer={analyzer!r}; expected 'word', 'char', 'char_wb' "
            "or a function from a text to its terms"
        )
    for name in ("tokenizer", "preprocessor"):
        value = getattr(vectorizer, name)
        if not (value is None or callable(value)):
            raise SettingError(f"vectorizer_model has {name}={value!r}; expected a function")
    _n_gram_range(vectorizer.ngram_range)


def _try_analyzer(vectorizer: Any) -> None:
    """Build the analyzer once, so that a bad pattern, or scikit-learn's warnings, come early."""
    try:
        vectorizer.build_analyzer()
    except (ValueError, TypeError, re.error) as error:
        raise SettingError(f"vectorizer_model cannot analyse text: {error}") from error
    getattr(vectorizer, "__dict__", {}).pop("_stop_words_id", None)


def _stop_words(vectorizer: Any) -> tuple[str, ...] | None:
    words = vectorizer.get_stop_words()
    return None if words is None else tuple(sorted(_strings("stop_words", words)))


def _runs(vectorizer: Any) -> Runs | None:
    """Return what the token pattern takes, where nothing but the pattern makes the tokens."""
    replaced = vectorizer.tokenizer is not None or vectorizer.preprocessor is not None
    pattern = vectorizer.token_pattern
    if replaced or not isinstance(pattern, str) or _overrides(vectorizer, _HOOKS):
        return None
    return runs_of(pattern)


def _is_integer(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, Integral)


def _is_real(value: Any) -> bool:
    return isinstance(value, Real)


def _n_gram_range(value: Any) -> tuple[int, int]:
    match value:
        case [shortest, longest] if _is_integer(shortest) and _is_integer(longest):
            if 1 <= shortest <= longest:
                return int(shortest), int(longest)
    raise SettingError(
        f"n_gram_range={value!r}; expected two whole numbers, the shortest and the longest "
        "n-gram, such as (1, 2)"
    )


def _document_bound(name: str, value: Any) -> int | float:
    if _is_integer(value) and value >= 1:
        return int(value)
    if not isinstance(value, Integral) and _is_real(value) and 0 <= value <= 1:
        return float(value)
    raise SettingError(
        f"{name}={value!r}; expected a whole number of at least 1, or a share as a float "
        "between 0.0 and 1.0"
    )


def _max_features(value: Any) -> int | None:
    if value is None:
        return None
    if _is_integer(value) and value >= 1:
        return int(value)
    raise SettingError(f"max_features={value!r}; expected None or a whole number of at least 1")


def _fixed_vocabulary(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise SettingError(f"vocabulary={value!r}; expected terms, or a mapping of term to index")
    if isinstance(value, Mapping):
        if sorted(value.values()) != list(range(len(value))):
            raise SettingError(
                f"vocabulary maps {len(value)} terms to other indices than 0 to "
                f"{len(value) - 1}, each once"
            )
        value = sorted(value, key=value.__getitem__)
    elif isinstance(value, set | frozenset):
        value = sorted(value)
    terms = tuple(_strings("vocabulary", value))
    if not terms:
        raise SettingError("vocabulary is empty; give at least one term, or None to learn it")
    if len(set(terms)) < len(terms):
        twice = next(term for i, term in enumerate(terms) if term in terms[:i])
        raise SettingError(f"vocabulary has the term {twice!r} twice")
    return terms


def _strings(name: str, values: Iterable[Any]) -> list[str]:
    values = list(values)
    for value in values:
        if not isinstance(value, str):
            raise SettingError(f"{name} has {value!r} in it; expected strings only")
    return [valid_unicode(value) for value in values]


def valid_unicode(text: str) -> str:
    """Return the text with each lone surrogate, which UTF-8 cannot write, as U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return str(text)


def _describe_tokens(vectorizer: Any, *, whole: bool) -> dict[str, Any]:
    from sklearn.feature_extraction.text import CountVectorizer

    # str.lower, \w and accents follow the Unicode tables of the Python that runs.
    described: dict[str, Any] = {"unicode": unicodedata.unidata_version}
    if whole and not _overrides(vectorizer, (*_WHOLE, "decode")):
        return described | {"analyzer": _marked(vectorizer.analyzer)}
    # Not get_params: it leaves out what a subclass takes as **kwargs.
    used = {
        name: _marked(value)
        for name, value in getattr(vectorizer, "__dict__", {}).items()
        if name not in _COUNTING_PARAMETERS | _UNUSED_PARAMETERS | set(_HOOKS)
        and not name.startswith("_")
    }
    if whole:
        own = [name for name in _HOOKS if name in getattr(vectorizer, "__dict__", {})]
        return described | {
            "analyzer": _marked(type(vectorizer)),
            "parameters": used,
            "replaced": {name: _marked(getattr(vectorizer, name)) for name in own},
        }
    for name in _ineffective(vectorizer):
        used.pop(name, None)
    if _overrides(vectorizer, _HOOKS):
        own = [name for name in _HOOKS if name in vars(vectorizer)]
        used["class"] = _marked(type(vectorizer))
        used["replaced"] = {name: _marked(getattr(vectorizer, name)) for name in own}
    else:
        known = CountVectorizer().get_params(deep=False)
        used = {name: value for name, value in used.items() if name in known}
    return described | used


def _ineffective(vectorizer: Any) -> set[str]:
    """Return the names of parameters that other parameters switch off, or that only count."""
    names = set()
    if vectorizer.analyzer == "word":
        names |= {"stop_words", "ngram_range"}
        if vectorizer.tokenizer is not None:
            names.add("token_pattern")
    else:
        names |= {"stop_words", "tokenizer", "token_pattern"}
    if vectorizer.preprocessor is not None:
        names |= {"lowercase", "strip_accents"}
    return names


def _marked(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, list | tuple):
        return [_marked(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((_marked(item) for item in value), key=repr)
    if isinstance(value, Mapping):
        return {str(name): _marked(item) for name, item in value.items()}
    return {"callable": value}


def _digest(terms: tuple[str, ...] | None) -> dict[str, Any] | None:
    if terms is None:
        return None
    digest = hashlib.sha256()
    for term in terms:
        encoded = term.encode()
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return {"n_terms": len(terms), "sha256": digest.hexdigest()}
