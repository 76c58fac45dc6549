"""The executions' part of a decision: which ones start, wait, are skipped or replaced."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from runner.lifecycle import Channel, Reason
from runner.monitor.records import Record as MonitorRecord
from runner.planning.fires.claims_ahead import may_still_start
from runner.planning.fires.firing import delay_of
from runner.planning.overlap import Verdict, guard_of, verdict
from runner.planning.states.state import RequestState
from runner.requests.model import Group, ProcessRequest
from runner.service.executions.claiming.deadlock import would_wait_for_itself
from runner.service.executions.claiming.new_claims import changed_claim, new_claim
from runner.service.executions.claiming.uncommitted_changes import UncommittedChanges
from runner.service.executions.execution import Ask, Claim, Execution, execution_for
from runner.service.executions.execution_records import finished_record, started_record
from runner.service.executions.in_progress import InProgress
from runner.service.executions.outcomes import (
    SKIPPED,
    WITHDRAWN,
    Ended,
    Outcome,
    resolved,
    stopped,
)
from runner.service.runner_settings import Settings
from runner.service.situation import Situation
from runner.store.rows import Batch, Phase

AddRecord = Callable[[MonitorRecord], bytes]
"""Adds a record to the decision and returns its line."""


class Claims:
    """The claims, releases and stops that one decision makes.

    After the commit, the dispatcher carries out `changes` and `stops`. `ended` and
    `begun_groups` are queues: `FollowUps` still has to decide what follows each of them.
    `started` are the groups that began.

    `record` adds a record to the decision's batch.
    """

    def __init__(
        self,
        situation: Situation,
        *,
        in_progress: InProgress,
        batch: Batch,
        settings: Settings,
        record: AddRecord,
    ) -> None:
        self.now = situation.now
        self.changes = UncommittedChanges(in_progress, batch)
        self.stops: dict[str, Reason] = {}
        self.ended: deque[Ended] = deque()
        self.begun_groups: deque[Execution] = deque()
        self.started: list[Execution] = []
        self._situation = situation
        self._in_progress = in_progress
        self._max_running = settings.max_running
        self._outputs = str(settings.outputs)
        self._record = record
        self._has_released = False
        self._occupied = in_progress.occupied

    def can_claim_ahead(
        self, request: ProcessRequest, requests: Mapping[str, ProcessRequest]
    ) -> bool:
        """Return whether a fire may be claimed a few milliseconds ahead of its time.

        It may if the execution could start at once, so that only its time is missing. If
        it had to wait or were skipped, the fire keeps until it is due: the guard or a place
        below `max_running` may become free until then. A claim ahead of a group gains
        nothing, because a group has no process of its own to spawn. In a fleet, a worker
        would take it at once.
        """
        if not self._situation.claims_ahead:
            return False
        process, failure = resolved(request, requests)
        guard = guard_of(process, request.context)
        return (
            failure is None
            and not isinstance(process.action, Group)
            and (guard is None or self.changes.holder(guard) is None)
            and self._has_place
        )

    def claim(
        self,
        request: ProcessRequest,
        requests: Mapping[str, ProcessRequest],
        scheduled_for: datetime,
        ask: Ask,
        *,
        git: str | None,
    ) -> tuple[Execution, Outcome | None]:
        """Claim one run of a request.

        The execution starts after the commit, or waits, or gets its outcome at once. The
        result holds the outcome only in the last case.
        """
        process, failure = resolved(request, requests)
        claim = new_claim(request, process, scheduled_for, ask, git=git, outputs=self._outputs)
        is_fire = ask.channel is Channel.PROCESS_SCHEDULER
        due = scheduled_for + delay_of(request) if is_fire else self.now
        not_before_s = self._not_before_s(due)
        return self.admit(execution_for(claim, due=due, not_before_s=not_before_s), failure)

    def _not_before_s(self, due: datetime) -> float | None:
        """Return the earliest start of a claim ahead of its time; None for any other claim."""
        ahead = (due - self.now).total_seconds()
        return self._situation.now_s + ahead if ahead > 0 else None

    def another(self, claim: Claim, **changes: Any) -> Claim:
        """Return a copy of a claim with `changes`, a new id and a new output file."""
        group = changes.get("group", claim.group)
        within = None if group is None else self.changes.find(group)
        return changed_claim(claim, changes, group=within, outputs=self._outputs)

    def admit(
        self, execution: Execution, failure: Outcome | None = None
    ) -> tuple[Execution, Outcome | None]:
        """Start a claimed execution, or let it wait, or end it at once.

        A skipped execution ends at once, and so does one that already has a `failure`.
        """
        outcome = failure
        if outcome is None:
            match self._verdict(execution):
                case Verdict.RUN:
                    execution = self._begun(execution)
                case Verdict.WAIT:
                    execution = replace(execution, phase=Phase.QUEUED)
                case Verdict.QUEUE:
                    execution = replace(execution, phase=Phase.WAITING)
                case Verdict.REPLACE:
                    self._replace_holder(execution)
                    execution = replace(execution, phase=Phase.WAITING)
                case Verdict.REFUSE:
                    outcome = SKIPPED
        if outcome is None:
            self.changes.put(execution)
        else:
            self.end(execution, outcome)
        return execution, outcome

    def release_waiting(self) -> None:
        """Start waiting executions, the oldest first, while `max_running` has room.

        An execution whose guard is held keeps waiting and does not block those behind it.
        """
        self._has_released = True
        self._in_progress.look_at_delayed(self.now)
        for waiting in self._in_progress.waiting:
            execution = self.changes.find(waiting)
            if execution is None or not execution.phase.is_before_start:
                continue
            if not self._may_start(execution) or not self.changes.is_free_for(execution):
                continue
            if not self._has_room(execution):
                # Only groups ignore `max_running`. To start one from behind this
                # execution would break the order, so stop here.
                if execution.phase is Phase.WAITING:
                    self.changes.put(replace(execution, phase=Phase.QUEUED))
                return
            self.changes.put(self._begun(execution))

    def shift_delayed(self, step: timedelta) -> None:
        """Move the start time of each delayed execution by a step of the clock.

        The execution then waits as long as planned, although somebody set the clock.
        """
        for delayed in self._in_progress.delayed():
            if (execution := self.changes.find(delayed.id)) is not None:
                self.changes.put(replace(execution, due=execution.due + step))

    def stop(self, execution: Execution, reason: Reason, *, by: str | None = None) -> None:
        """Stop an execution: after the commit, or at once if nothing of it has started.

        A group is stopped together with its current member.
        """
        current = self.changes.find(execution.id)
        if current is None or execution.id in self.stops:
            return
        is_new = execution.id not in self._in_progress and current.phase is Phase.STARTING
        if current.phase.is_before_start or is_new or self._is_claimed_ahead(current):
            self.end(replace(current, stopped_by=by), stopped(current, reason, by))
            return
        self.stops[execution.id] = reason
        # The row keeps the reason: if this runner dies now, the next one finishes the stop.
        self.changes.put(
            replace(
                current,
                stopped_for=current.stopped_for or reason,
                stopped_by=current.stopped_by or by,
            )
        )
        if (member := self.changes.member(execution.id)) is not None:
            self.stop(member, reason, by=by)

    def withdraw(self, states: Mapping[str, RequestState]) -> None:
        """End the executions claimed ahead whose request the new `states` unschedule."""
        for identity in (*self._in_progress.claimed_ahead, *self.changes.changed):
            execution = self.changes.find(identity)
            if execution is None or not self._is_claimed_ahead(execution):
                continue
            state = states.get(execution.request)
            if state is not None and not may_still_start(state, execution.claim.generation):
                self.end(execution, WITHDRAWN)

    def _is_claimed_ahead(self, execution: Execution) -> bool:
        """Return whether an execution waits only for its time, or will after the commit."""
        if execution.id in self._in_progress:
            return execution.id in self._in_progress.claimed_ahead
        return execution.phase is Phase.STARTING and execution.not_before_s is not None

    def end(self, execution: Execution, outcome: Outcome) -> None:
        """End an execution that has no process: write its record and queue what follows."""
        self.changes.leave(execution.id)
        line = self._record(finished_record(execution, outcome, ended=self.now))
        self.ended.append(Ended(execution=execution, outcome=outcome, line=line))

    def _begun(self, execution: Execution) -> Execution:
        """Return an execution in the phase in which it begins.

        A group has no process: it runs from now on, and asks for its first member.
        """
        if not execution.is_group:
            self._occupied += 1
            is_new = execution.phase is Phase.STARTING
            return execution if is_new else replace(execution, phase=Phase.STARTING)
        begun = replace(execution, phase=Phase.RUNNING, started=self.now)
        self._record(started_record(begun))
        self.begun_groups.append(begun)
        self.started.append(begun)
        return begun

    def _verdict(self, execution: Execution) -> Verdict:
        """Decide what becomes of a new claim: `overlap.verdict`, asked for this decision.

        The queue for a guard takes one execution. It also refuses one that would wait for
        its own group, which waits for it: the group then goes on without it. An execution
        that this program must not start has no room, so it waits in the store.
        """
        guard, changes = execution.guard, self.changes
        is_queue_closed = guard is not None and (
            changes.queued(guard) is not None or would_wait_for_itself(execution, changes)
        )
        may_start_now = self._may_start(execution) and not self._situation.is_closing
        return verdict(
            is_guard_held=guard is not None and changes.holder(guard) is not None,
            is_queue_closed=is_queue_closed,
            on_overlap=execution.process.on_overlap,
            has_room=may_start_now and self._has_room(execution),
        )

    def _replace_holder(self, execution: Execution) -> None:
        """Stop the holder of the guard and the queued execution; the newcomer comes next."""
        guard = execution.guard
        assert guard is not None
        for former in (self.changes.queued(guard), self.changes.holder(guard)):
            if former is not None:
                self.stop(former, Reason.REPLACED)

    def _may_start(self, execution: Execution) -> bool:
        return self._situation.starts_inherited or not execution.is_inherited

    def _has_room(self, execution: Execution) -> bool:
        return execution.is_group or self._has_place

    @property
    def _has_place(self) -> bool:
        limit = self._max_running
        # Waiting executions go first: until `release_waiting` has given them their
        # turn, no newcomer gets a free place.
        return limit is None or (self._has_released and self._occupied < limit)
