"""What a worker of a fleet reports of its executions, and the JSON of it. Pure.

Each report is an event of the worker's executor, so that the leader notes it like an event
of its own. A report is a row with execution, node, kind, sequence and body. A worker writes
at most one report of each kind for an execution, with sequence 1, and in this order:
`started` or `not_started`, then `finished`.

Anybody who may write the store can write a body, so `event_of` accepts only what
`report_of` can write.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, assert_never

from runner.execution.executor import (
    Lost,
    Measured,
    NotStarted,
    ProcessStarted,
    RemoteExit,
    Stage,
)
from runner.execution.output import Tail
from runner.execution.trees.watched import Exit, ProcessId
from runner.lifecycle import Reason
from runner.values import from_microseconds, to_microseconds

Reported = ProcessStarted | NotStarted | RemoteExit | Lost
_MICROSECOND = timedelta(microseconds=1)
_LATEST = 253_402_300_799_999_999  # microseconds: the end of the year 9999
_LONGEST_TAIL = 4096
_encode = json.JSONEncoder(separators=(",", ":")).encode


class ReportKind(StrEnum):
    """The kind of a report."""

    STARTED = "started"
    NOT_STARTED = "not_started"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A report without the name of its node, which is the worker's own."""

    execution: str
    kind: ReportKind
    body: str
    """JSON. Instants and durations are whole microseconds."""


def report_of(event: Reported) -> Report:
    """Return the report of what happened on this node.

    >>> report_of(NotStarted(execution="e", why=None)).body
    '{"why":null}'
    """
    match event:
        case ProcessStarted(execution=execution, process=process, at=at):
            started = {"pid": process.pid, "pid_started": process.pid_started}
            body = {**started, "at": to_microseconds(at)}
            return Report(execution=execution, kind=ReportKind.STARTED, body=_encode(body))
        case NotStarted(execution=execution, why=why):
            return Report(
                execution=execution, kind=ReportKind.NOT_STARTED, body=_encode({"why": why})
            )
        case RemoteExit(exited=exited):
            body = {**_exit(exited), **_measured(event.measured), "is_adopted": event.is_adopted}
            return Report(execution=exited.execution, kind=ReportKind.FINISHED, body=_encode(body))
        case Lost(execution=execution, stage=stage):
            return Report(
                execution=execution, kind=ReportKind.FINISHED, body=_encode({"lost": stage})
            )
        case _:
            assert_never(event)


def event_of(execution: str, node: str, kind: str, body: str) -> Reported:
    """Return the event of a report from `node`. Raises ValueError for a malformed one."""
    try:
        data = json.loads(body)
        match ReportKind(kind):
            case ReportKind.STARTED:
                process = ProcessId(
                    pid=_number(data, "pid"), pid_started=_number(data, "pid_started")
                )
                at = from_microseconds(_number(data, "at", _LATEST))
                return ProcessStarted(execution=execution, process=process, at=at, node=node)
            case ReportKind.NOT_STARTED:
                return NotStarted(execution=execution, why=_text(data, "why"))
            case ReportKind.FINISHED if "lost" in data:
                return Lost(execution=execution, stage=Stage(data["lost"]), node=node)
            case ReportKind.FINISHED:
                return _end_of(execution, data)
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"the report is malformed: {error}") from error


def _exit(exited: Exit) -> dict[str, Any]:
    return {name: getattr(exited, name) for name in _EXIT}


def _measured(measured: Measured) -> dict[str, Any]:
    tail, duration = measured.tail, measured.duration
    return {
        "ended": to_microseconds(measured.ended),
        "duration": None if duration is None else duration // _MICROSECOND,
        "tail": None if tail is None else [tail.text, tail.total_bytes, tail.truncated],
    }


def _end_of(execution: str, data: Mapping[str, Any]) -> RemoteExit:
    reason = _text(data, "stopped_for")
    exited = Exit(
        execution=execution,
        exit_code=_perhaps(data, "exit_code"),
        signal=_perhaps(data, "signal"),
        cpu_s=_seconds(data, "cpu_s"),
        max_rss_bytes=_perhaps(data, "max_rss_bytes"),
        stopped_for=None if reason is None else Reason(reason),
        condition=_text(data, "condition"),
        failure=_text(data, "failure"),
        result=_text(data, "result"),
        has_stderr=_flag(data, "has_stderr"),
        failing_text=_text(data, "failing_text"),
    )
    duration = _perhaps(data, "duration", _LATEST)
    measured = Measured(
        ended=from_microseconds(_number(data, "ended", _LATEST)),
        duration=None if duration is None else timedelta(microseconds=duration),
        tail=_tail(data["tail"]),
    )
    return RemoteExit(exited=exited, measured=measured, is_adopted=_flag(data, "is_adopted"))


def _tail(parts: Any) -> Tail | None:
    if parts is None:
        return None
    text, total, truncated = parts
    if not isinstance(text, str) or len(text.encode(errors="replace")) > _LONGEST_TAIL:
        raise ValueError("the tail of the output must be a text of at most the size of a tail")
    counted = _number({"total_bytes": total}, "total_bytes")
    return Tail(
        text=text,
        total_bytes=counted,
        truncated=_flag({"truncated": truncated}, "truncated"),
    )


def _perhaps(data: Mapping[str, Any], key: str, most: int = 2**63) -> int | None:
    return None if data[key] is None else _number(data, key, most)


def _number(data: Mapping[str, Any], key: str, most: int = 2**63) -> int:
    value = data[key]
    if type(value) is not int or not 0 <= value < most:
        raise ValueError(f"`{key}` must be a number that is not too large")
    return value


def _seconds(data: Mapping[str, Any], key: str) -> float | None:
    value = data[key]
    if value is not None and (type(value) not in (int, float) or not 0 <= value < _LATEST):
        raise ValueError(f"`{key}` must be a number of seconds")
    return None if value is None else float(value)


def _flag(data: Mapping[str, Any], key: str) -> bool:
    value = data[key]
    if not isinstance(value, bool):
        raise ValueError(f"`{key}` must be true or false")
    return value


def _text(data: Mapping[str, Any], key: str) -> str | None:
    value = data[key]
    if value is not None and not isinstance(value, str):
        raise ValueError(f"`{key}` must be a text")
    return value


_EXIT = (
    "exit_code",
    "signal",
    "cpu_s",
    "max_rss_bytes",
    "stopped_for",
    "condition",
    "failure",
    "result",
    "has_stderr",
    "failing_text",
)
