"""Deadlines of executions: one per execution, the earliest first. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush


class Deadlines:
    """A heap with lazy deletion, and a dictionary with the current deadlines.

    A heap entry counts only while the dictionary has the same deadline. So dropping a
    deadline costs one dictionary operation, and the stale entry is removed later.
    """

    def __init__(self) -> None:
        self._due_s: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []

    def __iter__(self) -> Iterator[str]:
        return iter(self._due_s)

    def __contains__(self, execution: str) -> bool:
        return execution in self._due_s

    def set(self, execution: str, due_s: float) -> None:
        """Set or replace the deadline of an execution."""
        self._due_s[execution] = due_s
        heappush(self._heap, (due_s, execution))
        # Rebuild the heap when most of it is stale: short executions with long timeouts
        # would otherwise fill it for hours.
        if len(self._heap) > 2 * len(self._due_s) + 64:
            self._heap = [(at_s, name) for name, at_s in self._due_s.items()]
            heapify(self._heap)

    def drop(self, execution: str) -> None:
        """Forget the deadline of an execution, if it has one."""
        self._due_s.pop(execution, None)

    def next_s(self) -> float | None:
        """Return the earliest deadline; None if there is none."""
        while self._heap and self._due_s.get(self._heap[0][1]) != self._heap[0][0]:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take(self, now_s: float) -> list[str]:
        """Remove the deadlines up to `now_s`; return their executions, earliest first."""
        due = []
        while (next_s := self.next_s()) is not None and next_s <= now_s:
            due.append(heappop(self._heap)[1])
            self.drop(due[-1])
        return due
