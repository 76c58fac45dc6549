"""Adjust a request's state to changed zone data, or to another default zone. Pure.

The new clock rules count from now on. The caller works in three steps: it calls `known_fires`
while the old zone data is in use, switches the data, and calls `rezoned`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from runner.planning.fires.firing import delay_of, one_time_fire, pending_fire
from runner.planning.fires.planned_status import Registration
from runner.planning.states.state import RequestState, rule_of
from runner.planning.transitions.registration import register
from runner.requests.model import Outline, RunImmediately, RunLater, Schedule
from runner.timing.passing_time import measures_passing_time
from runner.timing.rules import Rule
from runner.timing.upcoming import next_fire
from runner.timing.zones import TICK, to_instant, wall_at, zone_named


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFires:
    """The fires of a request by the old zone data.

    `pending` is its first fire without a verdict. `settled_wall` is the naive wall time of
    its latest fire with a verdict; None for a rule that names no times of day, and for a
    request that has not fired yet.
    """

    pending: datetime | None
    settled_wall: datetime | None


def zone_of(request: Outline) -> str | None:
    """Return the zone whose clocks decide when a request fires; None if none does."""
    match request.timing:
        case RunLater(zone=zone):
            return zone
        case Schedule(rule=rule):
            return rule.zone
        case _:
            return None


def known_fires(request: Outline, state: RequestState) -> KnownFires:
    """Return the known fires of a request by the zone data in use."""
    timing, wall = request.timing, None
    if (
        isinstance(timing, Schedule)
        and not measures_passing_time(timing.rule.pattern)
        and _is_fire(timing.rule, state)
    ):
        wall = wall_at(state.fired_through, zone_named(timing.rule.zone))
    return KnownFires(pending=pending_fire(request, state), settled_wall=wall)


def rezoned(
    former: KnownFires, request: Outline, state: RequestState, now: datetime
) -> Registration:
    """Return the registration of a request under the new zone data, now in use.

    `request` was rebuilt with the new data; `former` is its known fires by the old data. The
    caller has settled all fires that were due at `now` by the old data. A fire that was due
    before `now` only by the new data neither runs nor is missed. A time of day gets one
    verdict on each day, even if the new data moves it to a later instant.
    """
    match request.timing:
        case None | RunImmediately():
            return Registration(state=state)
        case RunLater() as timing if former.pending is None:
            # The fire had its verdict at its old instant. Give its new instant the verdict
            # and the claim too, so that it does not run again if the clock goes back.
            fire = one_time_fire(timing, state)
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
    """Return whether the watermark is at a fire of the rule, not at a registration.

    A registration can coincide with a fire. Then no fire has had a verdict yet.
    """
    return (
        state.furthest_verdict is not None
        and next_fire(rule, state.fired_through - TICK, counted_from=state.counted_from)
        == state.fired_through
    )


def _settled_through(
    former: KnownFires, request: Outline, state: RequestState, now: datetime
) -> datetime:
    """Return the watermark by the new zone data."""
    assert isinstance(request.timing, Schedule), "only a schedule has more than one fire"
    through = max(state.fired_through, now - delay_of(request))
    if former.settled_wall is None:
        return through
    return max(through, to_instant(former.settled_wall, zone_named(request.timing.rule.zone)))
