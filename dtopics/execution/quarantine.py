"""Documents that a step fails on every time: found by halving their block, and left out.

A step that reads documents can do without some of them: they are read as empty. Where a block
fails every time, the executor tries it with half of its documents, and goes on with the halves
that fail, until single documents are left. A block that fails without any document, or with too
many of them, is not their fault.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from dtopics.data import Block, Documents, Result
from dtopics.protocols import BlockStep, DocumentReader

logger = logging.getLogger("dtopics")

#: More documents of one block than this are no exception: the step itself is at fault.
MOST_OF_A_BLOCK = 64
#: How often a document must fail by itself.
TRIES = 3


@dataclass(frozen=True)
class Withheld:
    """Reads documents, some of them as empty.

    Parameters
    ----------
    read : DocumentReader
    rows : frozenset of int
        Rows of the block that are read as empty.
    """

    read: DocumentReader
    rows: frozenset[int]

    def __call__(self, block: Block) -> Documents:
        """Return the block's documents in row order."""
        documents = self.read(block)
        texts = ["" if row in self.rows else text for row, text in enumerate(documents.texts)]
        return documents._replace(texts=texts)


@dataclass(frozen=True)
class Quarantining:
    """Does a step without some of a block's documents, and notes which they are.

    Parameters
    ----------
    step : BlockStep
        One that reads documents by its ``read``.
    rows : tuple of int
        Rows of the block that are left out.
    reasons : tuple of str
        What each was left out for.
    """

    step: Any
    rows: tuple[int, ...]
    reasons: tuple[str, ...]

    def __call__(self, block: Block) -> Result:
        """Return what the step leaves, the rows and their ids among its notes."""
        result = withholding(self.step, self.rows)(block)
        ids = innermost(self.step.read)(block).ids
        left_out = [
            {"row": row, "doc_id": str(ids[row].as_py()), "reason": reason}
            for row, reason in zip(self.rows, self.reasons, strict=True)
        ]
        notes: Mapping[str, Any] = result.get("notes", {})  # type: ignore[assignment]
        return {**result, "notes": {**notes, "quarantined": left_out}}


def without(
    step: Any,
    block: Block,
    fails: Callable[[Collection[int]], BaseException | None],
    hide: Callable[[str], str] = str,
) -> Quarantining | None:
    """Return the step without the documents of a block that it fails on.

    Parameters
    ----------
    step : BlockStep
    block : Block
    fails : callable
        As in `find`.
    hide : callable (str) -> str
        Takes secrets out of what a step died of.

    Returns
    -------
    Quarantining or None
        None where no documents are to blame, or the step reads none.
    """
    if not (dataclasses.is_dataclass(step) and hasattr(step, "read")):
        return None
    found = find(block.n_rows, fails)
    if not found:
        return None
    reasons = [hide(f"{type(error).__name__}: {error}")[:500] for error in found.values()]
    for row, reason in zip(found, reasons, strict=True):
        logger.warning("document at row %d of block %s is left out: %s", row, block.name, reason)
    return Quarantining(step, tuple(found), tuple(reasons))


def withholding(step: Any, rows: Collection[int]) -> BlockStep:
    """Return a step that reads some rows of a block as empty."""
    changed: BlockStep = dataclasses.replace(step, read=_withheld(step.read, frozenset(rows)))
    return changed


def innermost(read: Any) -> DocumentReader:
    """Return what reads the documents themselves, where a reader changes what another reads."""
    found: Any = read
    while dataclasses.is_dataclass(found) and hasattr(found, "read"):
        found = found.read
    return found  # type: ignore[no-any-return]


def _withheld(read: Any, rows: frozenset[int]) -> DocumentReader:
    if read is innermost(read):
        return Withheld(read, rows)
    changed: DocumentReader = dataclasses.replace(read, read=_withheld(read.read, rows))
    return changed


def find(
    n_rows: int,
    fails: Callable[[Collection[int]], BaseException | None],
    most: int = MOST_OF_A_BLOCK,
) -> dict[int, BaseException]:
    """Return the rows of a block that a step fails on by themselves.

    Parameters
    ----------
    n_rows : int
        Rows of the block.
    fails : callable
        Tries the step without the rows that it is given; returns what it died of, or None.
    most : int
        More rows than these are not looked for.

    Returns
    -------
    dict of int to Exception
        None of them, where the block fails without any document, or only with several
        together, or with more than `most`.

    Examples
    --------
    >>> def fails(withheld):
    ...     return None if {3, 6} <= set(withheld) else ValueError("poison")
    >>> sorted(find(8, fails))
    [3, 6]
    """
    every = range(n_rows)
    if fails(every) is not None:
        return {}
    found: dict[int, BaseException] = {}
    ranges = [(0, n_rows)]
    while ranges:
        start, stop = ranges.pop()
        error = fails([*range(start), *range(stop, n_rows)])
        if error is None:
            continue
        if stop - start == 1:
            withheld = [*range(start), *range(stop, n_rows)]
            if all(fails(withheld) is not None for _ in range(TRIES - 1)):
                found[start] = error  # each time, and not as a service that fails now and then
            if len(found) > most:
                return {}
            continue
        middle = (start + stop) // 2
        ranges += [(middle, stop), (start, middle)]
    return found
