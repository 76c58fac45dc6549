"""An execution as a value: from claim to exit, as a row of the store, a launch, and the fields of its records. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from signal import Signals
from typing import Any

from runner.execution.output import Tail
from runner.execution.processes import Exit, Launch
from runner.lifecycle import Channel, ExecutionStatus, Reason
from runner.planning.overlap import Guard
from runner.requests.model import Command, Context, Process, Reference, Shell, Source
from runner.store.rows import ExecutionRow, Phase
from runner.values import duration_text, from_microseconds, instant_text, parse_instant, to_microseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """A claim with all that it needs to be started, watched and told of, also by another runner after a restart.

    `due` is `scheduled_for` delayed by the request's spread; lateness counts from it. `requested_by` is a person.
    """

    id: str
    request: str
    process: str
    channel: Channel
    scheduled_for: datetime
    due: datetime
    generation: int | None
    arguments: tuple[str, ...]
    directory: str
    source: Source
    output_file: str
    environment: dict[str, str] = field(default_factory=dict)
    context: Context = field(default_factory=Context)
    prevent_concurrent: bool = False
    timeout_s: float | None = None
    stop_signal: int
    stop_grace_s: float
    attempt: int = 1
    sequence: int = 0
    requested_by: str | None = None
    git_commit: str | None = None
    phase: Phase = Phase.STARTING
    pid: int | None = None
    pid_started: int | None = None
    started: datetime | None = None
    stopped_by: str | None = None

    @property
    def guard(self) -> Guard | None:
        """The concurrency guard that it holds from claim to end."""
        if not self.prevent_concurrent:
            return None
        return Guard(process=self.process, client=self.context.client, organization=self.context.organization)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an execution ended, in the words of the monitor log."""

    status: ExecutionStatus
    reason: Reason | None
    message: str | None
    exit_code: int | None = None
    signal: int | None = None
    cpu_s: float | None = None
    max_rss_bytes: int | None = None


def arguments_of(process: Process) -> tuple[str, ...]:
    """Return what is executed for a process whose references have been followed."""
    match process.action:
        case Command(arguments=arguments):
            return arguments
        case Shell(line=line):
            return ("/bin/sh", "-c", line)
        case Reference(request=name):
            raise AssertionError(f"the reference to {name} was not followed")


_IN_ROW = {"id", "request", "scheduled_for", "generation", "attempt", "sequence", "phase", "pid", "pid_started"}
_IN_BODY = tuple(each.name for each in fields(Execution) if each.name not in _IN_ROW)
_INSTANTS = ("due", "started")


def _plain(value: datetime | Context | Source) -> object:
    match value:
        case datetime():
            return instant_text(value)
        case Context():
            return {"client": value.client, "organization": value.organization}
        case Source():
            return {"file": value.file, "line": value.line, "sha256": value.sha256}


def row_of(execution: Execution) -> ExecutionRow:
    """Write an execution as a row; all that the store need not understand goes into its body."""
    body = {name: getattr(execution, name) for name in _IN_BODY}
    return ExecutionRow(
        id=execution.id,
        request=execution.request,
        generation=execution.generation,
        scheduled_for=to_microseconds(execution.scheduled_for),
        attempt=execution.attempt,
        sequence=execution.sequence,
        phase=execution.phase,
        pid=execution.pid,
        pid_started=execution.pid_started,
        body=json.dumps(body, default=_plain),
    )


def execution_of(row: ExecutionRow) -> Execution:
    """Read what `row_of` wrote."""
    body = json.loads(row.body)
    for name in _INSTANTS:
        body[name] = body[name] and parse_instant(body[name])
    body["channel"] = Channel(body["channel"])
    body["context"] = Context(**body["context"])
    body["source"] = Source(**body["source"])
    body["arguments"] = tuple(body["arguments"])
    columns = {name: getattr(row, name) for name in _IN_ROW - {"scheduled_for"}}
    return Execution(**body, **columns, scheduled_for=from_microseconds(row.scheduled_for))


def launch_of(execution: Execution, inherited: Mapping[str, str]) -> Launch:
    """Return what to start: the runner's own environment, the request's, and what tells the process who it is."""
    own = {
        "RUNNER_EXECUTION_ID": execution.id,
        "RUNNER_REQUEST": execution.request,
        "RUNNER_SCHEDULED_FOR": instant_text(execution.scheduled_for),
        "RUNNER_CHANNEL": execution.channel,
        "RUNNER_ATTEMPT": str(execution.attempt),
        "RUNNER_CLIENT": execution.context.client,
        "RUNNER_ORGANIZATION": execution.context.organization,
    }
    told = {name: str(value) for name, value in own.items() if value is not None}
    return Launch(
        execution=execution.id,
        arguments=execution.arguments,
        directory=execution.directory,
        environment={**inherited, **execution.environment, **told},
        output_file=execution.output_file,
        stop_signal=execution.stop_signal,
        stop_grace_s=execution.stop_grace_s,
        timeout_s=execution.timeout_s,
    )


def started_fields(execution: Execution) -> dict[str, Any]:
    """Return the fields of an `execution.started` record."""
    lateness = execution.started - execution.due if execution.started else None
    return {
        "execution": execution.id,
        "request": execution.request,
        "process": execution.process,
        "channel": execution.channel,
        "status": ExecutionStatus.PROCESSING,
        "scheduled_for": execution.scheduled_for,
        "started": execution.started,
        "lateness_s": lateness and max(lateness, timedelta()),
        "attempt": execution.attempt,
        "generation": execution.generation,
        "requested_by": execution.requested_by,
        "context": {"client": execution.context.client, "organization": execution.context.organization},
        "pid": execution.pid,
        "output_file": execution.output_file,
        "request_file": execution.source.file,
        "request_sha256": execution.source.sha256,
        "git_commit": execution.git_commit,
    }


def finished_fields(execution: Execution, outcome: Outcome, ended: datetime, tail: Tail | None) -> dict[str, Any]:
    """Return the fields of an `execution.finished` record; one that never started has no start and no output."""
    ended_by = execution.stopped_by if outcome.reason is Reason.KILLED_BY_USER else None
    return {
        **started_fields(execution),
        "requested_by": execution.requested_by or ended_by,
        "status": outcome.status,
        "reason": outcome.reason,
        "message": outcome.message,
        "ended": ended,
        "duration_s": max(ended - execution.started, timedelta()) if execution.started else timedelta(),
        "exit_code": outcome.exit_code,
        "signal": outcome.signal,
        "cpu_s": outcome.cpu_s,
        "max_rss_bytes": outcome.max_rss_bytes,
        "output_tail": tail and tail.text,
        "output_bytes": tail and tail.total_bytes,
        "output_truncated": tail and tail.truncated,
        "output_file": execution.output_file if tail else None,
    }


_REFUSED_MESSAGE = "Concurrent attempt to execute"
REFUSED = Outcome(status=ExecutionStatus.ERROR, reason=Reason.CONCURRENT, message=_REFUSED_MESSAGE)

LOST = Outcome(
    status=ExecutionStatus.SYSTEM_RESTART,
    reason=Reason.RUNNER_LOST,
    message="the runner ended while this ran; its exit code is unknown",
)
LOST_AT_START = Outcome(
    status=ExecutionStatus.SYSTEM_RESTART,
    reason=Reason.RUNNER_LOST,
    message="the runner ended while it was starting this; it may or may not have run",
)

STOPPED_BEFORE_START = Outcome(
    status=ExecutionStatus.KILLED,
    reason=Reason.RUNNER_STOPPED,
    message="the runner stopped before it could start this",
)


def spawn_failure(message: str) -> Outcome:
    """Return the outcome of an execution whose process could not be started."""
    return Outcome(status=ExecutionStatus.ERROR, reason=Reason.SPAWN_FAILED, message=message)


def outcome_of(execution: Execution, exited: Exit) -> Outcome:
    """Judge how a process of ours ended. Whatever we ended it for counts, even if it then exited with 0."""
    status, reason, message = _judge(execution, exited)
    return Outcome(
        status=status,
        reason=reason,
        message=message,
        exit_code=exited.exit_code,
        signal=exited.signal,
        cpu_s=exited.cpu_s,
        max_rss_bytes=exited.max_rss_bytes,
    )


def _judge(execution: Execution, exited: Exit) -> tuple[ExecutionStatus, Reason | None, str | None]:
    match exited.stopped_for:
        case Reason.TIMEOUT:
            timeout = duration_text(timedelta(seconds=execution.timeout_s or 0))
            return ExecutionStatus.ERROR, Reason.TIMEOUT, f"stopped after its timeout of {timeout}"
        case Reason.KILLED_BY_USER:
            return ExecutionStatus.KILLED, Reason.KILLED_BY_USER, f"killed by {execution.stopped_by or 'a person'}"
        case Reason.RUNNER_STOPPED:
            return ExecutionStatus.KILLED, Reason.RUNNER_STOPPED, "ended because the runner stopped"
        case None:
            return _judge_own_end(exited)
        case reason:
            return ExecutionStatus.ERROR, reason, None


def _judge_own_end(exited: Exit) -> tuple[ExecutionStatus, Reason | None, str | None]:
    if exited.exit_code == 0:
        return ExecutionStatus.SUCCESS, None, None
    if exited.signal is not None:
        return ExecutionStatus.ERROR, Reason.SIGNAL, f"ended by signal {_signal_name(exited.signal)}"
    return ExecutionStatus.ERROR, Reason.EXIT_CODE, f"exit code {exited.exit_code}"


def _signal_name(number: int) -> str:
    try:
        return Signals(number).name
    except ValueError:
        return str(number)
