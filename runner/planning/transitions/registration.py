"""Change a request's state as its file asks: register, rename, remove. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from runner.lifecycle import RequestEvent, RequestStatus, after
from runner.planning.fires.abandoned_fires import without_abandoned
from runner.planning.fires.planned_status import (
    EVENT_OF_STATUS,
    Registration,
    RequestChange,
    with_planned_status,
)
from runner.planning.states.state import RequestState, rule_of
from runner.requests.model import Outline, RunImmediately, RunLater, Schedule
from runner.requests.policies import NO_RETENTION, Retention
from runner.timing.zones import TICK
from runner.values import EPOCH

# Earlier than every fire time. Years start at 1970, and a UTC offset in a file can move an
# instant some hours before that.
_BEFORE_ALL = EPOCH - timedelta(days=1)
_TOKENS_KEPT = 100


def register(request: Outline, state: RequestState | None, now: datetime) -> Registration:
    """Return the state at `now` of a request that a file supplies, whether new or known.

    Fires that were due before the registration, or before a change of the rule, never run.
    """
    if state is None:
        return _first_seen(request, now)
    # Only the first registration, a new rule or a reschedule opens a new generation. Any
    # other change keeps the planned fires.
    previous, rule, token = state, rule_of(request), _new_token(request, state)
    if state.removed:
        state = replace(
            state, removed=False, removed_at=None, renamed_to=None, retention=NO_RETENTION
        )
    if request.scheduled != state.declared or token is not None:
        # `scheduled` and `reschedule` are the file's own words. A new word overrides what a
        # person did by command before.
        state = replace(
            state,
            declared=request.scheduled,
            override=None,
            override_by=None,
            override_at=None,
            failures=0,
            pressed_by=None,
        )
    if rule != state.rule:
        state = _replanned(request, state, now, rule=rule)
    if token is not None:
        state = replace(
            rescheduled(request, state, now), tokens=(*state.tokens, token)[-_TOKENS_KEPT:]
        )
    return with_planned_status(request, state, now, previous=previous, pressed=token is not None)


def register_renamed(
    request: Outline, state: RequestState, now: datetime, *, former: str
) -> Registration:
    """Return the state at `now` of a request that continues the state of `former`.

    The monitor log records a renaming, except that of a definition: no event fits it.
    """
    registration = register(request, state, now)
    change = registration.change or EVENT_OF_STATUS.get(registration.state.status)
    return replace(registration, change=change, renamed_from=former)


def settling_former(
    registration: Registration,
    former: Outline | None,
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


def renamed_away(state: RequestState, renamed_to: str, now: datetime) -> RequestState:
    """Return the state that stays under the former name; it points to the new one, `renamed_to`.

    A backfill goes on under the new name.
    """
    return replace(remove(state, now).state, renamed_to=renamed_to, backfill=None)


def remove(
    state: RequestState, now: datetime, *, retention: Retention = NO_RETENTION
) -> Registration:
    """Unschedule a request whose file was removed. Its state stays.

    `retention` is the request's own, which its outputs keep.
    """
    status = after(state.status, RequestEvent.UNSCHEDULE)
    removed = replace(
        state, status=status, removed=True, removed_at=now, pressed_by=None, retention=retention
    )
    return Registration(state=removed, change=RequestChange.REMOVED)


def _first_seen(request: Outline, now: datetime) -> Registration:
    status = RequestStatus.DEFINITION if request.timing is None else RequestStatus.UNSCHEDULED
    tokens = () if request.reschedule is None else (request.reschedule,)
    state = RequestState(
        status=status,
        generation=1,
        since=now,
        fired_through=_settled_before(request, now),
        rule=rule_of(request),
        declared=request.scheduled,
        tokens=tokens,
    )
    return with_planned_status(request, state, now, previous=None)


def _settled_before(request: Outline, now: datetime) -> datetime:
    """Return the watermark of the first generation.

    A run-later starts unsettled even if its time is past, so that it is recorded as missed.
    """
    match request.timing:
        case RunImmediately():
            return now - TICK
        case RunLater():
            return _BEFORE_ALL
        case _:
            return now


def _new_token(request: Outline, state: RequestState) -> str | None:
    return None if request.reschedule in state.tokens else request.reschedule


def _replanned(request: Outline, state: RequestState, now: datetime, *, rule: str) -> RequestState:
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
            return replace(opened, fired_through=now - TICK)
        case RunLater():
            # After the clock went back, the former watermark may lie ahead. A fire between
            # now and there must still count.
            return replace(opened, fired_through=min(state.fired_through, now))
        case _:
            return opened


def rescheduled(request: Outline, state: RequestState, now: datetime) -> RequestState:
    """Return the state in a new generation that counts from now.

    A schedule fires only after `now`, a one-time request exactly at `now`.
    """
    through = now if isinstance(request.timing, Schedule) else now - TICK
    return replace(
        state,
        generation=state.generation + 1,
        since=now,
        counted_from=now,
        fired_through=through,
        furthest_verdict=None,
    )
