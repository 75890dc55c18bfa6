"""The corpora of the benchmarks: Parquet files with given embeddings, in one folder.

``DTOPICS_CORPORA`` names the folder (default ``../shared/corpora``). A corpus without embeddings
is embedded once, by the default model, into ``benchmarks/out``.
"""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

FOLDER = Path(os.environ.get("DTOPICS_CORPORA", "../shared/corpora"))
OUT = Path(__file__).parent / "out"


class Labelled(NamedTuple):
    texts: list
    labels: np.ndarray
    embeddings: np.ndarray


def load(name, n_documents=None):
    """Return texts, true labels and MiniLM embeddings (float32) of a corpus."""
    import pandas as pd

    table = pd.read_parquet(FOLDER / f"{name}.parquet", columns=["text", "label"])
    if n_documents is not None:
        table = table.sample(n_documents, random_state=0).sort_index()
    texts = table["text"].tolist()
    labels = pd.factorize(table["label"])[0]
    given = FOLDER / f"{name}.minilm.f16.npy"
    path = given if n_documents is None and given.exists() else OUT / f"{name}.{n_documents}.npy"
    if not path.exists():
        embed(texts, path)
    return Labelled(texts, labels, np.load(path).astype(np.float32))


def embed(texts, path):
    """Embed texts by the default model and keep the vectors as float16."""
    from dtopics.embedding import as_embedder

    model = as_embedder(None).resolve()
    parts = [model.encode(texts[i : i + 16_384]) for i in range(0, len(texts), 16_384)]
    path.parent.mkdir(exist_ok=True)
    np.save(path, np.concatenate(parts).astype(np.float16))


def static(name):
    """Return labels and the vectors of a static model distilled from MiniLM, float16, kept."""
    import pandas as pd

    table = pd.read_parquet(FOLDER / f"{name}.parquet", columns=["text", "label"])
    path = OUT / f"{name}.static.npy"
    if not path.exists():
        from model2vec.distill import distill

        from dtopics.embedding.packaged import packaged_path

        model = distill(str(packaged_path("all-MiniLM-L6-v2")))
        vectors = np.nan_to_num(np.asarray(model.encode(table["text"].tolist()), np.float32))
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        OUT.mkdir(exist_ok=True)
        np.save(path, np.divide(vectors, lengths, where=lengths > 0).astype(np.float16))
    return pd.factorize(table["label"])[0], np.load(path, mmap_mode="r")
