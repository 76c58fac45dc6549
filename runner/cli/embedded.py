"""The same service with firing off, inside a command: what `exec` and the buttons use where no runner is running."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from runner.cli.options import Places
from runner.service.clock import SystemClock
from runner.service.loop import Runner
from runner.service.settings import Settings


@contextmanager
def embedded(places: Places) -> Iterator[Runner]:
    """Own the store for the length of a command, with the requests of the jobs folder in force.

    Raises StoreError and its kinds, LogUnwritableError.
    """
    settings = Settings(jobs=places.jobs, state=places.state, monitor_log=places.monitor_log, zone=places.zone)
    with Runner(settings, clock=SystemClock(), observer=lambda _record: None, is_firing=False) as runner:
        runner.start()
        yield runner
