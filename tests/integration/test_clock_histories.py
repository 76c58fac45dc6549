"""Histories of a clock that was wrong and came back, each with its whole outcome,
computed by hand.

First with a clock that the test moves, around the loop itself; then with real processes
whose clock libfaketime sets.
"""

from __future__ import annotations

import json
import random
import signal
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from support.clock_world import (
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
    recorded_steps,
    spans,
)
from support.place import Place, Record, check_log, wait_until

from runner import RELEASED
from runner.commands import CommandKind
from runner.store.opening import mailbox_of
from runner.store.rows import CommandRow, CommandStatus
from runner.values import EPOCH, to_microseconds

pytestmark = pytest.mark.timeout(600)

set_for_real = pytest.mark.skipif(
    LIBRARY is None, reason="faketime is not installed (Debian: apt-get install faketime)"
)

YEAR = timedelta(days=365)
LONG_AGO = EPOCH + 10 * SECOND
BEFORE_ALL = datetime(2026, 1, 1, tzinfo=UTC)
"""What the clocks here that a test moves take for the release of the program."""


def clock_at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-03-02T{text}+00:00")


def by_generation(records: list[Record]) -> dict[int, list[datetime]]:
    """Return the fire times that ran, by generation."""
    generations = sorted({record["generation"] for record in records})
    found = {
        number: ran(each for each in records if each["generation"] == number)
        for number in generations
    }
    return {number: fires for number, fires in found.items() if fires}


def reopened(place: Place) -> list[tuple[datetime, datetime]]:
    """Return the spans that steps back reopened."""
    return [
        (at(record, "reopened_from"), at(record, "reopened_until"))
        for record in place.events("runner.clock_stepped")
        if record["reopened_from"] is not None
    ]


def request_events(place: Place, name: str) -> list[str]:
    """Return the events of a request, in order, without their prefix."""
    return [
        record["event"].removeprefix("request.")
        for record in place.records()
        if record["event"].startswith("request.") and record["request"] == name
    ]


# --- two hours ahead for some seconds
# --------------------------------------------------------------------------------------


def test_a_clock_two_hours_ahead_for_five_seconds_silences_no_request(place: Place) -> None:
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
    assert (ran(daily), spans(daily)) == (
        [clock_at("15:30")],
        [(1, clock_at("15:30"), clock_at("15:30"))],
    )
    assert reopened(place) == [(clock_at("15:28:45"), clock_at("17:28:45"))]
    assert recorded_steps(place) == [7200.0, -7200.0, 7100.0]


# --- a year ahead at the first start
# --------------------------------------------------------------------------------------

COUNTED = {
    "frequency": "weekly",
    "days": ["wednesday"],
    "at": "10:00",
    "start": "2026-03-02",
    "repetitions": 3,
}


def declare_year(place: Place) -> None:
    declare(place, "counted", COUNTED)
    declare(place, "daily", {"frequency": "daily", "at": "13:00"})
    declare(place, "monthly", {"frequency": "monthly", "day": 5, "at": "10:00"})
    declare(place, "cron", {"frequency": "cron", "expression": "30 12 * * *"})
    declare(place, "hourly", {"frequency": "hourly"})
    place.declare("later", "true", {"run_later": {"start": "2026-03-02 13:00"}})
    place.declare("once", "true", "run_immediately")


def test_requests_completed_by_a_first_start_a_year_ahead_are_scheduled_again(place: Place) -> None:
    declare_year(place)
    with living(place, GivenClock(NOON + YEAR)) as life:
        life.go_on(4 * SECOND)
        assert request_events(place, "counted") == ["completed"]
        assert request_events(place, "later") == ["completed"]
        life.step(-YEAR)
        assert request_events(place, "counted") == ["completed", "scheduled"]
        stops = [NOON + 30 * MINUTE, NOON + HOUR, NOON + DAY + HOUR]
        stops += [datetime(2026, 3, day, 10, tzinfo=UTC) for day in (4, 5, 11, 18, 25)]
        for stop in stops:
            life.go_on(stop - life.clock.at)
    check_log(place.log)
    counted = place.finished("counted")
    assert [record["scheduled_for"][:16] for record in counted if is_missed(record)] == []
    wednesdays = [f"2026-03-{day:02}T10:00" for day in (4, 11, 18, 25)]
    assert [record["scheduled_for"][:16] for record in counted] == wednesdays
    assert request_events(place, "counted") == ["completed", "scheduled", "completed"]
    later = place.finished("later")
    assert [(is_missed(record), at(record, "scheduled_for")) for record in later] == [
        (True, NOON + HOUR),
        (False, NOON + HOUR),
    ]
    assert request_events(place, "later") == ["completed", "scheduled", "completed"]
    assert ran(place.finished("daily")) == [NOON + HOUR, NOON + DAY + HOUR]
    assert ran(place.finished("cron")) == [NOON + 30 * MINUTE]
    assert ran(place.finished("monthly")) == [datetime(2026, 3, 5, 10, tzinfo=UTC)]
    assert ran(place.finished("hourly"))[:1] == [NOON + HOUR]
    assert ran(place.finished("once")) == [NOON + YEAR]


# --- three short runs: over ten, long before, and five past ten
# -------------------------------------------------------

HOURLY_AND_MINUTELY: Mapping[str, Mapping[str, object]] = {
    f"{frequency}-{misfire}": {"frequency": frequency, "misfire": misfire}
    for frequency in ("hourly", "minutely")
    for misfire in POLICIES
}


def check_three_runs(place: Place, *, last: datetime) -> None:
    """Check that 10:00 ran once; the minutes since then, up to `last`, are missed and
    follow misfire.
    """
    ten, missed = clock_at("10:00"), grid(MINUTE, clock_at("10:01"), last - MINUTE)
    for misfire in POLICIES:
        hourly = place.finished(f"hourly-{misfire}")
        assert (ran(hourly), spans(hourly)) == ([ten], [])
        minutely = place.finished(f"minutely-{misfire}")
        assert ran(minutely) == [ten, *(missed if misfire == "fire_all" else []), last]
        reported = [] if misfire == "fire_all" else [(len(missed), missed[0], missed[-1])]
        assert spans(minutely) == reported


@pytest.mark.parametrize("between", [clock_at("08:30"), LONG_AGO], ids=["half past eight", "1970"])
def test_no_fire_repeats_over_starts_at_ten_long_before_and_at_five_past_ten(
    place: Place, between: datetime
) -> None:
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


# --- a catch-up, and a regular fire within grace
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_guarded", [False, True], ids=["unguarded", "prevent_concurrent"])
def test_fire_once_runs_once_where_the_newest_fire_is_within_grace(
    place: Place, is_guarded: bool
) -> None:
    timing = {"schedule": {"frequency": "daily", "at": "21:00", "misfire": "fire_once"}}
    place.declare("pages", "true")
    place.declare(
        "daily",
        "true",
        timing,
        top={"on_failure": {"request": "pages"}},
        prevent_concurrent=is_guarded,
    )
    clock = GivenClock(clock_at("20:00:00"))
    with living(place, clock) as life:
        life.go_on(90 * MINUTE, by=30 * MINUTE)
    clock.go_on(clock_at("21:00:40") + 4 * DAY - clock.at)
    with living(place, clock) as life:
        life.go_on(DAY - 40 * SECOND)
    check_log(place.log)
    daily, nine = place.finished("daily"), clock_at("21:00:00")
    assert [(record["status"], at(record, "scheduled_for")) for record in daily] == [
        ("success", nine),
        ("misfired", nine + 3 * DAY),
        ("success", nine + 4 * DAY),
        ("success", nine + 5 * DAY),
    ]
    assert spans(daily) == [(3, nine + DAY, nine + 3 * DAY)]
    assert place.finished("pages") == []


# --- two live hours, then two hours back
# --------------------------------------------------------------------------------------


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


# --- a boot in 1970
# --------------------------------------------------------------------------------------


def declare_boot(place: Place) -> None:
    place.declare("once", "true", "run_immediately")
    place.declare("later", "true", {"run_later": {"start": "2026-03-02 12:30"}})
    declare(place, "hourly", {"frequency": "hourly"}, misfire="fire_once")
    declare(place, "daily", {"frequency": "daily", "at": "12:30"})


def answer_of(place: Place, life: Life, kind: CommandKind) -> str:
    """Send the runner a command, and return its answer."""
    row = CommandRow(
        id=kind,
        kind=kind,
        arguments=json.dumps(
            {"targets": ["once"], "is_for_all": False, "allow_empty": False, "params": {}}
        ),
        requested_by="ann",
        deadline=to_microseconds(life.clock.at + MINUTE),
        status=CommandStatus.PENDING,
    )
    mailbox_of(place.store).post(row)
    life.settle()
    return wait_until(lambda: mailbox_of(place.store).answer_to(kind), what="an answer")


def test_a_boot_in_1970_with_an_empty_store_registers_nothing(place: Place) -> None:
    declare_boot(place)
    with living(place, GivenClock(LONG_AGO), released=BEFORE_ALL) as life:
        life.go_on(HOUR, by=10 * MINUTE)
        (begun,) = place.events("runner.started")
        assert "the clock reads 1970-01-01 00:00:10 UTC" in begun["message"]
        for kind in (CommandKind.RESCHEDULE, CommandKind.RELOAD):
            assert "nothing fires until the clock is set" in answer_of(place, life, kind)
        assert [record["event"] for record in place.records()] == ["runner.started", "alert.opened"]
        (alert,) = place.events("alert.opened", check="clock")
        assert alert["message"] == begun["message"]
        life.clock.at = NOON
        life.settle()
        life.go_on(HOUR, by=10 * MINUTE)
    check_log(place.log)
    assert ran(place.finished("once")) == [NOON]
    assert ran(place.finished("later")) == ran(place.finished("daily")) == [NOON + 30 * MINUTE]
    assert ran(place.finished("hourly")) == [NOON + HOUR]
    assert not any(is_missed(record) for record in place.events("execution.finished"))
    (step,) = place.events("runner.clock_stepped")
    assert (step["step_s"], step["reopened_from"]) == (
        (NOON - LONG_AGO - HOUR).total_seconds(),
        None,
    )


def test_a_boot_in_1970_with_a_used_store_fires_nothing(place: Place) -> None:
    declare_boot(place)
    clock = GivenClock(NOON - 90 * MINUTE)
    with living(place, clock, released=BEFORE_ALL) as life:
        life.go_on(31 * MINUTE, by=30 * MINUTE)
    assert ran(place.finished("hourly")) == [NOON - HOUR]
    clock.at = LONG_AGO
    before = len(place.records())
    with living(place, clock, released=BEFORE_ALL) as life:
        life.go_on(HOUR, by=10 * MINUTE)
    assert [record["event"] for record in place.records()[before:]] == [
        "runner.started",
        "alert.opened",
    ]
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
    assert recorded_steps(place) == []


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


# --- many small steps back
# --------------------------------------------------------------------------------------


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
    assert recorded_steps(place) == [-45.0] * 40
    back = [NOON + 30 * MINUTE - count * 90 * SECOND for count in range(21)]
    assert reopened(place) == [(end, begin) for begin, end in pairwise(back)]


# --- a sleep while some fires ahead had their verdict
# --------------------------------------------------------------------------------------


def ahead_and_back(place: Place, life: Life) -> None:
    """Set the clock two hours ahead for five seconds."""
    life.step(2 * HOUR)
    life.go_on(5 * SECOND)
    life.step(-2 * HOUR)


def test_a_sleep_while_verdicts_lie_ahead_misses_only_fires_without_a_verdict(place: Place) -> None:
    declare(place, "minutely", {"frequency": "minutely"})
    declare(place, "calendar", {"frequency": "cron", "expression": "0,5,10 12-23 * * *"})
    with living(place, GivenClock(NOON + 30 * SECOND)) as life:
        ahead_and_back(place, life)
        assert life.clock.at == NOON + 35 * SECOND
        place.declare("later", "true", {"run_later": {"start": "2026-03-02 12:08"}})
        life.go_on(35 * SECOND, by=5 * SECOND)
        assert request_events(place, "later") == ["scheduled"]
        before = len(place.records())
        life.step(10 * MINUTE)
        assert life.clock.at == NOON + 11 * MINUTE + 10 * SECOND
        life.go_on(MINUTE, by=10 * SECOND)
    check_log(place.log)
    finished = [
        record for record in place.records()[before:] if record["event"] == "execution.finished"
    ]
    eight, eleven = NOON + 8 * MINUTE, NOON + 11 * MINUTE
    # Two executions that start in one turn may end in either order.
    assert sorted(
        (each["request"], each["status"], at(each, "scheduled_for")) for each in finished
    ) == [
        ("later", "misfired", eight),
        ("later", "success", eight),
        ("minutely", "success", eleven),
        ("minutely", "success", eleven + MINUTE),
    ]
    assert ran(place.finished("calendar")) == [NOON + 2 * HOUR], "that of the false time"


def test_verdicts_ahead_are_dropped_after_a_day_of_running(place: Place) -> None:
    """Nine days ahead are recorded as missed. Sleep, downtime and forward steps do not
    count as running.
    """
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


# --- the same with real processes, whose clock is really set
# ----------------------------------------------------------

SOON = RELEASED.replace(year=RELEASED.year + 1, month=3, day=2)
"""Midnight of a Tuesday, later than the release and far from any change of clocks."""


def soon(text: str) -> datetime:
    hours, minutes, seconds = map(int, text.split(":"))
    return SOON + timedelta(hours=hours, minutes=minutes, seconds=seconds)


def await_run(place: Place, name: str, *, since: datetime, **fields: object) -> None:
    """Wait until a request has run for a fire time from `since` on."""
    wait_until(
        lambda: any(fire >= since for fire in ran(place.finished(name, **fields))),
        within_s=90,
        what=f"a run of {name} from {since}",
    )


def await_steps(place: Place, count: int) -> None:
    wait_until(lambda: len(recorded_steps(place)) >= count, within_s=90, what=f"{count} steps")


def check_covered(
    place: Place, name: str, *, step: timedelta, first: datetime, last: datetime
) -> None:
    """Check that each fire from `first` to `last` ran or is in one missed span; none
    ran twice in a generation.
    """
    records = place.finished(name)
    claims = [
        (record["generation"], at(record, "scheduled_for"))
        for record in records
        if not is_missed(record)
    ]
    assert len(set(claims)) == len(claims), "a fire ran twice"
    missed = [fire for _, begin, until in spans(records) for fire in grid(step, begin, until)]
    assert len(set(missed)) == len(missed), "missed twice"
    assert set(grid(step, first, last)) <= {fire for _, fire in claims} | set(missed)


@set_for_real
def test_for_real_a_clock_two_hours_ahead_and_back_silences_no_request(place: Place) -> None:
    clock = SetClock(place)
    declare(place, "cron", {"frequency": "cron", "expression": "*/10 * * * * *"})
    declare(place, "daily", {"frequency": "daily", "at": "15:30"})
    clock.set_to(soon("15:28:26"))
    runner = place.start()
    await_run(place, "cron", since=soon("15:28:30"))
    clock.set_to(soon("17:28:38"))
    await_run(place, "cron", since=soon("17:28:40"))
    clock.set_to(soon("15:28:38"))
    await_run(place, "cron", since=soon("15:28:40"), generation=2)
    (daily,) = (item for item in place.items("ls") if item["request"] == "daily")
    assert at(daily, "scheduled_for") == soon("15:30:00")
    assert at(daily, "reopened_until") == soon("15:30:00")
    (status,) = place.items("status")
    assert soon("17:28:00") < at(status["clock"], "reopened_until") < soon("17:32:00")
    assert "fires only on time" in place.run("ls").stdout
    clock.set_to(soon("15:29:58"))
    await_run(place, "daily", since=soon("15:30:00"))
    (answer,) = place.items("explain", "daily", "--at", f"{soon('15:30:00'):%Y-%m-%d %H:%M:%S}")
    assert [because["cause"] for because in answer["because"]] == [
        "ran",
        "missed",
        "clock_went_back",
    ]
    findings = place.run("doctor", "--output", "json").stdout
    assert "fires run only on time" in findings
    assert place.stop(runner) == 0, place.console()
    check_log(place.log)
    daily_records = place.finished("daily")
    assert [(is_missed(each), at(each, "scheduled_for")) for each in daily_records] == [
        (True, soon("15:30:00")),
        (False, soon("15:30:00")),
    ]
    assert daily_records[1]["lateness_s"] < 60
    assert [round(step / 3600) for step in recorded_steps(place)][:2] == [2, -2]
    first, last = ran(place.finished("cron"))[0], ran(place.finished("cron", generation=2))[-1]
    check_covered(place, "cron", step=10 * SECOND, first=first, last=last)
    assert len(spans(place.finished("cron"))) == 1


@set_for_real
def test_for_real_requests_completed_by_a_start_a_year_ahead_are_scheduled_again(
    place: Place,
) -> None:
    clock = SetClock(place)
    wednesday = {
        "days": ["wednesday"],
        "at": "10:00",
        "start": f"{SOON:%Y-%m-%d}",
        "repetitions": 3,
    }
    declare(place, "counted", {"frequency": "weekly", **wednesday})
    declare(place, "daily", {"frequency": "daily", "at": "13:00"})
    place.declare("later", "true", {"run_later": {"start": f"{SOON:%Y-%m-%d} 13:00"}})
    clock.set_to(soon("12:00:00") + YEAR)
    runner = place.start()
    wait_until(
        lambda: request_events(place, "later") == ["completed"], what="completed by the false time"
    )
    clock.step(-YEAR)
    wait_until(
        lambda: request_events(place, "later") == ["completed", "scheduled"], what="scheduled again"
    )
    assert request_events(place, "counted") == ["completed", "scheduled"]
    clock.set_to(soon("12:59:58"))
    await_run(place, "later", since=soon("13:00:00"))
    await_run(place, "daily", since=soon("13:00:00"))
    first = SOON + timedelta(days=(2 - SOON.weekday()) % 7, hours=10)
    clock.set_to(first + 7 * DAY - 2 * SECOND)
    await_run(place, "counted", since=first + 7 * DAY)
    assert place.stop(runner) == 0, place.console()
    check_log(place.log)
    thirteen = soon("13:00:00")
    later = place.finished("later")
    assert [(is_missed(each), at(each, "scheduled_for")) for each in later] == [
        (True, thirteen),
        (False, thirteen),
    ]
    assert ran(place.finished("daily")) == [thirteen]
    # The runner slept through the first Wednesday, which had no verdict before.
    counted = place.finished("counted")
    assert (ran(counted), spans(counted)) == ([first + 7 * DAY], [(1, first, first)])


@pytest.mark.campaign
@set_for_real
@pytest.mark.parametrize("between", ["08:30", "1970"])
def test_for_real_no_fire_repeats_over_three_runs(place: Place, between: str) -> None:
    clock = SetClock(place)
    for name, schedule in HOURLY_AND_MINUTELY.items():
        declare(place, name, schedule)
    clock.set_to(soon("09:59:58"))
    runner = place.start()
    for name in HOURLY_AND_MINUTELY:
        await_run(place, name, since=soon("10:00:00"))
    assert place.stop(runner) == 0, place.console()
    clock.set_to(soon("08:30:10") if between == "08:30" else LONG_AGO)
    runner = place.start()
    assert place.stop(runner) == 0, place.console()
    clock.set_to(soon("10:05:10"))
    runner = place.start()
    for name in HOURLY_AND_MINUTELY:
        if name.startswith("minutely"):
            await_run(place, name, since=soon("10:05:00"))
    assert place.stop(runner) == 0, place.console()
    check_log(place.log)
    ten, missed = soon("10:00:00"), grid(MINUTE, soon("10:01:00"), soon("10:04:00"))
    for misfire in POLICIES:
        hourly, minutely = (
            place.finished(f"hourly-{misfire}"),
            place.finished(f"minutely-{misfire}"),
        )
        assert (ran(hourly), spans(hourly)) == ([ten], [])
        assert ran(minutely)[: 2 + 4 * (misfire == "fire_all")] == [
            ten,
            *(missed if misfire == "fire_all" else []),
            soon("10:05:00"),
        ]
        assert spans(minutely) == ([] if misfire == "fire_all" else [(4, missed[0], missed[-1])])


@set_for_real
def test_for_real_a_boot_in_1970_fires_nothing_and_says_why(place: Place) -> None:
    clock = SetClock(place)
    place.declare("once", "true", "run_immediately")
    declare(place, "minutely", {"frequency": "minutely"})
    clock.set_to(LONG_AGO)
    runner = place.start()
    wait_until(lambda: "the clock reads 1970-01-01" in place.console(), what="the console says why")
    (status,) = place.items("status")
    assert "nothing fires until the clock is set" in status["clock"]["message"]
    assert "nothing fires until the clock is set" in place.run("doctor").stdout
    assert [record["event"] for record in place.records()] == ["runner.started", "alert.opened"]
    clock.set_to(soon("12:00:48"))  # a busy machine takes seconds to read the folder
    await_run(place, "once", since=soon("12:00:00"))
    await_run(place, "minutely", since=soon("12:01:00"))
    assert place.stop(runner) == 0, place.console()
    check_log(place.log)
    assert ran(place.finished("minutely")) == [soon("12:01:00")]
    assert len(ran(place.finished("once"))) == 1
    assert not any(is_missed(record) for record in place.events("execution.finished"))


@pytest.mark.campaign
@set_for_real
def test_for_real_a_boot_in_1970_between_two_runs_changes_nothing(place: Place) -> None:
    clock = SetClock(place)
    place.declare("once", "true", "run_immediately")
    declare(place, "minutely", {"frequency": "minutely"})
    clock.set_to(soon("12:00:57"))
    runner = place.start()
    await_run(place, "minutely", since=soon("12:01:00"))
    assert place.stop(runner) == 0, place.console()
    clock.set_to(LONG_AGO)
    before = len(place.records())
    runner = place.start()
    assert place.stop(runner) == 0, place.console()
    # The program may stop before its first turn, in which the alert opens.
    events = [record["event"] for record in place.records()[before:]]
    assert [each for each in events if each != "alert.opened"] == [
        "runner.started",
        "runner.stopped",
    ]
    clock.set_to(soon("12:03:10"))
    runner = place.start()
    await_run(place, "minutely", since=soon("12:03:00"))
    assert place.stop(runner) == 0, place.console()
    check_log(place.log)
    minutely = place.finished("minutely")
    assert ran(minutely)[:2] == [soon("12:01:00"), soon("12:03:00")]
    assert spans(minutely) == [(1, soon("12:02:00"), soon("12:02:00"))]
    assert len(ran(place.finished("once"))) == 1


@pytest.mark.campaign
@set_for_real
def test_for_real_two_hours_back_repeat_no_time_of_day(place: Place) -> None:
    clock = SetClock(place)
    declare(place, "minutely", {"frequency": "minutely"})
    declare(place, "cron", {"frequency": "cron", "expression": "0 * * * *"})
    declare(place, "daily", {"frequency": "daily", "at": "11:00"})
    clock.set_to(soon("10:59:58"))
    runner = place.start()
    for name in ("minutely", "cron", "daily"):
        await_run(place, name, since=soon("11:00:00"))
    clock.set_to(soon("12:59:58"))
    await_run(place, "cron", since=soon("13:00:00"))
    clock.set_to(soon("10:59:57"))
    for name in ("minutely", "cron"):
        await_run(place, name, since=soon("11:00:00"), generation=2)
    assert place.stop(runner) == 0, place.console()
    assert by_generation(place.finished("daily")) == {1: [soon("11:00:00")]}
    cron = place.finished("cron")
    assert by_generation(cron) == {1: [soon("11:00:00"), soon("13:00:00")], 2: [soon("11:00:00")]}
    assert spans(cron) == [(1, soon("12:00:00"), soon("12:00:00"))]
    assert ran(place.finished("minutely", generation=2))[0] == soon("11:00:00")


@pytest.mark.campaign
@set_for_real
def test_for_real_forty_steps_back_of_45_seconds_are_twenty_steps_back(place: Place) -> None:
    clock = SetClock(place)
    declare(place, "minutely", {"frequency": "minutely"})
    declare(place, "calendar", {"frequency": "cron", "expression": "0-59 0-23 * * *"})
    clock.set_to(soon("12:30:30"))
    runner = place.start()
    clock.set_to(soon("12:59:58"))
    await_run(place, "minutely", since=soon("13:00:00"))
    await_run(place, "calendar", since=soon("13:00:00"))
    steps = len(recorded_steps(place))
    for count in range(1, 41):
        clock.step(-45 * SECOND)
        await_steps(place, steps + count)
    clock.set_to(soon("13:00:57"))
    await_run(place, "minutely", since=soon("13:01:00"))
    await_run(place, "calendar", since=soon("13:01:00"))
    assert place.stop(runner) == 0, place.console()
    check_log(place.log)
    assert [round(step) for step in recorded_steps(place)[steps : steps + 40]] == [-45] * 40
    # Some seconds pass until the next check: a pair of steps reopens 90 s minus those.
    assert len(reopened(place)) in (19, 20)
    for name in ("minutely", "calendar"):
        check_covered(place, name, step=MINUTE, first=soon("12:31:00"), last=soon("13:01:00"))
    calendar = ran(place.finished("calendar"))
    assert len(set(calendar)) == len(calendar), "a time of day ran twice"


@pytest.mark.campaign
@set_for_real
def test_for_real_a_sleep_while_verdicts_lie_ahead_misses_only_fires_without_one(
    place: Place,
) -> None:
    clock = SetClock(place)
    declare(place, "minutely", {"frequency": "minutely"})
    clock.set_to(soon("12:00:30"))
    runner = place.start()
    clock.step(2 * HOUR)
    await_run(place, "minutely", since=soon("14:00:00"))
    clock.step(-2 * HOUR)
    await_steps(place, 2)
    place.declare("later", "true", {"run_later": {"start": f"{SOON:%Y-%m-%d} 12:08"}})
    wait_until(lambda: request_events(place, "later") == ["scheduled"], what="the new request")
    clock.set_to(soon("12:11:10"))
    await_run(place, "minutely", since=soon("12:11:00"), generation=2)
    await_run(place, "later", since=soon("12:08:00"))
    assert place.stop(runner) == 0, place.console()
    eight = soon("12:08:00")
    later = place.finished("later")
    assert (ran(later), spans(later)) == ([eight], [(1, eight, eight)])
    assert spans(place.finished("minutely", generation=2)) == []
    assert ran(place.finished("minutely", generation=2))[-1] == soon("12:11:00")


# --- kills among steps
# --------------------------------------------------------------------------------------

KILLED: Mapping[str, Mapping[str, object]] = {
    "interval": {"frequency": "secondly", "interval": 10},
    "cron": {"frequency": "cron", "expression": "*/10 * * * * *", "misfire": "fire_once"},
    "calendar": {"frequency": "cron", "expression": "0-59/10 0-59 0-23 * * *"},
    "all": {"frequency": "cron", "expression": "0-59/10 0-59 0-23 * * *", "misfire": "fire_all"},
}


def check_kills(place: Place) -> None:
    """Check that no time of day ran twice, and no fire twice in a generation; no fire
    is missed twice; each has a verdict.
    """
    check_log(place.log)
    first = max(at(place.events("request.scheduled", name)[0], "time") for name in KILLED)
    for name in KILLED:
        records = place.finished(name)
        last = max([*ran(records), *(until for _, _, until in spans(records))])
        check_covered(place, name, step=10 * SECOND, first=first, last=last)
        if name in ("calendar", "all"):
            assert len(set(ran(records))) == len(ran(records)), "a time of day ran twice"


@pytest.mark.campaign
@pytest.mark.timeout(1800)
@set_for_real
@pytest.mark.parametrize("seed", range(5))
def test_campaign_of_kills_among_steps_of_the_clock(place: Place, seed: int) -> None:
    chance, clock = random.Random(seed), SetClock(place)
    for name, schedule in KILLED.items():
        declare(place, name, schedule)
    clock.set_to(soon("12:00:05"))
    for _ in range(12):
        runner = place.start()
        for _ in range(chance.randrange(4)):
            steps = len(recorded_steps(place))
            # No two steps cancel each other: a slow runner sees two steps as one.
            clock.step(chance.choice([-3600, -110, -45, -7, 9, 30, 100, 3700]) * SECOND)
            await_steps(place, steps + 1)
        place.stop(runner, by=signal.SIGKILL)
        clock.step(chance.choice([-3600, -100, -45, 0, 30, 3600]) * SECOND)
    runner = place.start()
    latest = max(at(record, "scheduled_for") for record in place.events("execution.finished"))
    clock.set_to(max(latest, clock.now()) + 15 * SECOND)
    for name in KILLED:
        await_run(place, name, since=latest)
    assert place.stop(runner) == 0, place.console()
    check_kills(place)
