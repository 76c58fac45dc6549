"""What the history says, for a page; empty while the index is being built. Reads the index."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from statistics import median, quantiles
from typing import TypeVar

from runner.history.index import HistoryIndex, HistoryUnreadableError
from runner.history.query import Bar
from runner.lifecycle import ExecutionStatus
from runner.values import rough_size_text
from runner.web.pages.drawing.strip import StripBar
from runner.web.pages.wording import success_rate

Answer = TypeVar("Answer")
_WHOLE = frozenset(ExecutionStatus) - {ExecutionStatus.SYSTEM_RESTART}


class Past:
    """Asks the index, and notes why it could not answer."""

    def __init__(self, index: HistoryIndex) -> None:
        self._index = index
        self.trouble: str | None = None

    def ask(self, question: Callable[[HistoryIndex], Answer]) -> Answer | None:
        """Return the answer; None while there is no index."""
        try:
            return question(self._index)
        except HistoryUnreadableError:
            self.trouble = "The history is being built: past executions appear in a moment."
            return None

    @property
    def notice(self) -> str | None:
        """What is still missing of the history; None if it is whole."""
        coverage = self.ask(lambda index: index.coverage())
        if coverage is not None and coverage.pending_bytes > 1_000_000:
            left = rough_size_text(coverage.pending_bytes)
            return f"The history is being read: older executions appear later ({left} left)."
        return self.trouble


def durations_of(bars: Collection[Bar]) -> list[float]:
    """Return the durations of complete executions, in seconds."""
    return [
        bar.duration_s
        for bar in bars
        if bar.started and bar.duration_s is not None and bar.status in _WHOLE
    ]


def usual_s(bars: Collection[Bar]) -> float | None:
    """Return the usual duration in seconds: the median; None for nothing."""
    found = durations_of(bars)
    return median(found) if found else None


def p95_s(bars: Collection[Bar]) -> float | None:
    """Return the duration that 19 of 20 executions keep; None for fewer than two."""
    found = durations_of(bars)
    return quantiles(found, n=20, method="inclusive")[-1] if len(found) > 1 else None


def strip_bars(bars: Sequence[Bar]) -> list[StripBar]:
    """Return executions for a strip."""
    return [
        StripBar(status=bar.status, duration_s=bar.duration_s if bar.started else None)
        for bar in bars
    ]


def rate_of(bars: Sequence[Bar]) -> str | None:
    """Return the share of successes in words; None if nothing ended."""
    counts: dict[str, int] = {}
    for bar in bars:
        counts[bar.status] = counts.get(bar.status, 0) + 1
    return success_rate(counts)
