"""A record has every field in order, is valid by the schema, and is a safe, short line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator
from support.monitor_records import MISSED, SCHEMA, fields_of, line_of

from runner.commands import CommandKind
from runner.errors import Problem
from runner.lifecycle import Channel, Check, ExecutionStatus, Reason, RequestStatus
from runner.monitor.records import Event, Recorder, decode
from runner.monitor.trimming import LIMIT
from runner.requests.model import Context

VALIDATOR = Draft7Validator(SCHEMA)
AT = datetime(2026, 11, 22, 2, 0, 0, 125, tzinfo=UTC)
RECORDER = Recorder("erp", "erp-1")
EXECUTION = {"execution": "e1", "request": "nightly", "channel": "process_scheduler"}
PROBLEM = Problem(
    file="a.yaml",
    line=4,
    column=3,
    path="timing",
    message="'dayly' is not a frequency",
    suggestion="daily",
)
CHANGE: Mapping[str, object] = {
    "action": CommandKind.EXEC,
    "requested_by": "web:maria",
    "requested_via": "web",
}
ALERT: Mapping[str, object] = {"check": Check.LOG, "since": AT, "count": 1, "message": "full"}
LEAST: Mapping[Event, Mapping[str, object]] = {
    Event.EXECUTION_STARTED: {**EXECUTION, "status": "processing"},
    Event.EXECUTION_FINISHED: {**EXECUTION, "status": "success"},
    Event.REQUEST_SCHEDULED: {"request": "nightly"},
    Event.REQUEST_UNSCHEDULED: {"request": "nightly"},
    Event.REQUEST_RESCHEDULED: {"request": "nightly"},
    Event.REQUEST_COMPLETED: {"request": "nightly"},
    Event.REQUEST_REJECTED: {"problems": (PROBLEM,)},
    Event.REQUEST_REMOVED: {"request": "nightly"},
    Event.ALERT_OPENED: ALERT,
    Event.ALERT_CLOSED: ALERT,
    Event.WEB_CHANGED: CHANGE,
    Event.RUNNER_LEADING: {"node": "one", "epoch": 1},
    Event.RUNNER_STANDBY: {"node": "two"},
    Event.WORKER_JOINED: {"node": "two"},
    Event.WORKER_LOST: {"node": "two"},
}


def errors_of(record: object) -> list[str]:
    return [error.message for error in VALIDATOR.iter_errors(record)]


def read(line: bytes) -> dict[str, Any]:
    """Read a line without our own reader, and check the rules that every line follows."""
    assert line.endswith(b"\n")
    text = line.decode("utf-8")
    assert text.splitlines() == [text[:-1]], "one line, also by Unicode's line breaks"
    assert len(line) < 32 * 1024

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    record = json.loads(text, parse_constant=refuse)
    assert isinstance(record, dict)
    return record


def written(event: Event, **fields: object) -> dict[str, Any]:
    return read(line_of(RECORDER, event, AT, **{**LEAST.get(event, {}), **fields}))


def test_the_schema_is_a_draft_07_schema_and_every_field_has_a_description_and_an_example() -> None:
    Draft7Validator.check_schema(SCHEMA)
    problem = SCHEMA["definitions"]["problem"]["properties"]
    for name, field in {**SCHEMA["properties"], **problem}.items():
        assert field["description"].endswith("."), name
        for example in field["examples"]:
            assert not list(
                Draft7Validator({**field, "definitions": SCHEMA["definitions"]}).iter_errors(
                    example
                )
            ), name


def test_a_finished_record_has_every_field_of_the_contract_in_its_order() -> None:
    contract = (
        "v id time event runner host execution request process channel status reason"
        " scheduled_for started ended duration_s lateness_s attempt generation group sequence"
        " follows requested_by requested_via context labels owner exit_code signal pid cpu_s"
        " max_rss_bytes output_tail output_bytes output_truncated output_file request_file"
        " request_sha256 git_commit node queue message"
    )
    assert " ".join(written(Event.EXECUTION_FINISHED)) == contract
    assert " ".join(written(Event.EXECUTION_STARTED)) == contract


@pytest.mark.parametrize("event", Event)
def test_a_record_of_every_event_with_the_fewest_fields_is_valid(event: Event) -> None:
    record = written(event)
    assert errors_of(record) == []
    assert (record["event"], record["runner"], record["host"], record["v"]) == (
        event.value,
        "erp",
        "erp-1",
        1,
    )
    assert record["time"] == "2026-11-22T02:00:00.000125Z"
    assert UUID(record["id"]).version == 7
    given = {"v", "id", "time", "event", "runner", "host", "problems_count", *LEAST.get(event, {})}
    assert not any(value for name, value in record.items() if name not in given)


@pytest.mark.parametrize("event", Event)
def test_the_schema_requires_each_field_of_an_event_and_allows_no_other(event: Event) -> None:
    record = written(event)
    assert errors_of({**record, "job": 1}) != []
    for name in record:
        assert (
            errors_of({other: value for other, value in record.items() if other != name}) != []
        ), name


def test_only_a_misfired_record_has_the_span_of_missed_fires() -> None:
    span = {"missed_count": 3, "missed_from": AT, "missed_until": AT + timedelta(hours=2)}
    record = written(
        Event.EXECUTION_FINISHED, status=ExecutionStatus.MISFIRED, reason=Reason.MISSED, **span
    )
    assert errors_of(record) == []
    assert list(record)[-3:] == list(MISSED)
    assert record["missed_until"] == "2026-11-22T04:00:00.000125Z"
    assert errors_of({**record, "status": "success"}) != []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=2))),
         "2026-03-01T10:00:00.000000Z"),
        (timedelta(minutes=1, microseconds=1500), 60.0015),
        (Context(client="acme", organization=None), {"client": "acme", "organization": None}),
        (MappingProxyType({"client": "acme"}), {"client": "acme"}),
        (Path("erp/a.yaml"), "erp/a.yaml"),
        (Reason.TIMEOUT, "timeout"),
        (frozenset({"b", "a"}), ["a", "b"]),
        ((PROBLEM,), [{"file": "a.yaml", "line": 4, "column": 3, "path": "timing",
                       "message": "'dayly' is not a frequency", "suggestion": "daily"}]),
        (float("nan"), None),
        ([1.5, float("-inf"), "NaN"], [1.5, None, "NaN"]),
    ],
)  # fmt: skip
def test_each_type_of_value_is_written_as_the_contract_says(
    value: object, expected: object
) -> None:
    assert written(Event.EXECUTION_FINISHED, message=value)["message"] == expected


@pytest.mark.parametrize("value", [object(), datetime(2026, 3, 1), b"bytes"])  # noqa: DTZ001
def test_a_value_of_an_unsupported_type_is_a_bug_and_raises(value: object) -> None:
    with pytest.raises(TypeError, match="cannot hold"):
        written(Event.EXECUTION_FINISHED, message=value)


def test_line_breaks_and_terminal_control_characters_are_escaped_and_other_text_is_not() -> None:
    text = "añadido 東京 \U0001f600 a\nb\r\u2028c\u2029d\x85e\x9bf\x7fg\x00\x1b[31m\x0b\x0c\x1e"
    fields: dict[str, object] = {**EXECUTION, "status": "error", "message": text}
    line = line_of(RECORDER, Event.EXECUTION_FINISHED, AT, **fields)
    assert read(line)["message"] == text
    assert "añadido 東京 \U0001f600".encode() in line
    assert not {*"\n\r\u2028\u2029\x85\x9b\x7f\x00\x1b\x0b\x0c\x1e"} & {*line[:-1].decode()}


def test_lone_surrogates_are_replaced_in_values_and_keys() -> None:
    record = written(Event.EXECUTION_FINISHED, message="a\udcffb", context={"client": "\ud800"})
    assert record["message"] == "a\ufffdb"
    assert record["context"] == {"client": "\ufffd"}


def test_counts_are_those_of_the_full_list_when_a_list_is_shortened() -> None:
    names = [f"request-{number:05}-{'x' * 80}" for number in range(10_000)]
    record = written(Event.RUNNER_RELOADED, added=names, removed=["a", "b"])
    assert errors_of(record) == []
    assert record["added_count"] == 10_000
    assert record["added"] == names[: len(record["added"])]
    assert (record["removed"], record["removed_count"], record["changed_count"]) == (
        ["a", "b"],
        2,
        None,
    )


def test_a_long_record_first_loses_the_beginning_of_the_output_tail() -> None:
    tail = "".join(f"{number}\n" for number in range(20_000))
    record = written(
        Event.EXECUTION_FINISHED, output_tail=tail, message="m" * 20_000, output_truncated=False
    )
    assert record["message"] == "m" * 20_000
    assert tail.endswith(record["output_tail"])
    assert 8_000 < len(record["output_tail"]) < 12_800
    assert record["output_truncated"] is True
    assert errors_of(record) == []


def test_a_long_record_then_loses_as_little_of_the_message_as_possible() -> None:
    texts = {"output_tail": "t" * 4000, "message": "m" * 50_000}
    line = line_of(RECORDER, Event.EXECUTION_FINISHED, AT, **EXECUTION, **texts, status="error")
    record = read(line)
    assert record["output_tail"] == ""
    assert record["message"] == "m" * (len(record["message"]) - 1) + "…"
    assert len(line) == LIMIT - 1


def test_a_long_record_then_loses_problems_but_keeps_their_number() -> None:
    many = [
        Problem(file="a.yaml", line=n, column=1, path="", message="é" * 2000) for n in range(1, 501)
    ]
    record = written(
        Event.REQUEST_REJECTED, request="nightly", problems=many, message="500 problems"
    )
    assert errors_of(record) == []
    assert record["problems_count"] == 500
    assert [problem["line"] for problem in record["problems"]] == list(
        range(1, len(record["problems"]) + 1)
    )
    assert 20 < len(record["problems"]) < 500
    assert record["problems"][0]["message"] == "é" * 500 + "…"


def test_a_long_record_at_last_loses_parts_of_every_long_value() -> None:
    huge = "\x01" * 100_000
    record = written(
        Event.EXECUTION_FINISHED,
        process=huge,
        requested_by=huge,
        output_file=huge,
        git_commit=huge,
        context={"client": huge},
    )
    assert errors_of(record) == []
    assert record["request"] == "nightly"
    assert record["process"].startswith("\x01" * 64)


def test_a_record_with_megabytes_in_every_text_is_one_short_line() -> None:
    texts = dict.fromkeys(
        ("process", "output_tail", "message", "output_file", "requested_by"), "\u2028" * 1_000_000
    )
    assert written(Event.EXECUTION_FINISHED, **texts)["execution"] == "e1"


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"[1]\n",
        b'{"a":1',
        b'{"a":"\xff"}\n',
        b"null\n",
        b'{"a":' * 100_000,
        b"\0\0\0",
        b"hello\n",
    ],
)
def test_a_line_that_is_not_a_json_object_decodes_to_none(line: bytes) -> None:
    assert decode(line) is None


text = st.text(st.characters(codec=None), max_size=60) | st.text(max_size=8).map(
    lambda part: part * 3000
)
maybe_text = st.none() | text
instants = st.none() | st.datetimes(timezones=st.just(UTC))
seconds = (
    st.none()
    | st.floats(0, 1e9)
    | st.timedeltas(timedelta(0), timedelta(days=9999))
    | st.just(float("inf"))
)
whole = st.none() | st.integers(1, 2**63)
names = st.none() | st.lists(text, max_size=8) | st.just([f"request-{n}" for n in range(5000)])
problem_lists = st.lists(
    st.builds(Problem, file=text, line=whole.map(lambda n: n or 1), column=st.just(1),
              path=text, message=text, suggestion=maybe_text), max_size=6,
)  # fmt: skip
BY_TYPE = {
    **dict.fromkeys(("scheduled_for", "started", "ended", "missed_from", "missed_until"), instants),
    "retry_at": instants,
    **dict.fromkeys(("paused_from", "paused_until", "reopened_from", "reopened_until"), instants),
    **dict.fromkeys(("duration_s", "lateness_s", "cpu_s", "uptime_s", "step_s"), seconds),
    **dict.fromkeys(("added", "changed", "removed", "rejected", "alerts"), names),
    **dict.fromkeys(("paused", "targets"), names),
    **dict.fromkeys(("output_truncated", "drift", "last_good"), st.none() | st.booleans()),
    **dict.fromkeys(("attempt", "generation", "sequence", "exit_code", "signal", "pid"), whole),
    **dict.fromkeys(("max_rss_bytes", "output_bytes", "missed_count", "requests"), whole),
    "context": st.none() | st.builds(Context, client=maybe_text, organization=maybe_text),
    "labels": st.none() | st.dictionaries(text, text, max_size=5),
    "reason": st.none() | st.sampled_from(Reason),
    "channel": st.sampled_from(Channel),
    "execution": text,
    "request": text,
    "problems": problem_lists,
}  # fmt: skip


@st.composite
def records(draw: st.DrawFn) -> tuple[Event, dict[str, object]]:
    event = draw(st.sampled_from(Event))
    fields = {
        name: draw(BY_TYPE.get(name, maybe_text))
        for name in fields_of(event)
        if not name.endswith("_count") and name != "status"
    }
    if event is Event.EXECUTION_STARTED:
        fields["status"] = ExecutionStatus.PROCESSING
    elif event is Event.EXECUTION_FINISHED:
        fields["status"] = draw(
            st.sampled_from(sorted({*ExecutionStatus} - {ExecutionStatus.PROCESSING}))
        )
    elif event.startswith("request."):
        fields["status"] = draw(st.none() | st.sampled_from(RequestStatus))
    elif event.startswith("alert."):
        fields |= {
            "check": draw(st.sampled_from(Check)),
            "since": draw(st.datetimes(timezones=st.just(UTC))),
            "count": draw(st.integers(1, 2**40)),
            "message": draw(text),
        }
    elif event is Event.WEB_CHANGED:
        action = draw(st.sampled_from(SCHEMA["properties"]["action"]["enum"][:-1]))
        fields.update({**CHANGE, "action": action, "requested_by": draw(text)})
    if fields.get("status") == ExecutionStatus.MISFIRED:
        fields.update({name: draw(BY_TYPE[name]) for name in MISSED})
    return event, fields


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(records(), text, text)
def test_any_record_is_one_short_line_valid_by_the_schema(
    record: tuple[Event, dict[str, object]], runner: str, host: str
) -> None:
    line = line_of(Recorder(runner, host), record[0], AT, **record[1])
    assert errors_of(read(line)) == []
    assert decode(line) == read(line)
