"""A worker that restarts in place: the installed program replaces its own, executions go on."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from support.database_proxy import proxied
from support.fleet import is_running, zombies_of
from support.marked_points import Mark, Order, Point, is_stopped, listening
from support.place import end_of, wait_until
from support.worker_world import WorkerWorld

from runner import __version__
from runner.service.beside.child_command import DRAIN_S, OF_RUNNER
from runner.service.beside.child_pipe import Successor
from runner.worker.fencing.fence_file import read_fence

HAND_OVER = Point("runner.worker.loop:Worker._hand_over", "before")


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[WorkerWorld]:
    """Provide a store without a leader."""
    world = WorkerWorld(database_url, tmp_path)
    yield world
    world.close()


def test_executions_go_on_with_their_guards_and_the_worker_takes_at_once(
    world: WorkerWorld,
) -> None:
    worker = world.work("alpha", "--concurrency", "3")
    long = world.offer(f"echo before; {world.waiting_line('echo after; exit 7')}")
    fenced = world.offer(world.waiting_line(), prevent_concurrent=True)
    for each in (long, fenced):
        world.await_report(each, "started")
    folder = world.worker_folder("alpha")
    supervisors = [read_fence(folder).supervisor]
    for _ in range(2):
        done = world.places["alpha"].run("restart")
        assert done.stdout == (
            f"restarted: alpha works again; runner {__version__}, process {worker.pid};"
            " 2 executions went on\n"
        ), done.stderr
        new = world.offer("exit 3", prevent_concurrent=True)
        assert world.await_report(new, "finished").body["exit_code"] == 3
        world.settle(new)
        assert world.runs(long) and world.runs(fenced)
        # What is fenced starts only under the next supervisor; the former one is gone then.
        fence = read_fence(folder)
        assert fenced in {each.execution for each in fence.executions}
        assert fence.supervisor not in supervisors and is_running(fence.supervisor)
        supervisors.append(fence.supervisor)
    *former, _ = supervisors
    wait_until(lambda: not any(Path(f"/proc/{each}").exists() for each in former), what="one only")
    world.gate.touch()
    ended = world.await_report(long, "finished").body
    assert (ended["exit_code"], ended["is_adopted"]) == (7, False)
    assert ended["duration"] > 0 and ended["tail"] == ["before\nafter\n", 13, False]
    assert world.output(long) == b"before\nafter\n"
    assert world.await_report(fenced, "finished").body["exit_code"] == 0
    world.check_ledger((long, fenced))
    for each in (long, fenced):
        world.settle(each)
    wait_until(lambda: not zombies_of(worker.pid), what="no zombie")
    assert world.end(worker) == 0


def test_a_restart_amid_an_outage_of_the_database_loses_nothing(
    world: WorkerWorld, tmp_path: Path
) -> None:
    orders, second_gate = tmp_path / "orders", tmp_path / "second"
    with proxied(world.url, tmp_path / "way") as way:
        variables = {"RUNNER_STORE": way.url, **listening(orders)}
        worker = world.work("alpha", "--concurrency", "3", variables=variables)
        ends, unsent = (world.offer(world.waiting_line("exit 7")) for _ in range(2))
        meanwhile = world.offer(f"until [ -e {second_gate} ]; do sleep 0.1; done; exit 5")
        for each in (ends, unsent, meanwhile):
            world.await_report(each, "started")
        order = Order(orders, worker.pid, Mark(point=HAND_OVER, number=signal.SIGSTOP))
        wait_until(lambda: order.is_heard, what="a worker that listens")
        command = world.places["alpha"].begin("restart")
        wait_until(lambda: is_stopped(worker.pid), within_s=60, what="a worker that restarts")
        way.go_down()
        world.kill_process(unsent)
        worker.send_signal(signal.SIGCONT)
        wait_until(lambda: world.console().count("the database: ") > 0, what="an outage")
        world.gate.touch()
        wait_until(lambda: not world.runs(ends), what="an end during the outage")
        assert world.runs(meanwhile)
        way.is_up = True
        code, output, messages = end_of(command, within_s=90)
        assert (code, b"3 executions went on" in output) == (0, True), messages
        assert world.await_report(ends, "finished").body["exit_code"] == 7
        assert world.await_report(unsent, "finished").body["signal"] == signal.SIGKILL
        second_gate.touch()
        assert world.await_report(meanwhile, "finished").body["exit_code"] == 5
        assert world.end(worker) == 0


@pytest.mark.parametrize("is_after", [False, True], ids=["amid", "after"])
def test_a_worker_killed_at_its_restart_still_adopts(world: WorkerWorld, *, is_after: bool) -> None:
    """Amid: the new program dies before it has adopted anything."""
    adopting = Point("runner.worker.executions:Executions._adopt", "before")
    worker = (
        world.work("alpha", "--concurrency", "4")
        if is_after
        else world.work_until(adopting, 1, signal.SIGKILL, "alpha")
    )
    executions = [
        world.offer(world.waiting_line(), prevent_concurrent=not number) for number in range(2)
    ]
    for each in executions:
        world.await_report(each, "started")
    command = world.places["alpha"].begin("restart")
    if is_after:
        assert end_of(command)[0] == 0
        worker.kill()
    assert worker.wait(timeout=60) == -signal.SIGKILL
    assert is_after or end_of(command)[0] == 4
    world.work("alpha", "--concurrency", "4")
    new = world.offer("exit 3")
    assert world.await_report(new, "finished").body["exit_code"] == 3
    world.gate.touch()
    for each in executions:
        assert world.await_report(each, "finished").body["is_adopted"]
    world.check_ledger(executions)


def test_what_was_taken_and_not_started_starts_after_the_restart(world: WorkerWorld) -> None:
    """Its supervisor dies, so it waits for the next one, which the new program starts."""
    accepted = Point("runner.worker.executions:Executions.accept", "after")
    worker = world.work_until(accepted, 2, signal.SIGSTOP, "alpha")
    world.await_report(world.offer("true", prevent_concurrent=True), "finished")
    fenced = world.offer(f"echo ran >> {world.ledger}", prevent_concurrent=True)
    wait_until(lambda: is_stopped(worker.pid), within_s=60, what="it has taken the execution")
    instance = world.await_worker("alpha")["instance"]
    command = world.places["alpha"].begin("restart")
    wait_until(lambda: world.await_worker("alpha")["asked"] == "restart", what="it was asked")
    world.kill_supervisor("alpha")
    worker.send_signal(signal.SIGCONT)
    assert end_of(command)[0] == 0
    assert world.await_worker("alpha")["instance"] != instance
    assert world.await_report(fenced, "finished").body["exit_code"] == 0
    assert world.noted() == ["ran"]


def test_a_stop_goes_on_over_a_restart(world: WorkerWorld) -> None:
    """The process ignores the stop signal, so it is killed after its grace period."""
    world.work()
    asked = f"echo asked >> {world.ledger}"
    execution = world.offer(
        f"trap '{asked}' TERM; {world.waiting_line()}", stop_grace=timedelta(seconds=5)
    )
    world.await_report(execution, "started")
    world.ask_to_stop(execution, "killed_by_user")
    wait_until(lambda: "asked" in world.noted(), what="the stop signal")
    assert world.places["alpha"].run("restart").returncode == 0
    ended = world.await_report(execution, "finished").body
    assert (ended["stopped_for"], ended["signal"]) == ("killed_by_user", signal.SIGKILL)


def test_a_stop_amid_a_restart_is_obeyed(world: WorkerWorld, tmp_path: Path) -> None:
    orders = tmp_path / "orders"
    worker = world.work(variables=listening(orders))
    execution = world.offer(world.waiting_line("exit 7"))
    world.await_report(execution, "started")
    order = Order(orders, worker.pid, Mark(point=HAND_OVER, number=signal.SIGSTOP))
    wait_until(lambda: order.is_heard, what="a worker that listens")
    command = world.places["alpha"].begin("restart")
    wait_until(lambda: is_stopped(worker.pid), within_s=60, what="a worker that restarts")
    worker.terminate()
    worker.send_signal(signal.SIGCONT)
    wait_until(lambda: "a second signal kills" in world.console(), what="the stop")
    assert end_of(command)[0] == 0
    world.gate.touch()
    assert world.await_report(execution, "finished").body["exit_code"] == 7
    world.settle(execution)
    assert worker.wait(timeout=90) == 0


def test_the_runner_beside_a_worker_chooses_its_next_program(world: WorkerWorld) -> None:
    """An end of the pipe still lets it leave after the last end."""
    stdin, pipe = os.pipe()
    worker = world.work(stdin=stdin, variables={OF_RUNNER: "1", DRAIN_S: "30"})
    os.close(stdin)
    execution = world.offer(world.waiting_line("exit 7"))
    world.await_report(execution, "started")
    command = (sys.executable, "-m", "runner", "work", "--name", "alpha", "--queue", "other")
    Successor(command=command, variables={DRAIN_S: "20"}).send(pipe)
    other = world.offer("exit 3", queue="other")
    assert world.await_report(other, "finished").body["exit_code"] == 3
    world.settle(other)
    os.close(pipe)
    wait_until(lambda: "its `runner start` has ended" in world.console(), what="the end")
    world.gate.touch()
    assert world.await_report(execution, "finished").body["exit_code"] == 7
    world.settle(execution)
    assert worker.wait(timeout=90) == 0
