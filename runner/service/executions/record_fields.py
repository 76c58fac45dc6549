"""The fields of an execution's monitor records. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from runner.lifecycle import ExecutionStatus, Reason

if TYPE_CHECKING:
    from runner.execution.output import Tail
    from runner.service.executions.execution import Execution
    from runner.service.executions.outcomes import Outcome

_NO_TIME = timedelta()


def started_fields(execution: Execution) -> dict[str, Any]:
    """Return the fields of an `execution.started` record."""
    claim = execution.claim
    lateness = execution.started - execution.due if execution.started else None
    return {
        "execution": claim.id,
        "request": claim.request,
        "process": claim.process.name,
        "channel": claim.channel,
        "status": ExecutionStatus.PROCESSING,
        "scheduled_for": claim.scheduled_for,
        "started": execution.started,
        "lateness_s": lateness and max(lateness, _NO_TIME),
        "attempt": claim.attempt,
        "generation": claim.generation,
        "group": claim.group,
        "sequence": claim.sequence or None,
        "requested_by": claim.requested_by,
        "context": {"client": claim.context.client, "organization": claim.context.organization},
        "labels": claim.labels or None,
        "owner": claim.owner,
        "pid": execution.pid,
        "output_file": None if execution.is_group else claim.output_file,
        "request_file": claim.source.file,
        "request_sha256": claim.source.sha256,
        "git_commit": claim.git_commit,
    }


def finished_fields(
    execution: Execution, outcome: Outcome, ended: datetime, tail: Tail | None
) -> dict[str, Any]:
    """Return the fields of an `execution.finished` record.

    Without a start there is no start time and no output; the duration is then 0.
    """
    ended_by = execution.stopped_by if outcome.reason is Reason.KILLED_BY_USER else None
    return {
        **started_fields(execution),
        "requested_by": execution.claim.requested_by or ended_by,
        "status": outcome.status,
        "reason": outcome.reason,
        "message": outcome.message,
        "ended": ended,
        "duration_s": max(ended - execution.started, _NO_TIME) if execution.started else _NO_TIME,
        "exit_code": outcome.exit_code,
        "signal": outcome.signal,
        "cpu_s": outcome.cpu_s and round(outcome.cpu_s, 6),
        "max_rss_bytes": outcome.max_rss_bytes,
        "output_tail": tail and tail.text,
        "output_bytes": tail and tail.total_bytes,
        "output_truncated": tail and tail.truncated,
        "output_file": execution.claim.output_file if tail else None,
    }
