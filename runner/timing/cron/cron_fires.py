"""Compute when a cron expression fires. Pure.

This module does the times of day and the zones itself, because cronsim 2.8 has four errors
in zones:

- It skips fires after a shift of half an hour (`0 */4 * * *`, Lord Howe).
- Where midnight is missing, it fires at 01:00 for hour 0, but not if asked from a nearer
  instant (`*/15 0 * * FRI`, Cairo).
- Inside an overlap, it can return an earlier instant than the one it started from.
- It fires on a day that does not exist (Apia).

An expression that names times of day fires once at each of them on each of its days: after a
gap if it lies in one, and the first time only in an overlap. An expression that follows the
wall clock fires whenever the clock shows a matching time.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from runner.timing.cron.cron_expression import Expression, parsed
from runner.timing.zones import END, TICK, next_change, offset_at

# The rarest date, 29 February on a given weekday, recurs within 40 years.
_DAYS_OF_50_YEARS = 18_263


def wall_clock_fires(text: str, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    """Yield the instants later than `after` (UTC) at which the wall clock matches.

    Between two clock changes, wall time is UTC plus a constant offset. Walk each such
    stretch in wall time, and restart at each change with the new offset. Wall times of a
    gap then never come up, and those of an overlap come up twice. The iterator ends after
    50 years without a fire.
    """
    expression = parsed(text)
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


def _walls(expression: Expression, after: datetime) -> Iterator[datetime]:
    """Yield the matching naive wall times later than `after`."""
    first = expression.clocks_through(after.time())
    for day in matching_days(expression, after.date()):
        begin = first if day == after.date() else 0
        for number in range(begin, expression.clocks):
            yield datetime.combine(day, expression.clock(number))


def matching_days(expression: Expression, since: date) -> Iterator[date]:
    """Yield the dates from `since` on that match; ends after 50 years without one."""
    fruitless = 0  # days in a row without a match
    for ordinal in range(since.toordinal(), END.toordinal()):
        day = date.fromordinal(ordinal)
        if expression.has_day(day):
            fruitless = 0
            yield day
        fruitless += 1
        if fruitless > _DAYS_OF_50_YEARS:
            return


def count_wall_clock(expression: str, zone: ZoneInfo, after: datetime, until: datetime) -> int:
    """Count the fires in (after, until] of an expression that follows the wall clock.

    Counts whole days, one stretch of constant offset after the other, like `wall_clock_fires`.
    """
    found = parsed(expression)
    count, offset, calm, begin = 0, offset_at(after, zone), after, after
    while True:
        change = next_change(calm, until, zone)
        end = until if change is None else change - TICK
        count += _count_walls(
            found, (begin + offset).replace(tzinfo=None), (end + offset).replace(tzinfo=None)
        )
        if change is None:
            return count
        offset, calm, begin = offset_at(change, zone), change, change - TICK


def _count_walls(expression: Expression, after: datetime, until: datetime) -> int:
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
