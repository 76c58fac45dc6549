"""Children that a shell left to the program that it became: the runner reaps them, and leaves alone those that live."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from support import Place, wait_until

from runner.execution import proc

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
HELPERS = "sh -c 'exit 3' & sh -c 'until [ -e {0}/gate ]; do sleep 0.05; done; (exit 4) &' &"
"""One that ends at once, and one that ends by itself after its own child was left to the runner."""


def start_with_helpers(place: Place) -> subprocess.Popen[str]:
    """Start a runner as entry points of images do, whose helpers become children of the runner."""
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
    """Return of each child whether it is a zombie."""
    return [stat.is_dead for pid in proc.children_of(runner.pid) if (stat := proc.stat_of(pid)) is not None]


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
    place.declare("second", "setsid -f sleep 600", "run_immediately")  # whose orphan has to be found and killed
    place.await_finished("second", status="success")
    wait_until(lambda: states(runner) == [False], what="the end of the orphan, and of it alone")
    (place.folder / "gate").touch()
    wait_until(lambda: states(runner) == [], what="the end of all helpers")
    assert place.stop(runner) == 0
