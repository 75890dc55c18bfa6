"""How long ``import dtopics`` takes, and what it loads."""

import statistics
import subprocess
import sys

CODE = """
import sys, time
started = time.perf_counter()
import dtopics
print(time.perf_counter() - started, len(sys.modules))
"""


def main(_options):
    runs = [
        subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
        for _ in range(11)
    ]
    seconds = [float(run.stdout.split()[0]) for run in runs]
    print(f"import dtopics: median {statistics.median(seconds) * 1000:.0f} ms of 11")
