"""A forked command cannot be told from one in a fresh interpreter."""

from __future__ import annotations

import signal
import subprocess

import pytest
from support import fork_server
from support.fork_server import Forked
from support.place import GATE, Place, wait_until


@pytest.mark.parametrize(
    "arguments",
    [
        ("validate",),
        ("ls", "--output", "json"),
        ("show", "unknown"),
        ("exec", "fails"),
        ("--version",),
        ("no-command",),
    ],
    ids=" ".join,
)
def test_a_forked_command_prints_and_returns_what_a_fresh_one_does(
    place: Place, arguments: tuple[str, ...]
) -> None:
    place.declare("fails", 'echo "$0 \u00e4" >&2; tty; pwd; exit 3')
    place.write("broken.yaml", "process: {shel: \u00e4}\n")
    forked, fresh = (
        fork_server.run(
            arguments,
            environment=place.environment,
            folder=place.folder,
            timeout_s=60,
            is_fresh=is_fresh,
        )
        for is_fresh in (False, True)
    )
    assert (forked.returncode, forked.stdout, forked.stderr) == (
        fresh.returncode,
        fresh.stdout,
        fresh.stderr,
    )


def test_a_forked_command_gets_signals_and_its_end_is_known(place: Place) -> None:
    place.declare("waits", GATE)
    stopped = place.start()
    killed = place.begin("exec", "waits")
    assert isinstance(killed, Forked)
    with pytest.raises(subprocess.TimeoutExpired):
        killed.wait(timeout=0)
    wait_until(lambda: place.events("execution.started", "waits"), what="the execution")
    killed.kill()
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    place.open_gate()
    assert place.stop(stopped) == 0


def test_variables_that_an_interpreter_reads_at_its_start_get_a_fresh_one(place: Place) -> None:
    place.environment["PYTHONPROFILEIMPORTTIME"] = "1"
    assert "import time:" in place.run("ls").stderr
