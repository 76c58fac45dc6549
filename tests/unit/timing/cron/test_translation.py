"""Hints for expressions of other schedulers: Runner reads each, with the same meaning.

Each row states the meaning by itself, as a predicate on minutes or as an elapsed
interval; no row uses the program to compute it. A year of fires is compared with
the minutes for which the predicate holds.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any

import pytest
import yaml

from runner.errors import RuleError
from runner.timing.cron.cron_expression import read_expression
from runner.timing.parsing import parse_rule
from runner.timing.rules import Interval
from runner.timing.upcoming import fires

BEGIN, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
MINUTES = [BEGIN + timedelta(minutes=number) for number in range(365 * 1440)]
MON, TUE, WED, THU, FRI, SAT, SUN = range(7)
Holds = Callable[[datetime], bool]


def daily(hour: int, minute: int, *weekdays: int) -> Holds:
    return lambda t: (
        (t.hour, t.minute) == (hour, minute) and (not weekdays or t.weekday() in weekdays)
    )


def is_last_of_its_kind(t: datetime) -> bool:
    return (t + timedelta(days=7)).month != t.month


MEANINGS: list[tuple[str, Holds]] = [
    # crontab
    ("@yearly", lambda t: daily(0, 0)(t) and (t.month, t.day) == (1, 1)),
    ("@Annually", lambda t: daily(0, 0)(t) and (t.month, t.day) == (1, 1)),
    ("@monthly", lambda t: daily(0, 0)(t) and t.day == 1),
    ("@weekly", daily(0, 0, SUN)),
    ("@daily", daily(0, 0)),
    ("@midnight", daily(0, 0)),
    ("@hourly", lambda t: t.minute == 0),
    ("TZ=UTC0 30 2 * * *", daily(2, 30)),
    ("CRON_TZ=Etc/GMT-2 30 2 * * *", daily(0, 30)),
    ("CRON_TZ=UTC @daily", daily(0, 0)),
    # plain English
    ("0 9 * * friday", daily(9, 0, FRI)),
    ("0 9 * * monday-friday", daily(9, 0, MON, TUE, WED, THU, FRI)),
    ("0 9 * * Tuesday,thurs", daily(9, 0, TUE, THU)),
    (
        "0 9 1 january,JULY-sept *",
        lambda t: daily(9, 0)(t) and t.day == 1 and t.month in {1, 7, 8, 9},
    ),
    ("0 0 * * FRI-MON", daily(0, 0, FRI, SAT, SUN, MON)),
    ("0 0 * * sat-sun", daily(0, 0, SAT, SUN)),
    ("0 0 * * 6-1", daily(0, 0, SAT, SUN, MON)),
    ("0 0 * * 7-2", daily(0, 0, SUN, MON, TUE)),
    ("0 0 * * saturday-monday", daily(0, 0, SAT, SUN, MON)),
    ("0 22-4 * * *", lambda t: t.minute == 0 and t.hour in {22, 23, 0, 1, 2, 3, 4}),
    ("0 22-4/2 * * *", lambda t: t.minute == 0 and t.hour in {22, 0, 2, 4}),
    (
        "50-5 3 * * *",
        lambda t: (
            t.hour == 3 and t.minute in {50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 0, 1, 2, 3, 4, 5}
        ),
    ),
    ("0 0 1 NOV-FEB *", lambda t: daily(0, 0)(t) and t.day == 1 and t.month in {11, 12, 1, 2}),
    ("0 0 30-2 * *", lambda t: daily(0, 0)(t) and t.day in {30, 31, 1, 2}),
    ("0 0 * * L5", lambda t: daily(0, 0, FRI)(t) and is_last_of_its_kind(t)),
    ("0 0 * * friL", lambda t: daily(0, 0, FRI)(t) and is_last_of_its_kind(t)),
    ("daily at 2:30", daily(2, 30)),
    ("every weekday at 09:00", daily(9, 0, MON, TUE, WED, THU, FRI)),
    ("0 0 ? * MON", daily(0, 0, MON)),  # Kubernetes: ? is *
    ("0 0 ? * ?", daily(0, 0)),
    ("30 2 1 * ?", lambda t: daily(2, 30)(t) and t.day == 1),
    # Quartz: seconds first, Sunday is 1
    ("0 0 12 ? * 2-6", daily(12, 0, MON, TUE, WED, THU, FRI)),
    ("0 0 12 ? * 1", daily(12, 0, SUN)),
    ("0 0 12 ? * 7,1", daily(12, 0, SAT, SUN)),
    ("0 0 12 ? * 6-2", daily(12, 0, FRI, SAT, SUN, MON)),
    ("0 0 12 ? * MON-FRI", daily(12, 0, MON, TUE, WED, THU, FRI)),
    ("0 0 12 ? * 2/2", daily(12, 0, MON, WED, FRI)),
    ("0 0 12 ? * 2-6/2", daily(12, 0, MON, WED, FRI)),
    ("0 0 12 ? * L", daily(12, 0, SAT)),
    ("0 0 12 ? * 6L", lambda t: daily(12, 0, FRI)(t) and is_last_of_its_kind(t)),
    ("0 0 12 ? * 6#3", lambda t: daily(12, 0, FRI)(t) and 15 <= t.day <= 21),
    ("0 0 12 L * ?", lambda t: daily(12, 0)(t) and (t + timedelta(days=1)).day == 1),
    ("0 0/20 8-9 * * ?", lambda t: t.hour in {8, 9} and t.minute in {0, 20, 40}),
    ("0 0 12 1/10 * ?", lambda t: daily(12, 0)(t) and t.day in {1, 11, 21, 31}),
    ("0 0 22-1 ? * *", lambda t: t.minute == 0 and t.hour in {22, 23, 0, 1}),
    ("0 0 12 * * ? *", daily(12, 0)),
    ("0 0 12 * * ? 2026", daily(12, 0)),
    ("0 0 12 ? * 2 2026-2030", daily(12, 0, MON)),
    # AWS: a year last, Sunday is 1
    ("0 12 ? * MON-FRI *", daily(12, 0, MON, TUE, WED, THU, FRI)),
    ("15 10 ? * 6L 2025-2027", lambda t: daily(10, 15, FRI)(t) and is_last_of_its_kind(t)),
    ("0 8 1 * ? *", lambda t: daily(8, 0)(t) and t.day == 1),
    # yacron and cronstable: a year last, Sunday is 0
    ("0 12 * * 1 2026", daily(12, 0, MON)),
    ("0 0 12 * * 1 *", daily(12, 0, MON)),
    # systemd
    ("Mon..Fri 02:00", daily(2, 0, MON, TUE, WED, THU, FRI)),
    ("Sat,Sun *-*-* 10:00:00", daily(10, 0, SAT, SUN)),
    ("Fri..Mon 02:00", daily(2, 0, FRI, SAT, SUN, MON)),
    ("Friday 17:45", daily(17, 45, FRI)),
    ("*-*-* 02:00:00", daily(2, 0)),
    ("*-*-01 06:30", lambda t: daily(6, 30)(t) and t.day == 1),
    ("*-01,07-01", lambda t: daily(0, 0)(t) and t.day == 1 and t.month in {1, 7}),
    ("*:0/15", lambda t: t.minute % 15 == 0),
    ("*-*-* *:05:00", lambda t: t.minute == 5),
    ("08..17:30", lambda t: t.minute == 30 and 8 <= t.hour <= 17),
    ("*-*-* 04:00 Etc/GMT+1", daily(5, 0)),
]
ELAPSED = [
    ("@every 90m", 5400),
    ("@every 1h30m", 5400),
    ("@every 1h", 3600),
    ("@every 24h", 86_400),
    ("@every 45s", 45),
    ("every 5 minutes", 300),
    ("Every 2 hours", 7200),
    ("every minute", 60),
    ("every 90 sec", 90),
]
SPREAD = [
    ("H 2 * * *", daily(2, 0), timedelta(hours=1)),
    ("H H * * *", daily(0, 0), timedelta(days=1)),
    ("H H(0-7) * * 1-5", daily(0, 0, MON, TUE, WED, THU, FRI), timedelta(hours=8)),
    ("H/15 * * * *", lambda t: t.minute % 15 == 0, timedelta(minutes=15)),
    ("H * * * *", lambda t: t.minute == 0, timedelta(hours=1)),
    ("H(10-29) 3 * * *", daily(3, 10), timedelta(minutes=20)),
    ("H H/6 * * *", lambda t: t.minute == 0 and t.hour % 6 == 0, timedelta(hours=6)),
]
NOTHING = [
    "@reboot", "@fortnightly", "@every 100ms", "@every day", "@every 2d3x",
    "0 0 15W * ?", "0 0 L-3 * ?", "0 0 L/2 * *",
    "0 0 12 * * ? 2026/2", "0 0 12 * * ? 2026,2028",
    "30 H * * *", "H H H * *", "H(0-29)/10 * * * *", "*/0 * * * *",
    "60 * * * *", "0 24 * * *", "2026-12-24 18:00", "Mon *-*-01 02:00", "weekdays 02:00",
    "0 0 * * 5#6", "TZ=Nowhere/City 0 0 * * *", "TZ= 0 0 * * *",
    "0 0 12 ? * 8", "0 0 0 31 2 ?", "run this now please",
    "* * * *", "", "?", "every 5 minutes at noon", "daily at 25:00",
    "0 0 12 ? * SON", "0 0 * * sonday",
]  # fmt: skip


def suggestion_for(text: str) -> str:
    with pytest.raises(RuleError) as caught:
        read_expression(text, field=())
    return str(caught.value.suggestion)


def suggested(text: str) -> dict[str, Any]:
    """Return the schedule that a hint says, read from its words as a person would paste them."""
    words = suggestion_for(text).removeprefix("write ").partition("; ")[0]
    pasted = yaml.load(words if words.startswith('"') else f"{{{words}}}", yaml.BaseLoader)
    schedule = pasted if isinstance(pasted, dict) else {"expression": pasted}
    return {
        "frequency": "cron",
        **schedule,
        **({"interval": int(schedule["interval"])} if "interval" in schedule else {}),
    }


@pytest.mark.parametrize(("text", "holds"), MEANINGS)
def test_a_hint_for_an_expression_of_another_scheduler_fires_when_that_one_fires(
    text: str, holds: Holds
) -> None:
    rule = parse_rule(suggested(text), default_zone="UTC")
    found = list(takewhile(lambda fire: fire < END, fires(rule, BEGIN - timedelta(seconds=1))))
    assert found == [minute for minute in MINUTES if holds(minute)]


@pytest.mark.parametrize(("text", "seconds"), ELAPSED)
def test_a_hint_for_an_interval_is_that_interval(text: str, seconds: int) -> None:
    assert parse_rule(suggested(text), default_zone="UTC").pattern == Interval(seconds=seconds)


@pytest.mark.parametrize(("text", "holds", "spread"), SPREAD)
def test_a_hint_for_a_hashed_field_is_its_first_place_spread_over_all(
    text: str, holds: Holds, spread: timedelta
) -> None:
    schedule = suggested(text)
    assert (
        timedelta(
            **{
                {"h": "hours", "m": "minutes"}[schedule["spread"][-1]]: int(
                    schedule.pop("spread")[:-1]
                )
            }
        )
        == spread
    )
    rule = parse_rule(schedule, default_zone="UTC")
    found = list(takewhile(lambda fire: fire < END, fires(rule, BEGIN - timedelta(seconds=1))))
    assert found == [minute for minute in MINUTES if holds(minute)]


@pytest.mark.parametrize("text", NOTHING)
def test_an_expression_without_an_exact_translation_gets_none(text: str) -> None:
    assert not suggestion_for(text).startswith(('write "', "write expression", "write frequency"))


def test_a_translation_that_depends_on_whose_weekdays_they_are_says_so() -> None:
    assert suggestion_for("0 0 12 ? * 2-6") == 'write "0 0 12 * * MON-FRI"; in Quartz 1 is Sunday'
    assert suggestion_for("0 12 ? * 2-6 *") == 'write "0 12 * * MON-FRI"; in AWS 1 is Sunday'
    assert suggestion_for("0 0 12 ? * MON-FRI") == 'write "0 0 12 * * MON-FRI"'
