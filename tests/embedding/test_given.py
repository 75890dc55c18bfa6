"""Embeddings that exist already."""

import pickle

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import zarr
from scipy import sparse

from dtopics.embedding.given import ArrayRows, ReadRows, check_given
from dtopics.errors import EmbeddingError

ROWS, WIDTH = 40, 6


@pytest.fixture
def unit():
    rows = np.random.default_rng(0).normal(size=(ROWS, WIDTH))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def as_list(rows, _):
    return rows.tolist()


def as_dask(rows, _):
    return da.from_array(rows, chunks=(7, 3))


def as_float16(rows, _):
    return rows.astype(np.float16)


def as_npy(rows, folder):
    np.save(folder / "rows.npy", rows)
    return str(folder / "rows.npy")


def as_zarr_2(rows, folder):
    zarr.create_array(str(folder / "v2"), data=rows, chunks=(7, WIDTH), zarr_format=2)
    return str(folder / "v2")


def as_zarr_3(rows, folder):
    zarr.create_array(str(folder / "v3"), data=rows, chunks=(9, 2), zarr_format=3)
    return folder / "v3"


def as_zarr_in_memory(rows, _):
    store = zarr.storage.FsspecStore.from_url("memory://given/rows.zarr")
    zarr.create_array(store, data=rows, chunks=(9, WIDTH), overwrite=True)
    return "memory://given/rows.zarr"


FORMS = [lambda rows, _: rows, as_list, as_dask, as_float16, as_npy, as_zarr_2, as_zarr_3]


@pytest.mark.parametrize("form", FORMS)
def test_what_is_found(unit, tmp_path, form):
    info = check_given(form(unit, tmp_path), ROWS)
    assert (info.n_rows, info.n_features, info.dtype) == (ROWS, WIDTH, "float16")
    (tmp_path / "long").mkdir()
    assert check_given(form(unit * 3, tmp_path / "long"), ROWS).dtype == "float32"


def test_what_becomes_an_array_is_taken(unit):
    torch = pytest.importorskip("torch")
    for given in (pd.DataFrame(unit), torch.tensor(unit), unit.tolist()):
        info = check_given(given, ROWS)
        assert (info.n_rows, info.dtype) == (ROWS, "float16")


@pytest.mark.parametrize("form", [as_npy, as_zarr_2, as_zarr_3, as_zarr_in_memory])
def test_rows_are_read_where_they_are(unit, tmp_path, form):
    rows = pickle.loads(pickle.dumps(ReadRows(str(form(unit, tmp_path)))))
    assert rows.open().shape == (ROWS, WIDTH)
    for start, n_rows in ((0, 7), (5, 20), (36, 4), (0, ROWS)):
        np.testing.assert_array_equal(rows(start, n_rows), unit[start : start + n_rows])
    assert rows.open() is rows.open()


def test_rows_of_an_array(unit):
    np.testing.assert_array_equal(ArrayRows(unit)(3, 4), unit[3:7])


def test_the_key_follows_the_content(unit, tmp_path):
    rows = ReadRows(as_npy(unit, tmp_path))
    before = rows.key()
    assert ReadRows(rows.url).key() == before
    np.save(rows.url, unit[:-1])
    assert rows.key() != before
    assert len(rows.open()) == ROWS - 1


def test_the_rule_of_the_dtype(unit):
    rows = unit.copy()
    rows[3], rows[5] = np.nan, 0
    assert check_given(rows, ROWS).dtype == "float16", "empty documents may have such rows"
    rows[7] *= 1.02
    assert check_given(rows, ROWS).dtype == "float32"
    assert check_given(np.zeros((ROWS, 2)), ROWS).dtype == "float32"
    assert check_given(np.full((ROWS, 2), np.nan), ROWS).dtype == "float32"
    assert check_given(np.full((ROWS, 2), 1e300), ROWS).dtype == "float32"
    assert check_given(np.ones((ROWS, 1), int), ROWS).dtype == "float16"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros((39, 3)), "there are 39 embeddings for 40 documents; expected one each"),
        (da.zeros((41, 3)), "there are 41 embeddings for 40 documents"),
        (np.zeros(40), r"have shape \(40,\); expected \(40, n_features\)"),
        (np.zeros((40, 2, 2)), r"have shape \(40, 2, 2\)"),
        (np.zeros((40, 0)), r"have shape \(40, 0\)"),
        ([], r"have shape \(0,\)"),
        ([[1.0, 2.0]] * 39 + [[1.0]], "do its rows differ"),
        ([["a", "b"]] * 40, "of type <U1; expected numbers"),
        (np.full((40, 2), None), "of type object; expected numbers"),
        (np.ones((40, 2), complex), "of type complex128"),
        (np.ones((40, 2), bool), "of type bool"),
        (sparse.eye_array(40, 2, format="csr"), "sparse matrix"),
        (da.ones((40, 2))[da.ones(40) > 0], "does not know its length"),
        (dd.from_pandas(pd.DataFrame(np.ones((40, 2))), npartitions=2), "Dask DataFrame"),
        ({"a": 1}, r"shape \(\)"),
    ],
    ids=range(15),
)
def test_what_are_no_embeddings(given, message):
    with pytest.raises(EmbeddingError, match=message):
        check_given(given, ROWS)


@pytest.mark.parametrize("form", [as_npy, as_zarr_2, as_zarr_3])
def test_stored_embeddings_of_another_corpus(unit, tmp_path, form):
    with pytest.raises(EmbeddingError, match="40 embeddings for 41 documents"):
        check_given(form(unit, tmp_path), ROWS + 1)


@pytest.mark.parametrize("name", ["gone", "gone.npy", "gone.zarr", "folder", "memory://no/such"])
def test_nothing_is_there(tmp_path, name):
    (tmp_path / "folder").mkdir()
    url = name if "://" in name else str(tmp_path / name)
    with pytest.raises(
        EmbeddingError, match=r"no embeddings at .*expected a Zarr array or an .npy"
    ):
        check_given(url, ROWS)


def test_what_is_there_cannot_be_opened(tmp_path):
    (tmp_path / "bad.npy").write_bytes(b"no array")
    with pytest.raises(EmbeddingError, match=r"cannot open embeddings at .*bad.npy"):
        check_given(tmp_path / "bad.npy", ROWS)
    np.save(tmp_path / "objects.npy", np.array([{}, 3], object), allow_pickle=True)
    with pytest.raises(EmbeddingError, match="cannot open embeddings"):
        check_given(tmp_path / "objects.npy", ROWS)
    zarr.create_group(str(tmp_path / "group"))
    with pytest.raises(EmbeddingError, match="cannot open embeddings"):
        check_given(tmp_path / "group", ROWS)


@pytest.mark.parametrize("dtype", ["<f2", "<f4", ">f4", "<f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_rows_of_a_file_are_those_of_the_array(tmp_path, dtype, order):
    array = np.asarray(np.random.default_rng(0).normal(size=(50, 7)), dtype, order=order)
    np.save(tmp_path / "rows.npy", array)
    rows = ReadRows(str(tmp_path / "rows.npy"))
    for start, n in ((0, 50), (3, 10), (45, 20), (50, 5), (0, 0)):
        found = rows(start, n)
        assert (found == array[start : start + n]).all()
        assert found.shape == array[start : start + n].shape


def test_what_was_read_of_a_file_does_not_stay(tmp_path):
    psutil = pytest.importorskip("psutil")
    array = np.ones((60_000, 256), np.float32)  # 61 MB
    np.save(tmp_path / "rows.npy", array)
    del array
    rows, process = ReadRows(str(tmp_path / "rows.npy")), psutil.Process()
    rows(0, 1_000)
    before = process.memory_info().rss
    for start in range(0, 60_000, 5_000):
        rows(start, 5_000)
    assert process.memory_info().rss - before < 20 * 2**20
