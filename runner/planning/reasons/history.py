"""Turn monitor records about one request around one instant into values.

Pure: the caller reads the records.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from runner.lifecycle import Channel, ExecutionStatus, Reason
from runner.values import parse_instant

Record = Mapping[str, Any]
STARTED, STOPPED = "runner.started", "runner.stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One execution of a fire, running or ended.

    With `is_waiting` it has not started; with `is_queued` it lacks only a free place.
    """

    execution: str
    scheduled_for: datetime
    status: ExecutionStatus
    reason: str | None
    is_waiting: bool = False
    is_queued: bool = False
    is_direct: bool = False
    is_backfill: bool = False
    started: datetime | None = None
    ended: datetime | None = None
    lateness: timedelta | None = None
    message: str | None = None

    @property
    def is_skipped(self) -> bool:
        """Whether it was skipped: its guard was held, or its condition was not met."""
        return self.status is ExecutionStatus.SKIPPED


@dataclass(frozen=True, slots=True, kw_only=True)
class PastMiss:
    """A span of fires that did not run. `settled` is when the runner recorded it.

    With `is_of_backfill`, a backfill ended before it ran them. Their own verdicts, from when
    they fell due, are in other records.
    """

    count: int
    first: datetime
    last: datetime
    settled: datetime
    message: str | None = None
    is_paused: bool = False
    """Whether a pause held the fires; otherwise they were missed."""
    is_of_backfill: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PastChange:
    """A record of the request itself.

    `word` is scheduled, unscheduled, rescheduled, completed or removed. `by` is a person.
    `why` says in words why the runner made the change. Without both, the file caused it.
    """

    at: datetime
    word: str
    generation: int | None
    by: str | None
    why: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Downtime:
    """A time without a runner.

    `since` is the runner's last sign of life. `until` is the next start; None if there was
    none. `is_orderly` says that the log has a record of the runner's stop.
    """

    since: datetime | None
    until: datetime | None
    is_orderly: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StepBack:
    """A step back of the clock, by `seconds` (positive) to `at`. It reopened (begin, end]."""

    at: datetime
    seconds: float
    begin: datetime
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The records around an instant.

    `changes` are all changes of the request, ascending. `reaches_back_to` is the time of the
    oldest record left in the log. `step` is the last step back that reopened the instant.
    """

    runs: tuple[Run, ...] = ()
    missed: tuple[PastMiss, ...] = ()
    changes: tuple[PastChange, ...] = ()
    downtime: Downtime | None = None
    reaches_back_to: datetime | None = None
    step: StepBack | None = None


def runs_in(records: Iterable[Record]) -> tuple[Run, ...]:
    """Return the executions in records, each by its last record. Spans do not count."""
    last = {record["execution"]: record for record in records if record.get("missed_count") is None}
    return tuple(_run(record) for record in last.values())


def _run(record: Record) -> Run:
    lateness = record.get("lateness_s")
    return Run(
        execution=str(record["execution"]),
        scheduled_for=parse_instant(record["scheduled_for"]),
        status=ExecutionStatus(record["status"]),
        reason=record.get("reason"),
        is_direct=record.get("channel") == Channel.DIRECT,
        is_backfill=record.get("channel") == Channel.BACKFILL,
        started=_instant(record.get("started")),
        ended=_instant(record.get("ended")),
        lateness=None if lateness is None else timedelta(seconds=lateness),
        message=record.get("message"),
    )


def missed_in(records: Iterable[Record], at: datetime) -> tuple[PastMiss, ...]:
    """Return the spans of fires that did not run, and that cover an instant."""
    spans = (
        PastMiss(
            count=int(record.get("missed_count") or 0),
            first=parse_instant(record["missed_from"]),
            last=parse_instant(record["missed_until"]),
            settled=parse_instant(record["time"]),
            message=record.get("message"),
            is_paused=record.get("reason") == Reason.PAUSED,
            is_of_backfill=record.get("channel") == Channel.BACKFILL,
        )
        for record in records
        if record.get("missed_from") and record.get("missed_until")
    )
    return tuple(span for span in spans if span.first <= at <= span.last)


def step_over(records: Iterable[Record], at: datetime) -> StepBack | None:
    """Return the last step back of the clock that reopened an instant."""
    found = None
    for record in records:
        if not record.get("reopened_from") or not record.get("reopened_until"):
            continue
        begin, end = parse_instant(record["reopened_from"]), parse_instant(record["reopened_until"])
        if begin < at <= end:
            seconds = abs(float(record.get("step_s") or 0.0))
            found = StepBack(
                at=parse_instant(record["time"]), seconds=seconds, begin=begin, end=end
            )
    return found


def in_order(lives: Iterable[Record]) -> list[tuple[datetime, str]]:
    """Return the times and events of records, with times that never decrease.

    After a step back of the clock, a later record may have an earlier time. Its
    predecessors then get that time: they were written before it.
    """
    found: list[tuple[datetime, str]] = []
    for record in reversed(list(lives)):
        time = parse_instant(record["time"])
        found.append((min(time, found[-1][0]) if found else time, str(record["event"])))
    return found[::-1]


def changes_in(records: Iterable[Record]) -> tuple[PastChange, ...]:
    """Return the changes of the request itself. A rejected file does not change it."""
    return tuple(
        PastChange(
            at=parse_instant(record["time"]),
            word=str(record["event"]).partition(".")[2],
            generation=record.get("generation"),
            by=record.get("requested_by"),
            why=record.get("message") if record.get("drift") else None,
        )
        for record in records
        if not str(record["event"]).endswith(".rejected")
    )


def downtime_at(
    lives: Iterable[Record], at: datetime, *, last_seen: datetime | None, is_alive: bool
) -> Downtime | None:
    """Return the time without a runner that covers an instant.

    Returns None if a runner was running, or if the records do not say. `lives` are the
    started and stopped records of the runner. `last_seen` is the time of the last record of
    any kind before the first start after `at` (or before now). `is_alive` says whether a
    runner is running now.
    """
    ordered = in_order(lives)
    before = [each for each in ordered if each[0] <= at]
    after = [each for each in ordered if each[0] > at]
    until = next((time for time, event in after if event == STARTED), None)
    if before and before[-1][1] == STOPPED:
        return Downtime(since=before[-1][0], until=until, is_orderly=True)
    if (after and after[0][1] == STOPPED) or (until is None and is_alive):
        return None
    if last_seen is not None and last_seen > at:
        return None
    return Downtime(since=last_seen, until=until, is_orderly=False) if before or until else None


def _instant(text: str | None) -> datetime | None:
    return None if text is None else parse_instant(text)
