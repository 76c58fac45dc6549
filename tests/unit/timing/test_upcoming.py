"""Fires of rules: Openbravo's checklist by row, and laws against simple oracles.

An oracle asks for each minute whether the rule matches.
"""

from __future__ import annotations

import os
import time as process_time
from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, cached_property, lru_cache
from itertools import accumulate, islice, pairwise, product, takewhile
from random import Random
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import RuleError
from runner.timing.calendars import NO_DATES, Dates
from runner.timing.days import days
from runner.timing.parsing import parse_rule
from runner.timing.rule_wording import describe
from runner.timing.rules import (
    Cron,
    Daily,
    DayNumber,
    Interval,
    LastDay,
    MonthDay,
    Monthly,
    NthWeekday,
    NthWorkday,
    Pattern,
    Rule,
    Weekly,
)
from runner.timing.upcoming import Span, fires, next_fire, span, spread_offset
from runner.values import EPOCH

MADRID = "Europe/Madrid"
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
T = TypeVar("T")


def rule_of(default_zone: str = MADRID, excepted: Iterable[date] = (), **schedule: object) -> Rule:
    dates = Dates(days=frozenset(excepted))
    return parse_rule(schedule, default_zone=default_zone, excepted=dates)


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def local(rule: Rule, after: datetime = LONG_AGO, count: int = 4) -> list[str]:
    """Return the next fires as wall times of the rule's zone."""
    zone = ZoneInfo(rule.zone)
    return [f"{fire.astimezone(zone):%Y-%m-%d %H:%M}" for fire in islice(fires(rule, after), count)]


def days_of(rule: Rule, after: datetime = LONG_AGO, count: int = 4) -> list[str]:
    return [text[:10] for text in local(rule, after, count)]


# --- Openbravo's checklist, by row
# -------------------------------------------------------------------------


def test_row_8_a_blank_start_counts_from_1970_and_not_from_today() -> None:
    rule = rule_of(frequency="daily", interval=4, at="10:00")
    assert local(rule, count=2) == ["1970-01-01 10:00", "1970-01-05 10:00"]
    assert days_of(rule, instant("2026-06-01 12:00"), 1) == ["2026-06-04"]


def test_row_9_a_start_without_a_time_is_the_beginning_of_its_day_and_needs_at() -> None:
    assert local(rule_of(frequency="daily", start="2026-05-01", at="00:00"), count=1) == [
        "2026-05-01 00:00"
    ]
    with pytest.raises(RuleError, match="start is a date alone"):
        rule_of(frequency="daily", start="2026-05-01")


def test_row_10_weekly_without_start_and_at_is_an_error_that_says_so() -> None:
    with pytest.raises(RuleError, match="no start to take it from") as caught:
        rule_of(frequency="weekly", days=["monday"])
    assert caught.value.field == ("schedule", "at")


def test_row_11_every_n_seconds_is_start_and_whole_intervals() -> None:
    rule = rule_of(frequency="secondly", interval=7, start="2026-01-01T00:00:03Z")
    began = instant("2026-01-01 00:00:03")
    assert list(islice(fires(rule, LONG_AGO), 3)) == [
        began,
        began + timedelta(seconds=7),
        began + timedelta(seconds=14),
    ]
    assert next_fire(rule, began + timedelta(seconds=700)) == began + timedelta(seconds=707)


def test_row_11_every_n_minutes_without_start_is_aligned_to_1970() -> None:
    rule = rule_of(frequency="minutely", interval=5)
    assert next_fire(rule, instant("2026-06-01 12:34:56")) == instant("2026-06-01 12:35:00")


def test_row_12_three_repetitions_are_four_executions_as_the_manual_says() -> None:
    rule = rule_of(frequency="hourly", start="2026-01-01 00:00", repetitions=3)
    assert len(list(fires(rule, LONG_AGO))) == 4
    rule = rule_of(frequency="daily", start="2026-01-01 02:00", repetitions=3)
    assert days_of(rule, count=9) == ["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04"]


def test_row_13_blank_repetitions_are_endless() -> None:
    rule = rule_of(frequency="hourly", interval=24, start="2026-01-01 00:00")
    assert next_fire(rule, instant("2999-01-01")) is not None


def test_row_14_no_repetitions_are_one_execution() -> None:
    rule = rule_of(frequency="hourly", start="2026-01-01T00:00Z", repetitions=0)
    assert list(fires(rule, LONG_AGO)) == [instant("2026-01-01")]


def test_row_18_daily_is_every_day_at_the_time_of_start() -> None:
    assert local(rule_of(frequency="daily", start="2026-02-27 13:10"), count=3) == [
        "2026-02-27 13:10",
        "2026-02-28 13:10",
        "2026-03-01 13:10",
    ]


def test_row_19_every_four_days_from_27_september() -> None:
    rule = rule_of(frequency="daily", interval=4, start="2019-09-27 10:00")
    assert days_of(rule, count=3) == ["2019-09-27", "2019-10-01", "2019-10-05"]


def test_row_20_weekdays_are_monday_to_friday() -> None:
    rule = rule_of(frequency="daily", days="weekdays", at="02:00", start="2026-07-30")
    assert days_of(rule) == ["2026-07-30", "2026-07-31", "2026-08-03", "2026-08-04"]


def test_row_21_weekends_are_saturday_and_sunday() -> None:
    rule = rule_of(frequency="daily", days="weekends", at="02:00", start="2026-07-30")
    assert days_of(rule) == ["2026-08-01", "2026-08-02", "2026-08-08", "2026-08-09"]


def test_row_22_weekly_on_monday_friday_and_saturday_those_only() -> None:
    rule = rule_of(
        frequency="weekly", days=["monday", "friday", "saturday"], at="02:00", start="2026-07-30"
    )
    assert days_of(rule) == ["2026-07-31", "2026-08-01", "2026-08-03", "2026-08-07"]


def test_row_24_second_sunday_from_october_2019() -> None:
    rule = rule_of(frequency="monthly", day="second sunday", start="2019-10-01 09:00")
    assert days_of(rule, count=2) == ["2019-10-13", "2019-11-10"]


def test_row_25_day_31_skips_short_months() -> None:
    rule = rule_of(frequency="monthly", day=31, start="2026-01-01 09:00")
    assert [day[5:7] for day in days_of(rule, count=5)] == ["01", "03", "05", "07", "08"]


def test_row_26_the_last_day_is_28_29_30_or_31() -> None:
    rule = rule_of(frequency="monthly", day="last", at="09:00")
    assert days_of(rule, instant("2024-01-31 23:00"), 3) == [
        "2024-02-29",
        "2024-03-31",
        "2024-04-30",
    ]
    assert days_of(rule, instant("2025-01-31 23:00"), 1) == ["2025-02-28"]


def test_row_27_the_last_saturday_in_both_spellings() -> None:
    expected = ["2026-01-31", "2026-02-28", "2026-03-28", "2026-04-25"]
    after = instant("2026-01-01")
    assert days_of(rule_of(frequency="monthly", day="last saturday", at="09:00"), after) == expected
    assert days_of(rule_of(frequency="cron", expression="0 9 * * 6L"), after) == expected


def test_every_second_week_is_a_week_from_monday_to_sunday() -> None:
    rule = rule_of(
        frequency="weekly", interval=2, days=["sunday", "monday"], at="04:30", start="2026-03-01"
    )
    assert days_of(rule) == [
        "2026-03-01",
        "2026-03-09",
        "2026-03-15",
        "2026-03-23",
    ]  # 1 March is a Sunday
    assert "every 2 weeks (Monday to Sunday) on Monday and Sunday" in describe(rule)


def test_row_28_a_malformed_cron_expression_is_an_error() -> None:
    with pytest.raises(RuleError, match="'61' is not a valid minute") as caught:
        rule_of(frequency="cron", expression="61 * * * *")
    assert caught.value.field == ("schedule", "expression")


@pytest.mark.parametrize(
    "schedule",
    [
        {"frequency": "hourly", "start": "2026-01-01 00:00"},
        {"frequency": "daily", "at": ["00:00", "01:00", "02:00"], "start": "2026-01-01"},
        {"frequency": "cron", "expression": "0 * * * *", "start": "2026-01-01"},
    ],
)
def test_rows_29_30_finish_is_inclusive_for_all(schedule: dict[str, Any]) -> None:
    assert local(rule_of(**schedule, finish="2026-01-01 02:00"))[-1] == "2026-01-01 02:00"
    assert local(rule_of(**schedule, finish="2026-01-01 01:59:59"))[-1] == "2026-01-01 01:00"


def test_rows_29_30_a_finish_that_is_a_date_lasts_until_the_next_day_begins() -> None:
    rule = rule_of(frequency="minutely", start="2026-03-29 00:00", finish="2026-03-29")
    found = list(fires(rule, LONG_AGO))
    assert len(found) == 23 * 60
    assert found[-1] == instant("2026-03-29 21:59")


def test_row_31_finish_before_start_is_an_error() -> None:
    with pytest.raises(RuleError, match="finish is before start") as caught:
        rule_of(frequency="hourly", start="2026-01-02 00:00", finish="2026-01-01")
    assert caught.value.field == ("schedule", "finish")


def test_row_35_every_24_hours_shifts_its_wall_time_over_a_change_of_clocks() -> None:
    rule = rule_of(frequency="hourly", interval=24, start="2026-03-28 13:10")
    assert local(rule, count=2) == ["2026-03-28 13:10", "2026-03-29 14:10"]


def test_row_36_daily_keeps_its_wall_time_over_a_change_of_clocks() -> None:
    rule = rule_of(frequency="daily", at="13:10", start="2026-03-28")
    assert local(rule, count=3) == ["2026-03-28 13:10", "2026-03-29 13:10", "2026-03-30 13:10"]
    rule = rule_of(frequency="daily", interval=1, at="13:10", start="2026-10-24")
    assert local(rule, count=2) == ["2026-10-24 13:10", "2026-10-25 13:10"]


@pytest.mark.parametrize(
    "schedule",
    [{"frequency": "daily", "at": "02:30"}, {"frequency": "cron", "expression": "30 2 * * *"}],
)
def test_row_37_daily_in_the_gap_fires_when_it_ends_and_in_the_overlap_once(
    schedule: dict[str, Any],
) -> None:
    rule = rule_of(**schedule)
    spring = ["2026-03-28 02:30", "2026-03-29 03:00", "2026-03-30 02:30"]
    assert local(rule, instant("2026-03-28"), 3) == spring
    autumn = list(islice(fires(rule, instant("2026-10-24 12:00")), 2))
    assert autumn == [instant("2026-10-25 00:30"), instant("2026-10-26 01:30")]


# --- zones with peculiar changes
# ------------------------------------------------------------------------------------


def test_a_date_that_a_zone_skipped_is_no_day_of_a_rule() -> None:
    rule = rule_of("Pacific/Apia", frequency="daily", at="10:00")
    assert local(rule, instant("2011-12-29"), 2) == ["2011-12-29 10:00", "2011-12-31 10:00"]
    rule = rule_of("Pacific/Apia", frequency="cron", expression="0 10 * * *")
    assert local(rule, instant("2011-12-29"), 2) == ["2011-12-29 10:00", "2011-12-31 10:00"]


def test_two_days_that_meet_at_the_end_of_a_gap_are_one_fire() -> None:
    rule = rule_of(
        "Asia/Pyongyang", frequency="daily", at=["23:45", "00:00"]
    )  # 4 May 2018, 23:30 became 5 May, 00:00
    assert local(rule, instant("2018-05-04 00:00"), 3) == [
        "2018-05-05 00:00",
        "2018-05-05 23:45",
        "2018-05-06 00:00",
    ]


def test_an_excepted_date_is_the_one_that_the_wall_time_names() -> None:
    rule = rule_of("Asia/Pyongyang", frozenset({date(2018, 5, 5)}), frequency="daily", at="23:45")
    assert local(rule, instant("2018-05-04 00:00"), 2) == ["2018-05-05 00:00", "2018-05-06 23:45"]


def test_cron_keeps_whole_hours_after_a_shift_of_half_an_hour() -> None:
    rule = rule_of("Australia/Lord_Howe", frequency="cron", expression="0 */4 * * *")
    found = local(rule, instant("2026-10-03 13:29"), 7)
    assert found == [f"2026-10-04 {hour:02}:00" for hour in range(0, 24, 4)] + ["2026-10-05 00:00"]


def test_cron_does_not_fire_for_the_hour_of_a_missing_midnight_from_wherever_it_is_asked() -> None:
    rule = rule_of(
        "Africa/Cairo", frequency="cron", expression="*/15 0 * * FRI"
    )  # 24 April 2026 begins at 01:00
    for after in ("2026-04-20", "2026-04-23 21:00", "2026-04-23 21:59:59"):
        assert local(rule, instant(after), 1) == ["2026-05-01 00:00"]


def test_cron_asked_from_inside_an_overlap_never_looks_back() -> None:
    rule = rule_of(frequency="cron", expression="30 2 * * *")
    assert next_fire(rule, instant("2026-10-25 01:15")) == instant("2026-10-26 01:30")


def test_cron_of_the_wall_clock_fires_in_both_passes_of_an_overlap() -> None:
    rule = rule_of(frequency="cron", expression="*/30 2 * * *")
    found = list(
        takewhile(
            lambda fire: fire < instant("2026-10-26"),
            fires(rule, instant("2026-10-25 00:00") - timedelta(1)),
        )
    )
    assert [f"{fire:%d %H:%M}" for fire in found[-4:]] == [
        "25 00:00",
        "25 00:30",
        "25 01:00",
        "25 01:30",
    ]


def test_a_gap_may_end_in_the_middle_of_a_minute() -> None:
    rule = rule_of(
        "Africa/Monrovia", frequency="daily", at=["00:10", "00:44:29", "00:44:30"]
    )  # 7 January 1972
    assert list(islice(fires(rule, instant("1972-01-07 00:00")), 2)) == [
        instant("1972-01-07 00:44:30"),
        instant("1972-01-08 00:10"),
    ]


def test_six_fields_and_five_mean_the_same() -> None:
    after = instant("2026-03-28")
    five, six = (
        rule_of(frequency="cron", expression=text) for text in ("30 2 * * *", "0 30 2 * * *")
    )
    assert list(islice(fires(five, after), 400)) == list(islice(fires(six, after), 400))


def test_fires_do_not_depend_on_the_zone_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = [
        rule_of(frequency="daily", at="02:30"),
        rule_of(frequency="cron", expression="*/7 * * * *"),
        rule_of(frequency="hourly", interval=5),
    ]
    seen = set()
    for zone in ("UTC", "Asia/Tokyo", "America/New_York"):
        monkeypatch.setenv("TZ", zone)
        process_time.tzset()
        seen.add(tuple(tuple(islice(fires(rule, instant("2026-03-28")), 9)) for rule in rules))
    monkeypatch.undo()
    process_time.tzset()
    assert len(seen) == 1


# --- repetitions, bounds, spans, spread
# -------------------------------------------------------------------------------


def test_repetitions_after_a_reschedule_are_counted_afresh() -> None:
    rule = rule_of(frequency="daily", start="2026-01-01 02:00", repetitions=1)
    assert next_fire(rule, instant("2026-05-01 12:00")) is None
    again = fires(rule, instant("2026-05-01 12:00"), counted_from=instant("2026-05-01 12:00"))
    assert [f"{fire:%m-%d}" for fire in again] == ["05-02", "05-03"]


def test_repetitions_do_not_count_excepted_dates() -> None:
    holidays = frozenset({date(2026, 1, 2), date(2026, 1, 3)})
    daily = rule_of(MADRID, holidays, frequency="daily", start="2026-01-01 02:00", repetitions=2)
    assert days_of(daily, count=9) == ["2026-01-01", "2026-01-04", "2026-01-05"]
    hourly = rule_of(
        MADRID, holidays, frequency="hourly", interval=12, start="2026-01-01 02:00", repetitions=3
    )
    assert local(hourly, count=9) == [
        "2026-01-01 02:00",
        "2026-01-01 14:00",
        "2026-01-04 02:00",
        "2026-01-04 14:00",
    ]


@pytest.mark.parametrize(
    "schedule",
    [{"frequency": "hourly", "interval": 12}, {"frequency": "cron", "expression": "0 */12 * * *"}],
)
def test_an_excepted_date_ends_where_the_next_begins(schedule: dict[str, object]) -> None:
    rule = rule_of("UTC", frozenset({date(2026, 1, 2)}), **schedule)
    after, until = instant("2026-01-01"), instant("2026-01-03 12:00")
    expected = [instant("2026-01-01 12:00"), instant("2026-01-03 00:00"), until]
    assert list(islice(fires(rule, after), 3)) == expected
    assert span(rule, after, until, keep=9) == Span(
        count=3, first=expected[0], latest=tuple(expected)
    )
    assert span(rule, after, instant("2026-01-02 18:00")).count == 1


def test_a_billion_repetitions_are_arithmetic() -> None:
    rule = rule_of(frequency="secondly", start="2026-01-01T00:00Z", repetitions=1_000_000_000)
    last = instant("2026-01-01") + timedelta(seconds=1_000_000_000)
    assert next_fire(rule, last - timedelta(microseconds=1)) == last
    assert next_fire(rule, last) is None


@pytest.mark.parametrize(
    ("zone", "schedule"),
    [
        ("UTC", {"frequency": "hourly"}),
        ("Pacific/Kiritimati", {"frequency": "daily", "at": "00:00"}),
        ("Etc/GMT+12", {"frequency": "weekly", "days": ["wednesday"], "at": "23:59"}),
        ("Etc/GMT+12", {"frequency": "monthly", "day": "last", "at": "23:59"}),
        ("Etc/GMT+12", {"frequency": "cron", "expression": "*/30 * * * *"}),
        ("Etc/GMT+12", {"frequency": "cron", "expression": "59 23 * * *"}),
    ],
)
def test_at_the_end_of_the_calendar_all_streams_end(zone: str, schedule: dict[str, Any]) -> None:
    rule = rule_of(zone, **schedule)
    assert len(list(fires(rule, instant("9999-11-25")))) < 2000
    assert next_fire(rule, datetime.max.replace(tzinfo=UTC)) is None


def test_a_span_of_two_years_of_seconds_is_counted_and_not_walked() -> None:
    began, ended = instant("2025-01-01"), instant("2027-01-01")
    for rule in (
        rule_of(frequency="secondly"),
        rule_of(frequency="cron", expression="* * * * * *"),
    ):
        found = span(rule, began, ended, keep=2)
        assert found == Span(
            count=2 * 365 * 86400,
            first=began + timedelta(seconds=1),
            latest=(ended - timedelta(seconds=1), ended),
        )


def test_a_span_without_fires_is_empty() -> None:
    rule = rule_of(frequency="daily", at="02:00")
    assert span(rule, instant("2026-01-01 02:00"), instant("2026-01-01 20:00")) == Span(
        count=0, first=None, latest=()
    )


@given(
    name=st.text("abcxyz0189._-", min_size=1, max_size=100),
    spread=st.timedeltas(timedelta(), timedelta(days=9)),
)
@settings(max_examples=100)
def test_spread_is_stable_whole_milliseconds_below_its_bound(name: str, spread: timedelta) -> None:
    offset = spread_offset(name, spread)
    assert offset == spread_offset(name, spread)
    assert timedelta() <= offset < max(spread, timedelta(microseconds=1))
    assert offset % timedelta(milliseconds=1) == timedelta()


def test_spread_separates_names_and_is_the_same_for_ever() -> None:
    offsets = [spread_offset(f"request-{number}", timedelta(minutes=5)) for number in range(1000)]
    assert len(set(offsets)) > 990
    assert max(offsets) > timedelta(minutes=4, seconds=50)
    assert offsets[0] == timedelta(milliseconds=225_390)


# --- laws, against oracles
# --------------------------------------------------------------------------------------

SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)
# A zone, and a day near one of its clock changes.
PLACES = [
    ("Europe/Madrid", "2026-03-29"), ("Europe/Madrid", "2026-10-25"),
    ("America/New_York", "2026-03-08"), ("America/New_York", "2026-11-01"),
    ("Australia/Lord_Howe", "2026-10-04"), ("Australia/Lord_Howe", "2026-04-05"),
    ("Africa/Cairo", "2026-04-24"), ("Africa/Cairo", "2026-10-30"),
    ("Asia/Beirut", "2026-03-29"), ("Asia/Beirut", "2026-10-25"),
    ("America/Santiago", "2026-09-06"), ("America/Santiago", "2026-04-05"),
    ("America/Havana", "2026-03-08"), ("America/Havana", "2026-11-01"),
    ("Pacific/Apia", "2011-12-30"), ("Asia/Kathmandu", "1986-01-01"),
    ("Asia/Pyongyang", "2018-05-05"), ("Asia/Pyongyang", "2015-08-15"),
    ("America/St_Johns", "2010-03-14"), ("America/St_Johns", "2010-11-07"),
    ("UTC", "2024-02-29"),
]  # fmt: skip


class Clock:
    """Every minute of fourteen days in a zone, with the wall time that it shows: found
    by asking, not by calculating.

    The clocks of these days are whole minutes off UTC, so that the seconds of a minute
    show what the minute does. Wall times are left in their zone, where they compare and
    subtract as if they had none (PEP 495).
    """

    def __init__(self, zone: str, centre: str) -> None:
        self.zone, self.place = zone, ZoneInfo(zone)
        midnight = datetime.fromisoformat(centre).replace(tzinfo=UTC)
        self.minutes = [midnight + index * MINUTE for index in range(-7 * 1440, 7 * 1440)]
        self.walls = [minute.astimezone(self.place) for minute in self.minutes]
        self.highest = list(accumulate(self.walls, max))
        self.days = sorted({wall.date() for wall in self.walls})[
            1:-1
        ]  # the outermost may be incomplete
        self.begin, self.end = (
            self.instant(day, time(12)) for day in (self.days[0], self.days[-1])
        )
        self.middle = self.change_nearest(midnight) or self.instant(
            date.fromisoformat(centre), time()
        )

    def change_nearest(self, midnight: datetime) -> datetime | None:
        walls = pairwise(self.walls)
        changes = [
            self.minutes[at]
            for at, (one, other) in enumerate(walls, start=1)
            if other - one != MINUTE
        ]
        return min(changes, key=lambda change: abs(change - midnight), default=None)

    def instant(self, day: date, at: time) -> datetime:
        """Return when the clocks first show this wall time, or else the first later one."""
        wall = datetime.combine(day, at.replace(second=0), self.place)
        index = bisect_left(self.highest, wall)
        is_shown = self.walls[index] == wall
        return self.minutes[index] + at.second * SECOND if is_shown else self.minutes[index]

    @cached_property
    def hours(self) -> dict[tuple[date, int], list[tuple[int, datetime]]]:
        """Return the minutes by the date and the hour that they show."""
        found: dict[tuple[date, int], list[tuple[int, datetime]]] = defaultdict(list)
        for minute, wall in zip(self.minutes, self.walls, strict=True):
            found[wall.date(), wall.hour].append((wall.minute, minute))
        return found

    def days_around(self, begin: datetime, end: datetime) -> list[date]:
        """Return the complete days that may overlap the time between two instants."""
        return [day for day in self.days if begin.date() - 2 * DAY <= day <= end.date() + 2 * DAY]


@lru_cache(maxsize=48)  # a clock takes some megabytes
def clock_of(place: tuple[str, str]) -> Clock:
    return Clock(*place)


def day_holds(pattern: Pattern, day: date, anchor: date, excepted: Dates = NO_DATES) -> bool:
    match pattern:
        case Daily(workdays=True):
            return day.weekday() < 5 and day not in excepted
        case Daily(interval=interval, weekdays=weekdays):
            return (day - anchor).days % interval == 0 and day.weekday() in weekdays
        case Weekly(interval=interval, weekdays=weekdays):
            weeks = (
                day - timedelta(day.weekday()) - (anchor - timedelta(anchor.weekday()))
            ).days // 7
            return weeks % interval == 0 and day.weekday() in weekdays
        case Monthly(interval=interval, day=month_day):
            months = (day.year - anchor.year) * 12 + day.month - anchor.month
            return months % interval == 0 and day == picked(
                month_day, days_of_month(day.year, day.month), excepted
            )
    raise AssertionError(pattern)


@cache
def days_of_month(year: int, month: int) -> list[date]:
    around = [date(year, month, 1) + timedelta(offset) for offset in range(31)]
    return [day for day in around if day.month == month]


def picked(month_day: MonthDay, month: list[date], excepted: Dates) -> date | None:
    match month_day:
        case DayNumber(number=number):
            chosen = [day for day in month if day.day == number]
            nth = 1
        case LastDay():
            chosen, nth = month, -1
        case NthWorkday(nth=nth):
            chosen = [day for day in month if day.weekday() < 5 and day not in excepted]
        case NthWeekday(nth=nth, weekday=weekday):
            chosen = [day for day in month if day.weekday() == weekday]
    return chosen[nth - 1 if nth > 0 else nth] if len(chosen) >= abs(nth) else None


@dataclass(frozen=True)
class CronField:
    """A field of a cron expression, and its meaning by an independent predicate."""

    text: str
    holds: Callable[[int], bool]


@dataclass(frozen=True)
class CronDays:
    """A day field of a cron expression, and its meaning by an independent predicate."""

    text: str
    holds: Callable[[date], bool]


MINUTES = [
    CronField("*", lambda m: True), CronField("*/7", lambda m: m % 7 == 0),
    CronField("0", lambda m: m == 0),
    CronField("30", lambda m: m == 30), CronField("0,15,45", lambda m: m in {0, 15, 45}),
    CronField("5-20/5", lambda m: m in {5, 10, 15, 20}),
]  # fmt: skip
HOURS = [
    CronField("*", lambda h: True), CronField("*/2", lambda h: h % 2 == 0),
    CronField("*/5", lambda h: h % 5 == 0), CronField("2", lambda h: h == 2),
    CronField("0", lambda h: h == 0), CronField("1,23", lambda h: h in {1, 23}),
    CronField("0-3", lambda h: h <= 3),
]  # fmt: skip
MONTH_DAYS = [
    CronDays("*", lambda d: True),
    CronDays("*/2", lambda d: d.day % 2 == 1),
    CronDays("1-7", lambda d: d.day <= 7),
    CronDays("29", lambda d: d.day == 29),
    CronDays("L", lambda d: d == days_of_month(d.year, d.month)[-1]),
    CronDays(
        "LW",
        lambda d: d == [day for day in days_of_month(d.year, d.month) if day.weekday() < 5][-1],
    ),
]
MONTHS = [
    CronDays("*", lambda d: True),
    CronDays("*", lambda d: True),
    CronDays("3-11/4", lambda d: d.month in {3, 7, 11}),
    CronDays("APR,oct-DEC", lambda d: d.month in {4, 10, 11, 12}),
]
WEEKDAYS = [
    CronDays("*", lambda d: True),
    CronDays("*/3", lambda d: d.isoweekday() % 7 in {0, 3, 6}),
    CronDays("MON-FRI", lambda d: d.weekday() < 5),
    CronDays("7", lambda d: d.weekday() == 6),
    CronDays("5#2", lambda d: d.weekday() == 4 and 8 <= d.day <= 14),
    CronDays("0L", lambda d: d.weekday() == 6 and (d + timedelta(7)).month != d.month),
]


@dataclass(frozen=True)
class CronCase:
    """An expression with its independent predicates; without `second` it has five fields."""

    second: CronField | None
    minute: CronField
    hour: CronField
    month_day: CronDays
    month: CronDays
    weekday: CronDays

    @property
    def clock_fields(self) -> list[CronField]:
        return [*([self.second] if self.second else []), self.minute, self.hour]

    @property
    def expression(self) -> str:
        fields: list[CronField | CronDays] = [
            *self.clock_fields,
            self.month_day,
            self.month,
            self.weekday,
        ]
        return " ".join(field.text for field in fields)

    @property
    def names_times(self) -> bool:
        return not any(field.text.startswith("*") for field in self.clock_fields)

    @property
    def seconds(self) -> list[int]:
        return [s for s in range(60) if (self.second.holds(s) if self.second else s == 0)]

    @property
    def times(self) -> list[time]:
        minutes = [m for m in range(60) if self.minute.holds(m)]
        return [
            time(h, m, s)
            for h in range(24)
            if self.hour.holds(h)
            for m in minutes
            for s in self.seconds
        ]

    def day_holds(self, day: date) -> bool:
        both = self.month_day.holds(day), self.weekday.holds(day)
        starred = self.month_day.text.startswith("*") or self.weekday.text.startswith("*")
        return self.month.holds(day) and (all(both) if starred else any(both))

    def shown_fires(self, case: Case) -> Iterator[datetime]:
        """Return each second of the case at which the wall time matches, in whole minutes."""
        seconds = [timedelta(seconds=s) for s in self.seconds]
        for day, hour in product(case.days, filter(self.hour.holds, range(24))):
            for shown, minute in case.clock.hours.get((day, hour), ()):
                if case.begin - MINUTE < minute <= case.end and self.minute.holds(shown):
                    yield from (minute + second for second in seconds)


@dataclass(frozen=True)
class Case:
    """A rule, the span in which it is tried, and the questions asked there."""

    rule: Rule
    clock: Clock
    cron: CronCase | None
    begin: datetime
    end: datetime
    tick: timedelta
    asked: tuple[datetime, datetime]
    keep: int

    def __repr__(self) -> str:
        span = f"from {self.begin} to {self.end}"
        return f"Case({self.rule}, {span}, asked={self.asked}, keep={self.keep})"

    @property
    def days(self) -> list[date]:
        """Return the days that the rule names, even if they lack its times of day."""
        days = self.clock.days_around(self.begin, self.end)
        if self.cron is not None and not self.cron.names_times:
            return [day for day in days if self.cron.day_holds(day)]
        days = [day for day in days if day not in self.rule.excepted]
        if self.cron is not None:
            return [day for day in days if self.cron.day_holds(day)]
        anchor = (
            self.rule.start.astimezone(ZoneInfo(self.rule.zone)).date()
            if self.rule.start
            else date(1970, 1, 1)
        )
        return [
            day for day in days if day_holds(self.rule.pattern, day, anchor, self.rule.excepted)
        ]


def candidates(case: Case) -> Iterable[datetime]:
    """Return the fires without bounds. Skips the hours that cannot match, and looks times of
    day up.
    """
    if isinstance(case.rule.pattern, Interval):
        return whole_intervals(case, case.rule.pattern)
    if case.cron is not None and not case.cron.names_times:
        return case.cron.shown_fires(case)
    times = case.cron.times if case.cron else case.rule.at
    return [case.clock.instant(day, at) for day, at in product(case.days, times)]


def whole_intervals(case: Case, pattern: Interval) -> list[datetime]:
    """Ask each tick whether a whole number of intervals has passed since start."""
    anchor, tick = case.rule.start or EPOCH, case.tick // SECOND
    passed = range((case.begin - anchor) // SECOND, (case.end - anchor) // SECOND + 1, tick)
    return [anchor + seconds * SECOND for seconds in passed if seconds % pattern.seconds == 0]


def walked(case: Case) -> Iterator[datetime]:
    """Return the same candidates by asking each minute. Too slow for more than a sample."""
    if isinstance(case.rule.pattern, Interval):
        yield from whole_intervals(case, case.rule.pattern)
        return
    cron = case.cron if case.cron and not case.cron.names_times else None
    times = case.cron.times if case.cron else case.rule.at
    named = (
        []
        if cron
        else [datetime.combine(day, at, case.clock.place) for day, at in product(case.days, times)]
    )
    awaited = deque(sorted(named))
    for minute, wall in zip(case.clock.minutes, case.clock.walls, strict=True):
        if (
            cron
            and cron.minute.holds(wall.minute)
            and cron.hour.holds(wall.hour)
            and cron.day_holds(wall.date())
        ):
            yield from (minute + second * SECOND for second in cron.seconds)
        while awaited and awaited[0] < wall + MINUTE:
            yield minute + max(awaited.popleft() - wall, timedelta())


def bounded(case: Case, found: Iterable[datetime]) -> list[datetime]:
    """Apply start, finish, exceptions and repetitions to the candidates of the case."""
    rule, place = case.rule, ZoneInfo(case.rule.zone)
    first, last = max(case.begin, rule.start or case.begin), min(case.end, rule.finish or case.end)
    left = sorted({fire for fire in found if first <= fire <= last})
    names_times = case.cron.names_times if case.cron else not isinstance(rule.pattern, Interval)
    if rule.excepted and not names_times:
        left = [fire for fire in left if fire.astimezone(place).date() not in rule.excepted]
    return left if rule.repetitions is None else left[: rule.repetitions + 1]


# The space of cases is described once, over a `Random`: in the default run it is one
# that hypothesis guides and shrinks; in the long run it is a plain one, twenty times as
# fast.


def some_of(chance: Random, values: Sequence[T], least: int, most: int) -> frozenset[T]:
    return frozenset(
        chance.choice(values) for _ in range(least + chance.randrange(most - least + 1))
    )


def some_weekdays(chance: Random) -> frozenset[int]:
    return some_of(chance, range(7), 1, 7)


def every(unit_s: int, most: int) -> Callable[[Random], Interval]:
    return lambda chance: Interval(
        seconds=unit_s * (1 + chance.randrange(chance.choice((99, most))))
    )


def daily(chance: Random) -> Daily:
    return (
        Daily(weekdays=some_weekdays(chance))
        if chance.randrange(2)
        else Daily(interval=1 + chance.randrange(9))
    )


def weekly(chance: Random) -> Weekly:
    return Weekly(weekdays=some_weekdays(chance), interval=1 + chance.randrange(3))


def monthly(chance: Random) -> Monthly:
    days: list[Callable[[], MonthDay]] = [
        lambda: DayNumber(number=1 + chance.randrange(31)),
        lambda: LastDay(),
        lambda: NthWorkday(nth=chance.choice((1, 2, 3, 10, -1, -2, -3))),
        lambda: NthWeekday(nth=chance.choice((1, 2, 3, 4, 5, -1)), weekday=chance.randrange(7)),
    ]
    return Monthly(day=chance.choice(days)(), interval=chance.choice((1, 1, 2, 3)))


def cron(chance: Random, seconds: Sequence[CronField | None] = (None,)) -> CronCase:
    return CronCase(
        chance.choice(seconds),
        chance.choice(MINUTES),
        chance.choice(HOURS),
        chance.choice(MONTH_DAYS),
        chance.choice(MONTHS),
        chance.choice(WEEKDAYS),
    )


PATTERNS: dict[str, Callable[[Random], Pattern | CronCase]] = {
    "secondly": every(1, 5000),
    "minutely": every(60, 5000),
    "hourly": every(3600, 170),
    "daily": daily,
    "weekly": weekly,
    "monthly": monthly,
    "cron": cron,
    "cron with seconds": lambda chance: cron(chance, MINUTES),
}
# How far about the change of clocks a case with many fires reaches; all others take in
# every day of the clock.
REACHES = {
    "secondly": 30 * MINUTE,
    "minutely": DAY,
    "hourly": 4 * DAY,
    "cron": DAY,
    "cron with seconds": 60 * MINUTE,
}
ALL_DAYS = 16  # one minutely, hourly or cron case in so many takes them in too


def window_of(
    chance: Random, frequency: str, clock: Clock, tick: timedelta
) -> tuple[datetime, datetime]:
    reach = REACHES.get(frequency)
    if reach is None or (reach >= DAY and chance.randrange(ALL_DAYS) == 1):
        return clock.begin, clock.end
    before, after = (1 + chance.randrange(reach // tick) for _ in range(2))
    return max(clock.middle - before * tick, clock.begin), min(
        clock.middle + after * tick, clock.end
    )


def time_of_day(chance: Random) -> time:
    if chance.randrange(2):
        return time(
            chance.randrange(24), chance.randrange(60), chance.choice((0, chance.randrange(60)))
        )
    return time(chance.choice((0, 0, 1, 2, 3, 23)), chance.choice((0, 1, 15, 30, 45, 59)))


def times_of_day(chance: Random) -> tuple[time, ...]:
    return tuple(sorted({time_of_day(chance) for _ in range(1 + chance.randrange(4))}))


def case_of(chance: Random, frequency: str, places: Sequence[tuple[str, str]] = PLACES) -> Case:
    clock, drawn = clock_of(chance.choice(places)), PATTERNS[frequency](chance)
    pattern = Cron(expression=drawn.expression) if isinstance(drawn, CronCase) else drawn
    tick = SECOND if "second" in frequency else MINUTE
    begin, end = window_of(chance, frequency, clock, tick)

    def moment(*further_s: float) -> datetime:
        return (
            begin
            + chance.randrange((end - begin) // tick + 1) * tick
            + timedelta(seconds=chance.choice(further_s))
        )

    # An interval's oracle asks whole ticks only, so it begins with one.
    further = (0,) if isinstance(pattern, Interval) else (0, 0, 1, 30.5)
    start = chance.choice(
        (lambda: None, lambda: moment(*further), lambda: begin - chance.randrange(600_000) * tick)
    )()
    asked = sorted(min(moment(0, 0, 1, 30.5, 59.999999), end) for _ in range(2))
    rule = Rule(
        pattern=pattern,
        zone=clock.zone,
        at=() if isinstance(pattern, Interval | Cron) else times_of_day(chance),
        start=start,
        finish=moment(0, 1, 59.999999) if chance.randrange(2) else None,
        repetitions=chance.randrange(40)
        if start is not None and start >= begin and chance.randrange(2)
        else None,
        excepted=Dates(
            days=some_of(chance, clock.days_around(begin, end), 0, 12)
            if chance.randrange(2)
            else frozenset()
        ),
    )
    cron_case = drawn if isinstance(drawn, CronCase) else None
    return Case(rule, clock, cron_case, begin, end, tick, (asked[0], asked[1]), chance.randrange(6))


def check(case: Case) -> None:
    rule, (after, until) = case.rule, case.asked
    expected = [fire for fire in bounded(case, candidates(case)) if fire > case.begin]

    found = list(takewhile(lambda fire: fire <= case.end, fires(rule, case.begin)))
    assert found == expected
    assert all(fire.tzinfo is UTC for fire in found)
    assert all(one < other for one, other in pairwise(found))

    later = [fire for fire in expected if fire > after]
    coming = next_fire(rule, after)
    assert coming == next(fires(rule, after), None)
    assert later[:1] == [coming] if later else coming is None or coming > case.end

    within = [fire for fire in later if fire <= until]
    kept = tuple(within[-case.keep :]) if case.keep else ()
    assert span(rule, after, until, keep=case.keep) == Span(
        count=len(within), first=within[0] if within else None, latest=kept
    )


def check_oracle(case: Case) -> None:
    assert bounded(case, candidates(case)) == bounded(case, walked(case))


@st.composite
def guided(draw: st.DrawFn, drawn: Callable[[Random], T]) -> T:
    return drawn(draw(st.randoms(use_true_random=False)))


cases = guided(lambda chance: case_of(chance, chance.choice(list(PATTERNS))))


def test_an_excepted_date_that_the_clocks_show_again_after_the_next_one_has_an_end() -> None:
    # In St John's, the clocks went back at 00:01 on 7 November 2010 to 23:01 on the 6th.
    rule = Rule(
        pattern=Interval(seconds=1200),
        zone="America/St_Johns",
        excepted=Dates(days=frozenset({date(2010, 11, 6)})),
    )
    found = list(islice(fires(rule, datetime(2010, 11, 6, 12, tzinfo=UTC)), 3))
    # The 7th begins at 02:30 UTC, for a minute, and again after the repeated hour at 03:30.
    assert found == [
        datetime(2010, 11, 7, hour, minute, tzinfo=UTC)
        for hour, minute in ((3, 40), (4, 0), (4, 20))
    ]


@given(cases)
@settings(max_examples=200)
def test_fires_are_exactly_those_that_hold(case: Case) -> None:
    check(case)


@given(cases)
@settings(max_examples=15)
def test_the_oracle_finds_what_a_walk_through_all_minutes_finds(case: Case) -> None:
    check_oracle(case)


BATCH, OTHERS = (
    4000,
    24,
)  # so many examples are in the same places: where we know of trouble, and in so many others


def places_everywhere(seed: str, first: int, count: int) -> list[tuple[str, str]]:
    """Go through all zones, each near a change of its clocks in some year if that year has one."""
    zones = sorted(available_timezones() - {"localtime"})
    Random(seed).shuffle(zones)
    numbers = range(first, first + count)
    return [
        near_a_change(zones[number % len(zones)], Random(f"{seed} {number}")) for number in numbers
    ]


def near_a_change(zone: str, chance: Random) -> tuple[str, str]:
    # Until January 1972 Liberia was 44 minutes and 30 seconds off UTC; no clock has
    # shown part of a minute since.
    place, year = ZoneInfo(zone), chance.randrange(1973, 2040)
    midnights = [datetime(year, 1, 1, tzinfo=UTC) + timedelta(day) for day in range(366)]
    offsets = [midnight.astimezone(place).utcoffset() for midnight in midnights]
    changes = [
        day for day, (one, other) in zip(midnights, pairwise(offsets), strict=False) if one != other
    ]
    return zone, str(chance.choice(changes or midnights).date())


def check_example(
    seed: str, number: int, frequency: str, places: Sequence[tuple[str, str]]
) -> None:
    case = case_of(Random(f"{seed} {number}"), frequency, places)
    try:
        check(case)
        if number % 500 == 0:
            check_oracle(case)
    except Exception as error:
        error.add_note(f"example {number} of seed {seed!r}: {case!r}")
        raise


@pytest.mark.campaign
@pytest.mark.timeout(0)
@pytest.mark.parametrize("frequency", PATTERNS)
def test_fires_are_exactly_those_that_hold_in_every_zone(frequency: str) -> None:
    """Run RUNNER_EXAMPLES examples from RUNNER_SEED; -s shows the progress."""
    examples = int(os.environ.get("RUNNER_EXAMPLES", "100000"))
    seed, began = f"{os.environ.get('RUNNER_SEED', '1')} {frequency}", process_time.process_time()
    for first in range(0, examples, BATCH):
        places = (*PLACES, *places_everywhere(seed, first // BATCH * OTHERS, OTHERS))
        for number in range(first, min(first + BATCH, examples)):
            check_example(seed, number, frequency, places)
        took_s = process_time.process_time() - began
        print(f"seed {seed}: {number + 1} examples in {took_s:.0f} s of processor time", flush=True)


@given(
    pattern=guided(lambda chance: chance.choice((daily, weekly, monthly))(chance)),
    anchor=st.dates(date(2000, 1, 1), date(2030, 1, 1)),
    since=st.dates(date(2020, 1, 1), date(2040, 1, 1)),
)
@settings(max_examples=100)
def test_days_are_exactly_those_that_hold_over_three_years(
    pattern: Daily | Weekly | Monthly, anchor: date, since: date
) -> None:
    walked = [since + timedelta(number) for number in range(1100)]
    expected = [day for day in walked if day_holds(pattern, day, anchor)]
    assert list(takewhile(lambda day: day <= walked[-1], days(pattern, anchor, since))) == expected


@given(case=cases, repetitions=st.integers(0, 30))
@settings(max_examples=50)
def test_counted_from_takes_the_first_fires_after_that_instant(
    case: Case, repetitions: int
) -> None:
    rule = replace(case.rule, repetitions=repetitions)
    counted_from = case.asked[0]
    forever = fires(replace(rule, repetitions=None), counted_from)
    assert list(fires(rule, EPOCH, counted_from=counted_from)) == list(
        islice(forever, repetitions + 1)
    )


@given(
    seconds=st.integers(1, 10**7),
    start=st.none() | st.integers(0, 10**7),
    after=st.integers(0, 10**10),
)
@settings(max_examples=100)
def test_an_interval_fires_at_the_first_whole_number_of_intervals(
    seconds: int, start: int | None, after: int
) -> None:
    anchor = EPOCH + timedelta(seconds=start or 0)
    rule = Rule(
        pattern=Interval(seconds=seconds), zone="UTC", start=None if start is None else anchor
    )
    moment = EPOCH + timedelta(microseconds=after * 100_000)
    fire = next_fire(rule, moment)
    assert fire is not None
    assert fire > moment and fire >= anchor
    assert (fire - anchor) % timedelta(seconds=seconds) == timedelta()
    previous = fire - timedelta(seconds=seconds)
    assert previous <= moment or previous < anchor
