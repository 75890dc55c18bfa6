"""The vocabulary of a whole run against scikit-learn's, however the work is divided."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from corpus import docstrings
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer

from dtopics.data import Block
from dtopics.errors import SettingError
from dtopics.execution import InProcessExecutor
from dtopics.representation import merging, steps, vocabulary_steps
from dtopics.representation.counts import from_table, to_csr
from dtopics.representation.steps import CountBlocks, MergeCounts, TokenizeBlock
from dtopics.representation.vectorizer import as_counting
from dtopics.representation.vocabulary import by_bucket, rows_of_share
from dtopics.representation.vocabulary_steps import find_vocabulary
from dtopics.store import Location, Run, own_lengths, spans


class Texts:
    def __init__(self, texts):
        self.texts = texts

    def __call__(self, block):
        rows = slice(block.row_start, block.row_start + block.n_rows)
        return SimpleNamespace(texts=self.texts[rows])


class Labels:
    """Stands for the stage of clusters: each document its own."""

    name, fingerprint = "clusters", "labels"

    def array(self, _name, block):
        return np.arange(block.row_start, block.row_start + block.n_rows)


def blocks_of(texts, rows):
    starts = range(0, len(texts), rows)
    return [Block("0000", i, s, min(rows, len(texts) - s)) for i, s in enumerate(starts)]


def found(vectorizer, texts, folder, *, rows, scope="document"):
    """Return the vocabulary's table, the stages by name, and documents × terms."""
    counting, executor = as_counting(vectorizer, min_df_scope=scope), InProcessExecutor()
    blocks = blocks_of(texts, rows)
    run = Run(Location(str(folder)))
    run.state["segments"] = [{"name": "0000", "n_rows": len(texts), "block_rows": rows}]
    tokens = run.stage("tokens", {}, [])
    executor.map_blocks(tokens, TokenizeBlock(Texts(texts), counting), blocks)
    stage = find_vocabulary(run, counting, tokens, blocks, executor)
    members = spans(blocks, 3)
    names = {span.name: listed for span, listed in members.items()}
    counts = run.stage("counts", {}, [stage], own_lengths(members))
    step = CountBlocks(tokens, counting, stage, Labels(), names)
    executor.map_blocks(counts, step, list(members))
    totals = run.stage("topic counts", {}, [counts])
    executor.run(totals, MergeCounts(counts, list(members)))
    table = stage.whole_table("vocabulary")
    summed = from_table(totals.whole_table("counts"))
    X = to_csr(summed, np.arange(len(texts)), table.num_rows)
    return table, {s.name: s for s in run.in_use()}, X


SETTINGS = [
    {},
    {"min_df": 3, "ngram_range": (1, 3)},
    {"min_df": 0.05, "max_df": 0.5, "ngram_range": (2, 2)},
    {"min_df": 2, "max_df": 20, "stop_words": "english"},
    {"max_df": 4, "binary": True},
    {"min_df": 2, "vocabulary": ["zebra", "the array", "of"], "ngram_range": (1, 2)},
]


@pytest.mark.parametrize("divided", ["whole", "finely"])
@pytest.mark.parametrize("parameters", SETTINGS, ids=str)
def test_like_scikit_learn(parameters, divided, tmp_path, monkeypatch):
    texts = [*docstrings()[:90], "", "Été à l'île"]
    if divided == "finely":  # many pieces, merges, shares, and a sketch in which all collide
        for module in (steps, vocabulary_steps):
            monkeypatch.setattr(module, "MOST_GRAMS", 50)
        monkeypatch.setattr(vocabulary_steps, "N_SPANS", 3)
        monkeypatch.setattr(merging, "WAITING_ROWS", 10)
        monkeypatch.setattr(vocabulary_steps, "SHARE_TERMS", 300)
        monkeypatch.setattr(vocabulary_steps, "sketch_size", lambda _n: 64)
    vectorizer = CountVectorizer(**parameters)
    expected = vectorizer.fit_transform(texts)
    table, _, X = found(vectorizer, texts, tmp_path, rows=100 if divided == "whole" else 7)
    assert table["term"].to_pylist() == vectorizer.get_feature_names_out().tolist()
    df = np.asarray((expected > 0).sum(axis=0)).ravel()
    assert table["df"].to_pylist() == df.tolist()
    assert table["cf"].to_pylist() == np.asarray(expected.sum(axis=0)).ravel().tolist()
    assert (expected != X).nnz == 0


@pytest.mark.parametrize("scope", ["document", "topic"])
def test_the_division_changes_nothing(scope, tmp_path, monkeypatch):
    texts = docstrings()[:60]
    vectorizer = CountVectorizer(ngram_range=(1, 2), min_df=2, max_features=70)
    whole, _, _ = found(vectorizer, texts, tmp_path / "whole", rows=60, scope=scope)
    monkeypatch.setattr(vocabulary_steps, "SHARE_TERMS", 200)
    monkeypatch.setattr(vocabulary_steps, "N_SPANS", 5)
    for rows in (1, 13):
        again, stages, _ = found(vectorizer, texts, tmp_path / str(rows), rows=rows, scope=scope)
        assert len(list(stages["term sums"].receipts())) > 1
        assert len(list(stages["terms"].receipts())) == 5  # spans, of one block or of several
        kept = (
            again.filter(np.asarray(again["df"]) >= 2),
            whole.filter(np.asarray(whole["df"]) >= 2),
        )
        assert kept[0].equals(kept[1])


def test_rare_terms_are_never_written(tmp_path):
    texts = [f"common word{i} other{i}" for i in range(200)]
    _, stages, _ = found(CountVectorizer(min_df=5), texts, tmp_path, rows=50)
    rows = [receipt.notes["terms"] for receipt in stages["terms"].receipts()]
    assert sum(rows) < 20
    assert min(rows) >= 1


@pytest.mark.parametrize(
    ("parameters", "texts", "said"),
    [
        ({"min_df": 3}, ["ab", "ab", "cd"], "min_df=3"),
        ({"max_df": 1}, ["ab", "ab"], "max_df=1"),
        ({"min_df": 2}, ["", "a"], "no document has a term: of 2 documents"),
        ({}, ["", "a"], "no document has a term: of 2 documents"),
        ({"min_df": 3, "max_df": 2}, ["ab"], "max_df=2 .* min_df=3"),
    ],
)
def test_nothing_left(parameters, texts, said, tmp_path):
    with pytest.raises(SettingError, match=said):
        found(CountVectorizer(**parameters), texts, tmp_path, rows=1)


def test_bounds_that_contradict_are_said_before_any_work(tmp_path):
    with contextlib.suppress(SettingError):
        found(CountVectorizer(min_df=3, max_df=2), ["ab"], tmp_path, rows=1)
    assert not (tmp_path / "stages" / "terms").exists()


@given(terms=st.sets(st.text(max_size=5), max_size=80), n_shares=st.integers(1, 40))
@settings(deadline=None)
def test_shares_are_all_rows_once(terms, n_shares):
    listed = sorted(terms, key=lambda term: term.encode())
    table = pa.table({
        "term": pa.array(listed, pa.large_string()),
        "df": np.arange(len(listed)), "cf": np.arange(len(listed)),
    })  # fmt: skip
    sorted_ = by_bucket(table)
    parts = [rows_of_share(sorted_, share, n_shares) for share in range(n_shares)]
    assert pa.concat_tables(parts).equals(sorted_.drop_columns("bucket"))
    assert pa.concat_tables(parts).sort_by("df").equals(table)
    half = by_bucket(table.slice(0, len(listed) // 2))  # the bucket is the term's alone
    for share, part in enumerate(parts):
        found = rows_of_share(half, share, n_shares)["term"].to_pylist()
        assert set(found) <= set(part["term"].to_pylist())


def test_a_share_does_not_hold_the_memory_of_all():
    terms = [f"a term with some letters {i}" for i in range(20_000)]
    table = pa.table({"term": pa.array(terms, pa.large_string()), "df": range(20_000)})
    rows = rows_of_share(by_bucket(table), 3, 100)
    assert 100 < rows.num_rows < 400
    assert rows.get_total_buffer_size() < table.get_total_buffer_size() / 30
