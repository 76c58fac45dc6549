"""A load for runners that are killed while libfaketime steps their clock, and the
history of that clock.

`Clocked` computes the fire times of its requests by plain arithmetic. The history says
what the clock read at each moment of the machine's uptime, which no step changes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from support.clock_world import SetClock
from support.crash_following import declare
from support.crash_load import RAN, Load
from support.crash_oracle import uptimes
from support.place import wait_until

BASE = datetime(2027, 3, 2, 12, tzinfo=UTC)
TICK = "clock-tick"
"""The request whose executions show how far a runner has come."""

_AT = 'read up _ < /proc/uptime; echo "at $RUNNER_EXECUTION_ID $up" >> "$LEDGER"'
_STEPS_S = (-7200, -3600, -120, -45, -5, 5, 45, 120, 3600, 7200)
_FARTHEST_S = 7200
_BURSTS = {"clock-minutely", "clock-star-fire_all", "clock-cron-fire_all"}
_CLEAR_S = 75
"""In seconds. A step back of this much is clearly beyond the 60 s that the runner tolerates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocked:
    """A request that fires every `every_s` seconds since 1970, or at `times`.

    `is_passing`: it measures passing time, so it may fire at an instant again after a step.
    """

    schedule: dict[str, Any]
    every_s: int = 0
    times: tuple[datetime, ...] = ()
    is_passing: bool = False
    misfire: str = "skip"
    grace_s: float = 60.0

    def fires(self, begin: datetime, until: datetime) -> list[datetime]:
        """Return the fire times in (begin, until], ascending."""
        if self.times:
            return [each for each in self.times if begin < each <= until]
        first, last = (int(each.timestamp() // self.every_s) for each in (begin, until))
        return [datetime.fromtimestamp(n * self.every_s, UTC) for n in range(first + 1, last + 1)]

    def timing(self) -> object:
        return {
            "schedule": {
                **self.schedule,
                "misfire": self.misfire,
                "misfire_grace": f"{self.grace_s * 1000:.0f}ms",
            }
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A stretch of uptime with a steady clock, `ahead_s` ahead of the machine's.

    Its first step happened between `begin` and `begin_at_latest`, the next one between
    `end_at_earliest` and `end`.
    """

    begin: float
    begin_at_latest: float
    end_at_earliest: float
    end: float
    ahead_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    earliest: float
    latest: float
    ahead_s: int


def uptime_s() -> float:
    """Return the seconds since the machine booted."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(slots=True)
class SteppedLoad:
    """A load and the clock of its runners, with the history of both."""

    load: Load
    clock: SetClock
    requests: dict[str, Clocked] = field(default_factory=dict)
    lives: list[tuple[float, float]] = field(default_factory=list)
    steps: list[_Step] = field(default_factory=list)
    _version: int = 0

    def __post_init__(self) -> None:
        self.step((BASE - self.clock.now()).total_seconds())
        self.load.now = self.clock.now
        self.load.further_deeds += [self._describe, self._step_a_while] * 3

    def declare_few(self) -> None:
        """Write the requests with a known history, except those that catch up in bursts."""
        self.requests = {name: each for name, each in _requests().items() if name not in _BURSTS}
        for name in self.requests:
            self._write(name)

    def declare(self) -> None:
        """Write all requests: those with a known history, and those with follow-ups."""
        self.load.write_large(sets=1)
        declare(self.load)
        self.requests = _requests()
        for name in self.requests:
            self._write(name)

    def step(self, seconds: float) -> None:
        """Step the clock."""
        earliest = uptime_s()
        self.clock.step(timedelta(seconds=round(seconds)))
        self.steps.append(_Step(earliest=earliest, latest=uptime_s(), ahead_s=self.ahead_s))

    @property
    def ahead_s(self) -> int:
        """How far the clock is ahead of the machine's, in seconds."""
        return round((self.clock.now() - datetime.now(UTC)).total_seconds())

    def live_and_die(self, *, at_most_s: float) -> None:
        """Let a runner live and kill it; sometimes step the clock before its start."""
        if self.load.chance.random() < 0.4:
            self._step_anyhow()
        if self.load.chance.random() < 0.05:
            self._live_in_1970()
        begun = uptime_s()
        self.load.live_and_die(at_most_s=at_most_s)
        self.lives.append((begun, uptime_s()))

    def live_and_die_after(self, step_s: float) -> None:
        """Let a runner continue after a step of its clock, then kill it."""
        begun = uptime_s()
        process = self.load.place.start()
        self.await_ticks(1)
        count = len(self.steps)
        self.load.disturb()
        if len(self.steps) > count:
            self.await_ticks(2)  # else the runner might see both steps as one
        self.step(step_s)
        self.await_ticks(2)  # the first may have been about to start before the step
        self.load.kill(process)
        self.lives.append((begun, uptime_s()))

    def history(self) -> list[Segment]:
        """Return the stretches with a steady clock, oldest first."""
        ends = [*self.steps[1:], _Step(earliest=uptime_s(), latest=uptime_s(), ahead_s=0)]
        return [
            Segment(
                begin=step.earliest,
                begin_at_latest=step.latest,
                end_at_earliest=end.earliest,
                end=end.latest,
                ahead_s=step.ahead_s,
            )
            for step, end in zip(self.steps, ends, strict=True)
        ]

    def ticks(self) -> int:
        """Count the executions of the request that shows how far a runner has come."""
        ledger = self.load.ledger
        return ledger.read_text().count(f" {TICK} ") if ledger.exists() else 0

    def await_ticks(self, more: int) -> None:
        """Wait until interval fires continue: no step may silence them.

        They may wait behind hundreds of fires that are caught up, so the limit counts from
        the last process that started.
        """
        wanted = self.ticks() + more
        while self.ticks() < wanted:
            wait_until(
                partial(self._is_ledger_longer, self._ledger_size()),
                within_s=120,
                what="a runner that goes on after a step",
            )

    def _ledger_size(self) -> int:
        ledger = self.load.ledger
        return ledger.stat().st_size if ledger.exists() else 0

    def _is_ledger_longer(self, size: int) -> bool:
        return self._ledger_size() > size

    def _write(self, name: str) -> None:
        each = self.requests[name]
        content = {
            "process": {"shell": f"{_AT}; {RAN}"},
            "timing": each.timing(),
            "description": str(self._version),
        }
        self.load.place.write(f"{name}.yaml", json.dumps(content))

    def _describe(self) -> None:
        """Edit a request without changing its rule."""
        self._version += 1
        self._write(self.load.chance.choice(sorted(self.requests)))

    def _step_anyhow(self) -> int:
        """Step the clock or set it right; return by how many seconds."""
        wrong_by_s = self.ahead_s - self.steps[0].ahead_s
        step_s = self.load.chance.choice(_STEPS_S)
        if abs(wrong_by_s + step_s) > _FARTHEST_S or (
            wrong_by_s and self.load.chance.random() < 0.4
        ):
            step_s = -wrong_by_s
        self.step(step_s)
        return step_s

    def _step_a_while(self) -> None:
        """Step the clock under a running runner: once, or back by 45 s three times.

        Sometimes wait until the runner continues.
        """
        if self.load.chance.random() < 0.2:
            for _ in range(3):
                self.step(-45)
                time.sleep(self.load.chance.uniform(0, 0.3))
            return
        step_s = self._step_anyhow()
        is_alive = self.load.place.running[-1].poll() is None
        if is_alive and not -_CLEAR_S < step_s < 0 and self.load.chance.random() < 0.3:
            self.await_ticks(2)

    def _live_in_1970(self) -> None:
        """Start a runner with a clock that is certainly wrong: nothing may run."""
        ahead_s = self.ahead_s
        self.step(-self.clock.now().timestamp() + 3600)
        before = len(uptimes(self.load))
        process = self.load.place.launch()
        wait_until(
            lambda: "nothing fires" in self.load.place.console(),
            within_s=60,
            what="words about the clock",
        )
        self.load.kill(process)
        assert len(uptimes(self.load)) == before, "it ran in 1970"
        self.step(ahead_s - self.ahead_s)


def _requests() -> dict[str, Clocked]:
    def cron(expression: str) -> dict[str, Any]:
        return {"frequency": "cron", "expression": expression}

    requests = {
        TICK: Clocked(schedule={"frequency": "secondly"}, every_s=1, is_passing=True),
        "clock-strict": Clocked(
            schedule={"frequency": "secondly", "interval": 7},
            every_s=7,
            is_passing=True,
            grace_s=2.0,
        ),
        "clock-minutely": Clocked(
            schedule={"frequency": "minutely"}, every_s=60, is_passing=True, misfire="fire_all"
        ),
    }
    for number, misfire in enumerate(["skip", "fire_once", "fire_all"]):
        if misfire != "fire_all":
            requests[f"clock-interval-{misfire}"] = Clocked(
                schedule={"frequency": "secondly", "interval": 3},
                every_s=3,
                is_passing=True,
                misfire=misfire,
            )
        seconds = [5, 4, 60][number]
        star = "0 * * * * *" if seconds == 60 else f"*/{seconds} * * * * *"
        requests[f"clock-star-{misfire}"] = Clocked(
            schedule=cron(star), every_s=seconds, is_passing=True, misfire=misfire
        )
        second = "0" if seconds == 60 else f"0-59/{seconds}"
        requests[f"clock-cron-{misfire}"] = Clocked(
            schedule=cron(f"{second} 0-59 0-23 * * *"), every_s=seconds, misfire=misfire
        )
        requests[f"clock-daily-{misfire}"] = _daily(misfire, 13 + 2 * number)
    return requests


def _daily(misfire: str, every_s: int) -> Clocked:
    """Return a request with times of day near each time to which the clock is stepped."""
    times = tuple(
        BASE + timedelta(hours=hours, seconds=seconds)
        for hours in range(-2, 3)
        for seconds in range(every_s, 20 * 60, every_s)
    )
    schedule = {"frequency": "daily", "at": [f"{each:%H:%M:%S}" for each in times]}
    return Clocked(schedule=schedule, times=times, misfire=misfire)


def mapped(history: Sequence[Segment], reading: datetime) -> list[tuple[float, int]]:
    """Return the moments of uptime at which the clock read `reading`, with their segments."""
    machine_s = reading.timestamp() - (time.time() - uptime_s())
    moments = [(machine_s - segment.ahead_s, number) for number, segment in enumerate(history)]
    return [
        (at, number)
        for at, number in moments
        if history[number].begin - 0.1 <= at <= history[number].end + 0.1
    ]
