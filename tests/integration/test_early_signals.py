"""Signals to a runner that has not started yet, or has just stopped, also as PID 1."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from itertools import product
from pathlib import Path

import pytest
from support.place import Place, wait_until

UNSHARED = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "setsid")
PROGRAM = """
import atexit, json, os, signal, sys
from runner.cli import main

number, event, name, most = json.loads(sys.argv.pop(1))
sent = 0

def signal_myself(now, arguments):
    global sent
    is_now = now in (event or ("import", "open")) and (not name or name in str(arguments[0]))
    if sent < most and is_now:
        sent += 1
        os.kill(os.getpid(), number)

sys.addaudithook(signal_myself)
atexit.register(lambda: os.kill(os.getpid(), signal.SIGHUP))
main()
"""
"""A runner that signals itself at certain events of its own start, and once at its end.

Audit events are exact points: what a timer would hit depends on the machine.
"""
STOPPING = {"SIGTERM": 15, "SIGINT": 2}
HARMLESS = {"SIGHUP": 1, "SIGUSR1": 10, "SIGUSR2": 12, "SIGALRM": 14}
BEFORE_THE_STORE = {
    "its first import": ("import", ""),
    "the import of click": ("import", "click"),
    "the import of loguru": ("import", "loguru"),
    "the import of the loop": ("import", "runner.service.loop"),
    "the import of what runs processes": ("import", "runner.execution.processes"),
}
FROM_THE_STORE_ON = {
    "opening the store": ("sqlite3.connect", "store.sqlite3"),
    "opening the monitor log": ("open", "monitor.jsonl"),
    "opening the wake FIFO": ("open", "state/wake"),
    "reading the first request": ("open", "once.yaml"),
}


def _may_unshare() -> bool:
    try:
        return (
            subprocess.run(
                [*UNSHARED, "true"], capture_output=True, timeout=60, check=False
            ).returncode
            == 0
        )
    except FileNotFoundError:
        return False


AS_PID_1 = pytest.param(
    UNSHARED,
    id="PID 1",
    marks=pytest.mark.skipif(not _may_unshare(), reason="needs the right to make a PID namespace"),
)
ways = pytest.mark.parametrize("way", [pytest.param((), id="any PID"), AS_PID_1])


def stops(points: Mapping[str, tuple[str, str]]) -> pytest.MarkDecorator:
    """Give a test each point, way to start and signal that stops.

    At each point one signal meets any PID and the other one PID 1, by turns; a campaign
    has the rest.
    """
    cases = []
    ways = enumerate((pytest.param((), id="any PID"), AS_PID_1))
    rows, columns = enumerate(points), enumerate(STOPPING)
    for (row, point), (column, signal), (turn, way) in product(rows, columns, ways):
        marks = [*way.marks, *([pytest.mark.campaign] if (row + column + turn) % 2 else [])]
        values = (*way.values, points[point], STOPPING[signal])
        cases.append(pytest.param(*values, id=f"{point}-{signal}-{way.id}", marks=marks))
    return pytest.mark.parametrize(("way", "point", "number"), cases)


def start_signalled(
    place: Place,
    way: tuple[str, ...],
    number: int,
    event: str = "",
    name: str = "",
    *,
    most: int = 1,
) -> subprocess.Popen[str]:
    """Start a runner that sends itself a signal at each event of a name, at most `most`
    times.
    """
    what = json.dumps([number, event and [event], name, most])
    with Path(place.folder / "console.0").open("w") as console:
        process = subprocess.Popen(
            [*way, sys.executable, "-c", PROGRAM, what, "start"],
            env=place.environment,
            cwd=place.folder,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            text=True,
        )
    place.running.append(process)
    return process


@ways
@pytest.mark.parametrize("number", HARMLESS.values(), ids=HARMLESS)
def test_a_start_survives_a_signal_at_each_of_its_steps(
    place: Place, way: tuple[str, ...], number: int
) -> None:
    place.declare("once", "true", "run_immediately")
    runner = start_signalled(place, way, number, most=1000)
    place.await_finished("once", status="success")
    if way:
        runner.kill()  # unshare takes its child along
        return
    assert place.stop(runner) == 0, place.console()


@stops(BEFORE_THE_STORE)
def test_a_stop_before_the_store_is_opened_exits_0_and_leaves_nothing(
    place: Place, way: tuple[str, ...], point: tuple[str, str], number: int
) -> None:
    place.declare("once", "true", "run_immediately")
    runner = start_signalled(place, way, number, *point)
    assert runner.wait(timeout=60) == 0, place.console()
    assert not place.state.exists()


@stops(FROM_THE_STORE_ON)
def test_a_stop_during_the_start_exits_0_is_recorded_and_runs_nothing(
    place: Place, way: tuple[str, ...], point: tuple[str, str], number: int
) -> None:
    place.declare("once", "true", "run_immediately")
    runner = start_signalled(place, way, number, *point)
    assert runner.wait(timeout=60) == 0, place.console()
    assert [
        record["event"] for record in place.records() if record["event"].startswith("runner.")
    ] == [
        "runner.started",
        "runner.stopped",
    ]
    assert place.events("runner.stopped")[0]["signal"] == number
    assert not place.events("execution.started")


def test_a_signal_stops_the_runner_from_the_earliest_module_on(place: Place) -> None:
    place.declare("once", "true", "run_immediately")
    for number in HARMLESS.values():
        runner = place.launch(is_fresh=True)
        status = Path(f"/proc/{runner.pid}/status")
        wait_until(lambda at=status: _is_prepared(at), what="the handlers")  # type: ignore[misc]
        assert "sqlite" not in Path(f"/proc/{runner.pid}/maps").read_text(), (
            "the handlers came late"
        )
        runner.send_signal(number)
        wait_until(lambda: place.events("runner.started", pid=runner.pid), what="the start")  # noqa: B023
        assert place.stop(runner) == 0, place.console()


def _is_prepared(status: Path) -> bool:
    """Return whether a process catches SIGHUP (Linux)."""
    caught = next(
        line.split()[1] for line in status.read_text().splitlines() if line.startswith("SigCgt:")
    )
    return bool(int(caught, 16) & 1)
