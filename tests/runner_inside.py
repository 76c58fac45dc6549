"""A runner in the test's own process, whose turns and whose clock are the test's."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from runner.service.clock import Clock
from runner.service.loop import Runner
from runner.service.settings import Settings
from runner.values import EPOCH


@contextmanager
def started(
    jobs: Path, clock: Clock, *, state: Path | None = None, log: Path | None = None, released: datetime = EPOCH
) -> Iterator[Runner]:
    """Start a runner, by default with a state folder beside its jobs; at the end it lets go of its store as it does
    when it is killed, and this process has its signal handlers back."""
    state = state or jobs.parent / "state"
    settings = Settings(jobs=jobs, state=state, monitor_log=log or state / "monitor.jsonl", zone="UTC")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        with Runner(settings, clock=clock, observer=lambda record: None, released=released) as runner:
            runner.start()
            yield runner
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
