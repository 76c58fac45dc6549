"""Which supervisor is in charge of a fence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runner.worker.fencing.fence import Fence, Fenced, now_s
from runner.worker.fencing.fence_file import write_fence
from runner.worker.fencing.supervisor import Supervisor

RUNNING = Fenced(execution="0" * 32, stop_signal=15)


def name(folder: Path, supervisor: int, *executions: Fenced) -> None:
    """Name the supervisor of a fence whose executions have long to go."""
    fence = Fence(
        supervisor=supervisor, acknowledged_s=now_s(), lost_after_s=300.0, executions=executions
    )
    write_fence(folder, fence)


def test_a_supervisor_waits_to_be_named_and_leaves_when_another_one_is(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    assert supervisor.look() is not None, "there is no fence yet"
    for other in (os.getppid(), os.getppid()):
        name(tmp_path, other)
        assert supervisor.look() is not None, "the worker has not named it yet"
    name(tmp_path, os.getpid())
    assert supervisor.look() is not None
    name(tmp_path, os.getppid())
    assert supervisor.look() is None


@pytest.mark.parametrize("named", [os.getpid(), os.getppid()], ids=["named", "other"])
def test_a_supervisor_without_a_worker_leaves_if_it_has_nothing_to_watch(
    tmp_path: Path, named: int
) -> None:
    supervisor = Supervisor(tmp_path)
    name(tmp_path, named, RUNNING)
    assert supervisor.look() is not None
    supervisor.is_alone = True
    assert supervisor.look() is None, "it is not named, or the execution has no process"
