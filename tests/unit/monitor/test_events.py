"""Each event of the schema has one function, which makes records that the schema allows."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from jsonschema import Draft7Validator
from support.monitor_records import SCHEMA, fields_of

from runner.errors import Problem
from runner.lifecycle import Channel, Check, ExecutionStatus, Reason, RequestStatus
from runner.monitor import events
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
from runner.monitor.records import Event, Record, Recorder
from runner.requests.model import Context, Source

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
EXECUTION = ExecutionFacts(
    execution="e1",
    request="nightly",
    process="post",
    channel=Channel.PROCESS_SCHEDULER,
    scheduled_for=NOON,
    generation=1,
    context=Context(client="acme"),
    labels={"team": "erp"},
    owner="finance",
    source=Source(file="a.yaml", line=1, sha256="5e" * 32),
    git_commit=None,
)
SUCCESS = OutcomeFacts(status=ExecutionStatus.SUCCESS, reason=None, message=None, ended=NOON)
MISFIRED = OutcomeFacts(status=ExecutionStatus.MISFIRED, reason=Reason.MISSED, message=None)
HELD = OutcomeFacts(status=ExecutionStatus.SKIPPED, reason=Reason.PAUSED, message=None)
REQUEST = RequestFacts(
    request="nightly",
    status=RequestStatus.SCHEDULED,
    requested_by="maria",
    request_file="a.yaml",
    git_commit=None,
    message=None,
)
RUNNER = RunnerFacts(pid=1, version="1", jobs="/jobs.d", state="/s", git_commit=None, requests=2)
PROBLEM = Problem(file="a.yaml", line=4, column=3, path="timing", message="no")
CHANGES = ChangedNames(added=["a", "b"], changed=[], removed=("c",), rejected=[])
NOTIFICATION = NotificationFacts(notification="n", receiver="ops", attempt=1, alerts=["a/failure"])
ALERT = AlertFacts(
    request=None, check=Check.LOG, since=NOON, count=1, execution=None, message="full"
)
PAUSE = PauseFacts(begin=NOON, end=None, names=None, requested_by="maria")
CHANGE = WebChangeFacts(
    request="a", action="exec", targets=["a"], requested_by="web:maria", message=None
)
RECORDS: dict[Callable[..., Record], Record] = {
    events.execution_started: events.execution_started(EXECUTION),
    events.execution_finished: events.execution_finished(EXECUTION, SUCCESS),
    events.request_scheduled: events.request_scheduled(REQUEST),
    events.request_unscheduled: events.request_unscheduled(REQUEST),
    events.request_rescheduled: events.request_rescheduled(REQUEST),
    events.request_completed: events.request_completed(REQUEST),
    events.request_removed: events.request_removed(REQUEST),
    events.request_rejected: events.request_rejected(REQUEST, last_good=True, problems=(PROBLEM,)),
    events.runner_started: events.runner_started(
        RUNNER, message=None, monitor_log="/log", rejected=["b.yaml"]
    ),
    events.runner_stopped: events.runner_stopped(RUNNER, message=None, signal=15, uptime_s=2.5),
    events.runner_reloaded: events.runner_reloaded(RUNNER, message="1 added", changes=CHANGES),
    events.runner_clock_stepped: events.runner_clock_stepped(
        RUNNER, message=None, step_s=-3.0, reopened_from=NOON, reopened_until=NOON
    ),
    events.alert_opened: events.alert_opened(ALERT),
    events.alert_closed: events.alert_closed(ALERT),
    events.notification_sent: events.notification_sent(NOTIFICATION),
    events.notification_failed: events.notification_failed(NOTIFICATION, retry_at=NOON),
    events.runner_paused: events.runner_paused(RUNNER, PAUSE, message="the database moves"),
    events.runner_resumed: events.runner_resumed(RUNNER, PAUSE, message="it moved"),
    events.runner_leading: events.runner_leading(
        RUNNER, node="one", former_node="two", epoch=2, message=None
    ),
    events.runner_standby: events.runner_standby(RUNNER, node="two", message=None),
    events.worker_joined: events.worker_joined(RUNNER, node="two", message="version 1"),
    events.worker_lost: events.worker_lost(RUNNER, node="two", message="silent for 5m"),
    events.web_changed: events.web_changed(CHANGE),
}


def functions() -> Iterator[Callable[..., Record]]:
    for name, function in inspect.getmembers(events, inspect.isfunction):
        is_own = function.__module__ == events.__name__ and not name.startswith("_")
        if is_own and inspect.signature(function).return_annotation == "Record":
            yield function


def test_each_event_of_the_schema_has_one_function_and_each_function_one_event() -> None:
    in_schema = SCHEMA["properties"]["event"]["enum"]
    assert sorted(in_schema) == sorted(Event)
    assert sorted(each.__name__ for each in functions()) == sorted(
        event.replace(".", "_") for event in in_schema
    )
    assert {each.__name__: RECORDS[each].event.replace(".", "_") for each in functions()} == {
        each.__name__: each.__name__ for each in functions()
    }


@pytest.mark.parametrize("record", RECORDS.values(), ids=lambda record: record.event)
def test_a_record_has_the_fields_of_the_schema_in_its_order_and_is_valid(record: Record) -> None:
    assert [*record.fields] == fields_of(record.event)
    assert errors_of(record) == []


@pytest.mark.parametrize("outcome", [MISFIRED, HELD], ids=lambda outcome: outcome.status)
def test_a_record_of_several_fires_ends_with_their_span(outcome: OutcomeFacts) -> None:
    missed = MissedSpan(count=3, first=NOON, last=NOON + timedelta(hours=2))
    record = events.execution_finished(EXECUTION, outcome, missed=missed)
    assert [*record.fields] == fields_of(record.event, is_miss=True)
    assert errors_of(record) == []
    assert [*record.fields.values()][-3:] == [3, NOON, NOON + timedelta(hours=2)]


def test_a_misfired_record_without_its_span_is_invalid() -> None:
    assert errors_of(events.execution_finished(EXECUTION, MISFIRED)) != []


def test_a_change_of_time_zones_lists_no_changes() -> None:
    fields = events.runner_reloaded(RUNNER, message="the zone is UTC").fields
    assert (fields["added"], fields["added_count"]) == (None, None)
    fields = RECORDS[events.runner_reloaded].fields
    assert (fields["added"], fields["added_count"], fields["changed_count"]) == (["a", "b"], 2, 0)


@pytest.mark.parametrize(
    ("by", "via"),
    [(None, None), ("maria", "cli"), ("on_failure of backup", None), ("on_success of a", None)],
)
def test_only_a_person_asks_by_the_command_line(by: str | None, via: str | None) -> None:
    request = RequestFacts(
        request="a", request_file=None, git_commit=None, message=None, requested_by=by
    )
    assert events.request_scheduled(request).fields["requested_via"] == via
    reloaded = events.runner_reloaded(RUNNER, message="", requested_by=by)
    assert reloaded.fields["requested_via"] == via


def errors_of(record: Record) -> list[str]:
    line = json.loads(Recorder("erp", "erp-1").line(record, NOON))
    return [error.message for error in Draft7Validator(SCHEMA).iter_errors(line)]
