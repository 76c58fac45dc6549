"""The executions that are on their way, in memory: waiting, about to start, running;
and the guards they hold.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from datetime import datetime

from runner.execution.deadlines import Deadlines
from runner.lifecycle import Reason
from runner.planning.overlap import Guard
from runner.service.executions.execution import Execution
from runner.store.rows import Phase

_LEAST_ID_PART = 4


class Book:
    """Executions by id; `starting` are committed and wait only for their spawn,
    `waiting` for a free place or a guard.

    A guard has one holder, and one execution at the most that is queued for it.
    `stopping` says of groups for what reason they are to end when their member has
    ended.
    """

    def __init__(self) -> None:
        self.starting: deque[str] = deque()
        self.waiting: dict[str, None] = {}  # in order, and soon left from the middle
        self.stopping: dict[str, Reason] = {}
        self._executions: dict[str, Execution] = {}
        self._holders: dict[Guard, str] = {}
        self._queued: dict[Guard, str] = {}
        self._delayed = Deadlines()
        self._members: dict[str, str] = {}
        self._occupied = 0

    def __contains__(self, execution: str) -> bool:
        return execution in self._executions

    def __getitem__(self, execution: str) -> Execution:
        return self._executions[execution]

    def get(self, execution: str) -> Execution | None:
        """Return an execution that has not ended."""
        return self._executions.get(execution)

    def __iter__(self) -> Iterator[Execution]:
        return iter(tuple(self._executions.values()))

    @property
    def occupied(self) -> int:
        """How many have a process, or are about to: what counts against `max_running`."""
        return self._occupied

    def holder(self, guard: Guard) -> Execution | None:
        """Return the execution that holds a guard."""
        return self._executions.get(self._holders.get(guard, ""))

    def queued(self, guard: Guard) -> Execution | None:
        """Return the execution that waits for a guard which another one holds."""
        return self._executions.get(self._queued.get(guard, ""))

    def member(self, group: str) -> Execution | None:
        """Return the member of a group that is on its way."""
        return self._executions.get(self._members.get(group, ""))

    def enter(self, execution: Execution) -> None:
        """Enter a committed claim, or one that a former runner left."""
        self._executions[execution.id] = execution
        if execution.claim.group is not None:
            self._members[execution.claim.group] = execution.id
        if execution.is_group and execution.stopped_for is not None:
            self.stopping[execution.id] = execution.stopped_for
        if (guard := execution.guard) is not None:
            self._enter_at(guard, execution)
        if execution.phase is Phase.WAITING:
            self.delay(execution)
            return
        self._occupied += not execution.is_group
        if execution.phase is Phase.STARTING:
            self.starting.append(execution.id)

    def release(self, execution: Execution) -> None:
        """Let a waiting execution, whose turn has come and is committed, start or run."""
        self._forget_waiting(execution.id)
        if (guard := execution.guard) is not None:
            self._holders[guard] = execution.id
            if self._queued.get(guard) == execution.id:
                del self._queued[guard]
        self._executions[execution.id] = execution
        self._occupied += not execution.is_group
        if execution.phase is Phase.STARTING:
            self.starting.append(execution.id)

    def update(self, execution: Execution) -> None:
        """Replace what is known of an execution."""
        self._executions[execution.id] = execution

    def leave(self, execution: str) -> Execution:
        """Strike out an execution that has ended, and free its guard."""
        ended = self._executions.pop(execution)
        self.stopping.pop(execution, None)
        if ended.phase is Phase.WAITING:
            self._forget_waiting(execution)
        else:
            self._occupied -= not ended.is_group
        if ended.claim.group is not None and self._members.get(ended.claim.group) == execution:
            del self._members[ended.claim.group]
        if ended.guard is not None:
            for place in (self._holders, self._queued):
                if place.get(ended.guard) == execution:
                    del place[ended.guard]
        return ended

    def look_at_delayed(self, now: datetime) -> None:
        """Let those that were to wait until now wait for nothing but a place."""
        self.waiting.update(dict.fromkeys(self._delayed.take(now.timestamp())))

    def delayed(self) -> list[Execution]:
        """Return those that are to wait until an instant, which need not be to come any more."""
        return [self._executions[execution] for execution in self._delayed]

    def delay(self, execution: Execution) -> None:
        """Have a delayed execution wait until another instant."""
        self._executions[execution.id] = execution
        self._delayed.set(execution.id, execution.due.timestamp())

    def next_due_s(self) -> float | None:
        """Return the epoch seconds until which the next of the delayed is to wait."""
        return self._delayed.next_s()

    def named(self, target: str) -> list[Execution]:
        """Return the executions of a request, else the members of that name, else those
        with `target` in their id.

        Members come with their group. A part of an id has at least 4 characters.
        """
        if of_request := [
            each for each in self if each.request == target and each.claim.group is None
        ]:
            return of_request
        if members := [each for each in self if each.is_called(target)]:
            return members
        part = target.lower()
        return [each for each in self if len(part) >= _LEAST_ID_PART and part in each.id]

    def _enter_at(self, guard: Guard, execution: Execution) -> None:
        """Give an execution the guard or the place behind it. Who is queued goes before
        a newcomer, but not before the next attempt of who held the guard.
        """
        if guard not in self._holders and guard in self._queued and execution.claim.attempt == 1:
            self._holders[guard] = self._queued.pop(guard)
        if self._holders.setdefault(guard, execution.id) != execution.id:
            self._queued[guard] = execution.id

    def _forget_waiting(self, execution: str) -> None:
        self.waiting.pop(execution, None)
        self._delayed.drop(execution)
