"""Carries out what was committed: spawns, watches, stops and reaps executions.

It puts the resulting facts into the journal, for the next commit. Touches processes and
output files.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from runner.execution.deadlines import Deadlines
from runner.execution.output import Identity, identity_of, read_tail
from runner.execution.processes import Exit, Processes, SpawnError, Started
from runner.execution.spawn import open_output
from runner.lifecycle import IfInterrupted, Reason
from runner.service.clock import Clock
from runner.service.executions.claims import Claims, Ended
from runner.service.executions.execution import Execution, row_of
from runner.service.executions.execution_records import finished_record, started_record
from runner.service.executions.in_progress import Book
from runner.service.executions.launching import launch_of, needs_of
from runner.service.executions.outcomes import (
    LOST,
    LOST_AT_START,
    OUTLIVED,
    STOPPED_BEFORE_START,
    Outcome,
    outcome_of,
    spawn_failure,
    stopped,
)
from runner.service.executions.starts import Starts
from runner.service.journal import Journal
from runner.store.rows import Phase

Lost = Callable[[Execution], None]
Noted = Callable[[Mapping[str, Any]], None]


class Dispatcher:
    """Moves executions from their commit to their end.

    It calls `lost` with each execution that a restart has cut off, and `noted` with the
    fields of each `execution.finished` record.

    `ended` are the executions whose follow-up is still undecided. The next decision
    takes them and commits each end together with what follows it: a crash in between
    would lose a retry.
    """

    def __init__(
        self,
        book: Book,
        processes: Processes,
        journal: Journal,
        clock: Clock,
        *,
        lost: Lost,
        noted: Noted,
    ) -> None:
        self.ended: list[Ended] = []
        self._book = book
        self._processes = processes
        self._starts = Starts(processes, clock)
        self._journal = journal
        self._clock = clock
        self._lost = lost
        self._noted = noted
        self._left_over: set[str] = set()
        self._adopted: set[str] = set()
        self._begun_s: dict[str, float] = {}
        self._outputs: dict[str, Identity] = {}
        self._stop_when_started: dict[str, Reason] = {}
        self._groups = Deadlines()
        self._environment: Mapping[str, str] = dict(os.environ)

    def resume_all(self, executions: Iterable[Execution], *, is_same_boot: bool) -> None:
        """Take over the executions that a former runner left in the store.

        A waiting execution goes on waiting, a process that still runs is watched, and
        any other execution is recorded as cut off. After a reboot no process survives,
        and another program may have the same process id: nothing is watched then.
        """
        for execution in sorted(executions, key=_by_claim_to_guard):
            self._left_over.add(execution.id)
            if execution.phase is Phase.WAITING or execution.is_group:
                self._book.enter(execution)
                self._begin_group(execution)
            else:
                self._resume(execution, is_same_boot=is_same_boot)

    def carry_out(self, claims: Claims) -> None:
        """Apply the committed decision to the book and the processes.

        The order matters: an execution that ended must free its guard before a released
        or new one takes it, and stops come last because they may name a new execution.
        """
        self.ended.clear()
        self._left_over |= claims.foreign
        for execution_id in claims.left:
            self._groups.drop(execution_id)
            self._book.leave(execution_id)
        for execution in claims.released.values():
            self._book.release(execution)
            self._begin_group(execution)
        for execution in claims.entered.values():
            self._book.enter(execution)
            self._begin_group(execution)
        for execution in claims.shifted.values():
            self._book.delay(execution)
        for stop in claims.stops.values():
            self.stop(stop.execution, stop.reason, by=stop.by)

    def overdue_groups(self) -> list[Execution]:
        """Return the groups whose timeout has passed. Each group is returned once."""
        due = self._groups.take(self._clock.elapsed_s())
        return [self._book[group] for group in due if group in self._book]

    def still_overdue(self, groups: Iterable[Execution]) -> None:
        """Mark groups as overdue again, because the decision about them was not committed."""
        for group in groups:
            self._groups.set(group.id, self._clock.elapsed_s())

    def next_deadline_s(self) -> float | None:
        """Return when the next group times out, in the clock's elapsed seconds."""
        return self._groups.next_s()

    def next_start_s(self) -> float | None:
        """Return when to look at a slow start again, in the clock's elapsed seconds."""
        return self._starts.next_s()

    def running_names(self) -> list[str]:
        """Return the names of the executions that have started or are about to start.

        The list names a group's member instead of the group.
        """
        return [
            each.name
            for each in self._book
            if each.phase is not Phase.WAITING and not each.is_group
        ]

    def is_own(self, execution: Execution) -> bool:
        """Return whether this runner claimed the execution, rather than a former one."""
        return execution.id not in self._left_over

    def spawn(self, budget_s: float) -> None:
        """Start committed executions, oldest first, for about `budget_s` seconds."""
        for late in self._starts.late():
            if late.started is None:
                self._fail_to_start(late.execution, late.failure)
            else:
                self._note_started(
                    self._book[late.execution],
                    late.started,
                    now=self._clock.now(),
                    now_s=self._clock.elapsed_s(),
                )
        until_s = self._clock.elapsed_s() + budget_s
        while self._book.starting:
            self._spawn_one(self._book[self._book.starting.popleft()])
            if self._clock.elapsed_s() >= until_s:
                return

    def reap(self, descriptor: int) -> None:
        """Take the exit of the process behind a readable descriptor, and record its end."""
        exited = self._processes.reap(descriptor)
        if exited is None:
            return
        execution = self._book.leave(exited.execution)
        self._finish(execution, self._outcome(execution, exited))

    def stop(self, execution: str, reason: Reason, *, by: str | None = None) -> None:
        """Ask an execution to end; KILL follows after its grace period.

        A group ends with its member. A process that has not started yet is stopped
        after its start.
        """
        if execution not in self._book:
            return
        if self._book[execution].stopped_for is None:
            self._book.update(replace(self._book[execution], stopped_by=by, stopped_for=reason))
        if self._book[execution].is_group:
            self._book.stopping.setdefault(execution, reason)
        elif self._book[execution].phase is Phase.RUNNING:
            self._processes.stop(execution, reason, now_s=self._clock.elapsed_s())
        elif self._starts.give_up(execution):
            self._finish(self._book[execution], stopped(self._book[execution], reason, by))
            self._book.leave(execution)
        else:
            self._stop_when_started[execution] = reason

    def stop_all(self, reason: Reason, *, at_once: bool = False) -> None:
        """Ask every running process to end, or kill it `at_once`.

        Executions that have not started yet are recorded as stopped and never start.
        """
        while self._book.starting:
            self._finish(self._book.leave(self._book.starting.popleft()), STOPPED_BEFORE_START)
        for execution in self._book:
            if self._starts.give_up(execution.id):
                self._finish(self._book.leave(execution.id), STOPPED_BEFORE_START)
            if execution.phase is not Phase.RUNNING:
                continue
            if execution.is_group:
                self._book.stopping.setdefault(execution.id, reason)
            elif at_once:
                self._processes.kill(execution.id, reason)
            else:
                self._processes.stop(execution.id, reason, now_s=self._clock.elapsed_s())

    def _resume(self, execution: Execution, *, is_same_boot: bool) -> None:
        # Without a live process to adopt, the execution is over. A row in phase STARTING
        # proves nothing: the former runner may have died before or after the spawn.
        found = self._adopt(execution) if is_same_boot else None
        if found is None:
            self._finish(execution, LOST if execution.phase is Phase.RUNNING else LOST_AT_START)
            if not self._is_rerun(execution):
                self._lost(execution)
            return
        self._adopted.add(execution.id)
        known = replace(
            execution, phase=Phase.RUNNING, pid=found.pid, pid_started=found.pid_started
        )
        self._book.enter(known)
        is_new = known.started is None
        self._note_running(
            replace(known, started=self._clock.now()) if is_new else known, is_new=is_new
        )
        # The former runner may have died between the commit of a stop and its signal.
        if known.stopped_for is not None:
            self._processes.stop(known.id, known.stopped_for, now_s=self._clock.elapsed_s())

    def _begin_group(self, group: Execution) -> None:
        """Set the timeout of a group that has begun; a restart continues the same timeout."""
        timeout = group.process.timeout
        if group.is_group and group.phase is Phase.RUNNING and timeout is not None:
            left_s = max(timeout.total_seconds() - self._ran_s(group), 0.0)
            self._groups.set(group.id, self._clock.elapsed_s() + left_s)

    def _is_rerun(self, execution: Execution) -> bool:
        """Return whether a cut-off execution, or a group around it, will run again."""
        while execution.process.if_interrupted is not IfInterrupted.RERUN:
            group = self._book.get(execution.claim.group or "")
            if group is None:
                return False
            execution = group
        return True

    def _adopt(self, execution: Execution) -> Started | None:
        process, timeout = execution.process, execution.process.timeout
        return self._processes.adopt(
            execution.id,
            pid=execution.pid,
            pid_started=execution.pid_started,
            stop_signal=process.stop_signal,
            stop_grace_s=process.stop_grace.total_seconds(),
            timeout_left_s=None
            if timeout is None
            else max(timeout.total_seconds() - self._ran_s(execution), 0.0),
            now_s=self._clock.elapsed_s(),
            output_file=execution.claim.output_file,
            output_limit=process.output_limit,
        )

    def _ran_s(self, execution: Execution) -> float:
        """Return for how long an execution has run, in seconds.

        Across a restart only wall time is known. If somebody set the clock back, the
        difference may be negative; then the result is 0.
        """
        return (
            max((self._clock.now() - execution.started).total_seconds(), 0.0)
            if execution.started
            else 0.0
        )

    def _spawn_one(self, execution: Execution) -> None:
        try:
            self._outputs[execution.id] = _created(execution.claim.output_file)
            prepare = partial(launch_of, execution, self._environment)
            # Before the start: the process may have ended by the time that the loop runs again.
            now, now_s = self._clock.now(), self._clock.elapsed_s()
            launched = self._starts.start(execution.id, needs_of(execution.process), prepare)
        except SpawnError as error:
            self._fail_to_start(execution.id, str(error))
            return
        if launched is not None:
            self._note_started(execution, launched, now=now, now_s=now_s)

    def _fail_to_start(self, execution: str, why: str) -> None:
        self._stop_when_started.pop(execution, None)
        self._finish(self._book.leave(execution), spawn_failure(why))

    def _note_started(
        self, execution: Execution, launched: Started, *, now: datetime, now_s: float
    ) -> None:
        running = replace(
            execution,
            phase=Phase.RUNNING,
            pid=launched.pid,
            pid_started=launched.pid_started,
            started=now,
        )
        self._begun_s[execution.id] = now_s
        self._note_running(running, is_new=True)
        if reason := self._stop_when_started.pop(execution.id, None):
            self._processes.stop(execution.id, reason, now_s=self._clock.elapsed_s())

    def _note_running(self, execution: Execution, *, is_new: bool) -> None:
        self._book.update(execution)
        self._journal.note_running(row_of(execution))
        if is_new:
            assert execution.started is not None
            self._journal.record(started_record(execution), execution.started)

    def _outcome(self, execution: Execution, exited: Exit) -> Outcome:
        # The exit code of an adopted process is unknown: only its parent can collect it,
        # and the parent was the former runner.
        if execution.id not in self._adopted:
            return outcome_of(execution, exited)
        self._adopted.remove(execution.id)
        if exited.stopped_for is not None:
            return outcome_of(execution, exited)
        # A process that outlived its runner is not run again itself, so a one-time request
        # is marked as cut off, unless its group runs again.
        group = self._book.get(execution.claim.group or "")
        if group is None or not self._is_rerun(group):
            self._lost(execution)
        return OUTLIVED

    def _finish(self, execution: Execution, outcome: Outcome) -> None:
        """Record the end of an execution and remove its row with the next commit."""
        # An execution lost at its start may have run, so its output is looked for too.
        has_run = execution.started is not None or outcome.reason is Reason.RUNNER_LOST
        output = self._outputs.pop(execution.id, None)
        tail = read_tail(execution.claim.output_file, only=output) if has_run else None
        now = self._clock.now()
        duration = None
        if (begun_s := self._begun_s.pop(execution.id, None)) is not None:
            # The monotonic clock times a process of this runner: nobody can set it.
            duration = timedelta(seconds=self._clock.elapsed_s() - begun_s)
        record = finished_record(execution, outcome, ended=now, duration=duration, tail=tail)
        line = self._journal.record(record, now)
        self._noted(record.fields)
        self._journal.note_ended(execution.id)
        self.ended.append(Ended(execution=execution, outcome=outcome, line=line))


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


def _by_claim_to_guard(execution: Execution) -> tuple[bool, bool, bool, str]:
    """Return a sort key that restores guards and groups in the order in which they arose.

    Running executions come before waiting ones, because they held the guards. A group
    comes before its members. A further attempt comes before a first one, because a
    retry keeps its guard while it waits.
    """
    return (
        execution.phase is Phase.WAITING,
        not execution.is_group,
        execution.claim.attempt == 1,
        execution.id,
    )
