"""Failures in a row unschedule a request where `unschedule_after` says so."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.planning_world import NOON, seen
from support.timed_requests import (
    AT_ONCE,
    COMPLETE,
    DAY,
    HOUR,
    HOURLY,
    MINUTE,
    SCHEDULED,
    UNSCHEDULED,
    ran,
    restarted,
)

from runner.lifecycle import ExecutionStatus
from runner.planning.fires.firing import Miss
from runner.planning.fires.planned_status import Registration, RequestChange
from runner.planning.states.state import RequestState
from runner.planning.transitions.failures_in_a_row import counted, stop_words
from runner.planning.transitions.presses import reschedule, schedule, unschedule
from runner.planning.transitions.registration import register
from runner.requests.model import ProcessRequest

ERROR, SUCCESS = ExecutionStatus.ERROR, ExecutionStatus.SUCCESS
STRICT = replace(HOURLY, unschedule_after=3)


def after_results(
    *results: ExecutionStatus, request: ProcessRequest = STRICT, state: RequestState | None = None
) -> tuple[RequestState, list[Registration]]:
    """Return the state after these results, and the registrations that they caused."""
    state, caused = state or seen(request), []
    for result in results:
        registration = counted(request, state, result, NOON + MINUTE)
        if registration is not None:
            state = restarted(registration.state)
            caused.append(registration)
    return state, caused


@pytest.mark.parametrize(
    "results",
    [
        (ERROR, ERROR, ERROR),
        (ERROR, SUCCESS, ERROR, ExecutionStatus.KILLED, ExecutionStatus.SYSTEM_RESTART),
        (ERROR, ERROR, ExecutionStatus.SKIPPED, ExecutionStatus.MISFIRED, ERROR),
    ],
)
def test_the_third_failure_in_a_row_unschedules_against_the_file(
    results: tuple[ExecutionStatus, ...],
) -> None:
    before, caused = after_results(*results[:-1])
    assert before.status is SCHEDULED
    assert all(registration.change is None for registration in caused)
    state, (stopped,) = after_results(results[-1], state=before)
    assert stopped.change is RequestChange.UNSCHEDULED
    assert (state.status, state.override, state.override_by) == (UNSCHEDULED, False, None)
    assert state.override_at == NOON + MINUTE
    assert state.is_stopped_by_failures
    assert stop_words(state) == "after 3 failures in a row"


def test_a_success_in_between_starts_the_count_anew() -> None:
    state, _ = after_results(ERROR, ERROR, SUCCESS, ERROR, ERROR)
    assert (state.status, state.failures) == (SCHEDULED, 2)


def test_without_a_limit_nothing_is_counted() -> None:
    assert after_results(ERROR, SUCCESS, ERROR, request=HOURLY) == (seen(HOURLY), [])


def test_results_after_the_stop_change_nothing() -> None:
    stopped, _ = after_results(ERROR, ERROR, ERROR)
    assert after_results(ERROR, SUCCESS, state=stopped) == (stopped, [])


def test_the_fires_that_were_due_at_the_stop_are_recorded_as_missed() -> None:
    state = replace(seen(STRICT), failures=2)
    stopped = counted(STRICT, state, ERROR, NOON + 2 * HOUR + MINUTE)
    assert stopped is not None
    assert stopped.abandoned == Miss(count=2, first=NOON + HOUR, last=NOON + 2 * HOUR)


def test_schedule_ends_the_stop_and_the_count_begins_anew() -> None:
    stopped, _ = after_results(ERROR, ERROR, ERROR)
    for press in (schedule, reschedule):
        pressed = press(STRICT, stopped, NOON + HOUR, by="ann").state
        assert (pressed.status, pressed.override, pressed.failures) == (SCHEDULED, None, 0)


def test_a_person_may_take_the_stop_over() -> None:
    stopped, _ = after_results(ERROR, ERROR, ERROR)
    state = unschedule(stopped, NOON + HOUR, by="ann").state
    assert (state.override_by, state.is_stopped_by_failures) == ("ann", False)


def test_the_stop_survives_the_file_until_its_own_word_changes() -> None:
    stopped, _ = after_results(ERROR, ERROR, ERROR)
    generous = replace(STRICT, unschedule_after=100, owner="ann")
    assert register(generous, stopped, NOON + DAY).state.status is UNSCHEDULED
    pressed = register(replace(STRICT, reschedule="2"), stopped, NOON + DAY).state
    assert (pressed.status, pressed.failures) == (SCHEDULED, 0)


def test_what_a_person_scheduled_against_the_file_is_unscheduled_without_drift() -> None:
    off = replace(STRICT, scheduled=False)
    pressed = schedule(off, seen(off), NOON, by="ann").state
    state, _ = after_results(ERROR, ERROR, ERROR, request=off, state=pressed)
    assert (state.status, state.override) == (UNSCHEDULED, None)


def test_a_one_time_request_that_has_no_more_fires_stays_complete() -> None:
    once = replace(AT_ONCE, unschedule_after=1)
    state, (registration,) = after_results(ERROR, request=once, state=ran(once))
    assert registration.change is None
    assert (state.status, state.failures) == (COMPLETE, 1)
