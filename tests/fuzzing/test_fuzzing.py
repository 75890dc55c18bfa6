"""libFuzzer for each reader, and for the loader of runs: always the same inputs.

``make fuzz`` goes on from other inputs each time.
"""

import os
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
    command = [sys.executable, str(FUZZ), target, "-seed=1", "-runs=5000", "-max_len=4000"]
    said = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONHASHSEED": "1"},
    )
    assert said.returncode == 0, said.stdout[-4_000:] + said.stderr[-1_000:]
    assert "runs in" in said.stderr
    assert not list(tmp_path.glob("crash-*"))
