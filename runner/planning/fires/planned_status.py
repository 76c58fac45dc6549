"""Decide the status of a planned request: scheduled, or at rest. Pure.

A registration (by a file) and a press (by a person) each plan a request: they set its rule,
generation and watermark. Both end here. The status depends on what is wanted and on whether
a fire is left, and `Registration` says what the monitor log records of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from runner.lifecycle import RequestEvent, RequestStatus, after
from runner.planning.fires.clock_steps import stepped_back, went_back
from runner.planning.fires.firing import (
    Miss,
    has_run_at,
    one_time_fire,
    pending_fire,
    with_verdict_through,
)
from runner.planning.states.state import RequestState
from runner.requests.model import Outline, RunImmediately, RunLater, Schedule
from runner.timing.zones import TICK


class RequestChange(StrEnum):
    """The events of a request in the monitor log."""

    SCHEDULED = "scheduled"
    UNSCHEDULED = "unscheduled"
    RESCHEDULED = "rescheduled"
    COMPLETED = "completed"
    REMOVED = "removed"


EVENT_OF_STATUS = {
    RequestStatus.SCHEDULED: RequestChange.SCHEDULED,
    RequestStatus.UNSCHEDULED: RequestChange.UNSCHEDULED,
    RequestStatus.COMPLETE: RequestChange.COMPLETED,
    RequestStatus.SYSTEM_RESTART: RequestChange.COMPLETED,
}
"""The event that records each status when a request enters it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """A request's new state and what the monitor log records of it.

    `change` is the event to record, if any. `miss` is a one-time fire that came too late.
    `abandoned` are the fires that were due under the former definition (see
    `settling_former`). `renamed_from` is the former name of the request, if it was renamed.
    """

    state: RequestState
    change: RequestChange | None = None
    miss: Miss | None = None
    abandoned: Miss | None = None
    renamed_from: str | None = None


def with_planned_status(
    request: Outline,
    state: RequestState,
    now: datetime,
    *,
    previous: RequestState | None,
    pressed: bool = False,
) -> Registration:
    """Set the status that a planned state has at `now`, by legal transitions only.

    `previous` is the state before this change; None for a new request. `pressed` says that
    the change is a press of Reschedule.
    """
    if request.timing is None:
        defined = replace(state, status=after(state.status, RequestEvent.LOSE_TIMING))
        was_scheduled = previous is not None and previous.status is RequestStatus.SCHEDULED
        return Registration(
            state=defined, change=RequestChange.UNSCHEDULED if was_scheduled else None
        )
    if not state.is_wanted:
        unscheduled = replace(state, status=after(state.status, RequestEvent.UNSCHEDULE))
        return _recorded(unscheduled, previous, pressed=False)
    return _wanted(request, state, now, previous=previous, pressed=pressed)


def _wanted(
    request: Outline,
    state: RequestState,
    now: datetime,
    *,
    previous: RequestState | None,
    pressed: bool,
) -> Registration:
    """Return the registration of a request that should be scheduled: it is, or is complete."""
    # A new generation has a watermark already. A request that rested in the same generation
    # gets one: it goes on from `now`.
    is_planned_anew = previous is None or state.generation != previous.generation
    miss = None
    if is_planned_anew or state.status is not RequestStatus.SCHEDULED:
        resumed = state if is_planned_anew else _resumed(request, state, now)
        state, miss = _without_late_one_time(request, resumed, now)
    # Without a fire left, it is complete; otherwise it is scheduled, or scheduled again.
    if pending_fire(request, state) is None:
        return replace(
            _recorded(_at_rest(state, is_planned_anew), previous, pressed=pressed), miss=miss
        )
    event = RequestEvent.RESCHEDULE if pressed else RequestEvent.SCHEDULE
    if state.status is RequestStatus.COMPLETE and not pressed:
        event = RequestEvent.REVIVE
    status = after(state.status, event)
    return _recorded(
        state if status is state.status else replace(state, status=status),
        previous,
        pressed=pressed,
    )


def cut_off(request: Outline, state: RequestState, generation: int) -> RequestState:
    """Mark a one-time request whose only execution of `generation` a restart interrupted."""
    if isinstance(request.timing, Schedule | None) or generation != state.generation:
        return state
    if state.status not in (RequestStatus.COMPLETE, RequestStatus.SCHEDULED):
        return state
    return replace(state, status=after(state.status, RequestEvent.CUT_OFF))


def _resumed(request: Outline, state: RequestState, now: datetime) -> RequestState:
    """Resume a request from now on: it was unscheduled, or a later finish revives it.

    A run-immediately that has not run, and a run-later whose Reschedule has not run yet,
    run now.
    """
    if pending_fire(request, state) is None:
        return state
    match request.timing:
        case Schedule():
            if went_back(state.fired_through, now):
                # The clock went back while the request was removed or complete. At that
                # time, its state was not adjusted.
                state = stepped_back(request, state, now)
            return replace(state, fired_through=max(state.fired_through, now))
        case RunImmediately():
            return replace(state, since=now, fired_through=now - TICK)
        case RunLater() as timing if _is_pressed(timing, state):
            return replace(state, counted_from=now, fired_through=now - TICK)
        case _:
            return state


def _without_late_one_time(
    request: Outline, state: RequestState, now: datetime
) -> tuple[RequestState, Miss | None]:
    """Settle a run-later as missed if its time had passed before it was scheduled."""
    timing = request.timing
    if not isinstance(timing, RunLater) or _is_pressed(timing, state):
        return state, None
    fire = one_time_fire(timing, state)
    if not state.fired_through < fire <= now or has_run_at(timing, state, fire):
        return state, None
    missed = with_verdict_through(state, fire, fire)
    if state.furthest_verdict is not None and fire <= state.furthest_verdict:
        return missed, None  # it was recorded before the clock went back
    return missed, Miss(count=1, first=fire, last=fire)


def _is_pressed(timing: RunLater, state: RequestState) -> bool:
    """Return whether Reschedule set the fire time. Pressed before `start`, it changes nothing."""
    return one_time_fire(timing, state) != timing.start


def _at_rest(state: RequestState, is_planned_anew: bool) -> RequestState:
    """Return the state without a fire left: complete, or still cut off by a restart."""
    if state.status is RequestStatus.SYSTEM_RESTART and not is_planned_anew:
        return state
    if state.status is RequestStatus.COMPLETE:
        return state
    scheduled = after(state.status, RequestEvent.SCHEDULE)
    return replace(state, status=after(scheduled, RequestEvent.EXHAUST))


def _recorded(state: RequestState, previous: RequestState | None, *, pressed: bool) -> Registration:
    """Return a registration with the event that the monitor log records, if any."""
    if pressed:
        return Registration(state=state, change=RequestChange.RESCHEDULED)
    if (
        previous is not None
        and previous.status is state.status
        # A new generation of an unscheduled request unschedules nothing.
        and (previous.generation == state.generation or state.status is RequestStatus.UNSCHEDULED)
    ):
        return Registration(state=state)
    return Registration(state=state, change=EVENT_OF_STATUS[state.status])
