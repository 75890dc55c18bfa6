"""Some seconds of libFuzzer for each reader, and for the loader of runs."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
FUZZ = Path(__file__).with_name("fuzz.py")
TARGETS = ["jsonl", "csv", "tsv", "text", "files", "parquet", "gz", "zst", "run"]


@pytest.mark.parametrize("target", TARGETS)
def test_bytes_that_coverage_leads_to(target, tmp_path):
    pytest.importorskip("atheris")
    command = [sys.executable, str(FUZZ), target, "-max_total_time=10", "-max_len=4000"]
    said = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert said.returncode == 0, said.stderr[-4_000:]
    assert "runs in" in said.stderr
    assert not list(tmp_path.glob("crash-*"))
