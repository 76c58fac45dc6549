"""The rows of Openbravo's checklist that planning decides, by their numbers.

Where Runner differs from Openbravo, the test says how.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from support.planning_world import NOON, request_of, seen

from runner.errors import RefusedError
from runner.lifecycle import Misfire, OnOverlap, RequestStatus
from runner.planning.fires import firing, planned_status
from runner.planning.fires.firing import Miss, pending_fire, settle
from runner.planning.fires.planned_status import Registration, RequestChange, cut_off
from runner.planning.overlap import Guard, Verdict, verdict
from runner.planning.states import state
from runner.planning.states.state import RequestState, state_from, state_text, watermark
from runner.planning.transitions import presses
from runner.planning.transitions.presses import reschedule, unschedule
from runner.planning.transitions.registration import register, remove
from runner.requests.model import ProcessRequest, RunImmediately, RunLater, Schedule
from runner.timing.parsing import parse_rule

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
TICK = timedelta(microseconds=1)


def scheduled(misfire: Misfire = Misfire.SKIP, **data: Any) -> ProcessRequest:
    return request_of(Schedule(rule=parse_rule(data, default_zone="UTC"), misfire=misfire))


def restarted(before: RequestState) -> RequestState:
    return state_from(
        state_text(before), generation=before.generation, fired_through=watermark(before)
    )


def claims_by_the_minute(
    request: ProcessRequest, since: datetime, minutes: int
) -> tuple[list[datetime], RequestState]:
    """Return the claims of a runner that looks every minute, and the final state."""
    current = seen(request, since)
    claims: list[datetime] = []
    for minute in range(minutes + 1):
        settlement = settle(request, current, since + minute * MINUTE)
        current, claims = settlement.state, [*claims, *settlement.claims]
    return claims, current


IMMEDIATELY = request_of(RunImmediately())
HOURLY = scheduled(frequency="hourly")
LATER = request_of(RunLater(start=NOON + HOUR, zone="UTC"))


def test_row_04_immediately_is_one_run_and_then_complete() -> None:
    claims, end = claims_by_the_minute(IMMEDIATELY, NOON, 120)
    assert claims == [NOON]
    assert end.status is RequestStatus.COMPLETE


def test_row_05_later_in_the_future_is_one_run_at_its_start() -> None:
    claims, end = claims_by_the_minute(LATER, NOON, 180)
    assert claims == [NOON + HOUR]
    assert end.status is RequestStatus.COMPLETE


def test_row_06_later_more_than_a_minute_late_has_a_misfired_record_and_runs_now() -> None:
    settlement = settle(LATER, seen(LATER), NOON + HOUR + MINUTE + TICK)
    assert settlement.claims == (NOON + HOUR,)
    assert settlement.miss == Miss(count=1, first=NOON + HOUR, last=NOON + HOUR)


def test_row_06_but_a_run_later_that_is_past_when_first_seen_does_not_run() -> None:
    """Openbravo runs a start in the past. Here, copying an old file would then run it, so
    only Reschedule does.
    """
    first = register(LATER, None, NOON + 2 * HOUR)
    assert first.miss == Miss(count=1, first=NOON + HOUR, last=NOON + HOUR)
    assert first.state.status is RequestStatus.COMPLETE
    pressed = reschedule(LATER, first.state, NOON + 3 * HOUR, by="ann").state
    assert settle(LATER, pressed, NOON + 3 * HOUR).claims == (NOON + 3 * HOUR,)


def test_row_07_a_run_later_has_no_finish() -> None:
    """Openbravo ignores the finish. Here `run_later` has no such key."""
    assert "finish" not in RunLater.__dataclass_fields__


def test_row_12_three_repetitions_are_four_runs_as_in_the_manual() -> None:
    request = scheduled(frequency="minutely", interval=10, start="2026-03-01 12:00", repetitions=3)
    claims, end = claims_by_the_minute(request, NOON - HOUR, 180)
    assert claims == [NOON + count * 10 * MINUTE for count in range(4)]
    assert end.status is RequestStatus.COMPLETE


def test_row_13_blank_repetitions_are_unlimited() -> None:
    request = scheduled(frequency="minutely", interval=10, start="2026-03-01 12:00")
    claims, end = claims_by_the_minute(request, NOON - HOUR, 600)
    assert len(claims) == 55
    assert end.status is RequestStatus.SCHEDULED


def test_row_14_no_repetitions_are_one_run() -> None:
    request = scheduled(frequency="minutely", interval=10, start="2026-03-01 12:00", repetitions=0)
    claims, end = claims_by_the_minute(request, NOON - HOUR, 180)
    assert claims == [NOON]
    assert end.status is RequestStatus.COMPLETE


def test_row_16_a_missed_interval_continues_at_the_next_aligned_instant() -> None:
    request = scheduled(frequency="minutely", interval=10)
    settlement = settle(request, seen(request), NOON + 25 * MINUTE)
    assert settlement.claims == ()
    assert settlement.miss == Miss(count=2, first=NOON + 10 * MINUTE, last=NOON + 20 * MINUTE)
    assert pending_fire(request, settlement.state) == NOON + 30 * MINUTE


def test_row_17_a_missed_interval_with_repetitions_is_skipped_and_keeps_its_anchor() -> None:
    """Openbravo runs the fire now and counts on from now. Runner treats all schedules alike:
    it records the missed fire, counts it as a repetition, and keeps the others where they
    are. `fire_once` asks for the late run.
    """
    data: dict[str, Any] = {
        "frequency": "minutely",
        "interval": 10,
        "start": "2026-03-01 12:10",
        "repetitions": 3,
    }
    request = scheduled(**data)
    settlement = settle(request, seen(request), NOON + 25 * MINUTE)
    assert (settlement.claims, settlement.miss) == (
        (),
        Miss(count=2, first=NOON + 10 * MINUTE, last=NOON + 20 * MINUTE),
    )
    rest = settle(request, settlement.state, NOON + 30 * MINUTE)
    last = settle(request, rest.state, NOON + 40 * MINUTE)
    assert (rest.claims, last.claims) == ((NOON + 30 * MINUTE,), (NOON + 40 * MINUTE,))
    assert last.state.status is RequestStatus.COMPLETE
    once = scheduled(Misfire.FIRE_ONCE, **data)
    assert settle(once, seen(once), NOON + 25 * MINUTE).claims == (NOON + 20 * MINUTE,)


@pytest.mark.parametrize(
    "data",
    [
        {"frequency": "hourly", "finish": "2026-03-01 14:00"},
        {"frequency": "daily", "at": ["13:00", "14:00", "15:00"], "finish": "2026-03-01 14:00"},
        {"frequency": "cron", "expression": "0 * * * *", "finish": "2026-03-01 14:00"},
    ],
)
def test_row_30_finish_is_inclusive_here_for_intervals_as_for_calendars(
    data: dict[str, Any],
) -> None:
    claims, end = claims_by_the_minute(scheduled(**data), NOON, 300)
    assert claims == [NOON + HOUR, NOON + 2 * HOUR]
    assert end.status is RequestStatus.COMPLETE


def test_row_33_a_missed_cron_fire_is_recorded_and_does_not_run() -> None:
    request = scheduled(frequency="cron", expression="30 * * * *")
    fire = NOON + 30 * MINUTE
    settlement = settle(request, seen(request), fire + 5 * MINUTE)
    assert settlement.claims == ()
    assert settlement.miss == Miss(count=1, first=fire, last=fire)
    assert settlement.state.status is RequestStatus.SCHEDULED


@pytest.mark.parametrize(
    "data", [{"frequency": "hourly"}, {"frequency": "cron", "expression": "0 * * * *"}]
)
def test_row_34_the_threshold_is_sixty_seconds(data: dict[str, Any]) -> None:
    request = scheduled(**data)
    fire = NOON + HOUR
    assert settle(request, seen(request), fire + timedelta(seconds=60)).claims == (fire,)
    assert settle(request, seen(request), fire + timedelta(seconds=60) + TICK).claims == ()


def test_row_38_schedule_makes_it_scheduled() -> None:
    first = register(HOURLY, None, NOON)
    assert (first.state.status, first.change) == (RequestStatus.SCHEDULED, RequestChange.SCHEDULED)
    off = unschedule(first.state, NOON, by="ann").state
    on = presses.schedule(HOURLY, off, NOON + MINUTE, by="ann")
    assert (on.state.status, on.change) == (RequestStatus.SCHEDULED, RequestChange.SCHEDULED)


def test_row_39_unschedule_clears_future_fires_and_leaves_running_executions_alone() -> None:
    """Only the state changes here. The service lets a running execution continue."""
    pressed = unschedule(seen(HOURLY), NOON + MINUTE, by="ann")
    assert (pressed.state.status, pressed.change) == (
        RequestStatus.UNSCHEDULED,
        RequestChange.UNSCHEDULED,
    )
    assert firing.due_at(HOURLY, pressed.state) is None
    assert settle(HOURLY, pressed.state, NOON + DAY).claims == ()


@pytest.mark.parametrize(
    "request_",
    [IMMEDIATELY, LATER, scheduled(frequency="hourly", finish="2026-03-01 13:30")],
)
def test_row_40_the_last_fire_completes(request_: ProcessRequest) -> None:
    claims, end = claims_by_the_minute(request_, NOON, 180)
    assert len(claims) == 1
    assert end.status is RequestStatus.COMPLETE


def test_row_41_a_failed_run_never_changes_the_request() -> None:
    """The store notes the result for people; no state of a request contains it."""
    settlement = settle(HOURLY, seen(HOURLY), NOON + HOUR)
    assert settlement.state.status is RequestStatus.SCHEDULED
    assert pending_fire(HOURLY, settlement.state) == NOON + 2 * HOUR
    for module in (firing, planned_status, state):
        assert not {"ExecutionStatus", "Reason"} & vars(module).keys(), (
            "no decision asks how an execution ended"
        )


def test_row_42_deleting_a_scheduled_request_unschedules_it() -> None:
    """Openbravo refuses. A file can always be deleted. Its state stays, so that a returning
    file does not run again.
    """
    gone = remove(seen(HOURLY), NOON)
    assert (gone.state.status, gone.change) == (RequestStatus.UNSCHEDULED, RequestChange.REMOVED)
    assert settle(HOURLY, gone.state, NOON + DAY).claims == ()
    back = register(HOURLY, gone.state, NOON + 90 * MINUTE).state
    assert (back.status, pending_fire(HOURLY, back)) == (RequestStatus.SCHEDULED, NOON + 2 * HOUR)
    ran = settle(IMMEDIATELY, seen(IMMEDIATELY), NOON).state
    returned = register(IMMEDIATELY, remove(ran, NOON).state, NOON + DAY).state
    assert settle(IMMEDIATELY, returned, NOON + DAY).claims == ()


def test_row_43_an_edited_request_keeps_its_plan_unless_its_rule_changed() -> None:
    """Openbravo makes it read-only. Here a changed rule counts from the change on, and any
    other change applies at once.
    """
    planned = seen(HOURLY)
    edited = replace(
        HOURLY, description="edited", process=replace(HOURLY.process, prevent_concurrent=True)
    )
    assert register(edited, planned, NOON + MINUTE) == Registration(state=planned)
    every_ten = scheduled(Misfire.FIRE_ALL, frequency="minutely", interval=10)
    changed = register(every_ten, planned, NOON + 35 * MINUTE).state
    assert (changed.generation, pending_fire(every_ten, changed)) == (2, NOON + 40 * MINUTE)


def test_row_44_an_immediate_request_that_a_restart_cut_off_is_marked_and_not_rerun() -> None:
    ran = settle(IMMEDIATELY, seen(IMMEDIATELY), NOON).state
    marked = restarted(cut_off(IMMEDIATELY, ran, ran.generation))
    after_restart = register(IMMEDIATELY, marked, NOON + HOUR)
    assert after_restart == Registration(state=marked)
    assert marked.status is RequestStatus.SYSTEM_RESTART
    assert settle(IMMEDIATELY, marked, NOON + HOUR).claims == ()
    with pytest.raises(RefusedError, match="`runner reschedule` runs it again"):
        presses.schedule(IMMEDIATELY, marked, NOON + HOUR, by="ann")


def test_row_44_but_a_restart_does_not_lose_an_execution_that_had_not_begun() -> None:
    """Openbravo marks it too and never runs it. Here nothing had begun, so it runs once."""
    waiting = register(IMMEDIATELY, restarted(seen(IMMEDIATELY)), NOON + HOUR).state
    settlement = settle(IMMEDIATELY, waiting, NOON + HOUR)
    assert settlement.claims == (NOON,)
    assert settle(IMMEDIATELY, settlement.state, NOON + DAY).claims == ()


@pytest.mark.parametrize("request_", [HOURLY, scheduled(frequency="daily", at="13:00"), LATER])
def test_row_45_a_restart_plans_schedules_and_future_run_laters(request_: ProcessRequest) -> None:
    planned = seen(request_)
    assert register(request_, restarted(planned), NOON + 30 * MINUTE) == Registration(state=planned)
    assert settle(request_, restarted(planned), NOON + HOUR).claims == (NOON + HOUR,)


def test_row_45_a_run_later_whose_time_passed_while_nothing_ran_runs() -> None:
    restart = register(LATER, restarted(seen(LATER)), NOON + DAY)
    assert restart.miss is None
    assert settle(LATER, restart.state, NOON + DAY).claims == (NOON + HOUR,)


def guard_of(client: str | None, organization: str | None) -> Guard:
    return Guard(process="p", client=client, organization=organization)


def _verdict(guard: Guard, held: set[Guard]) -> Verdict:
    return verdict(
        is_guard_held=guard in held,
        is_queue_closed=False,
        on_overlap=OnOverlap.REFUSE,
        has_room=True,
    )


def test_row_48_the_same_process_client_and_organization_is_refused() -> None:
    held = {guard_of("c", "o")}
    assert (
        verdict(
            is_guard_held=guard_of("c", "o") in held,
            is_queue_closed=False,
            on_overlap=OnOverlap.REFUSE,
            has_room=True,
        )
        is Verdict.REFUSE
    )


@pytest.mark.parametrize(
    "other", [guard_of("c", "elsewhere"), guard_of("c", None), guard_of("d", "o")]
)
def test_row_49_another_organization_or_client_runs(other: Guard) -> None:
    held = {guard_of("c", "o")}
    assert (
        verdict(
            is_guard_held=other in held,
            is_queue_closed=False,
            on_overlap=OnOverlap.REFUSE,
            has_room=True,
        )
        is Verdict.RUN
    )
