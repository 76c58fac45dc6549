"""A console that nobody reads: the runner goes on, counts what it could not print, and stops."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from support.place import Place, Terminal, wait_until

from runner.cli.output.line_writer import MOST_CHARACTERS

STOP, GO = b"\x13", b"\x11"  # Ctrl-S and Ctrl-Q
MEMBERS = 20
DEEP = "/no/such/folder/" + "deep/" * 6000
"""A folder whose name makes a console line of thirty thousand characters."""


class Unread:
    """The reading end of a runner's console. `pause` and `go_on` are for terminals."""

    def __init__(self, terminal: Terminal, descriptor: int) -> None:
        self.terminal = terminal
        self.runner = terminal.process
        self._descriptor = descriptor

    def pause(self) -> None:
        os.write(self._descriptor, STOP)

    def go_on(self) -> None:
        os.write(self._descriptor, GO)


@contextmanager
def runner_on(place: Place, kind: str) -> Iterator[Unread]:
    """Start a runner whose console is a small pipe or a terminal that nobody reads."""
    own, its = os.pipe() if kind == "pipe" else pty.openpty()
    if kind == "pipe":
        fcntl.fcntl(its, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(own, False)
    runner = subprocess.Popen(
        [sys.executable, "-m", "runner", "start"],
        env=place.environment,
        cwd=place.folder,
        stdin=subprocess.DEVNULL,
        stdout=its,
        stderr=its,
    )
    place.running.append(runner)
    os.close(its)
    console = Unread(Terminal(runner, own), own)
    try:
        wait_until(lambda: place.events("runner.started"), within_s=90, what="the start")
        if kind == "terminal":
            console.pause()
        yield console
    finally:
        os.close(own)


def declare_talkative(place: Place) -> None:
    """Write a group whose members fail with long messages."""
    member = {"shell": "true", "directory": DEEP}
    members = [{"name": f"m{number}", **member} for number in range(MEMBERS)]
    place.write("talks.yaml", json.dumps({"process": {"group": {"members": members}}}))


def talk(place: Place) -> None:
    """Run the group until its lines have filled the console's buffer."""
    for _ in range(2 + MOST_CHARACTERS // (MEMBERS * len(DEEP))):
        ended = place.run("exec", "talks")
        assert f"{MEMBERS} of {MEMBERS} members failed" in ended.stderr


@pytest.mark.parametrize("kind", ["pipe", "terminal"])
def test_a_console_that_nobody_reads_holds_up_no_execution_and_reports_the_missing_lines(
    place: Place, kind: str
) -> None:
    declare_talkative(place)
    with runner_on(place, kind) as console:
        talk(place)
        place.declare("later", "true", "run_immediately")
        place.await_finished("later")
        (status,) = place.items("status")
        assert status["running"] == []
        if kind == "terminal":
            assert "later" not in console.terminal.shown()
            console.go_on()
        wait_until(
            lambda: (
                " lines are missing here: the console was not being read"
                in " ".join(console.terminal.shown().split())
            ),
            within_s=60,
            what="the number of missing lines",
        )
        place.declare("again", "true", "run_immediately")
        wait_until(lambda: "✓ again  success" in console.terminal.shown(), what="the next lines")
        assert "✓ later" not in console.terminal.shown()
        console.runner.send_signal(signal.SIGTERM)
        assert console.terminal.ended() == 0
        assert "● runner stopped" in console.terminal.shown()


@pytest.mark.parametrize("kind", ["pipe", "terminal"])
def test_a_stop_does_not_hang_on_a_console_that_nobody_reads(place: Place, kind: str) -> None:
    declare_talkative(place)
    with runner_on(place, kind) as console:
        talk(place)
        console.runner.send_signal(signal.SIGTERM)
        assert console.runner.wait(timeout=60) == 0
        assert place.records()[-1]["event"] == "runner.stopped"


def test_an_error_at_the_end_does_not_hang_on_a_console_that_nobody_reads() -> None:
    own, its = os.pipe()
    script = (
        "import sys; from loguru import logger; from runner.cli.output.console import Console\n"
        "with Console('text', 'UTC'):\n"
        "    for _ in range(100): logger.info('x' * 10_000)\n"
        "sys.exit('the store is gone ' + 'x' * 100_000)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stderr=its)
    os.close(its)
    try:
        assert process.wait(timeout=60) == 1
    finally:
        process.kill()
        process.wait()
        os.close(own)
