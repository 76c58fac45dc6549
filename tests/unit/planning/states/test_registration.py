"""Changes of a request's state by its file, a person and the clock.

The tests follow "Life cycle" in runner/README.md, sentence by sentence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from operator import itemgetter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.planning_world import NOON, request_of, seen

from runner.errors import RefusedError
from runner.lifecycle import Misfire, RequestStatus
from runner.planning.states.firing import (
    Miss,
    Settlement,
    abandoned,
    delay_of,
    due_at,
    pending_fire,
    settle,
)
from runner.planning.states.planned_status import Change, Registration, cut_off
from runner.planning.states.presses import reschedule, schedule, unschedule
from runner.planning.states.registration import register, remove
from runner.planning.states.state import RequestState, rule_of, state_from, state_text, watermark
from runner.requests.model import (
    Command,
    ProcessRequest,
    RunImmediately,
    RunLater,
    Schedule,
    Source,
    Timing,
)
from runner.timing.parsing import parse_rule
from runner.timing.rules import Rule
from runner.timing.upcoming import fires, next_fire

TICK = timedelta(microseconds=1)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SCHEDULED, UNSCHEDULED = RequestStatus.SCHEDULED, RequestStatus.UNSCHEDULED
COMPLETE, SYSTEM_RESTART, DEFINITION = (
    RequestStatus.COMPLETE,
    RequestStatus.SYSTEM_RESTART,
    RequestStatus.DEFINITION,
)


def schedule_of(misfire: Misfire = Misfire.SKIP, **data: Any) -> Schedule:
    return Schedule(rule=parse_rule(data, default_zone="UTC"), misfire=misfire)


def later(start: datetime, misfire: Misfire = Misfire.FIRE_ONCE) -> RunLater:
    return RunLater(start=start, zone="UTC", misfire=misfire)


EVERY_HOUR = schedule_of(frequency="hourly")
HOURLY = request_of(EVERY_HOUR)
DAILY = request_of(schedule_of(frequency="daily", at="02:00"))
AT_ONCE = request_of(RunImmediately())
TOMORROW = request_of(later(NOON + DAY))
YESTERDAY = request_of(later(NOON - DAY))
PLAIN = request_of(None)


def ran(request: ProcessRequest, now: datetime = NOON) -> RequestState:
    """The state of a request whose only fire was claimed."""
    settlement = settle(request, seen(request, now), now)
    assert len(settlement.claims) == 1
    return settlement.state


# --- first seen
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "status", "change"),
    [
        (HOURLY, SCHEDULED, Change.SCHEDULED),
        (AT_ONCE, SCHEDULED, Change.SCHEDULED),
        (TOMORROW, SCHEDULED, Change.SCHEDULED),
        (YESTERDAY, COMPLETE, Change.COMPLETED),
        (PLAIN, DEFINITION, None),
        (replace(HOURLY, scheduled=False), UNSCHEDULED, Change.UNSCHEDULED),
        (replace(AT_ONCE, scheduled=False), UNSCHEDULED, Change.UNSCHEDULED),
        (
            request_of(schedule_of(frequency="hourly", finish="2026-01-01")),
            COMPLETE,
            Change.COMPLETED,
        ),
    ],
)
def test_a_new_request_has_the_status_that_its_file_says(
    request_: ProcessRequest, status: RequestStatus, change: Change | None
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
        replace(AT_ONCE, process=replace(AT_ONCE.process, action=Command(arguments=("false",)))),
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
def test_one_that_was_unscheduled_before_it_ran_runs_when_it_is_scheduled_whatever_the_clock_did(
    back: timedelta,
) -> None:
    waiting = seen(replace(AT_ONCE, scheduled=False))
    state = register(AT_ONCE, waiting, NOON + back).state
    assert settle(AT_ONCE, state, NOON + back).claims == (NOON + back,)


def test_one_that_is_unscheduled_and_scheduled_after_it_ran_stays_complete() -> None:
    state = unschedule(ran(AT_ONCE), NOON + HOUR, by="ann").state
    assert state.status is UNSCHEDULED
    registration = schedule(AT_ONCE, state, NOON + 2 * HOUR, by="ann")
    assert (registration.state.status, registration.change) == (COMPLETE, Change.COMPLETED)


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
    assert registration.change is Change.SCHEDULED
    assert registration.state.generation == 2
    assert settle(every_ten, registration.state, NOON + HOUR).claims == (NOON + HOUR,)


def test_a_rule_changed_and_changed_back_does_not_fire_what_was_due_in_between() -> None:
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


def test_after_the_clock_was_set_back_a_new_start_that_is_to_come_counts() -> None:
    state = settle(TOMORROW, seen(TOMORROW), NOON + DAY).state
    moved = request_of(later(NOON + HOUR))
    again = register(moved, state, NOON).state
    assert settle(moved, again, NOON + HOUR).claims == (NOON + HOUR,)


def test_a_later_finish_revives_a_complete_request_from_now_on() -> None:
    over = request_of(schedule_of(Misfire.FIRE_ALL, frequency="hourly", finish="2026-03-01 13:00"))
    state = settle(over, seen(over), NOON + HOUR).state
    assert state.status is COMPLETE
    longer = request_of(schedule_of(Misfire.FIRE_ALL, frequency="hourly", finish="2026-04-01"))
    registration = register(longer, state, NOON + 5 * HOUR + MINUTE)
    assert (registration.state.status, registration.change) == (SCHEDULED, Change.SCHEDULED)
    assert registration.state.generation == state.generation
    # Between the old finish and the edit nothing was due.
    settlement = settle(longer, registration.state, NOON + 6 * HOUR)
    assert (settlement.claims, settlement.miss) == ((NOON + 6 * HOUR,), None)


def test_a_later_finish_that_has_passed_too_revives_nothing() -> None:
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
    assert (registration.state.status, registration.change) == (COMPLETE, Change.COMPLETED)


def test_a_request_that_loses_its_timing_is_a_definition_and_is_recorded() -> None:
    registration = register(PLAIN, seen(HOURLY), NOON + MINUTE)
    assert (registration.state.status, registration.change) == (DEFINITION, Change.UNSCHEDULED)
    assert register(PLAIN, registration.state, NOON + HOUR) == Registration(
        state=registration.state
    )


def test_a_definition_that_is_given_a_timing_is_scheduled() -> None:
    registration = register(HOURLY, seen(PLAIN), NOON + MINUTE)
    assert (registration.state.status, registration.change) == (SCHEDULED, Change.SCHEDULED)
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
    assert registration.change is Change.REMOVED
    assert registration.state == replace(state, status=UNSCHEDULED, removed=True, removed_at=NOON)
    assert settle(request_, registration.state, NOON + 9 * DAY).claims == ()


def test_a_file_that_returns_is_scheduled_and_does_not_fire_what_fell_between() -> None:
    request = request_of(schedule_of(Misfire.FIRE_ALL, frequency="hourly"))
    registration = register(request, remove(seen(request), NOON).state, NOON + 150 * MINUTE)
    assert (registration.state.status, registration.change) == (SCHEDULED, Change.SCHEDULED)
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


# --- the buttons
# --------------------------------------------------------------------------------------


def test_a_persons_command_is_kept_across_restarts_with_who_and_when() -> None:
    state = restarted(unschedule(seen(HOURLY), NOON + MINUTE, by="ann").state)
    registration = register(HOURLY, state, NOON + DAY)
    assert registration == Registration(state=state)
    assert state.status is UNSCHEDULED
    assert (state.override, state.override_by, state.override_at) == (False, "ann", NOON + MINUTE)


def test_unscheduling_twice_records_once() -> None:
    once = unschedule(seen(HOURLY), NOON, by="ann")
    assert once.change is Change.UNSCHEDULED
    assert unschedule(once.state, NOON + MINUTE, by="bob").change is None


def test_scheduling_again_ends_the_drift_and_fires_from_now_on() -> None:
    state = unschedule(seen(HOURLY), NOON, by="ann").state
    registration = schedule(HOURLY, state, NOON + 150 * MINUTE, by="bob")
    assert registration.change is Change.SCHEDULED
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
    assert (registration.state.status, registration.change) == (SCHEDULED, Change.RESCHEDULED)
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
        assert registration.change is Change.RESCHEDULED
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


# --- executions that a restart interrupts
# --------------------------------------------------------------------------------------


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


# --- laws over the whole life of a request
# --------------------------------------------------------------------------------------

TIMINGS: list[Timing | None] = [
    None,
    RunImmediately(),
    later(NOON - HOUR),
    later(NOON + HOUR),
    later(NOON + DAY, Misfire.SKIP),
    schedule_of(frequency="hourly"),
    schedule_of(frequency="hourly", finish="2026-03-01 15:00"),
    schedule_of(frequency="hourly", finish="2026-03-02 15:00"),
    schedule_of(Misfire.FIRE_ALL, frequency="minutely", interval=25),
    schedule_of(Misfire.FIRE_ONCE, frequency="hourly", start="2026-03-01 10:00", repetitions=6),
    schedule_of(frequency="daily", at=["12:00", "02:30"], timezone="Europe/Madrid"),
    schedule_of(Misfire.FIRE_ONCE, frequency="cron", expression="*/30 * * * *"),
    schedule_of(frequency="weekly", days=["sunday", "tuesday"], interval=2, at=["13:00", "23:30"]),
    Schedule(rule=replace(EVERY_HOUR.rule, excepted=frozenset({NOON.date() + DAY}))),
]
TOKENS = [None, "1", "2", "3"]


@dataclass
class Life:
    """A request, its states, and a simple list of the guarantees so far."""

    request: ProcessRequest = AT_ONCE
    now: datetime = NOON
    state: RequestState | None = None
    is_there: bool = False
    tokens: set[str] = field(default_factory=set)
    drift: bool | None = None
    floor: datetime = NOON
    looked: datetime = NOON
    counted_from: datetime | None = None
    presses: int = 0
    runs_at_once: int = 0
    claims: set[tuple[int, datetime]] = field(default_factory=set)
    scheduled_for: set[datetime] = field(default_factory=set)
    last_claim: int = 0
    due_before: list[datetime] = field(default_factory=list)

    @property
    def is_wanted(self) -> bool:
        word = self.request.scheduled if self.drift is None else self.drift
        return self.is_there and word and self.request.timing is not None

    def save(self, request: ProcessRequest) -> None:
        """Write the file: the runner sees it."""
        was_wanted, former, is_new = self.is_wanted, self.request, self.state is None
        self.due_before = self.due_fires()
        self.request, self.is_there = request, True
        token = request.reschedule
        is_press = token is not None and token not in self.tokens
        self.tokens |= {token} if token is not None else set()
        if is_press or former.scheduled != request.scheduled:
            self.drift = None
        if is_new or rule_of(former) != rule_of(request):
            self.counted_from = None
        is_press = is_press and not is_new
        if is_press:
            self.presses, self.counted_from = self.presses + 1, self.now
        registration = register(request, self.state, self.now)
        is_revived = self.state is not None and self.state.status is COMPLETE
        if (
            is_new
            or is_press
            or is_revived
            or not was_wanted
            or rule_of(former) != rule_of(request)
        ):
            self.floor = self.now
        self.change(former, registration.state)

    def delete(self) -> None:
        if self.is_there and self.state is not None:
            self.due_before, self.is_there = self.due_fires(), False
            self.change(self.request, remove(self.state, NOON).state)

    def press(self, button: Callable[..., Registration]) -> None:
        if not self.is_there or self.state is None:
            return
        was_wanted = self.is_wanted
        self.due_before = self.due_fires()
        arguments = (self.state,) if button is unschedule else (self.request, self.state)
        try:
            registration = button(*arguments, self.now, by="ann")
        except RefusedError:
            assert self.state.status in {DEFINITION, COMPLETE, SYSTEM_RESTART}
            return
        wanted = button is not unschedule
        self.drift = None if wanted == self.request.scheduled else wanted
        if button is reschedule:
            self.presses, self.counted_from = self.presses + 1, self.now
        if button is reschedule or (wanted and not was_wanted):
            self.floor = self.now
        self.change(self.request, registration.state)

    def restart(self, *, is_cut_off: bool) -> None:
        if self.state is None:
            return
        state = restarted(self.state)
        if is_cut_off and self.is_there:
            state = cut_off(self.request, state, self.last_claim)
        self.state = state
        if self.is_there:
            registration = register(self.request, state, self.now)
            assert registration == Registration(state=state)

    def look(self) -> None:
        """Settle the due fires, as the loop does."""
        if self.state is None:
            return
        settlement = (
            settle(self.request, self.state, self.now)
            if self.is_there
            else Settlement(state=self.state)
        )
        self.check_claims(settlement)
        self.check_coverage(settlement)
        self.looked = self.now
        self.accept(settlement.state)

    def check_claims(self, settlement: Settlement) -> None:
        assert self.state is not None
        assert self.is_wanted or not (settlement.claims or settlement.miss)
        is_schedule = isinstance(self.request.timing, Schedule)
        for claim in settlement.claims:
            assert (
                self.floor < claim <= self.now if is_schedule else self.floor <= claim <= self.now
            )
            assert (self.state.generation, claim) not in self.claims
            assert not is_schedule or claim not in self.scheduled_for
            self.claims.add((self.state.generation, claim))
            self.scheduled_for |= {claim} if is_schedule else set()
            self.last_claim = self.state.generation
        if isinstance(self.request.timing, RunImmediately):
            self.runs_at_once += len(settlement.claims)
            assert self.runs_at_once <= 1 + self.presses

    def check_coverage(self, settlement: Settlement) -> None:
        miss, expected = settlement.miss, self.due_fires()
        if not isinstance(self.request.timing, Schedule):
            return
        apart = [
            claim for claim in settlement.claims if not (miss and miss.first <= claim <= miss.last)
        ]
        assert len(apart) + (miss.count if miss else 0) == len(expected)
        assert not miss or (miss.first == expected[0] and miss.last in expected)

    def due_fires(self) -> list[datetime]:
        """Enumerate the unsettled fires of a schedule."""
        timing = self.request.timing
        if not isinstance(timing, Schedule) or not self.is_wanted:
            return []
        coming = fires(timing.rule, max(self.floor, self.looked), counted_from=self.counted_from)
        return list(takewhile(lambda fire: fire <= self.now, coming))

    def change(self, former: ProcessRequest, changed: RequestState) -> None:
        """Put a changed state in force, and record the abandoned fires as missed."""
        before, state = self.state, changed
        if before is not None:
            miss = abandoned(former, before, changed, self.now)
            is_dropped = changed.status is not SCHEDULED or changed.generation != before.generation
            if isinstance(former.timing, Schedule):
                told = self.due_before if is_dropped else []
                assert miss == (
                    Miss(count=len(told), first=told[0], last=told[-1]) if told else None
                )
            if miss is not None and changed.generation == before.generation:
                state = replace(changed, fired_through=max(changed.fired_through, miss.last))
        self.accept(state)

    def accept(self, state: RequestState) -> None:
        assert restarted(state) == state
        self.state = state
        if not self.is_there:
            assert (state.status, state.removed) == (UNSCHEDULED, True)
            return
        assert not state.removed
        assert register(self.request, state, self.now + 2 * DAY) == Registration(state=state)
        assert state.override == self.drift
        if self.request.timing is None:
            assert state.status is DEFINITION
        else:
            assert (state.status is UNSCHEDULED) is not self.is_wanted
        assert (state.status is SCHEDULED) <= (pending_fire(self.request, state) is not None)


def restarted(state: RequestState) -> RequestState:
    """The state as another process reads it from the store."""
    return state_from(
        state_text(state), generation=state.generation, fired_through=watermark(state)
    )


Deed = Callable[[Life], None]


def edit(**changes: Any) -> Deed:
    return lambda life: life.save(replace(life.request, **changes))


def wait(duration: timedelta) -> Deed:
    def deed(life: Life) -> None:
        life.now += duration

    return deed


waits = st.sampled_from([timedelta(), TICK, MINUTE, 30 * MINUTE, HOUR, 7 * HOUR, DAY]).map(wait)
deeds: st.SearchStrategy[Deed] = st.one_of(
    waits,
    waits,
    st.sampled_from(TIMINGS).map(lambda timing: edit(timing=timing)),
    st.booleans().map(lambda word: edit(scheduled=word)),
    st.sampled_from(TOKENS).map(lambda token: edit(reschedule=token)),
    st.just(edit(description="edited")),
    st.just(Life.look),
    st.just(Life.look),
    st.just(Life.delete),
    st.sampled_from([schedule, unschedule, reschedule]).map(
        lambda button: lambda life: life.press(button)
    ),
    st.booleans().map(lambda is_cut_off: lambda life: life.restart(is_cut_off=is_cut_off)),
)


def live(life: Life, steps: list[Deed]) -> None:
    """Let some actions happen before the loop has settled the fires of the previous one."""
    for step in steps:
        step(life)
    life.look()


@settings(max_examples=200)
@given(st.lists(deeds, max_size=40))
def test_a_requests_guarantees_hold_after_any_actions(steps: list[Deed]) -> None:
    live(Life(), steps)


@pytest.mark.campaign
@settings(max_examples=3_000)
@given(st.lists(deeds, max_size=60))
def test_a_requests_guarantees_hold_after_any_actions_at_length(steps: list[Deed]) -> None:
    live(Life(), steps)


# --- fire times across restarts and edits
# ---------------------------------------------------------------

LASTING: list[dict[str, Any]] = [
    {
        "frequency": "weekly",
        "days": ["monday", "thursday"],
        "interval": 2,
        "at": "02:30",
        "timezone": "Europe/Madrid",
    },
    {
        "frequency": "weekly",
        "days": ["sunday"],
        "interval": 3,
        "at": ["02:15", "23:45"],
        "start": "2026-03-01 10:00",
    },
    {"frequency": "monthly", "day": 31, "interval": 2, "at": "09:00", "timezone": "Africa/Cairo"},
    {
        "frequency": "monthly",
        "day": "last friday",
        "interval": 3,
        "at": "00:00",
        "start": "2026-02-10",
    },
    {
        "frequency": "daily",
        "interval": 4,
        "start": "2026-02-27 02:30",
        "timezone": "Australia/Lord_Howe",
    },
    {"frequency": "minutely", "interval": 25, "start": "2026-03-01 10:10"},
    {
        "frequency": "cron",
        "expression": "*/30 1-3 * * *",
        "start": "2026-03-02",
        "timezone": "Europe/Madrid",
    },
]
LOOKED_AT = 10  # fires of each rule


@st.composite
def lasting(draw: st.DrawFn) -> Schedule:
    """Generate a schedule that excepts some of its dates, perhaps with repetitions."""
    data = draw(st.sampled_from(LASTING))
    plain = parse_rule(data, default_zone="UTC")
    dates = [fire.date() for fire in islice(fires(plain, NOON), LOOKED_AT)]
    excepted = draw(st.sampled_from([frozenset(), frozenset(dates[1::3]), frozenset(dates[:2])]))
    repetitions = draw(st.sampled_from([None, 6, 9])) if "start" in data else None
    rule = replace(plain, excepted=excepted, repetitions=repetitions)
    between = (fires_of(rule)[-1] - NOON) / LOOKED_AT
    spread = draw(st.sampled_from([timedelta(), between / 2, 3 * between]))
    return Schedule(rule=rule, spread=spread, misfire=Misfire.FIRE_ALL)


def fires_of(rule: Rule) -> list[datetime]:
    return list(islice(fires(rule, NOON), LOOKED_AT))


@dataclass
class Watch:
    """A request that is settled whenever it is due. Each look and each edit restarts the
    program.
    """

    request: ProcessRequest
    now: datetime = NOON
    claims: list[datetime] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.state = seen(self.request)

    def edit(self, edited: ProcessRequest) -> Registration:
        self.request, registration = edited, register(edited, restarted(self.state), self.now)
        self.state = registration.state
        return registration

    def look_until(self, until: datetime) -> None:
        while (due := due_at(self.request, self.state)) is not None and due <= until:
            self.now = max(self.now, due)
            settlement = settle(self.request, restarted(self.state), self.now)
            assert settlement.miss is None
            self.claims += settlement.claims
            self.state = settlement.state
        self.now = max(self.now, until)


# Edits that do not change the fire times.
EDITS: list[Callable[[ProcessRequest, Schedule], ProcessRequest]] = [
    lambda request, timing: request,
    lambda request, timing: replace(request, description=f"{request.description} edited"),
    lambda request, timing: replace(
        request, process=replace(request.process, action=Command(arguments=("false",)))
    ),
    lambda request, timing: replace(
        request, timing=replace(timing, spread=MINUTE + 2 * timing.spread)
    ),
    lambda request, timing: replace(request, timing=replace(timing, spread=timing.spread / 3)),
    lambda request, timing: replace(
        request, timing=replace(timing, misfire_grace=timing.misfire_grace + DAY)
    ),
    lambda request, timing: replace(
        request, source=Source(file="moved/p.yaml", line=7, sha256="other")
    ),
]
moments = st.floats(0, 1.2)


@given(timing=lasting(), edits=st.lists(st.tuples(moments, st.sampled_from(EDITS)), max_size=6))
@settings(max_examples=60)
def test_neither_a_restart_nor_an_edit_of_anything_else_moves_a_fire(
    timing: Schedule,
    edits: list[tuple[float, Callable[[ProcessRequest, Schedule], ProcessRequest]]],
) -> None:
    watch, expected = Watch(request_of(timing)), fires_of(timing.rule)
    length = expected[-1] - NOON
    for moment, edited in sorted(edits, key=itemgetter(0)):
        watch.look_until(NOON + length * moment)
        present = watch.request.timing
        assert isinstance(present, Schedule)
        assert watch.edit(edited(watch.request, present)).change is None
    watch.look_until(expected[-1] + delay_of(watch.request))
    assert watch.state.generation == 1
    assert watch.claims[: len(expected)] == expected
    assert (watch.state.status is COMPLETE) is (next_fire(timing.rule, watch.claims[-1]) is None)


@given(
    timing=lasting(),
    edits=st.lists(st.tuples(moments, st.none() | moments), min_size=1, max_size=5),
)
@settings(max_examples=60)
def test_each_fire_obeys_the_finish_in_force_at_its_time(
    timing: Schedule, edits: list[tuple[float, float | None]]
) -> None:
    """A later finish revives a complete request with its former repetitions and interval."""
    timing = replace(timing, spread=timedelta())
    watch, expected = Watch(request_of(timing)), fires_of(timing.rule)
    length = expected[-1] - NOON
    finishes: list[tuple[datetime, datetime | None]] = []
    for moment, part in sorted(edits, key=itemgetter(0)):
        finish = None if part is None else NOON + length * part
        watch.look_until(NOON + length * moment)
        finishes.append((watch.now, finish))
        watch.edit(request_of(replace(timing, rule=replace(timing.rule, finish=finish))))
        assert (watch.state.status is SCHEDULED) is (
            next_fire(watch_rule(watch), watch.now) is not None
        )
    watch.look_until(expected[-1])
    assert watch.state.generation == 1
    found = [fire for fire in watch.claims if fire <= expected[-1]]
    assert found == [fire for fire in expected if is_before_finish(fire, finishes)]


def watch_rule(watch: Watch) -> Rule:
    assert isinstance(watch.request.timing, Schedule)
    return watch.request.timing.rule


def is_before_finish(fire: datetime, finishes: list[tuple[datetime, datetime | None]]) -> bool:
    in_force = [finish for since, finish in finishes if since < fire]
    return not in_force or in_force[-1] is None or fire <= in_force[-1]
