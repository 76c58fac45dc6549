"""Rules in plain English."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from runner.timing.parsing import parse_rule
from runner.timing.wording import describe


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"frequency": "minutely"}, "every minute"),
        ({"frequency": "secondly", "interval": 5}, "every 5 seconds"),
        ({"frequency": "minutely", "interval": 90}, "every 90 minutes"),
        ({"frequency": "minutely", "interval": 120}, "every 2 hours"),
        ({"frequency": "daily", "at": "02:00"}, "every day at 02:00"),
        ({"frequency": "daily", "at": ["14:00", "02:00", "03:00:30"]}, "every day at 02:00, 03:00:30 and 14:00"),
        ({"frequency": "daily", "at": "02:00", "days": "weekdays"}, "Monday to Friday at 02:00"),
        ({"frequency": "daily", "at": "02:00", "days": "weekends"}, "Saturday and Sunday at 02:00"),
        ({"frequency": "daily", "at": "02:00", "interval": 4}, "every 4 days at 02:00"),
        ({"frequency": "weekly", "at": "02:00", "days": ["friday", "monday"]}, "every Monday and Friday at 02:00"),
        (
            {"frequency": "weekly", "at": "02:00", "days": ["monday", "friday", "sunday"], "interval": 2},
            "every 2 weeks on Monday, Friday and Sunday at 02:00",
        ),
        ({"frequency": "monthly", "at": "02:00", "day": 31}, "every month on day 31 at 02:00"),
        (
            {"frequency": "monthly", "at": "02:00", "day": "last_workday", "interval": 3},
            "every 3 months on the last workday at 02:00",
        ),
        ({"frequency": "monthly", "at": "02:00", "day": "second sunday"}, "every month on the second Sunday at 02:00"),
        ({"frequency": "cron", "expression": "30 2 * * *"}, 'cron "30 2 * * *", at 02:30 every day'),
        (
            {"frequency": "daily", "start": "2026-01-01 02:00", "finish": "2027-06-30", "repetitions": 3},
            "every day at 02:00, from 2026-01-01 02:00, until the end of 2027-06-30, 4 times",
        ),
        (
            {"frequency": "hourly", "start": "2026-01-01", "finish": "2027-06-30 12:00:01", "repetitions": 0},
            "every hour, from 2026-01-01 00:00, until 2027-06-30 12:00:01, once",
        ),
    ],
)
def test_a_rule_reads_as_a_person_would_say_it(data: dict[str, Any], words: str):
    assert describe(parse_rule(data, default_zone="Europe/Madrid")) == f"{words} (Europe/Madrid)"


def test_excepted_dates_are_counted():
    rule = parse_rule({"frequency": "hourly"}, default_zone="UTC", excepted=frozenset({date(2026, 1, 1)}))
    assert describe(rule) == "every hour, except on 1 date (UTC)"
