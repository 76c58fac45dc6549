"""Simulate a catalog for a span of time. Pure.

The result holds fires, starts per minute, overlaps, skipped fires and waits. Every fire
counts, most of them by arithmetic. The caller supplies how long the executions of each
request took so far; a request without a known duration takes no time.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from heapq import heapreplace, merge
from zoneinfo import ZoneInfo

from runner.errors import RefusedError, UsageError
from runner.planning.coming_fires import standing
from runner.planning.fires.firing import delay_of
from runner.planning.followed_references import followed
from runner.planning.forecast.fire_sequences import (
    MINUTE,
    FireSequences,
    Timetable,
    overlapping,
    skipped,
)
from runner.planning.forecast.starts_per_minute import starts_by_minute
from runner.planning.overlap import Guard, guard_of
from runner.planning.states.pauses import NO_PAUSES, Pauses
from runner.planning.states.state import RequestState
from runner.requests.model import ProcessRequest
from runner.timing.zones import wall_at
from runner.values import from_microseconds, to_microseconds

LONGEST = timedelta(days=366)
MOST_QUEUED = 2_000_000
_MICROSECOND = timedelta(microseconds=1)
# All present UTC offsets are whole quarters of an hour. A quarter of UTC therefore lies in a
# single hour of any zone.
_QUARTER_MINUTES = 15
_QUARTER = _QUARTER_MINUTES * MINUTE


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What one request would do."""

    request: str
    fires: int
    duration: timedelta | None
    """How long an execution takes; None if the request never ran."""
    overlapping: int = 0
    """Fires during the request's previous execution. With a guard, equal to `skipped`."""
    skipped: int = 0
    """Fires while an execution with the same process and context holds the guard."""
    waiting: int = 0
    """Fires that wait because `max_running` executions are running."""
    longest_wait: timedelta = timedelta()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rush:
    """The busiest minute, the first one if several are equal.

    `at` is its start, `starts` the number of starts in it. `requests` counts them by
    request, highest first.
    """

    at: datetime
    starts: int
    requests: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """The fires with a time in [begin, end), and when they would start.

    `loads` holds the requests that fire, the most frequent first. `quarters` counts the
    starts in each quarter of an hour from `origin` on. Spread delays starts, so the last
    quarters may lie after `end`.
    """

    begin: datetime
    end: datetime
    fires: int
    loads: tuple[Load, ...]
    rush: Rush | None
    origin: datetime
    quarters: tuple[int, ...]

    def by_day_and_hour(self, zone: ZoneInfo) -> dict[date, list[int]]:
        """Return the starts in the 24 hours of each day by the clocks of `zone`.

        An hour that the clocks repeat counts as one. The result contains a day after the
        span only if spread delays starts into it.
        """
        days: dict[date, list[int]] = {}
        for index, starts in enumerate(self.quarters):
            at = self.origin + index * _QUARTER * _MICROSECOND
            if at >= self.end and not starts:
                continue
            wall = wall_at(at, zone)
            hours = days.setdefault(wall.date(), [0] * 24)
            hours[wall.hour] += starts
        return days


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """One request of a simulation; times and durations are in microseconds."""

    name: str
    fires: FireSequences
    delay: int
    duration: int
    guard: Guard | None


def simulate(
    requests: Mapping[str, ProcessRequest],
    states: Mapping[str, RequestState],
    durations: Mapping[str, timedelta],
    *,
    begin: datetime,
    end: datetime,
    now: datetime,
    pauses: Pauses = NO_PAUSES,
    max_running: int | None = None,
    among: Container[str] | None = None,
) -> Simulation:
    """Simulate what `requests`, or those `among` them, would do in [begin, end), from
    their states at `now`.

    Raises UsageError for a span that is empty or longer than a year. With `max_running`,
    the simulation follows every fire one by one, and raises UsageError for too many.
    """
    _check(begin, end)
    timetable = Timetable(begin, end)
    fires_by_name = {
        name: timetable.of(request, standing(request, states.get(name), now), pauses.held(request))
        for name, request in requests.items()
        if among is None or name in among
    }
    lines = list(_lines(fires_by_name, requests, durations))
    fires = sum(line.fires.count for line in lines)
    if max_running is not None and fires > MOST_QUEUED:
        raise UsageError(
            f"{fires:,} fires are too many to queue one by one "
            f"({MOST_QUEUED:,} at most); choose a shorter span"
        )
    loads = _loads(lines, durations, max_running)
    origin = to_microseconds(begin) // _QUARTER * _QUARTER
    minutes = _minutes(lines, origin, to_microseconds(end))
    return Simulation(
        begin=begin,
        end=end,
        fires=fires,
        loads=tuple(sorted(loads.values(), key=lambda load: (-load.fires, load.request))),
        rush=_rush(lines, minutes, origin) if fires else None,
        origin=from_microseconds(origin),
        quarters=_quarters(minutes),
    )


def _quarters(minutes: Sequence[int]) -> tuple[int, ...]:
    """Return the starts in each quarter of an hour."""
    return tuple(
        sum(minutes[first : first + _QUARTER_MINUTES])
        for first in range(0, len(minutes), _QUARTER_MINUTES)
    )


def _check(begin: datetime, end: datetime) -> None:
    if end <= begin:
        raise UsageError("the span is empty: its end is not after its begin")
    if end - begin > LONGEST:
        raise UsageError(f"the span is longer than {LONGEST.days} days")


def _lines(
    fires_by_name: Mapping[str, FireSequences],
    requests: Mapping[str, ProcessRequest],
    durations: Mapping[str, timedelta],
) -> Iterator[_Line]:
    for name, fires in fires_by_name.items():
        if fires.count:
            yield _Line(
                name=name,
                fires=fires,
                delay=delay_of(requests[name]) // _MICROSECOND,
                duration=durations.get(name, timedelta()) // _MICROSECOND,
                guard=guard_of_request(requests[name], requests),
            )


def guard_of_request(
    request: ProcessRequest, requests: Mapping[str, ProcessRequest]
) -> Guard | None:
    """Return the guard that an execution of a request holds; None if it may overlap."""
    try:
        process = followed(request, requests)
    except RefusedError:
        process = request.process  # it cannot start, so the guard does not matter
    return guard_of(process, request.context)


def _loads(
    lines: list[_Line], durations: Mapping[str, timedelta], max_running: int | None
) -> dict[str, Load]:
    loads = {line.name: _load(line, durations.get(line.name)) for line in lines}
    if max_running is not None:
        return _one_by_one(lines, loads, max_running)
    sharing: dict[Guard, list[_Line]] = defaultdict(list)
    for line in lines:
        if line.guard is not None:
            sharing[line.guard].append(line)
    for group in sharing.values():
        if len(group) > 1:
            loads |= _one_by_one(group, loads, max_running)
    return loads


def _load(line: _Line, duration: timedelta | None) -> Load:
    """Return the load of a request as if it were alone."""
    overlaps = overlapping(line.fires, line.duration) if line.guard is None else 0
    skips = skipped(line.fires, line.duration) if line.guard is not None else 0
    return Load(
        request=line.name,
        fires=line.fires.count,
        duration=duration,
        overlapping=overlaps + skips,
        skipped=skips,
    )


def _one_by_one(
    lines: list[_Line], loads: Mapping[str, Load], max_running: int | None
) -> dict[str, Load]:
    """Follow each fire as the runner does.

    A fire whose guard is held is skipped. The others start in order, as soon as fewer than
    `max_running` executions run.
    """
    free_from: dict[Guard | None, int] = {}
    # A heap of the instants at which each of the `max_running` places becomes free.
    places = [0] * min(max_running or 0, sum(line.fires.count for line in lines))
    skips, waits, longest = Counter[str](), Counter[str](), Counter[str]()
    for at, index in merge(*(_starts_of(line, index) for index, line in enumerate(lines))):
        line = lines[index]
        if line.guard is not None and free_from.get(line.guard, at) > at:
            skips[line.name] += 1
            continue
        begin = at
        if places:
            begin = max(at, places[0])
            heapreplace(places, begin + line.duration)
        if begin > at:
            waits[line.name] += 1
            longest[line.name] = max(longest[line.name], begin - at)
        free_from[line.guard] = begin + line.duration
    return {
        line.name: replace(
            loads[line.name],
            overlapping=loads[line.name].overlapping if line.guard is None else skips[line.name],
            skipped=skips[line.name],
            waiting=waits[line.name],
            longest_wait=longest[line.name] * _MICROSECOND,
        )
        for line in lines
    }


def _starts_of(line: _Line, index: int) -> Iterator[tuple[int, int]]:
    return ((fire + line.delay, index) for fire in line.fires)


def _minutes(lines: list[_Line], origin: int, end: int) -> list[int]:
    """Count the starts in each minute from `origin` to the last start, in whole quarters."""
    sharing: Counter[tuple[FireSequences, int]] = Counter()
    for line in lines:
        # For fires at whole minutes, the seconds of the delay do not change the minute. Drop
        # them, so that more requests share a key and are counted once.
        delay = line.delay - line.delay % MINUTE if line.fires.is_at_whole_minutes else line.delay
        sharing[line.fires, delay] += 1
    last = end + max((line.delay for line in lines), default=0)
    return starts_by_minute(sharing, origin, -((origin - last) // _QUARTER) * _QUARTER_MINUTES)


def _rush(lines: list[_Line], minutes: list[int], origin: int) -> Rush:
    starts = max(minutes)
    at = origin + minutes.index(starts) * MINUTE
    counted = (
        (line.name, line.fires.between(at - line.delay, at - line.delay + MINUTE)) for line in lines
    )
    requests = sorted((each for each in counted if each[1]), key=lambda each: (-each[1], each[0]))
    return Rush(at=from_microseconds(at), starts=starts, requests=tuple(requests))
