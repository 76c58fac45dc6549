"""The commands that `start` keeps running beside itself: the page, and a worker of a fleet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner.service.child_command import ChildCommand
    from runner.system.clock import Clock

_WORKER_GRACE_S = 15.0
"""How long a worker may take to end after its drain time, in seconds."""


@dataclass(slots=True, kw_only=True)
class CommandsBeside:
    """The command lines, and the children that run them."""

    page: Sequence[str] | None
    worker: Sequence[str] | None
    """Without the name of the worker, which is that of this node."""
    drain: timedelta
    """How long the worker waits for executions when it is stopped."""
    _worker: ChildCommand | None = None
    _children: list[ChildCommand] = field(default_factory=list)
    _clock: Clock | None = None
    _variables: Mapping[str, str] = field(default_factory=dict)

    @contextmanager
    def started(
        self, clock: Clock, variables: Mapping[str, str]
    ) -> Iterator[Sequence[ChildCommand]]:
        """Yield the children, which the loop starts, and end them afterwards.

        The list grows when the worker gets its name. `variables` are added to their
        environment.
        """
        self._clock, self._variables = clock, variables
        if self.page is not None:
            self._add("the page", self.page)
        try:
            yield self._children
        finally:
            for child in self._children:
                child.ask_to_end()
            for child in self._children:
                child.close()

    def start_worker(self, name: str) -> None:
        """Let a worker run from now on, under the name of this node."""
        if self.worker is not None:
            line, self.worker = (*self.worker, f"--name={name}"), None
            self._worker = self._add("the worker", line, self.drain)

    def leave_worker(self) -> None:
        """Let the worker finish what runs, however long that takes, while it takes nothing new."""
        if self._worker is not None:
            self._worker.leave()

    def _add(self, name: str, line: Sequence[str], drain: timedelta | None = None) -> ChildCommand:
        from runner.service.child_command import DRAIN_S, END_S, ChildCommand

        assert self._clock is not None
        drain_s = None if drain is None else drain.total_seconds()
        child = ChildCommand(
            name,
            line,
            self._clock,
            variables=self._variables
            if drain_s is None
            else {**self._variables, DRAIN_S: str(drain_s)},
            end_s=END_S if drain_s is None else drain_s + _WORKER_GRACE_S,
        )
        self._children.append(child)
        return child
