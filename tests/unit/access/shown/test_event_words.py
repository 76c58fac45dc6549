"""The console has a line for every event."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from support.monitor_records import line_of

from runner.access.shown.event_words import _WORDS
from runner.access.shown.event_words import line_of as words_of
from runner.monitor.records import Event, Recorder

AT = datetime(2026, 11, 22, 2, tzinfo=UTC)


def words(event: Event, **fields: object) -> tuple[str, str]:
    record: dict[str, Any] = json.loads(line_of(Recorder("erp", "erp-1"), event, AT, **fields))
    return words_of(record)


def test_each_event_has_words() -> None:
    assert sorted(_WORDS) == sorted(Event)


@pytest.mark.parametrize(
    ("event", "fields", "line"),
    [
        (Event.NOTIFICATION_SENT, {"alerts": ["a/failure"]}, ("INFO", "· notified ops: a/failure")),
        (
            Event.NOTIFICATION_SENT,
            {"alerts": ["a/late", "disk"]},
            ("INFO", "· notified ops: 2 alerts"),
        ),
        (
            Event.NOTIFICATION_FAILED,
            {"alerts": ["a/failure"], "message": "connection refused", "retry_at": AT},
            (
                "WARNING",
                "! ops was not notified of a/failure: connection refused; "
                "next attempt at 2026-11-22T02:00:00Z",
            ),
        ),
        (
            Event.NOTIFICATION_FAILED,
            {"alerts": ["a/failure"], "message": "connection refused"},
            (
                "WARNING",
                "! ops was not notified of a/failure: connection refused; no further attempt",
            ),
        ),
    ],
)
def test_a_notification_names_its_receiver_and_its_alerts(
    event: Event, fields: dict[str, object], line: tuple[str, str]
) -> None:
    assert words(event, receiver="ops", attempt=1, **fields) == line


@pytest.mark.parametrize(
    ("event", "request_name", "check", "message", "line"),
    [
        (
            Event.ALERT_OPENED,
            None,
            "queue",
            "no live worker serves the queue gpu",
            ("WARNING", "! alert: the runner: queue, no live worker serves the queue gpu"),
        ),
        (
            Event.ALERT_CLOSED,
            None,
            "queue",
            "it is over",
            ("INFO", "· alert closed: the runner: queue, it is over"),
        ),
        (
            Event.ALERT_CLOSED,
            "etl",
            "overrun",
            "ended with status success",
            ("INFO", "· alert closed: etl: overrun, ended with status success"),
        ),
    ],
)
def test_an_alert_names_what_it_is_about_and_its_check(
    event: Event, request_name: str | None, check: str, message: str, line: tuple[str, str]
) -> None:
    assert words(event, request=request_name, check=check, message=message) == line
