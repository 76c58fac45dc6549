"""How a request's state follows a change of the zone data, or of the default zone: the
new rules count from now. Pure.

A change has two halves, with the change itself in between: `outlook` while the former
zone data is in use, `rezoned` once the new one is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from runner.planning.states.firing import delay_of, one_time_fire, pending_fire
from runner.planning.states.registration import Registration, register
from runner.planning.states.state import RequestState, rule_of
from runner.requests.model import ProcessRequest, RunImmediately, RunLater, Schedule
from runner.timing.rules import Rule
from runner.timing.streams import measures_passing_time
from runner.timing.upcoming import next_fire
from runner.timing.zones import TICK, to_instant, wall_at, zone_named


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What the former zone data makes of a request.

    `pending` is its first fire without a verdict; `settled_wall` is the naive wall time
    of its latest fire with one, None for a rule that names no times of day, and where
    there was no fire yet.
    """

    pending: datetime | None
    settled_wall: datetime | None


def zone_of(request: ProcessRequest) -> str | None:
    """Return the zone whose clocks decide when a request fires; None if none does."""
    match request.timing:
        case RunLater(zone=zone):
            return zone
        case Schedule(rule=rule):
            return rule.zone
        case _:
            return None


def outlook(request: ProcessRequest, state: RequestState) -> Outlook:
    """Return what the zone data in use makes of a request."""
    timing, wall = request.timing, None
    if (
        isinstance(timing, Schedule)
        and not measures_passing_time(timing.rule.pattern)
        and _is_fire(timing.rule, state)
    ):
        wall = wall_at(state.fired_through, zone_named(timing.rule.zone))
    return Outlook(pending=pending_fire(request, state), settled_wall=wall)


def rezoned(
    former: Outlook, request: ProcessRequest, state: RequestState, now: datetime
) -> Registration:
    """Return the state of a request, built anew, under the zone data in use; `former`
    is its outlook before.

    All that was due at `now` by the former data has had its verdict. Nothing that was
    due before `now` by the new data alone fires or is missed, and a time of day that
    has had its verdict on some day has no second one on that day.
    """
    match request.timing:
        case None | RunImmediately():
            return Registration(state=state)
        case RunLater() as timing if former.pending is None:
            fire = one_time_fire(
                timing, state
            )  # it has had its verdict, whenever its wall time is now
            # It stays so if the clock goes back: its instant moved, its verdict did not.
            claimed = state.claimed.with_span(fire, fire) if state.claimed.bounds else state.claimed
            through = max(state.fired_through, fire)
            return Registration(
                state=replace(state, rule=rule_of(request), fired_through=through, claimed=claimed)
            )
        case RunLater():
            return register(request, state, now)
        case Schedule():
            moved = replace(state, rule=rule_of(request))
            if pending_fire(request, moved) != former.pending:
                moved = replace(moved, fired_through=_settled_through(former, request, state, now))
            return register(request, moved, now)


def _is_fire(rule: Rule, state: RequestState) -> bool:
    """Tell whether the watermark is that of a fire, not that of a registration."""
    return (
        next_fire(rule, state.fired_through - TICK, counted_from=state.counted_from)
        == state.fired_through
    )


def _settled_through(
    former: Outlook, request: ProcessRequest, state: RequestState, now: datetime
) -> datetime:
    assert isinstance(request.timing, Schedule), "only a schedule has more than one fire"
    through = max(state.fired_through, now - delay_of(request))
    if former.settled_wall is None:
        return through
    return max(through, to_instant(former.settled_wall, zone_named(request.timing.rule.zone)))
