"""As root, Runner uses no file that another user can change: each file that it reads or
writes, and each command.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support.place import Place, end_of, wait_until

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="the rule is about root, and the tests give files away"
)
SOMEBODY = 54321
DAILY = {"schedule": {"frequency": "daily", "at": "02:00"}}
GIT = (
    "git",
    "-c",
    "user.name=maria",
    "-c",
    "user.email=maria@example.org",
    "-c",
    "commit.gpgsign=false",
)


def opened(path: Path) -> None:
    path.chmod(path.stat().st_mode | 0o002)


def given_away(path: Path) -> None:
    os.chown(path, SOMEBODY, SOMEBODY)


def linked_by_another(path: Path) -> None:
    """Replace a file by another user's link to it, or create such a link."""
    aside = path.with_name(f"{path.name}.aside")
    if path.exists():
        path.rename(aside)
    path.symlink_to(aside)
    os.chown(path, SOMEBODY, SOMEBODY, follow_symlinks=False)


CHANGES = (opened, given_away, linked_by_another)


@pytest.fixture
def used(place: Place) -> Place:
    """Return a place in which a runner has run, with every kind of file that it reads."""
    place.write("_defaults.yaml", "owner: finance\n")
    (place.jobs / "dates").write_text("2026-12-25\n")
    (place.jobs / "a.env").write_text("GIVEN=by the file\n")
    place.declare("plain", "echo plain", DAILY)
    place.declare("filed", 'echo "$GIVEN" >../given', environment_file="a.env")
    place.declare("dated", "true", {"schedule": {**DAILY["schedule"], "except": "dates"}})
    (place.folder / "runner.yaml").write_text("max_running: 5\n")
    runner = place.start()
    assert place.run("exec", "plain").returncode == 0
    assert place.stop(runner) == 0
    assert _problems(place) == []
    return place


def _problems(place: Place) -> list[str]:
    lines = place.run("doctor", "--output", "json").stdout.splitlines()
    return [each["message"] for each in map(json.loads, lines) if each["level"] == "problem"]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(
    "name",
    ["jobs.d", "state", "runner.yaml"]
    + [
        f"state/{each}"
        for each in ("store.sqlite3", "lock", "wake", "catalog.jsonl", "outputs", "monitor.jsonl")
    ],
)
def test_acting_commands_refuse_a_place_that_another_user_can_change(
    used: Place, name: str, change: Callable[[Path], None]
) -> None:
    before = used.log.read_bytes()
    change(used.folder / name)
    codes = {}
    for line in (["start"], ["exec", "plain"], ["reschedule", "plain"]):
        done = used.run(*line)
        codes[line[0]] = done.returncode
        assert "root does not use" in done.stderr or "root does not read" in done.stderr, (
            done.stderr
        )
        assert str(used.folder / name) in done.stderr
    assert codes == {"start": 1, "exec": 125, "reschedule": 1} or (
        name == "runner.yaml" and set(codes.values()) == {2}  # as for every wrong setting
    )
    assert used.log.read_bytes() == before
    if name == "runner.yaml":  # doctor reads it too, and refuses it like the others
        assert used.run("doctor").returncode == 2
    elif (name, change) == ("state", given_away):  # it is then the runner of that user
        assert "a runner that is root does not use it" in used.run("doctor").stdout
    else:
        assert [each for each in _problems(used) if str(used.folder / name) in each]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", ["plain.yaml", "_defaults.yaml", "dates", "a.env"])
def test_a_file_that_another_user_can_change_is_rejected_alone(
    used: Place, name: str, change: Callable[[Path], None]
) -> None:
    runner = used.start()
    change(used.jobs / name)
    assert [each for each in _problems(used) if str(used.jobs / name) in each]
    filed = used.run("exec", "filed")
    if name == "a.env":
        assert filed.returncode == 125
        assert "root does not read it" in filed.stderr
        assert not (used.folder / "given").exists()
    else:
        assert (filed.returncode, (used.folder / "given").read_text()) == (0, "by the file\n")
        done = used.run("reload")
        assert done.returncode == 1
        assert "root does not read it" in done.stderr
        assert used.events("request.rejected")
        assert {item["request"] for item in used.items("ls") if item["request"]} >= {
            "plain",
            "dated",
            "filed",
        }
    assert used.run("exec", "plain").returncode == 0  # the last good version stays active
    assert used.stop(runner) == 0


def test_a_world_writable_parent_of_the_state_is_refused_unless_it_is_sticky(
    used: Place,
) -> None:
    used.folder.chmod(0o777)
    assert "everyone may write" in used.run("start").stderr
    used.folder.chmod(0o1777)
    assert used.run("exec", "plain").returncode == 0


def test_a_link_at_the_path_of_the_log_is_not_followed(used: Place, tmp_path: Path) -> None:
    """In a sticky folder anyone can create one, before the runner creates its log or
    after a rotation.
    """
    public = tmp_path / "public"
    public.mkdir()
    public.chmod(0o1777)
    victim = tmp_path / "victim"
    log = public / "monitor.jsonl"
    used.environment["RUNNER_MONITOR_LOG"] = str(log)
    used.log = log
    runner = used.start()
    log.rename(public / "monitor.jsonl.1")
    log.symlink_to(victim)
    os.chown(log, SOMEBODY, SOMEBODY, follow_symlinks=False)
    execution = used.begin("exec", "plain")
    wait_until(lambda: "is a link of uid 54321" in used.console(), what="the console says so")
    assert not victim.exists()
    log.unlink()
    wait_until(
        lambda: log.exists() and b"execution.finished" in log.read_bytes(),
        what="the records follow",
    )
    assert end_of(execution)[0] == 0
    assert used.stop(runner) == 0


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
@pytest.mark.parametrize("name", [".git", ".git/config", ".git/HEAD", ".git/index"])
def test_git_files_that_another_user_can_change_are_not_used(used: Place, name: str) -> None:
    for line in ("init -q", "add .", "commit -qm x"):
        subprocess.run([*GIT, *line.split()], cwd=used.folder, check=True)
    marker = used.folder / "ran"
    subprocess.run(
        [*GIT, "config", "filter.x.clean", f"touch {shlex.quote(str(marker))}; cat"],
        cwd=used.folder,
        check=True,
    )
    (used.folder / ".gitattributes").write_text("*.yaml filter=x\n")
    opened(used.folder / name)
    used.declare("plain", "echo changed", DAILY)
    assert used.run("exec", "plain").returncode == 0
    assert used.finished("plain")[-1]["git_commit"] is None
    assert not marker.exists()
    assert [each for each in _problems(used) if str(used.folder / name) in each]


@pytest.mark.parametrize("change", CHANGES)
def test_pipeline_commands_check_files_that_others_can_write(
    used: Place, change: Callable[[Path], None]
) -> None:
    for path in (used.jobs / "plain.yaml", used.folder / "runner.yaml"):
        change(path)
    assert used.run("validate").returncode == 0
    assert used.run("plan", "--against", str(used.jobs)).returncode == 0


@pytest.mark.parametrize("change", CHANGES)
def test_viewing_commands_show_the_runner_of_another_user(
    used: Place, change: Callable[[Path], None]
) -> None:
    runner = used.start()
    change(used.state / "store.sqlite3")
    for line in (["ls"], ["monitor"], ["next"], ["status"], ["show", "plain"]):
        assert used.run(*line).returncode == 0
    assert used.run("kill", "plain").returncode == 1
    assert used.stop(runner) in (0, 1)
