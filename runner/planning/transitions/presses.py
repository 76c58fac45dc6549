"""Change a request's state as a person asks, by command: schedule, unschedule, reschedule.
Pure.

What a person asks is an override: it is kept for as long as it differs from the file.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from runner.errors import RefusedError
from runner.lifecycle import RequestEvent, RequestStatus, after
from runner.planning.fires.planned_status import Registration, RequestChange, with_planned_status
from runner.planning.states.state import RequestState
from runner.planning.transitions.registration import rescheduled
from runner.requests.model import Outline


def unschedule(state: RequestState, now: datetime, *, by: str) -> Registration:
    """Press Unschedule: stop future fires; running executions continue.

    Raises RefusedError for a definition.
    """
    if state.status is RequestStatus.DEFINITION:
        raise RefusedError("it has no timing; there is nothing to unschedule")
    status = after(state.status, RequestEvent.UNSCHEDULE)
    changed = replace(
        _overridden(state, wanted=False, by=by, now=now), status=status, pressed_by=None
    )
    return Registration(
        state=changed, change=None if status is state.status else RequestChange.UNSCHEDULED
    )


def schedule(request: Outline, state: RequestState, now: datetime, *, by: str) -> Registration:
    """Press Schedule: fire again from now on.

    Raises RefusedError for a definition, and for a request that only Reschedule can run.
    """
    if request.timing is None:
        raise RefusedError("it has no timing; `runner exec` runs it")
    if state.status in (RequestStatus.COMPLETE, RequestStatus.SYSTEM_RESTART):
        raise RefusedError(f"it is {state.status}; `runner reschedule` runs it again")
    overridden = _overridden(state, wanted=True, by=by, now=now)
    if state.status is not RequestStatus.SCHEDULED:
        overridden = replace(overridden, pressed_by=by)
    return with_planned_status(request, overridden, now, previous=state)


def reschedule(request: Outline, state: RequestState, now: datetime, *, by: str) -> Registration:
    """Press Reschedule.

    A one-time request runs again. A schedule is planned from now on, and its repetitions
    count from now. Raises RefusedError for a definition.
    """
    if request.timing is None:
        raise RefusedError("it has no timing; `runner exec` runs it")
    changed = rescheduled(request, _overridden(state, wanted=True, by=by, now=now), now)
    return with_planned_status(
        request, replace(changed, pressed_by=by), now, previous=state, pressed=True
    )


def _overridden(state: RequestState, *, wanted: bool, by: str, now: datetime) -> RequestState:
    """Keep a person's override for as long as it differs from the file.

    A press starts the count of failures anew.
    """
    state = replace(state, failures=0)
    if wanted == state.declared:
        return replace(state, override=None, override_by=None, override_at=None)
    return replace(state, override=wanted, override_by=by, override_at=now)
