"""How many threads numeric libraries take."""

import subprocess
import sys

import pytest

from dtopics.execution.threads import available_cores

FIRST = """
from dtopics.execution.threads import numeric_threads
with numeric_threads(1):
    import numba
    print(numba.get_num_threads())
print(numba.get_num_threads())
"""


@pytest.mark.skipif(available_cores() < 2, reason="one core")
def test_a_library_that_a_step_is_the_first_to_load_keeps_to_the_width():
    done = subprocess.run([sys.executable, "-c", FIRST], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", str(available_cores())]
