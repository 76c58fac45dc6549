"""Rules as values: the key says whether a rule changed."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime, time
from typing import Any

import pytest

from runner.timing.calendars import Dates
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
    Pattern,
    Rule,
    Weekly,
)

NIGHTLY = Rule(pattern=Daily(), zone="Europe/Madrid", at=(time(2), time(14, 30)))


def key_of(**schedule: object) -> str:
    return parse_rule(schedule, default_zone="Europe/Madrid").key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            {"frequency": "daily", "at": ["02:00", "14:00"]},
            {"frequency": "daily", "at": ["14:00", "02:00:00", "02:00"]},
        ),
        ({"frequency": "minutely", "interval": 60}, {"frequency": "hourly"}),
        ({"frequency": "hourly", "timezone": "Asia/Tokyo"}, {"frequency": "hourly"}),
        (
            {"frequency": "daily", "at": "02:00", "timezone": "Europe/Madrid"},
            {"frequency": "daily", "at": "02:00"},
        ),
        (
            {"frequency": "daily", "at": "02:00", "finish": "2027-01-01"},
            {"frequency": "daily", "at": "02:00"},
        ),
        (
            {"frequency": "daily", "start": "2026-01-01 02:00"},
            {"frequency": "daily", "start": "2026-01-01T01:00:00Z", "at": "02:00"},
        ),
        (
            {"frequency": "weekly", "days": ["monday", "friday"], "at": "02:00"},
            {"frequency": "weekly", "days": ["friday", "monday"], "at": "02:00"},
        ),
        (
            {"frequency": "cron", "expression": "30 2 * * mon"},
            {"frequency": "cron", "expression": " 0  30 2 * *   MON "},
        ),
    ],
)
def test_equal_meanings_have_equal_keys(one: dict[str, object], other: dict[str, object]) -> None:
    assert key_of(**one) == key_of(**other)


@pytest.mark.parametrize(
    "changed",
    [
        {"pattern": Daily(interval=2)},
        {"pattern": Daily(weekdays=frozenset(range(5)))},
        {"pattern": Weekly(weekdays=frozenset({0}))},
        {"pattern": Weekly(weekdays=frozenset({0}), interval=2)},
        {"pattern": Monthly(day=DayNumber(number=2))},
        {"pattern": Monthly(day=LastDay())},
        {"pattern": Monthly(day=NthWorkday(nth=-1))},
        {"pattern": Monthly(day=NthWeekday(nth=2, weekday=6))},
        {"pattern": Monthly(day=NthWeekday(nth=-1, weekday=6))},
        {"pattern": Monthly(day=NthWeekday(nth=-1, weekday=6), interval=2)},
        {"pattern": Interval(seconds=5)},
        {"pattern": Cron(expression="0 2 * * *")},
        {"at": (time(2),)},
        {"at": (time(2), time(14, 30, 1))},
        {"zone": "UTC"},
        {"start": datetime(2026, 1, 1, tzinfo=UTC)},
        {"start": datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC)},
        {"repetitions": 0},
        {"repetitions": 10},
        {"excepted": Dates(days=frozenset({date(2026, 1, 1)}))},
        {"excepted": Dates(days=frozenset({date(2026, 1, 2)}))},
    ],
)
def test_different_meanings_have_different_keys(changed: dict[str, Any]) -> None:
    assert replace(NIGHTLY, **changed).key != NIGHTLY.key


def test_the_keys_of_different_changes_differ_from_each_other() -> None:
    patterns: list[Pattern] = [
        Daily(interval=2),
        Weekly(weekdays=frozenset({2})),
        Monthly(day=DayNumber(number=2)),
        Interval(seconds=2),
    ]
    assert len({replace(NIGHTLY, pattern=pattern).key for pattern in patterns}) == len(patterns)


def test_a_zone_matters_to_an_interval_only_where_dates_are_excepted() -> None:
    interval = Rule(pattern=Interval(seconds=60), zone="UTC")
    assert interval.key == replace(interval, zone="Asia/Tokyo").key
    excepting = replace(interval, excepted=Dates(days=frozenset({date(2026, 1, 1)})))
    assert excepting.key != replace(excepting, zone="Asia/Tokyo").key


def test_a_key_stays_short_however_many_dates_are_excepted() -> None:
    many = frozenset(
        date.fromordinal(date(2026, 1, 1).toordinal() + number) for number in range(10_000)
    )
    assert len(replace(NIGHTLY, excepted=Dates(days=many)).key) < 200


@pytest.mark.parametrize("seed", ["1", "2"])
def test_a_key_is_the_same_text_in_every_process(seed: str) -> None:
    program = """
from datetime import date
from runner.timing.calendars import Dates
from runner.timing.parsing import parse_rule
data = {"frequency": "weekly", "days": ["sunday", "monday", "friday"], "at": ["14:00", "02:00"]}
excepted = Dates(days=frozenset({date(2026, 1, 1), date(2026, 5, 1)}))
print(parse_rule(data, default_zone="UTC", excepted=excepted).key)
"""
    environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)}
    reported = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    digest = hashlib.sha256(b"2026-01-01,2026-05-01").hexdigest()
    assert reported.stdout == f"weekly 1 046; at 02:00:00,14:00:00; in UTC; except {digest}\n"
