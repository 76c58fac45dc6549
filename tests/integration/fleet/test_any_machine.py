"""Commands work on a machine without a node, with state and jobs folders of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.fleet import FleetNode

DAILY = {"schedule": {"frequency": "daily", "at": "02:00", "start": "2026-01-01"}}
STEPS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("status", (), " on {leader} has been running"),
    ("validate", (), ""),
    ("plan", (), ""),
    ("ls", (), "daily"),
    ("show", ("daily",), "echo hello"),
    ("next", ("daily",), "daily"),
    ("explain", ("daily",), "daily"),
    ("simulate", (), "daily"),
    ("exec", ("daily",), "hello"),
)


@pytest.mark.timeout(600)
def test_commands_compare_with_the_fleet_at_another_path(database_url: str, tmp_path: Path) -> None:
    leader = FleetNode(tmp_path / "leader", database_url)
    other = FleetNode(tmp_path / "other", database_url)
    for node in (leader, other):
        node.declare("daily", "echo hello", DAILY)
    try:
        leader.join()
        leader.await_leading()
        found = other.run("doctor")  # its exit code is about the database of the tests
        assert f"{leader.name} leads" in found.stdout, found
        assert "differs from what the fleet serves" not in found.stdout, found
        for command, arguments, expected in STEPS:
            done = other.run(command, *arguments, timeout_s=180)
            assert done.returncode == 0, (command, done)
            assert expected.format(leader=leader.name) in done.stdout, (command, done)
    finally:
        leader.end_all()


@pytest.mark.timeout(600)
def test_a_machine_without_the_jobs_folder_shows_what_the_fleet_serves(
    database_url: str, tmp_path: Path
) -> None:
    leader = FleetNode(tmp_path / "leader", database_url)
    leader.declare("daily", "echo hello", DAILY)
    other = FleetNode(tmp_path / "other", database_url, jobs=tmp_path / "nowhere")
    try:
        leader.join()
        leader.await_leading()
        done = other.run("ls")
        assert "daily" in done.stdout
        assert "it shows the requests of the fleet" in done.stderr
        assert "mount it again" not in done.stderr
    finally:
        leader.end_all()
