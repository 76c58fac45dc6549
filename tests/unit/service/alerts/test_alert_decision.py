"""What happens to a request opens and closes its alerts, in the store and for people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.alerts_world import AlertsWorld
from support.executions_world import NOON, request

from runner.lifecycle import Channel, Check, ExecutionStatus, Reason
from runner.planning.alerts.alert import Change
from runner.requests.model import Condition
from runner.requests.policies import Expect, Route

SUCCESS, ERROR = ExecutionStatus.SUCCESS, ExecutionStatus.ERROR
MINUTE = timedelta(minutes=1)
EXPECT = Expect(
    start_within=MINUTE, finish_within=5 * MINUTE, duration=3 * MINUTE, success_every=60 * MINUTE
)
EVERYTHING = (Route(to="ops", on=frozenset(Check), after=2),)


def world(**changes: Any) -> AlertsWorld:
    return AlertsWorld(request=replace(request("a"), **changes))


def test_a_failure_opens_once_and_the_next_success_closes_it() -> None:
    here = world()
    for status in (ERROR, ERROR, SUCCESS, SUCCESS, ERROR):
        here.run(status)
    assert here.events == [
        ("opened", Check.FAILURE, 1),
        ("closed", Check.FAILURE, 2),
        ("opened", Check.FAILURE, 1),
    ]
    assert [change.change for change in here.notified.changes] == [
        Change.OPENED,
        Change.COUNTED,
        Change.CLOSED,
        Change.OPENED,
    ]


def test_a_success_leaves_no_row_where_none_is_expected() -> None:
    here = world()
    for status in (ERROR, SUCCESS, SUCCESS):
        here.run(status)
    assert here.rows == {}


def test_an_attempt_that_another_one_follows_is_no_failure() -> None:
    here = world()
    here.claim("a1")
    here.start("a1")
    here.end("a1", ERROR, is_last=False)
    assert here.events == []


@pytest.mark.parametrize(
    ("status", "reason", "is_failure"),
    [
        (ERROR, Reason.EXIT_CODE, True),
        (ERROR, Reason.TIMEOUT, True),
        (ExecutionStatus.SYSTEM_RESTART, Reason.RUNNER_LOST, True),
        (ExecutionStatus.KILLED, Reason.RUNNER_STOPPED, True),
        (ExecutionStatus.KILLED, Reason.KILLED_BY_USER, False),
        (ExecutionStatus.KILLED, Reason.REPLACED, False),
        (ExecutionStatus.SKIPPED, Reason.CONCURRENT, False),
    ],
)
def test_the_ends_that_count_as_a_failure(
    status: ExecutionStatus, reason: Reason, is_failure: bool
) -> None:
    here = world()
    here.run(status, reason)
    assert (Check.FAILURE in here.open()) == is_failure


def test_a_person_s_run_closes_a_failure_and_opens_none() -> None:
    here = world()
    here.run(ERROR)
    for status in (ERROR, SUCCESS, ERROR):
        here.claim("mine", channel=Channel.DIRECT, requested_by="maria")
        here.end("mine", status)
    assert here.events == [("opened", Check.FAILURE, 1), ("closed", Check.FAILURE, 1)]


def test_the_failure_of_an_on_failure_process_counts() -> None:
    here = world()
    here.claim("run", channel=Channel.DIRECT, extra_variables={"RUNNER_FAILED_RECORD": "{}"})
    here.end("run", ERROR)
    assert here.open() == {Check.FAILURE: 1}


def test_a_miss_opens_and_the_next_start_closes_it() -> None:
    here = world()
    here.miss(3)
    here.miss(2)
    assert here.open() == {Check.MISSED: 5}
    here.claim("a1")
    assert here.open() == {Check.MISSED: 5}
    here.start("a1")
    assert here.open() == {}


def test_skipped_fires_count_only_where_a_route_names_them() -> None:
    here = world()
    here.run(ExecutionStatus.SKIPPED)
    assert here.rows == {}
    here = world(notify=(Route(to="ops", on=frozenset({Check.SKIPPED}), after=2),))
    here.claim("one")
    here.end("one", ExecutionStatus.SKIPPED)
    assert here.open() == {}
    here.claim("two")
    here.end("two", ExecutionStatus.SKIPPED)
    assert here.open() == {Check.SKIPPED: 2}
    here.run(ERROR)
    assert Check.SKIPPED not in here.open()


def test_skips_by_a_condition_count_until_the_process_runs() -> None:
    """The execution starts each time: its condition belongs to it."""
    here = world(
        notify=(Route(to="ops", on=frozenset({Check.SKIPPED}), after=2),),
        process=replace(request("a").process, condition=Condition(shell="exit 1")),
    )
    for _ in range(3):
        here.run(ExecutionStatus.SKIPPED, Reason.CONDITION)
    assert here.open() == {Check.SKIPPED: 3}
    here.run(SUCCESS)
    assert here.open() == {}


def test_an_alert_opens_at_the_smallest_after_of_its_routes() -> None:
    failures = frozenset({Check.FAILURE})
    here = world(
        notify=(
            Route(to="chat", on=failures, after=2),
            Route(to="pager", on=failures, after=5),
            Route(to="ops", on=frozenset({Check.MISSED})),
        )
    )
    here.run(ERROR)
    assert here.open() == {}
    here.run(ERROR)
    assert here.open() == {Check.FAILURE: 2}


def test_the_routes_of_the_runner_serve_a_request_without_its_own() -> None:
    here = AlertsWorld(routes=(Route(to="ops", after=2),))
    here.run(ERROR)
    assert here.open() == {}


def test_a_fire_that_does_not_start_in_time_is_late_until_it_starts() -> None:
    here = world(expect=Expect(start_within=MINUTE))
    here.claim("a1")
    here.wait(MINUTE - timedelta(seconds=1))
    assert here.open() == {}
    here.wait(timedelta(seconds=1))
    assert here.open() == {Check.LATE_START: 1}
    here.start("a1")
    assert here.open() == {}


def test_a_fire_that_does_not_finish_in_time_is_late_through_all_its_attempts() -> None:
    here = world(expect=Expect(finish_within=5 * MINUTE))
    here.claim("a1")
    here.start("a1")
    here.wait(4 * MINUTE)
    here.end("a1", ERROR, is_last=False)
    here.claim("a2", channel=Channel.RETRY, attempt=2, scheduled_for=NOON)
    here.wait(MINUTE)
    assert here.open() == {Check.LATE: 1}
    here.start("a2")
    assert here.open() == {Check.LATE: 1}
    here.end("a2", SUCCESS)
    assert here.open() == {}


@pytest.mark.parametrize("channel", [Channel.BACKFILL, Channel.DIRECT, Channel.RETRY])
def test_what_no_rule_asked_for_now_is_never_late(channel: Channel) -> None:
    here = world(expect=Expect(start_within=MINUTE, finish_within=MINUTE))
    here.claim("a1", channel=channel, generation=None, scheduled_for=NOON - timedelta(days=3))
    here.wait(60 * MINUTE)
    here.start("a1")
    here.wait(60 * MINUTE)
    assert here.open() == {}


def test_an_execution_that_runs_too_long_is_an_overrun_until_it_ends() -> None:
    here = world(expect=Expect(duration=3 * MINUTE))
    here.claim("a1")
    here.wait(10 * MINUTE)
    here.start("a1")
    here.wait(3 * MINUTE)
    assert here.open() == {Check.OVERRUN: 1}
    here.end("a1", SUCCESS)
    assert here.open() == {}


def test_a_check_stays_open_while_another_execution_is_late() -> None:
    here = world(expect=Expect(start_within=MINUTE))
    here.claim("a1")
    here.claim("a2")
    here.wait(MINUTE)
    here.start("a1")
    assert here.open() == {Check.LATE_START: 2}
    here.end("a2", ExecutionStatus.KILLED)
    assert here.open() == {}


def test_without_a_success_for_too_long_it_is_absent_until_the_next_one() -> None:
    here = world(expect=Expect(success_every=60 * MINUTE))
    here.register()
    here.wait(59 * MINUTE)
    here.run(SUCCESS)
    here.wait(59 * MINUTE)
    here.run(ERROR)
    assert Check.ABSENT not in here.open()
    here.wait(MINUTE)
    assert here.open()[Check.ABSENT] == 1
    here.run(SUCCESS)
    assert here.open() == {}
    here.wait(60 * MINUTE)
    assert here.open() == {Check.ABSENT: 1}


def test_a_success_that_is_no_longer_expected_is_not_absent() -> None:
    here = world(expect=Expect(success_every=60 * MINUTE))
    here.register()
    here.wait(60 * MINUTE)
    here.register(expect=Expect())
    here.wait(60 * MINUTE)
    assert here.rows == {}


def test_an_unscheduled_request_has_no_alerts() -> None:
    here = world(expect=EXPECT, notify=EVERYTHING)
    here.register()
    here.miss(2)
    here.run(ERROR)
    here.run(ERROR)
    here.wait(60 * MINUTE)
    assert here.open()
    here.retire()
    assert here.open() == {}
    assert here.rows == {}


def test_the_time_of_a_pause_does_not_count() -> None:
    here = world(expect=EXPECT)
    here.register()
    here.claim("a1")
    here.wait(MINUTE / 2)
    here.pause()
    here.wait(240 * MINUTE)
    assert here.open() == {}
    here.resume()
    here.wait(MINUTE / 2 - timedelta(seconds=1))
    assert here.open() == {}
    here.wait(timedelta(seconds=1))
    assert here.open() == {Check.LATE_START: 1}
    here.end("a1", ExecutionStatus.KILLED)
    here.wait(59 * MINUTE - timedelta(seconds=1))
    assert here.open() == {}
    here.wait(timedelta(seconds=1))
    assert here.open() == {Check.ABSENT: 1}


@pytest.mark.parametrize("step", [timedelta(hours=-5), timedelta(hours=5)])
@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_step_of_the_clock_moves_what_is_expected_by_the_step(
    step: timedelta, is_restarted: bool
) -> None:
    here = world(expect=Expect(success_every=60 * MINUTE))
    here.register()
    here.wait(30 * MINUTE)
    here.step_clock(step)
    if is_restarted:
        here.restart()
    here.wait(30 * MINUTE - timedelta(seconds=1))
    assert here.open() == {}
    here.wait(timedelta(seconds=1))
    assert here.open() == {Check.ABSENT: 1}


@pytest.mark.parametrize("step", [timedelta(hours=-2), timedelta(hours=1)])
@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_step_of_the_clock_moves_the_deadlines_of_a_running_execution(
    step: timedelta, is_restarted: bool
) -> None:
    here = world(expect=EXPECT)
    here.claim("a1")
    here.start("a1")
    here.step_clock(step)
    here.step_clock(step)
    if is_restarted:
        here.restart()
    here.pause()
    here.wait(MINUTE)
    here.resume()
    here.wait(3 * MINUTE - timedelta(seconds=1))
    assert here.open() == {}
    here.wait(timedelta(seconds=1))
    assert here.open() == {Check.OVERRUN: 1}


STEPS: dict[str, Callable[[AlertsWorld], None]] = {
    "claim": lambda here: here.claim(f"e{len(here.records)}-{here.now}"),
    "start": lambda here: _with_first(here, here.start, is_started=False),
    "success": lambda here: _with_first(here, lambda name: here.end(name, SUCCESS)),
    "error": lambda here: _with_first(here, lambda name: here.end(name, ERROR)),
    "lost": lambda here: _with_first(
        here, lambda name: here.end(name, ExecutionStatus.SYSTEM_RESTART)
    ),
    "skip": lambda here: _with_first(here, lambda name: here.end(name, ExecutionStatus.SKIPPED)),
    "miss": AlertsWorld.miss,
    "register": AlertsWorld.register,
    "retire": AlertsWorld.retire,
    "pause": AlertsWorld.pause,
    "resume": AlertsWorld.resume,
    "wait": lambda here: here.wait(2 * MINUTE),
}


def _with_first(
    here: AlertsWorld, act: Callable[[str], None], *, is_started: bool | None = None
) -> None:
    for name, execution in here.executions.items():
        if is_started is None or (execution.started is not None) == is_started:
            act(name)
            return


@given(
    st.lists(st.sampled_from(sorted(STEPS)), max_size=25),
    st.frozensets(st.integers(0, 24)),
    st.booleans(),
)
def test_a_restart_at_any_point_of_any_history_changes_nothing(
    history: list[str], restarts: frozenset[int], is_routed: bool
) -> None:
    routes = EVERYTHING if is_routed else None
    once, again = (world(expect=EXPECT, notify=routes) for _ in range(2))
    for number, step in enumerate(history):
        if number in restarts:
            again.restart()
        for here in (once, again):
            STEPS[step](here)
            here.wait(timedelta(seconds=1))
    assert again.records == once.records
    assert again.rows == once.rows


@given(st.lists(st.sampled_from(sorted(STEPS)), max_size=25))
def test_the_log_opens_and_closes_in_turn_and_agrees_with_the_store(history: list[str]) -> None:
    here = world(expect=EXPECT, notify=EVERYTHING)
    for step in history:
        STEPS[step](here)
        here.wait(timedelta(seconds=1))
    is_open: dict[object, bool] = {}
    for event, check, _ in here.events:
        assert is_open.get(check, False) == (event == "closed")
        is_open[check] = event == "opened"
    assert {check for check, each in is_open.items() if each} == here.open().keys()
