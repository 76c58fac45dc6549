"""Clocks for tests of a runner: one that the test moves, and one that libfaketime sets."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.place import Place, Record, wait_until
from support.runner_inside import started

from runner.service.loop import Runner
from runner.values import EPOCH

SECOND, MINUTE, HOUR, DAY = (
    timedelta(seconds=1),
    timedelta(minutes=1),
    timedelta(hours=1),
    timedelta(days=1),
)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
POLICIES = ("skip", "fire_once", "fire_all")
EVERY_TEN_SECONDS: dict[str, Mapping[str, object]] = {
    "interval": {"frequency": "secondly", "interval": 10},
    "cron": {"frequency": "cron", "expression": "*/10 * * * * *"},
}


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """The verdicts of fires that are due together: those that run, and those that are missed."""

    run: list[datetime]
    missed: list[datetime]


def by_the_book(
    due: list[datetime], now: datetime, misfire: str, grace: timedelta = MINUTE
) -> Verdicts:
    """Return the verdicts of due fires (oldest first), by the rules of "Missed fires"."""
    on_time = due[-1:] if due and now - due[-1] <= grace else []
    missed = due[: len(due) - len(on_time)]
    match misfire:
        case "skip":
            return Verdicts(run=on_time, missed=missed)
        case "fire_once":
            return Verdicts(run=on_time or missed[-1:], missed=missed)
        case "fire_all":
            return Verdicts(run=missed[-100:] + on_time, missed=missed[:-100])
    raise AssertionError(misfire)


def grid(step: timedelta, first: datetime, last: datetime) -> list[datetime]:
    """Return the multiples of `step` since 1970 in [first, last]."""
    seconds = int(step.total_seconds())
    begin, end = -(-first.timestamp() // seconds), last.timestamp() // seconds
    return [
        datetime.fromtimestamp(number * seconds, UTC) for number in range(int(begin), int(end) + 1)
    ]


def at(record: Record, name: str) -> datetime:
    return datetime.fromisoformat(record[name])


def is_missed(record: Record) -> bool:
    return bool(record["status"] == "misfired")


def ran(records: Iterable[Record]) -> list[datetime]:
    """Return the fire times that ran."""
    return sorted(at(record, "scheduled_for") for record in records if not is_missed(record))


def spans(records: Iterable[Record]) -> list[tuple[int, datetime, datetime]]:
    """Return the missed spans: the number of fires, the first and the last."""
    return [
        (record["missed_count"], at(record, "missed_from"), at(record, "missed_until"))
        for record in records
        if is_missed(record)
    ]


def span_of(missed: list[datetime]) -> list[tuple[int, datetime, datetime]]:
    return [(len(missed), missed[0], missed[-1])] if missed else []


@dataclass
class GivenClock:
    """Wall and elapsed time that only the test moves."""

    at: datetime
    passed_s: float = 1000.0

    def now(self) -> datetime:
        return self.at

    def elapsed_s(self) -> float:
        return self.passed_s

    def go_on(self, duration: timedelta) -> None:
        """Let wall time and elapsed time pass together."""
        self.at += duration
        self.passed_s += duration.total_seconds()

    def step(self, duration: timedelta) -> None:
        """Step the clock; a step forward is also what a sleep of the machine looks like."""
        self.at += duration


@dataclass
class Life:
    """A runner in this process, from its start to its stop."""

    runner: Runner
    clock: GivenClock

    def settle(self) -> None:
        """Turn the loop until nothing runs and the log has everything."""

        def is_quiet() -> bool:
            self.runner.turn()
            self.runner.wait(at_most_s=0.02)
            return not self.runner.is_executing

        wait_until(is_quiet, within_s=120, what="the end of what runs")
        self.runner.turn()
        self.runner.turn()

    def go_on(self, duration: timedelta, *, by: timedelta | None = None) -> None:
        """Let time pass in strides of `by`, with a turn after each."""
        stride = by or duration
        while duration > timedelta():
            self.clock.go_on(min(stride, duration))
            duration -= stride
            self.settle()

    def step(self, duration: timedelta) -> None:
        """Step the clock, and let the loop notice."""
        self.clock.step(duration)
        self.settle()


@contextmanager
def living(place: Place, clock: GivenClock, *, released: datetime = EPOCH) -> Iterator[Life]:
    """Start a runner, and let it do all due work at once."""
    if place.is_in_fleet:
        pytest.skip("a runner in the test, with a clock of its own, is no leader")
    with started(place.jobs, clock, state=place.state, log=place.log, released=released) as runner:
        life = Life(runner, clock)
        life.settle()
        yield life


def declare(place: Place, name: str, schedule: Mapping[str, object], **fields: object) -> None:
    place.declare(name, "true", {"schedule": {**schedule, **fields}})


def recorded_steps(place: Place) -> list[float]:
    return [record["step_s"] for record in place.events("runner.clock_stepped")]


def faketime_library() -> Path | None:
    """Return the library that fakes the time of threaded programs; None without faketime."""
    if shutil.which("faketime") is None:
        return None
    return next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


LIBRARY = faketime_library()


class SetClock:
    """The wall clock of the programs of a place: the machine's plus the offset in a file."""

    def __init__(self, place: Place) -> None:
        self._file = place.folder / "offset"
        self._ahead = timedelta()
        self.step(timedelta())
        place.environment |= {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def set_to(self, instant: datetime) -> None:
        """Set the clock to an instant."""
        self.step(timedelta(seconds=round((instant - self.now()).total_seconds())))

    def step(self, duration: timedelta) -> None:
        """Step the clock by whole seconds; negative: back."""
        self._ahead += duration
        new = self._file.with_suffix(".new")
        new.write_text(f"{self._ahead.total_seconds():+.0f}\n")
        new.rename(self._file)

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead
