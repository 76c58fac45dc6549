"""Orphans of the shell that became the runner: the runner reaps dead ones and leaves
living ones alone.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from support.place import Place, wait_until
from support.process_world import BOUND_S, PATH, World

from runner.execution.launch import Launch
from runner.execution.spawning.spawned_process import SpawnedProcess, spawn_process
from runner.execution.trees import proc
from runner.values import new_id

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
HELPERS = "sh -c 'exit 3' & sh -c 'until [ -e {0}/gate ]; do sleep 0.05; done; (exit 4) &' &"
"""One that ends at once, and one that ends by itself after its own child was left to the runner."""


def start_with_helpers(place: Place) -> subprocess.Popen[str]:
    """Start a runner as entry points of images do, which gives it foreign children."""
    line = HELPERS.format(shlex.quote(str(place.folder)))
    with (place.folder / "console.1").open("w") as console:
        runner = subprocess.Popen(
            ["sh", "-c", f'{line} exec "$@"', "sh", sys.executable, "-m", "runner", "start"],
            env=place.environment,
            cwd=place.folder,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            text=True,
        )
    place.running.append(runner)
    wait_until(lambda: place.events("runner.started"), within_s=90, what="runner.started")
    return runner


def states(runner: subprocess.Popen[str]) -> list[bool]:
    """Return for each child whether it is a zombie."""
    return [
        stat.is_dead
        for pid in proc.children_of(runner.pid)
        if (stat := proc.stat_of(pid)) is not None
    ]


def test_an_idle_runner_reaps_helpers_in_its_own_session(place: Place) -> None:
    runner = start_with_helpers(place)
    wait_until(lambda: states(runner) == [False], what="the end of the first helper")
    (place.folder / "gate").touch()
    wait_until(lambda: states(runner) == [], what="the end of all helpers")
    assert place.stop(runner) == 0


def test_a_helper_survives_the_end_of_an_execution_that_began_before_it(place: Place) -> None:
    place.declare("first", "true", "run_immediately")
    runner = start_with_helpers(place)
    place.await_finished("first", status="success")
    place.declare(
        "second", "setsid -f sleep 600", "run_immediately"
    )  # whose orphan must be found and killed
    place.await_finished("second", status="success")
    wait_until(lambda: states(runner) == [False], what="the end of the orphan, and of it alone")
    (place.folder / "gate").touch()
    wait_until(lambda: states(runner) == [], what="the end of all helpers")
    assert place.stop(runner) == 0


def test_no_sweep_reaps_a_process_whose_start_has_not_returned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy machine: a short process ends before the thread that started it continues."""
    world, gate = World(tmp_path), Event()
    pids: list[int] = []

    def slowly(launch: Launch, **further: Any) -> SpawnedProcess:
        spawned = spawn_process(launch, **further)
        pids.append(spawned.pid)
        gate.wait(BOUND_S)
        return spawned

    monkeypatch.setattr("runner.execution.local_executor.spawn_process", slowly)
    execution = new_id()
    launch = Launch(
        execution=execution,
        arguments=("true",),
        directory="/",
        environment={"PATH": PATH, "RUNNER_EXECUTION_ID": execution},
        output_file=str(world.output_file(execution)),
        stop_signal=15,
        stop_grace_s=10.0,
        timeout_s=None,
    )
    world.order(launch)
    wait_until(
        lambda: pids and (stat := proc.stat_of(pids[0])) is not None and stat.is_dead,
        what="its end",
    )
    world.processes.enforce(time.monotonic() + 3600.0)
    gate.set()
    assert world.exit(execution).exit_code == 0
    world.close()
