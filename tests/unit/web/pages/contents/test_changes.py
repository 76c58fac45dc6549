from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from support.monitor_records import line_of

from runner.monitor.records import Event, Recorder
from runner.web.pages.contents.changes import KINDS, change_of, kind_of_event

AT = datetime(2026, 11, 22, 2, tzinfo=UTC)


def record(event: Event, **fields: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(line_of(Recorder("erp", "erp-1"), event, AT, **fields))
    return found


@pytest.mark.parametrize("event", [each for each in Event if not each.startswith("execution.")])
def test_each_event_is_a_change_of_a_kind_that_can_be_chosen(event: Event) -> None:
    assert kind_of_event(record(event)) in KINDS[1:]
    assert change_of(record(event)).words


def test_a_change_names_who_made_it_and_what_it_was() -> None:
    pressed = record(Event.REQUEST_UNSCHEDULED, request="backup", requested_by="web:ana")
    change = change_of(pressed)
    assert (change.by, change.request) == ("web:ana", "backup")
    assert change.words.startswith("unscheduled")
    assert kind_of_event(pressed) == "commands"
    entered = record(Event.WEB_CHANGED, action="login", requested_by="web:ana", targets=[])
    assert kind_of_event(entered) == "logins"


@pytest.mark.parametrize("event", Event)
def test_a_record_of_another_version_is_shown_by_its_event(event: Event) -> None:
    change = change_of({"event": str(event), "time": "2026-11-22T02:00:00.000000Z"})
    assert change.words
