"""Compute the days that a calendar pattern names. Pure: dates only, no zones.

Each function jumps from one candidate day, week or month to the next one. None of them
looks at every day.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from datetime import date
from itertools import islice
from math import gcd
from typing import assert_never

from runner.timing.calendars import NO_DATES, Dates, is_workday
from runner.timing.rules import (
    CalendarPattern,
    Daily,
    DayNumber,
    LastDay,
    MonthDay,
    Monthly,
    NthWeekday,
    NthWorkday,
    Weekly,
)
from runner.timing.zones import END

_END_DAY = END.toordinal()
_END_MONTH = END.year * 12 + END.month - 1
# The Gregorian calendar repeats itself, weekdays included, every 400 years: these are
# 146,097 days, which is a whole number of weeks.
_MONTHS_OF_GREGORIAN_CYCLE = 4800


def days(
    pattern: CalendarPattern, anchor: date, since: date, excepted: Dates = NO_DATES
) -> Iterator[date]:
    """Yield the days of a pattern from `since` on, ascending.

    "Every n days, weeks, months" counts from the day, week or month of `anchor`. The
    excepted dates matter only to a pattern that counts workdays.
    """
    match pattern:
        case Daily(workdays=True):
            return (day for day in _of_daily(pattern, anchor, since) if is_workday(day, excepted))
        case Daily():
            return _of_daily(pattern, anchor, since)
        case Weekly():
            return _of_weekly(pattern, anchor, since)
        case Monthly():
            return _of_monthly(pattern, anchor, since, excepted)
    assert_never(pattern)


def _every(step: int, anchor: int, since: int, end: int) -> range:
    """Return the numbers in [since, end) that are a multiple of `step` away from `anchor`."""
    # Python's % is never negative here, so this also holds for an anchor after `since`.
    return range(since + (anchor - since) % step, end, step)


def _of_daily(pattern: Daily, anchor: date, since: date) -> Iterator[date]:
    for ordinal in _every(pattern.interval, anchor.toordinal(), since.toordinal(), _END_DAY):
        day = date.fromordinal(ordinal)
        if day.weekday() in pattern.weekdays:
            yield day


def _of_weekly(pattern: Weekly, anchor: date, since: date) -> Iterator[date]:
    weekdays, first = sorted(pattern.weekdays), since.toordinal()
    for monday in _every(7 * pattern.interval, _monday(anchor), _monday(since), _END_DAY):
        for ordinal in (monday + weekday for weekday in weekdays):
            if first <= ordinal < _END_DAY:
                yield date.fromordinal(ordinal)


def _monday(day: date) -> int:
    """Return the ordinal of the Monday that begins the week of `day`."""
    return day.toordinal() - day.weekday()


def _of_monthly(pattern: Monthly, anchor: date, since: date, excepted: Dates) -> Iterator[date]:
    # A month such as "31 February" never comes. Stepping by `interval` months, the
    # calendar repeats after this many steps: if none of them had the day, no month has it.
    # Excepted dates do not repeat, so each of them may cost one more step.
    enough = _MONTHS_OF_GREGORIAN_CYCLE // gcd(pattern.interval, _MONTHS_OF_GREGORIAN_CYCLE)
    enough += len(excepted.days)
    without = 0
    for month in _every(pattern.interval, _month(anchor), _month(since), _END_MONTH):
        day = day_of_month(pattern.day, *divmod(month, 12), excepted)
        without = 0 if day else without + 1
        if without > enough:
            return
        if day and day >= since:
            yield day


def _month(day: date) -> int:
    """Return the number of months since January of the year 0."""
    return day.year * 12 + day.month - 1


def day_of_month(day: MonthDay, year: int, month: int, excepted: Dates = NO_DATES) -> date | None:
    """Return the date of `day` in a month (January is 0), or None if the month lacks it.

    >>> day_of_month(NthWeekday(nth=2, weekday=6), 2019, 9)
    datetime.date(2019, 10, 13)
    """
    month += 1
    first_weekday, length = monthrange(year, month)
    match day:
        case DayNumber(number=number):
            pass
        case LastDay():
            number = length
        case NthWorkday(nth=nth):
            return _nth_workday(nth, year, month, length, excepted)
        case NthWeekday(nth=-1, weekday=weekday):
            number = length - (first_weekday + length - 1 - weekday) % 7
        case NthWeekday(nth=nth, weekday=weekday):
            number = 1 + (weekday - first_weekday) % 7 + 7 * (nth - 1)
        case _:
            assert_never(day)
    return date(year, month, number) if number <= length else None


def _nth_workday(nth: int, year: int, month: int, length: int, excepted: Dates) -> date | None:
    numbers = range(1, length + 1) if nth > 0 else range(length, 0, -1)
    each = (date(year, month, number) for number in numbers)
    workdays = (day for day in each if is_workday(day, excepted))
    return next(islice(workdays, abs(nth) - 1, None), None)
