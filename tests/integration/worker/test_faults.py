"""Faults of workers and of their database. The ledger that the processes write is the witness:
nothing runs twice, nothing is forgotten, and what must not overlap does not.
"""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.fleet_points import (
    AFTER_HEARTBEAT,
    AFTER_TAKE,
    BEFORE_NOTE_OF_START,
    WORKER_POINTS,
    WORKER_RESTART_POINTS,
)
from support.marked_points import Point, is_stopped
from support.place import end_of, wait_until
from support.postgres import OwnServer
from support.worker_world import WorkerWorld

pytestmark = pytest.mark.campaign
FAULTS = int(os.environ.get("RUNNER_CRASH_DEATHS", "60"))
SEED = int(os.environ.get("RUNNER_CRASH_SEED", "1"))
_AT_A_RESTART = [each for each in WORKER_RESTART_POINTS if "take_over" not in each.target]
"""Without the points that the worker passes at its own start, too."""


def outlast(seconds: float) -> None:
    """Let an outage last: its length is the fault, not a wait for something."""
    threading.Event().wait(seconds)


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[WorkerWorld]:
    """Provide a store without a leader."""
    world = WorkerWorld(database_url, tmp_path)
    yield world
    world.close()


@pytest.mark.parametrize("point", WORKER_POINTS, ids=str)
@pytest.mark.parametrize("count", [1, 2])
def test_a_worker_killed_at_a_marked_point_loses_and_repeats_nothing(
    world: WorkerWorld, point: Point, count: int
) -> None:
    world.note_meta("lost_after_s", "60")
    dying = world.work_until(point, count, signal.SIGKILL, "alpha")
    executions = [
        world.offer(world.waiting_line(), prevent_concurrent=not number, name=f"p{number}")
        for number in range(3)
    ]
    world.gate.touch()

    def has_died() -> bool:
        if world.settle_all() == set(executions):
            executions.append(world.offer(world.waiting_line()))
        return dying.poll() is not None

    wait_until(has_died, within_s=60, what=f"the worker dies {point}")
    world.work("alpha", "--concurrency", "4")
    wait_until(lambda: world.settle_all() == set(executions), within_s=90, what="all ends")
    world.check_ledger(executions)


@pytest.mark.parametrize("point", _AT_A_RESTART, ids=str)
def test_a_worker_killed_amid_its_restart_loses_and_repeats_nothing(
    world: WorkerWorld, point: Point
) -> None:
    dying = world.work_until(point, 1, signal.SIGKILL, "alpha")
    executions = [
        world.offer(world.waiting_line(), prevent_concurrent=not number) for number in range(2)
    ]
    for each in executions:
        world.await_report(each, "started")
    command = world.places["alpha"].begin("restart")
    assert dying.wait(timeout=60) == -signal.SIGKILL
    end_of(command)
    world.work("alpha", "--concurrency", "4")
    executions.append(world.offer(world.waiting_line()))
    world.await_report(executions[-1], "started")
    world.gate.touch()
    wait_until(lambda: world.settle_all() == set(executions), within_s=90, what="all ends")
    world.check_ledger(executions)


@pytest.mark.parametrize("point", [AFTER_TAKE, BEFORE_NOTE_OF_START, AFTER_HEARTBEAT], ids=str)
def test_a_worker_stopped_at_a_marked_point_lets_nothing_overlap(
    world: WorkerWorld, point: Point
) -> None:
    """After lost_after another worker may run the same again: then the first has ended.

    What was taken before and did not start never does. What still waits starts afterwards.
    """
    world.note_meta("lost_after_s", "8")
    is_late = point == AFTER_HEARTBEAT
    first = None if is_late else world.offer(world.waiting_line(), prevent_concurrent=True)
    stopped = world.work_until(point, 1, signal.SIGSTOP, "alpha")
    wait_until(lambda: is_stopped(stopped.pid), within_s=60, what=f"it stops {point}")
    first = first or world.offer(world.waiting_line(), prevent_concurrent=True)
    wait_until(lambda: world.silent_for_s("alpha") > 8, within_s=60, what="it counts as lost")
    assert not world.runs(first)
    stopped.send_signal(signal.SIGCONT)
    world.gate.touch()
    end = wait_until(lambda: _end_of(world, first), within_s=60, what="its end")
    begun, ended = f"start {first}", f"end {first}"
    expected = {
        AFTER_TAKE: [],
        BEFORE_NOTE_OF_START: [begun],
        AFTER_HEARTBEAT: [begun, ended],
    }
    assert world.noted() == expected[point]
    lost = {AFTER_TAKE: "never_started", BEFORE_NOTE_OF_START: "running", AFTER_HEARTBEAT: None}
    assert end.get("lost") == lost[point]


def _end_of(world: WorkerWorld, execution: str) -> dict[str, Any] | None:
    world.redeliver()
    return next((each.body for each in world.reports(execution) if each.kind == "finished"), None)


def test_random_faults_under_load_lose_and_repeat_nothing(world: WorkerWorld) -> None:
    """Two workers are killed, stopped and continued, and lose connections and supervisors."""
    dice = random.Random(SEED)
    world.note_meta("lost_after_s", "120")
    workers = {name: world.work(name, "--concurrency", "4") for name in ("alpha", "beta")}
    executions: list[str] = []
    for fault in range(FAULTS):
        for _ in range(dice.randrange(1, 5)):
            executions.append(
                world.offer(
                    f"echo start $RUNNER_EXECUTION_ID >> {world.ledger};"
                    f" sleep 0.{dice.randrange(5)};"
                    f" echo end $RUNNER_EXECUTION_ID >> {world.ledger}"
                )
            )
        world.deliver_again(executions[-1])
        name = dice.choice(sorted(workers))
        match fault % 4:
            case 0:
                workers[name].kill()
                workers[name].wait()
                workers[name] = world.work(name, "--concurrency", "4")
            case 1:
                workers[name].send_signal(signal.SIGSTOP)
                world.break_connections()
                workers[name].send_signal(signal.SIGCONT)
            case 2:
                world.break_connections()
            case _:
                world.kill_supervisor(name)
        world.await_settled(len(executions) - dice.randrange(8))
    wait_until(lambda: world.settle_all() == set(executions), within_s=120, what="all ends")
    world.check_ledger(executions)


def test_a_long_outage_of_the_database_interrupts_nothing(
    own_postgres: OwnServer, tmp_path: Path
) -> None:
    """It is longer than Procrastinate's own patience (a worker of it counts as dead at 30 s)."""
    with own_postgres.new_database() as url:
        world = WorkerWorld(url, tmp_path)
        try:
            world.note_meta("lost_after_s", "300")
            world.work("alpha", "--concurrency", "4")
            executions = [world.offer(world.waiting_line()) for _ in range(3)]
            for each in executions:
                world.await_report(each, "started")
            own_postgres.stop()
            outlast(50)
            world.gate.touch()
            wait_until(lambda: not any(map(world.runs, executions)), what="the ends")
            own_postgres.start()
            for each in executions:
                assert world.await_report(each, "finished").body["exit_code"] == 0
            again = world.offer(f"echo again >> {world.ledger}")
            world.await_report(again, "finished")
        finally:
            world.close()
