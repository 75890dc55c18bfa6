"""Run benchmarks by name; all of them where none is given."""

import importlib
import sys

NAMES = (
    "imports",
    "overhead",
    "parity",
    "memory",
    "clustering",
    "counting",
    "placing",
    "embedders",
    "quality",
)
#: Those that take hours, and run by name only.
LONG = ("scale",)

if __name__ == "__main__":
    chosen, options = [], []
    for argument in sys.argv[1:]:
        (chosen if argument in NAMES + LONG else options).append(argument)
    for name in chosen or NAMES:
        importlib.import_module(f"benchmarks.{name}").main(options)
