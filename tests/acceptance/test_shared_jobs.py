"""Two runners with state folders of their own on one jobs folder: the second is
refused, unless both allow it. The same holds for a command that acts as a runner.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
from pathlib import Path

import pytest
from support.place import GATE, SECONDLY, Place, end_of, wait_until

pytestmark = pytest.mark.sqlite_only("the nodes of a fleet share a jobs folder")


def _other(place: Place, *arguments: str) -> tuple[str, ...]:
    """Return the arguments of another runner on the same jobs folder."""
    return (
        "--state",
        str(place.folder / "other"),
        "--monitor-log",
        str(place.folder / "other.jsonl"),
        *arguments,
    )


def _has_started(place: Place) -> bool:
    log = place.folder / "other.jsonl"
    return log.exists() and '"runner.started"' in log.read_text()


@pytest.mark.parametrize("way", ["same path", "link", "read-only"])
def test_a_second_runner_with_another_store_is_refused_by_the_name_of_the_first(
    place: Place, way: str
) -> None:
    place.declare("tick", "true", SECONDLY)
    if way == "read-only":
        place.jobs.chmod(0o555)
    first = place.start()
    jobs = place.jobs
    if way == "link":
        jobs = place.folder / "link"
        jobs.symlink_to(place.jobs)
    refused = place.run("start", "--jobs", str(jobs), *_other(place))
    assert refused.returncode == 1
    assert f"another runner, process {first.pid} (" in refused.stderr
    assert "--allow-shared-jobs" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (place.folder / "other").exists(), "a refusal creates nothing"
    assert not (place.folder / "other.jsonl").exists()
    assert sorted(each.name for each in place.jobs.iterdir()) == ["tick.yaml"], (
        "the lock leaves nothing in the folder"
    )
    assert place.stop(first) == 0


def test_after_the_first_one_has_been_killed_another_may_serve_the_folder(place: Place) -> None:
    first = place.start()
    first.kill()
    first.wait(timeout=60)
    second = place.launch(*_other(place))
    wait_until(lambda: _has_started(place), within_s=90)
    assert place.stop(second) == 0


def test_commands_that_start_no_execution_are_allowed(place: Place) -> None:
    place.declare(
        "daily", "true", {"schedule": {"frequency": "daily", "at": "02:00", "start": "2100-01-01"}}
    )
    place.start()
    for command in (("validate",), ("next",), ("ls",), ("plan",), ("monitor",)):
        done = place.run(*command, *([] if command == ("validate",) else _other(place)))
        assert "another runner" not in done.stderr, command
        assert done.returncode in (0, 3), (command, done.stderr)


DAILY = {"schedule": {"frequency": "daily", "at": "02:00", "start": "2100-01-01"}}


@pytest.mark.parametrize("command", ["exec", "schedule", "unschedule", "reschedule"])
def test_a_command_with_another_store_does_not_act_on_requests_that_a_runner_serves(
    place: Place, command: str
) -> None:
    place.declare("daily", "echo ran", DAILY)
    runner = place.start()
    refused = place.run(command, "daily", *_other(place))
    assert refused.returncode == (125 if command == "exec" else 1)
    assert refused.stdout == ""
    assert f"another runner, process {runner.pid} (" in refused.stderr
    assert "--state" in refused.stderr and "--allow-shared-jobs" in refused.stderr
    assert not (place.folder / "other").exists(), "a refusal creates nothing"
    assert not (place.folder / "other.jsonl").exists()
    allowed = place.run(command, "daily", *_other(place, "--allow-shared-jobs"))
    assert allowed.returncode == 0, allowed.stderr
    assert "daily" in allowed.stdout or allowed.stdout == "ran\n"
    assert not place.finished("daily"), "the runner's own log knows nothing of it"


def test_a_runner_is_refused_while_a_command_with_another_store_runs_a_request(
    place: Place,
) -> None:
    place.declare("slow", GATE, DAILY)
    executing = place.begin("exec", "slow", *_other(place))
    log = place.folder / "other.jsonl"
    wait_until(lambda: log.exists() and '"execution.started"' in log.read_text(), within_s=90)
    for command in (("start",), ("exec", "slow")):
        refused = place.run(*command)
        assert f"another runner, process {executing.pid} (" in refused.stderr, command
    place.open_gate()
    assert end_of(executing)[0] == 0
    assert place.run("exec", "slow").returncode == 0


@pytest.mark.parametrize("command", [("kill", "daily"), ("reload",), ("status",)])
def test_a_command_that_finds_no_runner_names_the_one_with_another_store(
    place: Place, command: tuple[str, ...]
) -> None:
    place.declare("daily", "true", DAILY)
    runner = place.start()
    done = place.run(*command, *_other(place))
    assert done.returncode == 4
    assert "no runner is running on" in done.stderr
    assert f"another runner, process {runner.pid} (" in done.stderr
    assert "name that folder with --state" in done.stderr


def test_runners_that_allow_it_share_a_folder_and_one_that_does_not_is_refused(
    place: Place,
) -> None:
    first = place.start("--allow-shared-jobs")
    second = place.launch(*_other(place, "--allow-shared-jobs"))
    wait_until(lambda: _has_started(place), within_s=90)
    third = place.run("start", "--state", str(place.folder / "third"))
    assert third.returncode == 1
    assert "serves the jobs folder" in third.stderr
    assert (place.stop(second), place.stop(first)) == (0, 0)


def _swap(link: Path, target: Path) -> None:
    new = link.with_name("new")
    new.symlink_to(target)
    new.replace(link)


def test_a_runner_follows_a_link_that_moves_and_does_not_fire_what_another_one_serves(
    place: Place,
) -> None:
    place.declare("tick", "true", SECONDLY)
    folders = [place.folder / name for name in ("v1", "v2", "v3")]
    link = place.folder / "current"
    for folder in folders:
        subprocess.run(["cp", "-r", str(place.jobs), str(folder)], check=True)
    link.symlink_to(folders[0])
    place.environment["RUNNER_JOBS"] = str(link)
    first = place.start()
    place.await_finished("tick")

    _swap(link, folders[1])
    wait_until(lambda: _is_locked(folders[1]), what="the runner locks the new folder")
    assert not _is_locked(folders[0])

    second = place.launch("--jobs", str(folders[2]), *_other(place))
    wait_until(lambda: _has_started(place), within_s=90)
    place._consoles -= 1
    _swap(link, folders[2])
    wait_until(
        lambda: f"another runner, process {second.pid} (" in place.console(),
        what="the first one says why",
    )
    for command in (("exec", "tick"), ("reschedule", "tick"), ("reload",)):
        done = place.run(*command, timeout_s=30)
        assert done.returncode in (1, 125), (command, done)
        assert f"another runner, process {second.pid} (" in done.stdout + done.stderr, command
    before = len(place.events("execution.started"))
    log = place.folder / "other.jsonl"
    served = log.read_text().count('"execution.started"')
    wait_until(
        lambda: log.read_text().count('"execution.started"') >= served + 2,
        what="the second one fires",
    )
    assert len(place.events("execution.started")) <= before + 1, (
        "what was being started at that moment"
    )

    assert place.stop(second) == 0
    wait_until(lambda: "the jobs folder works again" in place.console())
    place.await_finished("tick", count=len(place.finished("tick")) + 1)
    assert place.stop(first) == 0


def _is_locked(folder: Path) -> bool:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
