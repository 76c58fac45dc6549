"""Requests as commands show them: status, drift, upcoming fires."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import pytest
from support.planning_world import NOON, request_of, seen

from runner.errors import Problem
from runner.lifecycle import RequestStatus
from runner.planning.coming_fires import ComingFire, coming_fires, first_fires, merged, standing
from runner.planning.fires.clock_steps import stepped_back
from runner.planning.fires.firing import settle
from runner.planning.last_good import InForce
from runner.planning.states.state import RequestState
from runner.planning.transitions.presses import reschedule, schedule, unschedule
from runner.planning.transitions.registration import register, remove
from runner.planning.views.request_view import RequestView, views
from runner.requests.catalog.catalog import Rejection
from runner.requests.model import (
    ProcessRequest,
    RunImmediately,
    RunLater,
    Schedule,
)
from runner.timing.parsing import parse_rule

TICK, MINUTE, HOUR, DAY = (
    timedelta(microseconds=1),
    timedelta(minutes=1),
    timedelta(hours=1),
    timedelta(days=1),
)


def schedule_of(**data: Any) -> Schedule:
    return Schedule(rule=parse_rule(data, default_zone="UTC"))


HOURLY = request_of(schedule_of(frequency="hourly"), "hourly")
AT_ONCE = request_of(RunImmediately(), "at-once")
TOMORROW = request_of(RunLater(start=NOON + DAY, zone="UTC"), "tomorrow")
PLAIN = request_of(None, "plain")


def view_of(
    request: ProcessRequest, state: RequestState | None, now: datetime = NOON
) -> RequestView:
    states = {} if state is None else {request.name: state}
    (view,) = views(InForce(requests={request.name: request}, kept={}), (), states, now)
    return view


def rejected(file: str, *names: str) -> Rejection:
    problem = Problem(file=file, line=1, column=1, path="", message="it is wrong")
    return Rejection(file=file, problems=(problem,), names=frozenset(names), whole=not names)


# --- status
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "status", "next_fire"),
    [
        (HOURLY, "scheduled", NOON + HOUR),
        (AT_ONCE, "scheduled", NOON),
        (TOMORROW, "scheduled", NOON + DAY),
        (PLAIN, "definition", None),
        (replace(HOURLY, scheduled=False), "unscheduled", None),
        (request_of(RunLater(start=NOON - DAY, zone="UTC"), "past"), "complete", None),
    ],
)
def test_a_new_request_is_shown_as_it_will_be(
    request_: ProcessRequest, status: str, next_fire: datetime | None
) -> None:
    view = view_of(request_, None)
    assert (view.status, view.next_fire, view.drift) == (status, next_fire, None)
    assert view.state == standing(request_, None, NOON)


def test_a_known_request_is_shown_as_the_store_says() -> None:
    state = settle(AT_ONCE, seen(AT_ONCE), NOON).state
    view = view_of(AT_ONCE, state, NOON + DAY)
    assert (view.status, view.next_fire, view.state, view.file) == (
        "complete",
        None,
        state,
        "at-once.yaml",
    )


def test_the_next_fire_is_unspread() -> None:
    timing = replace(schedule_of(frequency="hourly"), spread=timedelta(minutes=30))
    assert view_of(request_of(timing, "spread"), None).next_fire == NOON + HOUR


# --- drift
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_", [HOURLY, AT_ONCE, TOMORROW, PLAIN, replace(HOURLY, scheduled=False)]
)
def test_a_request_that_matches_its_file_has_no_drift(request_: ProcessRequest) -> None:
    assert view_of(request_, seen(request_), NOON + HOUR).drift is None


def test_drift_says_who_did_what_and_when() -> None:
    state = unschedule(seen(HOURLY), NOON, by="ann (uid 1000)").state
    view = view_of(HOURLY, state, NOON + DAY)
    assert view.status == "unscheduled"
    assert (
        view.drift
        == "unscheduled by ann (uid 1000) at 2026-03-01T12:00:00Z, the file says otherwise"
    )
    off = replace(HOURLY, scheduled=False)
    drift = view_of(off, schedule(off, seen(off), NOON, by="bob").state).drift
    assert drift == "scheduled by bob at 2026-03-01T12:00:00Z, the file says otherwise"


@pytest.mark.parametrize("timing", [HOURLY.timing, RunImmediately()])
def test_drift_names_the_button_and_both_where_a_new_rule_has_hidden_it(
    timing: Schedule | RunImmediately,
) -> None:
    off = replace(request_of(timing, "off"), scheduled=False)
    reported = "by bob at 2026-03-01T12:01:00Z, the file says otherwise"
    pressed = reschedule(off, seen(off), NOON + MINUTE, by="bob").state
    assert view_of(off, pressed, NOON + HOUR).drift == f"rescheduled {reported}"
    again = schedule(off, pressed, NOON + 2 * MINUTE, by="ann").state
    assert view_of(off, again, NOON + HOUR).drift == f"scheduled {reported}".replace(
        "bob", "ann"
    ).replace("01:00Z", "02:00Z")
    other = replace(off, timing=schedule_of(frequency="minutely"))
    changed = register(other, pressed, NOON + 3 * MINUTE).state
    assert view_of(other, changed, NOON + HOUR).drift == f"scheduled or rescheduled {reported}"


@pytest.mark.parametrize(
    ("state", "request_"),
    [
        (seen(HOURLY), request_of(schedule_of(frequency="minutely"), "hourly")),
        (seen(HOURLY), replace(HOURLY, scheduled=False)),
        (seen(HOURLY), replace(HOURLY, reschedule="2")),
        (unschedule(seen(HOURLY), NOON, by="ann").state, replace(HOURLY, scheduled=False)),
        (remove(seen(HOURLY), NOON).state, HOURLY),
    ],
)
def test_a_change_that_no_runner_has_seen_is_not_live_yet(
    state: RequestState, request_: ProcessRequest
) -> None:
    assert view_of(request_, state, NOON + MINUTE).drift == "the file's change is not live yet"


def test_a_finish_that_will_reopen_a_request_is_not_live_yet() -> None:
    over = request_of(schedule_of(frequency="hourly", finish="2026-03-01 13:00"), "over")
    state = settle(over, seen(over), NOON + HOUR).state
    view = view_of(request_of(HOURLY.timing, "over"), state, NOON + DAY)
    assert (view.status, view.next_fire) == ("complete", NOON + DAY + HOUR)
    assert view.drift == "the file's change is not live yet"


def test_in_sync_drifted_new_and_invalid_are_distinct() -> None:
    force = InForce(requests={"hourly": HOURLY}, kept={})
    edited = replace(HOURLY, owner="ann")
    bad = rejected("hourly.yaml", "hourly")
    found = [
        views(force, (), {"hourly": seen(HOURLY)}, NOON, supplied={"hourly": HOURLY}),
        views(force, (), {"hourly": seen(HOURLY)}, NOON, supplied={"hourly": edited}),
        views(force, (), {}, NOON, supplied={}),
        views(replace(force, kept={"hourly": bad}), (bad,), {"hourly": seen(HOURLY)}, NOON),
    ]
    assert [(view.sync, view.drift) for (view,) in found] == [
        ("in sync", None),
        ("drifted", "the file's change is not live yet (owner)"),
        ("new", None),
        ("invalid", None),
    ]


# --- rejected documents
# --------------------------------------------------------------------------------------


def test_a_request_with_a_last_good_version_is_invalid_and_still_fires() -> None:
    bad = rejected("hourly.yaml", "hourly")
    force = InForce(requests={"hourly": HOURLY}, kept={"hourly": bad})
    (view,) = views(force, (bad,), {"hourly": seen(HOURLY)}, NOON)
    assert (view.name, view.status, view.request, view.rejection) == (
        "hourly",
        "invalid",
        HOURLY,
        bad,
    )
    assert view.next_fire == NOON + HOUR


def test_a_document_that_was_never_good_is_shown_by_its_name_or_its_file() -> None:
    named, nameless = rejected("b.yaml", "x", "y"), rejected("a.yaml")
    found = views(InForce(requests={"hourly": HOURLY}, kept={}), (named, nameless), {}, NOON)
    assert [(view.name, view.file, view.status) for view in found] == [
        ("", "a.yaml", "invalid"),
        ("hourly", "hourly.yaml", "scheduled"),
        ("x", "b.yaml", "invalid"),
        ("y", "b.yaml", "invalid"),
    ]
    assert all(
        view.request is None and view.next_fire is None
        for view in found
        if view.status == "invalid"
    )


def test_a_document_whose_name_is_taken_is_shown_by_its_file() -> None:
    found = views(
        InForce(requests={"hourly": HOURLY}, kept={}), (rejected("new.yaml", "hourly"),), {}, NOON
    )
    assert [(view.name, view.file, view.status) for view in found] == [
        ("", "new.yaml", "invalid"),
        ("hourly", "hourly.yaml", "scheduled"),
    ]


def test_a_file_shows_its_documents_without_a_last_good_version() -> None:
    bad = rejected("hourly.yaml", "hourly", "new")
    force = InForce(requests={"hourly": HOURLY}, kept={"hourly": bad})
    assert [view.name for view in views(force, (bad,), {}, NOON)] == ["hourly", "new"]


# --- upcoming fires
# --------------------------------------------------------------------------------------


def test_upcoming_fires_are_unsettled_and_not_earlier_than_asked() -> None:
    state = settle(HOURLY, seen(HOURLY), NOON + HOUR).state
    assert first_fires(HOURLY, state, NOON, 2) == [NOON + 2 * HOUR, NOON + 3 * HOUR]
    assert first_fires(HOURLY, state, NOON + 5 * HOUR, 2) == [NOON + 5 * HOUR, NOON + 6 * HOUR]
    assert first_fires(HOURLY, state, NOON + 5 * HOUR + TICK, 1) == [NOON + 6 * HOUR]


def test_a_one_time_request_has_one_coming_fire_and_then_none() -> None:
    assert first_fires(TOMORROW, seen(TOMORROW), NOON, 5) == [NOON + DAY]
    assert first_fires(TOMORROW, seen(TOMORROW), NOON + DAY + TICK, 5) == []
    assert first_fires(TOMORROW, settle(TOMORROW, seen(TOMORROW), NOON + DAY).state, NOON, 5) == []


@pytest.mark.parametrize(
    "status", [status for status in RequestStatus if status is not RequestStatus.SCHEDULED]
)
def test_an_unscheduled_request_has_no_upcoming_fires(status: RequestStatus) -> None:
    assert list(coming_fires(HOURLY, replace(seen(HOURLY), status=status), NOON)) == []


def test_a_definition_has_no_coming_fires() -> None:
    assert first_fires(PLAIN, replace(seen(PLAIN), status=RequestStatus.SCHEDULED), NOON, 1) == []


def test_upcoming_fires_follow_repetitions_counted_from_a_reschedule() -> None:
    request = request_of(
        schedule_of(frequency="hourly", start="2026-03-01 00:00", repetitions=1), "counted"
    )
    state = reschedule(request, seen(request), NOON, by="ann").state
    assert list(coming_fires(request, state, NOON)) == [NOON + HOUR, NOON + 2 * HOUR]


def test_fires_of_all_requests_come_by_time_and_then_by_name() -> None:
    half = request_of(schedule_of(frequency="minutely", interval=30), "half-hourly")
    requests = {request.name: request for request in (TOMORROW, HOURLY, half, AT_ONCE, PLAIN)}
    coming = list(islice(merged(requests, {}, after=NOON, now=NOON), 5))
    assert coming == [
        ComingFire(scheduled_for=NOON, request="at-once"),
        ComingFire(scheduled_for=NOON + 30 * MINUTE, request="half-hourly"),
        ComingFire(scheduled_for=NOON + HOUR, request="half-hourly"),
        ComingFire(scheduled_for=NOON + HOUR, request="hourly"),
        ComingFire(scheduled_for=NOON + 90 * MINUTE, request="half-hourly"),
    ]


def fires_from(
    request: ProcessRequest, state: RequestState | None, begin: datetime
) -> list[datetime]:
    states = {} if state is None else {request.name: state}
    found = merged({request.name: request}, states, after=begin, now=NOON + 10 * HOUR)
    return [fire.scheduled_for for fire in islice(found, 12)]


def test_a_schedule_fires_from_an_instant_of_the_past_on_as_its_file_has_it() -> None:
    state = settle(HOURLY, seen(HOURLY), NOON + 10 * HOUR).state
    for known in (None, state):
        assert fires_from(HOURLY, known, NOON - 3 * HOUR) == [
            NOON + hour * HOUR for hour in range(-3, 9)
        ]
    assert fires_from(HOURLY, state, NOON + 10 * HOUR)[0] == NOON + 11 * HOUR, (
        "nothing that is settled from now on"
    )
    over = request_of(schedule_of(frequency="hourly", finish="2026-03-01 13:00"), "over")
    assert fires_from(over, None, NOON) == [NOON, NOON + HOUR]
    assert fires_from(replace(HOURLY, scheduled=False), None, NOON) == []


def test_past_repetitions_are_counted_as_the_state_says() -> None:
    request = request_of(
        schedule_of(frequency="hourly", start="2026-03-01 10:00", repetitions=1), "counted"
    )
    assert fires_from(request, None, NOON - DAY) == [NOON - 2 * HOUR, NOON - HOUR]
    state = reschedule(request, seen(request), NOON, by="ann").state
    assert fires_from(request, state, NOON - DAY) == [NOON + HOUR, NOON + 2 * HOUR]


def test_a_past_run_later_is_listed_by_its_start_and_a_run_immediately_is_not() -> None:
    request = request_of(RunLater(start=NOON + HOUR, zone="UTC"), "later")
    done = settle(request, seen(request), NOON + HOUR).state
    for state in (None, done):
        assert fires_from(request, state, NOON + HOUR) == [NOON + HOUR]
        assert fires_from(request, state, NOON + HOUR + TICK) == []
    again = reschedule(request, done, NOON + 2 * HOUR, by="ann").state
    assert fires_from(request, again, NOON) == [NOON + HOUR, NOON + 2 * HOUR]
    assert fires_from(AT_ONCE, seen(AT_ONCE), NOON - DAY) == []
    assert fires_from(AT_ONCE, None, NOON - DAY) == [NOON + 10 * HOUR]


def test_upcoming_fires_are_those_that_a_runner_claims_later() -> None:
    """`next` predicts exactly the fires that the runner later claims."""
    edited = request_of(schedule_of(frequency="minutely", interval=25), "hourly")
    now, old = NOON + MINUTE, seen(HOURLY)
    predicted = [
        fire.scheduled_for
        for fire in islice(merged({"hourly": edited}, {"hourly": old}, after=now, now=now), 9)
    ]
    state = register(edited, old, now).state
    claims: list[datetime] = []
    for fire in predicted:
        settlement = settle(edited, state, fire)
        state, claims = settlement.state, [*claims, *settlement.claims]
    assert claims == predicted


def test_a_request_with_verdicts_ahead_says_how_long_it_fires_only_on_time() -> None:
    state = settle(HOURLY, seen(HOURLY), NOON + 5 * HOUR).state
    moved = stepped_back(HOURLY, state, NOON + MINUTE)
    force = InForce(requests={"hourly": HOURLY}, kept={})
    shown = {
        now: views(force, (), {"hourly": moved}, now)[0].reopened_until
        for now in (NOON + MINUTE, NOON + 5 * HOUR)
    }
    assert shown == {NOON + MINUTE: NOON + 5 * HOUR, NOON + 5 * HOUR: None}
