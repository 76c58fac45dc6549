"""Count the failures of a request, and unschedule it after too many in a row. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from runner.lifecycle import ExecutionStatus, RequestEvent, RequestStatus, after
from runner.planning.fires.planned_status import Registration, RequestChange
from runner.planning.states.results import FAILURES
from runner.planning.states.state import RequestState
from runner.planning.transitions.registration import settling_former
from runner.requests.model import ProcessRequest


def counted(
    request: ProcessRequest, state: RequestState, status: ExecutionStatus, now: datetime
) -> Registration | None:
    """Count the last attempt of a fire; return None if that changes nothing.

    After `unschedule_after` failures in a row the request is unscheduled, as if a person
    had done it: against its file, until somebody schedules it. A success starts the count
    anew, a skipped fire does not.
    """
    limit = request.unschedule_after
    if limit is None or state.status is RequestStatus.UNSCHEDULED:
        return None
    if status not in FAILURES:
        is_over = status is ExecutionStatus.SUCCESS and state.failures > 0
        return Registration(state=replace(state, failures=0)) if is_over else None
    failed = replace(state, failures=state.failures + 1)
    if failed.failures < limit or state.status is not RequestStatus.SCHEDULED:
        return Registration(state=failed)
    is_against_file = state.declared
    unscheduled = replace(
        failed,
        status=after(state.status, RequestEvent.UNSCHEDULE),
        override=False if is_against_file else None,
        override_by=None,
        override_at=now if is_against_file else None,
        pressed_by=None,
    )
    stopped = Registration(state=unscheduled, change=RequestChange.UNSCHEDULED)
    return settling_former(stopped, request, state, now)


def stop_words(state: RequestState) -> str:
    """Say why the runner unscheduled a request.

    `state.failures` is at least 1.
    """
    several = "s in a row" if state.failures > 1 else ""
    return f"after {state.failures} failure{several}"
