"""`plan`, as a person and a pipeline use it: against git, a folder, and the requests in
force.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support.git import commit_all, git
from support.place import GATE, Place, Record, wait_until

from runner.cli.group import cli

DAILY = {"schedule": {"frequency": "daily", "at": "02:00"}}


def planned(place: Place, *arguments: str) -> Result:
    """Run the command in this process, because a new one starts slowly."""
    environment = {
        **place.environment,
        "GIT_DIR": "nowhere",
    }  # as in a hook of another repository
    return CliRunner(env=environment).invoke(cli, ["plan", *arguments], prog_name="runner")


def items(place: Place, *arguments: str, code: int) -> list[Record]:
    done = planned(place, *arguments, "--output", "json")
    assert done.exit_code == code, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def kinds(found: list[Record]) -> dict[str, str]:
    return {item["request"]: item["kind"] for item in found if "request" in item}


@pytest.fixture
def repository(place: Place) -> Place:
    """Return a place in git, with requests, outside dates, a link, a hook and a filter."""
    git(place.folder, "init", "-q", "-b", "main")
    place.declare(
        "nightly",
        "post",
        {"schedule": {**DAILY["schedule"], "except": "../holidays.txt"}},
        directory="erp",
    )
    place.declare("leaves", "true", DAILY)
    place.write("_shared.txt", "x")
    (place.jobs / "linked.yaml").symlink_to("leaves.target")
    place.write("leaves.target", '{"name": "linked", "process": {"shell": "true"}}')
    (place.folder / "holidays.txt").write_text("2026-12-25\n")
    (place.folder / ".gitattributes").write_text("*.yaml filter=mark export-ignore\n")
    (place.folder / ".git" / "hooks" / "post-checkout").write_text("#!/bin/sh\ntouch ran\n")
    (place.folder / ".git" / "hooks" / "post-checkout").chmod(0o755)
    commit_all(place.folder)
    git(place.folder, "config", "filter.mark.smudge", "touch ran; cat")
    return place


def test_plan_against_a_ref_reports_the_changes_and_touches_nothing(
    repository: Place,
) -> None:
    place = repository
    assert items(place, "--against", "main", code=0)[0]["kind"] == "summary"
    place.declare(
        "nightly", "post", {"schedule": {**DAILY["schedule"], "at": "03:00"}}, directory="erp"
    )
    (place.jobs / "leaves.yaml").unlink()
    place.declare("heir", "true", DAILY, top={"formerly": "leaves"})
    place.declare("once", "true", "run_immediately")
    index = place.folder / ".git" / "index"
    before = git(place.folder, "status", "--porcelain"), index.stat().st_mtime_ns
    found = items(place, "--against", "HEAD", code=3)
    assert (index.stat().st_mtime_ns, git(place.folder, "status", "--porcelain")) == before[::-1]
    assert not (place.folder / "ran").exists(), "neither a hook nor a filter had its say"
    assert kinds(found) == {"heir": "renamed", "nightly": "changed", "once": "added"}
    nightly = next(item for item in found if item.get("request") == "nightly")
    assert nightly["fields"] == [
        {"path": "timing.schedule.at", "before": "02:00", "after": "03:00"},
        {"path": "timing.schedule.except", "before": "../holidays.txt", "after": None},
    ]
    assert [fire[11:16] for fire in nightly["next_before"] + nightly["next"]] == ["02:00"] * 3 + [
        "03:00"
    ] * 3
    once = next(item for item in found if item.get("request") == "once")
    assert (len(once["runs"]), once["events"]) == (1, ["request.scheduled", "request.completed"])
    assert found[-1]["against"].startswith("HEAD (")


def test_the_exit_codes_of_a_problem_a_usage_error_and_a_difference_differ(
    repository: Place, tmp_path: Path
) -> None:
    place = repository
    place.write("bad.yaml", "process: {shel: oops}\n")
    found = items(place, "--against", "main", code=1)
    (rejected,) = (item for item in found if item["kind"] == "rejected")
    assert (rejected["request_file"], "did you mean" in rejected["problems"][0]["suggestion"]) == (
        "bad.yaml",
        True,
    )

    def refused(*arguments: str) -> str:
        done = CliRunner(env=place.environment).invoke(cli, ["plan", *arguments])
        assert getattr(done.exception, "exit_code", None) == 2, done.output
        return str(done.exception)

    assert refused("--against", "mian").endswith(
        "has no 'mian', and there is no such folder; did you mean 'main'?"
    )
    for empty in ("", " "):
        assert "--against is empty" in refused("--against", empty)
    assert "give one of them" in refused("--against", "main", "--live")
    place.environment["GIT_CEILING_DIRECTORIES"] = str(tmp_path)
    lone = tmp_path / "lone"
    (lone / "jobs.d").mkdir(parents=True)
    (lone / "jobs.d" / "a.yaml").write_text("process: {shell: x}\n")
    assert "is outside of any git repository" in refused(
        "--against", "main", "--jobs", str(lone / "jobs.d")
    )


def test_plan_against_a_folder_shows_places_as_in_the_jobs_folder(repository: Place) -> None:
    place = repository
    other = place.folder / "other"
    git(place.folder, "worktree", "add", "-q", "--detach", str(other), "main")
    assert items(place, "--against", str(other / "jobs.d"), code=0)[0]["differs"] is False
    summary = items(place, "--against", str(other), code=0)[0]  # the whole clone
    assert (summary["differs"], summary["against"]) == (False, str(other / "jobs.d"))
    (other / "jobs.d" / "nightly.yaml").unlink()
    assert kinds(items(place, "--against", str(other / "jobs.d"), code=3)) == {"nightly": "added"}


def test_the_markdown_table_survives_any_text_in_its_cells(repository: Place) -> None:
    place = repository
    place.declare(
        "hostile", "a | b `c` <script> \n</details>", DAILY, name="p`|<b>", prevent_concurrent=True
    )
    place.declare("twin", "true", DAILY, name="p`|<b>", prevent_concurrent=True)
    place.declare("leaves", "x | y `z` </details>", DAILY)
    done = planned(place, "--against", "main", "--output", "markdown")
    assert done.exit_code == 3
    lines = done.stdout.splitlines()
    assert lines[0] == "<!-- runner plan -->"
    rows = [line for line in lines if line.startswith("|")]
    assert {row.count("|") for row in rows} == {5}
    outside = "".join(part for line in lines for part in line.split("`")[::2])
    assert "<script" not in outside
    assert outside.count("</details>") == 1
    assert any("New collisions" in line for line in lines)


def test_the_runner_does_what_plan_live_announced(place: Place) -> None:
    place.write(
        "one.yaml",
        json.dumps({"name": "old", "process": {"shell": GATE}, "timing": "run_immediately"}),
    )
    place.declare("daily", "true", DAILY)
    assert "no runner has served" in planned(place, "--live").stderr
    place.start()
    wait_until(lambda: place.events("execution.started", "old"))
    (summary,) = items(place, code=0)
    assert (summary["differs"], summary["against"]) == (False, "what is in force")

    new = {
        "name": "new",
        "formerly": "old",
        "process": {"shell": "true"},
        "timing": "run_immediately",
    }
    place.write("one.yaml", json.dumps(new))
    wait_until(lambda: place.events("runner.reloaded"))
    place.open_gate()
    (finished,) = place.await_finished("old")
    assert finished["status"] == "success"
    (reported,) = [record for record in place.records() if record.get("request") == "new"]
    assert (reported["event"], reported["message"]) == ("request.completed", "renamed from old")
    assert "1 renamed: old → new" in place.events("runner.reloaded")[0]["message"]
    assert not place.events("request.removed")
    place.stop(place.running[-1])

    place.declare("daily", "true", DAILY, top={"scheduled": False})
    place.declare("soon", "true", "run_immediately")
    place.write("one.yaml", json.dumps(new | {"reschedule": "again"}))
    found = items(place, "--live", code=3)
    assert kinds(found) == {"daily": "changed", "new": "changed", "soon": "added"}
    count = len(place.records())
    place.start()
    for item in found[:-1]:
        runs = len(item["runs"])
        assert not runs or len(place.await_finished(item["request"], count=runs)) == runs
    for item in found[:-1]:  # reports of the start precede the end of executions
        events = [
            record["event"]
            for record in place.records()[count:]
            if record.get("request") == item["request"]
        ]
        assert [event for event in events if event.startswith("request.")] == item["events"]
    assert items(place, "--live", code=0)[0]["kind"] == "summary"
