"""What decides whether a process runs, and what its result leads to, across crashes."""

from __future__ import annotations

import signal
from typing import Any

from support.place import GATE, Place, wait_until

NOW = "run_immediately"


def _crash(place: Place, runner: Any) -> None:
    assert place.stop(runner, by=signal.SIGKILL) == -signal.SIGKILL


def _has_written(place: Place, request: str) -> bool:
    return any(place.state.glob("outputs/*/*")) and "FATAL" in place.run("log", request).stdout


def test_a_text_in_the_output_is_found_before_and_after_a_crash(place: Place) -> None:
    success = {"fail_on_output": ["FATAL"]}
    place.declare("posting", f"echo FATAL; {GATE}", NOW, success=success)
    runner = place.start()
    wait_until(lambda: _has_written(place, "posting"), what="the output")
    _crash(place, runner)

    # Nobody knows the exit code of the process that outlived its runner.
    runner = place.start()
    place.open_gate()
    (outlived,) = place.await_finished("posting")
    assert (outlived["status"], outlived["reason"]) == ("system_restart", "runner_lost")

    assert place.run("exec", "posting").returncode == 1
    place.stop(runner)
    place.start()
    assert place.run("exec", "posting").returncode == 1
    found = place.finished("posting", status="error")
    assert [(each["reason"], each["message"]) for each in found] == [
        ("output", "its output contains `FATAL`")
    ] * 2
    assert "none of these in the output: FATAL" in place.run("show", "posting").stdout
