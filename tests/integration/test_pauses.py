"""Pauses and backfills of a real loop whose clock the test moves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import pytest
from support.clock_world import (
    DAY,
    HOUR,
    MINUTE,
    NOON,
    SECOND,
    GivenClock,
    Life,
    at,
    declare,
    living,
)
from support.place import Place, check_log

from runner.commands import Command, CommandKind
from runner.planning.fires.claims_ahead import AHEAD

HOURLY = {"frequency": "hourly"}
DAILY = {"frequency": "daily", "at": "12:00"}


@contextmanager
def paused(place: Place, *, until: datetime | None = None) -> Iterator[Life]:
    """Start a runner at noon, and pause everything a minute later."""
    with living(place, GivenClock(NOON)) as life:
        life.go_on(MINUTE)
        pause(life, until=until)
        yield life


def pause(life: Life, *names: str, until: datetime | None = None) -> None:
    command = Command(
        kind=CommandKind.PAUSE,
        targets=names,
        is_for_all=not names,
        reason="moving",
        until=until,
        requested_by="maria",
    )
    assert life.runner.carry_out(command).is_done


def resume(life: Life) -> None:
    command = Command(kind=CommandKind.RESUME, is_for_all=True, requested_by="maria")
    assert life.runner.carry_out(command).is_done
    life.settle()


def ran(place: Place, name: str = "a") -> list[datetime]:
    return [at(each, "scheduled_for") for each in place.finished(name, status="success")]


def held(place: Place, name: str = "a") -> list[tuple[int, datetime, datetime]]:
    return [
        (each["missed_count"], at(each, "missed_from"), at(each, "missed_until"))
        for each in place.finished(name, status="skipped", reason="paused")
    ]


def hours(*numbers: int) -> list[datetime]:
    return [NOON + number * HOUR for number in numbers]


@pytest.mark.parametrize(
    ("misfire", "caught_up", "count"),
    [("skip", [], 3), ("fire_once", [3], 3), ("fire_all", [1, 2, 3], 0)],
)
def test_at_the_resume_misfire_decides_which_held_fires_run(
    place: Place, misfire: str, caught_up: list[int], count: int
) -> None:
    declare(place, "a", HOURLY, misfire=misfire)
    with paused(place) as life:
        life.go_on(3 * HOUR + 30 * MINUTE, by=10 * MINUTE)
        assert place.finished("a", status="success") == [], "nothing ran yet"
        assert life.runner.registry.idle_s() is None, "nothing is planned for the pause"
        resume(life)
        life.go_on(30 * MINUTE, by=10 * MINUTE)
    assert ran(place) == hours(*caught_up, 4)
    assert held(place) == ([(count, NOON + HOUR, NOON + 3 * HOUR)] if count else [])
    assert [each["channel"] for each in place.finished("a")] == ["process_scheduler"] * (
        len(caught_up) + 1 + bool(count)
    )
    check_log(place.log)


def test_the_end_of_a_pause_counts_while_no_runner_is_running(place: Place) -> None:
    declare(place, "a", HOURLY)
    clock = GivenClock(NOON)
    with living(place, clock) as life:
        pause(life, until=NOON + 2 * HOUR + MINUTE)
        life.go_on(HOUR)
    clock.go_on(3 * HOUR)
    with living(place, clock):
        pass
    assert ran(place) == hours(4)
    assert held(place) == [(2, *hours(1, 2))]
    (missed,) = place.finished("a", status="misfired")
    assert (at(missed, "missed_from"), missed["missed_count"]) == (NOON + 3 * HOUR, 1)
    (resumed,) = place.events("runner.resumed")
    assert (at(resumed, "paused_until"), resumed["requested_by"]) == (
        NOON + 2 * HOUR + MINUTE,
        None,
    )
    check_log(place.log)


def test_a_start_during_a_pause_says_so(place: Place) -> None:
    declare(place, "a", HOURLY)
    clock = GivenClock(NOON)
    with living(place, clock) as life:
        pause(life)
    with living(place, clock):
        pass
    messages = [each["message"] for each in place.events("runner.started")]
    assert messages == [None, "all requests paused by maria: moving"]


def test_a_fire_that_is_claimed_ahead_when_the_pause_comes_still_runs(place: Place) -> None:
    declare(place, "a", DAILY)
    place.declare("once", "true", {"run_later": {"start": "2026-03-02 12:00"}})
    with living(place, GivenClock(NOON - SECOND)) as life:
        life.clock.go_on(SECOND - AHEAD)
        life.runner.turn()
        pause(life)
        life.clock.go_on(AHEAD)
        life.settle()
        life.go_on(DAY)
        assert held(place) == []
        resume(life)
    assert (ran(place), ran(place, "once")) == ([NOON, NOON + DAY], [NOON])


def test_after_a_step_back_a_pause_goes_on(place: Place) -> None:
    declare(place, "a", HOURLY)
    with paused(place) as life:
        life.go_on(2 * HOUR, by=HOUR)
        life.step(-5 * HOUR)  # to 09:01
        life.go_on(2 * HOUR, by=HOUR)
        assert ran(place) == []
        resume(life)
        life.go_on(HOUR, by=10 * MINUTE)
    assert ran(place) == hours(0), "12:00 again, now that it is right"
    check_log(place.log)


def test_a_pause_that_has_ended_does_not_come_back_with_the_clock(place: Place) -> None:
    declare(place, "a", HOURLY)
    with paused(place, until=NOON + 2 * HOUR + MINUTE) as life:
        life.go_on(2 * HOUR + 10 * MINUTE, by=MINUTE)
        assert held(place) == [(2, *hours(1, 2))]
        life.step(-90 * MINUTE)  # to 12:41
        life.go_on(40 * MINUTE, by=10 * MINUTE)
    assert ran(place) == hours(1), "it runs on time, and replaces the record of the pause"
    assert len(place.events("runner.resumed")) == 1


def test_a_request_that_comes_during_a_pause_of_all_waits_too(place: Place) -> None:
    declare(place, "a", HOURLY)
    clock = GivenClock(NOON)
    with living(place, clock) as life:
        pause(life)
    place.declare("new", "true", "run_immediately")
    with living(place, clock) as life:
        life.go_on(HOUR)
        assert place.finished("new") == []
        resume(life)
        assert [each["status"] for each in place.finished("new")] == ["success"]


def test_a_removed_request_has_its_held_fires_recorded(place: Place) -> None:
    declare(place, "a", HOURLY)
    declare(place, "b", HOURLY)
    clock = GivenClock(NOON)
    with living(place, clock) as life:
        pause(life)
        life.go_on(2 * HOUR + MINUTE)
    (place.jobs / "a.yaml").unlink()
    with living(place, clock) as life:
        assert held(place) == [(2, *hours(1, 2))]
        assert held(place, "b") == []


def test_a_renamed_request_stays_paused_and_its_backfill_goes_on(place: Place) -> None:
    declare(place, "a", HOURLY)
    clock = GivenClock(NOON)
    with living(place, clock) as life:
        life.go_on(3 * HOUR + MINUTE, by=HOUR)
        pause(life, "a")
        fires = tuple(hours(1, 2))
        begin = Command(
            kind=CommandKind.BACKFILL, targets=("a",), fires=fires, requested_by="maria"
        )
        assert life.runner.carry_out(begin).is_done
    (place.jobs / "a.yaml").unlink()
    place.declare("b", "true", {"schedule": HOURLY}, top={"formerly": "a"})
    with living(place, clock) as life:
        life.go_on(HOUR)
        assert place.finished("b") == []
        resume(life)
        life.settle()
    assert [at(each, "scheduled_for") for each in place.finished("b", channel="backfill")] == [
        *fires
    ]
    assert place.finished("a", channel="backfill") == [], "nothing was left out"


def test_thousands_of_paused_requests_leave_nothing_to_plan(place: Place) -> None:
    for number in range(20):
        texts = [f"name: r{number}-{each}\n{_TEXT}" for each in range(100)]
        place.write(f"many{number}.yaml", "---\n".join(texts))
    with living(place, GivenClock(NOON)) as life:
        pause(life)
        assert life.runner.registry.idle_s() is None
        life.go_on(2 * DAY)
        assert not life.runner.registry.has_due
        assert place.events("execution.finished") == []


_TEXT = "process: {shell: 'true'}\ntiming: {schedule: {frequency: hourly}}\n"
