"""What every executor promises the service (`runner.execution.executor`)."""

from __future__ import annotations

import select
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from support.fleet_world import BOUND_S, NEEDS, Leader, ScriptedWorker, former

from runner.execution.executor import (
    ExecutionEvent,
    Executor,
    Measured,
    NotStarted,
    Order,
    ProcessStarted,
    RemoteExit,
)
from runner.execution.launch import Launch
from runner.execution.local_executor import LocalExecutor
from runner.execution.output import read_tail
from runner.execution.trees.watched import Exit
from runner.lifecycle import Reason
from runner.system.clock import SystemClock
from runner.values import new_id

GATE = "until [ -e go ]; do sleep 0.02; done"


def launch_for(execution: str, script: str, folder: Path) -> Launch:
    """Return the launch of a shell line; the line `missing` names no program."""
    arguments = ("/bin/sh", "-c", script) if script != "missing" else ("/nonexistent/program",)
    return Launch(
        execution=execution,
        arguments=arguments,
        directory=str(folder),
        environment={"PATH": "/usr/bin:/bin", "RUNNER_EXECUTION_ID": execution},
        output_file=str(folder / "outputs" / f"{execution}.out"),
        stop_signal=15,
        stop_grace_s=30.0,
        timeout_s=None,
    )


class World(ABC):
    """An executor, and whatever runs its processes."""

    folder: Path
    executor: Executor

    def __init__(self) -> None:
        self.events: dict[str, list[ExecutionEvent]] = {}

    @abstractmethod
    def order(self, script: str) -> str:
        """Commit an execution, and order it."""

    @abstractmethod
    def replace(self) -> None:
        """Let another program take the place of the owner, as after kill -9."""

    @abstractmethod
    def close(self) -> None:
        """End all."""

    def turn(self) -> None:
        """Take events."""
        self.note(self.executor.events())

    def note(self, events: Iterable[ExecutionEvent]) -> None:
        """Note events by their executions."""
        for event in events:
            execution = event.exited.execution if isinstance(event, RemoteExit) else event.execution
            self.events.setdefault(execution, []).append(event)

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Turn until a condition holds."""
        bound_s = time.monotonic() + BOUND_S
        while not condition():
            assert time.monotonic() < bound_s, f"not within {BOUND_S} s: {what}; {self.events}"
            select.select([self.executor.descriptor], [], [], 0.01)
            self.turn()

    def events_of(self, execution: str, count: int) -> list[ExecutionEvent]:
        """Wait for a number of events of an execution."""
        self.until(lambda: len(self.events.get(execution, [])) >= count, f"{count} events")
        return self.events[execution]


class LocalWorld(World):
    """Processes on this machine."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.executor = LocalExecutor(SystemClock())

    def order(self, script: str) -> str:
        launch = launch_for(new_id(), script, self.folder)
        self.executor.start(Order(execution=launch.execution, needs=NEEDS, prepare=lambda: launch))
        return launch.execution

    def replace(self) -> None:
        self.executor.close()
        self.executor = LocalExecutor(SystemClock())

    def close(self) -> None:
        self.executor.close()


class FleetWorld(World):
    """Processes of a worker that this process is, too."""

    def __init__(self, url: str, folder: Path) -> None:
        super().__init__()
        self.folder, self.url = folder, url
        self.leader = Leader(url, folder / "leader")
        self.executor = self.leader.executor
        self.worker = ScriptedWorker(url)
        self.worker.join()
        self.processes = LocalExecutor(SystemClock())
        self.scripts: dict[str, str] = {}

    def order(self, script: str) -> str:
        (execution,) = self.leader.claim()
        self.scripts[execution] = script
        return execution

    def replace(self) -> None:
        self.leader.close()
        self.leader = Leader(self.url, self.folder / "leader")
        self.executor = self.leader.executor

    def turn(self) -> None:
        for execution in self.worker.take_all():
            prepare = partial(launch_for, execution, self.scripts[execution], self.folder)
            self.processes.start(Order(execution=execution, needs=NEEDS, prepare=prepare))
        for execution, reason in self.worker.asked_to_end().items():
            self.processes.stop(execution, Reason(reason))
        for event in self.processes.events():
            assert isinstance(event, (ProcessStarted, NotStarted, Exit))
            self.worker.report(self._measured(event) if isinstance(event, Exit) else event)
        self.note(self.leader.turn())

    def close(self) -> None:
        self.processes.close()
        self.worker.close()
        self.leader.close()

    def _measured(self, exited: Exit) -> RemoteExit:
        tail = read_tail(self.folder / "outputs" / f"{exited.execution}.out")
        measured = Measured(ended=SystemClock().now(), duration=None, tail=tail)
        return RemoteExit(exited=exited, measured=measured, is_adopted=False)


@pytest.fixture(params=["local", "fleet"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    made: World
    if request.param == "local":
        made = LocalWorld(tmp_path)
    else:
        made = FleetWorld(request.getfixturevalue("database_url"), tmp_path)
    yield made
    (tmp_path / "go").touch()
    made.close()


def exit_in(event: ExecutionEvent) -> Exit:
    """Return the exit of an event that is one."""
    exited = event.exited if isinstance(event, RemoteExit) else event
    assert isinstance(exited, Exit), event
    return exited


def test_each_order_leads_to_a_start_and_then_to_an_exit(world: World) -> None:
    orders = {world.order(f"exit {code}"): code for code in range(4)}
    for execution, code in orders.items():
        start, end = world.events_of(execution, 2)
        assert isinstance(start, ProcessStarted)
        assert start.process.pid > 0
        assert exit_in(end).exit_code == code
        assert exit_in(end).stopped_for is None


def test_a_process_that_cannot_start_is_reported_in_words(world: World) -> None:
    (event,) = world.events_of(world.order("missing"), 1)
    assert isinstance(event, NotStarted)
    assert event.why is not None
    assert "/nonexistent/program" in event.why


def test_a_stop_ends_a_process_for_its_reason(world: World) -> None:
    execution = world.order("exec sleep 600")
    world.events_of(execution, 1)
    world.executor.stop(execution, Reason.KILLED_BY_USER)
    ended = exit_in(world.events_of(execution, 2)[1])
    assert (ended.signal, ended.stopped_for) == (15, Reason.KILLED_BY_USER)


def test_a_stop_right_after_the_order_leaves_nothing_running(world: World) -> None:
    execution = world.order("exec sleep 600")
    world.executor.stop(execution, Reason.TIMEOUT)

    def is_over() -> bool:
        events = world.events.get(execution, [])
        return bool(events) and not isinstance(events[-1], ProcessStarted)

    world.until(is_over, "an end")
    match world.events[execution]:
        case [NotStarted(why=why)]:
            assert why is None
        case [ProcessStarted(), end]:
            assert exit_in(end).stopped_for is Reason.TIMEOUT
        case others:
            raise AssertionError(others)


def test_a_stop_of_an_execution_that_is_over_changes_nothing(world: World) -> None:
    execution = world.order("true")
    world.events_of(execution, 2)
    world.executor.stop(execution, Reason.KILLED_BY_USER)
    another = world.order("true")
    world.events_of(another, 2)
    assert len(world.events[execution]) == 2


def test_what_runs_goes_on_when_the_owner_is_replaced(world: World) -> None:
    execution = world.order(f"echo before; {GATE}; echo after")
    (start,) = world.events_of(execution, 1)
    assert isinstance(start, ProcessStarted)
    world.replace()
    adopted = world.executor.adopt(
        replace(
            former(execution, pid=start.process.pid),
            pid_started=start.process.pid_started,
            output_file=str(world.folder / "outputs" / f"{execution}.out"),
        )
    )
    assert adopted is not None
    (world.folder / "go").touch()
    assert exit_in(world.events_of(execution, 2)[1]).stopped_for is None
    output = world.folder / "outputs" / f"{execution}.out"
    assert output.read_text() == "before\nafter\n"


def test_what_nobody_started_is_not_adopted(world: World) -> None:
    assert world.executor.adopt(former(new_id(), pid=None)) is None
