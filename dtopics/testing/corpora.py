"""Corpora that can be made anywhere: with known topics, or of the docstrings at hand."""

from __future__ import annotations

import ast
import hashlib
import itertools
import re
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Packages whose docstrings make the demo's corpus; those that are not installed are left out.
PACKAGES = (
    "numpy", "scipy", "pandas", "sklearn", "dask", "distributed", "umap", "hdbscan", "numba",
    "zarr", "fsspec", "torch", "transformers", "sentence_transformers", "pyarrow", "click", "rich",
)  # fmt: skip
#: At most so many of one module and of one package are taken, so that none fills the corpus.
PER_MODULE = 14
PER_PACKAGE = 260
#: Of a package's modules, so many are looked into.
MODULES = 250


class MadeUp(NamedTuple):
    """A corpus with known topics.

    Attributes
    ----------
    texts : list of str
    labels : ndarray of int64, shape (n_documents,)
        −1 for documents of no topic.
    embeddings : ndarray of float32, shape (n_documents, n_features)
        Unit length.
    """

    texts: list[str]
    labels: NDArray[np.int64]
    embeddings: NDArray[np.float32]


def made_up(
    n_documents: int = 1_000,
    n_topics: int = 8,
    *,
    n_features: int = 32,
    outliers: float = 0.1,
    empty: float = 0.0,
    random_state: int = 0,
) -> MadeUp:
    """Make a corpus whose topics are known.

    Parameters
    ----------
    n_documents, n_topics, n_features : int
    outliers, empty : float
        Shares of documents of no topic, and of empty ones.
    random_state : int

    Examples
    --------
    >>> corpus = made_up(100, 3)
    >>> len(corpus.texts), corpus.embeddings.shape
    (100, (100, 32))
    """
    rng = np.random.default_rng(random_state)
    labels = rng.integers(0, n_topics, n_documents)
    labels[rng.random(n_documents) < outliers] = -1
    centres = rng.normal(size=(n_topics, n_features))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    noise = rng.normal(size=(n_documents, n_features)) / np.sqrt(n_features)
    vectors = np.where(labels[:, None] < 0, noise, centres[labels] + 0.35 * noise)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    texts = [_sentence(rng, int(label)) for label in labels]
    for row in np.flatnonzero(rng.random(n_documents) < empty):
        texts[row] = ""
        labels[row] = -1
    return MadeUp(texts, labels, vectors.astype(np.float32))


def docstrings(packages: Sequence[str] = PACKAGES) -> list[tuple[str, str, str]]:
    """Return the first paragraphs of the docstrings of installed packages.

    The sources are parsed, not imported.

    Parameters
    ----------
    packages : sequence of str

    Returns
    -------
    list of (str, str, str)
        The object's full name, its module (two levels of it), and the paragraph, each once.
    """
    found: dict[str, tuple[str, str, str]] = {}
    for package in packages:
        rows: dict[str, tuple[str, str, str]] = {}
        for module, path in _modules(package):
            label = ".".join(module.split(".")[:2])
            fresh = (
                pair for pair in _paragraphs(path) if pair[1] not in found.keys() | rows.keys()
            )
            for name, text in itertools.islice(fresh, PER_MODULE):
                rows[text] = (f"{module}.{name}", label, text)
        kept = sorted(rows, key=lambda text: hashlib.sha256(text.encode()).digest())
        found.update((text, rows[text]) for text in kept[:PER_PACKAGE])
    return sorted(found.values())


def write_docstrings(path: str, n_documents: int = 2_500) -> int:
    """Write docstrings as Parquet with the columns ``id, text, label``; return how many."""
    import pyarrow as pa

    from dtopics.store import Location
    from dtopics.store.tables import table_bytes

    rows = docstrings()
    kept = np.random.default_rng(0).permutation(len(rows))[:n_documents]
    rows = [rows[i] for i in np.sort(kept)]
    columns = dict(zip(("id", "label", "text"), map(list, zip(*rows, strict=True)), strict=True))
    Location(path).write(table_bytes(pa.table(columns)))
    return len(rows)


def _sentence(rng: np.random.Generator, label: int) -> str:
    length = int(rng.integers(5, 15))
    common = [f"common{i}" for i in rng.integers(0, 200, length)]
    if label < 0:
        return " ".join(common)
    own = [f"topic{label}word{i}" for i in rng.zipf(1.6, length) % 50]
    words = np.array([*common[: length // 3], *own])
    return " ".join(rng.permutation(words))


def _shuffled(module: tuple[str, Path]) -> bytes:
    return hashlib.sha256(module[0].encode()).digest()


def _modules(package: str) -> Iterator[tuple[str, Path]]:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return
    root = Path(spec.origin).parent
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if not any(part.startswith(("__", "test", "conftest")) for part in parts):
            yield ".".join((package, *parts)), path


def _paragraphs(path: Path) -> Iterator[tuple[str, str]]:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError, ValueError):
        return
    methods = (node.body for node in tree.body if isinstance(node, ast.ClassDef))
    for node in itertools.chain(tree.body, *methods):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            text = (ast.get_docstring(node) or "").split("\n\n")[0]
            text = re.sub(r"\s+", " ", text).strip()
            if 40 <= len(text) <= 600 and " " in text:
                yield node.name, text
