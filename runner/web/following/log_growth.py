"""Tells open pages that the monitor log has grown, by one look at it for all of them.

An open page needs no record, because it asks for its content anew. So nothing is read
here; only the size of the log is looked at. Touches the log; reads the clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from starlette.concurrency import run_in_threadpool

_LOOK_S = 0.2
_PAUSE_S = 1.0
_BURST_PAUSE_S = 5.0
_BURST_BYTES = 128 << 10
"""With so much more log in a second, the runner and its processes need the processor."""


class LogGrowth:
    """The growth of one log, for the open pages of one event loop."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._pages = 0
        self._task: asyncio.Task[None] | None = None
        self.next = asyncio.Event()
        """Set when the log has grown from now on. Another one takes its place then."""
        self.pause_s = _PAUSE_S
        """How long a page should wait for its next content, in seconds; longer in a burst."""

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Look at the log while a page is open. Call this in the event loop."""
        self._pages += 1
        if self._task is None:
            self._task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            self._pages -= 1
            if not self._pages:
                self._task.cancel()
                self._task = None

    async def _watch(self) -> None:
        known = await run_in_threadpool(self._place)
        wait_s = _LOOK_S
        while True:
            await asyncio.sleep(wait_s)
            found = await run_in_threadpool(self._place)
            has_grown = found != known
            is_burst = found[1] - known[1] > _BURST_BYTES
            self.pause_s = _BURST_PAUSE_S if is_burst else _PAUSE_S
            wait_s = _PAUSE_S if has_grown else _LOOK_S  # no page wants two events in a second
            known = found
            if has_grown:
                self.next.set()
                self.next = asyncio.Event()

    def _place(self) -> tuple[int, int]:
        """Return the log's inode and size; zeros while there is none."""
        try:
            status = self._log.stat()
        except OSError:
            return 0, 0
        return status.st_ino, status.st_size
