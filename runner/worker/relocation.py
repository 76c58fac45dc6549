"""An execution's paths on this machine. Pure.

The leader names the paths inside its jobs folder as they are on its machine. Each worker
has the folder at a place of its own.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePath

from runner.service.executions.execution import Execution


def here(execution: Execution, theirs: str | None, own: str) -> Execution:
    """Return an execution whose paths in the leader's jobs folder are in this one's own.

    `theirs` and `own` are those folders; `theirs` is None if nobody knows it. Other paths
    stay as they are.
    """
    if theirs in (None, own):
        return execution
    process = execution.process
    moved = replace(
        process,
        directory=_moved(process.directory, theirs, own),
        environment_files=tuple(_moved(each, theirs, own) for each in process.environment_files),
    )
    return replace(execution, claim=replace(execution.claim, process=moved))


def _moved(path: str, theirs: str, own: str) -> str:
    inside = PurePath(path)
    return str(own / inside.relative_to(theirs)) if inside.is_relative_to(theirs) else path
