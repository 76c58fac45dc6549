"""A person schedules, unschedules and reschedules a request by command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from support.planning_world import NOON, request_of, seen
from support.timed_requests import (
    AT_ONCE,
    COMPLETE,
    DAILY,
    DAY,
    HOUR,
    HOURLY,
    MINUTE,
    PLAIN,
    SCHEDULED,
    TOMORROW,
    UNSCHEDULED,
    ran,
    restarted,
    schedule_of,
)

from runner.errors import RefusedError
from runner.planning.fires.firing import Miss, pending_fire, settle
from runner.planning.fires.planned_status import Registration, RequestChange, cut_off
from runner.planning.transitions.presses import reschedule, schedule, unschedule
from runner.planning.transitions.registration import register, remove
from runner.timing.upcoming import fires


def test_a_persons_command_is_kept_across_restarts_with_who_and_when() -> None:
    state = restarted(unschedule(seen(HOURLY), NOON + MINUTE, by="ann").state)
    registration = register(HOURLY, state, NOON + DAY)
    assert registration == Registration(state=state)
    assert state.status is UNSCHEDULED
    assert (state.override, state.override_by, state.override_at) == (False, "ann", NOON + MINUTE)


def test_unscheduling_twice_records_once() -> None:
    once = unschedule(seen(HOURLY), NOON, by="ann")
    assert once.change is RequestChange.UNSCHEDULED
    assert unschedule(once.state, NOON + MINUTE, by="bob").change is None


def test_scheduling_again_ends_the_drift_and_fires_from_now_on() -> None:
    state = unschedule(seen(HOURLY), NOON, by="ann").state
    registration = schedule(HOURLY, state, NOON + 150 * MINUTE, by="bob")
    assert registration.change is RequestChange.SCHEDULED
    assert registration.state.override is None
    assert registration.state.generation == 1
    assert pending_fire(HOURLY, registration.state) == NOON + 3 * HOUR


def test_a_person_can_schedule_a_request_that_its_file_unschedules() -> None:
    off = replace(HOURLY, scheduled=False)
    state = schedule(off, seen(off), NOON + MINUTE, by="ann").state
    assert (state.status, state.override) == (SCHEDULED, True)
    assert register(off, restarted(state), NOON + DAY) == Registration(state=state)


def test_scheduling_a_scheduled_request_changes_nothing() -> None:
    state = seen(HOURLY)
    assert schedule(HOURLY, state, NOON + DAY, by="ann") == Registration(state=state)


@pytest.mark.parametrize("word", [True, False])
def test_drift_ends_when_the_files_own_word_changes(word: bool) -> None:
    on, off = HOURLY, replace(HOURLY, scheduled=False)
    if word:
        drifted, changed = schedule(off, seen(off), NOON, by="ann").state, on
    else:
        drifted, changed = unschedule(seen(on), NOON, by="ann").state, off
    state = register(changed, drifted, NOON + HOUR).state
    assert (state.override, state.override_by, state.override_at) == (None, None, None)
    assert state.status is (SCHEDULED if word else UNSCHEDULED)
    opposite = register(off if word else on, state, NOON + 2 * HOUR).state
    assert opposite.status is (UNSCHEDULED if word else SCHEDULED)


def test_drift_outlives_unrelated_edits() -> None:
    drifted = unschedule(seen(HOURLY), NOON, by="ann").state
    for edited in (replace(HOURLY, description="edited"), DAILY, AT_ONCE):
        drifted = register(edited, drifted, NOON + HOUR).state
        assert (drifted.status, drifted.override) == (UNSCHEDULED, False)


def test_a_new_reschedule_token_ends_drift_as_the_button_does() -> None:
    drifted = unschedule(seen(HOURLY), NOON, by="ann").state
    registration = register(replace(HOURLY, reschedule="2"), drifted, NOON + HOUR)
    assert (registration.state.status, registration.change) == (
        SCHEDULED,
        RequestChange.RESCHEDULED,
    )
    assert registration.state.override is None


@pytest.mark.parametrize("press", [schedule, reschedule])
def test_a_definition_has_no_buttons(press: Callable[..., Registration]) -> None:
    with pytest.raises(RefusedError, match="no timing; `runner exec` runs it"):
        press(PLAIN, seen(PLAIN), NOON, by="ann")
    with pytest.raises(RefusedError, match="no timing; there is nothing to unschedule"):
        unschedule(seen(PLAIN), NOON, by="ann")


def test_scheduling_a_complete_request_suggests_reschedule() -> None:
    state = ran(AT_ONCE)
    with pytest.raises(RefusedError, match="it is complete; `runner reschedule` runs it again"):
        schedule(AT_ONCE, state, NOON, by="ann")
    with pytest.raises(RefusedError, match="it is system_restart; `runner reschedule`"):
        schedule(AT_ONCE, cut_off(AT_ONCE, state, 1), NOON, by="ann")


def test_rescheduling_a_one_time_request_runs_it_again_each_time() -> None:
    state = ran(AT_ONCE)
    for hour in (1, 2, 3):
        registration = reschedule(AT_ONCE, state, NOON + hour * HOUR, by="ann")
        assert registration.change is RequestChange.RESCHEDULED
        settlement = settle(AT_ONCE, registration.state, NOON + hour * HOUR)
        assert settlement.claims == (NOON + hour * HOUR,)
        assert settle(AT_ONCE, settlement.state, NOON + 9 * DAY).claims == ()
        state = settlement.state


def test_rescheduling_a_run_later_before_its_start_leaves_it_there() -> None:
    state = reschedule(TOMORROW, seen(TOMORROW), NOON + HOUR, by="ann").state
    assert pending_fire(TOMORROW, state) == NOON + DAY
    registration = register(TOMORROW, remove(state, NOON).state, NOON + 2 * DAY)
    assert registration.miss == Miss(count=1, first=NOON + DAY, last=NOON + DAY)


def test_rescheduling_a_schedule_plans_it_and_counts_repetitions_from_now() -> None:
    timing = schedule_of(frequency="hourly", start="2026-03-01 12:00", repetitions=1)
    request = request_of(timing)
    state = settle(request, seen(request, NOON - MINUTE), NOON).state
    state = reschedule(request, state, NOON + 30 * MINUTE, by="ann").state
    planned = list(fires(timing.rule, state.fired_through, counted_from=state.counted_from))
    assert planned == [NOON + HOUR, NOON + 2 * HOUR]


def test_rescheduling_at_the_instant_of_a_fire_does_not_fire_it_twice() -> None:
    state = settle(HOURLY, seen(HOURLY), NOON + HOUR).state
    state = reschedule(HOURLY, state, NOON + HOUR, by="ann").state
    assert settle(HOURLY, state, NOON + HOUR).claims == ()
    assert pending_fire(HOURLY, state) == NOON + 2 * HOUR


def test_rescheduling_an_unscheduled_request_schedules_it() -> None:
    state = unschedule(seen(HOURLY), NOON, by="ann").state
    state = reschedule(HOURLY, state, NOON + MINUTE, by="ann").state
    assert (state.status, state.override) == (SCHEDULED, None)


def test_a_new_rule_counts_its_repetitions_from_its_own_start_again() -> None:
    counted = request_of(schedule_of(frequency="hourly", start="2026-03-01 10:00", repetitions=3))
    state = reschedule(counted, seen(counted), NOON + MINUTE, by="ann").state
    state = register(HOURLY, state, NOON + 2 * MINUTE).state
    state = register(counted, state, NOON + 3 * MINUTE).state
    assert state.counted_from is None
    assert settle(counted, state, NOON + HOUR).state.status is COMPLETE  # 10, 11, 12 and 13 o'clock
