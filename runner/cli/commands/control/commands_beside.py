"""The commands that `start` keeps running beside itself: the page, and a worker of a fleet."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner.service.beside.child_command import ChildCommand
    from runner.service.beside.child_pipe import HandedChild
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
    handed: HandedChild | None = None
    """The worker of the program that this one replaced; it goes on."""
    _worker: ChildCommand | None = None
    _node: str = ""
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
        if self.handed is not None:
            self._keep_worker(self.handed)
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
            line, self.worker, self._node = (*self.worker, f"--name={name}"), None, name
            self._worker = self._add("the worker", line, self.drain, self.handed)

    def _keep_worker(self, handed: HandedChild) -> None:
        if self.worker is not None:
            self.start_worker(handed.node)
        else:  # this runner is in a fleet no more; the worker ends after its executions
            os.close(handed.pipe)

    def hand_over_worker(self) -> HandedChild | None:
        """Return the worker for the program that replaces this one; None if there is none."""
        return None if self._worker is None else self._worker.hand_over(self._node)

    def _add(
        self,
        name: str,
        line: Sequence[str],
        drain: timedelta | None = None,
        handed: HandedChild | None = None,
    ) -> ChildCommand:
        from runner.service.beside.child_command import DRAIN_S, END_S, ChildCommand

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
            handed=handed,
        )
        self._children.append(child)
        return child
