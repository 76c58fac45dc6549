"""Decides which outputs and results of a request to delete. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from runner.lifecycle import ExecutionStatus
from runner.planning.states.results import FAILURES
from runner.planning.states.state import RequestState
from runner.requests.model import ProcessRequest
from runner.requests.policies import Retention

NEWEST_RESULTS = 50
"""How many of the newest results stay without their outputs; the last success stays too."""


class EndedExecution(NamedTuple):
    """A result and what is left of its output. There may be a hundred thousand."""

    execution: str
    status: str
    ended_s: float
    """In epoch seconds."""
    size: int | None
    """The bytes of its output; None if it has none any more."""


class RetentionVerdict(NamedTuple):
    """Whether to delete the output of an execution, and its result."""

    ended: EndedExecution
    deletes_output: bool
    deletes_result: bool


@dataclass(slots=True, kw_only=True)
class _Budget:
    """What the newer outputs of one kind leave of a retention for the older ones."""

    longest_s: float
    count: float
    size: float

    def has_expired(self, output: EndedExecution, now_s: float | None) -> bool:
        """Spend the budget for an output; return whether it exceeds it.

        Once one does, so do all older ones.
        """
        self.count -= 1
        self.size -= output.size or 0
        is_old = now_s is not None and now_s - output.ended_s > self.longest_s
        return is_old or self.count < 0 or self.size < 0


def retention_in_force(
    name: str,
    requests: Mapping[str, ProcessRequest],
    states: Mapping[str, RequestState],
    default: Retention,
) -> Retention:
    """Return how long a request keeps its outputs, with the defaults filled in.

    A removed request keeps them as its file said last, until its state is forgotten.
    """
    if name in requests:
        return requests[name].retention.over(default)
    return states[name].retention.over(default) if name in states else default


def verdicts(
    newest_first: Iterable[EndedExecution],
    retention: Retention,
    *,
    now_s: float | None,
    keeps_results: bool = True,
) -> Iterator[RetentionVerdict]:
    """Yield the verdict on each result of a request.

    `retention` has the defaults filled in. `now_s` is None while the clock may be wrong:
    then nothing is too old. `keeps_results` is False for a request that the store has
    forgotten: its results stay only with their outputs.
    """
    budgets, count, has_success = _budgets(retention), 0, False
    for ended in newest_first:
        is_success = ended.status == ExecutionStatus.SUCCESS
        stays = count < NEWEST_RESULTS or (is_success and not has_success)
        count, has_success = count + 1, has_success or is_success
        budget = budgets[ended.status in FAILURES]
        deletes_output = ended.size is not None and budget.has_expired(ended, now_s)
        is_bare = ended.size is None or deletes_output
        yield RetentionVerdict(ended, deletes_output, is_bare and not (keeps_results and stays))


class Deleted(NamedTuple):
    """How many outputs are deleted, and their bytes."""

    outputs: int
    size: int


NOTHING_DELETED = Deleted(0, 0)


def further_deleted(
    newest_first: Sequence[EndedExecution], before: Retention, after: Retention, *, now_s: float
) -> Deleted:
    """Return the outputs that the retention `after` deletes and `before` keeps."""
    judged = zip(
        verdicts(newest_first, before, now_s=now_s),
        verdicts(newest_first, after, now_s=now_s),
        strict=True,
    )
    sizes = [
        then.ended.size or 0
        for one, then in judged
        if then.deletes_output and not one.deletes_output
    ]
    return Deleted(len(sizes), sum(sizes))


def failures_kept_for(retention: Retention) -> timedelta:
    """Return how long the outputs of failures are kept: no shorter than the others."""
    spans = (retention.keep_for, retention.failures_keep_for)
    return max(span for span in spans if span is not None)


def _budgets(retention: Retention) -> dict[bool, _Budget]:
    """Return the budget of failures (True) and that of the others; they may be one."""
    assert retention.keep_for is not None, "the settings have a default"
    others = _budget(retention, retention.keep_for.total_seconds())
    if retention.failures_keep_for is None:
        return {True: others, False: others}
    longest_s = failures_kept_for(retention).total_seconds()
    return {True: _budget(retention, longest_s), False: others}


def _budget(retention: Retention, longest_s: float) -> _Budget:
    return _Budget(
        longest_s=longest_s,
        count=float("inf") if retention.keep_count is None else retention.keep_count,
        size=float("inf") if retention.keep_size is None else retention.keep_size,
    )
