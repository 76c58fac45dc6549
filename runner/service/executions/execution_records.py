"""An execution's monitor records. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from runner.lifecycle import Reason
from runner.monitor.event_facts import ExecutionFacts, OutcomeFacts
from runner.monitor.events import execution_finished, execution_started
from runner.planning.states.renaming import current_name
from runner.store.rows import ResultRow
from runner.values import to_microseconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runner.execution.output import Tail
    from runner.monitor.records import Record
    from runner.planning.states.state import RequestState
    from runner.service.executions.execution import Execution
    from runner.service.executions.outcomes import Outcome

_NO_TIME = timedelta()
_MICROSECOND = timedelta(microseconds=1)


def started_record(
    execution: Execution, *, message: str | None = None, is_local: bool = True
) -> Record:
    """Return the `execution.started` record. `is_local`: its output is on this machine."""
    has_file = is_local and not execution.is_group
    output_file = execution.claim.output_file if has_file else None
    facts = _facts(execution, execution.claim.requested_by, output_file)
    return execution_started(facts, message=_message(execution, message))


def finished_record(
    execution: Execution,
    outcome: Outcome,
    *,
    ended: datetime,
    duration: timedelta | None = None,
    tail: Tail | None = None,
    is_local: bool = True,
) -> Record:
    """Return the `execution.finished` record. `is_local`: its output is on this machine.

    `duration` is the measured one, if this runner started the process. Without a start
    there is no start time and no output; the duration is then 0.
    """
    claim = execution.claim
    ended_by = execution.stopped_by if outcome.reason is Reason.KILLED_BY_USER else None
    output_file = claim.output_file if is_local and tail is not None else None
    facts = _facts(execution, claim.requested_by or ended_by, output_file)
    if duration is None:
        duration = max(ended - execution.started, _NO_TIME) if execution.started else _NO_TIME
    return execution_finished(
        facts,
        OutcomeFacts(
            status=outcome.status,
            reason=outcome.reason,
            message=_message(execution, outcome.message),
            ended=ended,
            duration=duration,
            exit_code=outcome.exit_code,
            signal=outcome.signal,
            cpu_s=outcome.cpu_s and round(outcome.cpu_s, 6),
            max_rss_bytes=outcome.max_rss_bytes,
            output_tail=None if tail is None else tail.text,
            output_bytes=None if tail is None else tail.total_bytes,
            output_truncated=None if tail is None else tail.truncated,
        ),
    )


def result_row(fields: Mapping[str, Any], states: Mapping[str, RequestState]) -> ResultRow:
    """Return the row for a finished record that is a result, under the request's present name."""
    started = fields["started"]
    return ResultRow(
        fields["execution"],
        current_name(fields["request"], states),
        fields["channel"],
        fields["status"],
        fields["reason"],
        to_microseconds(fields["scheduled_for"]),
        fields["attempt"],
        None if started is None else to_microseconds(started),
        to_microseconds(fields["ended"]),
        fields["duration_s"] // _MICROSECOND,
    )


def _message(execution: Execution, message: str | None) -> str | None:
    """Put in front of a message from where the calendar moved the fire."""
    moved = execution.claim.moved
    return f"{moved}; {message}" if moved and message else moved or message


def _facts(execution: Execution, by: str | None, output_file: str | None) -> ExecutionFacts:
    claim, started = execution.claim, execution.started
    return ExecutionFacts(
        execution=claim.id,
        request=claim.request,
        process=claim.process.name,
        channel=claim.channel,
        scheduled_for=claim.scheduled_for,
        started=started,
        lateness=None if started is None else max(started - execution.due, _NO_TIME),
        attempt=claim.attempt,
        generation=claim.generation,
        group=claim.group,
        sequence=claim.sequence or None,
        follows=claim.follows,
        requested_by=by,
        context=claim.context,
        labels=claim.labels,
        owner=claim.owner,
        pid=execution.pid,
        node=execution.node,
        queue=execution.queue,
        output_file=output_file,
        source=claim.source,
        git_commit=claim.git_commit,
    )
