"""``python -m dtopics.testing FILE``: write the demo's corpus of docstrings."""

import sys

from dtopics.testing.corpora import write_docstrings

if __name__ == "__main__":
    count = write_docstrings(sys.argv[1])
    sys.stdout.write(f"{count} docstrings of the installed packages in {sys.argv[1]}\n")
