"""The fault matrix: what was struck, how often, and what it cost.

``python -m benchmarks faults`` runs the fault suite (an hour; ``--short`` for its short form) and
prints a table for RESULTS.md. A line of JSON for each job goes to ``benchmarks/out/faults.jsonl``.
"""

import json
import os
import subprocess
import sys

from benchmarks.corpora import OUT


def main(options):
    OUT.mkdir(exist_ok=True)
    lines = OUT / "faults.jsonl"
    lines.unlink(missing_ok=True)
    chosen = "faults and not slow" if "--short" in options else "faults"
    command = [sys.executable, "-m", "pytest", "-q", "tests/faults", "-m", chosen]
    ended = subprocess.run(command, env={**os.environ, "DTOPICS_FAULTS": str(lines)}, check=False)
    print(table([json.loads(line) for line in lines.read_text().splitlines()]))
    sys.exit(ended.returncode)


def table(rows):
    """Return the rows as Markdown, with their sum."""
    names = ("runs", "injected", "redone", "lost", "differing")
    titles = ("fault", "where", "commands", "faults", "receipts written twice", "documents lost",
              "artefacts that differ")  # fmt: skip
    found = ["| " + " | ".join(titles) + " |", "|---" * len(titles) + "|"]
    for row in rows:
        numbers = " | ".join(str(row[name]) for name in names)
        found.append(f"| {row['fault']} | {row['where']} | {numbers} |")
    sums = " | ".join(str(sum(row[name] for row in rows)) for name in names)
    return "\n".join([*found, f"| all | | {sums} |"])


if __name__ == "__main__":
    main(sys.argv[1:])
