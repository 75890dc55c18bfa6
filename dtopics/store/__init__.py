"""The run directory: the only code that knows URLs.

`Location` opens them, `Run` is the directory, `Stage` is one step's data with its receipts, and
`fingerprint` names a stage by everything that its data depends on.
"""

from dtopics.store.dividing import own_lengths, rows_by_block, spans
from dtopics.store.fingerprint import describe, fingerprint
from dtopics.store.foreign import Foreign, load_foreign, store_foreign
from dtopics.store.location import Location
from dtopics.store.run import Run
from dtopics.store.stage import Stage

__all__ = [
    "Foreign",
    "Location",
    "Run",
    "Stage",
    "describe",
    "fingerprint",
    "load_foreign",
    "own_lengths",
    "rows_by_block",
    "spans",
    "store_foreign",
]
