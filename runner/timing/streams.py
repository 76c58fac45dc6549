"""Yield the fires of a rule, ignoring start, finish and repetitions. Pure.

`upcoming` adds these bounds. The dates of `except` and `only`, and the moves of `shift`, are
already in here.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import groupby, repeat

from runner.timing.named_days import clocks, fire_days
from runner.timing.passing_time import measures_passing_time, passing_fires
from runner.timing.rules import Rule
from runner.timing.zones import END, instant_on_its_day, wall_at, zone_named


def endless(rule: Rule, after: datetime) -> Iterator[datetime]:
    """Yield the fires later than `after` (UTC), strictly ascending, until the year 9999."""
    found = unmerged(rule, after)
    return (fire for fire, _ in groupby(found)) if rule.moves else found


def unmerged(rule: Rule, after: datetime) -> Iterator[datetime]:
    """Yield the fires later than `after`, ascending; each as often as fires meet at it.

    Fires meet that moved to one date and have the same time of day.
    """
    if after >= END:
        return iter(())
    if measures_passing_time(rule.pattern):
        return passing_fires(rule, rule.pattern, after)
    return _named_fires(rule, after)


def _named_fires(rule: Rule, after: datetime) -> Iterator[datetime]:
    zone, last = zone_named(rule.zone), after
    # `to_instant` is monotonic: a wall time up to the one shown at `after` is an instant up
    # to `after`. No fire is lost by starting at the wall time that the clocks show then.
    shown = wall_at(after, zone)
    today = shown.date()
    for day, met in fire_days(rule, today):
        for at in clocks(rule, shown.time() if day == today else None):
            instant = instant_on_its_day(datetime.combine(day, at), zone)
            # Two times of day in one gap are one instant: it fires once.
            if instant is not None and instant > last:
                last = instant
                if met == 1:
                    yield instant
                else:
                    yield from repeat(instant, met)
