"""What readers ask the history index, and what it answers. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from runner.history.rows import Record
from runner.monitor.reading import Filter

Admits = Callable[[Mapping[str, str], str | None], bool]
"""Whether a viewer may see executions with these labels, of this client."""


def is_admitted(record: Record, admits: Admits) -> bool:
    """Return whether a viewer may see a record of an execution."""
    labels, context = record.get("labels"), record.get("context")
    client = context.get("client") if isinstance(context, dict) else None
    return admits(labels if isinstance(labels, dict) else {}, client)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Selects executions. An empty condition accepts every value.

    `requests` may be globs, and names of members. `among` are full names of requests. Each
    set of `labels` is one of texts `KEY=VALUE`, as alternatives. `since` and `until` are
    inclusive and apply to the record's `time`. `text` is words of the message or of the
    output's end: an execution must have all of them; `disk*` is the beginning of a word.
    """

    requests: frozenset[str] = frozenset()
    among: frozenset[str] | None = None
    labels: tuple[frozenset[str], ...] = ()
    owners: frozenset[str] = frozenset()
    statuses: frozenset[str] = frozenset()
    reasons: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    since: datetime | None = None
    until: datetime | None = None
    text: str = ""
    with_members: bool = True
    """Whether members of groups are among the executions."""
    admits: Admits | None = None
    """The viewer's scope; None for everything."""

    @property
    def selects_kinds(self) -> bool:
        """Whether a condition other than time and text is set."""
        conditions = (self.requests, self.labels, self.owners, self.statuses, self.reasons)
        is_whole = not any(conditions) and not self.channels and self.among is None
        return not is_whole or not self.with_members or self.admits is not None

    def selects(self, kind: Record) -> bool:
        """Return whether executions of a kind meet the conditions other than time and text."""
        return (
            self._filter.admits(kind)
            and (self.with_members or not kind["group"])
            and (not self.reasons or kind["reason"] in self.reasons)
            and (not self.channels or kind["channel"] in self.channels)
            and (self.admits is None or is_admitted(kind, self.admits))
        )

    @property
    def _filter(self) -> Filter:
        return Filter(
            requests=self.requests,
            among=self.among,
            labels=self.labels,
            owners=self.owners,
            statuses=self.statuses,
            events=frozenset(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some executions, the newest first."""

    records: Sequence[Record]
    before: int | None
    """What to ask for the next page; None on the last one."""


class Bar(NamedTuple):
    """An execution of a request: as much of it as a chart needs.

    `time` is that of its record: when it ended, or when the runner noticed a miss. `started`
    is None if it never started. Missed fires are one bar, from `missed_from` on. A tuple,
    because a page has fifteen thousand.
    """

    execution: str
    status: str
    reason: str | None
    time: str
    scheduled_for: str | None
    started: str | None
    duration_s: float | None
    missed_from: str | None = None
    missed_until: str | None = None


class StripBar(NamedTuple):
    """An execution in a strip of its request. `duration_s` is None if it never started."""

    status: str
    duration_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How many executions of a request, without its members, had a status and a reason."""

    request: str
    status: str
    reason: str | None
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """How many values were at most as large as each bound, and the sum of all."""

    counts: Mapping[float, int]
    total: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How much of the log an index has. `pending_bytes` are still to be read.

    `is_followed` says whether a program keeps it up to date now; `oldest` is the time of
    the oldest execution.
    """

    executions: int
    oldest: str | None
    pending_bytes: int
    is_followed: bool
