"""Run benchmarks by name; all of them where none is given."""

import importlib
import sys

NAMES = (
    "cores",
    "imports",
    "overhead",
    "parity",
    "memory",
    "clustering",
    "counting",
    "placing",
    "embedders",
    "fitting",
    "looking",
    "quality",
)
#: Those that run by name only: hours of whole runs, and what is read from them.
LONG = ("scale", "costs", "later", "rows", "faults")

if __name__ == "__main__":
    chosen, options = [], []
    for argument in sys.argv[1:]:
        (chosen if argument in NAMES + LONG else options).append(argument)
    for name in chosen or NAMES:
        importlib.import_module(f"benchmarks.{name}").main(options)
