"""The paths of an execution on a worker's machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from support.worker_world import row_for

from runner.service.executions.execution import execution_of
from runner.worker.relocation import here


def test_relative_paths_are_below_the_workers_jobs_folder_and_absolute_ones_stay() -> None:
    row = row_for("0190f3", "true", environment_files=("a.env", "/etc/b.env"))
    execution = execution_of(row, Path("/outputs"))
    moved = here(execution, Path("/srv/jobs.d")).process
    assert (moved.directory, moved.environment_files) == (
        "/srv/jobs.d",
        ("/srv/jobs.d/a.env", "/etc/b.env"),
    )
    elsewhere = replace(
        execution,
        claim=replace(execution.claim, process=replace(execution.process, directory="/opt/erp")),
    )
    assert here(elsewhere, Path("/srv/jobs.d")).process.directory == "/opt/erp"
