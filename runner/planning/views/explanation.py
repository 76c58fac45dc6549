"""Explain why a request did, or did not, run at an instant. Pure.

The sources are its records, its rule and its state, in this order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import assert_never

from runner.lifecycle import ExecutionStatus, Reason, RequestStatus
from runner.planning.coming_fires import standing
from runner.planning.states.due_fires import coming
from runner.planning.states.firing import delay_of, one_time_fire, pending_fire
from runner.planning.states.state import RequestState, rule_of
from runner.planning.views.history import Absence, Change, History, Missed, Run
from runner.planning.views.why_no_fire import (
    Because,
    Cause,
    Explanation,
    is_at,
    local_words,
    rule_hinders,
)
from runner.requests.model import ProcessRequest, RunImmediately, RunLater, Schedule, Timing
from runner.timing.zones import TICK
from runner.values import clock_text, duration_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The question why a request did, or did not, run at `at`.

    It concerns a fire within the second that begins at `at`. `state` is the request's state
    in the store; None if no runner has seen the request. Messages give times in `zone`.
    """

    request: ProcessRequest
    state: RequestState | None
    at: datetime
    now: datetime
    history: History
    zone: str


def why(question: Question) -> Explanation:
    """Answer a question. The decisive reason comes first."""
    runs = tuple(run for run in question.history.runs if is_at(run.scheduled_for, question.at))
    hindered = _hindered(question)
    missed = [
        each for each in question.history.missed if hindered is None or _is_named(each, question.at)
    ]
    reasons = [_of_run(run, question.zone) for run in runs]
    reasons += [because for each in missed for because in _of_missed(each, question)]
    reasons += _of_step(question)
    if hindered is None and question.at + delay_of(question.request) > question.now:
        return Explanation(because=(*_to_come(question), *reasons), runs=runs)
    if missed or not all(run.is_direct for run in runs):
        return Explanation(because=tuple(reasons), runs=runs)
    if hindered is not None:
        return replace(
            hindered, because=(*hindered.because, *_another_rule(question), *reasons), runs=runs
        )
    return Explanation(because=(*_unrecorded(question), *reasons), runs=runs)


def of_expression(timing: Timing, at: datetime, zone: str) -> Explanation:
    """Answer the same question for a timing alone, without a registered request."""
    match timing:
        case Schedule(rule=rule):
            hindered = rule_hinders(rule, at, zone)
        case RunLater(start=start) if not is_at(start, at):
            hindered = _only_once(start, at, zone, "at its start")
        case RunLater() | RunImmediately():
            hindered = None
    return hindered or Explanation(because=(Because(cause=Cause.FIRES, message="it fires then"),))


def _is_named(missed: Missed, at: datetime) -> bool:
    """Return whether a missed span certainly has a fire at `at`, whatever its rule was."""
    return is_at(missed.first, at) or is_at(missed.last, at)


def _of_run(run: Run, zone: str) -> Because:
    asked = "a person asked for it, and " if run.is_direct else ""
    tail = f": {run.message}" if run.message else ""
    if run.is_skipped:
        why = ", because its process was still running" if run.reason == Reason.CONCURRENT else ""
        message = f"{asked}it was skipped{why}{tail}"
        return Because(cause=Cause.SKIPPED, message=message)
    if run.is_waiting:
        return Because(
            cause=Cause.WAITING,
            message=f"{asked}it waits for its turn: `max_running` executions are running",
        )
    if run.started is None:
        return Because(cause=Cause.RAN, message=f"{asked}it did not start ({run.status}){tail}")
    late = f", {duration_text(run.lateness)} late" if run.lateness is not None else ""
    begun = f"at {local_words(run.started, zone)}{late}"
    if run.status is ExecutionStatus.PROCESSING:
        return Because(
            cause=Cause.RUNNING, message=f"{asked}it started {begun}; its end is not recorded yet"
        )
    took = f", took {clock_text((run.ended - run.started).total_seconds())}" if run.ended else ""
    return Because(cause=Cause.RAN, message=f"{asked}it ran {begun}{took}: {run.status}{tail}")


def _of_missed(missed: Missed, question: Question) -> Iterator[Because]:
    settled = local_words(missed.settled, question.zone)
    if missed.count == 1:
        message = f"it was missed, as was recorded at {settled}"
    else:
        first, last = (
            local_words(missed.first, question.zone),
            local_words(missed.last, question.zone),
        )
        message = (
            f"it was missed, one of {missed.count:,} fires from {first} to {last}; "
            f"recorded at {settled}"
        )
    yield Because(cause=Cause.MISSED, message=message)
    if question.history.step is not None:
        return  # the wrong clock explains the miss
    registered = _first_registered(question)
    if registered is not None and registered > question.at:
        yield _not_registered(registered, question.zone)
    elif question.history.absence is not None:
        yield _of_absence(question.history.absence, question.zone)
    else:
        message = (
            "a runner was running, but the machine slept, its clock was set, "
            "or the runner or its store was blocked"
        )
        yield Because(cause=Cause.UNKNOWN, message=message)


def _of_step(question: Question) -> Iterator[Because]:
    """Explain a step back of the clock over the instant, and its effect on the fire."""
    step = question.history.step
    if step is None:
        return
    stepped, at = clock_text(step.seconds), local_words(step.at, question.zone)
    message = (
        f"the clock went back by {stepped} to {at}: "
        "since then, a fire recorded as missed runs if it is on time, and replaces the miss"
    )
    yield Because(cause=Cause.CLOCK_WENT_BACK, message=message)


def _hindered(question: Question) -> Explanation | None:
    """Return why the present rule has no fire at the instant; None if it has one."""
    timing = question.request.timing
    match timing:
        case None:
            message = "it has no timing: it runs only when it is asked for"
            return Explanation(because=(Because(cause=Cause.NO_TIMING, message=message),))
        case Schedule(rule=rule):
            return rule_hinders(
                rule, question.at, question.zone, counted_from=_counted_from(question)
            )
        case RunImmediately() | RunLater():
            return _one_time_hindered(timing, question)
        case _:
            assert_never(timing)


def _counted_from(question: Question) -> datetime | None:
    """Return from when repetitions count at the instant; None for the rule's start.

    A future fire depends on the file as it is now. The file may press Reschedule with a
    token that no runner has seen yet.
    """
    is_to_come = question.at > question.now
    state = (
        standing(question.request, question.state, question.now) if is_to_come else question.state
    )
    counted_from = state.counted_from if state else None
    return counted_from if counted_from and counted_from < question.at else None


def _one_time_hindered(timing: RunImmediately | RunLater, question: Question) -> Explanation | None:
    stands = standing(question.request, question.state, question.now)
    words = unscheduled_words(stands, question.zone)
    if words and isinstance(timing, RunImmediately) and pending_fire(question.request, stands):
        # It has no fire time yet. It gets one when it is scheduled.
        because = Because(cause=Cause.UNSCHEDULED, message=f"it does not run: {words}")
        return Explanation(because=(because,))
    fire = one_time_fire(timing, stands)
    if is_at(fire, question.at):
        return None
    return _only_once(fire, question.at, question.zone, _once_when(timing, stands))


def _once_when(timing: RunImmediately | RunLater, state: RequestState) -> str:
    """Return, in words, what set the fire time of a one-time request."""
    match timing:
        case RunLater(start=start) if one_time_fire(timing, state) == start:
            return "at its start"
        case RunImmediately() if state.counted_from != state.since:
            return "when it is first seen or scheduled"
        case _:
            return "when it is rescheduled"


def _only_once(fire: datetime, at: datetime, zone: str, when: str) -> Explanation:
    because = Because(
        cause=Cause.NO_FIRE, message=f"it runs once, {when}: {local_words(fire, zone)}"
    )
    return Explanation(
        because=(because,), before=fire if fire < at else None, after=fire if fire > at else None
    )


def _another_rule(question: Question) -> Iterator[Because]:
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
        and (_first_registered(question) or question.at) <= question.at
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
            f"it was rescheduled at {since}{_by(opened)}: "
            "fires that were due before no longer count"
        )
    else:
        message = (
            f"its rule changed, or it was planned again, at {since}: "
            "before, another one may have been in force"
        )
    return Because(cause=Cause.RULE_CHANGED, message=message)


def _to_come(question: Question) -> Iterator[Because]:
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


def _unrecorded(question: Question) -> Iterator[Because]:
    """Yield every reason why a fire of the past may have no record."""
    state, history = question.state, question.history
    registered = _first_registered(question)
    if state is None:
        yield Because(cause=Cause.NOT_REGISTERED, message="no runner has seen this request yet")
        return
    if registered is not None and registered > question.at:
        yield _not_registered(registered, question.zone)
        return
    found = [*_another_rule(question), *_of_changes(question, state), *_of_verdict(question, state)]
    if history.absence is not None:
        found.append(_of_absence(history.absence, question.zone))
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
            how = _by(change) or ", as its file says"
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


def unscheduled_words(state: RequestState, zone: str) -> str | None:
    """Return who unscheduled a request and when, in words; None if it is not unscheduled."""
    if state.status is not RequestStatus.UNSCHEDULED:
        return None
    if state.override is False:
        at = f" at {local_words(state.override_at, zone)}" if state.override_at else ""
        return f"unscheduled by {state.override_by or 'a person'}{at}"
    return "its file is gone" if state.removed else "its file says `scheduled: false`"


def _of_absence(absence: Absence, zone: str) -> Because:
    since = f" since {local_words(absence.since, zone)}" if absence.since else ""
    if absence.since is not None and not absence.is_orderly:
        since = f"; the last sign of a runner is from {local_words(absence.since, zone)}"
    until = (
        f"; the next started at {local_words(absence.until, zone)}"
        if absence.until
        else "; none has started since"
    )
    return Because(cause=Cause.RUNNER_DOWN, message=f"no runner was running{since}{until}")


def _first_registered(question: Question) -> datetime | None:
    """Return when a runner first saw the request; None if unknown."""
    changes, state = question.history.changes, question.state
    if state is not None and state.generation == 1:
        return state.since
    return changes[0].at if changes and changes[0].generation == 1 else None


def _not_registered(registered: datetime, zone: str) -> Because:
    return Because(
        cause=Cause.NOT_REGISTERED,
        message=f"it was first seen later: {local_words(registered, zone)}",
    )


def _by(change: Change) -> str:
    return f" by {change.by}" if change.by else ""
