"""Sets of dates, and the date that a fire on an excepted date moves to. Pure.

A rule excepts dates (`except`) or fires on some dates alone (`only`). `shift` moves a fire
from an excepted date to the nearest date that is free.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from functools import lru_cache

FARTHEST_MOVE = 366
"""The most days by which a fire moves; if no date is free by then, the fire is dropped."""
_DAY = timedelta(days=1)
_SATURDAY = 5
LAST = date(9999, 12, 29)
"""The last date that may fire: the day before `zones.END`."""
# 29 February is eight years away at the most: there is none in 2100.
_YEARS_TO_29_FEBRUARY = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Dates:
    """A set of dates: single `days`, and (month, day) pairs that come every year.

    >>> date(2031, 12, 25) in Dates(yearly=frozenset({(12, 25)}))
    True
    """

    days: frozenset[date] = frozenset()
    yearly: frozenset[tuple[int, int]] = frozenset()

    def __contains__(self, day: date) -> bool:
        return day in self.days or (day.month, day.day) in self.yearly

    def __bool__(self) -> bool:
        return bool(self.days or self.yearly)

    def __len__(self) -> int:
        return len(self.days) + len(self.yearly)

    @property
    def text(self) -> str:
        """The normal form: equal for equal sets, in every process."""
        single = sorted(day.isoformat() for day in self.days)
        return ",".join(
            [*single, *(f"*-{month:02}-{day:02}" for month, day in sorted(self.yearly))]
        )

    @property
    def last_day(self) -> date:
        """The last of the single days; `date.min` without any."""
        ascending = _ascending(self.days)
        return ascending[-1] if ascending else date.min

    def next_from(self, day: date) -> date | None:
        """Return the first of these dates at or after `day`; None if there is none."""
        if day in self:
            return day
        ascending = _ascending(self.days)
        index = bisect_left(ascending, day)
        found = [*ascending[index : index + 1]]
        found += filter(None, (_next_yearly(*each, day) for each in self.yearly))
        return min(found, default=None)

    def within(self, first: date, last: date) -> Iterator[date]:
        """Yield these dates from `first` to `last`, ascending."""
        day = self.next_from(first)
        while day is not None and day <= last:
            yield day
            day = self.next_from(day + _DAY)


NO_DATES = Dates()


def union(parts: Iterable[Dates]) -> Dates:
    """Return the dates that are in any of the parts."""
    found = list(parts)
    return Dates(
        days=frozenset().union(*(each.days for each in found)),
        yearly=frozenset().union(*(each.yearly for each in found)),
    )


@lru_cache(maxsize=256)  # many requests share a file of holidays
def _ascending(days: frozenset[date]) -> tuple[date, ...]:
    return tuple(sorted(days))


def _next_yearly(month: int, number: int, since: date) -> date | None:
    for year in range(since.year, min(since.year + _YEARS_TO_29_FEBRUARY, LAST.year) + 1):
        try:
            day = date(year, month, number)
        except ValueError:  # 29 February in a common year
            continue
        if day >= since:
            return day
    return None


class Shift(StrEnum):
    """What becomes of a fire on an excepted date."""

    DROP = "drop"
    NEXT = "next"
    PREVIOUS = "previous"
    NEXT_WORKDAY = "next_workday"
    PREVIOUS_WORKDAY = "previous_workday"

    @property
    def to_workdays(self) -> bool:
        """Whether fires move to workdays alone, so also away from Saturdays and Sundays."""
        return self in (Shift.NEXT_WORKDAY, Shift.PREVIOUS_WORKDAY)

    @property
    def step(self) -> int:
        """In which direction fires move, in days."""
        return -1 if self in (Shift.PREVIOUS, Shift.PREVIOUS_WORKDAY) else 1


def is_workday(day: date, excepted: Dates) -> bool:
    """Return whether a date is a Monday to Friday that is not excepted."""
    return day.weekday() < _SATURDAY and day not in excepted


def is_blocked(day: date, excepted: Dates, shift: Shift) -> bool:
    """Return whether nothing may fire on a date.

    A shift to workdays blocks each Saturday and Sunday too. Otherwise a fire of an excepted
    Friday would move past that of the Saturday.
    """
    return day in excepted or (shift.to_workdays and day.weekday() >= _SATURDAY)


def next_blocked(day: date, excepted: Dates, shift: Shift) -> date | None:
    """Return the first blocked date at or after `day`; None if there is none."""
    if not shift.to_workdays:
        return excepted.next_from(day)
    while day <= LAST and not is_blocked(day, excepted, shift):
        day += _DAY
    return day if day <= LAST else None
