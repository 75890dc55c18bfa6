"""c-TF-IDF: the weight of a term for a topic, as BERTopic defines it.

References
----------
.. [1] M. Grootendorst, "BERTopic: Neural topic modeling with a class-based TF-IDF procedure",
   2022, https://arxiv.org/abs/2203.05794
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin

from dtopics.errors import NotFittedError, SettingError

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

#: The weight that BERTopic gives to the words of `seed_topic_list`.
SEED_TOPIC_MULTIPLIER = 1.2


def inverse_frequencies(
    X: csr_matrix, *, bm25_weighting: bool = False, multiplier: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Return the weight of each term over all topics.

    With A, the average number of terms of a topic, rounded down, and f, the total of the term:
    log(A / f + 1), or log(1 + (A − f + 0.5) / (f + 0.5)) with `bm25_weighting`, which is below
    zero for terms more frequent than A.

    Parameters
    ----------
    X : csr_matrix of int64, shape (n_topics, n_terms)
        Counts, the outliers' row included.
    bm25_weighting : bool, default=False
    multiplier : array_like of shape (n_terms,), optional
        Factors for single terms.

    Returns
    -------
    ndarray of float64, shape (n_terms,)
        0 for a term that no topic has.
    """
    n_topics, n_terms = X.shape
    totals = np.asarray(X.sum(axis=0)).reshape(n_terms)
    frequency = totals.astype(np.float64)
    average = int(totals.sum() // n_topics) if n_topics else 0
    idf = np.zeros(n_terms)
    there = frequency > 0
    f = frequency[there]
    if bm25_weighting:
        idf[there] = np.log(1 + ((average - f + 0.5) / (f + 0.5)))
    else:
        idf[there] = np.log((average / f) + 1)
    return idf if multiplier is None else idf * np.asarray(multiplier, dtype=np.float64)


def weigh(
    X: csr_matrix, idf: NDArray[np.float64], *, reduce_frequent_words: bool = False
) -> csr_matrix:
    """Weight the counts of topics, slices of them or documents.

    Parameters
    ----------
    X : csr_matrix of int64, shape (n_rows, n_terms)
    idf : ndarray of float64, shape (n_terms,)
    reduce_frequent_words : bool, default=False
        Take the square root of a row's shares.

    Returns
    -------
    csr_matrix of float64, shape (n_rows, n_terms)
        A row without terms stays empty.
    """
    from scipy.sparse import csr_matrix

    X = csr_matrix(X)
    if not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    totals = np.asarray(X.sum(axis=1), dtype=np.float64).reshape(X.shape[0])
    totals[totals == 0] = 1.0  # a row of stored zeros
    data = X.data / np.repeat(totals, np.diff(X.indptr))
    if reduce_frequent_words:
        np.sqrt(data, out=data)
    data *= idf[X.indices]
    return csr_matrix((data, X.indices, X.indptr), shape=X.shape)


def c_tf_idf(
    X: csr_matrix,
    *,
    bm25_weighting: bool = False,
    reduce_frequent_words: bool = False,
    multiplier: ArrayLike | None = None,
) -> csr_matrix:
    """Return the weight of every term for every topic.

    Parameters
    ----------
    X : csr_matrix of int64, shape (n_topics, n_terms)
        Counts, the outliers' row included.
    bm25_weighting, reduce_frequent_words, multiplier
        See `inverse_frequencies` and `weigh`.

    Returns
    -------
    csr_matrix of float64, shape (n_topics, n_terms)

    Examples
    --------
    >>> from scipy.sparse import csr_matrix
    >>> c_tf_idf(csr_matrix([[3, 1], [0, 4]])).toarray().round(3).tolist()
    [[0.635, 0.147], [0.0, 0.588]]
    """
    idf = inverse_frequencies(X, bm25_weighting=bm25_weighting, multiplier=multiplier)
    return weigh(X, idf, reduce_frequent_words=reduce_frequent_words)


def seed_multiplier(
    terms: Iterable[str],
    *,
    seed_words: Iterable[str] | None = None,
    seed_multiplier: float = 2,
    seed_topic_list: Iterable[Iterable[str]] | None = None,
) -> NDArray[np.float64] | None:
    """Return the factor of each term that a user's seeds ask for; None where there are none.

    Parameters
    ----------
    terms : iterable of str
        The vocabulary in its order; a seed is matched exactly.
    seed_words : iterable of str, optional
        They get `seed_multiplier`.
    seed_multiplier : float, default=2
    seed_topic_list : iterable of iterables of str, optional
        Their words get 1.2, also those that are among `seed_words`, as in BERTopic.
    """
    if not seed_words and not seed_topic_list:
        return None
    factors = dict.fromkeys(seed_words or (), float(seed_multiplier))
    for words in seed_topic_list or ():
        factors |= dict.fromkeys(words, SEED_TOPIC_MULTIPLIER)
    return np.array([factors.get(term, 1.0) for term in terms], dtype=np.float64)


class ClassTfidfTransformer(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Weights counts of terms per topic; the parameters and the numbers are BERTopic's.

    Parameters
    ----------
    bm25_weighting : bool, default=False
        Weigh terms as BM25 does; frequent ones lose more.
    reduce_frequent_words : bool, default=False
        Take the square root of a term's share in its topic.
    seed_words : list of str, optional
        Words whose weight is multiplied.
    seed_multiplier : float, default=2
        By how much.

    Attributes
    ----------
    idf_ : ndarray of float64, shape (n_terms,)

    Examples
    --------
    >>> from scipy.sparse import csr_matrix
    >>> ClassTfidfTransformer().fit_transform(csr_matrix([[3, 1], [0, 4]])).shape
    (2, 2)
    """

    def __init__(
        self,
        bm25_weighting: bool = False,  # noqa: FBT001, FBT002 (BERTopic's signature)
        reduce_frequent_words: bool = False,  # noqa: FBT001, FBT002
        seed_words: list[str] | None = None,
        seed_multiplier: float = 2,
    ) -> None:
        self.bm25_weighting = bm25_weighting
        self.reduce_frequent_words = reduce_frequent_words
        self.seed_words = seed_words
        self.seed_multiplier = seed_multiplier

    def fit(
        self,
        X: csr_matrix,
        y: None = None,  # noqa: ARG002 (scikit-learn's signature)
        *,
        multiplier: ArrayLike | None = None,
    ) -> ClassTfidfTransformer:
        """Learn the weight of each term from counts per topic; `y` is not used.

        Parameters
        ----------
        X : csr_matrix of int64, shape (n_topics, n_terms)
        y : None
        multiplier : array_like of shape (n_terms,), optional
            Factors of single terms, such as `multiplier_for` gives.
        """
        self.idf_ = inverse_frequencies(
            X, bm25_weighting=self.bm25_weighting, multiplier=multiplier
        )
        return self

    def transform(self, X: csr_matrix) -> csr_matrix:
        """Weight counts of shape (n_rows, n_terms)."""
        if not hasattr(self, "idf_"):
            raise NotFittedError("ClassTfidfTransformer has no weights yet: call fit first")
        return weigh(X, self.idf_, reduce_frequent_words=self.reduce_frequent_words)

    def multiplier_for(
        self, terms: Iterable[str], seed_topic_list: Iterable[Iterable[str]] | None = None
    ) -> NDArray[np.float64] | None:
        """Return the factors that the seed words ask for; None where there are none."""
        return seed_multiplier(
            terms,
            seed_words=self.seed_words,
            seed_multiplier=self.seed_multiplier,
            seed_topic_list=seed_topic_list,
        )

    def describe(self) -> dict[str, Any]:
        """Return what the weights depend on, as JSON."""
        return {
            "bm25_weighting": bool(self.bm25_weighting),
            "reduce_frequent_words": bool(self.reduce_frequent_words),
            "seed_words": None if self.seed_words is None else sorted(set(self.seed_words)),
            "seed_multiplier": float(self.seed_multiplier),
        }


def as_ctfidf(ctfidf_model: Any = None) -> ClassTfidfTransformer:
    """Read a c-TF-IDF model, ours or BERTopic's, by its attributes.

    Raises
    ------
    SettingError
        If it has none of them, or a parameter means nothing.
    """
    if ctfidf_model is None:
        return ClassTfidfTransformer()
    names = ("bm25_weighting", "reduce_frequent_words", "seed_words", "seed_multiplier")
    if isinstance(ctfidf_model, type) or not all(hasattr(ctfidf_model, n) for n in names):
        raise SettingError(
            f"ctfidf_model={ctfidf_model!r}; expected a ClassTfidfTransformer (dtopics' or "
            "BERTopic's), not its class"
        )
    read = ClassTfidfTransformer(**{name: getattr(ctfidf_model, name) for name in names})
    for name in ("bm25_weighting", "reduce_frequent_words"):
        if not isinstance(getattr(read, name), bool | np.bool_):
            raise SettingError(f"{name}={getattr(read, name)!r}; expected True or False")
    if isinstance(read.seed_words, str):
        raise SettingError(f"seed_words={read.seed_words!r}; expected a list of words")
    if not np.isfinite(read.seed_multiplier) or read.seed_multiplier < 0:
        raise SettingError(f"seed_multiplier={read.seed_multiplier!r}; expected 0 or more")
    return read
