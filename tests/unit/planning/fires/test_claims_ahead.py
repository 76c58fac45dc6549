"""Which fires are claimed ahead of their time, and which of them still start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from support.planning_world import NOON, request_of, seen

from runner.lifecycle import Misfire, RequestStatus
from runner.planning.fires.claims_ahead import AHEAD, claimable_at, may_still_start, verdict_at
from runner.planning.fires.firing import settle
from runner.planning.states.state import RequestState
from runner.planning.transitions.presses import reschedule, unschedule
from runner.planning.transitions.registration import register, remove, renamed_away
from runner.requests.model import ProcessRequest, Schedule
from runner.timing.parsing import parse_rule

TICK = timedelta(microseconds=1)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def every(minutes: int, **fields: Any) -> ProcessRequest:
    data = {"frequency": "minutely", "interval": minutes}
    rule = parse_rule(data, default_zone="UTC")
    return request_of(Schedule(rule=rule, **fields))


def all_of_them() -> ProcessRequest:
    return every(5, misfire=Misfire.FIRE_ALL)


def test_a_fire_is_claimed_at_most_a_few_milliseconds_ahead_and_counts_as_on_time() -> None:
    request = every(5, misfire_grace=timedelta())
    state, due = seen(request), NOON + 5 * MINUTE
    assert claimable_at(request, state) == due - AHEAD
    assert verdict_at(request, state, due - AHEAD - TICK) == due - AHEAD - TICK
    assert verdict_at(request, state, due - AHEAD) == due
    result = settle(request, state, due)
    assert (result.claims, result.miss) == ((due,), None)


def test_a_due_fire_runs_although_the_next_one_could_be_claimed_ahead() -> None:
    request, now = every(5, misfire_grace=HOUR), NOON + 10 * MINUTE - TICK
    state = seen(request)
    assert verdict_at(request, state, now) == now
    ran = settle(request, state, verdict_at(request, state, now))
    assert (ran.claims, ran.miss) == ((NOON + 5 * MINUTE,), None)
    following = settle(request, ran.state, verdict_at(request, ran.state, now))
    assert (following.claims, following.miss) == ((NOON + 10 * MINUTE,), None)


CHANGES: dict[str, tuple[Callable[[ProcessRequest, RequestState], RequestState], bool]] = {
    "kept": (lambda request, state: state, True),
    "complete": (lambda request, state: replace(state, status=RequestStatus.COMPLETE), True),
    "same rule": (
        lambda _, state: register(every(5, misfire=Misfire.FIRE_ALL), state, NOON).state,
        True,
    ),
    "renamed": (lambda request, state: renamed_away(state, "b", NOON), True),
    "new rule": (lambda request, state: register(every(7), state, NOON).state, False),
    "no timing": (lambda request, state: register(request_of(None), state, NOON).state, False),
    "rescheduled": (lambda request, state: reschedule(request, state, NOON, by="m").state, False),
    "unscheduled": (lambda request, state: unschedule(state, NOON, by="m").state, False),
    "removed": (lambda request, state: remove(state, NOON).state, False),
}


@pytest.mark.parametrize(("change", "may_start"), CHANGES.values(), ids=CHANGES)
def test_a_fire_claimed_ahead_starts_unless_it_was_unscheduled_or_planned_anew(
    change: Callable[[ProcessRequest, RequestState], RequestState], may_start: bool
) -> None:
    request = every(5)
    claimed = settle(request, seen(request), NOON + 5 * MINUTE).state
    changed = change(request, claimed)
    assert may_still_start(changed, claimed.generation) is may_start
