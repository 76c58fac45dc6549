"""Carries out what was committed: spawns, watches, stops and reaps executions. Touches
processes and output files.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial

from runner.execution.output import Identity, identity_of
from runner.execution.processes import Processes, SpawnError, Started
from runner.execution.spawn import open_output
from runner.lifecycle import Reason
from runner.service.clock import Clock
from runner.service.executions.adoption import Adoption
from runner.service.executions.claims import Claims
from runner.service.executions.execution import Execution
from runner.service.executions.group_timeouts import GroupTimeouts
from runner.service.executions.in_progress import InProgress
from runner.service.executions.launching import launch_of, needs_of
from runner.service.executions.outcomes import (
    STOPPED_BEFORE_START,
    Ended,
    spawn_failure,
    stopped,
)
from runner.service.executions.progress import Progress
from runner.service.executions.results import Results
from runner.service.executions.starts import Starts
from runner.service.journal import Journal
from runner.store.rows import Phase


class Dispatcher:
    """Moves executions from their commit to their end; `Progress` notes each step."""

    def __init__(
        self,
        in_progress: InProgress,
        processes: Processes,
        journal: Journal,
        results: Results,
        clock: Clock,
    ) -> None:
        self._in_progress = in_progress
        self._processes = processes
        self._starts = Starts(processes, clock)
        self._clock = clock
        self._progress = Progress(in_progress, journal, results, clock)
        self._timeouts = GroupTimeouts(clock)
        self._environment: Mapping[str, str] = dict(os.environ)

    @property
    def ended(self) -> list[Ended]:
        """The executions whose follow-up is still undecided; the next decision takes them."""
        return self._progress.ended

    def take_over(self, executions: Iterable[Execution], *, is_same_boot: bool) -> None:
        """Take over the executions that a former runner left in the store."""
        adoption = Adoption(
            self._in_progress, self._processes, self._progress, self._timeouts, self._clock
        )
        adoption.take_over(executions, is_same_boot=is_same_boot)

    def carry_out(self, claims: Claims) -> None:
        """Apply the committed decision to the table and the processes.

        Stops come last because they may name a new execution.
        """
        self._progress.ended.clear()
        for execution_id in claims.changes.left:
            self._timeouts.drop(execution_id)
        for execution in claims.changes.apply():
            self._timeouts.begin(execution)
        for execution_id, reason in claims.stops.items():
            self._stop(execution_id, reason)

    def take_overdue_groups(self) -> list[Execution]:
        """Return the groups whose timeout has passed. Each group is returned once."""
        overdue = map(self._in_progress.get, self._timeouts.take_overdue())
        return [group for group in overdue if group is not None]

    def still_overdue(self, groups: Iterable[Execution]) -> None:
        """Mark groups as overdue again, because the decision about them was not committed."""
        self._timeouts.put_back(groups)

    def next_deadline_s(self) -> float | None:
        """Return when the next group times out, in the clock's elapsed seconds."""
        return self._timeouts.next_s()

    def next_start_s(self) -> float | None:
        """Return when to look at a slow start again, in the clock's elapsed seconds."""
        return self._starts.next_s()

    def spawn(self, budget_s: float) -> None:
        """Start committed executions, oldest first, for about `budget_s` seconds."""
        for late in self._starts.late():
            execution = self._in_progress[late.execution]
            if late.started is None:
                self._progress.finish(execution, spawn_failure(late.failure))
            else:
                self._note_started(
                    execution, late.started, now=self._clock.now(), now_s=self._clock.elapsed_s()
                )
        until_s = self._clock.elapsed_s() + budget_s
        while self._in_progress.starting:
            self._spawn_one(self._in_progress[self._in_progress.starting.popleft()])
            if self._clock.elapsed_s() >= until_s:
                return

    def reap(self, descriptor: int) -> None:
        """Take the exit of the process behind a readable descriptor, and record its end."""
        if (exited := self._processes.reap(descriptor)) is not None:
            self._progress.finish_exited(exited)

    def stop_all(self, reason: Reason, *, at_once: bool = False) -> None:
        """Ask every running process to end, or kill it `at_once`.

        Executions that have not started yet are recorded as stopped and never start.
        """
        starting = self._in_progress.starting
        while starting:
            self._progress.finish(self._in_progress[starting.popleft()], STOPPED_BEFORE_START)
        for execution in self._in_progress:
            if self._starts.give_up(execution.id):
                self._progress.finish(execution, STOPPED_BEFORE_START)
            elif execution.phase is not Phase.RUNNING:
                continue
            elif execution.is_group:
                asked = replace(execution, stopped_for=execution.stopped_for or reason)
                self._in_progress.put(asked)
            elif at_once:
                self._processes.kill(execution.id, reason)
            else:
                self._processes.stop(execution.id, reason, now_s=self._clock.elapsed_s())

    def _stop(self, execution_id: str, reason: Reason) -> None:
        """Ask an execution to end; KILL follows after its grace period.

        A group ends with its member. A process that has not started yet is stopped
        after its start.
        """
        execution = self._in_progress.get(execution_id)
        if execution is None or execution.is_group:
            return
        if execution.phase is Phase.RUNNING:
            self._processes.stop(execution.id, reason, now_s=self._clock.elapsed_s())
        elif self._starts.give_up(execution.id):
            self._progress.finish(execution, stopped(execution, reason, execution.stopped_by))

    def _spawn_one(self, execution: Execution) -> None:
        try:
            execution = replace(execution, output=_created(execution.claim.output_file))
            prepare = partial(launch_of, execution, self._environment)
            # Before the start: the process may have ended by the time that the loop runs again.
            now, now_s = self._clock.now(), self._clock.elapsed_s()
            launched = self._starts.start(execution.id, needs_of(execution.process), prepare)
        except SpawnError as error:
            self._progress.finish(execution, spawn_failure(str(error)))
            return
        if launched is not None:
            self._note_started(execution, launched, now=now, now_s=now_s)
        else:
            self._in_progress.put(execution)

    def _note_started(
        self, execution: Execution, launched: Started, *, now: datetime, now_s: float
    ) -> None:
        running = replace(
            execution,
            phase=Phase.RUNNING,
            pid=launched.pid,
            pid_started=launched.pid_started,
            started=now,
            begun_s=now_s,
        )
        self._progress.note_running(running, is_new=True)
        if running.stopped_for is not None:
            self._processes.stop(running.id, running.stopped_for, now_s=self._clock.elapsed_s())


def _created(output_file: str) -> Identity:
    """Create an empty output file and return its identity. Raises SpawnError.

    The file exists before the process does, so the process cannot replace it unnoticed
    with another file for the runner to read.
    """
    descriptor = open_output(output_file)
    try:
        return identity_of(descriptor)
    finally:
        os.close(descriptor)
