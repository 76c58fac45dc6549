"""A runner in the test's own process; the test controls its turns and its clock."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from runner.service.loop import Runner, running
from runner.service.runner_settings import Settings
from runner.system.clock import Clock
from runner.values import EPOCH


@dataclass
class GivenClock:
    """Time that only the test moves."""

    at: datetime = datetime(2027, 3, 2, 12, tzinfo=UTC)
    passed_s: float = 1000.0

    def now(self) -> datetime:
        return self.at

    def elapsed_s(self) -> float:
        return self.passed_s

    def go_on(self, duration_s: float) -> None:
        self.at += timedelta(seconds=duration_s)
        self.passed_s += duration_s


@contextmanager
def started(
    jobs: Path,
    clock: Clock,
    *,
    state: Path | None = None,
    log: Path | None = None,
    released: datetime = EPOCH,
) -> Iterator[Runner]:
    """Start a runner, by default with a state folder beside its jobs.

    At the end it releases its store as a killed runner does, and this process gets its
    signal handlers back.
    """
    state = state or jobs.parent / "state"
    settings = Settings(
        jobs=jobs, state=state, monitor_log=log or state / "monitor.jsonl", zone="UTC"
    )
    handlers = {
        number: signal.getsignal(number)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    }
    try:
        with running(settings, clock, observer=lambda record: None, released=released) as runner:
            runner.start()
            yield runner
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
