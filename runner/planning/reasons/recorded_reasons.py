"""Explain a fire by its records: it ran, it was skipped, it was missed. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from runner.lifecycle import ExecutionStatus, Reason
from runner.planning.reasons.fire_query import (
    FireQuery,
    downtime_reason,
    first_registered,
    not_registered,
)
from runner.planning.reasons.history import PastMiss, Run
from runner.planning.reasons.why_no_fire import Because, Cause, local_words
from runner.values import clock_text, duration_text


def run_reason(run: Run, zone: str) -> Because:
    """Explain an execution: it ran, runs, waits, or was skipped."""
    asked = "a person asked for it, and " if run.is_direct else ""
    if run.is_backfill:
        asked = "in a backfill "
    tail = f": {run.message}" if run.message else ""
    if run.is_skipped:
        why = ", because its process was still running" if run.reason == Reason.CONCURRENT else ""
        message = f"{asked}it was skipped{why}{tail}"
        return Because(cause=Cause.SKIPPED, message=message)
    if run.is_waiting:
        why = "for its start time, or until an earlier execution of its process ends"
        if run.is_queued:
            why = "for its turn: `max_running` executions are running"
        return Because(cause=Cause.WAITING, message=f"{asked}it waits {why}")
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


def miss_reasons(missed: PastMiss, query: FireQuery) -> Iterator[Because]:
    """Explain a recorded miss: when it was recorded, and what kept the fire from running."""
    settled = local_words(missed.settled, query.zone)
    if missed.is_of_backfill:
        message = f"a backfill ended early, as recorded at {settled}: {missed.message}"
        yield Because(cause=Cause.SKIPPED, message=message)
        return
    if missed.is_paused:
        message = f"it was skipped, as recorded at {settled}: {missed.message}"
        yield Because(cause=Cause.PAUSED, message=message)
        return
    if missed.count == 1:
        message = f"it was missed, as recorded at {settled}"
    else:
        first, last = (
            local_words(missed.first, query.zone),
            local_words(missed.last, query.zone),
        )
        message = (
            f"it was missed, one of {missed.count:,} fires from {first} to {last}; "
            f"recorded at {settled}"
        )
    yield Because(cause=Cause.MISSED, message=message)
    if query.history.step is not None:
        return  # the wrong clock explains the miss
    registered = first_registered(query)
    if registered is not None and registered > query.at:
        yield not_registered(registered, query.zone)
    elif query.history.downtime is not None:
        yield downtime_reason(query.history.downtime, query.zone)
    else:
        message = (
            "a runner was running, but the machine slept, its clock was set, "
            "or the runner or its store was blocked"
        )
        yield Because(cause=Cause.UNKNOWN, message=message)


def step_reasons(query: FireQuery) -> Iterator[Because]:
    """Explain a step back of the clock over the instant, and its effect on the fire."""
    step = query.history.step
    if step is None:
        return
    stepped, at = clock_text(step.seconds), local_words(step.at, query.zone)
    message = (
        f"the clock went back by {stepped} to {at}: "
        "since then, a fire recorded as missed still runs if it is on time, and replaces the miss"
    )
    yield Because(cause=Cause.CLOCK_WENT_BACK, message=message)
