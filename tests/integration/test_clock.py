"""Clocks that stop, jump, go back or sleep: what fires, what is missed, and that nothing fires twice.

First with a clock that the test moves, around the loop itself; then for real: a runner stopped by SIGSTOP past several
fires, and one whose clock libfaketime sets.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support import Place, Record, wait_until

from runner.service.loop import Runner
from runner.service.settings import Settings

SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
POLICIES = ("skip", "fire_once", "fire_all")
EVERY_TEN_SECONDS = {
    "interval": {"frequency": "secondly", "interval": 10},
    "cron": {"frequency": "cron", "expression": "*/10 * * * * *"},
}


# --- what the book says ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """What becomes of fires that are due together: which run, and the span that is told of as missed."""

    run: list[datetime]
    missed: list[datetime]


def by_the_book(due: list[datetime], now: datetime, misfire: str, grace: timedelta = MINUTE) -> Verdicts:
    """DESIGN.md, Misfire, word by word over a plain list of due fires, oldest first."""
    on_time = due[-1:] if due and now - due[-1] <= grace else []
    missed = due[: len(due) - len(on_time)]
    match misfire:
        case "skip":
            return Verdicts(run=on_time, missed=missed)
        case "fire_once":
            return Verdicts(run=missed[-1:] + on_time, missed=missed)
        case "fire_all":
            return Verdicts(run=missed[-100:] + on_time, missed=missed[:-100])
    raise AssertionError(misfire)


def grid(step: timedelta, first: datetime, last: datetime) -> list[datetime]:
    """The whole multiples of `step` since 1970 in [first, last]."""
    seconds = int(step.total_seconds())
    begin, end = -(-first.timestamp() // seconds), last.timestamp() // seconds
    return [datetime.fromtimestamp(number * seconds, UTC) for number in range(int(begin), int(end) + 1)]


def at(record: Record, name: str) -> datetime:
    return datetime.fromisoformat(record[name])


def is_missed(record: Record) -> bool:
    return bool(record["status"] == "misfired")


def ran(records: Iterable[Record]) -> list[datetime]:
    """The fire times that were run, in the order in which they ended."""
    return [at(record, "scheduled_for") for record in records if not is_missed(record)]


def spans(records: Iterable[Record]) -> list[tuple[int, datetime, datetime]]:
    """The missed spans: how many fires, the first and the last."""
    return [
        (record["missed_count"], at(record, "missed_from"), at(record, "missed_until"))
        for record in records
        if is_missed(record)
    ]


def span_of(missed: list[datetime]) -> list[tuple[int, datetime, datetime]]:
    return [(len(missed), missed[0], missed[-1])] if missed else []


def check_verdicts(records: list[Record], step: timedelta, misfire: str, grace: timedelta) -> None:
    """Check all that is told of a request that fires on a grid: each fire between the first and the last told of has
    one verdict, and wherever some were missed, the book's."""
    claims = Counter(ran(records))
    assert set(claims.values()) == {1}, "a fire ran twice"
    told = sorted(spans(records), key=lambda span: span[1])
    last = max([*claims, *(until for _, _, until in told)])
    first = min([*claims, *(begin for _, begin, _ in told)])
    expected = set(grid(step, first, last))
    for record in filter(is_missed, records):
        count, begin, until = spans([record])[0]
        due = grid(step, begin, at(record, "time"))
        verdicts = by_the_book(due, at(record, "time"), misfire, grace)
        assert span_of(verdicts.missed) == [(count, begin, until)]
        assert [fire for fire in due if fire in claims] == verdicts.run
        expected -= {fire for fire in due if fire not in verdicts.run}
    assert claims.keys() == expected
    for one, other in zip(told, told[1:], strict=False):
        assert one[2] < other[1], "two spans overlap"


# --- a clock that the test moves -------------------------------------------------------------------------------------


@dataclass
class GivenClock:
    """Wall and elapsed time that stand still but for what a test does to them."""

    at: datetime
    passed_s: float = 1000.0

    def now(self) -> datetime:
        return self.at

    def elapsed_s(self) -> float:
        return self.passed_s

    def go_on(self, duration: timedelta) -> None:
        """Let time pass as it does."""
        self.at += duration
        self.passed_s += duration.total_seconds()

    def step(self, duration: timedelta) -> None:
        """Set the clock; or, forward, sleep: the machine's elapsed time stands still then."""
        self.at += duration


@dataclass
class Life:
    """A runner in this process, from one start to its stop."""

    runner: Runner
    clock: GivenClock

    def settle(self) -> None:
        """Turn the loop until nothing runs and all is in the log."""

        def is_quiet() -> bool:
            self.runner.turn()
            self.runner.wait(at_most_s=0.02)
            return not self.runner.is_executing

        wait_until(is_quiet, what="the end of what runs")
        self.runner.turn()
        self.runner.turn()

    def go_on(self, duration: timedelta, *, by: timedelta | None = None) -> None:
        """Let time pass, in strides of `by`, with a look after each."""
        stride = by or duration
        while duration > timedelta():
            self.clock.go_on(min(stride, duration))
            duration -= stride
            self.settle()

    def step(self, duration: timedelta) -> None:
        """Set the clock, and have the loop look."""
        self.clock.step(duration)
        self.settle()


@contextmanager
def living(place: Place, clock: GivenClock) -> Iterator[Life]:
    """Start a runner in this process; at the end it lets go of its store as it does when it is killed."""
    settings = Settings(jobs=place.jobs, state=place.state, monitor_log=place.log, zone="UTC")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        with Runner(settings, clock=clock, observer=lambda record: None) as runner:
            runner.start()
            life = Life(runner, clock)
            life.settle()
            yield life
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def declare(place: Place, name: str, schedule: dict[str, object], **fields: object) -> None:
    place.declare(name, "true", {"schedule": schedule | fields})


def steps_told(place: Place) -> list[float]:
    return [record["step_s"] for record in place.events("runner.clock_stepped")]


@pytest.mark.parametrize("misfire", POLICIES)
@pytest.mark.parametrize("kind", EVERY_TEN_SECONDS)
@pytest.mark.parametrize("way", ["the clock steps forward, or the machine sleeps", "the loop hangs", "it is down"])
def test_what_falls_due_unseen_follows_misfire(place: Place, kind: str, misfire: str, way: str) -> None:
    declare(place, "p", EVERY_TEN_SECONDS[kind], misfire=misfire, misfire_grace="3s")
    clock = GivenClock(NOON)
    with living(place, clock) as life:
        life.go_on(10 * SECOND)
        if way == "the loop hangs":
            life.go_on(95 * SECOND)
        elif way != "it is down":
            life.step(95 * SECOND)
    if way == "it is down":
        clock.go_on(95 * SECOND)
    with living(place, clock) as life:
        life.go_on(5 * SECOND)
    due = grid(10 * SECOND, NOON + 20 * SECOND, NOON + 105 * SECOND)
    verdicts = by_the_book(due, NOON + 105 * SECOND, misfire, 3 * SECOND)
    records = place.finished("p")
    assert len(due) == 9
    assert ran(records) == [NOON + 10 * SECOND, *verdicts.run, NOON + 110 * SECOND]
    assert spans(records) == span_of(verdicts.missed)
    assert steps_told(place) == ([95.0] if way.startswith("the clock") else [])


@pytest.mark.parametrize("misfire", POLICIES)
def test_a_weekend_down_is_told_in_one_record_and_caught_up_to_a_hundred(place: Place, misfire: str) -> None:
    schedules = {
        "minutely": (MINUTE, {"frequency": "minutely"}),
        "cron": (MINUTE, {"frequency": "cron", "expression": "* * * * *"}),
        "hourly": (HOUR, {"frequency": "hourly"}),
    }
    for name, (_, schedule) in schedules.items():
        declare(place, name, schedule, misfire=misfire, misfire_grace="10s")
    clock = GivenClock(NOON)
    with living(place, clock):
        clock.go_on(60 * HOUR + 30 * SECOND)
    now = clock.at
    for _ in range(2):
        with living(place, clock):
            clock.go_on(SECOND)
    for name, (step, _) in schedules.items():
        verdicts = by_the_book(grid(step, NOON + SECOND, now), now, misfire, 10 * SECOND)
        records = place.finished(name)
        assert sorted(ran(records)) == verdicts.run
        assert spans(records) == span_of(verdicts.missed)
    claimed = [at(record, "scheduled_for") for record in place.events("execution.started", "minutely")]
    assert claimed == sorted(claimed), "the oldest starts first"
    assert len(claimed) == {"skip": 0, "fire_once": 1, "fire_all": 100}[misfire]


@pytest.mark.parametrize(("misfire", "runs"), [("skip", False), ("fire_once", True), ("fire_all", True)])
def test_a_run_later_that_was_slept_through_follows_misfire_and_is_complete(
    place: Place, misfire: str, runs: bool
) -> None:
    place.declare("p", "true", {"run_later": {"start": "2026-03-02 13:00", "misfire": misfire}})
    with living(place, GivenClock(NOON)) as life:
        life.step(3 * HOUR)
        life.step(3 * HOUR)
    records = place.finished("p")
    assert ran(records) == [NOON + HOUR] * runs
    assert spans(records) == ([] if misfire == "fire_all" else [(1, NOON + HOUR, NOON + HOUR)])
    assert len(place.events("request.completed", "p")) == 1


def test_a_step_back_beyond_grace_lets_intervals_go_on_at_once_and_calendars_wait(place: Place) -> None:
    declare(place, "interval", {"frequency": "secondly", "interval": 10})
    declare(place, "daily", {"frequency": "daily", "at": "12:00"})
    declare(place, "cron", EVERY_TEN_SECONDS["cron"])
    with living(place, GivenClock(NOON - 5 * SECOND)) as life:
        life.go_on(30 * SECOND, by=5 * SECOND)
        life.step(-HOUR)
        back = life.clock.at
        life.go_on(30 * SECOND, by=5 * SECOND)
        life.step(NOON + 25 * SECOND - life.clock.at)
        life.go_on(10 * SECOND, by=5 * SECOND)
        life.step(DAY - 30 * SECOND)
    first, second = grid(10 * SECOND, NOON, NOON + 25 * SECOND), grid(10 * SECOND, back, back + 30 * SECOND)
    interval = place.finished("interval")
    assert [fire for fire in ran(interval) if fire <= back] == []
    by_generation = {
        number: ran(record for record in interval if record["generation"] == number) for number in (1, 2)
    }
    assert by_generation[1] == first
    assert by_generation[2][:3] == second
    cron = ran(place.finished("cron"))
    assert cron[:4] == [*first, NOON + 30 * SECOND], "a wall time fired twice, or while the clock had to catch up"
    assert ran(place.finished("daily")) == [NOON, NOON + DAY]
    assert steps_told(place)[0] == -3600.0


def test_a_step_back_within_grace_fires_nothing_twice_and_opens_no_generation(place: Place) -> None:
    for kind, schedule in EVERY_TEN_SECONDS.items():
        declare(place, kind, schedule)
    with living(place, GivenClock(NOON)) as life:
        life.go_on(60 * SECOND, by=5 * SECOND)
        life.step(-40 * SECOND)
        life.go_on(60 * SECOND, by=5 * SECOND)
    for kind in EVERY_TEN_SECONDS:
        records = place.finished(kind)
        assert ran(records) == grid(10 * SECOND, NOON + SECOND, NOON + 80 * SECOND)
        assert {record["generation"] for record in records} == {1}
    assert steps_told(place) == [-40.0]


def test_steps_back_that_are_small_each_are_beyond_grace_together(place: Place) -> None:
    declare(place, "p", EVERY_TEN_SECONDS["interval"])
    with living(place, GivenClock(NOON)) as life:
        life.go_on(10 * SECOND)
        life.step(-40 * SECOND)
        life.step(-40 * SECOND)
        life.go_on(10 * SECOND)
    assert [(record["generation"], at(record, "scheduled_for")) for record in place.finished("p")] == [
        (1, NOON + 10 * SECOND),
        (2, NOON - 60 * SECOND),
    ]


def test_after_a_step_back_an_interval_with_a_spread_goes_on_at_once_too(place: Place) -> None:
    declare(place, "p", {"frequency": "secondly", "interval": 10}, spread="1h")
    with living(place, GivenClock(NOON)) as life:
        life.go_on(HOUR + 10 * SECOND)
        before = len(ran(place.finished("p")))
        assert before > 0
        life.step(-2 * HOUR)
        life.go_on(30 * SECOND, by=10 * SECOND)
    records = [record for record in place.finished("p") if not is_missed(record)]
    assert [record["generation"] for record in records[before:]] == [2, 2, 2]


def test_what_has_run_or_is_to_run_once_is_not_moved_by_the_clock(place: Place) -> None:
    place.declare("at-once", "true", "run_immediately")
    place.declare("later", "true", {"run_later": {"start": "2026-03-02 12:30"}})
    with living(place, GivenClock(NOON)) as life:
        life.step(-HOUR)
        life.go_on(89 * MINUTE)
        assert ran(place.finished("later")) == []
        life.go_on(MINUTE)
        life.step(-HOUR)
        life.go_on(2 * HOUR)
    assert ran(place.finished("at-once")) == [NOON]
    assert ran(place.finished("later")) == [NOON + 30 * MINUTE]


def test_what_runs_does_not_notice_a_step(place: Place) -> None:
    place.declare("p", "until [ -e ../go ]; do sleep 0.02; done", "run_immediately", timeout="30m")
    clock = GivenClock(NOON)
    with living_on(place, clock) as runner:
        runner.turn()
        for step in (2 * HOUR, -5 * HOUR):
            clock.step(step)
            runner.turn()
            runner.wait(at_most_s=0.01)
        assert runner.is_executing
        clock.go_on(7 * SECOND)
        place.open_gate()
        Life(runner, clock).settle()
    (record,) = place.finished("p")
    assert (record["status"], record["duration_s"]) == ("success", 7.0)


@contextmanager
def living_on(place: Place, clock: GivenClock) -> Iterator[Runner]:
    """Start a runner, and do not wait for what it runs."""
    settings = Settings(jobs=place.jobs, state=place.state, monitor_log=place.log, zone="UTC")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        with Runner(settings, clock=clock, observer=lambda record: None) as runner:
            runner.start()
            yield runner
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def test_a_start_at_an_earlier_time_is_a_step_back_and_told_once(place: Place) -> None:
    declare(place, "interval", EVERY_TEN_SECONDS["interval"])
    declare(place, "daily", {"frequency": "daily", "at": "12:00"})
    clock = GivenClock(NOON - 5 * SECOND)
    with living(place, clock) as life:
        life.go_on(15 * SECOND, by=5 * SECOND)
    clock.step(-2 * HOUR)
    with living(place, clock) as life:
        life.go_on(10 * SECOND)
    with living(place, clock) as life:
        life.go_on(10 * SECOND)
        life.step(NOON + SECOND - life.clock.at)
    interval = [(record["generation"], at(record, "scheduled_for")) for record in place.finished("interval")][:4]
    assert interval == [
        (1, NOON),
        (1, NOON + 10 * SECOND),
        (2, NOON - 2 * HOUR + 20 * SECOND),
        (2, NOON - 2 * HOUR + 30 * SECOND),
    ]
    assert ran(place.finished("daily")) == [NOON]
    assert steps_told(place)[0] == -7200.0
    assert [step for step in steps_told(place) if step < 0] == [-7200.0]


# --- any life of a clock ----------------------------------------------------------------------------------------------


@dataclass
class Lives:
    """A runner's lives under a clock that does what it likes, and what must be true of them in the end."""

    place: Place
    chance: random.Random
    clock: GivenClock = field(default_factory=lambda: GivenClock(NOON))
    seen: list[datetime] = field(default_factory=lambda: [NOON])

    def live(self, deeds: int) -> None:
        """Go on, step and hang, `deeds` times."""
        with living(self.place, self.clock) as life:
            for _ in range(deeds):
                self.one_deed(life)
                self.seen.append(self.clock.at)

    def one_deed(self, life: Life) -> None:
        duration = timedelta(seconds=self.chance.choice([0.5, 3, 10, 25, 61, 100, 700, 4000]))
        deed = self.chance.choice([life.go_on, life.go_on, life.step, lambda by: life.step(-by)])
        deed(duration)

    def away(self) -> None:
        """Let time pass, or go back, while nobody looks."""
        self.clock.step(timedelta(seconds=self.chance.choice([-5000, -100, -10, 0, 10, 100, 5000])))
        self.seen.append(self.clock.at)

    def check(self) -> None:
        """No fire runs twice in a generation; a calendar's fires up to the latest moment have all had a verdict."""
        for name in ("interval", "cron"):
            for misfire in POLICIES:
                records = self.place.finished(f"{name}-{misfire}")
                claims = Counter((record["generation"], fire) for record, fire in claims_of(records))
                assert set(claims.values()) <= {1}, "a fire ran twice"
        for misfire in POLICIES:
            records = self.place.finished(f"cron-{misfire}")
            check_verdicts(records, 10 * SECOND, misfire, MINUTE)
            latest = max(self.seen)
            settled = max([*ran(records), *(until for _, _, until in spans(records))])
            assert grid(10 * SECOND, settled + SECOND, latest) == [], "a due fire has no verdict"
            assert min(ran(records) + [begin for _, begin, _ in spans(records)]) == NOON + 10 * SECOND

    def check_generations(self) -> None:
        for misfire in POLICIES:
            records = self.place.finished(f"interval-{misfire}")
            for generation in {record["generation"] for record in records}:
                told = [record for record in records if record["generation"] == generation]
                check_verdicts(told, 10 * SECOND, misfire, MINUTE)


def claims_of(records: Iterable[Record]) -> Iterator[tuple[Record, datetime]]:
    return ((record, at(record, "scheduled_for")) for record in records if not is_missed(record))


def live_any_life(place: Place, seed: int, *, lives: int, deeds: int) -> None:
    for kind, schedule in EVERY_TEN_SECONDS.items():
        for misfire in POLICIES:
            declare(place, f"{kind}-{misfire}", schedule, misfire=misfire)
    print(f"seed {seed}")
    life = Lives(place, random.Random(seed))
    for _ in range(lives):
        life.live(deeds)
        life.away()
    with living(place, life.clock):
        pass
    life.clock.at = max(life.seen) + 10 * SECOND
    life.seen.append(life.clock.at)
    with living(place, life.clock):
        pass
    life.check()
    life.check_generations()


def test_whatever_the_clock_does_each_fire_has_one_verdict(place: Place) -> None:
    live_any_life(place, random.SystemRandom().randrange(10**6), lives=3, deeds=6)


@pytest.mark.campaign
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(40))
def test_campaign_of_whatever_the_clock_does(place: Place, seed: int) -> None:
    live_any_life(place, seed, lives=4, deeds=12)
