"""What the monitor log says of the past: one request around an instant, and typical durations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from runner import RELEASED
from runner.access.loading import Loaded
from runner.access.ownership import has_other_log
from runner.access.places import Places
from runner.lifecycle import ExecutionStatus
from runner.monitor.reading import Filter, newest
from runner.monitor.records import Event, decode
from runner.monitor.trimming import LIMIT
from runner.planning.reasons.history import (
    STARTED,
    Downtime,
    History,
    Run,
    changes_in,
    downtime_at,
    missed_in,
    runs_in,
    step_over,
)
from runner.planning.reasons.past_alerts import PastAlert, alerts_at
from runner.service.executions.execution import execution_of
from runner.store.opening import owner_of
from runner.store.rows import Phase
from runner.system.regular_files import open_regular
from runner.values import instant_text, parse_instant

_EXECUTIONS = frozenset({Event.EXECUTION_STARTED, Event.EXECUTION_FINISHED})
_LIVES = frozenset({Event.RUNNER_STARTED, Event.RUNNER_STOPPED})
_CHANGES = frozenset(event for event in Event if event.startswith("request."))
_MISSES = frozenset({ExecutionStatus.MISFIRED, ExecutionStatus.SKIPPED})
_ALERTS = frozenset({Event.ALERT_OPENED, Event.ALERT_CLOSED})
_MOST = 100_000
_MOST_FINISHED = 20_000
_RUNS_OF_EACH = 25
_PARTIAL = (ExecutionStatus.SYSTEM_RESTART, ExecutionStatus.SKIPPED)
"""Executions that may have started, but did not run to an end of their own."""
_TICK = timedelta(microseconds=1)


def history(
    places: Places, loaded: Loaded, name: str, at: datetime, *, member: str | None = None
) -> History:
    """Return what is known of a request around an instant, under its former name too.

    Empty for an instant in the future, and if the monitor log belongs to another jobs
    folder. With `member`, only executions of that member of the request's group count.
    Raises RunnerError if the monitor log cannot be read.
    """
    state = loaded.states.get(name)
    is_ahead = at > loaded.now and (state is None or not state.is_reopened)
    if is_ahead or has_other_log(places):
        return History()
    requests, log = _names(loaded, name), places.log_to_read
    second = instant_text(at)[: len("2026-12-24T18:00:00")]
    executed = requests if member is None else frozenset(f"{each}/{member}" for each in requests)
    step = step_over(_records(log, Filter(events=frozenset({Event.RUNNER_CLOCK_STEPPED}))), at)
    since = at if step is None else None  # a run may have ended after the clock went back
    matching = Filter(requests=executed, events=_EXECUTIONS, scheduled_for=second, since=since)
    executions = [
        each for each in _records(log, matching) if (each.get("group") is None) is (member is None)
    ]
    misses = _records(log, Filter(requests=requests, statuses=_MISSES, since=since))
    return History(
        runs=(*runs_in(executions), *_waiting(loaded, name, member)),
        missed=missed_in(misses, at),
        changes=changes_in(_records(log, Filter(requests=requests, events=_CHANGES))),
        downtime=_downtime(places, at),
        reaches_back_to=_oldest(log),
        step=step,
    )


def _downtime(places: Places, at: datetime) -> Downtime | None:
    """Return the span around `at` in which no runner served the store."""
    log = places.log_to_read
    lives = _lives(log)
    started = next((time for time in _times(lives, STARTED) if time > at), None)
    return downtime_at(
        lives,
        at,
        last_seen=_last_sign(log, started and started - _TICK),
        is_alive=owner_of(places.store) is not None,
    )


def _lives(log: Path) -> list[dict[str, Any]]:
    """Return the records of starts and stops.

    A runner whose clock reads earlier than its own release date does not fire: it counts
    as absent.
    """
    found = _records(log, Filter(events=_LIVES))
    return [each for each in found if parse_instant(each["time"]) >= RELEASED]


def past_alerts(
    places: Places, loaded: Loaded, name: str, at: datetime, executions: Collection[str]
) -> tuple[PastAlert, ...]:
    """Return the alerts of a request that were open at an instant, or that `executions` opened.

    Raises RunnerError if the monitor log cannot be read.
    """
    if has_other_log(places):
        return ()
    matching = Filter(requests=_names(loaded, name), events=_ALERTS)
    return alerts_at(_records(places.log_to_read, matching), at, executions)


def durations(places: Places) -> dict[str, timedelta]:
    """Return, per request, the median duration of its newest complete runs.

    Runs that a restart cut off or a condition skipped do not count. Raises RunnerError if
    the monitor log cannot be read.
    """
    if has_other_log(places):
        return {}
    log = places.log_to_read
    seconds: dict[str, list[float]] = defaultdict(list)
    for record in reversed(_records(log, Filter(), most=_MOST_FINISHED)):
        if record.get("group") is not None:
            continue  # the group's own record already covers its members
        known = seconds[record["request"]]
        is_whole = record["started"] and record["status"] not in _PARTIAL
        if is_whole and len(known) < _RUNS_OF_EACH:
            known.append(record["duration_s"])
    return {name: timedelta(seconds=median(known)) for name, known in seconds.items() if known}


def _names(loaded: Loaded, name: str) -> frozenset[str]:
    """Return the names under which a request has records: its own, and its former one
    unless another request has taken that name.
    """
    former = loaded.request(name).formerly
    return frozenset(
        {name} if former is None or former in loaded.in_force.requests else {name, former}
    )


def _records(log: Path, matches: Filter, *, most: int = _MOST) -> list[dict[str, Any]]:
    return newest(log, most, matches=matches)


def _times(records: list[dict[str, Any]], event: str) -> list[datetime]:
    return [parse_instant(record["time"]) for record in records if record["event"] == event]


def _last_sign(log: Path, until: datetime | None) -> datetime | None:
    """Return the time of the last record, up to `until`, that a live runner wrote.

    What the next runner writes before its own start does not count: `system_restart`
    about the executions of its predecessor, and in a fleet that it leads now.
    """
    others = Filter(
        events=frozenset(Event) - {Event.EXECUTION_FINISHED, Event.RUNNER_LEADING}, until=until
    )
    ends = Filter(
        statuses=frozenset(ExecutionStatus) - {ExecutionStatus.SYSTEM_RESTART}, until=until
    )
    found = [record for matches in (others, ends) for record in newest(log, 1, matches=matches)]
    return max((parse_instant(str(record["time"])) for record in found), default=None)


def _waiting(loaded: Loaded, name: str, member: str | None) -> list[Run]:
    """Return the waiting executions of a request, or of a member of its group. They
    have no record yet.
    """
    called = name if member is None else f"{name}/{member}"
    waiting = (execution_of(row) for row in loaded.snapshot.executions if row.phase.is_before_start)
    return [
        Run(
            execution=each.id,
            scheduled_for=each.claim.scheduled_for,
            status=ExecutionStatus.PROCESSING,
            reason=None,
            is_waiting=True,
            is_queued=each.phase is Phase.QUEUED,
        )
        for each in waiting
        if (each.claim.group is None) is (member is None) and each.is_called(called)
    ]


def _oldest(log: Path) -> datetime | None:
    """Return the time of the oldest record still available, in the rotated file (`.1`)
    or in the log.
    """
    for path in (log.with_name(f"{log.name}.1"), log):
        with suppress(OSError), open(open_regular(path), "rb") as file:  # noqa: PTH123 - a descriptor
            record = decode(file.readline(LIMIT)) or {}
            if "time" in record:
                return parse_instant(str(record["time"]))
    return None
