"""What decides whether a process runs, and what its result leads to, across crashes."""

from __future__ import annotations

import signal
from typing import Any

from support.place import GATE, SECONDLY, Place, check_log, loses_exit_codes, wait_until

NOW = "run_immediately"


def _crash(place: Place, runner: Any) -> None:
    assert place.stop(runner, by=signal.SIGKILL) == -signal.SIGKILL


def _has_written(place: Place, request: str) -> bool:
    return any(place.state.glob("outputs/*/*")) and "FATAL" in place.run("log", request).stdout


@loses_exit_codes
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


def test_a_condition_decides_at_each_fire_and_across_crashes(place: Place) -> None:
    """It runs under the guard; a crash while it runs starts nothing twice."""
    place.declare("post", "echo posted", SECONDLY, **{"if": {"command": ["test", "-e", "../go"]}})
    runner = place.start()
    skipped = place.await_finished("post", status="skipped", reason="condition", count=2)
    assert all(record["started"] and record["output_tail"] == "" for record in skipped)
    _crash(place, runner)
    runner = place.start()
    place.await_finished("post", status="skipped", count=len(place.finished("post")) + 1)
    place.open_gate()
    place.await_finished("post", status="success")
    (line,) = {record["message"] for record in place.finished("post", status="skipped")}
    at = place.finished("post", status="skipped")[0]["scheduled_for"]
    assert line == "its condition was not met"
    assert line in place.run("explain", "post", "--at", at).stdout
    shown = place.run("show", "post").stdout
    assert "command: test -e ../go, at most 30s" in shown
    assert place.run("exec", "post").returncode == 0
    place.stop(runner)
    fires = [
        (record["generation"], record["scheduled_for"])
        for record in place.finished("post", channel="process_scheduler")
    ]
    assert len(fires) == len(set(fires))
    check_log(place.log)


@loses_exit_codes
def test_a_crash_during_a_condition_leaves_it_to_decide(place: Place) -> None:
    condition = {"shell": f"echo asking; {GATE}", "timeout": "10m"}
    place.declare("post", "echo posted", NOW, prevent_concurrent=True, **{"if": condition})
    runner = place.start()
    wait_until(lambda: "asking" in place.run("log", "post").stdout, what="the condition runs")
    _crash(place, runner)
    runner = place.start()
    assert place.run("exec", "post").returncode == 125  # the guard is held
    place.open_gate()
    (record,) = place.await_finished("post", channel="process_scheduler")
    assert (record["status"], record["output_tail"]) == ("system_restart", "asking\nposted\n")
    place.stop(runner)


def test_a_condition_that_says_no_after_a_crash_skips_its_process(place: Place) -> None:
    for name, code in (("not-met", 1), ("failing", 2)):
        condition = {"shell": f"echo asking; {GATE}; exit {code}", "timeout": "10m"}
        place.declare(name, "touch ../ran", NOW, **{"if": condition})
    runner = place.start()
    for name in ("not-met", "failing"):
        wait_until(lambda name=name: "asking" in place.run("log", name).stdout)  # type: ignore[misc]
    _crash(place, runner)
    runner = place.start()
    place.open_gate()
    place.await_finished("not-met", status="skipped", reason="condition")
    (failed,) = place.await_finished("failing", status="error", reason="condition")
    assert failed["message"] == "its condition ended with exit code 2"
    assert not (place.folder / "ran").exists()
    assert {each["status"] for each in place.items("ls")} == {"complete"}
    place.stop(runner)
    check_log(place.log)


def test_kill_and_stop_end_a_condition_before_its_process_runs(place: Place) -> None:
    condition = {"shell": f"echo asking; trap 'exit 0' TERM; {GATE}", "timeout": "10m"}
    for name in ("killed", "stopped"):
        place.declare(name, "touch ../ran", NOW, **{"if": condition})
    runner = place.start("--drain", "1s")
    for name in ("killed", "stopped"):
        wait_until(lambda name=name: "asking" in place.run("log", name).stdout)  # type: ignore[misc]
    assert place.run("kill", "killed").returncode == 0
    place.await_finished("killed", status="killed", reason="killed_by_user")
    place.stop(runner)
    with place.acted_on():
        assert place.await_finished("stopped")[0]["status"] == "killed"
    assert not (place.folder / "ran").exists()


def test_plan_shows_a_changed_condition(place: Place) -> None:
    place.declare("post", "true", NOW, **{"if": {"shell": "true"}})
    runner = place.start()
    place.await_finished("post")
    place.stop(runner)
    place.declare("post", "true", NOW, **{"if": {"shell": "false"}})
    assert "process.if.shell: true → false" in place.run("plan", "--live").stdout
