"""`runner validate` as a person and a pipeline use it."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result
from support.place import Place, wait_until

from runner.cli.group import cli

GOOD = "process: {shell: x}\n"
LONG_S = 60
BROKEN = "process: {shell: x}\ntiming: {schedule: {frequency: dayly}}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a folder whose jobs.d has a good and a broken file, and return it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    jobs = tmp_path / "jobs.d"
    jobs.mkdir()
    (jobs / "good.yaml").write_text(GOOD)
    (jobs / "broken.yaml").write_text(BROKEN)
    return tmp_path


def validate(*arguments: str, color: bool = False) -> Result:
    return CliRunner().invoke(cli, ["validate", *arguments], color=color)


def test_a_problem_is_shown_with_its_line_its_place_and_its_fix(folder: Path) -> None:
    done = validate()
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        "jobs.d/broken.yaml:2:32: `frequency` should be one of secondly, minutely, "
        "hourly, daily, weekly, monthly, "
        'cron, not "dayly"',
        " 2 | timing: {schedule: {frequency: dayly}}",
        "   |                                ^",
        "    did you mean `daily`?",
    ]
    assert done.stderr == "2 files: 1 valid request, 1 problem\n"


def test_colours_are_for_terminals_and_no_color_is_respected(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "\x1b[" in validate(color=True).stdout
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in validate(color=True).stdout


def test_the_exit_code_is_the_same_in_each_output_form(folder: Path) -> None:
    for form in ("text", "json", "github", "sarif", "junit"):
        assert validate("jobs.d/good.yaml", "-o", form).exit_code == 0
        assert validate("-o", form).exit_code == 1
    assert validate("-o", "xml").exit_code == 2
    missing = subprocess.run(
        [sys.executable, "-m", "runner", "validate", "nowhere"],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (missing.returncode, missing.stdout) == (2, "")
    assert missing.stderr == "runner: there is no nowhere; --jobs or PATH names the jobs folder\n"


def test_pipelines_get_data_on_stdout_and_nothing_else(folder: Path) -> None:
    (result,) = json.loads(validate("-o", "sarif").stdout)["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "jobs.d/broken.yaml"},
        "region": {"startLine": 2, "startColumn": 32},
    }
    cases = ElementTree.fromstring(validate("-o", "junit").stdout).iter("testcase")
    assert {case.get("name"): len(case) for case in cases} == {
        "jobs.d/broken.yaml": 1,
        "jobs.d/good.yaml": 0,
    }
    assert validate("-o", "github").stdout.startswith(
        "::error file=jobs.d/broken.yaml,line=2,col=32,"
    )


def test_given_files_are_read_with_their_neighbours_and_only_their_problems_are_shown(
    folder: Path,
) -> None:
    (folder / "jobs.d" / "twin.yaml").write_text(f"name: good\n{GOOD}")
    (folder / "jobs.d" / "refers.yaml").write_text("process: {request: good}\n")
    done = validate("jobs.d/twin.yaml", "jobs.d/refers.yaml", "-o", "json")
    (problem,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert (problem["file"], problem["line"], problem["column"]) == ("jobs.d/twin.yaml", 1, 7)
    assert "taken by jobs.d/good.yaml:1" in problem["message"]


def test_the_console_and_show_point_at_the_place_too(place: Place) -> None:
    place.write("broken.yaml", BROKEN)
    runner = place.start()
    caret = "   |                                ^"
    wait_until(lambda: caret in place.console().splitlines(), what=caret)
    shown = place.run("show", "broken").stdout
    assert place.stop(runner) == 0
    assert caret.strip() in shown


@pytest.mark.timeout(3 * LONG_S)
def test_a_large_folder_has_a_bar_on_a_terminal(tmp_path: Path) -> None:
    jobs = tmp_path / "jobs.d"
    jobs.mkdir()
    for number in range(1_000):
        (jobs / f"{number}.yaml").write_text(GOOD)
    controller, terminal = pty.openpty()
    command = [
        sys.executable,
        "-m",
        "runner",
        "validate",
        "--jobs",
        str(jobs),
        "--state",
        str(tmp_path),
    ]
    done = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=terminal)
    os.close(terminal)
    seen, until_s = b"", time.monotonic() + LONG_S
    while select.select([controller], [], [], max(0.0, until_s - time.monotonic()))[0]:
        try:
            seen += os.read(controller, 1 << 16)
        except OSError:  # the other end is closed
            break
    os.close(controller)
    assert done.communicate(timeout=LONG_S)[0] == b""
    assert done.returncode == 0
    assert b"reading" in seen
    assert b"100%" in seen
    assert seen.endswith(b"1,000 requests, all valid\r\n")
