"""Exact fire times for the `schedule` package: its Job and Scheduler over a heap. The only importer of `schedule`.

Epoch seconds are the truth; `next_run`, naive local time, is only what `schedule` itself would display.
"""

from __future__ import annotations

from collections.abc import Callable

import schedule


class FireJob(schedule.Job):
    """A registered request: carries an opaque payload and is told its next fire from outside."""


class FireScheduler(schedule.Scheduler):
    """Runs due jobs in order of their time; `run_pending` and `idle_seconds` cost O(log n), whatever is registered."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` returns epoch seconds."""
        raise NotImplementedError

    def plan(self, key: str, at_s: float, call: Callable[[str], None]) -> None:
        """Have `call(key)` called once at `at_s`; replaces what was planned for `key`."""
        raise NotImplementedError

    def forget(self, key: str) -> None:
        """Drop what is planned for `key`, if anything."""
        raise NotImplementedError
