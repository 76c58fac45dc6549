"""Histories of a clock that was wrong and came back, each with its whole outcome, computed by hand.

First with a clock that the test moves, around the loop itself; then with real processes whose clock
libfaketime sets.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from clock_world import (
    DAY,
    HOUR,
    LIBRARY,
    MINUTE,
    NOON,
    POLICIES,
    SECOND,
    GivenClock,
    Life,
    SetClock,
    at,
    declare,
    grid,
    is_missed,
    living,
    ran,
    spans,
    steps_told,
)
from support import Place, Record, check_log, wait_until

from runner import RELEASED

pytestmark = pytest.mark.timeout(600)

YEAR = timedelta(days=365)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LONG_AGO = EPOCH + 10 * SECOND
BEFORE_ALL = datetime(2026, 1, 1, tzinfo=UTC)
"""What the clocks here that a test moves take for the release of the program."""


def clock_at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-03-02T{text}+00:00")


def by_generation(records: list[Record]) -> dict[int, list[datetime]]:
    """The fire times that were run, by generation."""
    generations = sorted({record["generation"] for record in records})
    found = {number: ran(each for each in records if each["generation"] == number) for number in generations}
    return {number: fires for number, fires in found.items() if fires}


def reopened(place: Place) -> list[tuple[datetime, datetime]]:
    """The spans that steps back have reopened."""
    return [
        (at(record, "reopened_from"), at(record, "reopened_until"))
        for record in place.events("runner.clock_stepped")
        if record["reopened_from"] is not None
    ]


def told_of(place: Place, name: str) -> list[str]:
    """What the log tells of a request itself, in order."""
    return [
        record["event"].removeprefix("request.")
        for record in place.records()
        if record["event"].startswith("request.") and record["request"] == name
    ]


# --- two hours ahead for some seconds ---------------------------------------------------------------------------------


def test_two_hours_ahead_for_five_seconds_silence_nothing(place: Place) -> None:
    declare(place, "cron", {"frequency": "cron", "expression": "*/10 * * * * *"})
    declare(place, "daily", {"frequency": "daily", "at": "15:30"})
    with living(place, GivenClock(clock_at("15:28:30"))) as life:
        life.go_on(10 * SECOND)
        life.step(2 * HOUR)
        life.go_on(5 * SECOND)
        life.step(-2 * HOUR)
        assert life.clock.at == clock_at("15:28:45")
        life.go_on(80 * SECOND, by=5 * SECOND)
        life.step(2 * HOUR - 100 * SECOND)
        assert life.clock.at == clock_at("17:28:25")
        life.go_on(40 * SECOND, by=5 * SECOND)
    check_log(place.log)
    cron = place.finished("cron")
    assert by_generation(cron) == {
        1: [clock_at("15:28:40"), clock_at("17:28:40")],
        2: [
            *grid(10 * SECOND, clock_at("15:28:50"), clock_at("15:30:00")),
            # The forward step found it due; it was never claimed.
            *grid(10 * SECOND, clock_at("17:28:20"), clock_at("17:29:00")),
        ],
    }
    assert spans(cron) == [(719, clock_at("15:28:50"), clock_at("17:28:30"))]
    daily = place.finished("daily")
    assert [is_missed(record) for record in daily] == [True, False]
    assert (ran(daily), spans(daily)) == ([clock_at("15:30")], [(1, clock_at("15:30"), clock_at("15:30"))])
    assert reopened(place) == [(clock_at("15:28:45"), clock_at("17:28:45"))]
    assert steps_told(place) == [7200.0, -7200.0, 7100.0]


# --- a year ahead at the first start ----------------------------------------------------------------------------------

COUNTED = {"frequency": "weekly", "days": ["wednesday"], "at": "10:00", "start": "2026-03-02", "repetitions": 3}


def declare_year(place: Place) -> None:
    declare(place, "counted", COUNTED)
    declare(place, "daily", {"frequency": "daily", "at": "13:00"})
    declare(place, "monthly", {"frequency": "monthly", "day": 5, "at": "10:00"})
    declare(place, "cron", {"frequency": "cron", "expression": "30 12 * * *"})
    declare(place, "hourly", {"frequency": "hourly"})
    place.declare("later", "true", {"run_later": {"start": "2026-03-02 13:00"}})
    place.declare("once", "true", "run_immediately")


def test_a_first_start_a_year_ahead_completes_nothing_for_good(place: Place) -> None:
    declare_year(place)
    with living(place, GivenClock(NOON + YEAR)) as life:
        life.go_on(4 * SECOND)
        assert told_of(place, "counted") == ["completed"]
        assert told_of(place, "later") == ["completed"]
        life.step(-YEAR)
        assert told_of(place, "counted") == ["completed", "scheduled"]
        stops = [NOON + 30 * MINUTE, NOON + HOUR, NOON + DAY + HOUR]
        stops += [datetime(2026, 3, day, 10, tzinfo=UTC) for day in (4, 5, 11, 18, 25)]
        for stop in stops:
            life.go_on(stop - life.clock.at)
    check_log(place.log)
    counted = place.finished("counted")
    assert [record["scheduled_for"][:16] for record in counted if is_missed(record)] == []
    wednesdays = [f"2026-03-{day:02}T10:00" for day in (4, 11, 18, 25)]
    assert [record["scheduled_for"][:16] for record in counted] == wednesdays
    assert told_of(place, "counted") == ["completed", "scheduled", "completed"]
    later = place.finished("later")
    assert [(is_missed(record), at(record, "scheduled_for")) for record in later] == [
        (True, NOON + HOUR),
        (False, NOON + HOUR),
    ]
    assert told_of(place, "later") == ["completed", "scheduled", "completed"]
    assert ran(place.finished("daily")) == [NOON + HOUR, NOON + DAY + HOUR]
    assert ran(place.finished("cron")) == [NOON + 30 * MINUTE]
    assert ran(place.finished("monthly")) == [datetime(2026, 3, 5, 10, tzinfo=UTC)]
    assert ran(place.finished("hourly"))[:1] == [NOON + HOUR]
    assert ran(place.finished("once")) == [NOON + YEAR]


# --- three short runs: over ten, long before, and five past ten -------------------------------------------------------

HOURLY_AND_MINUTELY: Mapping[str, Mapping[str, object]] = {
    f"{frequency}-{misfire}": {"frequency": frequency, "misfire": misfire}
    for frequency in ("hourly", "minutely")
    for misfire in POLICIES
}


def check_three_runs(place: Place, *, last: datetime) -> None:
    """Ten o'clock ran once. Of the minutes since, those before `last` are missed, and follow misfire."""
    ten, missed = clock_at("10:00"), grid(MINUTE, clock_at("10:01"), last - MINUTE)
    for misfire in POLICIES:
        hourly = place.finished(f"hourly-{misfire}")
        assert (ran(hourly), spans(hourly)) == ([ten], [])
        minutely = place.finished(f"minutely-{misfire}")
        assert ran(minutely) == [ten, *(missed if misfire == "fire_all" else []), last]
        told = [] if misfire == "fire_all" else [(len(missed), missed[0], missed[-1])]
        assert spans(minutely) == told


@pytest.mark.parametrize("between", [clock_at("08:30"), LONG_AGO], ids=["half past eight", "1970"])
def test_no_fire_repeats_over_runs_at_ten_long_before_and_five_past_ten(place: Place, between: datetime) -> None:
    for name, schedule in HOURLY_AND_MINUTELY.items():
        declare(place, name, schedule)
    clock = GivenClock(clock_at("09:59:58"))
    with living(place, clock, released=BEFORE_ALL) as life:
        life.go_on(5 * SECOND, by=SECOND)
    clock.at = between
    with living(place, clock, released=BEFORE_ALL) as life:
        life.go_on(3 * SECOND)
    clock.at = clock_at("10:05")
    with living(place, clock, released=BEFORE_ALL) as life:
        life.go_on(3 * SECOND)
        check_three_runs(place, last=clock_at("10:05"))
        life.go_on(clock_at("11:00") - life.clock.at)
    check_log(place.log)
    assert ran(place.finished("hourly-skip")) == [clock_at("10:00"), clock_at("11:00")]


def test_a_start_within_grace_of_a_fire_that_ran_does_not_repeat_it(place: Place) -> None:
    for name, schedule in HOURLY_AND_MINUTELY.items():
        declare(place, name, schedule)
    clock = GivenClock(clock_at("09:59:58"))
    for start in ("09:59:58", "08:30:00", "10:00:30"):
        clock.at = clock_at(start)
        with living(place, clock) as life:
            life.go_on(4 * SECOND, by=SECOND)
    for name in HOURLY_AND_MINUTELY:
        assert (ran(place.finished(name)), spans(place.finished(name))) == ([clock_at("10:00")], [])


# --- two live hours, then two hours back ------------------------------------------------------------------------------


@pytest.mark.parametrize("minutes", [10, pytest.param(1, marks=pytest.mark.campaign)])
def test_two_live_hours_and_two_hours_back(place: Place, minutes: int) -> None:
    stride = minutes * MINUTE
    declare(place, "minutely", {"frequency": "minutely", "interval": minutes})
    declare(place, "cron", {"frequency": "cron", "expression": "0 * * * *"})
    declare(place, "daily", {"frequency": "daily", "at": "11:00"})
    begin = clock_at("10:00") - stride
    with living(place, GivenClock(begin)) as life:
        life.go_on(2 * HOUR, by=stride)
        life.step(-2 * HOUR)
        life.go_on(2 * HOUR + 2 * stride, by=stride)
    check_log(place.log)
    lived = grid(stride, begin + stride, begin + 2 * HOUR)
    again = grid(stride, begin + stride, begin + 2 * HOUR + 2 * stride)
    assert by_generation(place.finished("minutely")) == {1: lived, 2: again}
    assert by_generation(place.finished("cron")) == {
        1: [clock_at("10:00"), clock_at("11:00")],
        2: [clock_at("10:00"), clock_at("11:00"), clock_at("12:00")],
    }
    assert by_generation(place.finished("daily")) == {1: [clock_at("11:00")]}
    assert not any(is_missed(record) for record in place.events("execution.finished"))
    assert reopened(place) == [(begin, begin + 2 * HOUR)]


# --- a boot in 1970 ---------------------------------------------------------------------------------------------------


def declare_boot(place: Place) -> None:
    place.declare("once", "true", "run_immediately")
    place.declare("later", "true", {"run_later": {"start": "2026-03-02 12:30"}})
    declare(place, "hourly", {"frequency": "hourly"}, misfire="fire_once")
    declare(place, "daily", {"frequency": "daily", "at": "12:30"})


def test_a_boot_in_1970_with_an_empty_store_registers_nothing(place: Place) -> None:
    declare_boot(place)
    with living(place, GivenClock(LONG_AGO), released=BEFORE_ALL) as life:
        life.go_on(HOUR, by=10 * MINUTE)
        (begun,) = place.events("runner.started")
        assert "the clock reads 1970-01-01 00:00:10 UTC" in begun["message"]
        assert [record["event"] for record in place.records()] == ["runner.started"]
        life.clock.at = NOON
        life.settle()
        life.go_on(HOUR, by=10 * MINUTE)
    check_log(place.log)
    assert ran(place.finished("once")) == [NOON]
    assert ran(place.finished("later")) == ran(place.finished("daily")) == [NOON + 30 * MINUTE]
    assert ran(place.finished("hourly")) == [NOON + HOUR]
    assert not any(is_missed(record) for record in place.events("execution.finished"))
    (step,) = place.events("runner.clock_stepped")
    assert (step["step_s"], step["reopened_from"]) == ((NOON - LONG_AGO - HOUR).total_seconds(), None)


def test_a_boot_in_1970_with_a_used_store_is_a_time_of_rest(place: Place) -> None:
    declare_boot(place)
    clock = GivenClock(NOON - 90 * MINUTE)
    with living(place, clock, released=BEFORE_ALL) as life:
        life.go_on(31 * MINUTE, by=30 * MINUTE)
    assert ran(place.finished("hourly")) == [NOON - HOUR]
    clock.at = LONG_AGO
    before = len(place.records())
    with living(place, clock, released=BEFORE_ALL) as life:
        life.go_on(HOUR, by=10 * MINUTE)
    assert [record["event"] for record in place.records()[before:]] == ["runner.started"]
    clock.at = NOON + 45 * MINUTE
    with living(place, clock, released=BEFORE_ALL) as life:
        life.go_on(20 * MINUTE, by=15 * MINUTE)
    check_log(place.log)
    half, hourly = NOON + 30 * MINUTE, place.finished("hourly")
    assert ran(place.finished("once")) == [NOON - 90 * MINUTE]
    assert (ran(hourly), spans(hourly)) == ([NOON - HOUR, NOON, NOON + HOUR], [(1, NOON, NOON)])
    later, daily = place.finished("later"), place.finished("daily")
    assert (ran(later), spans(later)) == ([half], [(1, half, half)])
    assert (ran(daily), spans(daily)) == ([], [(1, half, half)])
    assert steps_told(place) == []


def test_a_clock_that_falls_back_to_1970_under_a_runner_moves_nothing(place: Place) -> None:
    declare_boot(place)
    with living(place, GivenClock(NOON - 90 * MINUTE), released=BEFORE_ALL) as life:
        life.go_on(30 * MINUTE, by=30 * MINUTE)
        away = life.clock.at - LONG_AGO
        life.step(-away)
        life.go_on(10 * SECOND)
        life.step(away)
        life.go_on(59 * MINUTE + 50 * SECOND)
        life.go_on(30 * MINUTE, by=30 * MINUTE)
    assert ran(place.finished("hourly")) == [NOON - HOUR, NOON]
    assert ran(place.finished("later")) == ran(place.finished("daily")) == [NOON + 30 * MINUTE]
    assert not any(is_missed(record) for record in place.events("execution.finished"))
    assert reopened(place) == []


# --- many small steps back --------------------------------------------------------------------------------------------


def test_forty_steps_back_of_45_seconds_are_twenty_steps_back(place: Place) -> None:
    five = 5 * MINUTE
    declare(place, "minutely", {"frequency": "minutely", "interval": 5})
    declare(place, "calendar", {"frequency": "cron", "expression": "0-59/5 0-23 * * *"})
    with living(place, GivenClock(NOON)) as life:
        life.go_on(30 * MINUTE, by=five)
        for _ in range(40):
            life.step(-45 * SECOND)
        assert life.clock.at == NOON
        life.go_on(35 * MINUTE, by=five)
    lived = grid(five, NOON + five, NOON + 30 * MINUTE)
    again = grid(five, NOON + five, NOON + 35 * MINUTE)
    assert by_generation(place.finished("minutely")) == {1: lived, 21: again}
    assert by_generation(place.finished("calendar")) == {1: again}
    assert not any(is_missed(record) for record in place.events("execution.finished"))
    assert steps_told(place) == [-45.0] * 40
    back = [NOON + 30 * MINUTE - count * 90 * SECOND for count in range(21)]
    assert reopened(place) == [(end, begin) for begin, end in zip(back, back[1:], strict=False)]


# --- a sleep while some fires ahead had their verdict -----------------------------------------------------------------


def ahead_and_back(place: Place, life: Life) -> None:
    """Have the clock go two hours ahead for five seconds."""
    life.step(2 * HOUR)
    life.go_on(5 * SECOND)
    life.step(-2 * HOUR)


def test_a_sleep_while_verdicts_lie_ahead_misses_only_what_is_new(place: Place) -> None:
    declare(place, "minutely", {"frequency": "minutely"})
    declare(place, "calendar", {"frequency": "cron", "expression": "0,5,10 12-23 * * *"})
    with living(place, GivenClock(NOON + 30 * SECOND)) as life:
        ahead_and_back(place, life)
        assert life.clock.at == NOON + 35 * SECOND
        place.declare("later", "true", {"run_later": {"start": "2026-03-02 12:08"}})
        life.go_on(35 * SECOND, by=5 * SECOND)
        assert told_of(place, "later") == ["scheduled"]
        before = len(place.records())
        life.step(10 * MINUTE)
        assert life.clock.at == NOON + 11 * MINUTE + 10 * SECOND
        life.go_on(MINUTE, by=10 * SECOND)
    check_log(place.log)
    finished = [record for record in place.records()[before:] if record["event"] == "execution.finished"]
    eight, eleven = NOON + 8 * MINUTE, NOON + 11 * MINUTE
    assert [(each["request"], each["status"], at(each, "scheduled_for")) for each in finished] == [
        ("later", "misfired", eight),
        ("minutely", "success", eleven),
        ("later", "success", eight),
        ("minutely", "success", eleven + MINUTE),
    ]
    assert ran(place.finished("calendar")) == [NOON + 2 * HOUR], "that of the false time"


def test_only_a_day_of_running_makes_verdicts_ahead_count_no_more(place: Place) -> None:
    """Nine days ahead are recorded as missed. Sleep, downtime and forward steps do not count for the day."""
    declare(place, "daily", {"frequency": "daily", "at": "06:00"})
    clock = GivenClock(NOON)
    with living(place, clock) as life:
        life.step(9 * DAY)
        life.step(-9 * DAY)
        life.go_on(12 * HOUR)
        life.step(DAY)
    clock.step(DAY)
    assert spans(place.finished("daily")) == [(9, NOON + 18 * HOUR, NOON + 8 * DAY + 18 * HOUR)]
    with living(place, clock) as life:
        life.step(3 * HOUR)  # it has slept through 06:00 on 3 March, and was down on the 4th
        life.go_on(12 * HOUR - SECOND)  # and the loop hung on the 5th
        assert len(place.finished("daily")) == 1
        life.go_on(SECOND)
        life.step(DAY)
    sixth = NOON + 3 * DAY + 18 * HOUR
    assert spans(place.finished("daily"))[1:] == [(1, sixth, sixth)]
