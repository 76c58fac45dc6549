"""Takes over the executions that a former runner left in the store. Touches processes.

After kill -9 of the former runner its processes go on. If a process still runs, this
runner watches it to its end, and the execution keeps its guard. Its exit code stays
unknown, because only its parent could collect it. But a condition that still runs reports
its answer in a file that this runner can open. After `runner restart` this process still
is the parent.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from runner.execution.executor import Elsewhere, Executor
from runner.execution.trees.watched import FormerExecution, ProcessId
from runner.service.executions.dispatching.group_timeouts import GroupTimeouts
from runner.service.executions.dispatching.progress import Progress
from runner.service.executions.execution import Execution, time_left_s
from runner.service.executions.in_progress import InProgress
from runner.service.executions.outcomes import LOST, LOST_AT_START, NEVER_STARTED, Outcome
from runner.store.rows import Phase
from runner.system.clock import Clock


class Adoption:
    """Decides what becomes of each inherited execution: it waits, is watched, or is over."""

    def __init__(
        self,
        in_progress: InProgress,
        executor: Executor,
        progress: Progress,
        timeouts: GroupTimeouts,
        clock: Clock,
    ) -> None:
        self._in_progress = in_progress
        self._executor = executor
        self._progress = progress
        self._timeouts = timeouts
        self._clock = clock

    def take_over(
        self, executions: Iterable[Execution], *, is_same_boot: bool, latest_noted_start: datetime
    ) -> None:
        """Take over what a former runner left.

        A waiting execution goes on waiting, a process that still runs is watched, and
        what is under way elsewhere goes on, and any other execution is recorded as cut off.

        `latest_noted_start`: before each start the former runner noted when the execution
        was due, unless it had noted a later time. So an execution that is due later was
        never started. The note survives the runner, but perhaps not a reboot.
        """
        for execution in sorted(executions, key=_by_claim_to_guard):
            if execution.phase.is_before_start or execution.is_group:
                if self._in_progress.put(execution):
                    self._timeouts.begin(execution)
                continue
            match self._adopted(execution, is_same_boot):
                case ProcessId() as found:
                    self._watch(execution, found)
                case Elsewhere.UNDER_WAY:
                    self._in_progress.put(execution, is_ordered=True)
                    self._finish_stop(execution)
                case None:  # without a live process to adopt, the execution is over
                    may_have_started = not is_same_boot or execution.due <= latest_noted_start
                    self._progress.finish_cut_off(execution, _end_of(execution, may_have_started))

    def _watch(self, execution: Execution, found: ProcessId) -> None:
        is_new = execution.started is None
        running = replace(
            execution,
            phase=Phase.RUNNING,
            node=self._progress.node,
            pid=found.pid,
            pid_started=found.pid_started,
            started=self._clock.now() if is_new else execution.started,
            begun_s=found.begun_s,
        )
        self._progress.note_running(running, is_new=is_new)
        self._finish_stop(running)

    def _finish_stop(self, execution: Execution) -> None:
        """Stop an execution if the former runner died between the commit of that and the stop."""
        if execution.stopped_for is not None:
            self._executor.stop(execution.id, execution.stopped_for)

    def _adopted(self, execution: Execution, is_same_boot: bool) -> ProcessId | Elsewhere | None:
        """Find the process of an execution and watch it; return None if it has ended."""
        process = execution.process
        return self._executor.adopt(
            FormerExecution(
                execution=execution.id,
                pid=execution.pid,
                pid_started=execution.pid_started,
                is_same_boot=is_same_boot,
                stop_signal=process.stop_signal,
                stop_grace_s=process.stop_grace.total_seconds(),
                timeout_left_s=time_left_s(execution, self._clock.now()),
                output_file=execution.claim.output_file,
                output_limit=process.output_limit,
                has_condition=process.condition is not None,
            )
        )


def _end_of(execution: Execution, may_have_started: bool) -> Outcome:
    """Return how an execution without a live process ended.

    The phase STARTING alone leaves it open: the former runner may have died before or
    after the spawn.
    """
    if execution.phase is Phase.RUNNING:
        return LOST
    return LOST_AT_START if may_have_started else NEVER_STARTED


def _by_claim_to_guard(execution: Execution) -> tuple[bool, bool, bool, str]:
    """Return a sort key that restores guards and groups in the order in which they arose.

    Running executions come before waiting ones, because they held the guards. A group
    comes before its members. A further attempt comes before a first one, because a
    retry keeps its guard while it waits.
    """
    return (
        execution.phase.is_before_start,
        not execution.is_group,
        execution.claim.attempt == 1,
        execution.id,
    )
