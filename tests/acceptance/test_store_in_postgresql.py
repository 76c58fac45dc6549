"""Commands and a runner over a store in PostgreSQL, on one machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.place import Place


@pytest.fixture
def fleet_place(place: Place, database_url: str) -> Place:
    """Provide a jobs folder whose store is in PostgreSQL."""
    place.environment["RUNNER_STORE"] = database_url
    return place


def test_a_runner_and_its_commands_work_over_postgresql(fleet_place: Place) -> None:
    place = fleet_place
    place.declare("once", "env | grep -c RUNNER_STORE; test $? = 1", "run_immediately")
    assert place.run("status").returncode == 4
    runner = place.start()
    place.await_finished("once", within_s=90)  # a worker starts first
    (finished,) = place.events("execution.finished")
    assert (finished["status"], finished["output_tail"]) == ("success", "0\n")
    assert place.run("exec", "once").returncode == 0
    assert place.run("unschedule", "once").returncode == 0
    shown = place.run("status")
    assert shown.returncode == 0, shown.stderr
    assert "s3cret" not in shown.stdout
    assert place.run("monitor").stdout.count("success") == 2
    assert place.run("restart").returncode == 0
    assert place.run("stop").returncode == 0
    assert runner.wait(timeout=60) == 0
    assert place.run("status").returncode == 4


def test_the_url_may_come_from_a_file_that_only_its_owner_reads(
    place: Place, database_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "store.url"
    file.write_text(database_url)
    file.chmod(0o644)
    place.declare("once", "true", "run_immediately")
    place.environment.pop("RUNNER_STORE", None)
    refused = place.run("exec", "once", "--store-file", str(file))
    assert refused.returncode == 2
    assert f"chmod 600 {file}" in refused.stderr
    file.chmod(0o600)
    done = place.run("exec", "once", "--store-file", str(file))
    # What runs in a fleet is on its workers, so no command acts in place of a leader.
    assert done.returncode == 4
    assert "no runner is running on postgresql://postgres@/test_" in done.stderr
    assert not (place.state / "store.sqlite3").exists()


def test_a_database_that_cannot_be_reached_is_reported_without_the_password(place: Place) -> None:
    place.environment["RUNNER_STORE"] = "postgresql://me:s3cret@/runner?host=/nonexistent"
    place.declare("once", "true", "run_immediately")
    # `start` waits for its database, as a node of a fleet that stands by.
    for command in (["status"], ["exec", "once"], ["ls"], ["reload"], ["doctor"]):
        done = place.run(*command)
        assert done.returncode != 0, command
        assert "postgresql://me@/runner" in done.stderr + done.stdout, (command, done.stderr)
        assert "s3cret" not in done.stderr + done.stdout
        assert "Traceback" not in done.stderr
