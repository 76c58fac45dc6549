"""Which part of the log a span of time is in. Reads the index.

The log is ordered by time, except where the clock went back. So a span of time is a few
ranges of places; at the edges of a range, times have to be compared.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace
from datetime import datetime

from runner.history.seqs import FIRST, LAST
from runner.values import instant_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Places from `first` to `last`; with `since` and `until`, only those of a time in between."""

    first: int = FIRST
    last: int = LAST
    since: str = ""
    until: str = "~"  # after every time

    @property
    def condition(self) -> str:
        """The SQL condition on a row `e` of `executions`, with `parameters`."""
        exact = " AND e.time BETWEEN ? AND ?" if self._is_partial else ""
        return f"e.seq BETWEEN ? AND ?{exact}"

    @property
    def parameters(self) -> tuple[object, ...]:
        """The parameters of `condition`."""
        times = (self.since, self.until) if self._is_partial else ()
        return (self.first, self.last, *times)

    @property
    def _is_partial(self) -> bool:
        return bool(self.since) or self.until != "~"


def ranges_of(
    connection: sqlite3.Connection, since: datetime | None, until: datetime | None, before: int
) -> list[Range]:
    """Return the ranges that cover a span of time before a place, the newest first."""
    if since is None and until is None:
        return [Range(last=before - 1)]
    begin = "" if since is None else instant_text(since)
    end = "~" if until is None else instant_text(until)
    rows = connection.execute("SELECT first, last, earliest, latest FROM blocks ORDER BY first")
    found: list[Range] = []
    is_next = False  # to the last range found
    for first, last, earliest, latest in rows:
        if first >= before:
            break
        if latest < begin or earliest > end:
            is_next = False
            continue
        part = Range(
            first=first,
            last=min(last, before - 1),
            since=begin if earliest < begin else "",
            until=end if latest > end else "~",
        )
        if is_next and (part.since, part.until) == (found[-1].since, found[-1].until):
            found[-1] = replace(found[-1], last=part.last)
        else:
            found.append(part)
        is_next = True
    return found[::-1]
