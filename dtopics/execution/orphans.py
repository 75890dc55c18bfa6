"""Ends a scheduler of our own when the process that started it is gone.

Dask loads this into the scheduler (``distributed.scheduler.preload``). Its workers end with it, so
that a client that was killed leaves nothing behind, and the same command can go on at once.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

#: Seconds between two looks.
LOOK_S = 1.0


def dask_setup(scheduler: Any) -> None:
    """Begin to look whether the parent process is there."""
    parent = os.getppid()

    async def look() -> None:
        while os.getppid() == parent:
            await asyncio.sleep(LOOK_S)
        await scheduler.close(reason="the process that started it is gone")

    scheduler.dtopics_orphan_watch = asyncio.ensure_future(look())
