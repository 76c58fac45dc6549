"""List the upcoming fires of one request or of all, also for a span of the past. Pure.

Most rules have no end, so all lists here are iterators: each computes a fire when it is asked
for. `merged` combines the iterators of all requests with `heapq.merge`. That keeps a heap
with the next fire of each request, takes the earliest, and asks its iterator for one more. So
the first 20 fires of 10,000 requests take 10,000 + 20 steps, not a list of all fires.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice, takewhile

from runner.lifecycle import RequestStatus
from runner.planning.fires.due_fires import coming
from runner.planning.fires.firing import delay_of, one_time_fire, pending_fire
from runner.planning.states.pauses import NO_PAUSES, NOT_HELD, Held, Pauses
from runner.planning.states.state import RequestState
from runner.planning.transitions.registration import register
from runner.requests.model import Outline, RunImmediately, RunLater, Schedule, Timing
from runner.timing.upcoming import fires
from runner.timing.zones import END, TICK


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class ComingFire:
    """An upcoming fire time of a request; sorts by time, then by name."""

    scheduled_for: datetime
    request: str


def standing(request: Outline, state: RequestState | None, now: datetime) -> RequestState:
    """Return the state that a request will have once a runner has read its present file."""
    return register(request, state, now).state


class Standings:
    """The `standing` of many requests at one moment.

    New requests with the same timing share one state, which is computed once.
    """

    def __init__(self, now: datetime) -> None:
        self._now = now
        # Keeps the timing alive: otherwise another one could get its id.
        self._new: dict[tuple[int, bool, str | None], tuple[Timing | None, RequestState]] = {}

    def of(self, request: Outline, state: RequestState | None) -> RequestState:
        """Return `standing` of a request."""
        if state is not None:
            return standing(request, state, self._now)
        timing = request.timing
        key = (id(timing), request.scheduled, request.reschedule)
        if key not in self._new:
            self._new[key] = timing, standing(request, None, self._now)
        return self._new[key][1]


def coming_fires(
    request: Outline, state: RequestState, after: datetime, held: Held = NOT_HELD
) -> Iterator[datetime]:
    """Yield the unsettled fire times of a request from `after` on, ascending.

    Leave out the fires that a pause holds (`held`), except a one-time fire, which waits for
    the pause's end.
    """
    if state.status is not RequestStatus.SCHEDULED or held.until >= END:
        return
    match request.timing:
        case None:
            return
        case RunImmediately() | RunLater():
            fire = pending_fire(request, state)
            if fire is not None and max(fire, held.until) >= after:
                yield fire
        case Schedule(rule=rule):
            after = max(after, held.until - delay_of(request))
            yield from coming(rule, state, max(state.fired_through, after - TICK))


def planned_fires(
    request: Outline,
    state: RequestState,
    begin: datetime,
    now: datetime,
    held: Held = NOT_HELD,
) -> Iterator[datetime]:
    """Yield the fire times of a request from `begin` on, ascending.

    Up to `now` these are all fire times of its file, settled or not. A run-immediately has
    no fire in the past, because its file names no time.
    """
    timing = request.timing
    if begin >= now or timing is None or isinstance(timing, RunImmediately):
        yield from coming_fires(request, state, max(begin, now), held)
    elif not state.is_wanted:
        return
    elif isinstance(timing, RunLater):
        # A press of Reschedule adds a fire to that of the file.
        yield from (
            fire for fire in sorted({timing.start, one_time_fire(timing, state)}) if fire >= begin
        )
    else:
        past = fires(timing.rule, begin - TICK, counted_from=state.counted_from)
        yield from takewhile(lambda fire: fire < now, past)
        if held.until < END:
            after = max(now, held.until - delay_of(request))
            yield from coming(timing.rule, state, after - TICK)


def merged(
    requests: Mapping[str, Outline],
    states: Mapping[str, RequestState],
    *,
    after: datetime,
    now: datetime,
    pauses: Pauses = NO_PAUSES,
) -> Iterator[ComingFire]:
    """Yield the fires of all requests from `after` on, by time; endless if a rule is.

    If `after` is earlier than `now`, this includes fires of the past, settled or not.
    """
    standings = Standings(now)
    streams = (
        _stream(
            name,
            planned_fires(
                request,
                standings.of(request, states.get(name)),
                after,
                now,
                pauses.held(request),
            ),
        )
        for name, request in requests.items()
    )
    return heapq.merge(*streams)


def next_fires(
    requests: Mapping[str, Outline],
    states: Mapping[str, RequestState],
    now: datetime,
    pauses: Pauses = NO_PAUSES,
) -> list[ComingFire]:
    """Return the next fire of each request that has one, by time."""
    streams = (
        _stream(
            name,
            coming_fires(
                request, standing(request, states.get(name), now), now, pauses.held(request)
            ),
        )
        for name, request in requests.items()
    )
    return sorted(fire for stream in streams for fire in islice(stream, 1))


def first_fires(
    request: Outline,
    state: RequestState,
    after: datetime,
    count: int,
    held: Held = NOT_HELD,
) -> list[datetime]:
    """Return the next few fire times of a request."""
    return list(islice(coming_fires(request, state, after, held), count))


# A function, not an expression inside the loop of `merged`: there, every generator would see
# the last value of `name`.
def _stream(name: str, instants: Iterator[datetime]) -> Iterator[ComingFire]:
    return (ComingFire(scheduled_for=instant, request=name) for instant in instants)
