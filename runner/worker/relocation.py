"""An execution's paths on this machine. Pure.

The leader writes paths inside its jobs folder relative to that folder. Each worker has the
folder at a place of its own.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from runner.service.executions.execution import Execution


def here(execution: Execution, jobs: Path) -> Execution:
    """Return an execution whose relative paths are below the jobs folder `jobs`.

    Absolute paths stay as they are.
    """
    process = execution.process
    moved = replace(
        process,
        directory=str(jobs / process.directory),
        environment_files=tuple(str(jobs / each) for each in process.environment_files),
    )
    return replace(execution, claim=replace(execution.claim, process=moved))
