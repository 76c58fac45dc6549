"""The paths of an execution on a worker's machine."""

from __future__ import annotations

from pathlib import Path

from support.worker_world import row_for

from runner.requests.model import Process
from runner.service.executions.execution import execution_of
from runner.worker.relocation import here

ROW = row_for(
    "0190f3",
    "true",
    directory="/etc/jobs.d/erp",
    environment_files=("/etc/jobs.d/a.env", "/etc/b.env", "/etc/jobs.d.env"),
)


def moved(theirs: str | None) -> Process:
    return here(execution_of(ROW, Path("/outputs")), theirs, "/srv/jobs").process


def test_paths_in_the_leaders_jobs_folder_are_in_the_workers_own_and_others_stay() -> None:
    process = moved("/etc/jobs.d")
    assert process.directory == "/srv/jobs/erp"
    assert process.environment_files == ("/srv/jobs/a.env", "/etc/b.env", "/etc/jobs.d.env")


def test_with_the_same_or_an_unknown_folder_nothing_moves() -> None:
    assert moved("/srv/jobs") == moved(None) == execution_of(ROW).process
