"""The runner that leads a fleet: what it records of executions that workers run."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.fleet_world import ScriptedWorker, count_in, ended
from support.place import Place, check_log, wait_until

from runner.commands import Command, CommandKind
from runner.execution.executor import ProcessStarted
from runner.execution.trees.watched import ProcessId
from runner.planning.alerts import expectations
from runner.service.fleet import queue_watch
from runner.service.loop import Runner, running
from runner.service.runner_settings import Settings
from runner.store.postgres.connecting.connection import Connection
from runner.system.clock import SystemClock

NOW = "run_immediately"
DAILY = {"schedule": {"frequency": "daily", "at": "02:00"}}


@pytest.fixture
def worker(database_url: str) -> Iterator[ScriptedWorker]:
    made = ScriptedWorker(database_url, "batch-1")
    made.join()
    yield made
    made.close()


@contextmanager
def leading(place: Place, url: str, **settings: Any) -> Iterator[Runner]:
    """Run the leader in this process."""
    made = Settings(
        jobs=place.jobs,
        state=place.state,
        monitor_log=place.log,
        zone="UTC",
        url=url,
        **settings,
    )
    with running(made, SystemClock(), observer=lambda _: None) as runner:
        runner.start()
        yield runner


def until(runner: Runner, condition: Callable[[], Any], what: str) -> None:
    """Turn the loop until a condition holds."""

    def holds() -> bool:
        runner.turn()
        return bool(condition())

    wait_until(holds, within_s=60, what=what)


def taken(
    runner: Runner, worker: ScriptedWorker, queue: str = "default", *, count: int = 1
) -> list[str]:
    """Turn the loop until a worker has taken executions; return them."""
    found = list[str]()

    def has_all() -> bool:
        found.extend(worker.take_all(queue))
        return len(found) == count

    until(runner, has_all, f"{count} offers in {queue}")
    return found


def begun(execution: str) -> ProcessStarted:
    """Return the start of a process on a worker."""
    process = ProcessId(pid=7, pid_started=8)
    return ProcessStarted(execution=execution, process=process, at=datetime.now(UTC))


def test_records_say_what_the_worker_measured(
    place: Place, database_url: str, worker: ScriptedWorker
) -> None:
    place.declare("plain", "exit 3", NOW, queue="gpu")
    with leading(place, database_url) as runner:
        (execution,) = taken(runner, worker, "gpu")
        end = ended(execution, exit_code=3, text="from afar\n")
        worker.report(begun(execution), end)
        until(runner, lambda: place.finished("plain"), "the end")
    (start,) = place.events("execution.started", "plain")
    (finish,) = place.finished("plain")
    assert (start["node"], start["pid"], start["queue"]) == ("batch-1", 7, "gpu")
    assert (finish["node"], finish["exit_code"], finish["status"]) == ("batch-1", 3, "error")
    assert (finish["output_tail"], finish["output_bytes"]) == ("from afar\n", 10)
    assert finish["output_file"] is start["output_file"] is None, "it is on another machine"
    assert finish["duration_s"] == 1.0
    assert finish["ended"] == end.measured.ended.isoformat(timespec="microseconds").replace(
        "+00:00", "Z"
    )
    assert count_in(database_url, "dispatches") == count_in(database_url, "reports") == 0


def test_a_group_and_its_retries_go_from_worker_to_worker(
    place: Place, database_url: str, worker: ScriptedWorker
) -> None:
    place.write(
        "group.yaml",
        "process: {queue: gpu, group: {members: [{name: a, shell: x, retry: {attempts: 2, "
        "delay: 0s}}, {name: b, shell: y, queue: default}]}}\ntiming: run_immediately\n",
    )
    other = ScriptedWorker(database_url, "batch-2")
    other.join()
    with leading(place, database_url) as runner:
        for by, queue, code in ((worker, "gpu", 1), (other, "gpu", 0), (worker, "default", 0)):
            (execution,) = taken(runner, by, queue)
            by.report(begun(execution), ended(execution, exit_code=code))
        until(runner, lambda: place.finished("group", group=None), "the end of the group")
    assert [
        (each["process"], each["attempt"], each["node"], each["queue"], each["status"])
        for each in place.finished("group")
    ] == [
        ("group/a", 1, "batch-1", "gpu", "error"),
        ("group/a", 2, "batch-2", "gpu", "success"),
        ("group/b", 1, "batch-1", "default", "success"),
        ("group", 1, None, "gpu", "success"),
    ]
    other.close()


def test_a_lost_worker_ends_its_executions_and_what_may_rerun_runs_again(
    place: Place, database_url: str, worker: ScriptedWorker
) -> None:
    place.declare("once", "x", NOW)
    place.declare("again", "x", NOW, if_interrupted="rerun")
    with leading(place, database_url, lost_after=timedelta(seconds=1)) as runner:
        worker.report(*map(begun, taken(runner, worker, count=2)))
        until(runner, lambda: len(place.finished("once") + place.finished("again")) == 2, "losses")
        (again,) = taken(runner, worker)
        worker.report(begun(again), ended(again))
        until(runner, lambda: place.finished("again", attempt=2), "its end")
    for name in ("once", "again"):
        (lost,) = place.finished(name, attempt=1)
        assert (lost["status"], lost["reason"]) == ("system_restart", "runner_lost")
        assert lost["message"].startswith("the worker batch-1 was lost while the process ran")
    assert place.finished("again", attempt=2)[0]["status"] == "success"
    check_log(place.log)


def test_a_queue_without_a_live_worker_opens_an_alert_until_there_is_one(
    place: Place, database_url: str, worker: ScriptedWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expectations, "QUEUE_PATIENCE", timedelta(seconds=1))
    monkeypatch.setattr(queue_watch, "_LOOK_EVERY_S", 0.1)
    place.declare("usual", "true", DAILY)
    member = {"name": "train", "shell": "true", "queue": "gpu"}
    process = {"group": {"members": [member]}}
    place.write("models.yaml", json.dumps({"process": process, "timing": DAILY}))
    with leading(place, database_url) as runner:
        until(runner, lambda: place.events("alert.opened"), "the alert")
        (opened,) = place.events("alert.opened")
        assert (opened["request"], opened["check"]) == (None, "queue")
        assert opened["message"] == "no live worker serves the queue gpu"
        worker.connection.execute("UPDATE nodes SET queues = '{default,gpu}'")

        def is_closed() -> bool:
            worker.join()
            return bool(place.events("alert.closed"))

        until(runner, is_closed, "the end of the alert")


def test_the_next_leader_keeps_the_alert_about_a_queue_until_a_worker_serves_it(
    place: Place, database_url: str, worker: ScriptedWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has not looked yet when it decides for the first time, so it knows nothing."""
    monkeypatch.setattr(expectations, "QUEUE_PATIENCE", timedelta(seconds=1))
    monkeypatch.setattr(queue_watch, "_LOOK_EVERY_S", 0.1)
    place.declare("models", "true", DAILY, queue="gpu")
    with leading(place, database_url) as runner:
        until(runner, lambda: place.events("alert.opened"), "the alert")
    looks = list[queue_watch.QueueWatch]()

    def refuse(watch: queue_watch.QueueWatch, _: Connection) -> None:
        looks.append(watch)
        watch.next_s = 0.0

    with leading(place, database_url) as runner:
        with monkeypatch.context() as patch:
            patch.setattr(queue_watch.QueueWatch, "look", refuse)
            until(runner, lambda: len(looks) == 3, "turns without knowledge")
        until(runner, lambda: looks[0].unserved == ("gpu",), "the first look")
        runner.turn()
        assert not place.events("alert.closed")
        worker.connection.execute("UPDATE nodes SET queues = '{default,gpu}'")

        def is_closed() -> bool:
            worker.join()
            return bool(place.events("alert.closed"))

        until(runner, is_closed, "the end of the alert")
    assert len(place.events("alert.opened")) == len(place.events("alert.closed")) == 1


def test_sigterm_leaves_the_executions_to_the_workers_and_the_next_leader(
    place: Place, database_url: str, worker: ScriptedWorker
) -> None:
    place.declare("long", "x", NOW)
    place.declare("waits", "x", NOW, queue="nobodys")
    with leading(place, database_url) as runner:
        (execution,) = taken(runner, worker)
        worker.report(begun(execution))
        until(runner, lambda: place.events("execution.started", "long"), "the start")
        os.kill(os.getpid(), signal.SIGTERM)
        assert runner.run() is None
    assert worker.asked_to_end() == {}
    assert not place.finished("long")
    worker.report(ended(execution))
    with leading(place, database_url) as runner:
        until(runner, lambda: place.finished("long"), "the end under the next leader")
        assert worker.take_all("nobodys"), "what waits keeps its offer"
    assert place.finished("long")[0]["status"] == "success"


def test_a_kill_reaches_the_worker_and_what_nobody_took_is_withdrawn(
    place: Place, database_url: str, worker: ScriptedWorker
) -> None:
    place.declare("taken", "x", NOW)
    place.declare("waits", "x", NOW, queue="nobodys")
    with leading(place, database_url) as runner:
        (execution,) = taken(runner, worker)
        worker.report(begun(execution))
        until(runner, lambda: place.events("execution.started", "taken"), "the start")
        command = Command(kind=CommandKind.KILL, targets=("taken", "waits"), requested_by="maria")
        assert runner.carry_out(command).is_done
        until(runner, lambda: worker.asked_to_end(), "the stop")
        until(runner, lambda: place.finished("waits"), "the withdrawal")
    assert worker.asked_to_end() == {execution: "killed_by_user"}
    (withdrawn,) = place.finished("waits")
    assert (withdrawn["status"], withdrawn["reason"]) == ("killed", "killed_by_user")
    assert withdrawn["message"] == "killed by maria while it waited to start"
    assert worker.take_all("nobodys") == []
