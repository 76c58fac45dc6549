"""Yield and count the fires of a rule, ignoring start, finish and repetitions. Pure.

`upcoming` adds these bounds. Excepted dates are already left out here.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import takewhile
from typing import TypeGuard

from runner.timing.cron import count_wall_clock, cron_fires
from runner.timing.cron_expression import follows_the_wall_clock
from runner.timing.days import days
from runner.timing.rules import (
    CalendarPattern,
    Cron,
    Daily,
    Interval,
    Monthly,
    Pattern,
    Rule,
    Weekly,
)
from runner.timing.zones import (
    END,
    TICK,
    instant_on_its_day,
    kept_by_zone_data,
    stretches_of,
    wall_at,
    zone_named,
)
from runner.values import EPOCH

_FIRST_DAY = EPOCH.date()


def endless(rule: Rule, after: datetime) -> Iterator[datetime]:
    """Yield the fires later than `after` (UTC), strictly ascending, until the year 9999."""
    if after >= END:
        return iter(())
    match rule.pattern:
        case Daily() | Weekly() | Monthly() as pattern:
            return _calendar_fires(rule, pattern, after)
        case Interval() | Cron() as pattern if not rule.excepted:
            return _instants(rule, pattern, after)
        case Interval() | Cron() as pattern:
            return _instants_not_excepted(rule, pattern, after)


def _calendar_fires(rule: Rule, pattern: CalendarPattern, after: datetime) -> Iterator[datetime]:
    zone, last = zone_named(rule.zone), after
    anchor = wall_at(rule.start, zone).date() if rule.start else _FIRST_DAY
    # `to_instant` is monotonic: a wall time up to the one shown at `after` is an instant up
    # to `after`. No fire is lost by starting on the day that the clocks show at `after`.
    for day in days(pattern, anchor, wall_at(after, zone).date()):
        if day in rule.excepted:
            continue
        for at in rule.at:
            instant = instant_on_its_day(datetime.combine(day, at), zone)
            # Two times of day in one gap are one instant: it fires once.
            if instant is not None and instant > last:
                yield instant
                last = instant


def _instants(rule: Rule, pattern: Interval | Cron, after: datetime) -> Iterator[datetime]:
    if isinstance(pattern, Interval):
        return _interval_fires(rule.start or EPOCH, timedelta(seconds=pattern.seconds), after)
    return cron_fires(pattern.expression, zone_named(rule.zone), after)


def _interval_fires(anchor: datetime, step: timedelta, after: datetime) -> Iterator[datetime]:
    for index in range((after - anchor) // step + 1, (END - anchor) // step):
        yield anchor + index * step


def _instants_not_excepted(
    rule: Rule, pattern: Interval | Cron, after: datetime
) -> Iterator[datetime]:
    """Walk the stream; when it enters an excepted stretch, restart it behind the stretch.

    Restarting keeps a rule of one fire a second from stepping through a whole holiday.
    """
    begins, ends = _excepted_stretches(rule.excepted, rule.zone)
    while True:
        for fire in _instants(rule, pattern, after):
            place = bisect_right(begins, fire) - 1
            if place >= 0 and fire < ends[place]:
                after = ends[place] - TICK
                break
            yield fire
        else:
            return


@kept_by_zone_data(maxsize=256)  # many requests share a file of holidays
def _excepted_stretches(
    excepted: frozenset[date], zone: str
) -> tuple[tuple[datetime, ...], tuple[datetime, ...]]:
    """Return the starts and the ends of the stretches in which `zone` shows these dates.

    Both tuples ascend, so `bisect` finds the stretch of an instant.
    """
    known = sorted(day for day in excepted if _FIRST_DAY <= day < END.date())
    stretches = sorted(stretch for day in known for stretch in stretches_of(day, zone_named(zone)))
    return tuple(begin for begin, _ in stretches), tuple(end for _, end in stretches)


def measures_passing_time(pattern: Pattern) -> TypeGuard[Interval | Cron]:
    """Return whether a rule measures passing time instead of naming times of day.

    Intervals do, and cron whose second, minute or hour begins with `*`. Such a rule may
    have millions of fires, so this module counts them by arithmetic.
    """
    return isinstance(pattern, Interval) or (
        isinstance(pattern, Cron) and follows_the_wall_clock(pattern.expression)
    )


def count(rule: Rule, pattern: Interval | Cron, after: datetime, until: datetime) -> int:
    """Count the fires in (after, until] by arithmetic: all fires minus the excepted ones."""
    number = _count_all(rule, pattern, after, until)
    if rule.excepted:
        for begin, end in zip(*_excepted_stretches(rule.excepted, rule.zone), strict=True):
            number -= _count_all(rule, pattern, max(after, begin - TICK), min(until, end - TICK))
    return number


def _count_all(rule: Rule, pattern: Interval | Cron, after: datetime, until: datetime) -> int:
    if after >= until:
        return 0
    if isinstance(pattern, Interval):
        anchor, step = rule.start or EPOCH, timedelta(seconds=pattern.seconds)
        return (until - anchor) // step - (after - anchor) // step
    return count_wall_clock(pattern.expression, zone_named(rule.zone), after, until)


def latest(
    rule: Rule, pattern: Interval | Cron, after: datetime, until: datetime, keep: int
) -> tuple[datetime, ...]:
    """Return the last `keep` fires in (after, until], ascending.

    Doubles the distance it looks back until it finds enough of them.
    """
    if keep < 1:
        return ()
    look_back = timedelta(minutes=1)
    while until - look_back > after and count(rule, pattern, until - look_back, until) < keep:
        look_back *= 2
    begin = max(after, until - look_back)
    return tuple(takewhile(lambda fire: fire <= until, endless(rule, begin)))[-keep:]
