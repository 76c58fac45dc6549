"""Calendar rules as frozen values. Pure.

Weekdays are numbered as `datetime.weekday` does: Monday is 0.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import assert_never

from runner.values import instant_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Every `seconds` of elapsed time.

    Secondly, minutely and hourly schedules become this; `seconds` is their unit times
    their interval.
    """

    seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Daily:
    """Every `interval` calendar days; with an interval of 1, only on `weekdays`."""

    interval: int = 1
    weekdays: frozenset[int] = frozenset(range(7))


@dataclass(frozen=True, slots=True, kw_only=True)
class Weekly:
    """On `weekdays` of every `interval`-th week; weeks begin on Monday."""

    weekdays: frozenset[int]
    interval: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class DayNumber:
    """Day 1 to 31. The rule skips a month without that day."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LastDay:
    """The last day of the month; with `workday`, the last Monday to Friday."""

    workday: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NthWeekday:
    """The `nth` `weekday` of the month: 1 to 5, or -1 for the last.

    The rule skips a month without it.
    """

    nth: int
    weekday: int


MonthDay = DayNumber | LastDay | NthWeekday


@dataclass(frozen=True, slots=True, kw_only=True)
class Monthly:
    """On `day` of every `interval`-th month."""

    day: MonthDay
    interval: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """A cron expression of 5 fields, or 6 with seconds first, as Debian's cron reads it."""

    expression: str


CalendarPattern = Daily | Weekly | Monthly
Pattern = Interval | CalendarPattern | Cron


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The calendar part of a schedule: everything that decides its fire times.

    `at` is sorted without duplicates; it is empty for Interval and Cron. `start` and
    `finish` are UTC and both inclusive. `repetitions` n means n + 1 fires, counted from
    `start`. `excepted` holds dates in `zone`. `zone` is an IANA key.
    """

    pattern: Pattern
    zone: str
    at: tuple[time, ...] = ()
    start: datetime | None = None
    finish: datetime | None = None
    repetitions: int | None = None
    excepted: frozenset[date] = frozenset()

    @property
    def key(self) -> str:
        """The normal form of what decides fire times, except `finish`.

        Equal keys mean an unchanged rule. The text is the same in every process and on
        every machine. An interval counts elapsed time, so its zone is part of the key
        only if the rule excepts dates. The excepted dates appear as a digest because
        the list may be a long file.
        """
        parts = [_pattern_text(self.pattern)]
        if self.at:
            parts.append("at " + ",".join(sorted({at.isoformat("seconds") for at in self.at})))
        if self.excepted or not isinstance(self.pattern, Interval):
            parts.append(f"in {self.zone}")
        if self.start is not None:
            parts.append(f"from {instant_text(self.start)}")
        if self.repetitions is not None:
            parts.append(f"repetitions {self.repetitions}")
        if self.excepted:
            listed = ",".join(sorted(day.isoformat() for day in self.excepted))
            parts.append(f"except {hashlib.sha256(listed.encode()).hexdigest()}")
        return "; ".join(parts)


def _pattern_text(pattern: Pattern) -> str:
    match pattern:
        case Interval(seconds=seconds):
            return f"interval {seconds}"
        case Daily(interval=interval, weekdays=weekdays):
            return f"daily {interval} {_digits(weekdays)}"
        case Weekly(interval=interval, weekdays=weekdays):
            return f"weekly {interval} {_digits(weekdays)}"
        case Monthly(interval=interval, day=day):
            return f"monthly {interval} {_month_day_text(day)}"
        case Cron(expression=expression):
            fields = expression.upper().split()
            return " ".join(["cron", *(["0"] if len(fields) == 5 else []), *fields])
    assert_never(pattern)


def _month_day_text(day: MonthDay) -> str:
    match day:
        case DayNumber(number=number):
            return f"day {number}"
        case LastDay(workday=workday):
            return "last workday" if workday else "last day"
        case NthWeekday(nth=nth, weekday=weekday):
            return f"weekday {nth} {weekday}"
    assert_never(day)


def _digits(weekdays: frozenset[int]) -> str:
    return "".join(str(weekday) for weekday in sorted(weekdays))
