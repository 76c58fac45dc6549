"""What the record of a request contains: who asked, the owner, and drift from the file."""

from __future__ import annotations

from typing import Any

from support.decision_world import NOON, Document, world

from runner.commands import CommandKind as Button
from runner.monitor.records import Event, Record, Recorder, decode

HOURLY: Document = {
    "process": {"shell": "x"},
    "timing": {"schedule": {"frequency": "hourly"}},
    "owner": "finance",
}


def test_a_requests_record_names_who_asked_the_owner_and_the_drift() -> None:
    with world() as place:
        place.write("a", HOURLY)
        place.reload()
        assert said(place.records) == [("scheduled", "process_scheduler", None, "finance", False)]
        place.records.clear()
        place.press(Button.UNSCHEDULE, "a")
        place.press(Button.SCHEDULE, "a")
        assert said(place.records) == [
            ("unscheduled", "direct", "maria", "finance", True),
            ("scheduled", "direct", "maria", "finance", False),
        ]
        place.press(Button.UNSCHEDULE, "a")
        place.remove("a")
        place.reload()
        assert said(place.records) == [("removed", "process_scheduler", None, "finance", False)]
        place.write("a", "nonsense")
        place.reload()
        ((event, channel, *_),) = said(place.records)
        assert (event, channel) == ("rejected", "process_scheduler")


def said(records: list[tuple[Event, Any]]) -> list[tuple[Any, ...]]:
    lines = [
        (event, decode(Recorder("r", "h").line(Record(event, fields), NOON)))
        for event, fields in records
    ]
    names = ("channel", "requested_by", "owner", "drift")
    return [
        (event.removeprefix("request."), *(line[name] for name in names))
        for event, line in lines
        if line
    ]
