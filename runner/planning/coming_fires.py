"""The fires to come of requests: of one, of all in order of time, and of a span that
may lie in the past. Pure.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, takewhile

from runner.lifecycle import RequestStatus
from runner.planning.states.due_fires import coming
from runner.planning.states.firing import one_time_fire, pending_fire
from runner.planning.states.registration import register
from runner.planning.states.state import RequestState
from runner.requests.model import ProcessRequest, RunImmediately, RunLater, Schedule
from runner.timing.upcoming import fires

_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class ComingFire:
    """A fire time to come of a request; ordered by time, then name."""

    scheduled_for: datetime
    request: str


def standing(request: ProcessRequest, state: RequestState | None, now: datetime) -> RequestState:
    """Return the state that a request has once a runner has seen its file as it is now."""
    return register(request, state, now).state


def coming_fires(
    request: ProcessRequest, state: RequestState, after: datetime
) -> Iterator[datetime]:
    """Yield the fire times of a request that are neither settled nor earlier than
    `after`, ascending.
    """
    if state.status is not RequestStatus.SCHEDULED:
        return
    match request.timing:
        case None:
            return
        case RunImmediately() | RunLater():
            fire = pending_fire(request, state)
            if fire is not None and fire >= after:
                yield fire
        case Schedule(rule=rule):
            yield from coming(rule, state, max(state.fired_through, after - _TICK))


def planned_fires(
    request: ProcessRequest, state: RequestState, begin: datetime, now: datetime
) -> Iterator[datetime]:
    """Yield the fire times of a request from `begin` on, ascending; of the past all
    that its file has, settled or not.

    What is to run immediately has no past: the file names no time.
    """
    timing = request.timing
    if begin >= now or timing is None or isinstance(timing, RunImmediately):
        yield from coming_fires(request, state, max(begin, now))
    elif not state.is_wanted:
        return
    elif isinstance(timing, RunLater):
        # A press of Reschedule adds a fire to that of the file.
        yield from (
            fire for fire in sorted({timing.start, one_time_fire(timing, state)}) if fire >= begin
        )
    else:
        past = fires(timing.rule, begin - _TICK, counted_from=state.counted_from)
        yield from takewhile(lambda fire: fire < now, past)
        yield from coming(timing.rule, state, now - _TICK)


def merged(
    requests: Mapping[str, ProcessRequest],
    states: Mapping[str, RequestState],
    *,
    after: datetime,
    now: datetime,
) -> Iterator[ComingFire]:
    """Yield the fires of all requests from `after` on in order of time, without end if
    a rule has none.

    They are the coming ones, and if `after` is earlier than `now`, those of the past
    too, settled or not.
    """
    streams = (
        _stream(name, planned_fires(request, standing(request, states.get(name), now), after, now))
        for name, request in requests.items()
    )
    return heapq.merge(*streams)


def first_fires(
    request: ProcessRequest, state: RequestState, after: datetime, count: int
) -> list[datetime]:
    """Return the next few fire times of a request."""
    return list(islice(coming_fires(request, state, after), count))


def _stream(name: str, instants: Iterator[datetime]) -> Iterator[ComingFire]:
    return (ComingFire(scheduled_for=instant, request=name) for instant in instants)
