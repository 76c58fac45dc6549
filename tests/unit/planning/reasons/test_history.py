"""Monitor records as values: executions, misses, changes, times without a runner."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runner.lifecycle import ExecutionStatus
from runner.planning.reasons.history import (
    STARTED,
    STOPPED,
    Downtime,
    PastChange,
    Run,
    StepBack,
    changes_in,
    downtime_at,
    in_order,
    missed_in,
    runs_in,
    step_over,
)
from runner.values import instant_text

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def at(hours: float) -> datetime:
    return NOON + hours * HOUR


def life(hours: float, event: str) -> dict[str, Any]:
    return {"time": instant_text(at(hours)), "event": event}


def execution(status: str, identity: str = "e1", **fields: Any) -> dict[str, Any]:
    return {"execution": identity, "status": status, "scheduled_for": instant_text(NOON), **fields}


def test_the_last_record_of_each_execution_counts() -> None:
    started = execution("processing", started=instant_text(NOON), lateness_s=0.002)
    finished = execution(
        "success", started=instant_text(NOON), ended=instant_text(at(1)), lateness_s=0.002
    )
    other = execution("skipped", "e2", reason="concurrent", message="Concurrent attempt to execute")
    whole, skipped = runs_in(
        [started, finished, other, execution("misfired", "e3", missed_count=1)]
    )
    assert whole == Run(
        execution="e1",
        scheduled_for=NOON,
        status=ExecutionStatus.SUCCESS,
        reason=None,
        started=NOON,
        ended=at(1),
        lateness=timedelta(milliseconds=2),
    )
    assert skipped.is_skipped
    assert not whole.is_skipped


def test_a_missed_span_covers_its_first_and_its_last_fire() -> None:
    record = {
        "time": instant_text(at(5)),
        "missed_count": 3,
        "missed_from": instant_text(at(1)),
        "missed_until": instant_text(at(3)),
    }
    assert [len(missed_in([record], at(hours))) for hours in (0.9, 1, 2, 3, 3.1)] == [0, 1, 1, 1, 0]
    (missed,) = missed_in([record], at(2))
    assert (missed.count, missed.settled) == (3, at(5))


def test_a_rejected_file_changes_nothing_of_a_request() -> None:
    records: list[dict[str, object]] = [
        {
            "time": instant_text(NOON),
            "event": "request.scheduled",
            "generation": 1,
            "requested_by": None,
        },
        {"time": instant_text(NOON), "event": "request.rejected"},
        {
            "time": instant_text(at(1)),
            "event": "request.unscheduled",
            "generation": 1,
            "requested_by": "maria",
        },
    ]
    assert changes_in(records) == (
        PastChange(at=NOON, word="scheduled", generation=1, by=None),
        PastChange(at=at(1), word="unscheduled", generation=1, by="maria"),
    )


UP_AND_DOWN = [life(-10, STARTED), life(-2, STOPPED), life(2, STARTED)]
CRASHED = [life(-10, STARTED), life(2, STARTED)]


@pytest.mark.parametrize(
    ("lives", "last_seen", "is_alive", "downtime"),
    [
        (UP_AND_DOWN, -2, True, Downtime(since=at(-2), until=at(2), is_orderly=True)),
        (UP_AND_DOWN[:2], -2, False, Downtime(since=at(-2), until=None, is_orderly=True)),
        (CRASHED, -3, True, Downtime(since=at(-3), until=at(2), is_orderly=False)),
        (CRASHED, 1, True, None),
        (CRASHED[:1], -3, True, None),
        (CRASHED[:1], -3, False, Downtime(since=at(-3), until=None, is_orderly=False)),
        (CRASHED[:1], 1, False, None),
        ([life(-10, STARTED), life(3, STOPPED)], -3, False, None),
        ([life(3, STOPPED)], -3, False, None),
        ([life(2, STARTED)], None, True, Downtime(since=None, until=at(2), is_orderly=False)),
        ([], None, True, None),
        ([], None, False, None),
    ],
)
def test_a_time_without_a_runner(
    lives: list[dict[str, Any]], last_seen: float | None, is_alive: bool, downtime: Downtime | None
) -> None:
    seen = None if last_seen is None else at(last_seen)
    assert downtime_at(lives, NOON, last_seen=seen, is_alive=is_alive) == downtime


def step(hours: float, begin: float, end: float) -> dict[str, Any]:
    return {
        "time": instant_text(at(hours)),
        "event": "runner.clock_stepped",
        "step_s": (hours - end) * 3600.0,
        "reopened_from": instant_text(at(begin)),
        "reopened_until": instant_text(at(end)),
    }


def test_the_last_step_that_reopened_an_instant_is_found() -> None:
    forward = {
        "time": instant_text(at(9)),
        "step_s": 3600.0,
        "reopened_from": None,
        "reopened_until": None,
    }
    steps = [step(1, 1, 3), step(2, 2, 5), forward]
    assert step_over(steps, at(2)) == StepBack(at=at(1), seconds=7200.0, begin=at(1), end=at(3))
    assert step_over(steps, at(3)) == StepBack(at=at(2), seconds=10800.0, begin=at(2), end=at(5))
    assert step_over(steps, at(1)) is None
    assert step_over(steps, at(5.1)) is None


def test_a_record_with_a_wrong_time_happened_before_the_next_record() -> None:
    lives = [life(9000, STARTED), life(1, STOPPED), life(2, STARTED)]
    assert in_order(lives) == [(at(1), STARTED), (at(1), STOPPED), (at(2), STARTED)]


def test_a_start_with_a_wrong_time_makes_no_absence() -> None:
    lives = [life(9000, STARTED)]
    reported = downtime_at(
        [*lives, life(0, "runner.clock_stepped")], at(1), last_seen=at(0), is_alive=True
    )
    assert reported is None
