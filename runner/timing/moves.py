"""Say what a calendar did to single fires: where one came from, or where it went. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from runner.timing.calendars import FARTHEST_MOVE, is_blocked
from runner.timing.named_days import DateMover, clocks, pattern_days
from runner.timing.passing_time import measures_passing_time
from runner.timing.rules import Rule
from runner.timing.streams import endless
from runner.timing.zones import (
    TICK,
    day_exists,
    first_instant,
    instant_on_its_day,
    stretches_of,
    wall_at,
    zone_named,
)

_DAY = timedelta(days=1)


def origins(rule: Rule, fire: datetime) -> tuple[date, ...]:
    """Return the excepted dates whose fires moved to `fire`, ascending.

    None for a fire that the pattern itself names, even if others moved there too.
    """
    if not rule.moves:
        return ()
    zone = zone_named(rule.zone)
    wall = wall_at(fire, zone)
    target = wall.date()
    if not is_blocked(target, rule.excepted, rule.shift) and _is_chosen(rule, target, fire):
        return ()
    days = _possible_origins(rule, target, zone)
    return tuple(sorted(day for day in days if _has_moved(rule, day, target, fire, zone)))


def _has_moved(rule: Rule, day: date, target: date, fire: datetime, zone: ZoneInfo) -> bool:
    """Return whether a fire of `day` moved to the instant `fire` on the date `target`."""
    if rule.only is not None and day not in rule.only:
        return False
    if not measures_passing_time(rule.pattern):
        is_named = next(pattern_days(rule, day), None) == day
        return is_named and any(_is_at(target, each, fire, zone) for each in clocks(rule, None))
    wall = datetime.combine(day, wall_at(fire, zone).time(), zone)
    if any(names(rule, wall.replace(fold=fold).astimezone(UTC)) for fold in (0, 1)):
        return True
    # In a gap of `target`, the clocks show another time of day than that of the source.
    return _has_gap(target, zone) and any(
        _is_at(target, wall_at(at, zone).time(), fire, zone) for at in _fires_of(rule, day, zone)
    )


def _has_gap(day: date, zone: ZoneInfo) -> bool:
    """Return whether the clocks skip a part of a date."""
    begin, end = first_instant(day, zone), first_instant(day + _DAY, zone)
    return end - begin < _DAY


def _fires_of(rule: Rule, day: date, zone: ZoneInfo) -> Iterator[datetime]:
    for begin, end in stretches_of(day, zone):
        for at in endless(rule.by_pattern, begin - TICK):
            if at >= end:
                break
            yield at


def _possible_origins(rule: Rule, target: date, zone: ZoneInfo) -> Iterator[date]:
    day, mover = target, DateMover(rule)
    for _ in range(FARTHEST_MOVE):
        day -= rule.shift.step * _DAY
        if not is_blocked(day, rule.excepted, rule.shift):
            if day_exists(day, zone):
                return
        elif mover.target(day) == target:
            yield day


def _is_chosen(rule: Rule, day: date, at: datetime | None) -> bool:
    """Return whether the pattern names an instant on `day`, and `only` admits the date."""
    return at is not None and (rule.only is None or day in rule.only) and names(rule, at)


def names(rule: Rule, at: datetime) -> bool:
    """Return whether the pattern alone fires at an instant, whatever the calendar does to it."""
    return next(endless(rule.by_pattern, at - TICK), None) == at


def destination(rule: Rule, at: datetime) -> datetime | None:
    """Return where the pattern's fire at `at` goes: elsewhere, or None if it is dropped."""
    zone = zone_named(rule.zone)
    wall = wall_at(at, zone)
    if rule.only is not None and wall.date() not in rule.only:
        return None
    target = DateMover(rule).target(wall.date())
    if target is None:
        return None
    if target == wall.date():
        return at
    # In a gap, the clocks show another time of day than the rule names.
    times = () if measures_passing_time(rule.pattern) else clocks(rule, None)
    named = (each for each in times if _is_at(wall.date(), each, at, zone))
    return instant_on_its_day(datetime.combine(target, next(named, wall.time())), zone)


def _is_at(day: date, clock: time, at: datetime, zone: ZoneInfo) -> bool:
    return instant_on_its_day(datetime.combine(day, clock), zone) == at
