"""Answer the one question of a trigger: when does a rule fire next after t? Pure.

The answer depends on t alone, never on where an earlier walk began. A runner can
therefore restart, and another machine computes the same fires. A rule without `start`
fires from 1970-01-01T00:00Z on.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, takewhile

from runner.timing.passing_time import count, latest, measures_passing_time
from runner.timing.rules import Interval, Rule
from runner.timing.streams import endless, unmerged
from runner.timing.zones import END, TICK, kept_by_zone_data
from runner.values import EPOCH

_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A summary of a rule's fires in a stretch of time.

    It holds their number, the first one, and the latest few, ascending.
    """

    count: int
    first: datetime | None
    latest: tuple[datetime, ...]


@kept_by_zone_data(maxsize=1 << 14)  # registration asks, and planning asks the same again
def next_fire(
    rule: Rule, after: datetime, *, counted_from: datetime | None = None
) -> datetime | None:
    """Return the first fire later than `after` (UTC), or None if there is none.

    A reschedule sets `counted_from`: `repetitions` then count from just after that
    instant, not from the rule's start. A rule without `repetitions` ignores it.
    """
    return next(fires(rule, after, counted_from=counted_from), None)


def fires(
    rule: Rule, after: datetime, *, counted_from: datetime | None = None
) -> Iterator[datetime]:
    """Yield the fires later than `after`, ascending; endless if the rule has no end."""
    after, until = _bounds(rule, after, counted_from)
    if after >= until:  # the walk to the next fire may be long
        return
    for fire in endless(rule, after):
        if fire > until:
            return
        yield fire


def span(
    rule: Rule,
    after: datetime,
    until: datetime,
    *,
    keep: int = 1,
    counted_from: datetime | None = None,
) -> Span:
    """Summarise the fires in (after, until]; `latest` holds the last `keep` of them.

    It counts the fires of an interval by arithmetic, and of cron that follows the wall
    clock day by day. Other rules have few fires a day, so it walks over them.
    """
    after, end = _bounds(rule, after, counted_from)
    until = min(until, end)
    found = takewhile(lambda fire: fire <= until, endless(rule, after) if after < until else ())
    first = next(found, None)
    if first is None:
        return Span(count=0, first=None, latest=())
    if measures_passing_time(rule.pattern):
        kept = latest(rule, rule.pattern, after, until, keep)
        return Span(count=count(rule, rule.pattern, after, until), first=first, latest=kept)
    number, last = 1, deque([first], maxlen=keep)
    for fire in found:
        number += 1
        last.append(fire)
    return Span(count=number, first=first, latest=tuple(last))


def spread_offset(name: str, spread: timedelta) -> timedelta:
    """Return the stable delay of a request: whole milliseconds in [0, spread).

    It depends on the name alone, so every machine and every restart agree on it.
    """
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    return number % max(1, spread // _MILLISECOND) * _MILLISECOND


def _bounds(
    rule: Rule, after: datetime, counted_from: datetime | None
) -> tuple[datetime, datetime]:
    """Return the bounds (after, until] between which the rule may fire."""
    after = max(after, (rule.start or EPOCH) - TICK)
    until = rule.finish or END
    if rule.repetitions is not None:
        after = max(after, counted_from or after)
        until = min(until, _last_counted(rule, counted_from))
    return after, min(until, END)


@kept_by_zone_data(maxsize=1 << 15)
def _last_counted(rule: Rule, counted_from: datetime | None) -> datetime:
    """Return an upper bound that admits exactly the fires that `repetitions` allows.

    It lies at or after the last allowed fire, and before the one that follows. Fires that
    moved to one instant count one by one.
    """
    assert rule.repetitions is not None
    after = (rule.start or EPOCH) - TICK
    after = max(after, counted_from or after)
    if isinstance(rule.pattern, Interval) and rule.only is None and not rule.moves:
        return _last_counted_interval(rule, rule.pattern, after, rule.repetitions)
    return next(islice(unmerged(rule, after), rule.repetitions, None), END)


def _last_counted_interval(
    rule: Rule, pattern: Interval, after: datetime, repetitions: int
) -> datetime:
    """Return the last allowed fire of an interval without walking over its fires.

    Each excepted fire moves the last one an interval further, which may pass more
    excepted dates. Repeat until the number of excepted fires stays the same.
    """
    step = timedelta(seconds=pattern.seconds)
    anchor = rule.start or EPOCH
    first = anchor + ((after - anchor) // step + 1) * step
    further = repetitions
    while further < (END - first) // step:
        last = first + further * step
        excepted = further + 1 - count(rule, pattern, after, last)
        if further == repetitions + excepted:
            return last
        further = repetitions + excepted
    return END
