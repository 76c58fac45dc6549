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
from itertools import chain, groupby, takewhile
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

    The fires that moved to a date are listed only when the walk reaches that date. Ends
    after 400 years without a fire, because then the calendar repeats itself.
    """
    zone, cursor, last = zone_named(rule.zone), after, after
    for target, sources in _moves(rule, pattern, after):
        begin = max(cursor, first_instant(target, zone) - TICK)
        moved = _moved_onto(rule, pattern, target, sources)
        end = max(begin, first_instant(target + _DAY, zone) - TICK, *moved[-1:])
        onto = heapq.merge(_unmoved(rule, pattern, begin, end), moved[bisect_right(moved, after) :])
        for fire in chain(_unmoved(rule, pattern, cursor, begin), onto):
            yield fire
            last = fire
        if end - last > _enough(rule):
            return
        cursor = end
    yield from _unmoved(rule, pattern, cursor)


def _enough(rule: Rule) -> timedelta:
    """Return for how long a rule that still fires may not fire: excepted dates do not repeat."""
    return GREGORIAN_CYCLE + len(rule.excepted.days) * _DAY


def _unmoved(
    rule: Rule, pattern: Interval | Cron, after: datetime, until: datetime = END
) -> Iterator[datetime]:
    """Yield the fires in (after, until] that stay on their dates.

    From a date that may not fire, jump to the next that may. Jumping keeps a rule of one
    fire a second from stepping through a whole holiday. Ends after 400 years without a
    fire, because then the calendar repeats itself.
    """
    zone, begin = zone_named(rule.zone), after
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
        if begin - after > _enough(rule):
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


def _moved(
    rule: Rule, pattern: Interval | Cron, after: datetime, until: datetime
) -> Iterator[datetime]:
    """Yield the fires in (after, until] that moved to other dates, ascending."""
    last = wall_at(until, zone_named(rule.zone)).date() + _DAY
    for target, sources in takewhile(lambda each: each[0] <= last, _moves(rule, pattern, after)):
        moved = _moved_onto(rule, pattern, target, sources)
        yield from moved[bisect_right(moved, after) : bisect_right(moved, until)]


def _moves(
    rule: Rule, pattern: Interval | Cron, after: datetime
) -> Iterator[tuple[date, tuple[date, ...]]]:
    """Yield dates that fires may move to, and the dates they come from, both ascending.

    A date that none comes from is yielded too: it says how far the walk has come. The
    walk to the next source may be endless, and fires that stay must not wait for it.
    """
    since = wall_at(after, zone_named(rule.zone)).date()
    for target, met in groupby(_sources(rule, pattern, since), key=itemgetter(0)):
        if target >= since:
            yield target, tuple(day for _, day in met if day is not None)


def _sources(
    rule: Rule, pattern: Interval | Cron, since: date
) -> Iterator[tuple[date, date | None]]:
    """Yield where blocked dates move to, and the date itself if it has fires.

    Dates whose fires are dropped are passed over. Ends after 400 years of them.
    """
    mover, dropped, enough = DateMover(rule), 0, _enough(rule).days
    day = next_blocked(earliest_source(rule, since), rule.excepted, rule.shift)
    while day is not None and dropped <= enough:
        following = day + _DAY
        target = mover.target(day)
        dropped = dropped + 1 if target is None else 0
        if target is not None:
            named = _next_named(rule, pattern, day)
            if named is None:
                return
            yield target, day if named == day else None
            following = max(named, following)
        day = next_blocked(following, rule.excepted, rule.shift)


def _next_named(rule: Rule, pattern: Interval | Cron, day: date) -> date | None:
    """Return `day` if it has fires that `only` admits, else a later date, before which no
    date has any; None if there is none.
    """
    if rule.only is not None and day not in rule.only:
        return rule.only.next_from(day)
    zone = zone_named(rule.zone)
    fire = next(pattern_instants(rule, pattern, first_instant(day, zone) - TICK), None)
    # The clocks may go back across midnight and show the date before once more.
    return None if fire is None else max(day, wall_at(fire, zone).date())


@kept_by_zone_data(maxsize=16)  # a rule of one fire a second asks at each fire of that date
def _moved_onto(
    rule: Rule, pattern: Interval | Cron, target: date, sources: tuple[date, ...]
) -> tuple[datetime, ...]:
    zone = zone_named(rule.zone)
    times = sorted(fire.time() for day in sources for fire in _walls_on(rule, pattern, day))
    instants = (instant_on_its_day(datetime.combine(target, time), zone) for time in times)
    return tuple(instant for instant in instants if instant is not None)


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
        moved = _moved(rule, pattern, after, until)
        alone = (fire for fire, _ in groupby(moved) if not _is_unmoved(rule, pattern, fire))
        number += sum(1 for _ in alone)
    return number


def _is_unmoved(rule: Rule, pattern: Interval | Cron, fire: datetime) -> bool:
    return next(_unmoved(rule, pattern, fire - TICK, fire), None) == fire


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
