"""As root, Runner uses no file that another user can change: each file that it reads or
writes, and each command.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.git import commit_all, git
from support.place import Place, end_of, wait_until

from runner.cli.command_table import COMMANDS

pytestmark = [
    pytest.mark.skipif(
        os.geteuid() != 0, reason="the rule is about root, and the tests give files away"
    ),
    pytest.mark.sqlite_only("it is about the files of a store and acts without a runner"),
]
SOMEBODY = 54321
AS_SOMEBODY = f"sudo -u '#{SOMEBODY}' runner "
LOOKING = {
    "alerts": (),
    "doctor": (),
    "explain": ("plain",),
    "log": ("plain",),
    "ls": (),
    "metrics": (),
    "monitor": (),
    "next": (),
    "plan": (),
    "show": ("plain",),
    "simulate": (),
    "status": (),
    "validate": (),
}
ACTING = {
    "backfill": ("plain", "--from", "2026-01-01", "--to", "2026-01-02"),
    "drain": ("alpha",),
    "exec": ("plain",),
    "import": ("crontab", "-"),
    "kill": ("plain",),
    "notify": ("--test", "ops"),
    "pause": ("--reason", "x"),
    "reload": (),
    "reschedule": ("plain",),
    "restart": (),
    "resume": (),
    "schedule": ("plain",),
    "start": (),
    "stop": (),
    "store": ("migrate",),
    "token": ("list",),
    "unschedule": ("plain",),
    "web": (),
    "work": (),
}
WITHOUT_PLACES = {"calendar", "help", "init", "schema"}
DAILY = {"schedule": {"frequency": "daily", "at": "02:00"}}


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
_IN_STATE = ("store.sqlite3", "lock", "wake", "catalog.jsonl", "outputs", "monitor.jsonl")
PLACES = ("jobs.d", "state", "runner.yaml", *(f"state/{each}" for each in _IN_STATE))


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
    return _problems_in(place.run("doctor", "--output", "json").stdout)


def _problems_in(shown: str) -> list[str]:
    findings = map(json.loads, shown.splitlines())
    return [each["message"] for each in findings if each["level"] == "problem"]


@contextmanager
def _changed(path: Path, change: Callable[[Path], None]) -> Iterator[None]:
    """Change a file for a while."""
    before = path.stat()
    change(path)
    yield
    if path.is_symlink():
        path.unlink()
        path.with_name(f"{path.name}.aside").rename(path)
        return
    for each in (path, *path.parent.glob(f"{path.name}-*")):  # SQLite's are like the database
        os.chown(each, before.st_uid, before.st_gid)
        each.chmod(before.st_mode)


@pytest.mark.parametrize("change", CHANGES)
def test_acting_commands_refuse_a_place_that_another_user_can_change(
    used: Place, change: Callable[[Path], None]
) -> None:
    before = used.log.read_bytes()
    for name in PLACES:
        with _changed(used.folder / name, change):
            _check_refusals(used, name)
            shown = used.run("doctor", "--output", "json").stdout
            if (name, change) == ("state", given_away):  # it is then the runner of that user
                assert "a runner that is root does not use it" in shown
            else:
                assert [each for each in _problems_in(shown) if str(used.folder / name) in each]
    assert used.log.read_bytes() == before
    assert _problems(used) == []


def _check_refusals(used: Place, name: str) -> None:
    codes = {}
    for line in (["start"], ["exec", "plain"], ["reschedule", "plain"]):
        done = used.run(*line)
        codes[line[0]] = done.returncode
        assert "root does not use" in done.stderr or "root does not read" in done.stderr, done
        assert str(used.folder / name) in done.stderr, done
    assert codes == {"start": 1, "exec": 125, "reschedule": 1} or (
        name == "runner.yaml" and set(codes.values()) == {2}  # as for every wrong setting
    ), name


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
    git(used.folder, "init", "-q")
    commit_all(used.folder, "x")
    marker = used.folder / "ran"
    clean = f"touch {shlex.quote(str(marker))}; cat"
    git(used.folder, "config", "filter.x.clean", clean)
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
    warning = f"root's runner rejects {used.jobs / 'plain.yaml'}: "
    for line in (["validate"], ["plan", "--against", str(used.jobs)]):
        done = used.run(*line)
        assert (done.returncode, warning in done.stderr) == (0, True), done
    assert warning not in used.run("validate", str(used.jobs / "dated.yaml")).stderr


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


@pytest.fixture
def theirs(used: Place) -> Place:
    """Return a folder of another user as `runner init` makes it: runner.yaml names its state."""
    (used.folder / "runner.yaml").write_text("state: state\n")
    del used.environment["RUNNER_JOBS"], used.environment["RUNNER_STATE"]
    return used


def _give_away(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, SOMEBODY, SOMEBODY, follow_symlinks=False)


def _owners(folder: Path) -> set[int]:
    return {path.lstat().st_uid for path in (folder, *folder.rglob("*"))}


@pytest.mark.parametrize("is_alive", [True, False], ids=["alive", "stopped"])
def test_root_looks_at_a_folder_and_runner_of_another_user_and_acts_on_neither(
    theirs: Place, is_alive: bool
) -> None:
    runner = theirs.start() if is_alive else None
    _give_away(theirs.folder)
    assert LOOKING.keys() | ACTING.keys() | WITHOUT_PLACES == COMMANDS.keys()
    for command, arguments in LOOKING.items():
        done = theirs.run(command, *arguments)
        is_expected = done.returncode == (4 if command == "status" and not is_alive else 0)
        assert is_expected, (command, done)
        assert "root does not read" not in done.stdout + done.stderr, (command, done)
        assert "root's runner rejects" not in done.stdout + done.stderr, (command, done)
    acknowledgement = ("alerts", ("--ack", "plain", "--until", "2h"))
    for command, arguments in (*ACTING.items(), acknowledgement):
        done = theirs.run(command, *arguments)
        assert done.returncode == 2, (command, done)
        assert AS_SOMEBODY in done.stderr, (command, done)
        assert "chown" not in done.stderr, (command, done)
    assert _owners(theirs.folder) == {SOMEBODY}
    if runner:
        runner.kill()


@pytest.mark.parametrize("has_state", [True, False], ids=["state", "no state"])
def test_root_looks_at_a_jobs_folder_of_another_user_without_settings(
    used: Place, has_state: bool
) -> None:
    (used.folder / "runner.yaml").unlink()
    if not has_state:
        shutil.rmtree(used.state)
    _give_away(used.folder)
    assert [item["sync"] for item in used.items("ls")] == (
        ["in sync"] * 3 if has_state else ["new"] * 3
    )
    assert used.run("plan").returncode == (0 if has_state else 3)
    for line in (["start"], ["exec", "plain"]):
        done = used.run(*line)
        assert AS_SOMEBODY in done.stderr, done
        assert "chown" not in done.stderr, done


def test_plan_calls_a_folder_that_a_runner_of_root_rejects_neither_empty_nor_thrice(
    used: Place,
) -> None:
    used.jobs.chmod(0o777)
    done = used.run("plan")
    assert done.returncode == 1
    assert "empty" not in done.stdout + done.stderr
    assert done.stdout.count("root does not read the folder") == 1
    assert "the last good version of plain stays active" in done.stdout
    assert used.run("validate").stderr.count("root's runner rejects") == 1


@pytest.mark.parametrize("change", [opened, given_away])
def test_the_advice_of_doctor_fixes_every_file_at_once(
    used: Place, change: Callable[[Path], None]
) -> None:
    for path in (*used.jobs.glob("*.yaml"), used.folder / "runner.yaml", used.state / "lock"):
        change(path)
    lines = used.run("doctor", "--output", "json").stdout.splitlines()
    found = [each for each in map(json.loads, lines) if each["level"] == "problem"]
    assert len(found) == 2  # the requests and settings, and the state
    for finding in found:
        subprocess.run(finding["suggestion"], shell=True, check=True)
    assert _problems(used) == []


@pytest.mark.parametrize("beside", ["-wal", "-shm"])
def test_looking_creates_no_file_where_a_link_beside_the_store_leads(
    used: Place, tmp_path: Path, beside: str
) -> None:
    victim = tmp_path / "victim"
    link = used.state / f"store.sqlite3{beside}"
    link.unlink(missing_ok=True)
    link.symlink_to(victim)
    _give_away(used.folder)
    done = used.run("ls")
    assert (done.returncode, "is a symbolic link, not a file" in done.stderr) == (1, True), done
    assert not victim.exists()
