"""The records of fires that did not run: one record for a span of them. Pure."""

from __future__ import annotations

from runner.lifecycle import Channel, ExecutionStatus, Reason
from runner.monitor.event_facts import ExecutionFacts, MissedSpan, OutcomeFacts
from runner.monitor.events import execution_finished
from runner.monitor.records import Record
from runner.planning.fires.firing import Miss
from runner.requests.model import ProcessRequest
from runner.values import counted, new_id


def missed(span: Miss) -> OutcomeFacts:
    """Return the outcome of fires that were missed."""
    return OutcomeFacts(
        status=ExecutionStatus.MISFIRED, reason=Reason.MISSED, message=f"{_fires(span)} missed"
    )


def held(span: Miss, why: str | None) -> OutcomeFacts:
    """Return the outcome of fires that a pause held; `why` is its reason."""
    words = f"{_fires(span)} held by a pause" + (f": {why}" if why else "")
    return OutcomeFacts(status=ExecutionStatus.SKIPPED, reason=Reason.PAUSED, message=words)


def left_out(span: Miss, reason: Reason, why: str) -> OutcomeFacts:
    """Return the outcome of the fires that a backfill has not run when it ends early."""
    words = f"{_fires(span)} left out of a backfill: {why}"
    return OutcomeFacts(status=ExecutionStatus.SKIPPED, reason=reason, message=words)


def record_of(
    request: ProcessRequest,
    span: Miss,
    outcome: OutcomeFacts,
    *,
    git: str | None,
    channel: Channel = Channel.PROCESS_SCHEDULER,
    generation: int | None = None,
    by: str | None = None,
) -> Record:
    """Return the record of a span of fires; `by` is the person who caused the outcome."""
    facts = ExecutionFacts(
        execution=new_id(),
        request=request.name,
        process=request.process.name,
        channel=channel,
        scheduled_for=span.last,
        generation=generation,
        requested_by=by,
        context=request.context,
        labels=request.labels,
        owner=request.owner,
        source=request.source,
        git_commit=git,
    )
    fires = MissedSpan(count=span.count, first=span.first, last=span.last)
    return execution_finished(facts, outcome, missed=fires)


def _fires(span: Miss) -> str:
    return f"{counted(span.count, 'fire')} {'was' if span.count == 1 else 'were'}"
