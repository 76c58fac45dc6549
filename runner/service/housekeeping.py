"""Prunes what is kept too long: the outputs of executions, and the states of requests that
were removed. It works in slices, so that the loop never pauses for it. Touches the
outputs folder.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from pathlib import Path

from runner.execution.output import prune
from runner.planning.states.pruning import prunable
from runner.requests.settings import OutputBounds
from runner.service.deciding.decision_maker import DecisionMaker
from runner.service.executions.in_progress import InProgress
from runner.service.registry import Registry
from runner.system.clock import Clock

EVERY_S = 3600.0
MOST_STATES = 1000
"""How many states one transaction prunes; the next turn goes on."""


class OutputPruning:
    """Prunes outputs by age, size and number.

    A round begins at the start and every hour; `advance` does a slice of it.

    The outputs of executions in progress are kept. The age of an output counts only an
    hour after the start or after a step of the clock: by then a wrong clock is likely
    corrected, and a clock that is years ahead would delete everything.
    """

    def __init__(
        self,
        outputs: Path,
        keep_for: timedelta,
        bounds: OutputBounds,
        in_progress: InProgress,
        clock: Clock,
    ) -> None:
        self._outputs = outputs
        self._keep_for = keep_for
        self._bounds = bounds
        self._in_progress = in_progress
        self._clock = clock
        self._begin_at_s = clock.elapsed_s()
        self._ages_count_at_s = self._begin_at_s + EVERY_S
        self._round: Iterator[int] | None = None

    @property
    def next_s(self) -> float:
        """When `advance` has something to do, in elapsed seconds."""
        return self._clock.elapsed_s() if self._round else self._begin_at_s

    def distrust_clock(self) -> None:
        """Ignore the age of outputs for an hour."""
        self._round = None
        self._ages_count_at_s = self._clock.elapsed_s() + EVERY_S

    def advance(self) -> None:
        """Do the next slice of a round that is running or due."""
        if self._round is None:
            if self._clock.elapsed_s() < self._begin_at_s:
                return
            self._begin_at_s = self._clock.elapsed_s() + EVERY_S
            self._round = self._new_round()
        try:
            next(self._round)
        except StopIteration:
            self._round = None

    def _new_round(self) -> Iterator[int]:
        is_age_known = self._clock.elapsed_s() >= self._ages_count_at_s
        return prune(
            self._outputs,
            max_age_s=self._keep_for.total_seconds() if is_age_known else math.inf,
            max_bytes=self._bounds.size,
            max_files=self._bounds.count,
            now_s=self._clock.now().timestamp(),
            keep={execution.id for execution in self._in_progress},
        )


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
