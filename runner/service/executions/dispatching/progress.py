"""Notes what becomes of executions: in the table, and as facts for the next commit."""

from __future__ import annotations

import socket
from datetime import timedelta

from runner.execution.executor import Measured, RemoteExit
from runner.execution.output import read_tail
from runner.execution.trees.watched import Exit
from runner.lifecycle import IfInterrupted, Reason
from runner.service.executions.dispatching.results import Results
from runner.service.executions.execution import Execution, row_of
from runner.service.executions.execution_records import finished_record, started_record
from runner.service.executions.in_progress import InProgress
from runner.service.executions.outcomes import OUTLIVED, Ended, Outcome, outcome_of
from runner.service.recording.journal import Journal
from runner.system.clock import Clock


class Progress:
    """Notes that executions run, and how they ended. Reads the ends of output files.

    `ended` are the executions whose follow-up is still undecided. The next decision
    takes them and commits each end together with what follows it: a crash in between
    would lose a retry. It takes `started`, the processes that began to run, in the same way.
    """

    def __init__(
        self,
        in_progress: InProgress,
        journal: Journal,
        results: Results,
        clock: Clock,
        *,
        is_local: bool,
    ) -> None:
        """`is_local`: the output files of executions are on this machine."""
        self.ended: list[Ended] = []
        self.started: list[Execution] = []
        self._in_progress = in_progress
        self._journal = journal
        self._clock = clock
        self._results = results
        self._is_local = is_local
        self.node = socket.gethostname()
        """The name of this machine."""

    def note_running(self, execution: Execution, *, is_new: bool) -> None:
        """Note that the process of an execution runs; record the start if it `is_new`."""
        self._in_progress.put(execution)
        self._journal.note_running(row_of(execution))
        if is_new:
            assert execution.started is not None
            record = started_record(execution, is_local=self._is_local)
            self._journal.record(record, execution.started)
            self.started.append(execution)

    def finish_exited(self, exited: Exit) -> None:
        """Note the end of a process that was watched."""
        execution = self._in_progress[exited.execution]
        is_adopted = execution.begun_s is None
        self.finish(execution, self._outcome_of(execution, exited, is_adopted=is_adopted))

    def finish_remote(self, end: RemoteExit) -> None:
        """Note the end of a process on another machine."""
        execution = self._in_progress[end.exited.execution]
        outcome = self._outcome_of(execution, end.exited, is_adopted=end.is_adopted)
        self.finish(execution, outcome, end.measured)

    def finish(
        self, execution: Execution, outcome: Outcome, measured: Measured | None = None
    ) -> None:
        """Note the end of an execution: free its guard, and record how it ended.

        What another machine has not `measured`, this one measures.
        """
        self._in_progress.leave(execution.id)
        ended = self._measured(execution, outcome) if measured is None else measured
        record = finished_record(
            execution,
            outcome,
            ended=ended.ended,
            duration=ended.duration,
            tail=ended.tail,
            is_local=self._is_local,
        )
        line = self._journal.record(record, self._clock.now())
        self._results.note_finished(record.fields)
        self._journal.note_ended(execution.id)
        self.ended.append(Ended(execution=execution, outcome=outcome, line=line))

    def finish_cut_off(self, execution: Execution, outcome: Outcome) -> None:
        """Note the end of an execution that a restart cut off."""
        self.finish(execution, outcome)
        if not self._is_rerun(execution):
            self._results.note_cut_off(execution)

    def _measured(self, execution: Execution, outcome: Outcome) -> Measured:
        # An execution lost at its start may have run, so its output is looked for too.
        has_run = execution.started is not None or outcome.reason is Reason.RUNNER_LOST
        has_file = has_run and self._is_local
        tail = read_tail(execution.claim.output_file, only=execution.output) if has_file else None
        duration = None
        if execution.begun_s is not None:
            # The monotonic clock times a process of this runner: nobody can set it.
            duration = timedelta(seconds=self._clock.elapsed_s() - execution.begun_s)
        return Measured(ended=self._clock.now(), duration=duration, tail=tail)

    def _outcome_of(self, execution: Execution, exited: Exit, *, is_adopted: bool) -> Outcome:
        # The exit code of an adopted process is unknown: only its parent can collect it,
        # and the parent was the former runner. The report of a condition outlives it.
        is_known = exited.stopped_for is not None or exited.condition is not None
        if not is_adopted or is_known:
            return outcome_of(execution, exited)
        # A process that outlived its runner is not run again itself, so a one-time request
        # is marked as cut off, unless its group runs again.
        group = self._in_progress.get(execution.claim.group or "")
        if group is None or not self._is_rerun(group):
            self._results.note_cut_off(execution)
        return OUTLIVED

    def _is_rerun(self, execution: Execution) -> bool:
        """Return whether a cut-off execution, or a group around it, will run again."""
        while execution.process.if_interrupted is not IfInterrupted.RERUN:
            group = self._in_progress.get(execution.claim.group or "")
            if group is None:
                return False
            execution = group
        return True
