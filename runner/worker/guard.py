"""Keeps the fence in force, and ends the fenced executions if this worker is cut off.

The supervisor does the same from outside, for a worker that cannot. Touches the fence and
processes.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from loguru import logger

from runner.errors import StoreUnwritableError
from runner.execution.executor import ExecutionEvent
from runner.execution.trees.watched import Exit
from runner.lifecycle import Reason
from runner.worker.executions import Executions
from runner.worker.fencing.fence import Fence, now_s
from runner.worker.fencing.fence_file import read_fence
from runner.worker.fencing.supervision import Supervision
from runner.worker.settings import LOST_AFTER

_START_LOOK_S = 0.05


class Guard:
    """The fence of this worker. The loop calls `advance` in each turn."""

    def __init__(self, folder: Path, supervision: Supervision, executions: Executions) -> None:
        self._supervision = supervision
        self._executions = executions
        self._fence = Fence(
            supervisor=0, acknowledged_s=now_s(), lost_after_s=LOST_AFTER.total_seconds()
        )
        # The executions that a former process of this worker left go on counting from its
        # last heartbeat. After a reboot there are none.
        with suppress(OSError, ValueError, TypeError, KeyError):
            former = read_fence(folder)
            if former.acknowledged_s <= self._fence.acknowledged_s:
                self._fence = replace(former, supervisor=0, executions=())
        self._written: Fence | None = None
        self.trouble: str | None = None
        """Why the fence cannot be written, in words."""

    @property
    def is_in_force(self) -> bool:
        """Whether a supervisor watches over all fenced executions."""
        return self._supervision.is_ready and self._written == self._fence

    def acknowledge(self, sent_s: float, lost_after_s: float) -> None:
        """Note a heartbeat that the database acknowledged, and when it was sent.

        After a longer silence the leader may have begun what is fenced elsewhere, or be
        about to: end it even if this process stood still and did not notice in time.
        """
        if sent_s >= self._fence.kill_at_s:
            self._executions.stop_fenced(at_once=True)
        self._fence = replace(self._fence, acknowledged_s=sent_s, lost_after_s=lost_after_s)

    def advance(self) -> None:
        """Write the fence if it has changed, and end what is overdue."""
        if self._supervision.advance():
            logger.warning("the supervisor died; the executions that it watched over end")
            self._executions.stop_fenced(with_held=False)
        self._fence = replace(
            self._fence,
            supervisor=self._supervision.pid or 0,
            executions=self._executions.fenced,
        )
        self._write()
        now = now_s()
        if now >= self._fence.term_at_s and self._fence.executions:
            is_over = now >= self._fence.kill_at_s
            self._executions.stop_fenced(at_once=is_over)

    def judged(self, event: ExecutionEvent) -> ExecutionEvent:
        """Return an event; where the supervisor ended the execution, with that reason."""
        if not isinstance(event, Exit) or event.stopped_for is not None:
            return event
        is_fenced = any(each.execution == event.execution for each in self._fence.executions)
        is_due = is_fenced and now_s() >= self._fence.term_at_s
        return replace(event, stopped_for=Reason.RUNNER_LOST) if is_due else event

    def wait_s(self) -> float:
        """Return in how many seconds `advance` is due."""
        if not self._supervision.is_ready or self._written != self._fence:
            return _START_LOOK_S
        if not self._fence.executions:
            return LOST_AFTER.total_seconds()
        due = [at - now_s() for at in (self._fence.term_at_s, self._fence.kill_at_s)]
        return min((each for each in due if each > 0), default=_START_LOOK_S)

    def _write(self) -> None:
        if self._written == self._fence or self._supervision.pid is None:
            return
        try:
            self._supervision.watch(self._fence)
            self._written, self.trouble = self._fence, None
        except StoreUnwritableError as error:
            self.trouble = str(error)
