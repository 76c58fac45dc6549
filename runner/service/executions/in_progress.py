"""The executions in progress, in memory: waiting, about to start or running.

`InProgress` is the one table of them. Everything known of an execution is in its value;
the other containers only index the table. Pure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime

from runner.execution.deadlines import Deadlines
from runner.planning.overlap import Guard
from runner.service.executions.execution import Execution
from runner.store.rows import Phase

_LEAST_ID_PART = 4


class InProgress:
    """Executions by id.

    `starting`: committed; only the spawn is missing. `claimed_ahead`: committed a few
    milliseconds early, and spawned when their time comes. `waiting`: they wait for a guard
    or for room below `max_running`. A guard (`prevent_concurrent`) has one holder, and at
    most one execution is queued for it.
    """

    def __init__(self) -> None:
        self.starting: deque[str] = deque()
        self.claimed_ahead = Deadlines()
        # A dict, because it keeps the order and an entry leaves the middle in O(1).
        self.waiting: dict[str, None] = {}
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
        """How many processes run or are about to start: what counts against `max_running`."""
        return self._occupied

    def holder(self, guard: Guard) -> Execution | None:
        """Return the execution that holds a guard."""
        return self._executions.get(self._holders.get(guard, ""))

    def queued(self, guard: Guard) -> Execution | None:
        """Return the execution that waits for a guard held by another one."""
        return self._executions.get(self._queued.get(guard, ""))

    def member(self, group: str) -> Execution | None:
        """Return the member of a group that has not ended."""
        return self._executions.get(self._members.get(group, ""))

    def put(self, execution: Execution, *, is_ordered: bool = False) -> bool:
        """Add an execution or replace its value; return whether it leaves the waiting ones.

        A waiting execution waits at least until its `due`. Any other one occupies a place
        from its first such value on, and a process in phase STARTING is to be spawned, at
        `not_before_s` at the earliest, unless a former runner has ordered that.
        """
        former = self._executions.get(execution.id)
        self._executions[execution.id] = execution
        if former is None:
            self._enter(execution)
        if execution.phase.is_before_start:
            if execution.id not in self.waiting:
                self._delayed.set(execution.id, execution.due.timestamp())
            return False
        if former is not None:
            if not former.phase.is_before_start:
                return False
            self._release(execution)
        self._occupied += not execution.is_group
        if execution.phase is Phase.STARTING and not is_ordered:
            self._order(execution)
        return True

    def leave(self, execution: str) -> None:
        """Remove an execution that has ended, and free its guard; do nothing without one."""
        ended = self._executions.pop(execution, None)
        if ended is None:
            return
        if ended.phase.is_before_start:
            self._forget_waiting(execution)
        else:
            self.claimed_ahead.drop(execution)
            self._occupied -= not ended.is_group
        if ended.claim.group is not None and self._members.get(ended.claim.group) == execution:
            del self._members[ended.claim.group]
        # The next attempt may already be the holder or the member: remove only what is
        # this execution's own.
        if ended.guard is not None:
            for place in (self._holders, self._queued):
                if place.get(ended.guard) == execution:
                    del place[ended.guard]

    @property
    def has_claims_ahead(self) -> bool:
        """Whether an execution that was claimed ahead of its time has not been released yet."""
        return self.claimed_ahead.next_s() is not None

    def release_claimed_ahead(self, now_s: float) -> None:
        """Move the executions claimed ahead whose time has come to `starting`.

        `now_s` is in elapsed seconds.
        """
        self.starting.extend(self.claimed_ahead.take(now_s))

    def look_at_delayed(self, now: datetime) -> None:
        """Move the executions whose start time has come to `waiting`."""
        self.waiting.update(dict.fromkeys(self._delayed.take(now.timestamp())))

    def is_release_due(self, now: datetime) -> bool:
        """Return whether an execution waits whose start time has come."""
        next_s = self.next_due_s()
        return bool(self.waiting) or (next_s is not None and next_s <= now.timestamp())

    def delayed(self) -> list[Execution]:
        """Return the executions that wait for a start time, even one that has just come."""
        return [self._executions[execution] for execution in self._delayed]

    def next_due_s(self) -> float | None:
        """Return when the next delayed execution may start, in epoch seconds."""
        return self._delayed.next_s()

    def _order(self, execution: Execution) -> None:
        if execution.not_before_s is None:
            self.starting.append(execution.id)
        else:
            self._hold(execution.id, execution.not_before_s)

    def _hold(self, execution: str, until_s: float) -> None:
        self.claimed_ahead.set(execution, until_s)

    def _enter(self, execution: Execution) -> None:
        if execution.claim.group is not None:
            self._members[execution.claim.group] = execution.id
        if (guard := execution.guard) is not None:
            self._enter_at(guard, execution)

    def _enter_at(self, guard: Guard, execution: Execution) -> None:
        """Give an execution the guard, or the place in the queue behind its holder.

        When the guard is free and an execution is queued, the queued one goes before a
        newcomer. The next attempt of the former holder still goes before the queued one,
        because a retry keeps the guard.
        """
        if guard not in self._holders and guard in self._queued and execution.claim.attempt == 1:
            self._holders[guard] = self._queued.pop(guard)
        if self._holders.setdefault(guard, execution.id) != execution.id:
            self._queued[guard] = execution.id

    def _release(self, execution: Execution) -> None:
        self._forget_waiting(execution.id)
        if (guard := execution.guard) is not None:
            self._holders[guard] = execution.id
            if self._queued.get(guard) == execution.id:
                del self._queued[guard]

    def _forget_waiting(self, execution: str) -> None:
        self.waiting.pop(execution, None)
        self._delayed.drop(execution)


def named_among(executions: Iterable[Execution], target: str) -> list[Execution]:
    """Return the executions that a person means by `target`.

    The first match wins: a request's name, a member's name, a part of an id (4
    characters or more). Members are left out where their group is found.
    """
    found = tuple(executions)
    if of_request := [
        each for each in found if each.request == target and each.claim.group is None
    ]:
        return of_request
    if members := [each for each in found if each.is_called(target)]:
        return members
    part = target.lower()
    return [each for each in found if len(part) >= _LEAST_ID_PART and part in each.id]
