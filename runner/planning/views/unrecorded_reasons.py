"""Explain a fire that has no record: it is still to come, or what kept it away. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from runner.lifecycle import RequestStatus
from runner.planning.coming_fires import standing
from runner.planning.states.due_fires import coming
from runner.planning.states.firing import delay_of
from runner.planning.states.state import RequestState, rule_of
from runner.planning.views.question import (
    Question,
    absence_reason,
    by_words,
    first_registered,
    not_registered,
    unscheduled_words,
)
from runner.planning.views.why_no_fire import Because, Cause, is_at, local_words
from runner.requests.model import Schedule
from runner.timing.zones import TICK
from runner.values import duration_text


def future_reasons(question: Question) -> Iterator[Because]:
    """Explain a fire that is still to come, or why it will not run."""
    stands = standing(question.request, question.state, question.now)
    if words := unscheduled_words(stands, question.zone):
        yield Because(cause=Cause.UNSCHEDULED, message=f"it will not run: {words}")
        return
    if stands.status is not RequestStatus.SCHEDULED:
        message = (
            f"it is {stands.status}; `runner reschedule {question.request.name}` would run it again"
        )
        yield Because(cause=Cause.COMPLETE, message=message)
        return
    if _is_claimed(question, stands):
        message = "it will not run again: it ran before the clock went back"
        yield Because(cause=Cause.CLAIMED, message=message)
        return
    due = question.at + delay_of(question.request)
    distance = duration_text(timedelta(seconds=round((due - question.now).total_seconds())))
    spread = (
        f", delayed by its spread to {local_words(due, question.zone)}"
        if due != question.at
        else ""
    )
    yield Because(cause=Cause.TO_COME, message=f"it is still to come, in {distance}{spread}")


def _is_claimed(question: Question, state: RequestState) -> bool:
    """Return whether a future fire cannot run: it was claimed before the clock went back."""
    timing = question.request.timing
    if not isinstance(timing, Schedule):
        return False
    fire = next(coming(timing.rule, state, question.at - TICK), None)
    return fire is None or not is_at(fire, question.at)


def past_reasons(question: Question) -> Iterator[Because]:
    """Yield every reason why a fire of the past may have no record."""
    state, history = question.state, question.history
    registered = first_registered(question)
    if state is None:
        yield Because(cause=Cause.NOT_REGISTERED, message="no runner has seen this request yet")
        return
    if registered is not None and registered > question.at:
        yield not_registered(registered, question.zone)
        return
    found = [*rule_change_reasons(question), *_of_changes(question, state)]
    found += _of_verdict(question, state)
    if history.absence is not None:
        found.append(absence_reason(history.absence, question.zone))
    yield from found or [_unsettled(question, state)]


def _of_verdict(question: Question, state: RequestState) -> Iterator[Because]:
    """Explain a fire that had its verdict before the clock went back and has not run since."""
    if (
        state.furthest_verdict is not None
        and question.at <= state.furthest_verdict
        and question.history.step
    ):
        message = (
            "it did not run on time, and is not recorded as missed: "
            "it had a verdict before the clock went back"
        )
        yield Because(cause=Cause.CLOCK_WENT_BACK, message=message)


def _of_changes(question: Question, state: RequestState) -> Iterator[Because]:
    """Yield the status at the instant, by the last record before it, or else the present one."""
    earlier = [change for change in question.history.changes if change.at <= question.at]
    if not earlier:
        words = unscheduled_words(state, question.zone)
        if words and (state.override_at is None or state.override_at <= question.at):
            yield Because(cause=Cause.UNSCHEDULED, message=f"it was not scheduled: {words}")
        return
    change = earlier[-1]
    at = local_words(change.at, question.zone)
    match change.word:
        case "unscheduled":
            how = by_words(change) or ", as its file says"
            yield Because(cause=Cause.UNSCHEDULED, message=f"it was unscheduled at {at}{how}")
        case "removed":
            yield Because(cause=Cause.REMOVED, message=f"its file had been removed at {at}")
        case "completed":
            yield Because(cause=Cause.COMPLETE, message=f"it was complete since {at}")


def _unsettled(question: Question, state: RequestState) -> Because:
    if state.fired_through < question.at:
        message = "it has no verdict yet; a running runner decides within a moment"
        return Because(cause=Cause.TO_COME, message=message)
    oldest = question.history.reaches_back_to
    if oldest is None or oldest > question.at:
        since = (
            f"reaches back only to {local_words(oldest, question.zone)}" if oldest else "is empty"
        )
        return Because(cause=Cause.UNKNOWN, message=f"the monitor log {since}")
    return Because(cause=Cause.UNKNOWN, message="the monitor log has no record of it")


def rule_change_reasons(question: Question) -> Iterator[Because]:
    """Warn that another rule may have been in force at an instant of the past."""
    state = question.state
    if question.at > question.now or state is None:
        return
    if state.rule != rule_of(question.request):
        message = "its file's rule is not live yet; another one is in force"
        yield Because(cause=Cause.RULE_CHANGED, message=message)
    elif (
        state.generation > 1
        and question.at <= state.since
        and (first_registered(question) or question.at) <= question.at
    ):
        yield _of_generation(question, state)


def _of_generation(question: Question, state: RequestState) -> Because:
    opened = next(
        (change for change in question.history.changes if change.generation == state.generation),
        None,
    )
    since = local_words(state.since, question.zone)
    if opened is not None and opened.word == "rescheduled":
        message = (
            f"it was rescheduled at {since}{by_words(opened)}: "
            "fires that were due before no longer count"
        )
    else:
        message = (
            f"its rule changed, or it was planned again, at {since}: "
            "before, another one may have been in force"
        )
    return Because(cause=Cause.RULE_CHANGED, message=message)
