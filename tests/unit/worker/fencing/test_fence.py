"""When fenced executions have to end."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from support.executions_world import process

from runner.lifecycle import IfInterrupted
from runner.worker.fencing.fence import Fence, Fenced, is_fenced, now_s
from runner.worker.fencing.fence_file import read_fence, write_fence


def test_only_what_may_follow_itself_is_fenced() -> None:
    assert not is_fenced(process("plain", timeout=timedelta(seconds=1)))
    assert is_fenced(process("guarded", prevent_concurrent=True))
    assert is_fenced(process("rerun", if_interrupted=IfInterrupted.RERUN))


def test_an_execution_is_asked_at_half_of_the_time_and_killed_at_three_quarters() -> None:
    fence = Fence(supervisor=7, acknowledged_s=100.0, lost_after_s=300.0)
    assert (fence.term_at_s, fence.kill_at_s) == (250.0, 325.0)


def test_a_fence_is_read_as_it_was_written(tmp_path: Path) -> None:
    fence = Fence(
        supervisor=7,
        acknowledged_s=now_s(),
        lost_after_s=120.0,
        executions=(
            Fenced(execution="a", stop_signal=15),
            Fenced(execution="b", stop_signal=2, pid=12, pid_started=34),
        ),
    )
    write_fence(tmp_path, fence)
    write_fence(tmp_path, fence)
    assert read_fence(tmp_path) == fence
    assert [path.name for path in tmp_path.iterdir()] == ["fence.json"]
