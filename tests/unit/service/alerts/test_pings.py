"""Pings: in order, one at a time for each target, and never late."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from runner.lifecycle import ExecutionStatus
from runner.notifying.sending.delivery import Delivery, DeliveryResult, Ping
from runner.requests.receivers import AlertSettings, RunnerPing
from runner.service.alerts.pings import Pings, end_ping, start_ping


def suffixes(deliveries: list[Delivery]) -> list[str]:
    return [delivery.way.suffix for delivery in deliveries if isinstance(delivery.way, Ping)]


def end(status: ExecutionStatus = ExecutionStatus.SUCCESS, code: int | None = 0) -> Ping:
    return end_ping("URL", "e1", status, code)


@pytest.mark.parametrize(
    ("status", "code", "suffix"),
    [
        (ExecutionStatus.SUCCESS, 0, "/0"),
        (ExecutionStatus.SUCCESS, 3, "/0"),  # an exit code that counts as success
        (ExecutionStatus.ERROR, 3, "/3"),
        (ExecutionStatus.ERROR, 0, "/fail"),  # text on stderr
        (ExecutionStatus.ERROR, None, "/fail"),  # a timeout
        (ExecutionStatus.KILLED, None, "/fail"),
        (ExecutionStatus.SYSTEM_RESTART, None, "/fail"),
    ],
)
def test_an_end_says_whether_it_was_a_success(
    status: ExecutionStatus, code: int | None, suffix: str
) -> None:
    assert end(status, code) == Ping(url_variable="URL", suffix=suffix, execution="e1")


def test_a_target_gets_one_ping_after_the_other() -> None:
    pings = Pings(AlertSettings(environment_file=Path("runner.env")))
    pings.add("a", start_ping("URL", "e1"))
    pings.add("b", start_ping("URL", "e2"))
    first = list(pings.due(0.0))
    assert [delivery.environment_file for delivery in first] == ["runner.env"] * 2
    pings.add("a", end())
    assert (list(pings.due(0.0)), pings.next_s()) == ([], None)
    assert pings.take_result(DeliveryResult(id=first[0].id))
    assert pings.next_s() == 0.0
    assert suffixes(list(pings.due(0.0))) == ["/0"]
    assert not pings.take_result(DeliveryResult(id="a message"))


def test_a_newer_end_replaces_what_could_not_be_sent() -> None:
    """A late success must not turn a red check green."""
    pings = Pings(AlertSettings())
    for ping in (start_ping("URL", "e0"), end(), start_ping("URL", "e1"), end(code=0)):
        pings.add("a", ping)
    pings.add("a", end(ExecutionStatus.ERROR, 3))
    (delivery,) = pings.due(0.0)
    assert suffixes([delivery]) == ["/3"]
    pings.take_result(DeliveryResult(id=delivery.id))
    assert list(pings.due(0.0)) == []


def test_a_start_does_not_replace_the_end_before_it() -> None:
    pings = Pings(AlertSettings())
    for ping in (end(ExecutionStatus.ERROR, 3), start_ping("URL", "e1"), start_ping("URL", "e2")):
        pings.add("a", ping)
    seen = []
    while deliveries := list(pings.due(0.0)):
        seen += deliveries
        pings.take_result(DeliveryResult(id=deliveries[0].id))
    assert [
        (delivery.way.suffix, delivery.way.execution)
        for delivery in seen
        if isinstance(delivery.way, Ping)
    ] == [
        ("/3", "e1"),
        ("/start", "e2"),
    ]


def test_the_runner_pings_at_its_pace_and_skips_what_is_late() -> None:
    pings = Pings(AlertSettings(ping=RunnerPing(url_variable="HC", every=timedelta(seconds=60))))
    (delivery,) = pings.due(100.0)
    assert delivery.way == Ping(url_variable="HC")
    assert pings.next_s() == 160.0
    assert list(pings.due(160.0)) == [], "the last one is still on its way"
    assert list(pings.due(220.0)) == []
    pings.take_result(DeliveryResult(id=delivery.id))
    assert len(list(pings.due(221.0))) == 1
    assert list(pings.due(222.0)) == []


def test_each_target_that_fails_is_trouble_until_it_succeeds() -> None:
    pings = Pings(AlertSettings())
    for name in ("a", "b"):
        pings.add(name, end())
    deliveries = list(pings.due(0.0))
    for delivery in deliveries:
        pings.take_result(DeliveryResult(id=delivery.id, error="refused"))
    assert pings.trouble == "the ping of a was not sent: refused (and 1 more)"
    for name in ("a", "b"):
        pings.add(name, end())
    for delivery in pings.due(0.0):
        pings.take_result(DeliveryResult(id=delivery.id))
    assert pings.trouble is None
