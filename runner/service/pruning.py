"""Decides when to prune the states of requests that were removed long ago, a few at a time."""

from __future__ import annotations

from itertools import islice

from runner.planning.states.pruning import prunable
from runner.service.clock import Clock
from runner.service.executions.in_progress import InProgress
from runner.service.registry import Registry

EVERY_S = 3600.0
MOST = 1000
"""How many states one transaction prunes; the next turn goes on."""


class Pruning:
    """Begins an hour after the start, and an hour after each step of the clock.

    A clock that is wrong is likely corrected by then.
    """

    def __init__(self, registry: Registry, in_progress: InProgress, clock: Clock) -> None:
        self._registry = registry
        self._in_progress = in_progress
        self._clock = clock
        self.postpone()

    def postpone(self) -> None:
        """Prune nothing for an hour."""
        self._at_s = self._clock.elapsed_s() + EVERY_S

    def due(self) -> list[str]:
        """Return the names whose states to prune now; usually none."""
        if self._clock.elapsed_s() < self._at_s:
            return []
        in_use = {execution.request for execution in self._in_progress}
        registry = self._registry
        found = list(
            islice(
                prunable(registry.states, registry.requests, self._clock.now(), in_use=in_use), MOST
            )
        )
        if len(found) < MOST:
            self.postpone()
        return found
