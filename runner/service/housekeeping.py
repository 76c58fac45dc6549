"""Prunes what is kept too long: outputs and results, and the states of requests that were
removed.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from runner.planning.states.pruning import prunable
from runner.service.deciding.decision_maker import DecisionMaker
from runner.service.executions.in_progress import InProgress
from runner.service.output_pruning import EVERY_S, OutputPruning
from runner.service.registry import Registry
from runner.system.clock import Clock

MOST_STATES = 1000
"""How many states one transaction prunes; the next turn goes on."""


class StatePruning:
    """Forgets the states of requests that were removed long ago.

    It begins an hour after the start, and an hour after each step of the clock: a clock
    that is wrong is likely corrected by then.
    """

    def __init__(
        self, registry: Registry, in_progress: InProgress, decisions: DecisionMaker, clock: Clock
    ) -> None:
        self._registry = registry
        self._in_progress = in_progress
        self._decisions = decisions
        self._clock = clock
        self.postpone()

    def postpone(self) -> None:
        """Prune nothing for an hour."""
        self._at_s = self._clock.elapsed_s() + EVERY_S

    def advance(self) -> None:
        """Prune some states if that is due."""
        if names := self._due():
            decision = self._decisions.begin()
            decision.batch.pruned += names
            if self._decisions.commit(decision):
                self._registry.forget(names)

    def _due(self) -> list[str]:
        if self._clock.elapsed_s() < self._at_s:
            return []
        in_use = {execution.request for execution in self._in_progress}
        registry, now = self._registry, self._clock.now()
        found = prunable(registry.states, registry.requests, now, in_use=in_use)
        names = list(islice(found, MOST_STATES))
        if len(names) < MOST_STATES:
            self.postpone()
        return names


def forget_results(decisions: DecisionMaker, executions: Sequence[str]) -> None:
    """Forget the results of executions; a later round repeats it if the store refuses."""
    decision = decisions.begin()
    decision.batch.forgotten += executions
    decisions.commit(decision)


class Housekeeping:
    """Prunes outputs and states; the loop calls `advance` in each turn."""

    def __init__(self, outputs: OutputPruning, states: StatePruning) -> None:
        self._outputs = outputs
        self._states = states

    @property
    def next_s(self) -> float:
        """When `advance` has something to do, in elapsed seconds."""
        return self._outputs.next_s

    def advance(self) -> None:
        """Do the next slice of what is due."""
        self._outputs.advance()
        self._states.advance()

    def distrust_clock(self) -> None:
        """Prune nothing by age for an hour, because the clock was stepped."""
        self._outputs.distrust_clock()
        self._states.postpone()
