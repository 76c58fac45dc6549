"""The timeouts of groups. A group has no process of its own that could be timed."""

from __future__ import annotations

from collections.abc import Iterable

from runner.execution.deadlines import Deadlines
from runner.service.executions.execution import Execution, time_left_s
from runner.service.executions.in_progress import InProgress
from runner.system.clock import Clock


class GroupTimeouts:
    """When each running group times out, in the clock's elapsed seconds."""

    def __init__(self, in_progress: InProgress, clock: Clock) -> None:
        self._in_progress = in_progress
        self._clock = clock
        self._deadlines = Deadlines()

    def begin(self, execution: Execution) -> None:
        """Time a group that runs; a restart continues the same timeout."""
        left_s = time_left_s(execution, self._clock.now()) if execution.is_group else None
        if left_s is not None:
            self._deadlines.set(execution.id, self._clock.elapsed_s() + left_s)

    def drop(self, execution: str) -> None:
        """Forget a group that has ended; do nothing for any other execution."""
        self._deadlines.drop(execution)

    def take_overdue(self) -> list[Execution]:
        """Return the groups whose timeout has passed. Each group is returned once."""
        overdue = map(self._in_progress.get, self._deadlines.take(self._clock.elapsed_s()))
        return [group for group in overdue if group is not None]

    def put_back(self, groups: Iterable[Execution]) -> None:
        """Mark groups as overdue again, because the decision about them was not committed."""
        for group in groups:
            self._deadlines.set(group.id, self._clock.elapsed_s())

    def next_s(self) -> float | None:
        """Return when the next group times out."""
        return self._deadlines.next_s()
