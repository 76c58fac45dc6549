"""Monitor records with the fields that a test cares about; all others are null."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from runner.monitor.records import Event, Record, Recorder

SCHEMA: Mapping[str, Any] = json.loads(
    (Path(__file__).parents[2] / "schemas" / "monitor-record.schema.json").read_text()
)
COMMON = ("v", "id", "time", "event", "runner", "host")
"""The fields of every event."""
MISSED = ("missed_count", "missed_from", "missed_until")


def fields_of(event: Event, *, is_miss: bool = False) -> Sequence[str]:
    """Return the event's own fields, in the order in which the schema requires them."""
    (required,) = (
        branch["then"]["required"]
        for branch in SCHEMA["allOf"]
        if _is_about(branch["if"]["properties"]["event"], event)
        and ("missed_count" in branch["then"]["required"]) == is_miss
    )
    assert tuple(required[: len(COMMON)]) == COMMON
    own: Sequence[str] = required[len(COMMON) :]
    return own


def record_of(event: Event, **fields: object) -> Record:
    """Return a record with all fields of its event."""
    names = fields_of(event, is_miss=fields.get("status") == "misfired")
    assert fields.keys() <= {*names}, fields.keys() - {*names}
    counts = {
        name: len(items)
        for name in names
        if isinstance(items := fields.get(name.removesuffix("_count")), Sequence)
        and name.endswith("_count")
    }
    return Record(event, dict.fromkeys(names) | fields | counts)


def line_of(recorder: Recorder, event: Event, at: datetime, **fields: object) -> bytes:
    """Return the line of such a record."""
    return recorder.line(record_of(event, **fields), at)


def _is_about(condition: Mapping[str, Any], event: Event) -> bool:
    return event in condition.get("enum", (condition.get("const"),))
