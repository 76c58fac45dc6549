"""Explain why a request did, or did not, run at an instant. Pure.

The sources are its records, its rule and its state, in this order.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import assert_never

from runner.planning.coming_fires import standing
from runner.planning.fires.firing import one_time_fire, pending_fire
from runner.planning.moved_fires import excepting_line
from runner.planning.reasons.fire_query import FireQuery, unscheduled_words
from runner.planning.reasons.history import PastMiss
from runner.planning.reasons.recorded_reasons import miss_reasons, run_reason, step_reasons
from runner.planning.reasons.unrecorded_reasons import (
    future_reasons,
    past_reasons,
    rule_change_reasons,
)
from runner.planning.reasons.why_no_fire import (
    Because,
    Cause,
    Explanation,
    is_at,
    local_words,
    rule_hinders,
)
from runner.planning.states.state import RequestState
from runner.requests.model import RunImmediately, RunLater, Schedule, Timing


def why(query: FireQuery) -> Explanation:
    """Answer a query. The decisive reason comes first."""
    runs = tuple(run for run in query.history.runs if is_at(run.scheduled_for, query.at))
    hindered = _hindrance(query)
    missed = [
        each for each in query.history.missed if hindered is None or _is_named(each, query.at)
    ]
    reasons = [run_reason(run, query.zone) for run in runs]
    reasons += [because for each in missed for because in miss_reasons(each, query)]
    reasons += step_reasons(query)
    if hindered is None and query.due > query.now:
        return Explanation(because=(*future_reasons(query), *reasons), runs=runs)
    has_verdict = any(not each.is_of_backfill for each in missed)
    if has_verdict or not all(run.is_direct or run.is_backfill for run in runs):
        return Explanation(because=tuple(reasons), runs=runs)
    if hindered is not None:
        return replace(
            hindered,
            because=(*hindered.because, *rule_change_reasons(query), *reasons),
            runs=runs,
        )
    return Explanation(because=(*past_reasons(query), *reasons), runs=runs)


def of_expression(timing: Timing, at: datetime, zone: str) -> Explanation:
    """Answer the same question for a timing alone, without a registered request."""
    match timing:
        case Schedule(rule=rule):
            hindered = rule_hinders(rule, at, zone)
        case RunLater(start=start) if not is_at(start, at):
            hindered = _only_once(start, at, zone, "at its start")
        case RunLater() | RunImmediately():
            hindered = None
    return hindered or Explanation(
        because=(Because(cause=Cause.FIRES, message="it fires at that time"),)
    )


def _is_named(missed: PastMiss, at: datetime) -> bool:
    """Return whether a missed span certainly has a fire at `at`, whatever its rule was."""
    return is_at(missed.first, at) or is_at(missed.last, at)


def _hindrance(query: FireQuery) -> Explanation | None:
    """Return why the present rule has no fire at the instant; None if it has one."""
    timing = query.request.timing
    match timing:
        case None:
            message = "it has no timing: it runs only on demand"
            return Explanation(because=(Because(cause=Cause.NO_TIMING, message=message),))
        case Schedule(rule=rule):
            return rule_hinders(
                rule,
                query.at,
                query.zone,
                counted_from=_counted_from(query),
                where=lambda day: excepting_line(query.request, day),
            )
        case RunImmediately() | RunLater():
            return _one_time_hindered(timing, query)
        case _:
            assert_never(timing)


def _counted_from(query: FireQuery) -> datetime | None:
    """Return from when repetitions count at the instant; None for the rule's start.

    A future fire depends on the file as it is now. The file may press Reschedule with a
    token that no runner has seen yet.
    """
    is_to_come = query.at > query.now
    state = standing(query.request, query.state, query.now) if is_to_come else query.state
    counted_from = state.counted_from if state else None
    return counted_from if counted_from and counted_from < query.at else None


def _one_time_hindered(timing: RunImmediately | RunLater, query: FireQuery) -> Explanation | None:
    stands = standing(query.request, query.state, query.now)
    words = unscheduled_words(stands, query.zone)
    if words and isinstance(timing, RunImmediately) and pending_fire(query.request, stands):
        # It has no fire time yet. It gets one when it is scheduled.
        because = Because(cause=Cause.UNSCHEDULED, message=f"it does not run: {words}")
        return Explanation(because=(because,))
    fire = one_time_fire(timing, stands)
    if is_at(fire, query.at):
        return None
    return _only_once(fire, query.at, query.zone, _once_when(timing, stands))


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
