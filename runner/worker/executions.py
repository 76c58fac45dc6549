"""The executions of this worker: from their take to the end of their report.

One thread owns them. Each step is noted on disk before it has an effect outside, so a
restarted worker knows of every process that it may have started. Touches processes, the
notes and output files.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from loguru import logger

from runner.execution.executor import (
    ExecutionEvent,
    Executor,
    Lost,
    Measured,
    NotStarted,
    Order,
    ProcessStarted,
    RemoteExit,
    Stage,
)
from runner.execution.launch import Launch
from runner.execution.node_reports import Reported, report_of
from runner.execution.output import Identity, Tail, outputs_folder, read_tail
from runner.execution.trees.watched import Exit, FormerExecution, ProcessId
from runner.lifecycle import Reason
from runner.service.executions.dispatching.launching import launch_of, needs_of
from runner.service.executions.execution import Execution, execution_of, time_left_s
from runner.store.postgres.fleet.worker_side import token_of
from runner.store.rows import ExecutionRow
from runner.system.clock import Clock
from runner.values import from_microseconds, to_microseconds
from runner.worker.admission import refusal
from runner.worker.fencing.fence import Fenced, is_fenced
from runner.worker.link import Link
from runner.worker.news import Beat, Took
from runner.worker.notes import Notes, Step, Taken
from runner.worker.relocation import here
from runner.worker.room import Room
from runner.worker.settings import WorkerSettings

TOKEN = "RUNNER_ATTEMPT_TOKEN"
_PRIVATE = ("RUNNER_STORE", "_RUNNER_")


@dataclass(slots=True, kw_only=True, eq=False)
class _Mine:
    """An execution of this worker."""

    taken: Taken
    execution: Execution | None
    """None if its row cannot be read."""
    begun_s: float | None = None
    """When this worker started the process, in elapsed seconds."""
    output: Identity | None = None
    """The file that received the output, if this worker started the process."""
    asked_to_end: Reason | None = None

    @property
    def has_ended(self) -> bool:
        return self.taken.step is Step.ENDED


class Executions:
    """The executions that the store counts as this worker's, by id."""

    def __init__(
        self,
        settings: WorkerSettings,
        notes: Notes,
        executor: Executor,
        link: Link,
        room: Room,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._notes = notes
        self._executor = executor
        self._link = link
        self._room = room
        self._clock = clock
        self._mine: dict[str, _Mine] = {}
        # Those of them that have not ended. The loop asks for them in every turn, while the
        # others wait for a heartbeat: in a burst, these are many more.
        self._running: dict[str, _Mine] = {}
        self._held: list[_Mine] = []
        self._unsent: Counter[str] = Counter()
        self._outputs = outputs_folder(settings.folder)
        self._environment = {
            name: value for name, value in os.environ.items() if not name.startswith(_PRIVATE)
        }

    @property
    def running(self) -> list[str]:
        """The ids of those that have not ended."""
        return [*self._running]

    @property
    def is_starting(self) -> bool:
        """Whether a start was ordered whose outcome is not noted."""
        return any(
            each.taken.step is Step.STARTING and each not in self._held
            for each in self._running.values()
        )

    @property
    def is_reported(self) -> bool:
        """Whether the database has every report."""
        return not self._unsent.total()

    @property
    def fenced(self) -> tuple[Fenced, ...]:
        """The executions that must end when this worker counts as lost."""
        return tuple(
            Fenced(
                execution=each.taken.id,
                stop_signal=each.execution.process.stop_signal,
                pid=each.taken.pid,
                pid_started=each.taken.pid_started,
            )
            for each in self._running.values()
            if each.taken.is_fenced and each.execution is not None
        )

    def take_over(self) -> None:
        """Adopt what a former process of this worker left, and send its reports."""
        for report in self._notes.unsent():
            self._unsent[report.execution] += 1
            self._link.report(report)
        left = self._notes.executions()
        self._link.list(frozenset(each.id for each in left))
        for taken in left:
            mine = self._mine[taken.id] = _Mine(
                taken=taken, execution=self._read(taken.row, taken.jobs)
            )
            if mine.has_ended:
                self._send_rest_of_output(mine)
                continue
            self._running[taken.id] = mine
            self._room.occupy()
            self._adopt(mine)

    def accept(self, took: Took) -> None:
        """Begin executions that were just taken. Their places in the room are reserved.

        May be repeated after the disk refused a part of it.
        """
        new = [
            self._mine.get(row.id) or self._new(row, take, took) for take, row in took.rows.items()
        ]
        self._notes.put(mine.taken for mine in new)
        self._mine |= {mine.taken.id: mine for mine in new}
        self._running |= {mine.taken.id: mine for mine in new if not mine.has_ended}
        fit = []
        for mine in new:
            if (why := self._why_refused(mine)) is None:
                fit.append(mine)
            elif not self._unsent[mine.taken.id]:
                self._note_unstarted(mine, why)
        self._held += fit

    def _why_refused(self, mine: _Mine) -> str | None:
        if mine.execution is None:
            return "its definition cannot be read by this worker's version"
        return refusal(mine.execution.process, self._settings.allowed_users)

    def _new(self, row: ExecutionRow, take: str, took: Took) -> _Mine:
        execution = self._read(row, took.jobs)
        is_guarded = execution is not None and self._is_fenced(execution, took.groups)
        taken = Taken(row=row, take=take, step=Step.STARTING, is_fenced=is_guarded, jobs=took.jobs)
        return _Mine(taken=taken, execution=execution)

    def start_held(self, *, may_start_fenced: bool) -> None:
        """Order the start of what was accepted. The fence must already list it."""
        held, self._held = self._held, []
        for mine in held:
            if mine.taken.is_fenced and not may_start_fenced:
                self._held.append(mine)
                continue
            execution = mine.execution
            assert execution is not None
            prepare = partial(_launch, execution, self._environment, mine.taken.take)
            self._executor.start(
                Order(execution=execution.id, needs=needs_of(execution.process), prepare=prepare)
            )

    def note(self, event: ExecutionEvent) -> None:
        """Note and report what became of an execution."""
        assert isinstance(event, ProcessStarted | NotStarted | Exit), event
        mine = self._mine[event.execution]
        match event:
            case ProcessStarted():
                mine.begun_s, mine.output = event.at_s, event.output
                self._note_started(mine, event)
                self._watch_output(mine, is_new=True)
            case NotStarted():
                self._note_unstarted(mine, event.why)
            case Exit(stopped_for=Reason.RUNNER_LOST):
                self._note_end(mine, _lost(mine))
            case Exit():
                self._note_end(mine, self._measured(mine, event))

    def note_beat(self, beat: Beat) -> None:
        """Stop what shall be stopped, and forget what the leader has taken note of."""
        held = {each.execution: each for each in beat.holdings}
        gone = []
        for name, mine in self._mine.items():
            holding = held.get(name)
            if holding is not None:
                if holding.stop_reason is not None:
                    self.stop(name, Reason(holding.stop_reason))
            elif name not in beat.listed:
                continue  # taken since
            elif not mine.has_ended:
                # The leader counts it as lost, and may have begun another attempt.
                if mine.taken.is_fenced:
                    self.stop(name, Reason.RUNNER_LOST, at_once=True)
            elif not self._unsent[name] and not self._link.is_sending(name):
                gone.append(name)
        if gone:
            self._forget(gone)

    def note_sent(self, numbers: frozenset[int]) -> None:
        """Drop the reports that the database has."""
        executions = self._notes.note_sent(numbers)
        self._unsent.subtract(executions)

    def stop(self, execution: str, reason: Reason, *, at_once: bool = False) -> None:
        """Ask an execution to end, or kill it `at_once`."""
        mine = self._mine[execution]
        if mine.has_ended or (mine.asked_to_end is not None and not at_once):
            return
        mine.asked_to_end = mine.asked_to_end or reason
        if mine in self._held:
            self._held.remove(mine)
            self._note_unstarted(mine, None)
        else:
            self._executor.stop(execution, reason, at_once=at_once)

    def stop_all(self, reason: Reason, *, at_once: bool = False) -> None:
        """Ask all executions to end, or kill them `at_once`."""
        for name in self.running:
            self.stop(name, reason, at_once=at_once)

    def stop_fenced(self, *, at_once: bool = False, with_held: bool = True) -> None:
        """Ask the fenced executions to end because this worker counts as lost, or may soon.

        Without `with_held`, those whose start was not ordered yet go on waiting.
        """
        for name in self.running:
            mine = self._mine[name]
            if mine.taken.is_fenced and (with_held or mine not in self._held):
                self.stop(name, Reason.RUNNER_LOST, at_once=at_once)

    def _read(self, row: ExecutionRow, jobs: str | None) -> Execution | None:
        try:
            return here(execution_of(row, self._outputs), jobs, str(self._settings.jobs))
        except (ValueError, KeyError, TypeError) as error:
            logger.warning("execution {} cannot be read: {}", row.id, error)
            return None

    def _is_fenced(self, execution: Execution, groups: Mapping[str, ExecutionRow]) -> bool:
        """Return whether the execution or a group around it must not overlap with another."""
        if is_fenced(execution.process):
            return True
        outer = groups.get(execution.claim.group or "")
        return outer is not None and self._is_fenced(execution_of(outer), groups)

    def _adopt(self, mine: _Mine) -> None:
        execution = mine.execution
        process = None if execution is None else self._executor.adopt(self._former(mine, execution))
        if not isinstance(process, ProcessId):
            if execution is not None and _has_never_started(mine.taken, execution):
                self._held.append(mine)
                return
            logger.warning("{} has ended while nobody watched it", _named(mine))
            self._note_end(mine, _lost(mine))
            return
        mine.begun_s = process.begun_s  # known for a child that was handed over
        if mine.taken.step is Step.STARTING:
            self._note_started(
                mine,
                ProcessStarted(execution=mine.taken.id, process=process, at=self._clock.now()),
            )
        logger.info("adopted {}", _named(mine))
        self._watch_output(mine, is_new=False)

    def _former(self, mine: _Mine, execution: Execution) -> FormerExecution:
        started = mine.taken.started
        at = None if started is None else from_microseconds(started)
        process = execution.process
        return FormerExecution(
            execution=execution.id,
            pid=mine.taken.pid,
            pid_started=mine.taken.pid_started,
            stop_signal=process.stop_signal,
            stop_grace_s=process.stop_grace.total_seconds(),
            timeout_left_s=time_left_s(replace(execution, started=at), self._clock.now()),
            output_file=execution.claim.output_file,
            output_limit=process.output_limit,
            has_condition=process.condition is not None,
        )

    def _note_started(self, mine: _Mine, began: ProcessStarted) -> None:
        mine.taken = replace(
            mine.taken,
            step=Step.RUNNING,
            pid=began.process.pid,
            pid_started=began.process.pid_started,
            started=to_microseconds(began.at),
        )
        self._report(mine, began)

    def _note_unstarted(self, mine: _Mine, why: str | None) -> None:
        """Note that no process was started: why it could not be, or None after a stop."""
        execution = mine.taken.id
        if why is None and mine.asked_to_end is Reason.RUNNER_LOST:
            self._note_end(mine, Lost(execution=execution, stage=Stage.NEVER_STARTED, node=None))
        else:
            self._note_end(mine, NotStarted(execution=execution, why=why))

    def _note_end(self, mine: _Mine, end: NotStarted | RemoteExit | Lost) -> None:
        mine.taken = replace(mine.taken, step=Step.ENDED)
        self._running.pop(mine.taken.id, None)  # none if the disk refused the note of its end
        self._send_rest_of_output(mine)
        self._report(mine, end)
        self._room.give_back()

    def _measured(self, mine: _Mine, ended: Exit) -> RemoteExit:
        duration_s = None if mine.begun_s is None else self._clock.elapsed_s() - mine.begun_s
        measured = Measured(
            ended=self._clock.now(),
            duration=None if duration_s is None else timedelta(seconds=duration_s),
            tail=self._tail_of(mine),
        )
        return RemoteExit(exited=ended, measured=measured, is_adopted=mine.begun_s is None)

    def _tail_of(self, mine: _Mine) -> Tail | None:
        if mine.execution is None:
            return None
        return read_tail(mine.execution.claim.output_file, only=mine.output)

    def _report(self, mine: _Mine, event: Reported) -> None:
        written = report_of(event)
        report = self._notes.report(written.kind, written.body, mine.taken)
        self._unsent[report.execution] += 1
        self._link.report(report)

    def _watch_output(self, mine: _Mine, *, is_new: bool) -> None:
        if mine.execution is not None:
            path = mine.execution.claim.output_file
            self._link.watch_output(mine.taken.id, path, mine.output, is_new=is_new)

    def _send_rest_of_output(self, mine: _Mine) -> None:
        if not self._link.is_sending(mine.taken.id):
            self._watch_output(mine, is_new=False)
        self._link.end_output(mine.taken.id)

    def _forget(self, executions: list[str]) -> None:
        """Forget executions whose end the leader has committed, with their output files."""
        self._notes.forget(executions)
        self._link.forget(executions)
        for name in executions:
            mine = self._mine.pop(name)
            del self._unsent[name]
            if mine.execution is not None:
                with suppress(OSError):
                    os.unlink(mine.execution.claim.output_file)  # noqa: PTH108


def _launch(execution: Execution, environment: Mapping[str, str], take: str) -> Launch:
    launch = launch_of(execution, environment)
    token = {TOKEN: str(token_of(take))}
    return replace(launch, environment={**launch.environment, **token})


def _has_never_started(taken: Taken, execution: Execution) -> bool:
    """Return whether an execution without a process has certainly had none.

    The output file exists before the process does.
    """
    return taken.step is Step.STARTING and not os.path.lexists(execution.claim.output_file)


def _lost(mine: _Mine) -> Lost:
    """Return the end of an execution whose process ended unseen, or had to make way."""
    has_run = mine.taken.step is Step.RUNNING
    stage = Stage.RUNNING if has_run else Stage.STARTING
    return Lost(execution=mine.taken.id, stage=stage, node=None)


def _named(mine: _Mine) -> str:
    return mine.taken.id if mine.execution is None else f"{mine.execution.name} ({mine.taken.id})"
