"""Change a request's state after the clock went back. Pure.

runner/README.md, "When the clock was wrong", has the rules.

The cause may be a wrong clock at boot that is corrected later, a time service, or a restored
snapshot of the machine. Example: the clock is wrong at boot and reads 18:00, though it is
09:00. The runner records the fires of the day as missed, and the one at 18:00 runs. Then the
clock is set to 09:00.

Without a change of the state, nothing would fire until 18:00, because the watermark
(`fired_through`) lies there. So every time in the state that lies ahead moves back to the
present. This *reopens* the span from 09:00 to 18:00: its fires may run on time after all. A
run replaces the miss that was recorded for it.

Two fields do not move back, and prevent a second verdict. `claimed` has what ran: 18:00 does
not run again. `furthest_verdict` is 18:00: if the fire of 12:00 does not run on time now, it is
not recorded as missed a second time. This is right only while the clock stays right. So after
`FORGET_AFTER` of running time, `without_verdicts_ahead` drops a verdict that still lies ahead.

A rule that measures passing time (every 5 minutes, say) is different: after the step, five
minutes pass as before. It opens a new generation, in which the claimed fire times fire again.

A step forward needs nothing here: the skipped fires are due at once, and `firing` gives them
their verdicts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from runner.lifecycle import RequestEvent, RequestStatus, after
from runner.planning.fires.due_fires import unclaimed_fires
from runner.planning.fires.firing import delay_of, one_time_fire, pending_fire
from runner.planning.states.state import RequestState
from runner.requests.model import Outline, RunImmediately, RunLater, Schedule
from runner.timing.passing_time import measures_passing_time
from runner.timing.zones import TICK

STEP_BACK = timedelta(seconds=60)
"""The clock went back if it is more than this behind the latest time the runner has seen."""

FORGET_AFTER = timedelta(hours=24)
"""Total running time after a step back, until the runner drops verdicts that lie ahead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reopened:
    """The span (begin, end] whose fires may run on time again after a step back."""

    begin: datetime
    end: datetime


def went_back(latest_seen: datetime, now: datetime) -> bool:
    """Return whether the clock went back, in one step or in several small ones."""
    return latest_seen - now > STEP_BACK


def stepped_back(request: Outline, state: RequestState, now: datetime) -> RequestState:
    """Return the state after the clock went back to `now`. None of its times lies ahead.

    A rule that measures passing time opens a generation, in which claimed fire times fire
    again. A complete request with an unclaimed fire ahead is scheduled again. A one-time
    request that ran, or a schedule that is complete for good, stays unchanged.
    """
    match request.timing:
        case None:
            return state
        case RunImmediately() | RunLater() as timing:
            moved = _moved_one_time(timing, state, now)
        case Schedule() as timing:
            moved = _moved_schedule(timing, state, now, delay=delay_of(request))
    if moved.status is not RequestStatus.COMPLETE:
        return moved
    if not _is_unclaimed_fire_ahead(request, moved):
        return state
    return replace(moved, status=after(moved.status, RequestEvent.REVIVE))


def without_verdicts_ahead(state: RequestState, now: datetime) -> RequestState:
    """Return the state without its furthest verdict, if that lies ahead.

    The runner then records and catches up missed fires as usual. Claims remain.
    """
    if state.furthest_verdict is None or state.furthest_verdict <= now:
        return state
    return replace(state, furthest_verdict=None)


def _moved_schedule(
    timing: Schedule, state: RequestState, now: datetime, *, delay: timedelta
) -> RequestState:
    if state.fired_through <= now:
        return _with_origins_until(state, now)  # nothing was settled ahead
    # A fire falls due `delay` after its time, so the fires that fall due from now on are those
    # later than `now - delay`.
    moved = replace(_with_origins_until(state, now), fired_through=now - delay)
    if measures_passing_time(timing.rule.pattern):
        return replace(moved, generation=state.generation + 1, since=now)
    return moved


def _moved_one_time(
    timing: RunImmediately | RunLater, state: RequestState, now: datetime
) -> RequestState:
    fire = one_time_fire(timing, state)
    is_pending = fire > state.fired_through
    if not is_pending and fire in state.claimed:
        return state  # its instants are those of what ran
    moved = _with_origins_until(state, now)
    through = min(state.fired_through, now)
    if is_pending:
        # For a run-immediately and after a reschedule, the fire time moved with the origins.
        through = min(through, one_time_fire(timing, moved) - TICK)
    return moved if through == state.fired_through else replace(moved, fired_through=through)


def _with_origins_until(state: RequestState, now: datetime) -> RequestState:
    """Move `since` and `counted_from` back to `now` if they lie ahead."""
    since, counted_from = min(state.since, now), state.counted_from and min(state.counted_from, now)
    if (since, counted_from) == (state.since, state.counted_from):
        return state
    return replace(state, since=since, counted_from=counted_from)


def _is_unclaimed_fire_ahead(request: Outline, state: RequestState) -> bool:
    match request.timing:
        case Schedule(rule=rule):
            return next(unclaimed_fires(rule, state, state.fired_through), None) is not None
        case _:
            return pending_fire(request, state) is not None
