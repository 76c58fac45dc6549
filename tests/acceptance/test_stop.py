"""`runner stop` ends a runner with its executions, or leaves them to the next runner."""

from __future__ import annotations

import json
import os
import signal

import pytest
from support.place import GATE, Place, check_log, end_of, leaves_executions, wait_until
from support.process_world import is_dead

NOW = "run_immediately"


@pytest.mark.sqlite_only("workers go on with executions, and know their ends")
def test_the_next_runner_goes_on_with_what_a_stop_left(place: Place) -> None:
    place.declare("plain", f"echo before; {GATE}; echo after; exit 7", NOW)
    place.declare("slow", "sleep 600", NOW, timeout="8s")
    # No child of this shell may outlive it: what outlives a runner is not run again.
    first = 'test "$RUNNER_ATTEMPT" = 2 || exec sleep 600'
    place.declare("again", first, NOW, if_interrupted="rerun")
    place.declare("tried", 'test "$RUNNER_ATTEMPT" = 2', NOW, retry={"attempts": 2, "delay": "6s"})
    place.declare("guarded", GATE, prevent_concurrent=True, on_overlap="queue")
    members = [
        {"name": "a", "shell": "true"},
        {"name": "b", "shell": GATE},
        {"name": "c", "shell": "true"},
    ]
    place.write(
        "group.yaml", json.dumps({"process": {"group": {"members": members}}, "timing": NOW})
    )
    runner = place.start("--drain", "10m")
    commands = [place.begin("exec", "guarded") for _ in range(2)]
    started = {name: place.await_started(name)[0] for name in ("plain", "slow", "again", "guarded")}
    wait_until(lambda: place.events("execution.started", process="group/b"))
    place.await_finished("tried", attempt=1)
    wait_until(lambda: place.items("status")[0]["waiting"], what="one waits for the guard")

    done = place.run("stop", "--leave-running")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"stopped: runner 0.1.0, process {runner.pid}\n"
    assert runner.wait(timeout=60) == 0
    (stopped,) = place.events("runner.stopped")
    assert stopped["message"].endswith("executions go on for the next runner")
    assert stopped["signal"] is None
    assert not [pid for each in started.values() if is_dead(pid := each["pid"])]
    os.kill(started["again"]["pid"], signal.SIGKILL)
    wait_until(lambda: is_dead(started["again"]["pid"]), what="an end without a runner")

    runner = place.start()
    refused = place.run("exec", "guarded")
    assert "Concurrent attempt" in refused.stderr, "the guard and its queue are kept"
    assert place.run("kill", "plain").returncode == 0
    place.await_finished("plain")
    place.open_gate()
    ends = {name: place.await_finished(name, group=None)[-1] for name in ("plain", "slow", "group")}
    assert (ends["plain"]["execution"], ends["plain"]["status"]) == (
        started["plain"]["execution"],
        "killed",
    )
    assert (ends["slow"]["status"], ends["slow"]["reason"]) == ("error", "timeout")
    assert ends["group"]["status"] == "system_restart", "the end of member b is unknown"
    assert [each["process"] for each in place.finished("group", channel="group")] == [
        "group/a",
        "group/b",
    ]
    place.await_finished("tried", attempt=2, status="success")
    place.await_finished("again", attempt=2, status="success")
    place.await_finished("guarded", status="success")
    (outlived,) = place.finished("guarded", status="system_restart")
    assert outlived["execution"] == started["guarded"]["execution"]
    assert [end_of(command)[0] for command in commands] == [4, 4], "their runner is gone"
    assert place.stop(runner) == 0
    check_log(place.log)


@leaves_executions
def test_a_stop_waits_for_executions_like_sigterm(place: Place) -> None:
    place.declare("ends", f"{GATE}; exit 3", NOW)
    runner = place.start("--drain", "10m")
    place.await_started("ends")
    command = place.begin("stop")
    wait_until(lambda: "waiting up to 600 s for ends" in place.console(), what="the stop")
    assert runner.poll() is None
    place.open_gate()
    code, output, messages = end_of(command)
    assert (code, messages) == (0, "")
    assert output.startswith(b"stopped: runner ")
    assert runner.wait(timeout=60) == 0
    (ended,) = place.finished("ends")
    assert ended["exit_code"] == 3
    (stopped,) = place.events("runner.stopped")
    assert stopped["message"].startswith("`runner stop` by ")


@leaves_executions
def test_sigterm_after_a_stop_kills_what_still_runs(place: Place) -> None:
    place.declare("slow", GATE, NOW)
    runner = place.start("--drain", "10m")
    (started,) = place.await_started("slow")
    command = place.begin("stop")
    wait_until(lambda: "SIGTERM kills them" in place.console(), what="the stop")
    runner.send_signal(signal.SIGTERM)
    assert runner.wait(timeout=60) == 0
    assert end_of(command)[0] == 0
    (killed,) = place.finished("slow")
    assert (killed["status"], killed["reason"]) == ("killed", "runner_stopped")
    assert is_dead(started["pid"])


def test_without_a_runner_there_is_nothing_to_stop(place: Place) -> None:
    place.declare("slow", GATE)
    done = place.run("stop")
    assert done.returncode == 4
    assert "no runner is running" in done.stderr
