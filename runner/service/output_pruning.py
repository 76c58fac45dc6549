"""Removes outputs that are kept no longer, and their results. It works in slices, so that
the loop never pauses for it. Touches the outputs folder and reads the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import groupby, islice
from operator import attrgetter

from runner.errors import StoreError
from runner.execution.kept_outputs import SLICE, KeptOutput, KeptOutputs
from runner.planning.retention import (
    EndedExecution,
    RetentionVerdict,
    failures_kept_for,
    retention_in_force,
    verdicts,
)
from runner.service.executions.in_progress import InProgress
from runner.service.registry import Registry
from runner.service.runner_settings import Settings
from runner.service.stored_outputs import StoredOutputs
from runner.store.protocol import Store
from runner.store.rows import ResultRow
from runner.system.clock import Clock

EVERY_S = 3600.0
Forget = Callable[[Sequence[str]], None]
"""Forgets the results of executions, in a commit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prunable:
    """What decides how long outputs and results are kept, and where the results are."""

    settings: Settings
    registry: Registry
    in_progress: InProgress
    store: Store
    forget: Forget
    kept: Callable[[], KeptOutputs | StoredOutputs]
    """Begins a look at the outputs."""


class OutputPruning:
    """Prunes the outputs and results of each request as its retention says.

    A round begins at the start and every hour; `advance` does a slice of it.

    The outputs of executions in progress are kept. The age of an output counts only an
    hour after the start or after a step of the clock: by then a wrong clock is likely
    corrected, and a clock that is years ahead would delete everything.
    """

    def __init__(self, prunable: Prunable, clock: Clock) -> None:
        self._prunable = prunable
        self._clock = clock
        self._begin_at_s = clock.elapsed_s()
        self._ages_count_at_s = self._begin_at_s + EVERY_S
        self._round: Iterator[None] | None = None

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
            self._round = _Round(
                self._prunable,
                begun_s=self._clock.now().timestamp(),
                is_age_counted=self._clock.elapsed_s() >= self._ages_count_at_s,
            ).slices()
        try:
            next(self._round)
        except (StopIteration, StoreError):  # the next commit meets the store's trouble too
            self._round = None


_JUDGED = KeptOutput(0, 0, 0.0)
"""In the place of an output whose result had its verdict."""


class _Round:
    """One look at all outputs, begun at `begun_s` in epoch seconds."""

    def __init__(self, prunable: Prunable, *, begun_s: float, is_age_counted: bool) -> None:
        self._settings = prunable.settings
        self._registry = prunable.registry
        self._in_progress = prunable.in_progress
        self._store = prunable.store
        self._forget = prunable.forget
        self._begun_s = begun_s
        self._now_s = begun_s if is_age_counted else None
        self._kept = prunable.kept()
        self._longest = failures_kept_for(prunable.settings.retention)
        """How long the outputs of any request are kept."""
        # A heap of what stays, the oldest first: to sort all of it would block the loop.
        self._rest: list[tuple[float, str, KeptOutput]] = []
        self._size = self._files = 0

    def slices(self) -> Iterator[None]:
        """Do the whole round, and yield after each slice."""
        yield from self._kept.look()
        found = self._verdicts()
        while judged := list(islice(found, SLICE)):
            self._carry_out(judged)
            yield
        self._store.keep_records(self._longest)
        yield from self._without_results()
        yield from self._beyond_bounds()

    def _verdicts(self) -> Iterator[RetentionVerdict]:
        """Yield the verdict on each result, request by request."""
        for name, rows in groupby(self._results(), key=attrgetter("request")):
            retention = retention_in_force(
                name, self._registry.requests, self._registry.states, self._settings.retention
            )
            self._longest = max(self._longest, failures_kept_for(retention))
            yield from verdicts(
                map(self._ended, rows),
                retention,
                now_s=self._now_s,
                keeps_results=name in self._registry.states,
            )

    def _results(self) -> Iterator[ResultRow]:
        last = None
        while rows := self._store.results_before(last, at_most=SLICE):
            # A request that is renamed during the round may show its results twice.
            yield from (row for row in rows if self._kept.found.get(row.execution) is not _JUDGED)
            last = rows[-1]

    def _ended(self, row: ResultRow) -> EndedExecution:
        with self._store.row_errors_in_words():
            ended_s = row.ended / 1e6
        output = self._kept.found.get(row.execution)
        size = None if output is None else output.size
        return EndedExecution(row.execution, row.status, ended_s, size)

    def _carry_out(self, judged: list[RetentionVerdict]) -> None:
        forgotten = []
        for verdict in judged:
            ended = verdict.ended
            if ended.size is not None:
                output = self._kept.found[ended.execution]
                self._kept.found[ended.execution] = _JUDGED
                if verdict.deletes_output:
                    self._kept.remove(ended.execution)
                else:
                    self._keep(ended.ended_s, ended.execution, output)
            # The output of an execution that ended during the round was perhaps not found.
            if verdict.deletes_result and (verdict.deletes_output or ended.ended_s < self._begun_s):
                forgotten.append(ended.execution)
        if forgotten:
            self._forget(forgotten)

    def _without_results(self) -> Iterator[None]:
        """Remove old outputs without a result: of executions in progress, or strays.

        It is unknown whether such an execution failed, so its output stays longer.
        """
        longest_s = failures_kept_for(self._settings.retention).total_seconds()
        others = iter(self._kept.found.items())
        while looked_at := list(islice(others, SLICE)):
            for execution, output in looked_at:
                if output is _JUDGED:
                    continue
                age_s = 0.0 if self._now_s is None else self._now_s - output.written_s
                if age_s > longest_s and execution not in self._in_progress:
                    self._kept.remove(execution)
                else:
                    self._keep(output.written_s, execution, output)
            yield

    def _keep(self, since_s: float, execution: str, output: KeptOutput) -> None:
        heappush(self._rest, (since_s, execution, output))
        self._size += output.size
        self._files += output.files

    def _beyond_bounds(self) -> Iterator[None]:
        """Remove the oldest outputs until the rest is within the bounds for all requests."""
        bounds = self._settings.output_bounds
        looked_at = 0
        while self._rest and (self._files > bounds.count or self._size > bounds.size):
            _, execution, output = heappop(self._rest)
            self._size -= output.size
            self._files -= output.files
            if execution not in self._in_progress:
                self._kept.remove(execution)
            looked_at += 1
            if looked_at % SLICE == 0:
                yield
