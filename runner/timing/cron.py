"""Compute when a cron expression fires. Pure.

cronsim parses the expression and decides which days match. This module does the times of
day and the zones itself, because cronsim 2.8 has four errors in zones:

- It skips fires after a shift of half an hour (`0 */4 * * *`, Lord Howe).
- Where midnight is missing, it fires at 01:00 for hour 0, but not if asked from a nearer
  instant (`*/15 0 * * FRI`, Cairo).
- Inside an overlap, it can return an earlier instant than the one it started from.
- It fires on a day that does not exist (Apia).

As in Debian's cron, an expression whose hour and minute do not begin with `*` names
times of day. Each time fires once on each of its days: after a gap if it lies in one, and
the first time only in an overlap. All other expressions follow the wall clock: they fire
whenever the clock shows a matching time. The same holds here for 6 fields: `0 30 2 * * *`
means the same as `30 2 * * *`. (In cronsim, 6 fields always follow the wall clock.)

cronsim reads `5-5/2` as `5/2`, "from 5 on", and Debian's cron reads it as 5.
`cron_fields` rewrites such terms so that cronsim's days and words agree with Debian.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import lru_cache
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from runner.errors import RuleError
from runner.timing.cron_fields import DAY, FIELDS, CronField, layout, unambiguous
from runner.timing.texts import shortened
from runner.timing.translation import Translation, translated
from runner.timing.zones import END, TICK, instant_on_its_day, next_change, offset_at, wall_at

# cronsim requires a time to start from. This module uses only its parsed fields.
_ANY_TIME = datetime(1970, 1, 1)  # noqa: DTZ001
# The rarest date, 29 February on a given weekday, recurs within 40 years.
_DAYS_OF_50_YEARS = 18_263
# In characters. All 60 minutes, 24 hours and 31 days, listed, are 310.
_LONGEST = 500
_STEPPED_LAST = re.compile(r"\bLW?/")
_NO_SCHEDULE = {
    "@reboot": "nothing runs at each start of the runner; "
    "run_immediately as the timing runs once, when first seen",
}


def read_expression(text: str, *, field: tuple[str | int, ...]) -> str:
    """Return the expression with single spaces between its fields.

    Raises RuleError, which suggests a fix, for an expression that cannot be read.
    """
    if expression := _accepted(text):
        return expression
    meant = schedule_meant(text)
    raise _unreadable(text, text.split(), field, meant.suggestion if meant else None)


def schedule_meant(text: str) -> Translation | None:
    """Translate an expression of another scheduler.

    Returns None if no schedule has exactly the same meaning.
    """
    meant = translated(text)
    if meant is None or _accepted(str(meant.schedule.get("expression", "* * * * *"))) is None:
        return None
    return meant


def is_expression(text: str) -> bool:
    """Return whether a text is a cron expression that Runner reads."""
    return _accepted(text) is not None


def _accepted(text: str) -> str | None:
    fields = text.split()
    if (
        len(fields) not in {5, 6}
        or len(text) > _LONGEST
        or _STEPPED_LAST.search(fields[-3].upper())
    ):
        return None
    expression = " ".join(fields)
    try:
        _parsed(expression)
    except CronSimError:
        return None
    return expression


def _unreadable(
    text: str, fields: list[str], field: tuple[str | int, ...], written: str | None
) -> RuleError:
    """Return the error of an expression, naming the field that cannot be read.

    If each field alone can be read, the days and months contradict each other.
    """
    if written and re.search("[?=]", text):
        return RuleError(
            f"{shortened(text)} is not a cron expression as Runner reads it",
            field=field,
            suggestion=written,
        )
    if len(fields) not in {5, 6} or len(text) > _LONGEST:
        message = f"{shortened(text)} is not a cron expression: it has {_counted_fields(fields)}"
        otherwise = (
            'write 5, minute hour day month weekday, like "30 2 * * MON-FRI", '
            "or 6 with seconds first"
        )
        return RuleError(
            message,
            field=field,
            suggestion=written or _NO_SCHEDULE.get(text.strip().lower()) or otherwise,
        )
    for cron_field, part in zip(layout(fields), fields, strict=True):
        alone = [part if cron_field is other else "*" for other in FIELDS]
        if _accepted(" ".join(alone)) is None:
            message = f"{shortened(part)} is not a valid {cron_field.name} in a cron expression"
            return RuleError(
                message, field=field, suggestion=written or _way_out(part.upper(), cron_field)
            )
    return never_matches(" ".join(fields), field=field)


def _counted_fields(fields: list[str]) -> str:
    return f"{len(fields)} field{'' if len(fields) == 1 else 's'}"


def _way_out(part: str, cron_field: CronField) -> str:
    """Suggest what to write in place of a field that cannot be read."""
    if re.search(r"/0+(?!\d)", part):
        return f"a step is at least 1; * alone is every {cron_field.name}"
    if cron_field is DAY and _STEPPED_LAST.search(part):
        return "the last day has no step: L is the last day of the month, LW the last workday"
    if cron_field is DAY and "L-" in part:
        return (
            "days before the last cannot be counted; "
            "L is the last day of the month, LW the last workday"
        )
    if cron_field is DAY and re.search(r"\dW", part):
        return "the workday nearest to a day has no expression; LW is the last workday of the month"
    if "?" in part:
        return f"write * for every {cron_field.name}"
    return f"allowed are {cron_field.allowed}"


def never_matches(expression: str, *, field: tuple[str | int, ...]) -> RuleError:
    """Return the error of an expression whose dates do not exist, such as 31 February."""
    return RuleError(
        f"{shortened(expression)} can never fire: no date matches its days and months",
        field=field,
        suggestion="L is the last day of any month",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Expression:
    """A parsed cron expression.

    Its matching times of day have numbers from 0, in order. Counting and jumping by
    number saves walking over the seconds of a day.
    """

    days: CronSim
    hours: tuple[int, ...]
    minutes: tuple[int, ...]
    seconds: tuple[int, ...]
    names_times_of_day: bool

    @property
    def clocks(self) -> int:
        """The number of times of day that match."""
        return len(self.hours) * len(self.minutes) * len(self.seconds)

    def has_day(self, day: date) -> bool:
        """Return whether a date matches the day, month and weekday fields."""
        return day.month in self.days.months and self.days.match_day(day)

    def clock(self, number: int) -> time:
        """Return the time of day with this number."""
        rest, second = divmod(number, len(self.seconds))
        hour, minute = divmod(rest, len(self.minutes))
        return time(self.hours[hour], self.minutes[minute], self.seconds[second])

    def clocks_through(self, clock: time) -> int:
        """Count the times of day that match, up to and including `clock`."""
        if clock.hour not in self.hours:
            return bisect_left(self.hours, clock.hour) * len(self.minutes) * len(self.seconds)
        minutes = self.hours.index(clock.hour) * len(self.minutes) + bisect_left(
            self.minutes, clock.minute
        )
        seconds = bisect_right(self.seconds, clock.second) if clock.minute in self.minutes else 0
        return minutes * len(self.seconds) + seconds


@lru_cache(maxsize=4096)
def _parsed(expression: str) -> _Expression:
    """Parse an expression. Raises CronSimError."""
    days = CronSim(unambiguous(expression), _ANY_TIME)
    return _Expression(
        days=days,
        hours=tuple(sorted(days.hours)),
        minutes=tuple(sorted(days.minutes)),
        seconds=tuple(sorted(days.seconds)),
        # The fields before day, month and weekday: minute and hour, perhaps seconds.
        names_times_of_day=not any(field.startswith("*") for field in expression.split()[:-3]),
    )


def explanation(expression: str) -> str:
    """Return what an expression means in English, in cronsim's words."""
    words = _parsed(expression).days.explain()
    return words[:1].lower() + words[1:]


def follows_the_wall_clock(expression: str) -> bool:
    """Return whether an expression fires whenever the wall clock matches.

    Any other expression names times of day.
    """
    return not _parsed(expression).names_times_of_day


def cron_fires(expression: str, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    """Yield the fires later than `after` (UTC), strictly ascending.

    The iterator ends after 50 years without a fire.
    """
    parsed = _parsed(expression)
    return (
        _named_times(parsed, zone, after)
        if parsed.names_times_of_day
        else _wall_clock(parsed, zone, after)
    )


def _named_times(expression: _Expression, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    """Yield each matching time of day once on each of its days."""
    last = after
    for wall in _walls(expression, wall_at(after, zone)):
        instant = instant_on_its_day(wall, zone)
        if instant is not None and instant > last:
            yield instant
            last = instant


def _wall_clock(expression: _Expression, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    """Yield the instants at which the wall clock matches.

    Between two clock changes, wall time is UTC plus a constant offset. Walk each such
    stretch in wall time, and restart at each change with the new offset. Wall times of a
    gap then never come up, and those of an overlap come up twice.
    """
    # No change lies in (after, calm]. The next wall time must be later than that of `begin`.
    offset, calm, begin = offset_at(after, zone), after, after
    while True:
        for wall in _walls(expression, (begin + offset).replace(tzinfo=None)):
            instant = (wall - offset).replace(tzinfo=UTC)
            change = next_change(calm, instant, zone)
            if change is not None:
                # `instant` uses an outdated offset: discard it. The change itself may
                # match, so begin just before it.
                offset, calm, begin = offset_at(change, zone), change, change - TICK
                break
            yield instant
            calm = instant
        else:
            return


def _walls(expression: _Expression, after: datetime) -> Iterator[datetime]:
    """Yield the matching naive wall times later than `after`."""
    fruitless = 0  # days in a row without a match
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
    """Count the fires in (after, until] of an expression that follows the wall clock.

    Counts whole days, one stretch of constant offset after the other, like `_wall_clock`.
    """
    parsed = _parsed(expression)
    count, offset, calm, begin = 0, offset_at(after, zone), after, after
    while True:
        change = next_change(calm, until, zone)
        end = until if change is None else change - TICK
        count += _count_walls(
            parsed, (begin + offset).replace(tzinfo=None), (end + offset).replace(tzinfo=None)
        )
        if change is None:
            return count
        offset, calm, begin = offset_at(change, zone), change, change - TICK


def _count_walls(expression: _Expression, after: datetime, until: datetime) -> int:
    """Count the matching naive wall times in (after, until]."""
    # Count all times of the first to the last day; then subtract those up to `after` on the
    # first day, and those later than `until` on the last one.
    first, last = after.toordinal(), until.toordinal()
    count = expression.clocks * sum(
        expression.has_day(date.fromordinal(day)) for day in range(first, last + 1)
    )
    if expression.has_day(after.date()):
        count -= expression.clocks_through(after.time())
    if expression.has_day(until.date()):
        count -= expression.clocks - expression.clocks_through(until.time())
    return count
