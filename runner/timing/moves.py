"""Say what a calendar did to single fires: where one came from, or where it went. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from runner.timing.calendars import FARTHEST_MOVE, is_blocked
from runner.timing.named_days import DateMover
from runner.timing.rules import Rule
from runner.timing.streams import endless
from runner.timing.zones import TICK, day_exists, instant_on_its_day, wall_at, zone_named

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
    times = rule.at or (wall.time(),)
    return tuple(
        sorted(
            day
            for day in _possible_origins(rule, target, zone)
            for each in times
            if _is_at(target, each, fire, zone)
            and _is_chosen(rule, day, instant_on_its_day(datetime.combine(day, each), zone))
        )
    )


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
    # In a gap, the clocks show another time of day than the rule names.
    named = (each for each in rule.at if _is_at(wall.date(), each, at, zone))
    return instant_on_its_day(datetime.combine(target, next(named, wall.time())), zone)


def _is_at(day: date, clock: time, at: datetime, zone: ZoneInfo) -> bool:
    return instant_on_its_day(datetime.combine(day, clock), zone) == at
