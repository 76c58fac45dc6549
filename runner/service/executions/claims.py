"""The executions' part of a decision: which ones start, wait, are skipped or replaced.

`Claims` reads the book of executions in progress and sees its own earlier steps on top
of it. The book itself changes only after the decision is committed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from runner.errors import RefusedError
from runner.execution.output import member_output_path, output_path
from runner.lifecycle import Channel, Reason
from runner.monitor.records import Record as MonitorRecord
from runner.planning.overlap import Guard, Verdict, verdict
from runner.planning.references import followed
from runner.planning.states.firing import delay_of
from runner.requests.model import Process, ProcessRequest
from runner.service.executions.deadlock import would_wait_for_itself
from runner.service.executions.execution import Claim, Execution, execution_for, row_of
from runner.service.executions.execution_records import finished_record, started_record
from runner.service.executions.in_progress import Book
from runner.service.executions.outcomes import SKIPPED, Outcome, spawn_failure, stopped
from runner.service.settings import Settings
from runner.store.rows import Batch, Phase
from runner.values import new_id

AddRecord = Callable[[MonitorRecord], bytes]
"""Adds a record to the decision and returns its line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """An execution that has ended, with the text of its record.

    A retry, the next member of a group or an `on_failure` process may follow it.
    """

    execution: Execution
    outcome: Outcome
    line: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A request to stop a running execution, with the reason and the person who asked."""

    execution: str
    reason: Reason
    by: str | None


class Claims:
    """The claims, releases and stops that one decision makes.

    After the commit, the book and the dispatcher carry out `entered`, `released`,
    `shifted`, `left` and `stops`. `ended` and `begun_groups` are queues: `Succession`
    still has to decide what follows each of them.

    While `is_closing`, nothing starts: a new execution waits in the store for the next
    runner. The same holds for an execution that follows one inherited from a former
    runner while this program serves only `runner exec`; `foreign` holds their ids.
    """

    def __init__(
        self, now: datetime, *, batch: Batch, book: Book, settings: Settings, record: AddRecord
    ) -> None:
        self.now = now
        self.book = book
        self.entered: dict[str, Execution] = {}
        self.released: dict[str, Execution] = {}
        self.shifted: dict[str, Execution] = {}
        self.left: set[str] = set()
        self.stops: dict[str, Stop] = {}
        self.ended: deque[Ended] = deque()
        self.begun_groups: deque[Execution] = deque()
        self._batch = batch
        self._settings = settings
        self._record = record
        self.is_closing = False
        self.foreign: set[str] = set()
        self._is_foreign = False
        self._has_released = False
        self._occupied = book.occupied
        self._claimed_at: dict[Guard, list[str]] = {}

    def claim(
        self,
        request: ProcessRequest,
        requests: Mapping[str, ProcessRequest],
        scheduled_for: datetime,
        *,
        channel: Channel,
        generation: int | None = None,
        by: str | None = None,
        params: Mapping[str, Any] | None = None,
        git: str | None = None,
    ) -> tuple[Execution, Outcome | None]:
        """Claim one run of a request.

        The execution starts after the commit, or waits, or gets its outcome at once. The
        result holds the outcome only in the last case.
        """
        process, failure = resolved(request, requests)
        on_failure = request.on_failure
        if channel is Channel.DIRECT:
            # The person who asked for this run sees how it ends, and can ask again.
            process, on_failure = replace(process, retry=None), None
        is_fire = channel is Channel.PROCESS_SCHEDULER
        identity = new_id()
        claim = Claim(
            id=identity,
            output_file=self._output_file(identity),
            request=request.name,
            process=process,
            channel=channel,
            scheduled_for=scheduled_for,
            generation=generation,
            source=request.source,
            context=request.context,
            labels=request.labels,
            owner=request.owner,
            on_failure=on_failure,
            params=params or {},
            requested_by=by,
            git_commit=git,
        )
        due = scheduled_for + delay_of(request) if is_fire else scheduled_for
        return self.admit(execution_for(claim, due=due), failure)

    def another(self, claim: Claim, **changes: Any) -> Claim:
        """Return a copy of a claim with `changes`, a new id and a new output file."""
        identity = new_id()
        again = replace(claim, id=identity, **changes)
        return replace(
            again, output_file=self._member_output_file(again) or self._output_file(identity)
        )

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
                case Verdict.WAIT | Verdict.QUEUE:
                    execution = replace(execution, phase=Phase.WAITING)
                case Verdict.REPLACE:
                    self._replace_holder(execution)
                    execution = replace(execution, phase=Phase.WAITING)
                case Verdict.REFUSE:
                    outcome = SKIPPED
        if outcome is None:
            self.enter(execution)
        else:
            self.end(execution, outcome)
        return execution, outcome

    def enter(self, execution: Execution) -> None:
        """Add an execution to this decision, together with its row."""
        self.entered[execution.id] = execution
        if self._is_foreign:
            self.foreign.add(execution.id)
        self._batch.executions[execution.id] = row_of(execution)
        if (guard := execution.guard) is not None:
            self._claimed_at.setdefault(guard, []).append(execution.id)

    def release_waiting(self, may_start: Callable[[Execution], bool]) -> None:
        """Start waiting executions, the oldest first, while `max_running` has room.

        An execution whose guard is held keeps waiting and does not block those behind it.
        """
        self._has_released = True
        self.book.look_at_delayed(self.now)
        for waiting in self.book.waiting:
            execution = self.book[waiting]
            if waiting in self.left or waiting in self.released:
                continue
            if not may_start(execution) or not self._has_guard(execution):
                continue
            if not self._has_room(execution):
                # Only groups ignore `max_running`. To start one from behind this
                # execution would break the order, so stop here.
                return
            self.released[waiting] = released = self._begun(execution)
            self._batch.executions[waiting] = row_of(released)

    def shift_delayed(self, step: timedelta) -> None:
        """Move the start time of each delayed execution by a step of the clock.

        The execution then waits as long as planned, although somebody set the clock.
        """
        for execution in self.book.delayed():
            self.shifted[execution.id] = shifted = replace(execution, due=execution.due + step)
            self._batch.executions[execution.id] = row_of(shifted)

    def stop(self, execution: Execution, reason: Reason, *, by: str | None = None) -> None:
        """Stop an execution: at once if it waits, otherwise after the commit.

        A group is stopped together with its current member.
        """
        if execution.id in self.left or execution.id in self.stops:
            return
        current = self.released.get(execution.id, execution)
        if current.phase is Phase.WAITING:
            self.end(replace(current, stopped_by=by), stopped(current, reason, by))
            return
        self.stops[execution.id] = Stop(execution=execution.id, reason=reason, by=by)
        # The row keeps the reason: if this runner dies now, the next one finishes the stop.
        asked = replace(
            current, stopped_for=current.stopped_for or reason, stopped_by=current.stopped_by or by
        )
        self._batch.executions[execution.id] = row_of(asked)
        if (member := self.member(execution.id)) is not None:
            self.stop(member, reason, by=by)

    def stop_reason(self, execution: str) -> tuple[Reason, str | None] | None:
        """Return why a group was asked to end, and by whom, if it was."""
        if (asked := self.stops.get(execution)) is not None:
            return asked.reason, asked.by
        reason = self.book.stopping.get(execution)
        return None if reason is None else (reason, self.book[execution].stopped_by)

    def end(self, execution: Execution, outcome: Outcome) -> None:
        """End an execution that has no process: write its record and queue what follows."""
        self._batch.executions.pop(execution.id, None)
        if execution.id in self.book:
            self.left.add(execution.id)
            self._batch.ended.append(execution.id)
        self.entered.pop(execution.id, None)
        self.released.pop(execution.id, None)
        line = self._record(finished_record(execution, outcome, ended=self.now))
        self.ended.append(Ended(execution=execution, outcome=outcome, line=line))

    def find(self, execution: str) -> Execution | None:
        """Return an execution that has not ended, as this decision sees it."""
        if execution in self.left:
            return None
        return (
            self.entered.get(execution) or self.released.get(execution) or self.book.get(execution)
        )

    def member(self, group: str) -> Execution | None:
        """Return the member of a group that has not ended; a group has one at a time."""
        own = (entered for entered in self.entered.values() if entered.claim.group == group)
        known = self.book.member(group)
        return next(own, None) or (None if known is None else self.find(known.id))

    def holder(self, guard: Guard) -> Execution | None:
        """Return the execution that holds a guard."""
        return next(self._at_guard(guard), None)

    @contextmanager
    def following(self, *, is_foreign: bool) -> Iterator[None]:
        """Mark the claims made inside the block as another program's to start.

        Without `is_foreign` the block changes nothing.
        """
        self._is_foreign = is_foreign
        try:
            yield
        finally:
            self._is_foreign = False

    def _output_file(self, execution: str) -> str:
        return str(output_path(self._settings.outputs, execution))

    def _member_output_file(self, claim: Claim) -> str | None:
        group = None if claim.group is None else self.find(claim.group)
        if group is None:
            return None
        place = Path(group.claim.output_file)
        return str(member_output_path(place, sequence=claim.sequence, attempt=claim.attempt))

    def _begun(self, execution: Execution) -> Execution:
        """Return an execution in the phase in which it begins.

        A group has no process: it runs from now on, and asks for its first member.
        """
        if not execution.is_group:
            self._occupied += 1
            return replace(execution, phase=Phase.STARTING)
        begun = replace(execution, phase=Phase.RUNNING, started=self.now)
        self._record(started_record(begun))
        self.begun_groups.append(begun)
        return begun

    def _verdict(self, execution: Execution) -> Verdict:
        guard = execution.guard
        # A queue that would complete a deadlock counts as closed: the execution is refused,
        # and its group goes on. Without room it waits in the store, also while closing.
        return verdict(
            is_guard_held=guard is not None and self.holder(guard) is not None,
            is_queue_closed=guard is not None
            and (self._queued(guard) is not None or would_wait_for_itself(execution, self)),
            on_overlap=execution.process.on_overlap,
            has_room=self._has_room(execution) and not (self.is_closing or self._is_foreign),
        )

    def _replace_holder(self, execution: Execution) -> None:
        """Stop the holder of the guard and the queued execution; the newcomer comes next."""
        guard = execution.guard
        assert guard is not None
        for former in (self._queued(guard), self.holder(guard)):
            if former is not None:
                self.stop(former, Reason.REPLACED)

    def _queued(self, guard: Guard) -> Execution | None:
        """Return the execution that waits for a guard which another one holds."""
        return next(islice(self._at_guard(guard), 1, None), None)

    def _at_guard(self, guard: Guard) -> Iterator[Execution]:
        """Yield the holder of a guard, then the execution that is queued for it.

        The order is: the holder in the book, claims of this decision, the queued one in
        the book. Suppose that the holder has just ended and this decision claimed its
        next attempt. `find` then drops the holder, and the attempt takes over the guard
        before the queued execution, whose place stays the second.
        """
        holder, queued = self.book.holder(guard), self.book.queued(guard)
        known = (holder and holder.id, *self._claimed_at.get(guard, ()), queued and queued.id)
        found = (self.find(execution) for execution in known if execution is not None)
        yield from filter(None, found)

    def _has_guard(self, execution: Execution) -> bool:
        if (guard := execution.guard) is None:
            return True
        holder = self.holder(guard)
        return holder is None or holder.id == execution.id

    def _has_room(self, execution: Execution) -> bool:
        limit = self._settings.max_running
        # Waiting executions go first: until `release_waiting` has given them their
        # turn, no newcomer gets a free place.
        return (
            execution.is_group or limit is None or (self._has_released and self._occupied < limit)
        )


def resolved(
    request: ProcessRequest, requests: Mapping[str, ProcessRequest]
) -> tuple[Process, Outcome | None]:
    """Return the process that a request runs, with its references followed.

    If a reference leads nowhere, return the failure as well.
    """
    try:
        return followed(request, requests), None
    except RefusedError as error:
        return request.process, spawn_failure(str(error))
