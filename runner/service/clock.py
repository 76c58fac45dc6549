"""The only place of the service that reads a clock, so that tests can give it another."""

from __future__ import annotations

import select
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Wall time and elapsed time."""

    def now(self) -> datetime:
        """Return the present instant, UTC."""
        ...

    def elapsed_s(self) -> float:
        """Return monotonic seconds; they stand still while the machine sleeps."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def elapsed_s(self) -> float:
        return time.monotonic()


class StepDetector:
    """Sees from one look to the next whether wall time moved by more than elapsed time
    did (a step, or a sleep).
    """

    THRESHOLD_S = 1.0
    _TOGETHER_S = 0.1
    _TRIES = 5

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset_s = self._read(clock.now().timestamp() - clock.elapsed_s())

    def look(self) -> float:
        """Return the seconds that the clock was stepped by since the last look
        (negative: back), 0.0 for none.
        """
        offset_s = self._read(self._offset_s)
        step_s, self._offset_s = offset_s - self._offset_s, offset_s
        return step_s if abs(step_s) > self.THRESHOLD_S else 0.0

    def _read(self, known_s: float) -> float:
        """Return wall time less elapsed time, both read at one moment; what is known if
        we are held up each time.
        """
        for _ in range(self._TRIES):
            before_s = self._clock.elapsed_s()
            wall_s = self._clock.now().timestamp()
            if self._clock.elapsed_s() - before_s < self._TOGETHER_S:
                return wall_s - before_s
        return known_s


def exact_poll(poll: select.epoll, timeout_s: float, clock: Clock) -> list[tuple[int, int]]:
    """Wait for events, to the microsecond.

    epoll counts milliseconds and rounds up: of the last one we leave it none, and
    select waits for what is left.
    """
    until_s = clock.elapsed_s() + timeout_s
    events = poll.poll(max(int(timeout_s * 1000) - 0.5, 0.0) / 1000)
    left_s = until_s - clock.elapsed_s()
    if not events and left_s > 0:
        select.select([poll], [], [], min(left_s, 0.001))
        events = poll.poll(0)
    return events
