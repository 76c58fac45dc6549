"""Which notices one message takes, what it holds, and how long it is tried."""

from __future__ import annotations

import json
from datetime import timedelta

from support.notices import EXECUTION, NOON, SETTING, change, known, news, recovery

from runner.notifying.message import (
    MOST_ATTEMPTS,
    Message,
    after_failure,
    composed,
    message_in,
    ready,
)
from runner.notifying.notice import GROUPING
from runner.planning.alerts.alert import Change


def test_a_message_waits_until_the_group_is_complete_and_takes_all_news() -> None:
    first = news(change(request="a"))
    late = news(change(Change.OPENED, NOON + timedelta(seconds=29), request="b"))
    repeated = known(change(request="c"))
    notices = [late, repeated, first]
    assert ready(notices, NOON + GROUPING - timedelta(seconds=1)) == []
    assert ready(notices, NOON + GROUPING) == [late, first]
    assert ready([repeated], NOON + timedelta(hours=23)) == []
    assert ready([repeated], NOON + timedelta(hours=24)) == [repeated]


def message() -> Message:
    opening, end = news(change(request="b")), recovery(change(request="a"))
    return composed("m9", [end, opening], NOON + GROUPING, SETTING)


def test_a_message_names_its_alerts_and_their_earlier_message() -> None:
    assert message().names == ("b/failure", "a/failure"), "what is wrong comes first"
    assert message().threads == ("m1",)
    payload = message().payload("erp-1")
    assert (payload["id"], payload["host"], payload["alerts_count"]) == ("m9", "erp-1", 2)
    first, second = payload["alerts"]
    assert (first["event"], first["request"], first["check"]) == ("opened", "b", "failure")
    assert (first["since"], first["closed_at"]) == ("2026-11-30T12:00:00.000000Z", None)
    assert (first["exit_code"], first["execution"]) == (3, EXECUTION)
    assert (second["event"], second["closing"]) == ("closed", "ended with status success")
    assert second["closed_at"] == "2026-11-30T14:05:00.000000Z"


def test_a_message_survives_a_restart_unchanged() -> None:
    stored = message_in(json.loads(message().stored())["message"])
    assert stored.payload("erp-1") == message().payload("erp-1")
    assert (stored.attempt, stored.due, stored.names) == (1, message().due, message().names)


def test_attempts_follow_after_1_minute_to_1_hour_for_a_day() -> None:
    tried: Message | None = message()
    at, delays = NOON, []
    while tried is not None:
        delays.append(tried.due - at)
        at = tried.due
        tried = after_failure(tried, at)
    assert len(delays) == MOST_ATTEMPTS
    minutes = [delay // timedelta(minutes=1) for delay in delays[1:]]
    assert minutes[:8] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert timedelta(hours=24) <= sum(delays[1:], timedelta()) < timedelta(hours=25)


def test_a_message_about_many_alerts_stays_short() -> None:
    whole = composed("m", [news(change(request=f"r{n:04}")) for n in range(1000)], NOON, SETTING)
    assert len(whole.names) == 1000
    assert whole.subject == "1000 requests fail, first: r0000 fails: exit code 3"
    assert len(whole.stored()) < 200_000
    assert "- and 980 more; `runner alerts` lists what is open" in whole.text
