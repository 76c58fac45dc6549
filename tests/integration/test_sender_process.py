"""The runner's side of the sender: nothing that a receiver or the sender does holds it up."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.hung_mount import hung, needs_hung_mount
from support.place import wait_until
from support.receiver_world import HANG_S, WebServer, web_server

from runner.notifying.sending.delivery import DELIVERY_S, Delivery, DeliveryResult
from runner.notifying.sending.sender import COMMAND
from runner.requests.receivers import Webhook
from runner.service.notifying import sender_process
from runner.service.notifying.sender_process import SenderProcess
from runner.system import own_children

PAYLOAD = {"id": "m1", "text": "x"}


class Clock:
    """A clock that a test sets."""

    now_s = 0.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.now_s, UTC)

    def elapsed_s(self) -> float:
        return self.now_s


class World:
    """A sender process with its clock and its poll."""

    def __init__(self) -> None:
        self.clock, self.poll = Clock(), select.epoll()
        self.sender = SenderProcess(self.poll, self.clock)

    def close(self) -> None:
        self.sender.close()
        self.poll.close()
        for pid in self.pids:  # left to itself: in a runner, its parent is gone
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            own_children.forget(pid)

    def results(self, count: int) -> list[DeliveryResult]:
        """Return the next results; wait for them as the loop does."""
        found = self.sender.take()
        while len(found) < count:
            assert self.poll.poll(HANG_S), "no result"
            found += self.sender.take()
        return found

    @property
    def pids(self) -> set[int]:
        return own_children._pids - self.before

    before: frozenset[int] = frozenset()


@pytest.fixture
def world() -> Iterator[World]:
    World.before = frozenset(own_children._pids)
    with closing(World()) as made:
        yield made


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    with web_server() as server:
        monkeypatch.setenv("URL", server.url)
        yield server


def hook(name: str, variable: str = "URL") -> Delivery:
    return Delivery(id=name, way=Webhook(url_variable=variable), payload=PAYLOAD)


def test_one_process_serves_many_jobs_and_ends_when_idle(world: World, web: WebServer) -> None:
    for number in range(5):
        world.sender.begin(hook(f"j{number}"))
    assert sorted(result.id for result in world.results(5)) == [f"j{n}" for n in range(5)]
    assert len(web.drained()) == 5
    assert len(world.pids) == 1
    world.sender.take()  # from now on it is idle
    world.clock.now_s += 3600
    wait_until(lambda: (world.sender.take(), not world.pids)[1], what="its end")
    assert world.sender.next_s() is None
    world.sender.begin(hook("again"))
    assert world.results(1) == [DeliveryResult(id="again")]


def test_a_job_that_takes_too_long_is_given_up_alone(
    world: World, web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.behaviour = "trickles"
    world.sender.begin(hook("slow"))
    web.next()
    (first,) = world.pids
    world.clock.now_s += DELIVERY_S / 2
    with web_server() as other:
        other.behaviour = "hangs"
        monkeypatch.setenv("URL", other.url)
        world.sender.begin(hook("same sender"))
        web.next()
        world.clock.now_s += DELIVERY_S / 2
        assert world.results(1) == [DeliveryResult(id="slow", error="no answer within 30 s")]
        other.behaviour = 200
        world.sender.begin(hook("next sender"))
        assert world.results(1) == [DeliveryResult(id="next sender")]
        assert first in world.pids, "it still has a delivery"
        world.clock.now_s += DELIVERY_S
        assert [result.id for result in world.results(1)] == ["same sender"]
    wait_until(lambda: (world.sender.take(), first not in world.pids)[1], what="the kill")


def test_a_sender_that_dies_fails_its_jobs_and_the_next_one_goes_on(
    world: World, web: WebServer
) -> None:
    web.behaviour = "hangs"
    world.sender.begin(hook("lost"))
    web.next()
    (pid,) = world.pids
    os.kill(pid, signal.SIGKILL)
    assert world.results(1) == [DeliveryResult(id="lost", error="the sender died")]
    web.behaviour = 200
    world.sender.begin(hook("found"))
    assert world.results(1) == [DeliveryResult(id="found")]


def test_a_sender_that_cannot_be_started_fails_the_job(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.service.notifying.sender_process.COMMAND", ("/nowhere/python",))
    world.sender.begin(hook("lost"))
    (result,) = world.results(1)
    assert result.error == "the sender could not be started: No such file or directory"
    wait_until(lambda: (world.sender.take(), world.sender.next_s() is None)[1], what="its end")


@needs_hung_mount
def test_a_start_that_hangs_holds_up_nothing_and_is_the_only_one(
    world: World, web: WebServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    command = f"{sender_process.__name__}.COMMAND"
    with hung(tmp_path / "hung"):
        monkeypatch.setattr(command, (str(tmp_path / "hung" / "python"),))
        world.sender.begin(hook("lost"))
        assert world.sender.take() == []
        world.clock.now_s += DELIVERY_S
        not_started = "the sender could not be started"
        (result,) = world.sender.take()
        assert result == DeliveryResult(id="lost", error=f"{not_started}: no answer within 30 s")
        monkeypatch.setattr(command, COMMAND)
        world.sender.begin(hook("refused"))
        (result,) = world.sender.take()
        assert result.error == f"{not_started}: an earlier start still hangs"
        assert world.sender.next_s() is None, "nothing to do until the start is over"

    def is_sent() -> bool:
        world.sender.begin(hook("again"))
        return world.results(1) == [DeliveryResult(id="again")]

    wait_until(is_sent, what="another start")


def test_a_sender_that_is_stopped_takes_jobs_without_holding_up_the_runner(
    world: World, web: WebServer
) -> None:
    world.sender.begin(hook("first"))
    world.results(1)
    (pid,) = world.pids
    os.kill(pid, signal.SIGSTOP)
    deliveries = 40
    for number in range(deliveries):  # more than a pipe holds
        payload = {**PAYLOAD, "text": "x" * 10_000}
        world.sender.begin(
            Delivery(id=f"j{number}", way=Webhook(url_variable="URL"), payload=payload)
        )
    os.kill(pid, signal.SIGCONT)
    found: list[DeliveryResult] = []
    while len(found) < deliveries:
        assert world.poll.poll(HANG_S), "no result"
        found += world.sender.take()
    assert {result.error for result in found} == {None}
