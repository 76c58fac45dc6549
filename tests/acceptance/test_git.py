"""A jobs folder delivered by git, and renamed files: the state of a request follows its
name.
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.git import git as run_git
from support.place import GATE, SECONDLY, Place, Record, wait_until

from runner.values import parse_instant


class Repository:
    """A git repository that contains a jobs folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self("init", "-q", "-b", "main")

    def __call__(self, *arguments: str) -> str:
        return run_git(self.folder, *arguments)

    def commit(self) -> str:
        """Commit the jobs folder; return the commit's id."""
        self("add", "-A", "jobs.d")
        self("commit", "-q", "-m", "a change")
        return self("rev-parse", "HEAD")


def _await_commit(place: Place, commit: str) -> None:
    """Wait until the runner reports its commit.

    git may report a little later that the folder differs or is clean again: a reading
    does not wait for it, and a late answer causes another reading.
    """
    wait_until(lambda: place.items("status")[0]["git_commit"] == commit, what=f"{commit} is known")


@pytest.fixture
def git(place: Place) -> Repository:
    return Repository(place.folder)


def test_checking_out_a_branch_and_returning_runs_nothing_twice(
    place: Place, git: Repository
) -> None:
    place.declare("tool", "true")
    first = git.commit()
    git("switch", "-q", "-c", "other")
    git("switch", "-q", "main")
    place.declare("once", "echo ran", "run_immediately")
    second = git.commit()
    place.start()
    (ran,) = place.await_finished("once")
    assert ran["git_commit"] == second

    git("switch", "-q", "other")
    wait_until(lambda: place.events("request.removed", "once"))
    assert place.run("reload").stdout == "nothing changed\n", "by now git has moved its HEAD too"
    _await_commit(place, first)
    assert place.run("exec", "tool").returncode == 0
    assert place.await_finished("tool")[-1]["git_commit"] == first
    git("switch", "-q", "main")
    wait_until(lambda: place.events("runner.reloaded", added=["once"]))
    # The runner claims due fires before it answers this.
    assert place.run("reload").stdout == "nothing changed\n"
    _await_commit(place, second)
    assert place.run("exec", "tool").returncode == 0
    assert place.await_finished("tool", count=2)[-1]["git_commit"] == second
    assert len(place.events("execution.started", "once")) == 1


def test_a_commit_that_changes_no_file_is_known_within_a_second(
    place: Place, git: Repository
) -> None:
    place.declare("tool", "true")
    git.commit()
    place.start()
    place.declare("other", "true")
    wait_until(lambda: place.events("runner.reloaded", added=["other"]))
    commit = git.commit()
    _await_commit(place, commit)
    place.run("exec", "tool")
    assert place.await_finished("tool")[-1]["git_commit"] == commit


def test_nothing_is_read_while_git_holds_its_lock(place: Place, git: Repository) -> None:
    place.declare("tick", "echo one", SECONDLY)
    git.commit()
    place.start()
    place.await_finished("tick", status="success")
    lock = place.folder / ".git" / "index.lock"
    lock.touch()
    edited = datetime.now(UTC)
    place.declare("tick", "echo two", SECONDLY)

    def begun(begin_s: float, end_s: float) -> list[Record]:
        """Return the executions that began within a span after the edit."""
        spans = (
            (each, parse_instant(each["started"]) - edited)
            for each in place.finished("tick", status="success")
        )
        return [
            each
            for each, since in spans
            if timedelta(seconds=begin_s) < since < timedelta(seconds=end_s)
        ]

    # An edit is in force within a second, but the lock delays it by ten; a slow machine
    # sees only some of the fires.
    wait_until(lambda: begun(1.5, 3600), what="an execution by which the edit would be live")
    assert {each["output_tail"] for each in begun(-3600, 10)} == {"one\n"}
    lock.unlink()
    wait_until(lambda: place.events("runner.reloaded", changed=["tick"]))
    place.await_finished("tick", output_tail="two\n")


def test_a_renamed_file_with_a_name_key_keeps_the_state_of_its_request(place: Place) -> None:
    content = "name: once\nprocess: {shell: echo ran}\ntiming: run_immediately\n"
    path = place.write("old.yaml", content)
    place.start()
    place.await_finished("once")
    path.rename(place.jobs / "new.yaml")
    place.run("reload")
    # The runner claims due fires before it answers this.
    assert place.run("reload").stdout == "nothing changed\n"
    assert place.items("ls")[0]["request_file"] == "new.yaml"
    assert len(place.events("execution.started", "once")) == 1
    assert not place.events("request.removed")


def test_a_reload_names_the_commits_and_records_are_marked_while_the_folder_is_dirty(
    place: Place, git: Repository
) -> None:
    place.declare("tool", "true")
    first = git.commit()
    runner = place.start()
    place.write("_defaults.yaml", "owner: ops\n")
    (edited,) = wait_until(lambda: place.events("runner.reloaded", changed=["tool"]))
    assert edited["git_commit_before"] == first
    assert edited["git_commit"] in (f"{first}-dirty", first), (
        "without the mark if git was too slow to tell"
    )
    assert "tool (owner)" in edited["message"]
    _await_commit(place, f"{first}-dirty")
    assert place.run("exec", "tool").returncode == 0
    assert place.await_finished("tool")[-1]["git_commit"] == f"{first}-dirty"
    (shown,) = place.items("ls")
    assert (shown["status"], shown["sync"]) == ("definition", "in sync")

    second = git.commit()
    _await_commit(place, second)
    with place.standing_still(runner):  # git moves its HEAD after the files
        git("checkout", "-q", "--detach", first)
    _, back = wait_until(
        lambda: len(found := place.events("runner.reloaded", changed=["tool"])) == 2 and found
    )
    assert back["git_commit_before"] == second
    assert back["git_commit"] in (first, f"{first}-dirty"), (
        "with the mark of before if git was too slow to tell"
    )
    _await_commit(place, first)


def test_a_slow_git_is_not_reaped_as_an_orphan(place: Place, git: Repository) -> None:
    tools, looks = place.folder / "tools", place.folder / "looks"
    tools.mkdir()
    real = shutil.which("git")
    (tools / "git").write_text(
        f"#!/bin/sh\necho $$ >> '{looks}'\n{GATE.replace('../go', str(place.folder / 'go'))}\n"
        f'exec {real} "$@"\n'
    )
    (tools / "git").chmod(0o755)
    place.declare("tool", "true")
    commit = git.commit()
    place.declare(
        "held", "until [ -e ../held ]; do sleep 0.1; done; (true & true)", "run_immediately"
    )
    place.environment["PATH"] = f"{tools}:{place.environment['PATH']}"
    place.start()
    wait_until(lambda: place.events("execution.started", "held"))
    already = len(looks.read_text().split())
    place.declare("tool", "true # edited")
    wait_until(lambda: len(looks.read_text().split()) > already, what="git looks")
    (place.folder / "held").touch()
    place.await_finished("held")  # it began before git, so a sweep could take git for its orphan
    wait_until(lambda: place.run("exec", "tool").returncode == 0)
    place.open_gate()
    _await_commit(place, f"{commit}-dirty")


def test_invalid_defaults_keep_the_last_good_requests_below_them(place: Place) -> None:
    place.write("team/tool.yaml", "process: {shell: echo good}\n")
    place.start()
    place.write("team/_defaults.yaml", "process: {timeout: 5}\n")
    wait_until(lambda: len(place.events("request.rejected")) == 2, what="both files are rejected")
    defaults, tool = sorted(
        place.events("request.rejected"), key=lambda record: record["request_file"]
    )
    assert (defaults["request_file"], defaults["last_good"]) == ("team/_defaults.yaml", False)
    assert (tool["request_file"], tool["last_good"]) == ("team/tool.yaml", True)
    assert tool["problems"] == defaults["problems"]
    assert place.run("exec", "tool").stdout == "good\n"
    checked = place.run("validate", "jobs.d/team/tool.yaml")
    assert checked.returncode == 1
    assert "jobs.d/team/_defaults.yaml:1:20: " in checked.stdout
    place.write("team/_defaults.yaml", "process: {environment: {A: b}}\n")
    wait_until(lambda: place.events("runner.reloaded", changed=["tool"]))
