"""The executions in progress as one decision sees them: the table with its changes on top.

The table itself changes only after the decision is committed.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from runner.planning.overlap import Guard
from runner.service.executions.execution import Execution, row_of
from runner.service.executions.in_progress import InProgress
from runner.store.rows import Batch


class UncommittedChanges:
    """New values of executions, and the ids of those that `left`; both also in the batch.

    `changed` holds the executions that the decision claimed, and the new values of those
    that were in progress before.
    """

    def __init__(self, in_progress: InProgress, batch: Batch) -> None:
        self.changed: dict[str, Execution] = {}
        self.left: set[str] = set()
        self._in_progress = in_progress
        self._batch = batch
        self._claimed_at: dict[Guard, list[str]] = {}

    def __iter__(self) -> Iterator[Execution]:
        """Yield the executions that have not ended; the claims of this decision come last."""
        known = {each.id: each for each in self._in_progress}
        return (each for key, each in (known | self.changed).items() if key not in self.left)

    def put(self, execution: Execution) -> None:
        """Add an execution, or replace its value."""
        if execution.guard is not None and self.find(execution.id) is None:
            self._claimed_at.setdefault(execution.guard, []).append(execution.id)
        self.changed[execution.id] = execution
        self._batch.executions[execution.id] = row_of(execution)

    def leave(self, execution: str) -> None:
        """Remove an execution that ends with this decision."""
        self.changed.pop(execution, None)
        self._batch.executions.pop(execution, None)
        if execution in self._in_progress:
            self.left.add(execution)
            self._batch.ended.append(execution)

    def apply(self) -> list[Execution]:
        """Carry the changes over to the table, after the commit; return what begins.

        An execution that ended must free its guard before another one takes it. What
        waited goes before what is new.
        """
        for execution in self.left:
            self._in_progress.leave(execution)
        changed = sorted(self.changed.values(), key=lambda each: each.id not in self._in_progress)
        return [each for each in changed if self._in_progress.put(each)]

    def find(self, execution: str) -> Execution | None:
        """Return an execution that has not ended."""
        if execution in self.left:
            return None
        return self.changed.get(execution) or self._in_progress.get(execution)

    def member(self, group: str) -> Execution | None:
        """Return the member of a group that has not ended; a group has one at a time."""
        own = (changed for changed in self.changed.values() if changed.claim.group == group)
        known = self._in_progress.member(group)
        return next(own, None) or (None if known is None else self.find(known.id))

    def holder(self, guard: Guard) -> Execution | None:
        """Return the execution that holds a guard."""
        return next(self._at_guard(guard), None)

    def queued(self, guard: Guard) -> Execution | None:
        """Return the execution that waits for a guard which another one holds."""
        return next(islice(self._at_guard(guard), 1, None), None)

    def is_free_for(self, execution: Execution) -> bool:
        """Return whether no other execution holds the guard that this one needs."""
        holder = None if execution.guard is None else self.holder(execution.guard)
        return holder is None or holder.id == execution.id

    def _at_guard(self, guard: Guard) -> Iterator[Execution]:
        """Yield the holder of a guard, then the execution that is queued for it.

        The order is: the holder in the table, claims of this decision, the queued one in
        the table. Suppose that the holder has just ended and this decision claimed its
        next attempt. `find` then drops the holder, and the attempt takes over the guard
        before the queued execution, whose place stays the second.
        """
        holder, queued = self._in_progress.holder(guard), self._in_progress.queued(guard)
        known = (holder and holder.id, *self._claimed_at.get(guard, ()), queued and queued.id)
        found = (self.find(execution) for execution in known if execution is not None)
        yield from filter(None, found)
