"""A monitor record as a line of the log, and back.

Pure, except that each record gets a random id.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Hashable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from itertools import compress
from json.encoder import encode_basestring
from math import isfinite
from operator import call
from types import NoneType
from typing import Any, NamedTuple

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
    ALERT_OPENED = "alert.opened"
    ALERT_CLOSED = "alert.closed"
    NOTIFICATION_SENT = "notification.sent"
    NOTIFICATION_FAILED = "notification.failed"
    RUNNER_PAUSED = "runner.paused"
    RUNNER_RESUMED = "runner.resumed"
    RUNNER_LEADING = "runner.leading"
    RUNNER_STANDBY = "runner.standby"
    WORKER_JOINED = "worker.joined"
    WORKER_LOST = "worker.lost"
    WEB_CHANGED = "web.changed"


class Record(NamedTuple):
    """An event and the fields that belong to it, in the order in which they are written."""

    event: Event
    fields: Mapping[str, object]


# The two records of an execution contain the same few instants seven times in all.
_instant_text = lru_cache(maxsize=512)(instant_text)


Writer = Callable[[Any], str]
"""Returns the JSON text of a value."""


@lru_cache(maxsize=256)
def _form(
    event: Event, names: tuple[str, ...], types: tuple[type, ...]
) -> tuple[str, tuple[bool, ...], tuple[Writer, ...]]:
    """Return the JSON text of records with these fields and types of values.

    The text has %s for each value but None; also return which these are, and what writes
    them. To fill it in takes a third of the time of encoding a whole record, and every
    execution writes two.
    """
    is_kept = tuple(kind is not NoneType for kind in types)
    texts = ("%s" if kept else "null" for kept in is_kept)
    head = f'{{"v":{VERSION},"id":"%s","time":"%s","event":"{event}",%s'
    fields = "".join(f',"{name}":{text}' for name, text in zip(names, texts, strict=True))
    writers = tuple(map(_writer_of, compress(types, is_kept)))
    return f"{head}{fields}}}", is_kept, writers


class Recorder:
    """Makes the log lines of one runner.

    `runner` is its name and `host` its machine's; every record contains both.
    """

    def __init__(self, runner: str, host: str) -> None:
        self._identity = f'"runner":{encode_basestring(runner)},"host":{encode_basestring(host)}'

    def line(self, record: Record, at: datetime) -> bytes:
        r"""Return a record as one line with its "\n", always shorter than 32 KiB."""
        event, fields = record
        values = (*fields.values(),)
        form, is_kept, writers = _form(event, (*fields,), (*map(type, values),))
        written = map(call, writers, compress(values, is_kept))
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
        # Decoded here, strictly: `json` would decode bytes in a way that takes twice as long.
        record = json.loads(line.decode())
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _other(value: object) -> str:
    """Return the JSON text of a value whose type needs the encoder."""
    return finite(_encode(value))


@lru_cache(maxsize=256)
def _whole(value: Hashable) -> str:
    """Return the JSON text of a frozen dataclass. Many executions have the same context."""
    return finite(_encode(value))


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
_WRITERS: Mapping[type, Writer] = {
    bool: lambda value: "true" if value else "false",
    int: int.__repr__,
    float: lambda value: float.__repr__(value) if isfinite(value) else "null",
    timedelta: lambda value: float.__repr__(value.total_seconds()),
    datetime: lambda value: f'"{_instant_text(value)}"' if value.tzinfo else _other(value),
}


def _writer_of(kind: type) -> Writer:
    """Return what writes the values of a type."""
    if kind in _WRITERS:
        return _WRITERS[kind]
    if issubclass(kind, str):
        return encode_basestring
    return _whole if is_dataclass(kind) and issubclass(kind, Hashable) else _other
