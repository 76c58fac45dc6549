"""The executions that are on their way, in memory: waiting, about to start, running; and the guards they hold."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from runner.planning.overlap import Guard
from runner.service.execution import Execution
from runner.store.rows import Phase


class Book:
    """Executions by id; `starting` are committed and wait only for their spawn, `waiting` for a free place."""

    def __init__(self) -> None:
        self.starting: deque[str] = deque()
        self.waiting: deque[str] = deque()
        self._executions: dict[str, Execution] = {}
        self._held: dict[Guard, str] = {}

    def __contains__(self, execution: str) -> bool:
        return execution in self._executions

    def __getitem__(self, execution: str) -> Execution:
        return self._executions[execution]

    def __iter__(self) -> Iterator[Execution]:
        return iter(tuple(self._executions.values()))

    @property
    def occupied(self) -> int:
        """How many count against `max_running`."""
        return len(self._executions) - len(self.waiting)

    def is_held(self, guard: Guard | None) -> bool:
        """Tell whether an execution that has not ended holds the guard."""
        return guard is not None and guard in self._held

    def enter(self, execution: Execution) -> None:
        """Enter a committed claim, or one that a former runner left."""
        self._executions[execution.id] = execution
        if execution.guard is not None:
            self._held.setdefault(execution.guard, execution.id)
        if execution.phase is Phase.WAITING:
            self.waiting.append(execution.id)
        elif execution.phase is Phase.STARTING:
            self.starting.append(execution.id)

    def release(self, execution: Execution) -> None:
        """Have a waiting execution, whose turn has come and is committed, start."""
        self._executions[execution.id] = execution
        self.waiting.remove(execution.id)
        self.starting.append(execution.id)

    def update(self, execution: Execution) -> None:
        """Replace what is known of an execution."""
        self._executions[execution.id] = execution

    def leave(self, execution: str) -> Execution:
        """Strike out an execution that has ended, and free its guard."""
        ended = self._executions.pop(execution)
        if ended.phase is Phase.WAITING:
            self.waiting.remove(execution)
        if ended.guard is not None and self._held.get(ended.guard) == execution:
            del self._held[ended.guard]
        return ended

    def named(self, target: str) -> list[Execution]:
        """Return the executions of a request, or those whose id begins with `target`: 8 characters at least."""
        if of_request := [execution for execution in self if execution.request == target]:
            return of_request
        return [execution for execution in self if len(target) >= 8 and execution.id.startswith(target)]
