"""The requests in jobs.d do what their descriptions say.

Their own lines run under /bin/sh in an empty home.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.resources import example_files

JOBS = Path(__file__).parents[2] / "jobs.d"
MODELINE = "# yaml-language-server: $schema=../schemas/process-request.schema.json"
STATE = Path(".local/state/runner-examples")


def example(name: str) -> dict[str, Any]:
    document = yaml.safe_load((JOBS / f"{name}.yaml").read_text())
    assert isinstance(document, dict)
    return document


EXAMPLES = {path.stem: example(path.stem) for path in example_files()}
TESTED = {
    "welcome",
    "disk-usage",
    "disk-alarm",
    "load-history",
    "backup",
    "big-folders",
    "month-end",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A home folder, and a copy of jobs.d to run the examples in."""

    home: Path
    jobs: Path

    def run(self, name: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run an example's process as Runner does, apart from the given variables."""
        process = EXAMPLES[name]["process"]
        arguments = process.get("command") or ["/bin/sh", "-c", process["shell"]]
        declared: dict[str, str] = process.get("environment", {})
        surrounding = {"PATH": os.environ["PATH"], "HOME": str(self.home)}
        return subprocess.run(
            arguments,
            cwd=self.jobs,
            env=surrounding | declared | environment,
            capture_output=True,
            text=True,
            timeout=30,
        )

    def output(self, name: str, **environment: str) -> str:
        run = self.run(name, **environment)
        assert (run.returncode, run.stderr) == (0, "")
        return run.stdout


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    (tmp_path / "home with space").mkdir()
    (tmp_path / "jobs.d").mkdir()
    for path in example_files():
        shutil.copy(path, tmp_path / "jobs.d")
    return Machine(home=tmp_path / "home with space", jobs=tmp_path / "jobs.d")


def test_each_example_is_run_by_a_test_here() -> None:
    references = {name for name, document in EXAMPLES.items() if "request" in document["process"]}
    assert set(EXAMPLES) == TESTED | references
    assert {EXAMPLES[name]["process"]["request"] for name in references} <= TESTED


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_example_is_short_and_begins_with_its_schema(name: str) -> None:
    lines = (JOBS / f"{name}.yaml").read_text().splitlines()
    assert lines[0] == MODELINE
    assert len(lines) <= 25
    assert re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name)


def test_the_examples_show_every_timing_and_most_frequencies() -> None:
    timings = [document["timing"] for document in EXAMPLES.values()]
    assert "run_immediately" in timings
    assert any("run_later" in timing for timing in timings)
    frequencies = {timing["schedule"]["frequency"] for timing in timings if "schedule" in timing}
    assert frequencies == {"minutely", "hourly", "daily", "weekly", "monthly", "cron"}


def test_welcome_prints_the_machines_name_and_its_execution_id(machine: Machine) -> None:
    greeting = machine.output("welcome", RUNNER_EXECUTION_ID="0198c0de")
    assert greeting.startswith(f"Hello from {os.uname().nodename}. This is execution 0198c0de.\n")
    assert "(by hand)" in machine.output("welcome")


def test_disk_usage_reports_the_root_file_system(machine: Machine) -> None:
    assert re.search(r"\d+% +/$", machine.output("disk-usage"), re.MULTILINE)


def test_disk_alarm_fails_only_above_its_limit(machine: Machine) -> None:
    assert re.fullmatch(
        r"/ is \d+% full, the limit is 101%\n", machine.output("disk-alarm", LIMIT_PERCENT="101")
    )
    alarm = machine.run("disk-alarm", LIMIT_PERCENT="0")
    assert alarm.returncode == 1
    assert "the limit is 0%" in alarm.stdout


def test_load_history_appends_a_line_and_keeps_a_thousand(machine: Machine) -> None:
    history = machine.home / STATE / "load.csv"
    line = machine.output("load-history")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ(,\d+\.\d\d){3}\n", line)
    assert history.read_text() == line
    history.write_text("".join(f"old {number}\n" for number in range(1000)))
    newest = machine.output("load-history")
    lines = history.read_text().splitlines(keepends=True)
    assert (len(lines), lines[0], lines[-1]) == (1000, "old 1\n", newest)


def archives(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_backup_makes_an_archive_of_its_folder_that_can_be_read_back(
    machine: Machine, tmp_path: Path
) -> None:
    said = machine.output("backup")
    backups = machine.home / STATE / "backups"
    (name,) = archives(backups)
    assert re.fullmatch(r"backup-\d{4}-\d\d-\d\d-\d{6}\.tar\.gz", name)
    assert name in said
    restored = {}
    with tarfile.open(backups / name) as archive:
        for member in archive:
            if (file := archive.extractfile(member)) is not None:
                restored[Path(member.name).name] = file.read()
    assert restored == {path.name: path.read_bytes() for path in machine.jobs.iterdir()}


def test_backup_prunes_only_the_oldest_archives(machine: Machine, tmp_path: Path) -> None:
    to = tmp_path / "elsewhere"
    to.mkdir()
    for year in range(2001, 2006):
        (to / f"backup-{year}-01-01-020000.tar.gz").touch()
    (to / "notes.txt").touch()
    said = machine.output("backup", BACKUP_TO=str(to), BACKUP_KEEP="3")
    assert archives(to)[:2] == [f"backup-{year}-01-01-020000.tar.gz" for year in (2004, 2005)]
    assert archives(to)[3:] == ["notes.txt"]
    assert len(re.findall(r"^pruned ", said, re.MULTILINE)) == 3


def test_backup_of_a_home_does_not_pack_its_own_archives(machine: Machine) -> None:
    (machine.home / "letter.txt").write_text("Dear")
    earlier = machine.home / STATE / "backups" / "backup-2001-01-01-020000.tar.gz"
    earlier.parent.mkdir(parents=True)
    earlier.write_bytes(gzip.compress(b"large"))
    machine.output("backup", BACKUP_FROM=str(machine.home))
    newest = earlier.parent / archives(earlier.parent)[-1]
    with tarfile.open(newest) as archive:
        names = {Path(name).name for name in archive.getnames()}
    assert "letter.txt" in names
    assert not {name for name in names if name.endswith(".gz")}


def test_a_failed_backup_is_an_error_and_keeps_the_former_archives(
    machine: Machine, tmp_path: Path
) -> None:
    to = tmp_path / "elsewhere"
    to.mkdir()
    (to / "backup-2001-01-01-020000.tar.gz").touch()
    failed = machine.run("backup", BACKUP_FROM="missing", BACKUP_TO=str(to), BACKUP_KEEP="1")
    assert failed.returncode != 0
    assert "missing" in failed.stderr
    assert "backup-2001-01-01-020000.tar.gz" in archives(to)


def test_big_folders_lists_the_biggest_first_and_at_most_twenty(machine: Machine) -> None:
    (machine.home / "letter.txt").write_bytes(
        b"Dear" * 5000
    )  # on file systems where folders have size 0, the home does not tie
    for number in range(25):
        (machine.home / f"folder {number}").mkdir()
    (machine.home / "folder 7" / "film").write_bytes(os.urandom(300_000))
    title, first, second, *others = machine.output("big-folders").splitlines()
    assert title == f"Biggest folders in {machine.home}, in KiB:"
    assert first.endswith(str(machine.home))
    assert second.endswith("folder 7")
    assert int(second.split()[0]) >= 293
    assert len(others) == 18


def test_month_end_lists_the_existing_backups_in_its_report(machine: Machine) -> None:
    machine.output("backup")
    said = machine.output("month-end", RUNNER_SCHEDULED_FOR="2026-01-30T16:30:00.000000Z")
    (report,) = (machine.home / STATE / "reports").iterdir()
    assert re.fullmatch(r"month-end-\d{4}-\d\d\.txt", report.name)
    assert report.read_text() == said
    assert "due 2026-01-30T16:30:00.000000Z" in said
    assert re.search(r"\d+% +/$", said, re.MULTILINE)
    assert re.search(r"backup-[\d-]+\.tar\.gz$", said, re.MULTILINE)


def test_month_end_without_backups_still_writes_its_report(machine: Machine) -> None:
    assert machine.output("month-end").endswith("Backups:\nnone yet\n")
