"""Monitor records: the fields of each event, and a record as a line of the log and back.

Pure, except that each record gets a random id. `schemas/monitor-record.schema.json`
defines the same fields, with their meaning.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from json.encoder import encode_basestring
from math import isfinite
from typing import Any

from runner.lifecycle import ExecutionStatus
from runner.monitor.trimming import LIMIT, encoded, finite, trimmed
from runner.values import instant_text, new_id

VERSION = 1


class Event(StrEnum):
    """The event that a record describes."""

    EXECUTION_STARTED = "execution.started"
    EXECUTION_FINISHED = "execution.finished"
    REQUEST_SCHEDULED = "request.scheduled"
    REQUEST_UNSCHEDULED = "request.unscheduled"
    REQUEST_RESCHEDULED = "request.rescheduled"
    REQUEST_COMPLETED = "request.completed"
    REQUEST_REJECTED = "request.rejected"
    REQUEST_REMOVED = "request.removed"
    RUNNER_STARTED = "runner.started"
    RUNNER_STOPPED = "runner.stopped"
    RUNNER_RELOADED = "runner.reloaded"
    RUNNER_CLOCK_STEPPED = "runner.clock_stepped"


EXECUTION = (
    *(
        "execution",
        "request",
        "process",
        "channel",
        "status",
        "reason",
        "scheduled_for",
        "started",
        "ended",
    ),
    *(
        "duration_s",
        "lateness_s",
        "attempt",
        "generation",
        "group",
        "sequence",
        "requested_by",
        "requested_via",
        "context",
        "labels",
        "owner",
    ),
    *(
        "exit_code",
        "signal",
        "pid",
        "cpu_s",
        "max_rss_bytes",
        "output_tail",
        "output_bytes",
        "output_truncated",
        "output_file",
    ),
    *("request_file", "request_sha256", "git_commit", "message"),
)
MISSED = ("missed_count", "missed_from", "missed_until")
REQUEST = (
    *(
        "request",
        "channel",
        "status",
        "generation",
        "drift",
        "requested_by",
        "requested_via",
        "owner",
    ),
    *("request_file", "request_sha256", "git_commit", "message"),
)
RUNNER = ("pid", "version", "jobs", "state", "git_commit", "requests", "message")
FIELDS: Mapping[Event, tuple[str, ...]] = {
    Event.EXECUTION_STARTED: EXECUTION,
    Event.EXECUTION_FINISHED: EXECUTION,
    Event.REQUEST_SCHEDULED: REQUEST,
    Event.REQUEST_UNSCHEDULED: REQUEST,
    Event.REQUEST_RESCHEDULED: REQUEST,
    Event.REQUEST_COMPLETED: REQUEST,
    Event.REQUEST_REJECTED: (*REQUEST, "last_good", "problems", "problems_count"),
    Event.REQUEST_REMOVED: REQUEST,
    Event.RUNNER_STARTED: (*RUNNER, "monitor_log", "rejected", "rejected_count"),
    Event.RUNNER_STOPPED: (*RUNNER, "signal", "uptime_s"),
    Event.RUNNER_RELOADED: (
        *RUNNER,
        *("git_commit_before", "requested_by", "requested_via", "duration_s"),
        *(
            "added",
            "added_count",
            "changed",
            "changed_count",
            "removed",
            "removed_count",
            "rejected",
            "rejected_count",
        ),
    ),
    Event.RUNNER_CLOCK_STEPPED: (*RUNNER, "step_s", "reopened_from", "reopened_until"),
}
ON_FAILURE = "on_failure of "
"""The prefix of `requested_by` before the name of a failed request that asked."""
COUNTED = ("problems", "added", "changed", "removed", "rejected")
"""Lists of which a record also has the length, as `<list>_count`."""

# The two records of an execution contain the same few instants seven times in all.
_instant_text = lru_cache(maxsize=512)(instant_text)


def _form(event: Event, names: tuple[str, ...]) -> tuple[tuple[str, ...], frozenset[str], str]:
    """Return the fields, the fields as a set, and JSON text with %s for each value."""
    head = f'{{"v":{VERSION},"id":"%s","time":"%s","event":"{event}",%s'
    return names, frozenset(names), head + "".join(f',"{name}":%s' for name in names) + "}"


# By event, and whether it records a miss. Filling in a prepared form takes half the time
# of encoding a whole record, and every execution writes two.
_FORMS = {
    (event, is_miss): _form(event, (*names, *(MISSED if is_miss else ())))
    for event, names in FIELDS.items()
    for is_miss in (False, True)
}


class Recorder:
    """Makes the log lines of one runner.

    `runner` is its name and `host` its machine's; every record contains both.
    """

    def __init__(self, runner: str, host: str) -> None:
        self._identity = f'"runner":{_other(runner)},"host":{_other(host)}'

    def line(self, event: Event, at: datetime, fields: Mapping[str, object]) -> bytes:
        r"""Return a record as one line with its "\n", always shorter than 32 KiB.

        The record has every field of the event; a field that `fields` lacks is null.
        `<list>_count` is counted here, before a long list is shortened. Raises TypeError
        for a field that the event does not have: a bug.
        """
        is_miss = (
            event is Event.EXECUTION_FINISHED and fields.get("status") == ExecutionStatus.MISFIRED
        )
        names, known, form = _FORMS[event, is_miss]
        if not fields.keys() <= known:
            raise TypeError(
                f"{event} records have no field {', '.join(sorted(fields.keys() - known))}"
            )
        counts = {f"{name}_count": _count(fields.get(name)) for name in COUNTED if name in known}
        by = fields.get("requested_by")
        values = map({"requested_via": _via(by), **fields, **counts}.get, names)
        written = [_WRITERS.get(type(value), _other)(value) for value in values]
        text = form % (new_id(), _instant_text(at), self._identity, *written)
        if len(text) < LIMIT and len(line := encoded(text)) < LIMIT:
            return line
        return trimmed(json.loads(text))


def decode(line: bytes) -> dict[str, object] | None:
    """Read a line of the log.

    Return None for a line that is not a JSON object: torn, from another program, or not
    UTF-8.
    """
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _via(by: object) -> str | None:
    """Return the way by which a person asked. The only one so far is the command line."""
    return "cli" if isinstance(by, str) and not by.startswith(ON_FAILURE) else None


def _count(items: object) -> int | None:
    return len(items) if isinstance(items, list | tuple | AbstractSet) else None


def _other(value: object) -> str:
    """Return the JSON text of a value whose exact type is not in `_WRITERS`."""
    return encode_basestring(value) if isinstance(value, str) else finite(_encode(value))


def _plain(value: object) -> object:
    """Convert a value that the JSON encoder does not know. Raises TypeError: a bug."""
    match value:
        case datetime() if value.tzinfo is not None:
            return instant_text(value)
        case timedelta():
            return value.total_seconds()
        case _ if is_dataclass(value):
            return {field.name: getattr(value, field.name) for field in fields(value)}
        case Mapping():
            return dict(value)
        case AbstractSet():
            return sorted(value)
        case os.PathLike():
            return os.fspath(value)
        case _:
            raise TypeError(f"a monitor record cannot hold {value!r:.100}")


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_plain).encode
# The types that most values have. JSON has no NaN and no infinities: they become null.
_WRITERS: Mapping[type, Callable[[Any], str]] = {
    type(None): lambda _: "null",
    bool: lambda value: "true" if value else "false",
    int: int.__repr__,
    float: lambda value: float.__repr__(value) if isfinite(value) else "null",
    str: encode_basestring,
    timedelta: lambda value: float.__repr__(value.total_seconds()),
    datetime: lambda value: f'"{_instant_text(value)}"' if value.tzinfo else _other(value),
}
