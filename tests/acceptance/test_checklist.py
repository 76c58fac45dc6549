"""Rows 38 to 49 of the checklist of Openbravo's behaviour, through the real program.

Where Runner differs, the test says how.
"""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime
from pathlib import Path

from support.place import (
    GATE,
    SECONDLY,
    Place,
    Record,
    acts_alone,
    check_log,
    end_of,
    loses_exit_codes,
    wait_until,
)

from runner.values import instant_text

LONG_AGO = "2020-01-01T00:00:00Z"


def _started(place: Place, request: str) -> Record:
    (record,) = wait_until(
        lambda: place.events("execution.started", request), what=f"{request} has started"
    )
    return record


def _item(place: Place, request: str) -> Record:
    (item,) = [item for item in place.items("ls") if item["request"] == request]
    return item


def _cut_off(place: Place, request: str) -> Record:
    """Wait until a request runs; kill the runner, then the process; return the started
    record.
    """
    runner = place.start()
    record = _started(place, request)
    place.stop(runner, by=signal.SIGKILL)
    os.killpg(record["pid"], signal.SIGKILL)
    wait_until(lambda: not _is_alive(record["pid"]), what="its process has ended")
    return record


def _is_alive(pid: int) -> bool:
    """Return whether a process runs; a zombie has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_row_38_schedule_makes_it_scheduled_and_says_who(place: Place) -> None:
    place.declare("tick", "true", SECONDLY, top={"scheduled": False})
    place.start()
    assert place.run("schedule", "tick").stdout == "tick: scheduled (differs from its file)\n"
    place.await_finished("tick")
    (record,) = place.events("request.scheduled", "tick")
    assert (record["status"], record["requested_by"]) == ("scheduled", place.person)


def test_row_39_unschedule_clears_the_next_fire_and_leaves_the_running_one_alone(
    place: Place,
) -> None:
    place.declare("tick", f"{GATE}; echo done", SECONDLY, prevent_concurrent=True)
    place.start()
    started = _started(place, "tick")
    place.run("unschedule", "tick")
    item = _item(place, "tick")
    assert (item["status"], item["scheduled_for"]) == ("unscheduled", None)
    place.open_gate()
    (ended,) = place.await_finished("tick", status="success")
    assert (ended["execution"], ended["output_tail"]) == (started["execution"], "done\n")
    # The runner claims due fires before it answers this.
    place.run("reload")
    assert len(place.events("execution.started", "tick")) == 1


def test_row_40_the_last_fire_completes_it(place: Place) -> None:
    # On a machine that stalls for seconds, both fires are due together; each must run
    # even then.
    fires = {"frequency": "secondly", "start": LONG_AGO, "repetitions": 1, "misfire": "fire_all"}
    timing = {"schedule": fires}
    place.declare("twice", "true", timing)
    place.start()
    wait_until(lambda: place.events("request.completed", "twice"))
    place.run("reschedule", "twice")
    first, second = place.await_finished("twice", count=2, status="success")
    assert first["scheduled_for"] != second["scheduled_for"]
    (*_, completed) = wait_until(
        lambda: len(found := place.events("request.completed", "twice")) == 2 and found
    )
    assert completed["generation"] == first["generation"] == second["generation"]
    item = _item(place, "twice")
    assert (item["status"], item["scheduled_for"]) == ("complete", None)


def test_row_41_a_failed_run_is_an_error_and_leaves_the_request_scheduled(place: Place) -> None:
    place.declare("fails", "echo why; exit 3", SECONDLY)
    place.start()
    records = place.await_finished("fails", count=2, status="error")
    assert {(each["status"], each["reason"], each["exit_code"]) for each in records} == {
        ("error", "exit_code", 3)
    }
    assert len({each["generation"] for each in records}) == 1
    assert _item(place, "fails")["status"] == "scheduled"
    wait_until(lambda: "✗ fails  error in " in place.console(), what="its end is shown")
    assert "exit code 3 — why" in place.console()


def test_row_42_a_scheduled_request_can_be_deleted_and_its_running_execution_finishes(
    place: Place,
) -> None:
    path = place.declare("tick", f"{GATE}; echo done", SECONDLY, prevent_concurrent=True)
    place.start()
    _started(place, "tick")
    path.unlink()
    wait_until(lambda: place.events("request.removed", "tick"))
    place.open_gate()
    (record,) = place.await_finished("tick", status="success")
    assert record["output_tail"] == "done\n"
    assert len(place.events("execution.started", "tick")) == 1


def test_row_43_a_request_can_be_edited_and_its_running_execution_keeps_the_old_process(
    place: Place,
) -> None:
    place.declare("once", f"{GATE}; echo one", "run_immediately")
    place.start()
    _started(place, "once")
    place.declare("once", "echo two", "run_immediately", top={"description": "edited"})
    wait_until(lambda: place.events("runner.reloaded", changed=["once"]))
    place.open_gate()
    (record,) = place.await_finished("once")
    assert (record["status"], record["output_tail"]) == ("success", "one\n")
    assert place.run("exec", "once").stdout == "two\n"
    records = place.await_finished("once", count=2)
    assert [each["channel"] for each in records] == ["process_scheduler", "direct"]


@loses_exit_codes
def test_row_44_an_immediate_request_that_a_restart_cut_off_is_recorded_and_not_rerun(
    place: Place,
) -> None:
    place.declare("once", f"echo begun; {GATE}", "run_immediately")
    cut_off = _cut_off(place, "once")
    place.start()
    (record,) = place.await_finished("once")
    assert (record["execution"], record["status"], record["reason"]) == (
        cut_off["execution"],
        "system_restart",
        "runner_lost",
    )
    assert _item(place, "once")["status"] == "system_restart"
    assert len(place.events("execution.started", "once")) == 1
    place.open_gate()
    assert place.run("reschedule", "once").returncode == 0
    place.await_finished("once", status="success")


def test_row_45_schedules_continue_after_a_restart(place: Place) -> None:
    place.declare("tick", "true", SECONDLY)
    runner = place.start()
    before = place.await_finished("tick", status="success")
    place.stop(runner, by=signal.SIGKILL)
    place.start()
    (restarted,) = place.events("runner.started")[1:]
    after = wait_until(
        lambda: [
            each
            for each in place.finished("tick", status="success")
            if each["scheduled_for"] > restarted["time"]
        ]
    )
    assert {each["generation"] for each in [*before, *after]} == {1}
    assert len(place.events("request.scheduled", "tick")) == 1
    fires = [each["scheduled_for"] for each in place.events("execution.started", "tick")]
    assert len(fires) == len(set(fires))


@loses_exit_codes
def test_row_46_an_execution_that_outlives_the_runner_keeps_its_guard_and_is_watched(
    place: Place,
) -> None:
    """Openbravo ends such a run in its records at once, although it may still be running."""
    place.declare("sole", f"{GATE}; echo done", "run_immediately", prevent_concurrent=True)
    runner = place.start()
    started = _started(place, "sole")
    place.stop(runner, by=signal.SIGKILL)
    place.start()
    refused = place.run("exec", "sole")
    assert (refused.returncode, refused.stderr) == (
        125,
        "runner: sole: Concurrent attempt to execute\n",
    )
    place.open_gate()
    (record,) = place.await_finished("sole", status="system_restart")
    assert record["execution"] == started["execution"]
    assert (record["exit_code"], record["output_tail"]) == (None, "done\n")
    assert (
        record["message"]
        == "the process outlived the runner that started it; its exit code is unknown"
    )
    assert record["ended"] > place.events("runner.started")[-1]["time"]
    assert place.run("exec", "sole").returncode == 0


@loses_exit_codes
def test_row_46_an_execution_that_was_cut_off_is_ended_at_the_restart(place: Place) -> None:
    place.declare("tick", GATE, SECONDLY, prevent_concurrent=True)
    cut_off = _cut_off(place, "tick")
    now = instant_text(datetime.now(UTC))
    place.start()
    (record,) = place.await_finished("tick", status="system_restart")
    assert record["execution"] == cut_off["execution"]
    assert record["ended"] > now
    assert _item(place, "tick")["status"] == "scheduled"
    place.open_gate()
    place.await_finished("tick", status="success")


@acts_alone
def test_row_47_an_execution_of_another_store_is_left_alone(place: Place) -> None:
    place.declare("tool", f"{GATE}; echo done")
    command = place.begin("exec", "tool", "--allow-shared-jobs")
    _started(place, "tool")
    other = (
        "--state",
        str(place.folder / "another"),
        "--monitor-log",
        str(place.folder / "another.jsonl"),
    )
    process = place.launch(*other, "--allow-shared-jobs")
    log = place.folder / "another.jsonl"
    wait_until(
        lambda: log.exists() and '"runner.started"' in log.read_text(),
        what="the other runner works",
    )
    assert "tool is not running" in place.run("kill", "tool", *other[:2]).stdout
    assert place.stop(process) == 0
    assert len(check_log(log)) == 2
    place.open_gate()
    assert end_of(command) == (0, b"done\n", "")
    (record,) = place.finished("tool")
    assert record["status"] == "success"


def test_row_48_a_concurrent_attempt_is_skipped_with_the_originals_words(place: Place) -> None:
    place.declare("tick", GATE, SECONDLY, prevent_concurrent=True)
    place.start()
    (skipped, *_) = place.await_finished("tick", reason="concurrent")
    assert (skipped["status"], skipped["message"]) == ("skipped", "Concurrent attempt to execute")
    assert (skipped["started"], skipped["duration_s"]) == (None, 0)
    place.run("unschedule", "tick")
    place.open_gate()
    place.await_finished("tick", status="success")
    line = place.run("monitor", "--status", "skipped").stdout.splitlines()[1]
    assert "  skipped  00:00:00.000  tick " in line
    assert line.endswith("  Concurrent attempt to execute")


def test_row_49_another_organization_runs(place: Place) -> None:
    for name, organization in (("north", "north"), ("south", "south"), ("north-too", "north")):
        place.declare(
            name,
            GATE,
            "run_immediately",
            top={"context": {"client": "acme", "organization": organization}},
            name="posting",
            prevent_concurrent=True,
        )
    place.start()
    (refused,) = wait_until(lambda: place.events("execution.finished", reason="concurrent"))
    assert refused["request"] in ("north", "north-too")
    assert refused["process"] == "posting"
    started = wait_until(lambda: len(found := place.events("execution.started")) == 2 and found)
    assert {each["context"]["organization"] for each in started} == {"north", "south"}
    place.open_gate()
    for each in started:
        assert place.await_finished(each["request"], status="success")
