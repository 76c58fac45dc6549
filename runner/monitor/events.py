"""The monitor log's events: one function per event makes its record. Pure.

Each record has all fields of its event, in the order of
`schemas/monitor-record.schema.json`, which explains them. A field without a value is
None. `records.Recorder` adds the fields that every event has and writes the line.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime

from runner.errors import Problem
from runner.lifecycle import ExecutionStatus
from runner.monitor.event_facts import (
    AlertFacts,
    ChangedNames,
    ExecutionFacts,
    MissedSpan,
    NotificationFacts,
    OutcomeFacts,
    PauseFacts,
    RequestFacts,
    RunnerFacts,
    WebChangeFacts,
)
from runner.monitor.records import Event, Record

ON_SUCCESS, ON_FAILURE = "on_success", "on_failure"
WEB = "web:"
"""Begins `requested_by` of a person on the page; then follows the name of the token. No
user of the system has a name with a colon.
"""
_FOLLOWING = tuple(f"{key} of " for key in (ON_SUCCESS, ON_FAILURE))


_PROCESSING = OutcomeFacts(status=ExecutionStatus.PROCESSING, reason=None, message=None)


def execution_started(facts: ExecutionFacts, *, message: str | None = None) -> Record:
    """Return the record of an execution whose process started."""
    fields = _execution(facts, _PROCESSING)
    fields["message"] = message
    return Record(Event.EXECUTION_STARTED, fields)


def execution_finished(
    facts: ExecutionFacts, outcome: OutcomeFacts, *, missed: MissedSpan | None = None
) -> Record:
    """Return the record of an execution that ended, or of fires that were missed."""
    fields = _execution(facts, outcome)
    if missed is not None:
        fields.update(missed_count=missed.count, missed_from=missed.first, missed_until=missed.last)
    return Record(Event.EXECUTION_FINISHED, fields)


def request_scheduled(facts: RequestFacts) -> Record:
    """Return the record of a request that has fires to come from now on."""
    return Record(Event.REQUEST_SCHEDULED, _request(facts))


def request_unscheduled(facts: RequestFacts) -> Record:
    """Return the record of a request that somebody unscheduled."""
    return Record(Event.REQUEST_UNSCHEDULED, _request(facts))


def request_rescheduled(facts: RequestFacts) -> Record:
    """Return the record of a request whose plan begins anew."""
    return Record(Event.REQUEST_RESCHEDULED, _request(facts))


def request_completed(facts: RequestFacts) -> Record:
    """Return the record of a request that has no more fires."""
    return Record(Event.REQUEST_COMPLETED, _request(facts))


def request_removed(facts: RequestFacts) -> Record:
    """Return the record of a request whose document is gone."""
    return Record(Event.REQUEST_REMOVED, _request(facts))


def request_rejected(
    facts: RequestFacts, *, last_good: bool, problems: Collection[Problem]
) -> Record:
    """Return the record of a rejected file; its `last_good` version may stay active."""
    extra = {"last_good": last_good, **_listed("problems", problems)}
    return Record(Event.REQUEST_REJECTED, _request(facts) | extra)


def runner_started(
    facts: RunnerFacts, *, message: str | None, monitor_log: str, rejected: Collection[str]
) -> Record:
    """Return the record of a start, with the files that were `rejected`."""
    fields = _runner(facts, message) | {"monitor_log": monitor_log, **_listed("rejected", rejected)}
    return Record(Event.RUNNER_STARTED, fields)


def runner_stopped(
    facts: RunnerFacts, *, message: str | None, signal: int | None, uptime_s: float
) -> Record:
    """Return the record of an orderly stop by a signal, or without one by a restart."""
    fields = _runner(facts, message) | {"signal": signal, "uptime_s": uptime_s}
    return Record(Event.RUNNER_STOPPED, fields)


def runner_reloaded(
    facts: RunnerFacts,
    *,
    message: str,
    git_commit_before: str | None = None,
    requested_by: str | None = None,
    duration_s: float | None = None,
    changes: ChangedNames | None = None,
) -> Record:
    """Return the record of a reading of the jobs folder, or of a change of time zones.

    A change of time zones has no `changes`.
    """
    fields = _runner(facts, message) | {
        "git_commit_before": git_commit_before,
        "requested_by": requested_by,
        "requested_via": _via(requested_by),
        "duration_s": duration_s,
    }
    for name in ("added", "changed", "removed", "rejected"):
        fields |= _listed(name, None if changes is None else getattr(changes, name))
    return Record(Event.RUNNER_RELOADED, fields)


def runner_clock_stepped(
    facts: RunnerFacts,
    *,
    message: str | None,
    step_s: float,
    reopened_from: datetime | None,
    reopened_until: datetime | None,
) -> Record:
    """Return the record of a step of the clock, and the span whose fires it reopened."""
    fields = _runner(facts, message)
    fields.update(step_s=step_s, reopened_from=reopened_from, reopened_until=reopened_until)
    return Record(Event.RUNNER_CLOCK_STEPPED, fields)


def alert_opened(facts: AlertFacts) -> Record:
    """Return the record of an alert that opened."""
    return Record(Event.ALERT_OPENED, asdict(facts))


def alert_closed(facts: AlertFacts) -> Record:
    """Return the record of an alert that closed."""
    return Record(Event.ALERT_CLOSED, asdict(facts))


def notification_sent(facts: NotificationFacts) -> Record:
    """Return the record of a message that reached its receiver."""
    return Record(Event.NOTIFICATION_SENT, _notification(facts) | {"message": facts.message})


def notification_failed(facts: NotificationFacts, *, retry_at: datetime | None) -> Record:
    """Return the record of a failed attempt, after which the next one or none follows."""
    fields = _notification(facts) | {"retry_at": retry_at, "message": facts.message}
    return Record(Event.NOTIFICATION_FAILED, fields)


def _notification(facts: NotificationFacts) -> dict[str, object]:
    return {
        "notification": facts.notification,
        "receiver": facts.receiver,
        "attempt": facts.attempt,
        **_listed("alerts", facts.alerts),
    }


def runner_paused(facts: RunnerFacts, pause: PauseFacts, *, message: str) -> Record:
    """Return the record of a pause that began; `message` is the person's reason."""
    return Record(Event.RUNNER_PAUSED, _runner(facts, message) | _pause(pause))


def runner_resumed(facts: RunnerFacts, pause: PauseFacts, *, message: str) -> Record:
    """Return the record of a pause that ended, for all of its requests or for some."""
    return Record(Event.RUNNER_RESUMED, _runner(facts, message) | _pause(pause))


def runner_leading(
    facts: RunnerFacts, *, node: str, former_node: str | None, epoch: int, message: str | None
) -> Record:
    """Return the record of a node that began to lead a fleet."""
    fields = {"node": node, "former_node": former_node, "epoch": epoch}
    return Record(Event.RUNNER_LEADING, _runner(facts, message) | fields)


def runner_standby(facts: RunnerFacts, *, node: str, message: str | None) -> Record:
    """Return the record of a node that began to stand by; `facts` are the leader's."""
    return Record(Event.RUNNER_STANDBY, _runner(facts, message) | {"node": node})


def worker_joined(facts: RunnerFacts, *, node: str, message: str | None) -> Record:
    """Return the record of a worker that began to work; `facts` are the leader's."""
    return Record(Event.WORKER_JOINED, _runner(facts, message) | {"node": node})


def worker_lost(facts: RunnerFacts, *, node: str, message: str | None) -> Record:
    """Return the record of a worker that was silent for too long; `facts` are the leader's."""
    return Record(Event.WORKER_LOST, _runner(facts, message) | {"node": node})


def web_changed(facts: WebChangeFacts) -> Record:
    """Return the record of a change that a person made on the page."""
    fields = {
        "request": facts.request,
        "action": facts.action,
        **_listed("targets", facts.targets),
        "requested_by": facts.requested_by,
        "requested_via": _via(facts.requested_by),
        "message": facts.message,
    }
    return Record(Event.WEB_CHANGED, fields)


def _pause(pause: PauseFacts) -> dict[str, object]:
    return {
        "requested_by": pause.requested_by,
        "requested_via": _via(pause.requested_by),
        "paused_from": pause.begin,
        "paused_until": pause.end,
        **_listed("paused", pause.names),
    }


def _execution(facts: ExecutionFacts, outcome: OutcomeFacts) -> dict[str, object]:
    return {
        "execution": facts.execution,
        "request": facts.request,
        "process": facts.process,
        "channel": facts.channel,
        "status": outcome.status,
        "reason": outcome.reason,
        "scheduled_for": facts.scheduled_for,
        "started": facts.started,
        "ended": outcome.ended,
        "duration_s": outcome.duration,
        "lateness_s": facts.lateness,
        "attempt": facts.attempt,
        "generation": facts.generation,
        "group": facts.group,
        "sequence": facts.sequence,
        "follows": facts.follows,
        "requested_by": facts.requested_by,
        "requested_via": _via(facts.requested_by),
        "context": facts.context,
        "labels": facts.labels or None,
        "owner": facts.owner,
        "exit_code": outcome.exit_code,
        "signal": outcome.signal,
        "pid": facts.pid,
        "cpu_s": outcome.cpu_s,
        "max_rss_bytes": outcome.max_rss_bytes,
        "output_tail": outcome.output_tail,
        "output_bytes": outcome.output_bytes,
        "output_truncated": outcome.output_truncated,
        "output_file": facts.output_file,
        "request_file": facts.source.file,
        "request_sha256": facts.source.sha256,
        "git_commit": facts.git_commit,
        "node": facts.node,
        "queue": facts.queue,
        "message": outcome.message,
    }


def _request(facts: RequestFacts) -> dict[str, object]:
    return {
        "request": facts.request,
        "channel": facts.channel,
        "status": facts.status,
        "generation": facts.generation,
        "drift": facts.drift,
        "requested_by": facts.requested_by,
        "requested_via": _via(facts.requested_by),
        "owner": facts.owner,
        "request_file": facts.request_file,
        "request_sha256": facts.request_sha256,
        "git_commit": facts.git_commit,
        "message": facts.message,
    }


def _runner(facts: RunnerFacts, message: str | None) -> dict[str, object]:
    return asdict(facts) | {"message": message}


def _listed(name: str, items: Collection[object] | None) -> dict[str, object]:
    """Return a list's field, and its length, which stays when a long list is shortened."""
    return {name: items, f"{name}_count": None if items is None else len(items)}


def follower(key: str, request: str) -> str:
    """Return `requested_by` of an execution that `key` of another request runs.

    >>> follower(ON_FAILURE, "backup")
    'on_failure of backup'
    """
    return f"{key} of {request}"


def is_from_web(by: str) -> bool:
    """Return whether a person asked on the page."""
    return by.startswith(WEB)


def _via(by: str | None) -> str | None:
    """Return the way by which a person asked."""
    if by is None or by.startswith(_FOLLOWING):
        return None
    return "web" if is_from_web(by) else "cli"
