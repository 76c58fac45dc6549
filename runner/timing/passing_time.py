"""The fires of rules that measure passing time: intervals, and cron that follows the clock.

Pure. Such a rule may have millions of fires, so this module counts them by arithmetic and
jumps over the dates that may not fire. A fire belongs to the date that the clocks of the
rule's zone show. A fire that moves keeps its time of day.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import groupby, takewhile
from operator import itemgetter
from typing import TypeGuard
from zoneinfo import ZoneInfo

from runner.timing.calendars import is_blocked, next_blocked
from runner.timing.cron.cron_expression import follows_the_wall_clock
from runner.timing.cron.cron_fires import count_wall_clock, wall_clock_fires
from runner.timing.named_days import GREGORIAN_CYCLE, DateMover, earliest_source, next_allowed
from runner.timing.rules import Cron, Interval, Pattern, Rule
from runner.timing.zones import (
    END,
    TICK,
    first_instant,
    instant_on_its_day,
    kept_by_zone_data,
    next_change,
    stretches_of,
    wall_at,
    zone_named,
)
from runner.values import EPOCH

_DAY = timedelta(days=1)


def measures_passing_time(pattern: Pattern) -> TypeGuard[Interval | Cron]:
    """Return whether a rule measures passing time instead of naming times of day.

    Intervals do, and cron whose second, minute or hour begins with `*`.
    """
    return isinstance(pattern, Interval) or (
        isinstance(pattern, Cron) and follows_the_wall_clock(pattern.expression)
    )


def pattern_instants(rule: Rule, pattern: Interval | Cron, after: datetime) -> Iterator[datetime]:
    """Yield the fires of the pattern alone, later than `after`, ascending."""
    if isinstance(pattern, Interval):
        return _interval_fires(rule.start or EPOCH, timedelta(seconds=pattern.seconds), after)
    return wall_clock_fires(pattern.expression, zone_named(rule.zone), after)


def _interval_fires(anchor: datetime, step: timedelta, after: datetime) -> Iterator[datetime]:
    for index in range((after - anchor) // step + 1, (END - anchor) // step):
        yield anchor + index * step


def passing_fires(rule: Rule, pattern: Interval | Cron, after: datetime) -> Iterator[datetime]:
    """Yield the fires later than `after`, ascending; each as often as fires meet at it."""
    if not rule.has_calendar:
        return pattern_instants(rule, pattern, after)
    if not rule.moves:
        return _unmoved(rule, pattern, after)
    return _with_moved(rule, pattern, after)


def _with_moved(rule: Rule, pattern: Interval | Cron, after: datetime) -> Iterator[datetime]:
    """Merge the fires that stay and the fires that moved.

    The fires that moved to a date are listed only when the walk reaches that date.
    """
    zone, cursor = zone_named(rule.zone), after
    for target, sources in _moves(rule, pattern, after):
        begin = max(cursor, first_instant(target, zone) - TICK)
        yield from _unmoved(rule, pattern, cursor, begin)
        moved = _moved_onto(rule, pattern, target, sources)
        cursor = max(begin, first_instant(target + _DAY, zone) - TICK, *moved[-1:])
        staying = _unmoved(rule, pattern, begin, cursor)
        yield from heapq.merge(staying, moved[bisect_right(moved, after) :])
    yield from _unmoved(rule, pattern, cursor)


def _unmoved(
    rule: Rule, pattern: Interval | Cron, after: datetime, until: datetime = END
) -> Iterator[datetime]:
    """Yield the fires in (after, until] that stay on their dates.

    From a date that may not fire, jump to the next that may. Jumping keeps a rule of one
    fire a second from stepping through a whole holiday. Ends after 400 years without a
    fire, because then the calendar repeats itself.
    """
    zone, begin = zone_named(rule.zone), after
    enough = GREGORIAN_CYCLE + len(rule.excepted.days) * _DAY
    while begin < until:
        for fire in pattern_instants(rule, pattern, begin):
            if fire > until:
                return
            day = wall_at(fire, zone).date()
            if not _allows(rule, day):
                begin = _before_the_next(rule, day, fire, zone)
                break
            yield fire
            after = fire
        else:
            return
        if begin - after > enough:
            return


def _allows(rule: Rule, day: date) -> bool:
    return (rule.only is None or day in rule.only) and not is_blocked(
        day, rule.excepted, rule.shift
    )


def _before_the_next(rule: Rule, day: date, fire: datetime, zone: ZoneInfo) -> datetime:
    """Return the last tick before a date that may fire can begin, after `fire` on `day`.

    END if there is no such date.
    """
    following = next_allowed(rule, day)
    # The clocks may go back across midnight and show the date before once more.
    change = next_change(fire, min(fire + _DAY, END), zone)
    begins = [change] if change is not None else []
    if following is not None:
        begins.append(first_instant(following, zone))
    # In that second pass, the first instant of the following date lies before `fire`.
    return max(fire, min(begins) - TICK) if begins else END


def _moved(rule: Rule, pattern: Interval | Cron, after: datetime) -> Iterator[datetime]:
    """Yield the fires that moved to other dates, later than `after`, ascending."""
    for target, sources in _moves(rule, pattern, after):
        moved = _moved_onto(rule, pattern, target, sources)
        yield from moved[bisect_right(moved, after) :]


def _moves(
    rule: Rule, pattern: Interval | Cron, after: datetime
) -> Iterator[tuple[date, tuple[date, ...]]]:
    """Yield each date that fires move to, and the dates they come from, both ascending."""
    since = wall_at(after, zone_named(rule.zone)).date()
    mover = DateMover(rule)
    sources = _blocked_sources(rule, pattern, earliest_source(rule, since))
    moves = ((target, day) for day in sources if (target := mover.target(day)) is not None)
    for target, met in groupby(moves, key=itemgetter(0)):
        if target >= since:
            yield target, tuple(day for _, day in met)


@kept_by_zone_data(maxsize=16)  # a rule of one fire a second asks at each fire of that date
def _moved_onto(
    rule: Rule, pattern: Interval | Cron, target: date, sources: tuple[date, ...]
) -> tuple[datetime, ...]:
    zone = zone_named(rule.zone)
    times = sorted(fire.time() for day in sources for fire in _walls_on(rule, pattern, day))
    instants = (instant_on_its_day(datetime.combine(target, time), zone) for time in times)
    return tuple(instant for instant in instants if instant is not None)


def _blocked_sources(rule: Rule, pattern: Interval | Cron, since: date) -> Iterator[date]:
    """Yield the blocked dates from `since` on that have fires and that `only` admits."""
    zone = zone_named(rule.zone)
    day: date | None = since
    while day is not None:
        blocked = next_blocked(day, rule.excepted, rule.shift)
        day = blocked if rule.only is None or blocked is None else rule.only.next_from(blocked)
        if day is None or day != blocked:
            continue
        fire = next(pattern_instants(rule, pattern, first_instant(day, zone) - TICK), None)
        if fire is None:
            return
        if (shown_date := wall_at(fire, zone).date()) > day:
            day = shown_date  # skip what a sparse pattern does not name
            continue
        yield day
        day += _DAY


def _walls_on(rule: Rule, pattern: Interval | Cron, day: date) -> Iterator[datetime]:
    """Yield the wall times of the pattern's fires on a date."""
    zone = zone_named(rule.zone)
    # The first fire of an interval is its start; a cron expression has fires before it too.
    first = (rule.start or EPOCH) if isinstance(pattern, Interval) else EPOCH
    for begin, end in _stretches(day, rule.zone):
        for fire in pattern_instants(rule, pattern, max(begin, first) - TICK):
            if fire >= end:
                break
            yield wall_at(fire, zone)


@kept_by_zone_data(maxsize=1 << 14)
def _stretches(day: date, zone: str) -> tuple[tuple[datetime, datetime], ...]:
    return tuple(stretches_of(day, zone_named(zone)))


def count(rule: Rule, pattern: Interval | Cron, after: datetime, until: datetime) -> int:
    """Count the fires in (after, until]: unmoved ones by arithmetic, moved ones singly."""
    number = _count_unmoved(rule, pattern, after, until)
    if rule.moves:
        moved = takewhile(lambda fire: fire <= until, _moved(rule, pattern, after))
        alone = (fire for fire, _ in groupby(moved) if not _is_unmoved(rule, pattern, fire))
        number += sum(1 for _ in alone)
    return number


def _is_unmoved(rule: Rule, pattern: Interval | Cron, fire: datetime) -> bool:
    return next(_unmoved(rule, pattern, fire - TICK), None) == fire


def _count_unmoved(rule: Rule, pattern: Interval | Cron, after: datetime, until: datetime) -> int:
    if not rule.has_calendar:
        return _count_all(rule, pattern, after, until)
    zone = zone_named(rule.zone)
    first, last = wall_at(after, zone).date() - _DAY, wall_at(until, zone).date() + _DAY
    if rule.only is not None:
        days = (day for day in rule.only.within(first, last) if _allows(rule, day))
        return sum(_count_on(day, rule, pattern, after, until) for day in days)
    left = sum(
        _count_on(day, rule, pattern, after, until) for day in blocked_within(rule, first, last)
    )
    return _count_all(rule, pattern, after, until) - left


def blocked_within(rule: Rule, first: date, last: date) -> Iterator[date]:
    """Yield the dates from `first` to `last` on which nothing may fire, ascending."""
    day = next_blocked(first, rule.excepted, rule.shift)
    while day is not None and day <= last:
        yield day
        day = next_blocked(day + _DAY, rule.excepted, rule.shift)


def _count_on(
    day: date, rule: Rule, pattern: Interval | Cron, after: datetime, until: datetime
) -> int:
    return sum(
        _count_all(rule, pattern, max(after, begin - TICK), min(until, end - TICK))
        for begin, end in _stretches(day, rule.zone)
    )


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
    found = takewhile(lambda fire: fire <= until, passing_fires(rule, pattern, begin))
    return tuple(fire for fire, _ in groupby(found))[-keep:]
