"""The fires of a span that a calendar moved from other dates. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from heapq import merge
from itertools import islice
from zoneinfo import ZoneInfo

from runner.planning.coming_fires import standing
from runner.planning.forecast.fire_sequences import FireSequences, Timetable
from runner.planning.moved_fires import moved_words
from runner.planning.states.pauses import NO_PAUSES, Pauses
from runner.planning.states.state import RequestState
from runner.requests.model import Outline, Schedule
from runner.timing.calendars import is_blocked
from runner.timing.rules import Rule
from runner.timing.zones import day_exists, first_instant, wall_at, zone_named
from runner.values import from_microseconds, to_microseconds

_DAY = timedelta(days=1)
_MOST_ON_A_DATE = 24
"""A rule of many fires a day names no more of one date: they all come from the same one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedFire:
    """A fire that a calendar moved; `origin` says in words from where."""

    request: str
    fire: datetime
    origin: str


def moved_fires(
    requests: Iterable[Outline],
    states: Mapping[str, RequestState],
    *,
    begin: datetime,
    end: datetime,
    now: datetime,
    pauses: Pauses = NO_PAUSES,
) -> Iterator[MovedFire]:
    """Yield the fires in [begin, end) that a calendar moved, ascending."""
    timetable = Timetable(begin, end)
    found = []
    for request in requests:
        if isinstance(request.timing, Schedule) and request.timing.rule.moves:
            state = standing(request, states.get(request.name), now)
            fires = timetable.of(request, state, pauses.held(request))
            found.append(_moved(request, request.timing.rule, fires, timetable))
    return merge(*found, key=lambda each: each.fire)


def _moved(
    request: Outline, rule: Rule, found: FireSequences, timetable: Timetable
) -> Iterator[MovedFire]:
    zone = zone_named(rule.zone)
    day, last = wall_at(timetable.begin, zone).date(), wall_at(timetable.end, zone).date()
    while found.count and day <= last:
        if _may_receive(rule, day, zone):
            on_date = found.within(
                to_microseconds(first_instant(day, zone)),
                to_microseconds(first_instant(day + _DAY, zone)),
            )
            for fire in map(from_microseconds, islice(on_date, _MOST_ON_A_DATE)):
                if origin := moved_words(request, fire):
                    yield MovedFire(request=request.name, fire=fire, origin=origin)
        day += _DAY


def _may_receive(rule: Rule, day: date, zone: ZoneInfo) -> bool:
    """Return whether fires may move to a date: its neighbour on the way there is not free."""
    before = day - rule.shift.step * _DAY
    return is_blocked(before, rule.excepted, rule.shift) or not day_exists(before, zone)
