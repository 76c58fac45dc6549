"""The runner as PID 1 of a PID namespace, as in a container: only it can reap, and no
signal has a default action.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.place import Place, wait_until

from runner.execution.trees import proc

UNSHARED = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")


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


pytestmark = pytest.mark.skipif(
    not _may_unshare(), reason="needs unshare, and the right to make a PID namespace"
)


def start_as_init(place: Place, *before: str) -> tuple[subprocess.Popen[str], int]:
    """Start a runner as PID 1; return the process that waits for it, and its pid
    outside.

    `before` is the program that executes it.
    """
    with (place.folder / "console.1").open("w") as console:
        # In containers PID 1 leads a session, and may have no HOME.
        outer = subprocess.Popen(
            [*UNSHARED, *before, sys.executable, "-m", "runner", "start", "--drain", "0s"],
            env={key: value for key, value in place.environment.items() if key != "HOME"},
            cwd=place.folder,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            text=True,
        )
    place.running.append(outer)
    started = wait_until(lambda: place.events("runner.started"), what="runner.started")[0]
    assert started["pid"] == 1
    (inner,) = proc.children_of(outer.pid)
    return outer, inner


def entering(inner: int) -> list[str]:
    return ["nsenter", "--target", str(inner), "--pid"]


def run_inside(inner: int, shell: str) -> None:
    """Run a shell line in the namespace, not as a child of its PID 1, as `docker exec` does."""
    entered = [*entering(inner), "setsid", "--wait", "sh", "-c", shell]
    # Not captured: a background process of it would hold the pipe open.
    subprocess.run(
        entered, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=30, check=True
    )


def children_of(inner: int) -> list[bool]:
    """Return for each child of PID 1 whether it is a zombie."""
    return [
        stat.is_dead for pid in proc.children_of(inner) if (stat := proc.stat_of(pid)) is not None
    ]


def stranger(gate: Path) -> str:
    """Return a shell line that leaves two zombies, and a process that runs until the
    gate opens.
    """
    return (
        f"setsid sh -c 'while ! [ -e {gate} ]; do sleep 0.05; done' & setsid sh -c : & "
        f"setsid sh -c : &"
    )


def test_foreign_zombies_are_reaped_living_processes_stay_and_sigterm_stops_in_order(
    place: Place,
) -> None:
    outer, inner = start_as_init(place, "setsid")
    gates = [place.folder / name for name in ("gate-while-idle", "gate-while-busy")]

    run_inside(inner, stranger(gates[0]))
    wait_until(lambda: children_of(inner) == [False], what="the dead to be reaped")

    bound = "trap 'exit 7' TERM; touch ../up; while :; do sleep 0.1; done"
    place.declare("bound", bound, "run_immediately", stop_grace="1m")
    wait_until(lambda: (place.folder / "up").exists(), what="the execution")
    run_inside(inner, stranger(gates[1]))
    wait_until(
        lambda: children_of(inner) == [False] * 3, what="the dead to be reaped, and they alone"
    )
    subprocess.run([*entering(inner), "kill", "-TERM", "1"], timeout=30, check=True)
    assert outer.wait(timeout=30) == 0
    # The foreign processes ended with their namespace.
    (ended,) = place.finished("bound")
    assert (ended["status"], ended["reason"], ended["exit_code"]) == ("killed", "runner_stopped", 7)
    assert place.events("runner.stopped")[0]["signal"] == 15


def test_init_of_session_0_reaps_orphans_of_its_own_session(place: Place) -> None:
    outer, inner = start_as_init(place)
    # Inside, that session is 0, because its leader is outside of the namespace.
    entered = [
        "nsenter",
        "--target",
        str(inner),
        "--pid",
        "sh",
        "-c",
        "sh -c 'exit 3' & (sleep 0.2 &) &",
    ]
    subprocess.run(
        entered, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=30, check=True
    )
    wait_until(lambda: children_of(inner) == [], what="the dead to be reaped")
    subprocess.run([*entering(inner), "kill", "-TERM", "1"], timeout=30, check=True)
    assert outer.wait(timeout=30) == 0
