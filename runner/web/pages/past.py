"""What the history says, for a page; empty while the index is being built. Reads the index."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from statistics import median, quantiles
from typing import Any, TypeVar

from runner.history.reading.index import HistoryIndex, HistoryUnreadableError
from runner.history.reading.query import Bar, Page, Query, StripBar
from runner.lifecycle import ExecutionStatus
from runner.values import rough_size_text
from runner.web.pages.sane import sane, sane_all, sane_bars, sane_strip
from runner.web.pages.wording import success_rate

Answer = TypeVar("Answer")
Record = dict[str, Any]
Bars = dict[str, list[Bar]]
_NONE = Page(records=(), before=None)
_MUCH = 1_000_000
_WHOLE = frozenset(ExecutionStatus) - {ExecutionStatus.SYSTEM_RESTART}


class Past:
    """Asks the index; notes why it could not answer, and gives only usable records."""

    def __init__(self, index: HistoryIndex) -> None:
        self._index = index
        self._trouble: str | None = None

    def ask(self, question: Callable[[HistoryIndex], Answer]) -> Answer | None:
        """Return the answer; None while there is no index."""
        try:
            return question(self._index)
        except HistoryUnreadableError:
            self._trouble = "The history is being built: past executions appear in a moment."
            return None

    def executions(self, query: Query, *, before: int | None = None, limit: int) -> Page:
        """Return the newest executions that a query selects, before a place in the log."""
        found = self.ask(lambda index: index.executions(query, before=before, limit=limit))
        return _NONE if found is None else replace(found, records=sane_all(found.records))

    def execution(self, execution: str) -> Record | None:
        """Return the finished record of an execution."""
        found = self.ask(lambda index: index.execution(execution))
        return None if found is None else sane(found)

    def events(
        self, is_shown: Callable[[Record], bool], *, before: int | None = None, limit: int
    ) -> Page:
        """Return the newest records of other events that `is_shown` chooses, as the log has
        them: of their fields, only `event` is certainly a text.
        """

        def is_chosen(record: Record) -> bool:
            return isinstance(record.get("event"), str) and is_shown(record)

        found = self.ask(lambda index: index.events(is_chosen, before=before, limit=limit))
        return _NONE if found is None else replace(found, records=sane_all(found.records))

    def related(self, question: Callable[[HistoryIndex], list[Record]]) -> list[Record]:
        """Return records that have to do with an execution."""
        return sane_all(self.ask(question) or ())

    def bars(self, names: Collection[str], *, count: int = 30) -> Bars:
        """Return the last executions of each request, the oldest first."""
        return _sane(self.ask(lambda index: index.bars(names, count=count)))

    def strips(self, names: Collection[str]) -> dict[str, list[StripBar]]:
        """Return the last 30 executions of each request, the oldest first, for its strip."""
        found = self.ask(lambda index: index.strips(names)) or {}
        return {name: sane_strip(each) for name, each in found.items()}

    def lanes(self, names: Collection[str], query: Query) -> Bars:
        """Return the executions of each request in a span of time, the oldest first."""
        return _sane(self.ask(lambda index: index.lanes(names, query)))

    @property
    def notice(self) -> str | None:
        """What is still missing of the history; None if it is whole."""
        coverage = self.ask(lambda index: index.coverage())
        if coverage is not None and coverage.pending_bytes > _MUCH:
            left = rough_size_text(coverage.pending_bytes)
            return f"The history is being read: older executions appear later ({left} left)."
        return self._trouble


def _sane(bars: Bars | None) -> Bars:
    return {name: sane_bars(each) for name, each in (bars or {}).items()}


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


def rate_of(bars: Sequence[StripBar]) -> str | None:
    """Return the share of successes in words; None if nothing ended."""
    counts: dict[str, int] = {}
    for bar in bars:
        counts[bar.status] = counts.get(bar.status, 0) + 1
    return success_rate(counts)
