"""A restart that interrupts a one-time request marks it."""

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
    SCHEDULED,
    SYSTEM_RESTART,
    TOMORROW,
    UNSCHEDULED,
    YESTERDAY,
    ran,
    restarted,
)

from runner.lifecycle import RequestStatus
from runner.planning.fires.firing import (
    settle,
)
from runner.planning.fires.planned_status import Registration, cut_off
from runner.planning.transitions.presses import reschedule
from runner.planning.transitions.registration import register


def test_a_one_time_request_that_a_restart_cut_off_is_marked_and_not_rerun() -> None:
    state = restarted(cut_off(AT_ONCE, ran(AT_ONCE), 1))
    assert state.status is SYSTEM_RESTART
    assert register(AT_ONCE, state, NOON + DAY) == Registration(state=state)
    assert settle(AT_ONCE, state, NOON + DAY).claims == ()
    again = reschedule(AT_ONCE, state, NOON + DAY, by="ann").state
    assert settle(AT_ONCE, again, NOON + DAY).claims == (NOON + DAY,)


def test_a_new_rule_removes_the_cut_off_mark() -> None:
    marked = cut_off(TOMORROW, settle(TOMORROW, seen(TOMORROW), NOON + DAY).state, 1)
    assert register(YESTERDAY, marked, NOON + 2 * DAY).state.status is COMPLETE
    assert register(HOURLY, marked, NOON + 2 * DAY).state.status is SCHEDULED


def test_a_schedule_is_not_marked_and_continues() -> None:
    state = seen(HOURLY)
    assert cut_off(HOURLY, state, 1) is state


def test_the_execution_of_a_former_generation_marks_nothing() -> None:
    state = reschedule(AT_ONCE, ran(AT_ONCE), NOON + HOUR, by="ann").state
    assert cut_off(AT_ONCE, state, 1) is state


@pytest.mark.parametrize("status", [UNSCHEDULED, SYSTEM_RESTART])
def test_an_unscheduled_or_marked_request_is_left_alone(status: RequestStatus) -> None:
    state = replace(ran(AT_ONCE), status=status)
    assert cut_off(AT_ONCE, state, 1) is state
