"""Warnings about valid timings."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from runner.planning.views.cautions import Caution, CautionKind, cautions
from runner.requests.model import RunImmediately, RunLater, Schedule
from runner.timing.calendars import Dates
from runner.timing.parsing import parse_rule

NOW = datetime(2026, 1, 22, 17, 30, 5, tzinfo=UTC)
MADRID = "Europe/Madrid"


def cautions_of(
    zone: str = "UTC", spread: timedelta = timedelta(), excepted: Any = (), **data: Any
) -> list[Caution]:
    rule = parse_rule(data, default_zone=zone, excepted=Dates(days=frozenset(excepted)))
    return cautions(Schedule(rule=rule, spread=spread), NOW)


def kinds(found: list[Caution]) -> list[str]:
    return [caution.kind for caution in found]


def words(found: list[Caution], kind: CautionKind) -> str:
    (message,) = [caution.message for caution in found if caution.kind is kind]
    return message


def cron(expression: str, **data: Any) -> list[Caution]:
    return cautions_of(frequency="cron", expression=expression, **data)


@pytest.mark.parametrize(
    "data",
    [
        {"frequency": "daily", "at": "02:30"},
        {"frequency": "weekly", "days": ["monday"], "at": "00:00"},
        {"frequency": "monthly", "day": 28, "at": "12:00"},
        {"frequency": "monthly", "day": "last", "at": "12:00"},
        {"frequency": "monthly", "day": "fourth friday", "at": "12:00", "interval": 3},
        {"frequency": "minutely", "interval": 45},
        {"frequency": "hourly", "interval": 6},
        {"frequency": "hourly", "interval": 7, "start": "2026-01-01"},
        {"frequency": "daily", "interval": 2, "start": "2026-01-01 10:00"},
        {"frequency": "secondly", "interval": 30},
        {"frequency": "cron", "expression": "0 2 * * 1-5"},
        {"frequency": "cron", "expression": "*/5 * * * *"},
        {"frequency": "cron", "expression": "0 0 1-31 * *"},
        {"frequency": "cron", "expression": "0 0 31 1,3 *"},
        {"frequency": "cron", "expression": "0 0 L * *"},
    ],
)
def test_an_ordinary_rule_needs_no_caution(data: dict[str, Any]) -> None:
    assert cautions_of(**data) == []


def test_a_timing_without_a_rule_needs_no_caution() -> None:
    assert cautions(None, NOW) == cautions(RunImmediately(), NOW) == []
    assert cautions(RunLater(start=NOW + timedelta(hours=1), zone="UTC"), NOW) == []


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"finish": "2025-06-30"}, "it is over: its finish is past"),
        ({"start": "2025-01-01", "repetitions": 3}, "it is over: its repetitions are used up"),
        (
            {"finish": "2026-01-22 18:00", "interval": 7, "start": "2026-01-22 12:00"},
            "no fire is left before its finish",
        ),
    ],
)
def test_a_rule_that_is_over_says_so_and_nothing_else(data: dict[str, Any], message: str) -> None:
    (caution,) = cautions_of(frequency="hourly", **{"interval": 1, **data})
    assert caution.kind is CautionKind.OVER
    assert message in caution.message


def test_a_run_later_in_the_past_is_over() -> None:
    assert kinds(cautions(RunLater(start=NOW, zone="UTC"), NOW)) == ["over"]


def test_days_that_months_lack_are_named() -> None:
    day_31 = words(cautions_of(frequency="monthly", day=31, at="12:00"), CautionKind.SHORT_MONTH)
    assert "no day 31 in February, April, June, September and November: skipped;" in day_31
    day_30 = words(cautions_of(frequency="monthly", day=30, at="12:00"), CautionKind.SHORT_MONTH)
    assert "no day 30 in February: skipped;" in day_30
    day_29 = words(cautions_of(frequency="monthly", day=29, at="12:00"), CautionKind.SHORT_MONTH)
    assert "no day 29 in February: skipped, but for leap years;" in day_29


def test_only_months_of_the_rule_count() -> None:
    assert (
        cautions_of(frequency="monthly", day=31, at="12:00", interval=6, start="2026-01-01") == []
    )  # July, January
    quarterly = words(
        cautions_of(frequency="monthly", day=31, at="12:00", interval=3), CautionKind.SHORT_MONTH
    )
    assert "no day 31 in April: " in quarterly
    assert cautions_of(frequency="monthly", day=31, at="12:00", interval=12) == []


def test_most_months_have_no_fifth_weekday() -> None:
    assert kinds(cautions_of(frequency="monthly", day="fifth sunday", at="12:00")) == [
        "short_month"
    ]


def test_days_of_a_cron_that_months_lack_are_named() -> None:
    assert "no day 31 in February, April" in words(cron("0 2 31 * *"), CautionKind.SHORT_MONTH)
    assert "no day 30 in February: " in words(cron("0 2 1,30 1-3 *"), CautionKind.SHORT_MONTH)


def test_both_day_fields_of_a_cron_are_alternatives() -> None:
    both = words(cron("0 2 1 * 1"), CautionKind.BOTH_DAYS)
    assert (
        both == "both day fields are restricted: it fires on day 1 of the month "
        "and also on each weekday 1"
    )
    assert "only on days that are */2 of the month and weekday MON too" in words(
        cron("0 2 */2 * MON"), CautionKind.BOTH_DAYS
    )


def test_a_star_for_the_minute_of_one_hour_is_probably_a_mistake() -> None:
    assert "each minute of hour 02; for 02:00 alone write 0" in words(
        cron("* 2 * * *"), CautionKind.EVERY_MINUTE
    )
    assert kinds(cron("* * * * *")) == []


@pytest.mark.parametrize(
    ("expression", "reported"),
    [
        ("*/45 * * * *", "*/45 restarts with each hour: it fires at minute 0 and 45"),
        ("*/7 9 * * *", "*/7 restarts with each hour: it fires at minute 0, 7, 14 and 6 more"),
        ("0 */10 * * *", "*/10 restarts with each day: it fires at hour 0, 10 and 20"),
        ("*/40 */15 * * * *", "*/40 restarts with each minute: it fires at second 0 and 40"),
    ],
)
def test_a_step_that_does_not_divide_its_field_is_cautioned(expression: str, reported: str) -> None:
    assert words(cron(expression), CautionKind.UNEVEN_STEP) == reported


@pytest.mark.parametrize(
    ("data", "beginning"),
    [
        (
            {"frequency": "minutely", "interval": 7},
            "7m does not divide the hour evenly, so each hour has other times",
        ),
        (
            {"frequency": "hourly", "interval": 5},
            "5h does not divide the day evenly, so each day has other times",
        ),
        (
            {"frequency": "daily", "interval": 2, "at": "10:00"},
            "every 2 days needs a starting point",
        ),
        (
            {"frequency": "weekly", "interval": 2, "days": ["friday"], "at": "10:00"},
            "every 2 weeks needs a starting point",
        ),
        (
            {"frequency": "monthly", "interval": 5, "day": 1, "at": "10:00"},
            "5 months do not divide the year",
        ),
    ],
)
def test_an_interval_without_start_says_that_it_counts_from_1970(
    data: dict[str, Any], beginning: str
) -> None:
    message = words(cautions_of(**data), CautionKind.COUNTS_FROM_1970)
    assert message.startswith(beginning)
    assert message.endswith("without a start it counts from 1970-01-01T00:00Z")


def test_a_named_time_in_a_gap_and_an_overlap_of_the_next_12_months() -> None:
    found = cautions_of(MADRID, frequency="daily", at="02:30")
    assert words(found, CautionKind.GAP) == (
        "clocks go forward from 2026-03-29 02:00 to 03:00 in Europe/Madrid: "
        "02:30 does not exist; it fires at 03:00 instead"
    )
    assert words(found, CautionKind.OVERLAP) == (
        "clocks go back from 2026-10-25 03:00 to 02:00 in Europe/Madrid: "
        "02:30 occurs twice; it fires at the first"
    )


def test_the_bounds_of_gap_and_overlap_are_those_of_the_clocks() -> None:
    assert kinds(cautions_of(MADRID, frequency="daily", at="01:59:59")) == []
    assert kinds(cautions_of(MADRID, frequency="daily", at="02:00")) == ["gap", "overlap"]
    assert kinds(cautions_of(MADRID, frequency="daily", at="03:00")) == []


def test_clock_changes_on_other_days_do_not_matter() -> None:
    assert cautions_of(MADRID, frequency="daily", days="weekdays", at="02:30") == []
    assert kinds(
        cautions_of(MADRID, frequency="daily", at="02:30", excepted=[date(2026, 3, 29)])
    ) == ["overlap"]
    assert kinds(cautions_of(MADRID, frequency="daily", at="02:30", finish="2026-08-01")) == ["gap"]
    assert kinds(cautions_of(MADRID, frequency="daily", at="02:30", start="2026-08-01")) == [
        "overlap"
    ]
    assert (
        cautions_of(MADRID, frequency="daily", at="02:30", start="2026-01-01", repetitions=30) == []
    )


def test_changes_at_midnight_and_of_half_an_hour() -> None:
    cairo = words(cautions_of("Africa/Cairo", frequency="daily", at="00:00"), CautionKind.GAP)
    assert cairo.endswith("00:00 does not exist; it fires at 01:00 instead")
    lord_howe = words(
        cautions_of("Australia/Lord_Howe", frequency="daily", at="02:15"), CautionKind.GAP
    )
    assert lord_howe.endswith("02:15 does not exist; it fires at 02:30 instead")


def test_several_times_of_one_gap_are_one_caution() -> None:
    message = words(
        cautions_of(MADRID, frequency="daily", at=["02:00", "02:10", "02:20", "02:30:05"]),
        CautionKind.GAP,
    )
    assert message.endswith(
        "02:00, 02:10, 02:20 and 1 more do not exist; it fires at 03:00 instead"
    )


def test_a_cron_that_follows_the_wall_clock_does_not_fire_in_a_gap() -> None:
    found = cron("*/30 2 * * *", timezone=MADRID)
    assert words(found, CautionKind.GAP).endswith("02:00 and 02:30 do not exist, and nothing fires")
    assert words(found, CautionKind.OVERLAP).endswith(
        "02:00 and 02:30 occur twice, and it fires at both"
    )
    assert kinds(cron("*/30 * * * *", timezone=MADRID)) == []


def test_a_spread_longer_than_the_interval() -> None:
    hour = timedelta(hours=1)
    assert kinds(cautions_of(frequency="hourly", spread=hour)) == []
    longer = words(cautions_of(frequency="hourly", spread=2 * hour), CautionKind.SPREAD)
    assert longer.startswith("its spread of 2h is longer than the 1h between two fires")
    assert kinds(cautions_of(frequency="daily", at=["10:00", "10:30"], spread=hour)) == ["spread"]


def test_a_very_frequent_request_says_how_often() -> None:
    assert "86,400 times a day" in words(cautions_of(frequency="secondly"), CautionKind.OFTEN)
