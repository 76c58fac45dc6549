"""Plain data to rules: accepted schedules, and refused ones with the wrong field."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from support.effort import effort_of

from runner.errors import RuleError
from runner.timing.calendars import NO_DATES, Dates
from runner.timing.parsing import parse_rule
from runner.timing.rules import (
    Cron,
    Daily,
    DayNumber,
    Interval,
    LastDay,
    Monthly,
    NthWeekday,
    NthWorkday,
    Rule,
    Weekly,
)
from runner.timing.upcoming import next_fire
from runner.values import EPOCH

MADRID = "Europe/Madrid"


def parsed(excepted: Dates = NO_DATES, **data: Any) -> Rule:
    return parse_rule(data, default_zone=MADRID, excepted=excepted)


@pytest.mark.parametrize(
    ("data", "pattern"),
    [
        ({"frequency": "secondly"}, Interval(seconds=1)),
        ({"frequency": "minutely", "interval": 5}, Interval(seconds=300)),
        ({"frequency": "hourly", "interval": 24.0}, Interval(seconds=86400)),
        ({"frequency": "daily", "at": "02:00"}, Daily()),
        ({"frequency": "daily", "at": "02:00", "interval": 4}, Daily(interval=4)),
        (
            {"frequency": "daily", "at": "02:00", "days": "weekdays"},
            Daily(weekdays=frozenset({0, 1, 2, 3, 4})),
        ),
        (
            {"frequency": "daily", "at": "02:00", "days": "weekends"},
            Daily(weekdays=frozenset({5, 6})),
        ),
        (
            {"frequency": "weekly", "at": "02:00", "days": ["sunday", "monday"], "interval": 2},
            Weekly(weekdays=frozenset({0, 6}), interval=2),
        ),
        ({"frequency": "monthly", "at": "02:00", "day": 31}, Monthly(day=DayNumber(number=31))),
        ({"frequency": "monthly", "at": "02:00", "day": "last"}, Monthly(day=LastDay())),
        (
            {"frequency": "monthly", "at": "02:00", "day": "last_workday"},
            Monthly(day=NthWorkday(nth=-1)),
        ),
        (
            {"frequency": "monthly", "at": "02:00", "day": "second sunday", "interval": 3},
            Monthly(day=NthWeekday(nth=2, weekday=6), interval=3),
        ),
        (
            {"frequency": "monthly", "at": "02:00", "day": "last friday"},
            Monthly(day=NthWeekday(nth=-1, weekday=4)),
        ),
        ({"frequency": "cron", "expression": " */5  * * * * "}, Cron(expression="*/5 * * * *")),
    ],
)
def test_each_frequency_is_its_pattern(data: dict[str, Any], pattern: object) -> None:
    rule = parsed(**data)
    assert rule.pattern == pattern
    assert rule.zone == MADRID
    assert rule.at == ((time(2),) if "at" in data else ())


def test_times_of_day_are_sorted_without_duplicates() -> None:
    rule = parsed(frequency="daily", at=["14:00", "02:00:30", "02:00", "14:00:00"])
    assert rule.at == (time(2), time(2, 0, 30), time(14))


def test_without_at_it_is_the_time_of_start_as_the_clocks_of_the_zone_show_it() -> None:
    assert parsed(frequency="daily", start="2026-01-01 13:10:05").at == (time(13, 10, 5),)
    assert parsed(frequency="daily", start="2026-01-01T13:10+00:00").at == (time(14, 10),)
    assert parsed(frequency="daily", start="2026-03-29 02:30").at == (
        time(2, 30),
    )  # in the gap of that day


def test_bounds_are_instants_and_a_date_alone_is_the_whole_day() -> None:
    rule = parsed(frequency="hourly", start="2026-03-29", finish="2026-10-25", timezone=MADRID)
    assert rule.start == datetime(2026, 3, 28, 23, tzinfo=UTC)
    assert rule.finish == datetime(2026, 10, 25, 23, tzinfo=UTC) - timedelta(microseconds=1)
    rule = parsed(frequency="hourly", start="2026-03-29 10:00", finish="2026-10-25T10:00:00Z")
    assert rule.start == datetime(2026, 3, 29, 8, tzinfo=UTC)
    assert rule.finish == datetime(2026, 10, 25, 10, tzinfo=UTC)


def test_a_finish_in_a_missing_midnight_is_the_end_of_the_day_before() -> None:
    rule = parsed(frequency="hourly", finish="2026-04-23", timezone="Africa/Cairo")
    assert rule.finish == datetime(2026, 4, 23, 22, tzinfo=UTC) - timedelta(microseconds=1)


@pytest.mark.parametrize("zone", ["Etc/GMT+12", "Pacific/Kiritimati"])
def test_a_finish_at_the_end_of_the_calendar_is_accepted(zone: str) -> None:
    rule = parsed(frequency="daily", at="02:00", finish="9999-12-31", timezone=zone)
    assert rule.finish is not None
    assert rule.finish.year == 9999


def test_a_finish_in_the_past_is_accepted() -> None:
    assert (
        next_fire(
            parsed(frequency="daily", at="02:00", finish="1999-01-01"),
            datetime(2026, 1, 1, tzinfo=UTC),
        )
        is None
    )


@pytest.mark.parametrize(
    ("data", "field", "message", "suggestion"),
    [
        ({"frequency": "daily"}, "at", "no start", 'at: "02:00"'),
        (
            {"frequency": "monthly", "day": 1, "start": "2026-01-01"},
            "at",
            "date alone",
            'at: "02:00"',
        ),
        ({"frequency": "daily", "at": []}, "at", "missing", 'at: "02:00"'),
        ({"frequency": "daily", "at": "24:00"}, "at", "'24:00'", '"00:00"'),
        ({"frequency": "daily", "at": "9:30"}, "at", "'9:30'", '"09:30"'),
        ({"frequency": "daily", "at": "2:30pm"}, "at", "'2:30pm'", '"14:30"'),
        ({"frequency": "daily", "at": "12 am"}, "at", "'12 am'", '"00:00"'),
        ({"frequency": "daily", "at": "0930"}, "at", "'0930'", '"09:30"'),
        ({"frequency": "daily", "at": "25:00"}, "at", "'25:00'", "23:59:59"),
        ({"frequency": "daily", "at": "noon"}, "at", "'noon'", "02:00"),
        ({"frequency": "daily", "at": "02:00\n"}, "at", "no", ""),
        (
            {"frequency": "daily", "at": "02:00", "timezone": "Mars/Olympus"},
            "timezone",
            "Mars",
            "IANA",
        ),
        (
            {"frequency": "daily", "at": "02:00", "start": "soon"},
            "start",
            "'soon'",
            "2026-12-24 18:00",
        ),
        (
            {"frequency": "daily", "at": "02:00", "finish": "2026-13-01"},
            "finish",
            "2026-13-01",
            None,
        ),
        (
            {"frequency": "daily", "at": "02:00", "interval": 2, "days": "weekdays"},
            "interval",
            "cannot be combined",
            "leave out",
        ),
        (
            {"frequency": "daily", "at": "02:00", "repetitions": 3},
            "repetitions",
            "start",
            "add a start",
        ),
        (
            {"frequency": "daily", "start": "2026-01-01 02:00", "repetitions": 10_001},
            "repetitions",
            "10,000",
            "finish",
        ),
        ({"frequency": "hourly", "interval": 10**30}, "interval", "hundred years", None),
        ({"frequency": "weekly", "days": [], "at": "02:00"}, "days", "needs a day", "[monday]"),
        (
            {"frequency": "monthly", "day": "secnd sunday", "at": "02:00"},
            "day",
            "secnd",
            "second sunday",
        ),
        (
            {"frequency": "monthly", "day": "last-workday", "at": "02:00"},
            "day",
            "last-workday",
            "last_workday",
        ),
        (
            {"frequency": "monthly", "day": "whenever it suits", "at": "02:00"},
            "day",
            "whenever",
            "",
        ),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_at_its_field(
    data: dict[str, Any], field: str, message: str, suggestion: str | None
) -> None:
    with pytest.raises(RuleError) as caught:
        parsed(**data)
    assert caught.value.field == ("schedule", field)
    assert message in str(caught.value)
    assert suggestion is None or suggestion in str(caught.value.suggestion)


def test_a_wrong_time_in_a_list_is_reported_by_its_index() -> None:
    with pytest.raises(RuleError) as caught:
        parsed(frequency="daily", at=["02:00", "2pm"])
    assert caught.value.field == ("schedule", "at", 1)


EVERY_DAY_OF_MAY = Dates(days=frozenset(date(2026, 5, day) for day in range(1, 32)))


@pytest.mark.parametrize(
    ("data", "excepted", "field"),
    [
        ({"frequency": "cron", "expression": "0 0 31 2 *"}, NO_DATES, "expression"),
        ({"frequency": "cron", "expression": "0 0 */31 * MON#5"}, NO_DATES, "expression"),
        (
            {"frequency": "monthly", "day": 31, "interval": 12, "start": "2026-02-01 10:00"},
            NO_DATES,
            "day",
        ),
        (
            {"frequency": "monthly", "day": 30, "interval": 4800, "start": "2026-02-01 10:00"},
            NO_DATES,
            "day",
        ),
        (
            {"frequency": "hourly", "start": "2026-01-02", "finish": "2026-01-01"},
            NO_DATES,
            "finish",
        ),
        (
            {"frequency": "hourly", "start": "2026-01-02 10:00", "finish": "2026-01-02 09:59"},
            NO_DATES,
            "finish",
        ),
        (
            {
                "frequency": "daily",
                "at": "09:00",
                "start": "2026-01-02 10:00",
                "finish": "2026-01-02",
            },
            NO_DATES,
            "finish",
        ),
        (
            {
                "frequency": "monthly",
                "day": 31,
                "at": "09:00",
                "start": "2026-02-01",
                "finish": "2026-03-30",
            },
            NO_DATES,
            "finish",
        ),
        (
            {"frequency": "secondly", "start": "2026-05-01", "finish": "2026-05-31"},
            EVERY_DAY_OF_MAY,
            "except",
        ),
        (
            {"frequency": "daily", "at": "02:00", "start": "2026-05-01", "finish": "2026-05-31"},
            EVERY_DAY_OF_MAY,
            "except",
        ),
        (
            {
                "frequency": "cron",
                "expression": "* * * * * *",
                "start": "2026-05-01",
                "finish": "2026-05-31",
            },
            EVERY_DAY_OF_MAY,
            "except",
        ),
        ({"frequency": "daily", "start": "9999-12-31 10:00"}, NO_DATES, "start"),
    ],
)
def test_a_rule_that_can_never_fire_is_refused_quickly(
    data: dict[str, Any], excepted: Dates, field: str
) -> None:
    def refuse() -> None:
        with pytest.raises(RuleError) as caught:
            parsed(excepted, **data)
        assert caught.value.field == ("schedule", field)

    assert effort_of(refuse) < 100_000, (
        "a walk through the seconds of a month is of millions of calls"
    )


def test_a_rare_rule_is_not_taken_for_one_that_never_fires() -> None:
    rule = parsed(frequency="monthly", day=29, interval=1200, start="2100-02-01 10:00")
    assert next_fire(rule, EPOCH) == datetime(2400, 2, 29, 9, tzinfo=UTC)
    rule = parsed(
        frequency="cron", expression="0 12 */28 2 */7", start="2088-03-01"
    )  # a Sunday, 29 February or the 1st
    assert next_fire(rule, EPOCH) is not None
    rule = parsed(frequency="monthly", day="fifth monday", interval=12, start="2026-02-01 10:00")
    assert next_fire(rule, EPOCH) == datetime(2044, 2, 29, 9, tzinfo=UTC)
