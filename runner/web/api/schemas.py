"""The data of the API as JSON schemas. Pure, except that it reads the shipped schemas.

A record is described by `schemas/monitor-record.schema.json`, which the log follows, too.
"""

from __future__ import annotations

import json
from typing import Any

from runner.lifecycle import INVALID, Check, ExecutionStatus, RequestStatus
from runner.monitor.records import Event
from runner.resources import schema_text

Schema = dict[str, Any]


def reference(name: str) -> Schema:
    """Return a reference to a component."""
    return {"$ref": f"#/components/schemas/{name}"}


def _object(description: str, required: dict[str, Schema], **optional: Schema) -> Schema:
    return {
        "type": "object",
        "description": description,
        "required": list(required),
        "properties": required | optional,
    }


def _list(of: Schema, description: str) -> Schema:
    return {"type": "array", "items": of, "description": description}


def _nullable(kind: str, description: str, **more: Any) -> Schema:
    return {"type": [kind, "null"], "description": description, **more}


_TIME = "RFC 3339, UTC, microseconds."


def _time(description: str) -> Schema:
    return {"type": "string", "format": "date-time", "description": f"{description} {_TIME}"}


def _maybe_time(description: str) -> Schema:
    return _nullable("string", f"{description} {_TIME}", format="date-time")


_NEXT = _nullable("string", "The `cursor` of the next page; null on the last one.")
_TEXT: Schema = {"type": "string"}

_ALERT = _object(
    "An open alert.",
    {
        "request": _nullable("string", "The request; null for the runner's own alerts."),
        "check": {"enum": list(map(str, Check)), "description": "What the alert is about."},
        "since": _time("When it opened."),
        "count": {"type": "integer", "description": "How often it happened."},
        "execution": _nullable("string", "The latest execution that it is about."),
        "message": {"type": "string", "description": "What is wrong, in one line."},
        "acknowledged_by": _nullable("string", "Who silenced it."),
        "acknowledged_until": _maybe_time("When the silence ends."),
    },
)

_REQUEST = _object(
    "A process request, with the fields of `runner ls --output json`.",
    {
        "request": _nullable("string", "Its name; null for a rejected document without one."),
        "status": {
            "enum": [*map(str, RequestStatus), INVALID],
            "description": "Its status; `invalid` if its file is rejected.",
        },
        "sync": {"type": "string", "description": "How its state relates to its file."},
        "scheduled_for": _maybe_time("Its next fire."),
        "request_file": {"type": "string", "description": "Its file."},
        "last_status": _nullable("string", "How its last execution ended."),
        "last_ended": _maybe_time("When its last execution ended."),
        "owner": _nullable("string", "Its `owner`."),
        "labels": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "Its `labels`.",
        },
        "timing": _nullable("string", "Its timing in words."),
        "drift": _nullable("string", "How its state differs from its file."),
        "alerts": _list(reference("Alert"), "Its open alerts."),
        "message": _nullable("string", "What is unusual about it."),
    },
)
_DETAILS = _object(
    "Everything about a request, with the fields of `runner show --output json` but `outputs`. "
    "Fields without a value are left out.",
    {name: _REQUEST["properties"][name] for name in ("request", "status", "sync", "request_file")},
)

_FIRE = _object(
    "An upcoming fire.",
    {
        "request": {"type": "string", "description": "The request."},
        "scheduled_for": _time("When it fires."),
        "message": _nullable("string", "From where the calendar moved it."),
    },
)
_ACTION = _object(
    "Something that can be done.",
    {
        "action": {"type": "string", "description": "Its name in the path."},
        "title": {"type": "string", "description": "Its name for people."},
        "role": {"type": "string", "description": "The role that it needs."},
        "target": {"type": "string", "description": "What its `target` is."},
        "is_for_all": {"type": "boolean", "description": "Whether `target` may be null: all."},
        "values": _list(
            _object(
                "A value that it takes.",
                {
                    "name": _TEXT,
                    "is_required": {"type": "boolean"},
                    "example": {"type": "string", "description": "What people type."},
                },
            ),
            "What it takes besides its target.",
        ),
    },
)
_ANSWER = _object(
    "The runner's answer.",
    {
        "lines": _list(_TEXT, "A line for people for each target."),
        "data": {"type": "object", "description": "Such as the new execution's id."},
    },
)
_RUNNING = _object(
    "An execution in progress: its started record, but without an `id`.",
    {
        "event": {"const": Event.EXECUTION_STARTED},
        "execution": {"type": "string", "description": "Its id."},
        "request": {"type": "string", "description": "Its request."},
        "status": {"const": ExecutionStatus.PROCESSING},
        "started": _time("When it started."),
    },
)
_EXECUTIONS = _object(
    "A page of executions.",
    {
        "running": _list(
            reference("RunningExecution"),
            "Executions in progress; only on the first page.",
        ),
        "executions": _list(reference("MonitorRecord"), "Ended ones, the newest first."),
        "next": _NEXT,
    },
)


def page_of(name: str, item: str, description: str) -> Schema:
    """Return the schema of a list that is answered as an object with one field."""
    return _object(description, {name: _list(reference(item), description)})


def components() -> dict[str, Schema]:
    """Return the schemas that routes refer to."""
    record, problem = _record()
    return {
        "MonitorRecord": record,
        "RunningExecution": _RUNNING,
        "Alert": _ALERT,
        "Request": _REQUEST,
        "RequestDetails": _DETAILS,
        "Fire": _FIRE,
        "FileProblem": problem,
        "Action": _ACTION,
        "Answer": _ANSWER,
        "Executions": _EXECUTIONS,
    }


def _record() -> tuple[Schema, Schema]:
    """Return the schemas of a record and of a problem in it, as components.

    OpenAPI 3.1 reads them by the rules of 2020-12, under which they mean the same.
    """
    record = json.loads(schema_text("monitor-record"), object_hook=_with_component)
    problem = record.pop("definitions")["problem"]
    del record["$schema"]
    return record, problem


def _with_component(part: Schema) -> Schema:
    if part.get("$ref") == "#/definitions/problem":
        return reference("FileProblem")
    return part
