"""Describe a rule in plain English, so that people can check what they wrote. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime, time
from typing import assert_never

from runner.timing import rules
from runner.timing.calendars import Shift
from runner.timing.cron.cron_expression import explanation
from runner.timing.rules import Rule
from runner.timing.zones import wall_at, zone_named

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_NTH = dict(
    enumerate(
        ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth",
         "tenth"), 1
    )
)  # fmt: skip
_NTH |= {-1: "last", **{-nth: f"{word} last" for nth, word in _NTH.items() if nth > 1}}
_ORDINAL = re.compile(r"\b([2-9]?)([123])th\b")
_SHIFTS = {
    Shift.NEXT: "the next date",
    Shift.PREVIOUS: "the date before",
    Shift.NEXT_WORKDAY: "the next workday",
    Shift.PREVIOUS_WORKDAY: "the workday before",
}
_UNITS = (("hour", 3600), ("minute", 60), ("second", 1))


def describe(rule: Rule) -> str:
    """Describe a rule in one line. Its times are wall times in its zone, which it names.

    >>> weekdays = rules.Daily(weekdays=frozenset(range(5)))
    >>> describe(Rule(pattern=weekdays, at=(time(2),), zone="Europe/Madrid"))
    'Monday to Friday at 02:00 (Europe/Madrid)'
    """
    text = _pattern_text(rule.pattern)
    if rule.at:
        text += " at " + _listed([_clock(at) for at in rule.at])
    if rule.start:
        text += f", from {_local(rule.start, rule)}"
    if rule.finish:
        text += f", until {_local(rule.finish, rule)}"
    if rule.repetitions is not None:
        text += f", {rule.repetitions + 1} times" if rule.repetitions else ", once"
    return f"{text}{_calendar(rule)} ({rule.zone})"


def _calendar(rule: Rule) -> str:
    text = "" if rule.only is None else f", only on {_counted(len(rule.only), 'date')}"
    if rule.excepted:
        text += f", except on {_counted(len(rule.excepted), 'date')}"
    return text + (f", moved to {_SHIFTS[rule.shift]}" if rule.moves else "")


def _pattern_text(pattern: rules.Pattern) -> str:
    match pattern:
        case rules.Interval(seconds=seconds):
            unit, size = next((unit, size) for unit, size in _UNITS if seconds % size == 0)
            return f"every {_counted(seconds // size, unit, one='')}"
        case rules.Daily(workdays=True):
            return "every workday"
        case rules.Daily(interval=interval, weekdays=weekdays):
            return (
                f"every {_counted(interval, 'day', one='')}"
                if len(weekdays) == 7
                else _weekdays(weekdays)
            )
        case rules.Weekly(interval=1, weekdays=weekdays):
            return f"every {_weekdays(weekdays)}"
        case rules.Weekly(interval=interval, weekdays=weekdays):
            return f"every {interval} weeks (Monday to Sunday) on {_weekdays(weekdays)}"
        case rules.Monthly(interval=interval, day=day):
            return f"every {_counted(interval, 'month', one='')} on {_month_day(day)}"
        case rules.Cron(expression=expression):
            return f'cron "{expression}", {_with_ordinals(explanation(expression))}'
    assert_never(pattern)


def _with_ordinals(text: str) -> str:
    """Correct the ordinals of cronsim, which ends all of them in -th.

    >>> _with_ordinals("on the 1th, 12th and 23th day of every month")
    'on the 1st, 12th and 23rd day of every month'
    """
    endings = {"1": "st", "2": "nd", "3": "rd"}
    return _ORDINAL.sub(lambda match: f"{match[1]}{match[2]}{endings[match[2]]}", text)


def _month_day(day: rules.MonthDay) -> str:
    match day:
        case rules.DayNumber(number=number):
            return f"day {number}"
        case rules.LastDay():
            return "the last day"
        case rules.NthWorkday(nth=nth):
            return f"the {_NTH[nth]} workday"
        case rules.NthWeekday(nth=nth, weekday=weekday):
            return f"the {_NTH[nth]} {_WEEKDAYS[weekday]}"
    assert_never(day)


def _weekdays(weekdays: Collection[int]) -> str:
    numbers = sorted(weekdays)
    if len(numbers) > 2 and numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"{_WEEKDAYS[numbers[0]]} to {_WEEKDAYS[numbers[-1]]}"
    return _listed([_WEEKDAYS[number] for number in numbers])


def _listed(texts: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(texts[:-1]), texts[-1]]))


def _counted(number: int, noun: str, *, one: str = "1 ") -> str:
    return f"{one}{noun}" if number == 1 else f"{number:,} {noun}s"


def _clock(at: time) -> str:
    return at.isoformat("seconds" if at.second else "minutes")


def _local(instant: datetime, rule: Rule) -> str:
    wall = wall_at(instant, zone_named(rule.zone))
    if wall.time() == time.max:  # a finish that was a date alone
        return f"the end of {wall.date()}"
    return f"{wall.date()} {_clock(wall.time())}"
