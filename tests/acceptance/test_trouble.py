"""Trouble around a runner, and its end: the runner reports it, continues and loses nothing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from support.place import GATE, SECONDLY, Place, acts_alone, leaves_executions, wait_until

from runner.values import clock_text


def _log_at(place: Place, path: Path) -> None:
    place.log = path
    place.environment["RUNNER_MONITOR_LOG"] = str(path)


# --- the monitor log
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "is_missing", [True, False], ids=["its folder is missing", "a folder is in its place"]
)
def test_an_unwritable_log_delays_only_records_and_gets_them_all_later(
    place: Place, is_missing: bool
) -> None:
    place.declare("once", "touch ../ran", "run_immediately")
    place.declare("tool", "echo tool; exit 3")
    log = place.folder / "var" / "logs" / "monitor.jsonl"
    _log_at(place, log)
    if not is_missing:
        log.mkdir(parents=True)
    place.launch()
    wait_until((place.folder / "ran").exists, what="once has run")
    wait_until(
        lambda: f"the monitor log {log} cannot be written: " in place.console(), what="a warning"
    )
    wait_until(lambda: "✓ once  success" in place.console(), what="the end of once is shown")
    done = place.run("exec", "tool")
    assert (done.returncode, done.stdout) == (3, "tool\n")

    if is_missing:
        log.parent.mkdir(parents=True)
    else:
        log.rmdir()
    place.await_finished("tool")
    wait_until(lambda: "the monitor log works again" in place.console(), what="the all-clear")
    wait_until(lambda: place.events("alert.closed"), what="the end of the alert")
    events = [(record["event"], record.get("request")) for record in place.records()]
    assert len(set(events)) == len(events)
    of_fleet = {("runner.leading", None), ("worker.joined", None)}
    assert set(events) - (of_fleet if place.is_in_fleet else set()) == {
        ("runner.started", None),
        ("alert.opened", None),
        ("alert.closed", None),
        ("request.scheduled", "once"),
        ("request.completed", "once"),
    } | {
        (event, name)
        for event in ("execution.started", "execution.finished")
        for name in ("once", "tool")
    }


@acts_alone
def test_records_of_exec_without_a_runner_wait_for_a_writable_log(place: Place) -> None:
    place.declare("tool", "echo tool; exit 3")
    _log_at(place, place.folder / "monitor.jsonl")
    place.log.mkdir()
    done = place.run("exec", "tool")
    assert (done.returncode, done.stdout) == (3, "tool\n")
    assert done.stderr == f"runner: the monitor log {place.log} cannot be written: Is a directory\n"
    place.log.rmdir()
    assert place.run("exec", "tool").returncode == 3
    assert len(place.finished("tool")) == 2


# --- an execution's output
# --------------------------------------------------------------------------------------


def test_a_process_that_replaces_its_output_by_a_folder_does_no_damage(place: Place) -> None:
    place.declare("odd", "f=$(readlink /proc/$$/fd/1); rm $f; mkdir $f; echo lost")
    place.start()
    done = place.run("exec", "odd")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (record,) = place.await_finished(
        "odd"
    )  # the command reads it from the store, perhaps before the log has it
    assert (record["status"], record["output_tail"], record["output_bytes"]) == ("success", "", 0)
    shown = place.run("log", record["execution"])
    if place.is_in_fleet:  # what the worker sent is in the store, not in the file
        assert (shown.returncode, shown.stdout, shown.stderr) == (0, "", "")
    else:
        assert (shown.returncode, shown.stdout) == (1, "")
        assert shown.stderr.endswith(
            "cannot be read: its process has put something else in its place\n"
        )
    assert place.run("reload").returncode == 0, "the runner lives on"


# --- the end
# --------------------------------------------------------------------------------------


def test_an_idle_runner_stops_at_once(place: Place) -> None:
    place.declare("daily", "true", {"schedule": {"frequency": "daily", "at": "02:00"}})
    runner = place.start("--drain", "1h")
    assert place.stop(runner, by=signal.SIGINT) == 0
    (record,) = place.events("runner.stopped")
    assert record["signal"] == signal.SIGINT
    # The worker of a fleet shares the console.
    (stopped,) = (line for line in place.console().splitlines() if "● runner stopped" in line)
    assert f"● runner stopped after {clock_text(record['uptime_s'])}" in stopped
    assert place.is_in_fleet or place.console().endswith(f"{clock_text(record['uptime_s'])}\n")


@leaves_executions
def test_a_stop_lets_running_executions_finish(place: Place) -> None:
    place.declare("slow", f"{GATE}; echo done", "run_immediately")
    runner = place.start()
    wait_until(lambda: place.events("execution.started"))
    runner.terminate()
    _await_stopping(place)
    place.open_gate()
    assert runner.wait(timeout=40) == 0
    (record,) = place.finished("slow")
    assert (record["status"], record["output_tail"]) == ("success", "done\n")
    assert place.records()[-1]["event"] == "runner.stopped"


def test_executions_that_outlast_the_drain_are_stopped(place: Place) -> None:
    place.declare("slow", "sleep 600", "run_immediately")
    runner = place.start("--drain", "200ms")
    wait_until(lambda: place.events("execution.started"))
    assert place.stop(runner) == 0
    with place.acted_on():  # the next leader records what the worker has reported
        (record,) = place.await_finished("slow")
    assert (record["status"], record["reason"], record["signal"]) == (
        "killed",
        "runner_stopped",
        15,
    )
    assert record["message"] == "ended because the runner stopped"


def _await_stopping(place: Place) -> None:
    """Wait until a runner has begun to stop: sending a signal does not prove that."""
    wait_until(lambda: "stopping: " in place.console(), what="the runner is stopping")


@leaves_executions
def test_a_second_signal_stops_executions_at_once(place: Place) -> None:
    """It waits neither for `--drain` nor for a grace, which are longer than the test's
    bound.
    """
    place.declare(
        "stubborn", f"trap '' TERM; echo ready; {GATE}", "run_immediately", stop_grace="1h"
    )
    runner = place.start("--drain", "1h")
    (started,) = wait_until(lambda: place.events("execution.started"))
    wait_until(lambda: "ready" in Path(started["output_file"]).read_text(), what="the trap is set")
    runner.terminate()
    _await_stopping(place)
    assert "the runner is stopping" in place.run("exec", "stubborn").stderr
    assert place.stop(runner) == 0
    (record,) = place.finished("stubborn")
    assert (record["status"], record["reason"], record["signal"]) == ("killed", "runner_stopped", 9)
    assert place.records()[-1]["event"] == "runner.stopped"


def test_a_runner_waits_for_a_missing_jobs_folder(place: Place) -> None:
    place.jobs.rmdir()
    runner = place.start()
    assert "there is no jobs folder" in place.console()
    place.jobs.mkdir()
    place.declare("late", "true", "run_immediately")
    place.await_finished("late")
    assert place.stop(runner) == 0
    place.environment["RUNNER_JOBS"] = str(place.folder / "no" / "where")
    refused = place.run("start")
    assert (refused.returncode, "there is no jobs folder" in refused.stderr) == (2, True)


# --- nothing fires
# --------------------------------------------------------------------------------------


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a disk")
@pytest.mark.sqlite_only("a leader has no state on its own disk")
def test_on_a_full_disk_every_viewing_command_says_that_nothing_fires(place: Place) -> None:
    disk = place.folder / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m,mode=755", "tmpfs", disk], check=False
    ).returncode:
        pytest.skip("this machine does not let root mount a disk")
    try:
        place.state = disk / "state"
        place.environment["RUNNER_STATE"] = str(place.state)
        _log_at(place, place.folder / "monitor.jsonl")
        place.declare("tick", "true", SECONDLY)
        runner = place.start()
        place.await_finished("tick")
        with (disk / "filler").open("wb", buffering=0) as filler, suppress(OSError):
            while filler.write(bytes(4096)):
                pass
        wait_until(lambda: "the disk is full" in place.console())
        assert "trouble   nothing fires: the store" in place.run("status").stdout
        for command in (["ls"], ["next"], ["show", "tick"], ["explain", "tick"]):
            assert place.run(*command).stderr.startswith("nothing fires: the store"), command
        (disk / "filler").unlink()
        wait_until(lambda: "the store works again" in place.console())
        assert "trouble" not in place.run("status").stdout
        assert place.stop(runner) == 0
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


_READ_ONLY = "cannot be used: it is on a file system that is mounted read-only"


def _mount(*arguments: object) -> None:
    if subprocess.run(["mount", *map(str, arguments)], check=False).returncode:
        pytest.skip("this machine does not let root mount this")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a disk")
@pytest.mark.sqlite_only("a leader has no state on its own disk")
def test_nothing_starts_while_the_state_folder_is_read_only(
    place: Place,
) -> None:
    place.declare("tick", "true", SECONDLY)
    _log_at(place, place.folder / "monitor.jsonl")
    runner = place.start()
    place.await_finished("tick")
    # A remount of the same mount is refused while the runner has files open for writing.
    _mount("--bind", place.state, place.state)
    try:
        _mount("-o", "remount,bind,ro", place.state)
        wait_until(lambda: _READ_ONLY in place.console())
        before = len(place.events("execution.started"))
        shown = "the state folder is on a file system that is mounted read-only"
        wait_until(lambda: shown in place.run("status").stdout, what="status says why")
        assert _READ_ONLY in place.run("exec", "tick").stderr
        assert len(place.events("execution.started")) == before
        assert place.console().count(_READ_ONLY) == 1
    finally:
        subprocess.run(["umount", "--lazy", place.state], check=True)
    wait_until(lambda: "the store works again" in place.console())
    place.await_finished("tick", status="success", count=before + 1)
    assert place.finished("tick", status="misfired"), "what was due meanwhile is recorded"
    failed = place.finished("tick", status="error")
    assert len(failed) <= 1, "only what was claimed before and starts at that moment"
    assert place.stop(runner) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a disk")
@pytest.mark.sqlite_only("a leader has no state on its own disk")
def test_a_disk_that_turned_read_only_is_reported_and_the_next_start_continues(
    place: Place,
) -> None:
    image, disk = place.folder / "image", place.folder / "disk"
    with image.open("wb") as file:
        file.truncate(32 << 20)
    disk.mkdir()
    if not shutil.which("mkfs.ext4"):
        pytest.skip("this machine has no mkfs.ext4")
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    _mount("-o", "loop", image, disk)
    try:
        place.state = disk / "state"
        place.environment["RUNNER_STATE"] = str(place.state)
        _log_at(place, place.folder / "monitor.jsonl")
        place.declare("tick", "true", SECONDLY)
        runner = place.start()
        place.await_finished("tick")
        _mount("-o", "remount,abort", disk)  # as ext4 does after a disk error
        wait_until(lambda: _READ_ONLY in place.console())
        assert "disk I/O error" not in place.console()
        assert place.stop(runner) == 0
        subprocess.run(["umount", disk], check=True)
        # A process with mounts of its own may still hold the old disk: mount another one.
        _mount("-o", "loop", shutil.copy(image, place.folder / "copy"), disk)
        count = len(place.finished("tick"))
        runner = place.start()
        place.await_finished("tick", count=count + 2)
        assert place.stop(runner) == 0
    finally:
        subprocess.run(["umount", "--lazy", disk], check=False)


@pytest.mark.sqlite_only("the lease of a leader that stands still runs out")
def test_an_overdue_fire_reveals_a_runner_that_gives_no_verdicts(
    place: Place,
) -> None:
    place.declare("tick", "true", SECONDLY)
    runner = place.start()
    place.await_finished("tick")
    with place.standing_still(runner):
        wait_until(
            lambda: "trouble   nothing fires: tick has been due since" in place.run("status").stdout
        )
        assert place.run("ls").stderr.startswith("nothing fires: tick has been due since")
    wait_until(lambda: "trouble" not in place.run("status").stdout)
    assert place.stop(runner) == 0
