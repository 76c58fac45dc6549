"""What a service manager receives, on a real datagram socket."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.service.systemd import SILENT, Notifier
from runner.system.clock import SystemClock
from runner.values import new_id


class Clock(SystemClock):
    """Elapsed time that the test moves."""

    at_s = 1000.0

    def elapsed_s(self) -> float:
        return self.at_s


class Manager:
    """The other end of the socket."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address.replace("@", "\0", 1))
        self.socket.setblocking(False)

    def heard(self) -> list[list[str]]:
        messages: list[list[str]] = []
        while True:
            try:
                messages.append(self.socket.recv(4096).decode().split("\n"))
            except BlockingIOError:
                return messages


@pytest.fixture(params=["path", "abstract"])
def manager(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Manager]:
    # A socket address has at most 107 bytes, and the folder of a test may be longer.
    monkeypatch.chdir(tmp_path)
    listening = Manager("notify" if request.param == "path" else f"@{new_id()}")
    yield listening
    listening.socket.close()


def notifier_of(manager: Manager, **variables: str) -> tuple[Notifier, Clock]:
    clock = Clock()
    return Notifier.taken_from({"NOTIFY_SOCKET": manager.address, **variables}, clock=clock), clock


def test_a_start_a_reload_and_a_stop_are_reported(manager: Manager) -> None:
    notifier, clock = notifier_of(manager)
    notifier.ready(begun_s=clock.at_s)
    assert manager.heard() == [["READY=1"]]
    notifier.ready(begun_s=clock.at_s)
    assert manager.heard() == [], "nothing waits for this reading"
    notifier.reloading()
    assert manager.heard() == [["RELOADING=1", "MONOTONIC_USEC=1000000000"]]
    notifier.ready(begun_s=clock.at_s - 0.001)
    assert manager.heard() == [], (
        "this reading began before the signal, and may lack what the signal was sent for"
    )
    notifier.ready(begun_s=clock.at_s + 0.001)
    assert manager.heard() == [["READY=1"]]
    notifier.reloading()
    notifier.stopping()
    notifier.ready(begun_s=clock.at_s)
    assert manager.heard()[1:] == [["STOPPING=1"]]


def test_a_reload_carries_the_time_of_the_clock_that_systemd_reads(manager: Manager) -> None:
    before_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    Notifier(manager.address, clock=SystemClock()).reloading()
    sent_us = int(manager.heard()[0][1].removeprefix("MONOTONIC_USEC="))
    assert before_us <= sent_us <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


@pytest.mark.parametrize("pid", ["", str(os.getpid())], ids=["any process", "this process"])
def test_turns_notify_the_watchdog_at_half_its_interval(manager: Manager, pid: str) -> None:
    notifier, clock = notifier_of(manager, WATCHDOG_USEC="4000000", WATCHDOG_PID=pid)
    heard_s = []
    for tenth in range(100):
        clock.at_s = 1000 + tenth / 10
        notifier.turn(requests=1, running=0)
        heard_s += [tenth / 10 for message in manager.heard() if message == ["WATCHDOG=1"]]
    assert heard_s == [0, 2, 4, 6, 8]
    clock.at_s += 60
    notifier.ready(begun_s=clock.at_s)
    notifier.reloading()
    assert ["WATCHDOG=1"] not in manager.heard(), "only a turn is a sign of life"


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": f"{os.getppid()}"},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
    ],
)
def test_a_watchdog_for_another_process_gets_no_message(
    manager: Manager, variables: dict[str, str]
) -> None:
    notifier, _ = notifier_of(manager, **variables)
    notifier.turn(requests=1, running=0)
    assert manager.heard() == [["STATUS=1 request, 0 running"]]


def test_the_status_is_sent_only_when_it_changes_and_not_in_each_turn(manager: Manager) -> None:
    notifier, clock = notifier_of(manager)
    for second in range(20):
        clock.at_s = 1000.0 + second
        notifier.turn(requests=3, running=second)
    assert manager.heard() == [
        [f"STATUS=3 requests, {running} running"] for running in (0, 5, 10, 15)
    ]
    for second in range(20):
        clock.at_s = 1020.0 + second
        notifier.turn(requests=3, running=15)
    assert manager.heard() == []


def test_the_managers_variables_are_removed_from_the_environment() -> None:
    environment = {
        "NOTIFY_SOCKET": "/nowhere",
        "WATCHDOG_USEC": "1",
        "WATCHDOG_PID": "1",
        "PATH": "/bin",
    }
    Notifier.taken_from(environment, clock=Clock())
    assert environment == {"PATH": "/bin"}


def test_a_manager_that_is_gone_or_does_not_read_causes_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    gone = Notifier("gone", watchdog_s=1.0, clock=Clock())
    for notifier in (gone, SILENT):
        notifier.reloading()
        notifier.ready(begun_s=2000.0)
        notifier.turn(requests=1, running=1)
        notifier.stopping()
    deaf = Manager("deaf")
    flooding = Notifier(deaf.address, clock=Clock())
    for _ in range(2000):  # more than a socket can queue
        flooding.stopping()
    assert len(deaf.heard()) < 2000
    deaf.socket.close()


def test_a_standby_is_alive_to_the_manager_and_says_who_leads(manager: Manager) -> None:
    notifier, clock = notifier_of(manager, WATCHDOG_USEC="10000000")
    notifier.standing_by(None)
    assert manager.heard() == [["WATCHDOG=1"], ["STATUS=standing by"]]
    clock.at_s += 5
    notifier.standing_by("batch-1")
    assert manager.heard() == [["WATCHDOG=1"], ["STATUS=standing by; batch-1 leads"]]
