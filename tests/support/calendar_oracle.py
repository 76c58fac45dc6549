"""What a rule with a business calendar means, by brute force over dates.

The oracle asks of each date of a case what the pattern names on it, whether something may
fire there, and where its fires go. It shares no code with the program but the values of a
rule. To be fast, it counts in integers: a date is an ordinal, an instant is a number of
microseconds since 1970, and a time of day is a number of microseconds since midnight. It
looks at the clocks of a zone minute by minute only around a date near which they change.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, cached_property
from itertools import groupby
from operator import itemgetter
from zoneinfo import ZoneInfo

from runner.timing.calendars import Dates, Shift
from runner.timing.rules import (
    Cron,
    Daily,
    DayNumber,
    Interval,
    LastDay,
    MonthDay,
    Monthly,
    NthWeekday,
    NthWorkday,
    Rule,
    Weekly,
)

TICK = timedelta(microseconds=1)
SECOND = 1_000_000
MINUTE = 60 * SECOND
DAY = 1440 * MINUTE
FIRST = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_DAY = FIRST.toordinal()
FARTHEST = 366


def number_of(at: datetime) -> int:
    return (at - FIRST) // TICK


def instant_of(number: int) -> datetime:
    return FIRST + timedelta(microseconds=number)


def clock_of(at: time) -> int:
    return ((at.hour * 60 + at.minute) * 60 + at.second) * SECOND + at.microsecond


def weekday_of(day: int) -> int:
    return (day + 6) % 7  # ordinal 1 is a Monday


# --- the clocks of a zone


def _wall(at: int, zone: str) -> datetime:
    return instant_of(at).astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)


def _wall_number(at: int, zone: str) -> int:
    """Return the wall time as if it were one of UTC."""
    return number_of(_wall(at, zone).replace(tzinfo=UTC))


def _midnight_in_utc(day: int) -> int:
    return (day - FIRST_DAY) * DAY


@cache
def steady_midnight(day: int, zone: str) -> int | None:
    """Return when a date begins, if its clocks keep their offset all around it; else None."""
    midnight = _midnight_in_utc(day)
    asked = range(midnight - DAY, midnight + 2 * DAY + 1, 30 * MINUTE)
    place = ZoneInfo(zone)
    offsets = {instant_of(at).astimezone(place).utcoffset() for at in asked}
    if len(offsets) > 1:
        return None
    offset = offsets.pop()
    assert offset is not None
    return midnight - offset // TICK


@cache
def _stretches(day: int, zone: str) -> list[tuple[int, int, int]]:
    """Look at the clocks minute by minute around a date.

    Return the stretches in which they keep their offset: begin, end and offset.
    """
    around = range(_midnight_in_utc(day) - 2 * DAY, _midnight_in_utc(day) + 3 * DAY, MINUTE)
    offsets = ((at, _wall_number(at, zone) - at) for at in around)
    found = [(offset, [at for at, _ in each]) for offset, each in groupby(offsets, itemgetter(1))]
    return [(minutes[0], minutes[-1] + MINUTE, offset) for offset, minutes in found]


def _first_showing(day: int, clock: int, zone: str) -> int:
    wall = _midnight_in_utc(day) + clock
    for begin, end, offset in _stretches(day, zone):
        if wall < end + offset:
            return max(begin, wall - offset)
    raise AssertionError("the stretches end long after the date")


def instant_at(day: int, clock: int, zone: str) -> int:
    """Return when the clocks first show a wall time, or else the first later one."""
    midnight = steady_midnight(day, zone)
    return _first_showing(day, clock, zone) if midnight is None else midnight + clock


def midnight(day: date, zone: str) -> datetime:
    """Return the first instant of a date."""
    return instant_of(instant_at(day.toordinal(), 0, zone))


@cache
def exists(day: int, zone: str) -> bool:
    """Ask each half hour around a date whether the clocks show the date."""
    if steady_midnight(day, zone) is not None:
        return True
    midnight = _midnight_in_utc(day)
    asked = range(midnight - 30 * 60 * MINUTE, midnight + 55 * 60 * MINUTE, 30 * MINUTE)
    return any(_wall(at, zone).toordinal() == day for at in asked)


@cache
def _each_fifth_minute(day: int, zone: str) -> list[tuple[int, int]]:
    """Return each fifth minute at which the clocks show a date, and the time of day then.

    All cron expressions here name such minutes, and all changes of clocks are by such minutes.
    """
    midnight = _midnight_in_utc(day)
    shown = ((at, _wall(at, zone)) for at in range(midnight - DAY, midnight + 2 * DAY, 5 * MINUTE))
    return [(at, clock_of(wall.time())) for at, wall in shown if wall.toordinal() == day]


# --- cron


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What a cron expression means, as predicates of a date and of a time of day."""

    names_times: bool
    """Whether it names times of day; if not, it follows the clocks."""
    on: Callable[[date], bool]
    at: Callable[[int, int], bool]
    """Of the hour and the minute."""


MEANINGS: dict[str, Meaning] = {
    "30 2 * * *": Meaning(
        names_times=True, on=lambda _: True, at=lambda hour, minute: (hour, minute) == (2, 30)
    ),
    "0 0,18 1,15 * *": Meaning(
        names_times=True,
        on=lambda day: day.day in {1, 15},
        at=lambda hour, minute: minute == 0 and hour in {0, 18},
    ),
    "15 9 * * 1-5": Meaning(
        names_times=True,
        on=lambda day: day.weekday() < 5,
        at=lambda hour, minute: (hour, minute) == (9, 15),
    ),
    "0 */5 * * *": Meaning(
        names_times=False,
        on=lambda _: True,
        at=lambda hour, minute: minute == 0 and hour % 5 == 0,
    ),
    "20,40 * * * *": Meaning(
        names_times=False, on=lambda _: True, at=lambda _, minute: minute in {20, 40}
    ),
    "*/30 2 * * 0,6": Meaning(
        names_times=False,
        on=lambda day: day.weekday() > 4,
        at=lambda hour, minute: minute % 30 == 0 and hour == 2,
    ),
}


@cache
def _clocks_of(expression: str) -> tuple[int, ...]:
    """Ask each minute of a day whether an expression names it."""
    at = MEANINGS[expression].at
    return tuple(minute * MINUTE for minute in range(1440) if at(*divmod(minute, 60)))


# --- a case


def holds(dates: Dates, day: date) -> bool:
    return day in dates.days or any((day.month, day.day) == each for each in dates.yearly)


def ordinals_of(dates: Dates, days: range) -> frozenset[int]:
    """Return which of some days are among the dates."""
    found = {day.toordinal() for day in dates.days}
    if dates.yearly:
        years = range(date.fromordinal(days.start).year, date.fromordinal(days.stop - 1).year + 1)
        for month, number in dates.yearly:
            found |= {
                date(year, month, number).toordinal()
                for year in years
                if number <= monthrange(year, month)[1]
            }
    return frozenset(found)


@dataclass(frozen=True)
class Case:
    """A rule, and the dates and instants at which it is tried."""

    rule: Rule
    first: date
    last: date
    asked: tuple[datetime, datetime]

    @cached_property
    def days(self) -> range:
        """The dates at which the oracle looks.

        A fire may come from as far as 366 days away. Where the clocks go back over midnight,
        the first instant of a date comes before the last hour of the date before, so a
        neighbour of the case counts too.
        """
        return range(self.first.toordinal() - FARTHEST - 2, self.last.toordinal() + FARTHEST + 3)

    @cached_property
    def excepted(self) -> frozenset[int]:
        return ordinals_of(self.rule.excepted, self.days)

    @cached_property
    def blocked(self) -> frozenset[int]:
        """The dates on which nothing may fire."""
        if not self.rule.shift.value.endswith("workday"):
            return self.excepted
        return self.excepted | {day for day in self.days if weekday_of(day) > 4}

    @cached_property
    def targets(self) -> dict[int, int]:
        """Where the fires of each date go; a date is missing if they are dropped."""
        rule, blocked = self.rule, self.blocked
        if rule.shift is Shift.DROP:
            return {day: day for day in self.days if day not in blocked}
        backwards = rule.shift.value.startswith("previous")
        found, free = {}, None
        # Walk against the direction of the moves, and keep the free date passed last.
        for day in self.days if backwards else reversed(self.days):
            if day not in blocked:
                found[day] = day
                free = day if exists(day, rule.zone) else free
            elif free is not None and abs(free - day) <= FARTHEST:
                found[day] = free
        return found

    @property
    def names_times(self) -> bool:
        match self.rule.pattern:
            case Interval():
                return False
            case Cron(expression=expression):
                return MEANINGS[expression].names_times
        return True

    def fires_of(self, day: int) -> list[tuple[int, int]]:
        """Return what the pattern names on a date: instants, and the times of day to move."""
        rule = self.rule
        if not exists(day, rule.zone):
            return []
        match rule.pattern:
            case Interval(seconds=seconds):
                return list(self._intervals(day, seconds * SECOND))
            case Cron(expression=expression):
                if not MEANINGS[expression].on(date.fromordinal(day)):
                    return []
                clocks = _clocks_of(expression)
                if not self.names_times and steady_midnight(day, rule.zone) is None:
                    shown = _each_fifth_minute(day, rule.zone)
                    return [(at, clock) for at, clock in shown if clock in clocks]
            case _:
                clocks = self._times if self.is_named(day) else ()
        return [(instant_at(day, clock, rule.zone), clock) for clock in clocks]

    @cached_property
    def _times(self) -> tuple[int, ...]:
        return tuple(map(clock_of, self.rule.at))

    @cached_property
    def _anchor(self) -> date:
        start = self.rule.start
        return start.astimezone(ZoneInfo(self.rule.zone)).date() if start else FIRST.date()

    def is_named(self, day: int) -> bool:
        """Return whether a pattern of dates names a date."""
        anchor = self._anchor.toordinal()
        match self.rule.pattern:
            case Daily(workdays=True):
                return weekday_of(day) < 5 and day not in self.excepted
            case Daily(interval=interval, weekdays=weekdays):
                return (day - anchor) % interval == 0 and weekday_of(day) in weekdays
            case Weekly(interval=interval, weekdays=weekdays):
                weeks = (day - weekday_of(day) - (anchor - weekday_of(anchor))) // 7
                return weeks % interval == 0 and weekday_of(day) in weekdays
            case Monthly(day=month_day):
                month = date.fromordinal(day).replace(day=1)
                if month not in self._days_of_months:
                    self._days_of_months[month] = self._day_of(month_day, month)
                return self._days_of_months[month] == day
        raise AssertionError(self.rule.pattern)

    @cached_property
    def _days_of_months(self) -> dict[date, int | None]:
        return {}

    def _day_of(self, day: MonthDay, month: date) -> int | None:
        """Return the date that a monthly pattern names in a month."""
        assert isinstance(self.rule.pattern, Monthly)
        months = (month.year - self._anchor.year) * 12 + month.month - self._anchor.month
        if months % self.rule.pattern.interval:
            return None
        first = month.toordinal()
        each = range(first, first + monthrange(month.year, month.month)[1])
        match day:
            case DayNumber(number=number):
                found, nth = list(each), number
            case LastDay():
                found, nth = list(each), -1
            case NthWorkday(nth=nth):
                found = [day for day in each if weekday_of(day) < 5 and day not in self.excepted]
            case NthWeekday(nth=nth, weekday=weekday):
                found = [day for day in each if weekday_of(day) == weekday]
        index = nth - 1 if nth > 0 else len(found) + nth
        return found[index] if 0 <= index < len(found) else None

    def _intervals(self, day: int, step: int) -> Iterator[tuple[int, int]]:
        zone, start = self.rule.zone, self.rule.start
        anchor = number_of(start) if start else 0
        midnight = steady_midnight(day, zone)
        if midnight is not None:
            first = max(anchor, midnight + (anchor - midnight) % step)
            yield from ((at, at - midnight) for at in range(first, midnight + DAY, step))
            return
        begin = _midnight_in_utc(day) - 2 * DAY
        first = max(anchor, begin + (anchor - begin) % step)
        for at in range(first, begin + 5 * DAY, step):
            wall = _wall(at, zone)
            if wall.toordinal() == day:
                yield at, clock_of(wall.time())

    def moved(self, day: int, target: int) -> list[int]:
        """Return the instants at which the fires of a date happen, one for each fire."""
        if target == day:
            found = [at for at, _ in self.fires_of(day)]
        else:
            found = [instant_at(target, at, self.rule.zone) for _, at in self.fires_of(day)]
        # Two times of day in one gap are one fire.
        return sorted(set(found)) if self.names_times else found

    def expected(self) -> list[datetime]:
        """Return all fires of the dates of the case, and of the dates beside it."""
        rule, found = self.rule, list[int]()
        first, last = self.first.toordinal() - 1, self.last.toordinal() + 1
        only = None if rule.only is None else ordinals_of(rule.only, self.days)
        for day, target in self.targets.items():
            if first <= target <= last and (only is None or day in only):
                found += self.moved(day, target)
        start = None if rule.start is None else number_of(rule.start)
        finish = None if rule.finish is None else number_of(rule.finish)
        bounded = sorted(
            at
            for at in found
            if (start is None or at >= start) and (finish is None or at <= finish)
        )
        left = bounded if rule.repetitions is None else bounded[: rule.repetitions + 1]
        return [instant_of(at) for at in sorted(set(left))]
