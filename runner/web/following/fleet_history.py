"""Keeps the copy of a fleet's records up to date while the page is served. Touches files and
the database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event

from runner.access.fleet_log import FleetLog
from runner.errors import RunnerError
from runner.system.threads import OwnThread

_POLL_S, _RETRY_S = 0.5, 2.0
_END_S = 2.0


@contextmanager
def kept_up_to_date(log: FleetLog | None, report: Callable[[str], object]) -> Iterator[None]:
    """Copy new records in a thread during the block. Without a copy, do nothing.

    `report` gets a sentence when that fails, once for each reason, and when it works again.
    """
    if log is None:
        yield
        return
    is_over = Event()

    def run(log: FleetLog) -> None:
        said = ""
        while not is_over.is_set():
            try:
                log.up_to_date()
                words = ""
            except RunnerError as error:
                words = str(error)
            if words != said:
                said = words
                report(
                    f"the history is not kept: {words}" if words else "the history is kept again"
                )
            is_over.wait(_RETRY_S if said else _POLL_S)

    thread = OwnThread(target=run, args=(log,), name="fleet history", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join(_END_S)  # it may wait for a database that hangs
