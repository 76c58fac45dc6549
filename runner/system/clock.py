"""The clock of the runner. Nothing else in it reads one, so that tests can replace it."""

from __future__ import annotations

import select
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Wall time and elapsed time, readable from any thread."""

    def now(self) -> datetime:
        """Return the current instant in UTC."""
        ...

    def elapsed_s(self) -> float:
        """Return monotonic seconds; they stop while the machine sleeps."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def elapsed_s(self) -> float:
        return time.monotonic()


class StepDetector:
    """Detects that wall time moved further than elapsed time between two looks.

    The cause is a step of the clock, or a sleep of the machine.
    """

    THRESHOLD_S = 1.0
    """A smaller difference is no step: NTP slews the clock all the time."""
    _TOGETHER_S = 0.1
    """Two readings within this time count as one moment."""
    _TRIES = 5

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset_s = self._read(clock.now().timestamp() - clock.elapsed_s())

    def look(self) -> float:
        """Return by how many seconds the clock was stepped since the last look.

        A negative result means back; 0.0 means no step.
        """
        offset_s = self._read(self._offset_s)
        step_s, self._offset_s = offset_s - self._offset_s, offset_s
        return step_s if abs(step_s) > self.THRESHOLD_S else 0.0

    def _read(self, known_s: float) -> float:
        """Return wall time minus elapsed time, both read at the same moment.

        If the scheduler pauses the process between the two readings each time, return
        `known_s`: the pause must not look like a step.
        """
        for _ in range(self._TRIES):
            before_s = self._clock.elapsed_s()
            wall_s = self._clock.now().timestamp()
            if self._clock.elapsed_s() - before_s < self._TOGETHER_S:
                return wall_s - before_s
        return known_s


def exact_poll(poll: select.epoll, timeout_s: float, clock: Clock) -> list[tuple[int, int]]:
    """Wait for events, with a timeout exact to the microsecond.

    epoll counts whole milliseconds and rounds up (epoll_wait(2)). So epoll waits for less
    than the last millisecond, and select waits for the rest.
    """
    until_s = clock.elapsed_s() + timeout_s
    events = poll.poll(max(int(timeout_s * 1000) - 0.5, 0.0) / 1000)
    left_s = until_s - clock.elapsed_s()
    if not events and left_s > 0:
        select.select([poll], [], [], min(left_s, 0.001))
        events = poll.poll(0)
    return events
