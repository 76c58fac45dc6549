"""Explain a fire that has no record: it is still to come, or what kept it away. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from runner.lifecycle import RequestStatus
from runner.planning.coming_fires import standing
from runner.planning.fires.due_fires import coming
from runner.planning.reasons.fire_query import (
    FireQuery,
    by_words,
    downtime_reason,
    first_registered,
    not_registered,
    paused_reason,
    unscheduled_words,
)
from runner.planning.reasons.why_no_fire import Because, Cause, is_at, local_words
from runner.planning.states.pauses import Pause
from runner.planning.states.state import RequestState, rule_of
from runner.requests.model import RunImmediately, RunLater, Schedule
from runner.timing.zones import TICK
from runner.values import duration_text


def future_reasons(query: FireQuery) -> Iterator[Because]:
    """Explain a fire that is still to come, or why it will not run."""
    stands = standing(query.request, query.state, query.now)
    if words := unscheduled_words(stands, query.zone):
        yield Because(cause=Cause.UNSCHEDULED, message=f"it will not run: {words}")
        return
    if stands.status is not RequestStatus.SCHEDULED:
        message = (
            f"it is {stands.status}; `runner reschedule {query.request.name}` would run it again"
        )
        yield Because(cause=Cause.COMPLETE, message=message)
        return
    if _is_claimed(query, stands):
        message = "it will not run again: it ran before the clock went back"
        yield Because(cause=Cause.CLAIMED, message=message)
        return
    if query.pause is not None:
        yield _held(query.pause, query)
        return
    due = query.due
    distance = duration_text(timedelta(seconds=round((due - query.now).total_seconds())))
    spread = f", delayed by its spread to {local_words(due, query.zone)}" if due != query.at else ""
    yield Because(cause=Cause.TO_COME, message=f"it is due in {distance}{spread}")


def _held(pause: Pause, query: FireQuery) -> Because:
    """Explain that a fire falls into a pause that is not over."""
    reason = paused_reason(pause, query.zone)
    is_once = isinstance(query.request.timing, RunImmediately | RunLater)
    what = "it waits for the resume" if is_once else "it is held"
    return replace(reason, message=f"{what}: {reason.message}")


def _is_claimed(query: FireQuery, state: RequestState) -> bool:
    """Return whether a future fire cannot run: it was claimed before the clock went back."""
    timing = query.request.timing
    if not isinstance(timing, Schedule):
        return False
    fire = next(coming(timing.rule, state, query.at - TICK), None)
    return fire is None or not is_at(fire, query.at)


def past_reasons(query: FireQuery) -> Iterator[Because]:
    """Yield every reason why a fire of the past may have no record."""
    state, history = query.state, query.history
    registered = first_registered(query)
    if state is None:
        yield Because(cause=Cause.NOT_REGISTERED, message="no runner has seen this request yet")
        return
    if registered is not None and registered > query.at:
        yield not_registered(registered, query.zone)
        return
    found = [*rule_change_reasons(query), *_of_changes(query, state)]
    if query.pause is not None and state.fired_through < query.at:
        found.append(_held(query.pause, query))
    found += _of_verdict(query, state)
    if history.downtime is not None:
        found.append(downtime_reason(history.downtime, query.zone))
    yield from found or [_unsettled(query, state)]


def _of_verdict(query: FireQuery, state: RequestState) -> Iterator[Because]:
    """Explain a fire that had its verdict before the clock went back and has not run since."""
    if (
        state.furthest_verdict is not None
        and query.at <= state.furthest_verdict
        and query.history.step
    ):
        message = (
            "it did not run on time, and is not recorded as missed: "
            "the runner had decided about it before the clock went back"
        )
        yield Because(cause=Cause.CLOCK_WENT_BACK, message=message)


def _of_changes(query: FireQuery, state: RequestState) -> Iterator[Because]:
    """Yield the status at the instant, by the last record before it, or else the present one."""
    earlier = [change for change in query.history.changes if change.at <= query.at]
    if not earlier:
        words = unscheduled_words(state, query.zone)
        if words and (state.override_at is None or state.override_at <= query.at):
            yield Because(cause=Cause.UNSCHEDULED, message=f"it was not scheduled: {words}")
        return
    change = earlier[-1]
    at = local_words(change.at, query.zone)
    match change.word:
        case "unscheduled":
            why = f" {change.why}" if change.why else ", as its file says"
            how = by_words(change) or why
            yield Because(cause=Cause.UNSCHEDULED, message=f"it was unscheduled at {at}{how}")
        case "removed":
            yield Because(cause=Cause.REMOVED, message=f"its file had been removed at {at}")
        case "completed":
            yield Because(cause=Cause.COMPLETE, message=f"it has been complete since {at}")


def _unsettled(query: FireQuery, state: RequestState) -> Because:
    if state.fired_through < query.at:
        message = "it is not decided yet; a running runner decides within a moment"
        return Because(cause=Cause.TO_COME, message=message)
    oldest = query.history.reaches_back_to
    if oldest is None or oldest > query.at:
        since = f"reaches back only to {local_words(oldest, query.zone)}" if oldest else "is empty"
        return Because(cause=Cause.UNKNOWN, message=f"the monitor log {since}")
    return Because(cause=Cause.UNKNOWN, message="the monitor log has no record of it")


def rule_change_reasons(query: FireQuery) -> Iterator[Because]:
    """Warn that another rule may have been in force at an instant of the past."""
    state = query.state
    if query.at > query.now or state is None:
        return
    if state.rule != rule_of(query.request):
        message = "its file's rule is not live yet; another one is in force"
        yield Because(cause=Cause.RULE_CHANGED, message=message)
    elif (
        state.generation > 1
        and query.at <= state.since
        and (first_registered(query) or query.at) <= query.at
    ):
        yield _of_generation(query, state)


def _of_generation(query: FireQuery, state: RequestState) -> Because:
    opened = next(
        (change for change in query.history.changes if change.generation == state.generation),
        None,
    )
    since = local_words(state.since, query.zone)
    if opened is not None and opened.word == "rescheduled":
        message = (
            f"it was rescheduled at {since}{by_words(opened)}: "
            "fires that were due before no longer count"
        )
    else:
        message = (
            f"its rule changed, or it was planned again, at {since}; "
            "before that, another rule may have been in force"
        )
    return Because(cause=Cause.RULE_CHANGED, message=message)
