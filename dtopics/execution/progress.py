"""What a person sees while a run goes on: bars on a terminal, lines in a log."""

from __future__ import annotations

import contextlib
import logging
import time
from typing import Any, Protocol

logger = logging.getLogger("dtopics")


class Progress(Protocol):
    """Told by an executor what has been done."""

    def start(self, stage: str, *, blocks: int, rows: int, done: int) -> None:
        """Start a stage of `blocks` blocks, `done` of which have receipts already."""
        ...

    def advance(self, stage: str, *, rows: int) -> None:
        """Count one more block of `rows` documents."""
        ...

    def finish(self, stage: str, *, reused: bool) -> None:
        """Finish a stage; `reused` where there was nothing to do."""
        ...


class SilentProgress:
    """Says nothing."""

    def start(self, stage: str, *, blocks: int, rows: int, done: int) -> None:
        """Do nothing."""

    def advance(self, stage: str, *, rows: int) -> None:
        """Do nothing."""

    def finish(self, stage: str, *, reused: bool) -> None:
        """Do nothing."""


class LogProgress:
    """Lines in the log ``dtopics``: when a stage starts, every so often, and when it is done.

    Parameters
    ----------
    every : float, default=30.0
        Seconds between lines of one stage.
    """

    def __init__(self, every: float = 30.0) -> None:
        self.every = every
        self._stages: dict[str, dict[str, float]] = {}

    def start(self, stage: str, *, blocks: int, rows: int, done: int) -> None:
        """Remember when the stage started."""
        now = time.monotonic()
        self._stages[stage] = {
            "blocks": blocks, "rows": rows, "done": done, "n": 0, "started": now, "said": now,
        }  # fmt: skip

    def advance(self, stage: str, *, rows: int) -> None:
        """Say how far the stage is, where the last line is old enough."""
        state = self._stages[stage]
        state["done"] += 1
        state["n"] += rows
        now = time.monotonic()
        if now - state["said"] >= self.every:
            state["said"] = now
            rate = state["n"] / max(now - state["started"], 1e-9)
            logger.info(
                "%s: %d of %d blocks, %.0f documents/s", stage, state["done"], state["blocks"], rate
            )

    def finish(self, stage: str, *, reused: bool) -> None:
        """Say that the stage is done, or was done before."""
        state = self._stages.pop(stage)
        if reused:
            logger.info("%s: reused", stage)
        else:
            logger.info("%s: done in %.1f s", stage, time.monotonic() - state["started"])


class BarProgress:
    """A bar for each stage on a terminal, through rich; use it in a ``with``."""

    def __init__(self, console: Any) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        self._bars = Bars(
            TextColumn("{task.description:>14}"),
            BarColumn(bar_width=32),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[note]}"),
            console=console,
        )
        self._tasks: dict[str, Any] = {}
        self._rows: dict[str, tuple[float, int]] = {}

    def __enter__(self) -> BarProgress:
        """Show the bars."""
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave them as they are."""
        self._bars.stop()

    def start(self, stage: str, *, blocks: int, rows: int, done: int) -> None:  # noqa: ARG002
        """Add a bar."""
        with contextlib.suppress(KeyError):
            self._bars.remove_task(self._tasks.pop(stage))
        self._tasks[stage] = self._bars.add_task(stage, total=blocks, completed=done, note="")
        self._rows[stage] = (time.monotonic(), 0)

    def advance(self, stage: str, *, rows: int) -> None:
        """Move the bar by a block."""
        started, before = self._rows[stage]
        self._rows[stage] = (started, before + rows)
        rate = (before + rows) / max(time.monotonic() - started, 1e-9)
        note = f"{rate:,.0f} documents/s" if before + rows else ""
        self._bars.update(self._tasks[stage], advance=1, note=note)

    def finish(self, stage: str, *, reused: bool) -> None:
        """Fill the bar."""
        task = self._tasks[stage]
        if reused:
            self._bars.update(task, note="reused")
        total = next(t.total for t in self._bars.tasks if t.id == task)
        self._bars.update(task, completed=total)
