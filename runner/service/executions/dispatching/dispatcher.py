"""Carries out what was committed: gives orders to the executor, and takes its events."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import assert_never

from runner.evolution import evolved
from runner.execution.executor import (
    Executor,
    Lost,
    NotStarted,
    Order,
    ProcessStarted,
    RemoteExit,
)
from runner.execution.trees.watched import Exit
from runner.lifecycle import Reason
from runner.service.executions.claiming.claims import Claims
from runner.service.executions.dispatching.adoption import Adoption
from runner.service.executions.dispatching.group_timeouts import GroupTimeouts
from runner.service.executions.dispatching.launching import launch_of, needs_of
from runner.service.executions.dispatching.progress import Progress
from runner.service.executions.dispatching.results import Results
from runner.service.executions.execution import Execution
from runner.service.executions.in_progress import InProgress
from runner.service.executions.outcomes import (
    STOPPED_BEFORE_START,
    Ended,
    Outcome,
    lost,
    spawn_failure,
    stopped,
)
from runner.service.recording.journal import Journal
from runner.store.rows import Phase
from runner.system.clock import Clock


class Dispatcher:
    """Moves executions from their commit to their end; `Progress` notes each step."""

    def __init__(
        self,
        in_progress: InProgress,
        executor: Executor,
        journal: Journal,
        results: Results,
        clock: Clock,
    ) -> None:
        self._in_progress = in_progress
        self._executor = executor
        self._journal = journal
        self._clock = clock
        self.is_local = executor.is_local
        """Whether processes run on this machine, as `Executor.is_local` says."""
        self._progress = Progress(in_progress, journal, results, clock, is_local=self.is_local)
        self.timeouts = GroupTimeouts(in_progress, clock)
        self._environment: Mapping[str, str] = dict(os.environ)

    @property
    def ended(self) -> list[Ended]:
        """The executions whose follow-up is still undecided; the next decision takes them."""
        return self._progress.ended

    @property
    def started(self) -> list[Execution]:
        """The executions whose process started since the last decision."""
        return self._progress.started

    def take_over(
        self,
        executions: Iterable[Execution],
        *,
        is_same_boot: bool,
        latest_noted_start: datetime,
    ) -> None:
        """Take over the executions that a former runner left, as `Adoption` does."""
        adoption = Adoption(
            self._in_progress, self._executor, self._progress, self.timeouts, self._clock
        )
        adoption.take_over(
            executions, is_same_boot=is_same_boot, latest_noted_start=latest_noted_start
        )

    def carry_out(self, claims: Claims) -> None:
        """Apply the committed decision to the table and the executor.

        Stops come last because they may name a new execution.
        """
        self._progress.ended.clear()
        self._progress.started.clear()
        for execution_id in claims.changes.left:
            self.timeouts.drop(execution_id)
        for execution in claims.changes.apply():
            self.timeouts.begin(execution)
        for execution_id, reason in claims.stops.items():
            self._stop(execution_id, reason)

    def start_committed(self) -> None:
        """Order the start of committed executions whose time has come, oldest first."""
        self._in_progress.release_claimed_ahead(self._clock.elapsed_s())
        starting = self._in_progress.starting
        while starting:
            execution = self._in_progress[starting.popleft()]
            self._journal.note_start(execution.due)
            self._executor.start(
                Order(
                    execution=execution.id,
                    needs=needs_of(execution.process),
                    prepare=partial(launch_of, execution, self._environment),
                )
            )

    def take_events(self) -> None:
        """Take and note what has become of orders and processes."""
        for event in self._executor.events():
            match event:
                case ProcessStarted():
                    self._note_started(event)
                case NotStarted():
                    execution = self._in_progress[event.execution]
                    self._progress.finish(execution, _unstarted(execution, event.why))
                case Exit():
                    self._progress.finish_exited(event)
                case RemoteExit():
                    self._progress.finish_remote(event)
                case Lost():
                    execution = self._in_progress[event.execution]
                    self._progress.finish_cut_off(execution, lost(event))
                case _:
                    assert_never(event)

    def drop_held(self) -> None:
        """Record the executions that wait for their time as stopped; they never start."""
        for execution in list(self._in_progress.claimed_ahead):
            self._progress.finish(self._in_progress[execution], STOPPED_BEFORE_START)

    def stop_all(self, reason: Reason, *, at_once: bool = False) -> None:
        """Ask every running process to end, or kill it `at_once`.

        Executions that have not started yet are recorded as stopped and never start.
        """
        starting = self._in_progress.starting
        while starting:
            self._progress.finish(self._in_progress[starting.popleft()], STOPPED_BEFORE_START)
        for execution in self._in_progress:
            if execution.phase.is_before_start:
                continue
            if execution.is_group:
                asked = replace(execution, stopped_for=execution.stopped_for or reason)
                self._in_progress.put(asked)
            else:
                self._executor.stop(execution.id, reason, at_once=at_once)

    def _stop(self, execution_id: str, reason: Reason) -> None:
        """Ask an execution to end; KILL follows after its grace period.

        A group ends with its member. A process that has not started yet never starts.
        """
        execution = self._in_progress.get(execution_id)
        if execution is None or execution.is_group:
            return
        self.start_committed()
        self._executor.stop(execution.id, reason)

    def _note_started(self, began: ProcessStarted) -> None:
        running = evolved(
            self._in_progress[began.execution],
            phase=Phase.RUNNING,
            node=began.node or self._progress.node,
            pid=began.process.pid,
            pid_started=began.process.pid_started,
            started=began.at,
            begun_s=began.at_s,
            output=began.output,
        )
        self._progress.note_running(running, is_new=True)


def _unstarted(execution: Execution, why: str | None) -> Outcome:
    """Return the outcome of an execution that never started; `why` is as in `NotStarted`."""
    if why is not None:
        return spawn_failure(why)
    if execution.stopped_for is None:
        return STOPPED_BEFORE_START
    return stopped(execution, execution.stopped_for, execution.stopped_by)
