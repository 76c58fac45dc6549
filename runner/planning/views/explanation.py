"""Explain why a request did, or did not, run at an instant. Pure.

The sources are its records, its rule and its state, in this order.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import assert_never

from runner.planning.coming_fires import standing
from runner.planning.states.firing import delay_of, one_time_fire, pending_fire
from runner.planning.states.state import RequestState
from runner.planning.views.history import Missed
from runner.planning.views.question import Question, unscheduled_words
from runner.planning.views.recorded_reasons import miss_reasons, run_reason, step_reasons
from runner.planning.views.unrecorded_reasons import (
    future_reasons,
    past_reasons,
    rule_change_reasons,
)
from runner.planning.views.why_no_fire import (
    Because,
    Cause,
    Explanation,
    is_at,
    local_words,
    rule_hinders,
)
from runner.requests.model import RunImmediately, RunLater, Schedule, Timing


def why(question: Question) -> Explanation:
    """Answer a question. The decisive reason comes first."""
    runs = tuple(run for run in question.history.runs if is_at(run.scheduled_for, question.at))
    hindered = _hindrance(question)
    missed = [
        each for each in question.history.missed if hindered is None or _is_named(each, question.at)
    ]
    reasons = [run_reason(run, question.zone) for run in runs]
    reasons += [because for each in missed for because in miss_reasons(each, question)]
    reasons += step_reasons(question)
    if hindered is None and question.at + delay_of(question.request) > question.now:
        return Explanation(because=(*future_reasons(question), *reasons), runs=runs)
    if missed or not all(run.is_direct for run in runs):
        return Explanation(because=tuple(reasons), runs=runs)
    if hindered is not None:
        return replace(
            hindered,
            because=(*hindered.because, *rule_change_reasons(question), *reasons),
            runs=runs,
        )
    return Explanation(because=(*past_reasons(question), *reasons), runs=runs)


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


def _hindrance(question: Question) -> Explanation | None:
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
