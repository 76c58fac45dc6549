"""Changes of a request's state by its file.

The tests follow "Life cycle" in runner/README.md, sentence by sentence.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from support.planning_world import NOON, request_of, seen
from support.timed_requests import (
    AT_ONCE,
    COMPLETE,
    DAILY,
    DAY,
    DEFINITION,
    EVERY_HOUR,
    HOUR,
    HOURLY,
    MINUTE,
    PLAIN,
    SCHEDULED,
    SYSTEM_RESTART,
    TICK,
    TOMORROW,
    UNSCHEDULED,
    YESTERDAY,
    later,
    ran,
    restarted,
    schedule_of,
)

from runner.lifecycle import Misfire, RequestStatus
from runner.planning.fires.firing import Miss, pending_fire, settle
from runner.planning.fires.planned_status import Registration, RequestChange, cut_off
from runner.planning.states.state import rule_of
from runner.planning.transitions.presses import reschedule, schedule, unschedule
from runner.planning.transitions.registration import register, remove
from runner.requests.model import ProcessRequest, Program, Source

# --- first seen
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "status", "change"),
    [
        (HOURLY, SCHEDULED, RequestChange.SCHEDULED),
        (AT_ONCE, SCHEDULED, RequestChange.SCHEDULED),
        (TOMORROW, SCHEDULED, RequestChange.SCHEDULED),
        (YESTERDAY, COMPLETE, RequestChange.COMPLETED),
        (PLAIN, DEFINITION, None),
        (replace(HOURLY, scheduled=False), UNSCHEDULED, RequestChange.UNSCHEDULED),
        (replace(AT_ONCE, scheduled=False), UNSCHEDULED, RequestChange.UNSCHEDULED),
        (
            request_of(schedule_of(frequency="hourly", finish="2026-01-01")),
            COMPLETE,
            RequestChange.COMPLETED,
        ),
    ],
)
def test_a_new_request_has_the_status_that_its_file_says(
    request_: ProcessRequest, status: RequestStatus, change: RequestChange | None
) -> None:
    registration = register(request_, None, NOON)
    assert (registration.state.status, registration.change) == (status, change)
    assert registration.state.generation == 1


def test_nothing_that_was_due_before_a_request_was_registered_fires() -> None:
    request = request_of(schedule_of(Misfire.FIRE_ALL, frequency="hourly", start="2026-02-01"))
    state = seen(request, NOON)
    assert settle(request, state, NOON).claims == ()
    assert settle(request, state, NOON + HOUR).claims == (NOON + HOUR,)


@pytest.mark.parametrize("start", [NOON - DAY, NOON - TICK, NOON, datetime(1970, 1, 1, tzinfo=UTC)])
@pytest.mark.parametrize("misfire", Misfire)
def test_a_new_run_later_in_the_past_is_recorded_as_missed_and_is_complete(
    start: datetime, misfire: Misfire
) -> None:
    registration = register(request_of(later(start, misfire)), None, NOON)
    assert registration.miss == Miss(count=1, first=start, last=start)
    assert registration.state.status is COMPLETE
    assert settle(request_of(later(start, misfire)), registration.state, NOON + DAY).claims == ()


def test_a_start_before_1970_by_its_offset_is_missed_like_any_other() -> None:
    start = datetime.fromisoformat("1970-01-01T00:00+14:00").astimezone(UTC)
    assert register(request_of(later(start)), None, NOON).miss == Miss(
        count=1, first=start, last=start
    )


def test_reschedule_runs_a_run_later_of_the_past() -> None:
    state = reschedule(YESTERDAY, seen(YESTERDAY), NOON + HOUR, by="ann").state
    settlement = settle(YESTERDAY, state, NOON + HOUR)
    assert (settlement.claims, settlement.miss) == ((NOON + HOUR,), None)
    assert settlement.state.status is COMPLETE


def test_repetitions_that_have_passed_leave_nothing_to_fire() -> None:
    request = request_of(schedule_of(frequency="hourly", start="2026-02-01", repetitions=3))
    assert seen(request).status is COMPLETE


# --- run immediately: once, when it is first seen
# ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "touched",
    [
        AT_ONCE,
        replace(AT_ONCE, source=Source(file="p.yaml", line=1, sha256="touched")),
        replace(AT_ONCE, source=Source(file="moved/p.yaml", line=3, sha256="")),
        replace(AT_ONCE, description="edited"),
        replace(AT_ONCE, process=replace(AT_ONCE.process, action=Program(arguments=("false",)))),
    ],
)
def test_neither_a_restart_nor_a_touched_file_nor_an_edit_runs_it_again(
    touched: ProcessRequest,
) -> None:
    state = ran(AT_ONCE)
    registration = register(touched, restarted(state), NOON + DAY)
    assert registration == Registration(state=state)
    assert settle(touched, registration.state, NOON + DAY).claims == ()


def test_a_branch_checked_out_and_back_does_not_run_it_again() -> None:
    gone = remove(ran(AT_ONCE), NOON).state
    back = register(AT_ONCE, gone, NOON + HOUR).state
    assert back.status is COMPLETE
    assert settle(AT_ONCE, back, NOON + HOUR).claims == ()


@pytest.mark.parametrize("other", [HOURLY, TOMORROW, PLAIN, replace(AT_ONCE, scheduled=False)])
def test_a_branch_with_another_version_of_it_does_not_run_it_again(other: ProcessRequest) -> None:
    elsewhere = register(other, ran(AT_ONCE), NOON + HOUR).state
    back = register(AT_ONCE, elsewhere, NOON + 2 * HOUR).state
    assert back.status is COMPLETE
    assert settle(AT_ONCE, back, NOON + 3 * HOUR).claims == ()


def test_a_schedule_that_becomes_a_run_immediately_runs_once() -> None:
    state = register(AT_ONCE, seen(HOURLY), NOON + MINUTE).state
    settlement = settle(AT_ONCE, state, NOON + MINUTE)
    assert settlement.claims == (NOON + MINUTE,)
    assert register(AT_ONCE, settlement.state, NOON + HOUR).state.status is COMPLETE


def test_a_restart_between_registering_and_claiming_does_not_lose_it() -> None:
    state = register(AT_ONCE, restarted(seen(AT_ONCE)), NOON + HOUR).state
    assert settle(AT_ONCE, state, NOON + HOUR).claims == (NOON,)


@pytest.mark.parametrize("back", [HOUR, -HOUR])
def test_a_run_immediately_unscheduled_before_it_ran_runs_once_it_is_scheduled(
    back: timedelta,
) -> None:
    waiting = seen(replace(AT_ONCE, scheduled=False))
    state = register(AT_ONCE, waiting, NOON + back).state
    assert settle(AT_ONCE, state, NOON + back).claims == (NOON + back,)


def test_a_run_immediately_unscheduled_and_scheduled_after_it_ran_stays_complete() -> None:
    state = unschedule(ran(AT_ONCE), NOON + HOUR, by="ann").state
    assert state.status is UNSCHEDULED
    registration = schedule(AT_ONCE, state, NOON + 2 * HOUR, by="ann")
    assert (registration.state.status, registration.change) == (COMPLETE, RequestChange.COMPLETED)


# --- editing
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [SCHEDULED, UNSCHEDULED, COMPLETE, SYSTEM_RESTART])
def test_registering_the_same_again_changes_and_records_nothing(
    status: RequestStatus,
) -> None:
    request = {UNSCHEDULED: replace(HOURLY, scheduled=False), SCHEDULED: HOURLY}.get(
        status, AT_ONCE
    )
    state = ran(AT_ONCE) if request is AT_ONCE else seen(request)
    if status is SYSTEM_RESTART:
        state = cut_off(request, state, state.generation)
    assert state.status is status
    assert register(request, state, NOON + DAY) == Registration(state=state)


@pytest.mark.parametrize(
    "edited",
    [
        replace(HOURLY, description="edited"),
        replace(HOURLY, process=replace(HOURLY.process, prevent_concurrent=True)),
        request_of(replace(EVERY_HOUR, misfire=Misfire.FIRE_ALL)),
        request_of(replace(EVERY_HOUR, misfire_grace=HOUR)),
        request_of(replace(EVERY_HOUR, spread=MINUTE)),
        request_of(schedule_of(frequency="hourly", finish="2027-01-01")),
        request_of(schedule_of(frequency="minutely", interval=60)),
    ],
)
def test_an_edit_that_keeps_the_rule_keeps_the_planned_fires(edited: ProcessRequest) -> None:
    state = seen(HOURLY)
    assert register(edited, state, NOON + 90 * MINUTE) == Registration(state=state)


def test_a_changed_rule_opens_a_generation_and_only_later_fire_times_count() -> None:
    every_ten = request_of(schedule_of(Misfire.FIRE_ALL, frequency="minutely", interval=10))
    registration = register(every_ten, seen(HOURLY), NOON + 55 * MINUTE)
    assert registration.change is RequestChange.SCHEDULED
    assert registration.state.generation == 2
    assert settle(every_ten, registration.state, NOON + HOUR).claims == (NOON + HOUR,)


def test_a_rule_changed_and_changed_back_does_not_fire_the_times_in_between() -> None:
    there = register(DAILY, seen(HOURLY), NOON + MINUTE).state
    back = register(HOURLY, there, NOON + 150 * MINUTE).state
    assert settle(HOURLY, back, NOON + 150 * MINUTE).miss is None
    assert pending_fire(HOURLY, back) == NOON + 3 * HOUR


def test_a_run_later_moved_before_it_ran_runs_at_its_new_start_earlier_or_later() -> None:
    for start in (NOON + HOUR, NOON + 2 * DAY):
        moved = request_of(later(start))
        state = register(moved, seen(TOMORROW), NOON + MINUTE).state
        assert settle(moved, state, start).claims == (start,)


def test_a_run_later_moved_into_the_past_is_missed() -> None:
    moved = request_of(later(NOON - HOUR))
    registration = register(moved, seen(TOMORROW), NOON)
    assert registration.miss == Miss(count=1, first=NOON - HOUR, last=NOON - HOUR)
    assert registration.state.status is COMPLETE


def test_a_run_later_that_ran_and_is_given_a_new_start_runs_again_then() -> None:
    state = settle(TOMORROW, seen(TOMORROW), NOON + DAY).state
    moved = request_of(later(NOON + 3 * DAY))
    again = register(moved, state, NOON + 2 * DAY).state
    assert again.status is SCHEDULED
    assert settle(moved, again, NOON + 3 * DAY).claims == (NOON + 3 * DAY,)


def test_a_run_later_that_ran_does_not_run_again_by_way_of_another_branch() -> None:
    state = settle(TOMORROW, seen(TOMORROW), NOON + DAY).state
    elsewhere = register(request_of(later(NOON + 9 * DAY)), state, NOON + 2 * DAY).state
    registration = register(TOMORROW, elsewhere, NOON + 3 * DAY)
    assert (registration.state.status, registration.miss) == (COMPLETE, None)


def test_after_a_step_back_a_new_start_in_the_future_counts() -> None:
    state = settle(TOMORROW, seen(TOMORROW), NOON + DAY).state
    moved = request_of(later(NOON + HOUR))
    again = register(moved, state, NOON).state
    assert settle(moved, again, NOON + HOUR).claims == (NOON + HOUR,)


def test_a_later_finish_reopens_a_complete_request_from_now_on() -> None:
    over = request_of(schedule_of(Misfire.FIRE_ALL, frequency="hourly", finish="2026-03-01 13:00"))
    state = settle(over, seen(over), NOON + HOUR).state
    assert state.status is COMPLETE
    longer = request_of(schedule_of(Misfire.FIRE_ALL, frequency="hourly", finish="2026-04-01"))
    registration = register(longer, state, NOON + 5 * HOUR + MINUTE)
    assert (registration.state.status, registration.change) == (SCHEDULED, RequestChange.SCHEDULED)
    assert registration.state.generation == state.generation
    # Between the old finish and the edit nothing was due.
    settlement = settle(longer, registration.state, NOON + 6 * HOUR)
    assert (settlement.claims, settlement.miss) == ((NOON + 6 * HOUR,), None)


def test_a_later_finish_that_has_passed_changes_nothing() -> None:
    over = request_of(schedule_of(frequency="hourly", finish="2026-03-01 13:00"))
    state = settle(over, seen(over), NOON + HOUR).state
    longer = request_of(schedule_of(frequency="hourly", finish="2026-03-01 15:00"))
    registration = register(longer, state, NOON + DAY)
    assert (registration.state.status, registration.change, registration.miss) == (
        COMPLETE,
        None,
        None,
    )
    assert register(longer, registration.state, NOON + 2 * DAY) == Registration(
        state=registration.state
    )


def test_an_earlier_finish_that_leaves_no_fire_completes() -> None:
    over = request_of(schedule_of(frequency="hourly", finish="2026-02-01"))
    registration = register(over, seen(HOURLY), NOON + MINUTE)
    assert (registration.state.status, registration.change) == (COMPLETE, RequestChange.COMPLETED)


def test_a_request_that_loses_its_timing_is_a_definition_and_is_recorded() -> None:
    registration = register(PLAIN, seen(HOURLY), NOON + MINUTE)
    assert (registration.state.status, registration.change) == (
        DEFINITION,
        RequestChange.UNSCHEDULED,
    )
    assert register(PLAIN, registration.state, NOON + HOUR) == Registration(
        state=registration.state
    )


def test_a_definition_that_is_given_a_timing_is_scheduled() -> None:
    registration = register(HOURLY, seen(PLAIN), NOON + MINUTE)
    assert (registration.state.status, registration.change) == (SCHEDULED, RequestChange.SCHEDULED)
    assert pending_fire(HOURLY, registration.state) == NOON + HOUR


def test_a_new_rule_for_an_unscheduled_request_unschedules_nothing() -> None:
    state = seen(replace(HOURLY, scheduled=False))
    registration = register(replace(DAILY, scheduled=False), state, NOON + MINUTE)
    assert (registration.state.status, registration.change) == (UNSCHEDULED, None)
    assert registration.state.rule == rule_of(DAILY)


# --- removing
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize("request_", [HOURLY, AT_ONCE, TOMORROW, YESTERDAY, PLAIN])
def test_removing_a_file_unschedules_its_request_and_keeps_its_state(
    request_: ProcessRequest,
) -> None:
    state = seen(request_)
    registration = remove(state, NOON)
    assert registration.change is RequestChange.REMOVED
    assert registration.state == replace(state, status=UNSCHEDULED, removed=True, removed_at=NOON)
    assert settle(request_, registration.state, NOON + 9 * DAY).claims == ()


def test_a_file_that_returns_is_scheduled_without_the_fires_of_its_absence() -> None:
    request = request_of(schedule_of(Misfire.FIRE_ALL, frequency="hourly"))
    registration = register(request, remove(seen(request), NOON).state, NOON + 150 * MINUTE)
    assert (registration.state.status, registration.change) == (SCHEDULED, RequestChange.SCHEDULED)
    assert not registration.state.removed
    settlement = settle(request, registration.state, NOON + 3 * HOUR)
    assert (settlement.claims, settlement.miss) == ((NOON + 3 * HOUR,), None)


def test_a_run_later_whose_file_returns_after_its_start_is_missed() -> None:
    registration = register(TOMORROW, remove(seen(TOMORROW), NOON).state, NOON + 2 * DAY)
    assert registration.miss == Miss(count=1, first=NOON + DAY, last=NOON + DAY)
    assert registration.state.status is COMPLETE


def test_a_request_that_a_person_unscheduled_stays_so_when_its_file_goes_and_returns() -> None:
    state = remove(unschedule(seen(HOURLY), NOON, by="ann").state, NOON).state
    assert register(HOURLY, state, NOON + HOUR).state.status is UNSCHEDULED


# --- reschedule tokens
# --------------------------------------------------------------------------------------


def test_the_token_a_file_begins_with_presses_nothing() -> None:
    tokened = replace(AT_ONCE, reschedule="1")
    state = ran(tokened)
    assert register(tokened, state, NOON + HOUR) == Registration(state=state)


def test_each_token_presses_once_however_often_it_comes_back() -> None:
    state, runs = ran(AT_ONCE), []
    for hour, token in enumerate(["1", "2", "1", None, "2", "3", "3", "1"], start=1):
        now = NOON + hour * HOUR
        request = replace(AT_ONCE, reschedule=token)
        settlement = settle(request, register(request, restarted(state), now).state, now)
        runs += [token] * len(settlement.claims)
        state = settlement.state
    assert runs == ["1", "2", "3"]


def test_a_token_pressed_while_the_file_says_unscheduled_counts_when_it_says_scheduled() -> None:
    for request in (AT_ONCE, YESTERDAY):
        state = settle(request, seen(request), NOON).state
        off = replace(request, scheduled=False, reschedule="2")
        state = register(off, state, NOON + HOUR).state
        assert (state.status, settle(off, state, NOON + HOUR).claims) == (UNSCHEDULED, ())
        on = replace(off, scheduled=True)
        registration = register(on, state, NOON + 2 * HOUR)
        settlement = settle(on, registration.state, NOON + 2 * HOUR)
        assert (settlement.claims, settlement.miss) == ((NOON + 2 * HOUR,), None)


def test_a_new_rule_and_a_new_token_together_run_once() -> None:
    request = replace(AT_ONCE, reschedule="2")
    state = register(request, seen(HOURLY), NOON + MINUTE).state
    settlement = settle(request, state, NOON + MINUTE)
    assert settlement.claims == (NOON + MINUTE,)
    assert settle(request, settlement.state, NOON + DAY).claims == ()
