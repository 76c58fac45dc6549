"""What `doctor` says of a store in PostgreSQL."""

from __future__ import annotations

from pathlib import Path

from support.postgres import execute

from runner.examination.database_checks import database_findings
from runner.examination.doctor_findings import DoctorFinding, Level
from runner.examination.subject import Subject


def _findings(folder: Path, url: str) -> list[DoctorFinding]:
    subject = Subject(
        jobs=folder / "jobs.d",
        state=folder / "state",
        url=url,
        monitor_log=folder / "monitor.jsonl",
        zone="UTC",
    )
    return list(database_findings(subject))


def test_a_database_that_may_forget_commits_is_a_problem(database_url: str, tmp_path: Path) -> None:
    (finding,) = _findings(tmp_path, database_url)  # the server of the tests is in a hurry
    assert finding.level is Level.PROBLEM
    assert "fsync is off" in finding.message


def test_a_database_without_tables_is_said_to_be_empty(
    empty_database_url: str, tmp_path: Path
) -> None:
    (finding,) = _findings(tmp_path, empty_database_url)
    assert finding.level is Level.OK
    assert "there is no store yet in postgresql://postgres@/test_" in finding.message


def test_a_database_that_cannot_be_used_is_a_problem_without_its_password(
    database_url: str, tmp_path: Path
) -> None:
    execute(database_url, "INSERT INTO schema_version (version) VALUES (99)")
    (newer,) = _findings(tmp_path, database_url)
    assert newer.level is Level.PROBLEM
    assert "has version 99" in newer.message
    (absent,) = _findings(tmp_path, "postgresql://me:s3cret@/runner?host=/nonexistent")
    assert absent.level is Level.PROBLEM
    assert "cannot be reached" in absent.message
    assert "s3cret" not in absent.message + str(absent)
