"""Change a request's state as its file, a person or the clock asks. Pure.

Register, remove, schedule, unschedule, reschedule.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from runner.errors import RefusedError
from runner.lifecycle import RequestEvent, RequestStatus, after
from runner.planning.states.clock_steps import stepped_back, went_back
from runner.planning.states.firing import (
    Miss,
    has_run_at,
    one_time_fire,
    pending_fire,
    with_verdict_through,
    without_abandoned,
)
from runner.planning.states.state import RequestState, rule_of
from runner.requests.model import ProcessRequest, RunImmediately, RunLater, Schedule
from runner.values import EPOCH

_INSTANT = timedelta(microseconds=1)
# Earlier than every fire time. Years start at 1970, and a UTC offset in a file can move an
# instant some hours before that.
_BEFORE_ALL = EPOCH - timedelta(days=1)
_TOKENS_KEPT = 100


class Change(StrEnum):
    """The events of a request in the monitor log."""

    SCHEDULED = "scheduled"
    UNSCHEDULED = "unscheduled"
    RESCHEDULED = "rescheduled"
    COMPLETED = "completed"
    REMOVED = "removed"


_STANDING = {
    RequestStatus.SCHEDULED: Change.SCHEDULED,
    RequestStatus.UNSCHEDULED: Change.UNSCHEDULED,
    RequestStatus.COMPLETE: Change.COMPLETED,
    RequestStatus.SYSTEM_RESTART: Change.COMPLETED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """A request's new state and what the monitor log records of it.

    `change` is the event to record, if any. `miss` is a one-time fire that came too late.
    `abandoned` are the fires that were due under the former definition (see
    `settling_former`). `renamed_from` is the former name of the request, if it was renamed.
    """

    state: RequestState
    change: Change | None = None
    miss: Miss | None = None
    abandoned: Miss | None = None
    renamed_from: str | None = None


def register(request: ProcessRequest, state: RequestState | None, now: datetime) -> Registration:
    """Return the state at `now` of a request that a file supplies, whether new or known.

    Fires that were due before the registration, or before a change of the rule, never run.
    """
    if state is None:
        return _first_seen(request, now)
    # Only the first registration, a new rule or a reschedule opens a new generation. Any
    # other change keeps the planned fires.
    previous, rule, token = state, rule_of(request), _new_token(request, state)
    if state.removed:
        state = replace(state, removed=False, removed_at=None, heir=None)
    if request.scheduled != state.word or token is not None:
        # `scheduled` and `reschedule` are the file's own words. A new word overrides what a
        # person did by command before.
        state = replace(
            state,
            word=request.scheduled,
            override=None,
            override_by=None,
            override_at=None,
            pressed_by=None,
        )
    if rule != state.rule:
        state = _replanned(request, state, now, rule=rule)
    if token is not None:
        state = replace(
            _rescheduled(request, state, now), tokens=(*state.tokens, token)[-_TOKENS_KEPT:]
        )
    return _standing(request, state, now, previous=previous, pressed=token is not None)


def register_renamed(
    request: ProcessRequest, state: RequestState, now: datetime, *, former: str
) -> Registration:
    """Return the state at `now` of a request that continues the state of `former`.

    The monitor log records a renaming, except that of a definition: no event fits it.
    """
    registration = register(request, state, now)
    change = registration.change or _STANDING.get(registration.state.status)
    return replace(registration, change=change, renamed_from=former)


def settling_former(
    registration: Registration,
    former: ProcessRequest | None,
    before: RequestState | None,
    now: datetime,
) -> Registration:
    """Return the registration with the fires that it abandons settled as missed.

    A fire may be due at `now` under the definition and the state in force until now,
    `former` and `before`, and fall due no more under the new ones. Each of them is None for a
    new request.
    """
    state, abandoned = without_abandoned(former, before, registration.state, now)
    return replace(registration, state=state, abandoned=abandoned)


def handed_on(state: RequestState, heir: str, now: datetime) -> RequestState:
    """Return the state that stays under the former name; it points to the new one, `heir`."""
    return replace(remove(state, now).state, heir=heir)


def remove(state: RequestState, now: datetime) -> Registration:
    """Unschedule a request whose file was removed. Its state stays."""
    status = after(state.status, RequestEvent.UNSCHEDULE)
    removed = replace(state, status=status, removed=True, removed_at=now, pressed_by=None)
    return Registration(state=removed, change=Change.REMOVED)


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
        state=changed, change=None if status is state.status else Change.UNSCHEDULED
    )


def schedule(
    request: ProcessRequest, state: RequestState, now: datetime, *, by: str
) -> Registration:
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
    return _standing(request, overridden, now, previous=state)


def reschedule(
    request: ProcessRequest, state: RequestState, now: datetime, *, by: str
) -> Registration:
    """Press Reschedule.

    A one-time request runs again. A schedule is planned from now on, and its repetitions
    count from now. Raises RefusedError for a definition.
    """
    if request.timing is None:
        raise RefusedError("it has no timing; `runner exec` runs it")
    changed = _rescheduled(request, _overridden(state, wanted=True, by=by, now=now), now)
    return _standing(request, replace(changed, pressed_by=by), now, previous=state, pressed=True)


def cut_off(request: ProcessRequest, state: RequestState, generation: int) -> RequestState:
    """Mark a one-time request whose only execution of `generation` a restart interrupted."""
    if isinstance(request.timing, Schedule | None) or generation != state.generation:
        return state
    if state.status not in (RequestStatus.COMPLETE, RequestStatus.SCHEDULED):
        return state
    return replace(state, status=after(state.status, RequestEvent.CUT_OFF))


def _first_seen(request: ProcessRequest, now: datetime) -> Registration:
    status = RequestStatus.DEFINITION if request.timing is None else RequestStatus.UNSCHEDULED
    tokens = () if request.reschedule is None else (request.reschedule,)
    state = RequestState(
        status=status,
        generation=1,
        since=now,
        fired_through=_settled_before(request, now),
        rule=rule_of(request),
        word=request.scheduled,
        tokens=tokens,
    )
    return _standing(request, state, now, previous=None)


def _settled_before(request: ProcessRequest, now: datetime) -> datetime:
    """Return the watermark of the first generation.

    A run-later starts unsettled even if its time is past, so that it is recorded as missed.
    """
    match request.timing:
        case RunImmediately():
            return now - _INSTANT
        case RunLater():
            return _BEFORE_ALL
        case _:
            return now


def _new_token(request: ProcessRequest, state: RequestState) -> str | None:
    return None if request.reschedule in state.tokens else request.reschedule


def _replanned(
    request: ProcessRequest, state: RequestState, now: datetime, *, rule: str
) -> RequestState:
    """Open a generation for a changed rule. A one-time fire gets no second verdict."""
    opened = replace(
        state,
        generation=state.generation + 1,
        since=now,
        counted_from=None,
        pressed_by=None,
        furthest_verdict=None,
        rule=rule,
        fired_through=now,
        status=RequestStatus.UNSCHEDULED
        if state.status is RequestStatus.DEFINITION
        else state.status,
    )
    match request.timing:
        case RunImmediately() if not state.ran_immediately:
            return replace(opened, fired_through=now - _INSTANT)
        case RunLater():
            # After the clock went back, the former watermark may lie ahead. A fire between
            # now and there must still count.
            return replace(opened, fired_through=min(state.fired_through, now))
        case _:
            return opened


def _rescheduled(request: ProcessRequest, state: RequestState, now: datetime) -> RequestState:
    """Open a generation that counts from now.

    A schedule fires only after `now`, a one-time request exactly at `now`.
    """
    through = now if isinstance(request.timing, Schedule) else now - _INSTANT
    return replace(
        state,
        generation=state.generation + 1,
        since=now,
        counted_from=now,
        fired_through=through,
        furthest_verdict=None,
    )


def _overridden(state: RequestState, *, wanted: bool, by: str, now: datetime) -> RequestState:
    """Keep a person's override for as long as it differs from the file."""
    if wanted == state.word:
        return replace(state, override=None, override_by=None, override_at=None)
    return replace(state, override=wanted, override_by=by, override_at=now)


def _standing(
    request: ProcessRequest,
    state: RequestState,
    now: datetime,
    *,
    previous: RequestState | None,
    pressed: bool = False,
) -> Registration:
    """Set the status that a planned state has at `now`, by legal transitions only."""
    if request.timing is None:
        defined = replace(state, status=after(state.status, RequestEvent.LOSE_TIMING))
        was_scheduled = previous is not None and previous.status is RequestStatus.SCHEDULED
        return Registration(state=defined, change=Change.UNSCHEDULED if was_scheduled else None)
    if not state.is_wanted:
        unscheduled = replace(state, status=after(state.status, RequestEvent.UNSCHEDULE))
        return _recorded(unscheduled, previous, pressed=False)
    is_planned_anew = previous is None or state.generation != previous.generation
    if state.status is not RequestStatus.SCHEDULED and not is_planned_anew:
        state = _resumed(request, state, now)
    if is_planned_anew or state.status is not RequestStatus.SCHEDULED:
        state, miss = _without_late_one_time(request, state, now)
    else:
        miss = None
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


def _resumed(request: ProcessRequest, state: RequestState, now: datetime) -> RequestState:
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
            return replace(state, since=now, fired_through=now - _INSTANT)
        case RunLater() as timing if _is_pressed(timing, state):
            return replace(state, counted_from=now, fired_through=now - _INSTANT)
        case _:
            return state


def _without_late_one_time(
    request: ProcessRequest, state: RequestState, now: datetime
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
        return Registration(state=state, change=Change.RESCHEDULED)
    if (
        previous is not None
        and previous.status is state.status
        # A new generation of an unscheduled request unschedules nothing.
        and (previous.generation == state.generation or state.status is RequestStatus.UNSCHEDULED)
    ):
        return Registration(state=state)
    return Registration(state=state, change=_STANDING[state.status])
