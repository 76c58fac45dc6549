"""Calendar rules as frozen values. Pure.

Weekdays are numbered as `datetime.weekday` does: Monday is 0.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, time
from functools import lru_cache
from typing import assert_never

from runner.timing.calendars import NO_DATES, Dates, Shift
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
    """Every `interval` calendar days; with an interval of 1, only on `weekdays`.

    With `workdays`, the dates that the rule excepts are none of its days.
    """

    interval: int = 1
    weekdays: frozenset[int] = frozenset(range(7))
    workdays: bool = False


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
    """The last day of the month."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NthWorkday:
    """The `nth` workday of the month; -1 is the last one, -2 the one before.

    Workdays are Monday to Friday without the dates that the rule excepts. The rule skips a
    month without it.
    """

    nth: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NthWeekday:
    """The `nth` `weekday` of the month: 1 to 5, or -1 for the last.

    The rule skips a month without it.
    """

    nth: int
    weekday: int


MonthDay = DayNumber | LastDay | NthWorkday | NthWeekday


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
    `start`. `zone` is an IANA key. `excepted` and `only` hold dates in `zone`: the pattern's
    fires of other dates than `only` are dropped, and `shift` says what becomes of those on
    excepted dates. `start` and `finish` bound the fires where they have moved to.
    """

    pattern: Pattern
    zone: str
    at: tuple[time, ...] = ()
    start: datetime | None = None
    finish: datetime | None = None
    repetitions: int | None = None
    excepted: Dates = NO_DATES
    only: Dates | None = None
    shift: Shift = Shift.DROP

    @property
    def moves(self) -> bool:
        """Whether fires may move to other dates."""
        return self.shift is not Shift.DROP and bool(self.excepted or self.shift.to_workdays)

    @property
    def has_calendar(self) -> bool:
        """Whether some dates of the pattern do not fire, or fire elsewhere."""
        return bool(self.excepted) or self.only is not None or self.moves

    @property
    def counts_workdays(self) -> bool:
        """Whether the excepted dates decide which dates the pattern names."""
        match self.pattern:
            case Daily(workdays=True) | Monthly(day=NthWorkday()):
                return True
        return False

    @property
    def by_pattern(self) -> Rule:
        """The rule of the pattern alone: no date is excepted, chosen or moved, nothing ends.

        Excepted dates that decide which dates are workdays stay.
        """
        excepted = self.excepted if self.counts_workdays else NO_DATES
        return replace(
            self, excepted=excepted, only=None, shift=Shift.DROP, finish=None, repetitions=None
        )

    @property
    def key(self) -> str:
        """The normal form of what decides fire times, except `finish`.

        Equal keys mean an unchanged rule. The text is the same in every process and on
        every machine. An interval counts elapsed time, so its zone is part of the key
        only if dates matter to the rule. Dates appear as a digest because the list may be
        a long file.
        """
        return _key_of(self)


@lru_cache(maxsize=1 << 12)  # many requests share a rule
def _key_of(rule: Rule) -> str:
    parts = [_pattern_text(rule.pattern)]
    if rule.at:
        parts.append("at " + ",".join(sorted({at.isoformat("seconds") for at in rule.at})))
    if rule.has_calendar or not isinstance(rule.pattern, Interval):
        parts.append(f"in {rule.zone}")
    if rule.start is not None:
        parts.append(f"from {instant_text(rule.start)}")
    if rule.repetitions is not None:
        parts.append(f"repetitions {rule.repetitions}")
    if rule.excepted:
        what = "workdays except" if rule.counts_workdays else "except"
        parts.append(f"{what} {_digest(rule.excepted)}")
    if rule.only is not None:
        parts.append(f"only {_digest(rule.only)}")
    if rule.moves:
        parts.append(f"shift {rule.shift}")
    return "; ".join(parts)


@lru_cache(maxsize=256)  # many requests share a file of dates
def _digest(dates: Dates) -> str:
    return hashlib.sha256(dates.text.encode()).hexdigest()


def _pattern_text(pattern: Pattern) -> str:
    match pattern:
        case Interval(seconds=seconds):
            return f"interval {seconds}"
        case Daily(workdays=True):
            return "workdays"
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
        case LastDay():
            return "last day"
        case NthWorkday(nth=-1):
            return "last workday"
        case NthWorkday(nth=nth):
            return f"workday {nth}"
        case NthWeekday(nth=nth, weekday=weekday):
            return f"weekday {nth} {weekday}"
    assert_never(day)


def _digits(weekdays: frozenset[int]) -> str:
    return "".join(str(weekday) for weekday in sorted(weekdays))
