"""Calendar rules as frozen values. Pure.

Weekdays are numbered as `datetime.weekday` does: Monday is 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Every `seconds` of elapsed time: secondly, minutely, hourly, with their interval multiplied in."""

    seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Daily:
    """Every `interval` calendar days, or, with an interval of 1, only on `weekdays`."""

    interval: int = 1
    weekdays: frozenset[int] = frozenset(range(7))


@dataclass(frozen=True, slots=True, kw_only=True)
class Weekly:
    """On `weekdays` of every `interval`-th week; weeks begin on Monday."""

    weekdays: frozenset[int]
    interval: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class DayNumber:
    """Day 1 to 31; a month without it is skipped."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LastDay:
    """The last day of the month; with `workday`, the last that is Monday to Friday."""

    workday: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NthWeekday:
    """The `nth` (1 to 5, or -1 for the last) `weekday` of the month; a month without it is skipped."""

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


Pattern = Interval | Daily | Weekly | Monthly | Cron


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The calendar part of a schedule: everything that decides its fire times.

    `at` is sorted and free of doubles; empty for Interval and Cron. `start` and `finish` are UTC and both inclusive.
    `repetitions` n means n + 1 fires, counted from `start`. `excepted` are dates in `zone`. `zone` is an IANA key.
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
        """The normal form of what decides fire times, without `finish`: equal keys mean an unchanged rule."""
        raise NotImplementedError
