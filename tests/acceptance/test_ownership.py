"""A state folder serves one jobs folder: `init` gives each its own, and commands show
only its executions.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.place import Place, wait_until

pytestmark = pytest.mark.sqlite_only("each node of a fleet has a jobs folder of its own")


@pytest.fixture
def other(place: Place) -> Path:
    """Return another jobs folder with the same request name, while the store knows
    executions of the first.
    """
    place.declare(
        "slow", "echo private; sleep 2; false", {"schedule": {"frequency": "daily", "at": "02:00"}}
    )
    place.run("exec", "slow")
    folder = place.folder / "elsewhere" / "jobs.d"
    folder.mkdir(parents=True)
    request = "process: {shell: 'true'}\ntiming: {schedule: {frequency: hourly}}\n"
    (folder / "slow.yaml").write_text(request)
    return folder


def test_no_command_shows_executions_of_another_jobs_folder(place: Place, other: Path) -> None:
    (record,) = place.finished("slow")
    ran, refused = str(record["execution"]), f"belongs to {place.jobs}, not to {other}"
    for arguments in (["monitor"], ["log", ran], ["kill", "slow"], ["reload"]):
        done = place.run(*arguments, "--jobs", str(other))
        assert (done.returncode, done.stdout, refused in done.stderr) == (1, "", True), (
            arguments,
            done,
        )
    for arguments in (
        ["ls"],
        ["show", "slow"],
        ["next", "-n", "1"],
        ["plan"],
        ["simulate", "--output", "json"],
        ["explain", "slow", "--at", record["scheduled_for"]],
    ):
        done = place.run(*arguments, "--jobs", str(other))
        assert refused in done.stderr, (arguments, done)
        assert ran not in done.stdout and '"duration_s": 2' not in done.stdout, (arguments, done)
    assert refused in place.run("doctor", "--jobs", str(other)).stdout


def test_status_does_not_pass_off_the_runner_of_another_jobs_folder(
    place: Place, other: Path
) -> None:
    place.start()
    done = place.run("status", "--jobs", str(other))
    assert (done.returncode, done.stdout) == (4, "")
    assert f"belongs to {place.jobs}, not to {other}" in done.stderr


def test_no_command_shows_alerts_of_another_jobs_folder(place: Place) -> None:
    place.declare("broken", "false", "run_immediately")
    folder = place.folder / "elsewhere" / "jobs.d"
    folder.mkdir(parents=True)
    (folder / "broken.yaml").write_text("process: {shell: 'true'}\n")
    place.start()
    wait_until(lambda: place.events("alert.opened"), what="the alert")
    (own,) = place.items("ls")
    (foreign,) = place.items("ls", "--jobs", str(folder))
    assert ([each["check"] for each in own["alerts"]], foreign["alerts"]) == (["failure"], [])
    done = place.run("alerts", "--jobs", str(folder))
    assert (done.returncode, done.stdout) == (1, "")
    assert f"belongs to {place.jobs}, not to {folder}" in done.stderr


def test_a_jobs_folder_is_known_by_any_path(place: Place) -> None:
    place.declare("daily", "true", {"schedule": {"frequency": "daily", "at": "02:00"}})
    place.start()
    link = place.folder / "link"
    link.symlink_to(place.jobs)
    (item,) = place.items("ls", "--jobs", str(link))
    assert item["sync"] == "in sync"
    assert place.run("status", "--jobs", str(link)).returncode == 0


def test_a_log_given_by_option_is_shown_even_if_another_runner_wrote_it(
    place: Place, other: Path
) -> None:
    copy = place.folder / "copy.jsonl"
    copy.write_bytes(place.log.read_bytes())
    done = place.run("monitor", "--jobs", str(other), "--monitor-log", str(copy))
    assert "slow" in done.stdout


def test_two_folders_made_by_init_run_side_by_side(place: Place) -> None:
    place.environment["XDG_STATE_HOME"] = str(place.folder / "xdg")
    del place.environment["RUNNER_STATE"], place.environment["RUNNER_JOBS"]
    outer = place.folder
    for name in ("one", "two"):
        place.folder = outer
        assert "Next: cd " in place.run("init", name).stderr
        place.folder = outer / name
        place.state = place.folder / "state"
        place.log = place.state / "monitor.jsonl"
        place.launch()
        wait_until(lambda: place.events("execution.finished", "welcome"), within_s=90)
        (status,) = place.items("status")
        assert status["jobs"] == str(place.folder / "jobs.d")
    assert not (outer / "xdg").exists()
    assert place.state.stat().st_mode & 0o777 == 0o700, "as a runner makes it"
    ignored = (place.state / ".gitignore").read_text()
    assert ignored == "*\n"


def test_init_refuses_a_folder_that_is_not_empty(place: Place) -> None:
    folder = place.folder / "project"
    (folder / ".git").mkdir(parents=True)
    (folder / "README").write_text("mine\n")
    refused = place.run("init", str(folder))
    assert (refused.returncode, "is not empty; nothing was written" in refused.stderr) == (2, True)
    assert sorted(path.name for path in folder.iterdir()) == [".git", "README"]
    (folder / "README").unlink()
    assert place.run("init", str(folder)).returncode == 0
    assert place.run("validate", str(folder / "jobs.d")).returncode == 0
    again = place.run("init", str(folder))
    assert (again.returncode, "is not empty" in again.stderr) == (2, True)


def test_no_command_waits_for_a_store_that_is_a_pipe(place: Place) -> None:
    place.declare("plain", "true")
    place.state.mkdir(mode=0o700)
    os.mkfifo(place.state / "store.sqlite3")
    for arguments in (["ls"], ["show", "plain"], ["next"], ["plan"], ["simulate"], ["doctor"]):
        done = place.run(*arguments)
        assert (done.returncode, "is not a file" in done.stdout + done.stderr) == (1, True), (
            arguments,
            done,
        )
