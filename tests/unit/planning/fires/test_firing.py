"""Verdicts: which fires run, on time or late, and which are missed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import islice, takewhile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.planning_world import NOON, request_of

from runner.lifecycle import Misfire, RequestStatus
from runner.planning.fires.abandoned_fires import abandoned
from runner.planning.fires.firing import (
    CATCH_UP_LIMIT,
    Miss,
    Settlement,
    delay_of,
    due_at,
    pending_fire,
    settle,
)
from runner.planning.states.state import RequestState
from runner.planning.transitions.presses import reschedule, unschedule
from runner.planning.transitions.registration import register, remove
from runner.requests.model import (
    ProcessRequest,
    RunImmediately,
    RunLater,
    Schedule,
)
from runner.timing.calendars import NO_DATES, Dates
from runner.timing.parsing import parse_rule
from runner.timing.rules import Rule
from runner.timing.upcoming import fires

TICK = timedelta(microseconds=1)
SECOND, MINUTE, HOUR, DAY = (
    timedelta(seconds=1),
    timedelta(minutes=1),
    timedelta(hours=1),
    timedelta(days=1),
)


def rule_of(zone: str = "UTC", excepted: Dates = NO_DATES, **data: Any) -> Rule:
    return parse_rule(data, default_zone=zone, excepted=excepted)


def every(minutes: int, misfire: Misfire = Misfire.SKIP, **fields: Any) -> ProcessRequest:
    return request_of(
        Schedule(rule=rule_of(frequency="minutely", interval=minutes), misfire=misfire), **fields
    )


def later(start: datetime, misfire: Misfire = Misfire.FIRE_ONCE) -> ProcessRequest:
    return request_of(RunLater(start=start, zone="UTC", misfire=misfire))


def registered(request: ProcessRequest, now: datetime = NOON) -> RequestState:
    return register(request, None, now).state


def settled(request: ProcessRequest, after: timedelta) -> Settlement:
    """Settle a request that was registered at noon, after the loop slept for so long."""
    return settle(request, registered(request), NOON + after)


# --- on time and late
# --------------------------------------------------------------------------------------


def test_nothing_is_due_before_its_time() -> None:
    request = every(5)
    state = registered(request)
    assert settle(request, state, NOON + 5 * MINUTE - TICK) == Settlement(state=state)


def test_a_fire_is_claimed_at_its_very_instant_and_scheduled_for_it() -> None:
    result = settled(every(5), 5 * MINUTE)
    assert result.claims == (NOON + 5 * MINUTE,)
    assert result.miss is None
    assert result.state.fired_through == NOON + 5 * MINUTE


def test_within_grace_a_fire_is_only_late_and_keeps_its_planned_instant() -> None:
    assert settled(every(5), 6 * MINUTE).claims == (NOON + 5 * MINUTE,)


def test_beyond_grace_it_is_missed() -> None:
    fire = NOON + 5 * MINUTE
    result = settled(every(5), 6 * MINUTE + TICK)
    assert result.claims == ()
    assert result.miss == Miss(count=1, first=fire, last=fire)


def test_grace_is_the_requests_own() -> None:
    request = request_of(
        Schedule(rule=rule_of(frequency="hourly"), misfire_grace=timedelta(minutes=30))
    )
    assert settled(request, 90 * MINUTE).claims == (NOON + HOUR,)
    assert settled(request, 90 * MINUTE + TICK).claims == ()


def test_of_several_due_together_the_latest_within_grace_runs_and_the_earlier_are_missed() -> None:
    request = request_of(Schedule(rule=rule_of(frequency="secondly")))
    result = settled(request, 5 * SECOND)
    assert result.claims == (NOON + 5 * SECOND,)
    assert result.miss == Miss(count=4, first=NOON + SECOND, last=NOON + 4 * SECOND)


def test_a_second_look_finds_nothing_more() -> None:
    request = every(5)
    result = settled(request, 17 * MINUTE)
    assert settle(request, result.state, NOON + 17 * MINUTE) == Settlement(state=result.state)


# --- missed fires
# --------------------------------------------------------------------------------------


def test_skip_runs_no_late_fire_and_records_the_span_once() -> None:
    result = settled(every(5), 17 * MINUTE)
    assert result.claims == ()
    assert result.miss == Miss(count=3, first=NOON + 5 * MINUTE, last=NOON + 15 * MINUTE)


def test_skip_is_the_default_of_schedules_and_fire_once_of_run_later() -> None:
    assert Schedule(rule=rule_of(frequency="hourly")).misfire is Misfire.SKIP
    assert RunLater(start=NOON, zone="UTC").misfire is Misfire.FIRE_ONCE
    assert Schedule(rule=rule_of(frequency="hourly")).misfire_grace == MINUTE
    assert RunLater(start=NOON, zone="UTC").misfire_grace == MINUTE


def test_fire_once_records_all_missed_fires_and_runs_the_latest() -> None:
    result = settled(every(5, Misfire.FIRE_ONCE), 17 * MINUTE)
    assert result.claims == (NOON + 15 * MINUTE,)
    assert result.miss == Miss(count=3, first=NOON + 5 * MINUTE, last=NOON + 15 * MINUTE)


def test_fire_once_runs_once_where_a_later_fire_is_on_time() -> None:
    result = settled(every(5, Misfire.FIRE_ONCE), 15 * MINUTE)
    assert result.claims == (NOON + 15 * MINUTE,)
    assert result.miss == Miss(count=2, first=NOON + 5 * MINUTE, last=NOON + 10 * MINUTE)


def test_fire_all_runs_each_fire_oldest_first_and_records_no_miss() -> None:
    result = settled(every(5, Misfire.FIRE_ALL), 17 * MINUTE)
    assert result.claims == tuple(NOON + count * 5 * MINUTE for count in (1, 2, 3))
    assert result.miss is None


@pytest.mark.parametrize(("is_on_time", "look_after"), [(True, timedelta()), (False, 2 * MINUTE)])
def test_fire_all_runs_the_latest_hundred_and_records_the_rest(
    is_on_time: bool, look_after: timedelta
) -> None:
    due = [NOON + count * 5 * MINUTE for count in range(1, 251)]
    result = settled(every(5, Misfire.FIRE_ALL), 250 * 5 * MINUTE + look_after)
    caught_up = result.claims[:-1] if is_on_time else result.claims
    rest = due[: -len(result.claims)]
    assert len(caught_up) == CATCH_UP_LIMIT == 100
    assert list(result.claims) == due[-len(result.claims) :]
    assert result.miss == Miss(count=len(rest), first=rest[0], last=rest[-1])


@pytest.mark.parametrize(("missed", "recorded"), [(99, 0), (100, 0), (101, 1), (102, 2)])
def test_fire_all_counts_exactly_around_its_limit(missed: int, recorded: int) -> None:
    result = settled(every(5, Misfire.FIRE_ALL), missed * 5 * MINUTE + 2 * MINUTE)
    assert len(result.claims) == missed - recorded
    assert (result.miss.count if result.miss else 0) == recorded


def test_two_years_of_missed_seconds_are_settled_as_quickly_as_one() -> None:
    request = request_of(Schedule(rule=rule_of(frequency="secondly")))
    result = settled(request, 730 * DAY)
    assert result.miss == Miss(
        count=63_071_999, first=NOON + SECOND, last=NOON + 730 * DAY - SECOND
    )
    assert result.claims == (NOON + 730 * DAY,)


# --- spread
# --------------------------------------------------------------------------------------


def spread_request(misfire: Misfire = Misfire.SKIP) -> ProcessRequest:
    timing = Schedule(
        rule=rule_of(frequency="hourly"), spread=timedelta(minutes=30), misfire=misfire
    )
    return request_of(timing, name="spread-a")


def test_spread_delays_a_fire_by_a_part_that_is_stable_and_below_it() -> None:
    request = spread_request()
    delay = delay_of(request)
    assert timedelta() < delay < timedelta(minutes=30)
    assert due_at(request, registered(request)) == NOON + HOUR + delay
    assert delay_of(replace(request, name="other")) != delay
    assert delay_of(every(5)) == timedelta()


def test_a_spread_fire_is_scheduled_for_the_unspread_instant() -> None:
    request = spread_request()
    delay = delay_of(request)
    assert settled(request, HOUR + delay - TICK).claims == ()
    assert settled(request, HOUR + delay).claims == (NOON + HOUR,)


def test_grace_counts_from_the_spread_instant() -> None:
    request = spread_request()
    delay = delay_of(request)
    assert settled(request, HOUR + delay + MINUTE).claims == (NOON + HOUR,)
    assert settled(request, HOUR + delay + MINUTE + TICK).miss == Miss(
        count=1, first=NOON + HOUR, last=NOON + HOUR
    )


# --- one-time requests
# --------------------------------------------------------------------------------------


def test_a_run_immediately_is_scheduled_for_its_first_sight_and_complete_when_claimed() -> None:
    result = settled(request_of(RunImmediately()), timedelta())
    assert result.claims == (NOON,)
    assert result.state.status is RequestStatus.COMPLETE
    assert result.state.ran_immediately


def test_a_run_immediately_is_never_too_late() -> None:
    """A runner that died between registration and claim runs it after the restart."""
    assert settled(request_of(RunImmediately()), 365 * DAY).claims == (NOON,)


def test_a_run_later_runs_once_at_its_start() -> None:
    result = settled(later(NOON + HOUR), HOUR)
    assert (result.claims, result.miss) == ((NOON + HOUR,), None)
    assert result.state.status is RequestStatus.COMPLETE


@pytest.mark.parametrize(
    ("misfire", "runs", "is_recorded"),
    [(Misfire.SKIP, False, True), (Misfire.FIRE_ONCE, True, True), (Misfire.FIRE_ALL, True, False)],
)
def test_a_run_later_that_was_missed_follows_its_misfire_and_is_complete(
    misfire: Misfire, runs: bool, is_recorded: bool
) -> None:
    fire = NOON + HOUR
    result = settled(later(fire, misfire), 3 * HOUR)
    assert result.claims == ((fire,) if runs else ())
    assert result.miss == (Miss(count=1, first=fire, last=fire) if is_recorded else None)
    assert result.state.status is RequestStatus.COMPLETE


def test_within_grace_a_run_later_is_only_late_beyond_it_is_missed() -> None:
    fire = NOON + HOUR
    assert settled(later(fire, Misfire.SKIP), HOUR + MINUTE).claims == (fire,)
    assert settled(later(fire, Misfire.SKIP), HOUR + MINUTE + TICK).claims == ()


# --- which requests are due
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "status", [status for status in RequestStatus if status is not RequestStatus.SCHEDULED]
)
def test_only_a_scheduled_request_is_due(status: RequestStatus) -> None:
    request = every(5)
    state = replace(registered(request), status=status)
    assert due_at(request, state) is None
    assert settle(request, state, NOON + DAY) == Settlement(state=state)


def test_a_definition_is_never_due() -> None:
    request = request_of(None)
    state = registered(request)
    assert pending_fire(request, state) is None
    assert settle(request, state, NOON + DAY) == Settlement(state=state)


def test_the_last_fire_completes_the_request() -> None:
    request = request_of(Schedule(rule=rule_of(frequency="hourly", finish="2026-03-01 14:00")))
    first = settled(request, HOUR)
    assert first.state.status is RequestStatus.SCHEDULED
    last = settle(request, first.state, NOON + 2 * HOUR)
    assert last.claims == (NOON + 2 * HOUR,)
    assert last.state.status is RequestStatus.COMPLETE


def test_a_missed_last_fire_completes_it_too() -> None:
    request = request_of(Schedule(rule=rule_of(frequency="hourly", finish="2026-03-01 14:00")))
    result = settled(request, DAY)
    assert result.miss == Miss(count=2, first=NOON + HOUR, last=NOON + 2 * HOUR)
    assert result.state.status is RequestStatus.COMPLETE


def test_finish_bounds_what_is_scheduled_for_and_not_the_spread_instant() -> None:
    rule = rule_of(frequency="hourly", finish="2026-03-01 13:00")
    request = request_of(Schedule(rule=rule, spread=timedelta(minutes=30)), name="spread-a")
    result = settled(request, HOUR + delay_of(request))
    assert result.claims == (NOON + HOUR,)
    assert result.state.status is RequestStatus.COMPLETE


def test_repetitions_count_the_fires_after_the_first() -> None:
    request = request_of(
        Schedule(rule=rule_of(frequency="hourly", start="2026-03-02 00:00", repetitions=3))
    )
    state = registered(request)
    claims: list[datetime] = []
    for hour in range(48):
        result = settle(request, state, NOON + hour * HOUR)
        state, claims = result.state, [*claims, *result.claims]
    assert [claim.hour for claim in claims] == [0, 1, 2, 3]
    assert state.status is RequestStatus.COMPLETE


# --- fires that a change abandons
# --------------------------------------------------------------------------------------


def left_behind(request: ProcessRequest, changed: RequestState, now: datetime) -> Miss | None:
    return abandoned(request, registered(request), changed, now)


def test_a_fire_due_when_its_request_is_unscheduled_or_removed_is_missed() -> None:
    request, now = every(5), NOON + 12 * MINUTE
    state = registered(request)
    for changed in (unschedule(state, now, by="ann").state, remove(state, NOON).state):
        assert left_behind(request, changed, now) == Miss(
            count=2, first=NOON + 5 * MINUTE, last=NOON + 10 * MINUTE
        )
        assert left_behind(request, changed, NOON + 5 * MINUTE - TICK) is None


def test_a_fire_due_by_the_former_rule_is_missed() -> None:
    request, now = every(5), NOON + 12 * MINUTE
    changed = register(every(7), registered(request), now).state
    assert left_behind(request, changed, now) == Miss(
        count=2, first=NOON + 5 * MINUTE, last=NOON + 10 * MINUTE
    )


def test_a_fire_that_an_edit_leaves_planned_is_not_missed() -> None:
    request, now = every(5), NOON + 12 * MINUTE
    changed = register(replace(request, description="edited"), registered(request), now).state
    assert left_behind(request, changed, now) is None
    assert settle(request, changed, now).miss == Miss(
        count=2, first=NOON + 5 * MINUTE, last=NOON + 10 * MINUTE
    )


def test_a_run_later_that_was_due_when_it_was_unscheduled_is_missed() -> None:
    request, now = later(NOON + HOUR), NOON + 2 * HOUR
    changed = unschedule(registered(request), now, by="ann").state
    assert left_behind(request, changed, now) == Miss(count=1, first=NOON + HOUR, last=NOON + HOUR)


def test_a_run_immediately_that_is_only_unscheduled_still_waits_for_its_run() -> None:
    request = request_of(RunImmediately())
    changed = unschedule(registered(request), NOON, by="ann").state
    assert left_behind(request, changed, NOON) is None


def test_only_a_fire_that_is_due_with_its_spread_is_abandoned() -> None:
    request = spread_request()
    delay, changed = delay_of(request), remove(registered(request), NOON).state
    assert left_behind(request, changed, NOON + HOUR + delay - TICK) is None
    assert left_behind(request, changed, NOON + HOUR + delay) == Miss(
        count=1, first=NOON + HOUR, last=NOON + HOUR
    )


def test_a_spread_longer_than_the_interval_abandons_only_due_fires() -> None:
    timing = Schedule(rule=rule_of(frequency="minutely", interval=5), spread=5 * HOUR)
    request = request_of(timing, name="spread-a")
    delay, changed = delay_of(request), remove(registered(request), NOON).state
    assert delay > 10 * MINUTE
    fire = NOON + 5 * MINUTE
    assert left_behind(request, changed, fire + delay) == Miss(count=1, first=fire, last=fire)


# --- the law: each fire has exactly one verdict
# -----------------------------------------------------------------------

START = "2026-03-01 12:00"
RULES = [
    (rule_of(frequency="secondly", interval=7), 7 * SECOND),
    (rule_of(frequency="minutely", interval=5), 5 * MINUTE),
    (rule_of(frequency="minutely", interval=13, start="2026-03-01 13:07"), 13 * MINUTE),
    (rule_of(frequency="hourly", start=START, repetitions=150), HOUR),
    (
        rule_of(
            frequency="hourly",
            interval=5,
            excepted=Dates(days=frozenset({date(2026, 3, 2), date(2026, 3, 29)})),
        ),
        5 * HOUR,
    ),
    (rule_of("Europe/Madrid", frequency="daily", at=["02:30", "02:45", "18:00"]), 8 * HOUR),
    (
        rule_of(
            "Europe/Madrid", frequency="daily", days="weekdays", at="02:30", finish="2026-08-01"
        ),
        DAY,
    ),
    (rule_of("Africa/Cairo", frequency="daily", interval=3, start=START, repetitions=20), 3 * DAY),
    (
        rule_of("Australia/Lord_Howe", frequency="weekly", days=["sunday", "monday"], at="02:15"),
        3 * DAY,
    ),
    (rule_of(frequency="monthly", day=31, at="00:00"), 45 * DAY),
    (rule_of("Europe/Madrid", frequency="cron", expression="*/20 1-4 * * *"), HOUR),
]  # fmt: skip


@dataclass(frozen=True)
class Case:
    request: ProcessRequest
    looks: tuple[datetime, ...]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    rule, scale = draw(st.sampled_from(RULES))
    grace = draw(st.sampled_from([timedelta(milliseconds=1), MINUTE, HOUR, 30 * DAY]))
    timing = Schedule(
        rule=rule,
        misfire=draw(st.sampled_from(Misfire)),
        misfire_grace=grace,
        spread=draw(st.sampled_from([timedelta(), scale / 2, 3 * scale])),
    )
    # Looks at once, at a hair's breadth, at whole multiples (so at fires themselves)
    # and after long pauses.
    steps = st.one_of(
        st.just(timedelta()),
        st.just(TICK),
        st.integers(1, 3).map(lambda count: count * scale),
        st.floats(0, 4).map(lambda part: part * scale),
        st.integers(90, 130).map(lambda count: count * scale),
    )
    looks, now = [], NOON
    for step in draw(st.lists(steps, max_size=12)):
        now += step
        looks.append(now)
    return Case(request=request_of(timing, name=draw(st.sampled_from("abc"))), looks=tuple(looks))


def verdict_by_the_book(
    due: list[datetime], now: datetime, timing: Schedule, delay: timedelta
) -> Settlement:
    """Apply the rules of "Missed fires" to the plain list of the due fires, without any state."""
    is_on_time = bool(due) and now <= due[-1] + delay + timing.misfire_grace
    on_time, missed = (due[-1:], due[:-1]) if is_on_time else ([], due)
    once = [] if is_on_time else missed[-1:]
    caught_up = {Misfire.SKIP: [], Misfire.FIRE_ONCE: once, Misfire.FIRE_ALL: missed[-100:]}[
        timing.misfire
    ]
    reported = missed[:-100] if timing.misfire is Misfire.FIRE_ALL else missed
    miss = Miss(count=len(reported), first=reported[0], last=reported[-1]) if reported else None
    misses = () if miss is None else (miss,)
    return Settlement(state=registered(every(5)), claims=(*caught_up, *on_time), misses=misses)


def check_each_fire_has_one_verdict(case: Case) -> None:
    timing = case.request.timing
    assert isinstance(timing, Schedule)
    delay, state = delay_of(case.request), registered(case.request)
    remaining = fires(timing.rule, NOON)
    ahead: list[datetime] = list(islice(remaining, 1))
    for now in case.looks:
        due = []
        while ahead and ahead[0] + delay <= now:
            due.append(ahead.pop())
            ahead += islice(remaining, 1)
        result = settle(case.request, state, now)
        expected = verdict_by_the_book(due, now, timing, delay)
        assert (result.claims, result.miss) == (expected.claims, expected.miss)
        assert pending_fire(case.request, result.state) == (ahead[0] if ahead else None)
        assert result.state.status == ("scheduled" if ahead else "complete")
        state = result.state


@settings(max_examples=120)
@given(cases())
def test_each_fire_has_exactly_one_verdict_whenever_the_loop_looks(case: Case) -> None:
    check_each_fire_has_one_verdict(case)


@pytest.mark.campaign
@settings(max_examples=3_000)
@given(cases())
def test_each_fire_has_exactly_one_verdict_whenever_the_loop_looks_at_length(case: Case) -> None:
    check_each_fire_has_one_verdict(case)


@settings(max_examples=60)
@given(cases())
def test_how_often_the_loop_looks_does_not_change_the_final_state(case: Case) -> None:
    """Every fire up to the last look is in exactly one claim or one recorded miss, however
    often the loop looks.
    """
    if not case.looks:
        return
    timing = case.request.timing
    assert isinstance(timing, Schedule)
    request = replace(case.request, timing=replace(timing, misfire=Misfire.SKIP))
    state, count = registered(request), 0
    seen: set[datetime] = set()
    for now in case.looks:
        result = settle(request, state, now)
        assert seen.isdisjoint(result.claims)
        seen |= set(result.claims)
        count += len(result.claims) + (result.miss.count if result.miss else 0)
        state = result.state
    last = case.looks[-1] - delay_of(request)
    assert count == sum(1 for _ in takewhile(lambda fire: fire <= last, fires(timing.rule, NOON)))


def test_after_a_reschedule_repetitions_are_settled_afresh() -> None:
    request = request_of(Schedule(rule=rule_of(frequency="hourly", start=START, repetitions=1)))
    first = settled(request, DAY)
    assert first.miss == Miss(
        count=1, first=NOON + HOUR, last=NOON + HOUR
    )  # noon itself had passed at registration
    again = reschedule(request, first.state, NOON + DAY, by="ann").state
    assert again.status is RequestStatus.SCHEDULED
    claims: list[datetime] = []
    for hour in range(25, 30):
        result = settle(request, again, NOON + hour * HOUR)
        again, claims = result.state, [*claims, *result.claims]
    assert claims == [NOON + 25 * HOUR, NOON + 26 * HOUR]
    assert again.status is RequestStatus.COMPLETE
