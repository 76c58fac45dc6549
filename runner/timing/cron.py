"""When a cron expression fires. Pure.

cronsim reads the expression and tells which days it means; hours and zones are ours. Left to itself in a zone, cronsim
2.8 skips fires after a shift of half an hour (`0 */4 * * *`, Lord Howe), fires at 01:00 for hour 0 where midnight is
missing but not if asked from a nearer instant (`*/15 0 * * FRI`, Cairo), returns an earlier instant than it was asked
from inside an overlap, and fires for a day that does not exist (Apia).

As in Debian's cron, an expression whose hour and minute do not begin with `*` names times of day: each comes once on
each of its days, after a gap, and not again in an overlap. All others follow the clock on the wall. The same holds here
for expressions of 6 fields (in cronsim those always follow the clock): `0 30 2 * * *` and `30 2 * * *` mean the same.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import lru_cache
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from runner.errors import RuleError
from runner.timing.texts import shortened
from runner.timing.zones import END, TICK, instant_on_its_day, next_change, offset_at, wall_at

_ANY_TIME = datetime(1970, 1, 1)  # noqa: DTZ001 - cronsim wants one to begin with, and we never let it walk
_DAYS_OF_50_YEARS = 18_263  # the rarest date, 29 February on a given weekday, comes after 40 at most
_LONGEST = 500  # characters; 60 minutes, 24 hours, 31 days, all listed, are 310
_FIELDS = (
    ("second", "0-59"),
    ("minute", "0-59"),
    ("hour", "0-23"),
    ("day of the month", "1-31, L for the last, LW for the last workday"),
    ("month", "1-12 or JAN-DEC"),
    ("day of the week", "0-7 or SUN-SAT, 0 and 7 being Sunday; 5L for the last Friday, 5#2 for the second"),
)
_NICKNAMES = {
    "@yearly": '"0 0 1 1 *"',
    "@annually": '"0 0 1 1 *"',
    "@monthly": '"0 0 1 * *"',
    "@weekly": '"0 0 * * 0"',
    "@daily": '"0 0 * * *"',
    "@midnight": '"0 0 * * *"',
    "@hourly": '"0 * * * *"',
    "@reboot": "run_immediately as the timing",
}


def read_expression(text: str, *, field: tuple[str | int, ...]) -> str:
    """Return the expression with single blanks between its fields. Raises RuleError for what cannot be read."""
    fields = text.split()
    if suggestion := _foreign(fields):
        raise RuleError(
            f"{shortened(text)} is no cron expression that is understood here", field=field, suggestion=suggestion
        )
    if len(fields) not in {5, 6} or len(text) > _LONGEST:
        raise RuleError(
            f"{shortened(text)} is not a cron expression: it has {len(fields)} fields",
            field=field,
            suggestion='write 5, minute hour day month weekday, like "30 2 * * MON-FRI", or 6 with seconds first',
        )
    expression = " ".join(fields)
    try:
        _parsed(expression)
    except CronSimError:
        raise _unreadable(fields, field) from None
    return expression


def _foreign(fields: list[str]) -> str | None:
    """Return what to write instead of things that other crons know and this one does not."""
    text = " ".join(fields)
    if text.startswith("@"):
        return f"write {_NICKNAMES.get(text.lower(), 'five fields, minute hour day month weekday')}"
    if "?" in text:
        return f'write * for ?, as in "{text.replace("?", "*")}"' if len(text) <= _LONGEST else "write * for ?"
    if len(fields) == 7:
        return "leave out the year, the seventh field; start and finish bound a schedule"
    days = fields[-3].upper() if len(fields) in {5, 6} else ""
    if "L-" in days:
        return "days before the last cannot be counted; L is the last day, LW the last workday"
    if any(term.endswith("W") and term != "LW" for term in days.split(",")):
        return "the workday nearest to a day is not known; LW is the last workday of the month"
    return None


def _unreadable(fields: list[str], field: tuple[str | int, ...]) -> RuleError:
    """Say which of the fields cannot be read; if each can, the days and months contradict each other."""
    for (name, allowed), part in zip(_FIELDS[-len(fields) :], fields, strict=True):
        alone = [part if name == other else "*" for other, _ in _FIELDS]
        try:
            CronSim(" ".join(alone), _ANY_TIME)
        except CronSimError:
            return RuleError(
                f"{shortened(part)} is no {name} of a cron expression", field=field, suggestion=f"allowed are {allowed}"
            )
    return never_matches(" ".join(fields), field=field)


def never_matches(expression: str, *, field: tuple[str | int, ...]) -> RuleError:
    """Return the error of an expression that names a date which no calendar has."""
    return RuleError(
        f"{shortened(expression)} can never fire: no date is of its days and months",
        field=field,
        suggestion="L is the last day of the month, whichever that is",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Expression:
    """A cron expression taken apart; the times of day that match are numbered from 0, in order."""

    days: CronSim
    hours: tuple[int, ...]
    minutes: tuple[int, ...]
    seconds: tuple[int, ...]
    names_times_of_day: bool

    @property
    def clocks(self) -> int:
        """How many times of day match."""
        return len(self.hours) * len(self.minutes) * len(self.seconds)

    def has_day(self, day: date) -> bool:
        return day.month in self.days.months and self.days.match_day(day)

    def clock(self, number: int) -> time:
        rest, second = divmod(number, len(self.seconds))
        hour, minute = divmod(rest, len(self.minutes))
        return time(self.hours[hour], self.minutes[minute], self.seconds[second])

    def clocks_through(self, clock: time) -> int:
        """Count the times of day that match, up to and including `clock`."""
        if clock.hour not in self.hours:
            return bisect_left(self.hours, clock.hour) * len(self.minutes) * len(self.seconds)
        minutes = self.hours.index(clock.hour) * len(self.minutes) + bisect_left(self.minutes, clock.minute)
        seconds = bisect_right(self.seconds, clock.second) if clock.minute in self.minutes else 0
        return minutes * len(self.seconds) + seconds


@lru_cache(maxsize=4096)
def _parsed(expression: str) -> _Expression:
    """Take an expression apart. Raises CronSimError."""
    days = CronSim(expression, _ANY_TIME)
    return _Expression(
        days=days,
        hours=tuple(sorted(days.hours)),
        minutes=tuple(sorted(days.minutes)),
        seconds=tuple(sorted(days.seconds)),
        names_times_of_day=not any(field.startswith("*") for field in expression.split()[:-3]),
    )


def explanation(expression: str) -> str:
    """Say in English what an expression means, in cronsim's words."""
    words = _parsed(expression).days.explain()
    return words[:1].lower() + words[1:]


def follows_the_wall_clock(expression: str) -> bool:
    """Tell whether it fires whenever the clock on the wall matches; if not, it names times of day."""
    return not _parsed(expression).names_times_of_day


def cron_fires(expression: str, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    """Yield the fires later than `after` (UTC), strictly ascending; ends when 50 years have none."""
    parsed = _parsed(expression)
    return _named_times(parsed, zone, after) if parsed.names_times_of_day else _wall_clock(parsed, zone, after)


def _named_times(expression: _Expression, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    last = after
    for wall in _walls(expression, wall_at(after, zone)):
        instant = instant_on_its_day(wall, zone)
        if instant is not None and instant > last:
            yield instant
            last = instant


def _wall_clock(expression: _Expression, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    """Walk one stretch of constant offset after the other: inside, wall time and instants are the same thing."""
    offset, calm, begin = offset_at(after, zone), after, after
    while True:
        for wall in _walls(expression, (begin + offset).replace(tzinfo=None)):
            instant = (wall - offset).replace(tzinfo=UTC)
            change = next_change(calm, instant, zone)
            if change is not None:
                offset, calm, begin = offset_at(change, zone), change, change - TICK
                break
            yield instant
            calm = instant
        else:
            return


def _walls(expression: _Expression, after: datetime) -> Iterator[datetime]:
    """Yield the naive wall times later than `after` that match."""
    fruitless = 0
    first = expression.clocks_through(after.time())
    for ordinal in range(after.toordinal(), END.toordinal()):
        day = date.fromordinal(ordinal)
        if expression.has_day(day):
            fruitless = 0
            for number in range(first, expression.clocks):
                yield datetime.combine(day, expression.clock(number))
        fruitless, first = fruitless + 1, 0
        if fruitless > _DAYS_OF_50_YEARS:
            return


def count_wall_clock(expression: str, zone: ZoneInfo, after: datetime, until: datetime) -> int:
    """Count the fires in (after, until] of an expression that follows the wall clock, by the day."""
    parsed = _parsed(expression)
    count, offset, calm, begin = 0, offset_at(after, zone), after, after
    while True:
        change = next_change(calm, until, zone)
        end = until if change is None else change - TICK
        count += _count_walls(parsed, (begin + offset).replace(tzinfo=None), (end + offset).replace(tzinfo=None))
        if change is None:
            return count
        offset, calm, begin = offset_at(change, zone), change, change - TICK


def _count_walls(expression: _Expression, after: datetime, until: datetime) -> int:
    """Count the naive wall times in (after, until] that match."""
    first, last = after.toordinal(), until.toordinal()
    count = expression.clocks * sum(expression.has_day(date.fromordinal(day)) for day in range(first, last + 1))
    if expression.has_day(after.date()):
        count -= expression.clocks_through(after.time())
    if expression.has_day(until.date()):
        count -= expression.clocks - expression.clocks_through(until.time())
    return count
