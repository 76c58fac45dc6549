"""A backfill: which fires it has, and what the store keeps of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from support.planning_world import NOON, request_of, seen

from runner.planning.states.backfills import Backfill, past_fires
from runner.planning.states.state import state_from, state_text, watermark
from runner.planning.transitions.registration import renamed_away
from runner.requests.model import Schedule
from runner.timing.parsing import parse_rule
from runner.timing.upcoming import fires

HOUR = timedelta(hours=1)
HOURLY = parse_rule({"frequency": "hourly"}, default_zone="UTC")
REQUEST = request_of(Schedule(rule=HOURLY))
FIRES = tuple(NOON + hours * HOUR for hours in range(4))
BACKFILL = Backfill(by="maria", count=4, left=FIRES)


def past(begin: datetime, end: datetime, *settled: datetime) -> list[datetime]:
    return list(past_fires(HOURLY, begin, end, counted_from=None, settled=settled))


def test_both_ends_of_the_span_belong_to_it() -> None:
    assert past(NOON, NOON + 3 * HOUR) == list(FIRES)
    assert past(NOON + timedelta(seconds=1), NOON + 3 * HOUR - timedelta(seconds=1)) == list(
        FIRES[1:3]
    )


@given(st.sets(st.integers(0, 40)), st.integers(0, 40))
def test_settled_fires_are_left_out_and_the_others_ascend(done: set[int], hours: int) -> None:
    settled = [NOON + hour * HOUR for hour in done]
    wanted = [NOON + hour * HOUR for hour in range(hours + 1) if hour not in done]
    assert past(NOON, NOON + hours * HOUR, *settled) == wanted


def test_an_excepted_date_has_no_fire_to_run() -> None:
    rule = parse_rule({"frequency": "daily", "days": "workdays", "at": "02:00"}, default_zone="UTC")
    week = NOON + timedelta(days=7)  # NOON is a Sunday
    found = past_fires(rule, NOON, week, counted_from=None, settled=())
    assert [fire.isoweekday() for fire in found] == [1, 2, 3, 4, 5]


def test_fires_leave_the_front_one_by_one() -> None:
    left, ran = BACKFILL, []
    while left.left:
        left = left.next
        ran.append(left.running)
    assert tuple(ran) == FIRES
    assert left.count == BACKFILL.count


def test_the_store_keeps_a_backfill_as_it_was() -> None:
    for backfill in (None, BACKFILL, BACKFILL.next, replace(BACKFILL, left=())):
        state = replace(seen(REQUEST), backfill=backfill)
        text = state_text(state)
        assert ("backfill" in text) == (backfill is not None)
        assert (
            state_from(text, generation=state.generation, fired_through=watermark(state)) == state
        )


def test_a_backfill_goes_on_under_the_new_name_of_its_request() -> None:
    state = replace(seen(REQUEST), backfill=BACKFILL)
    assert renamed_away(state, "new", NOON).backfill is None


def test_a_fire_is_the_same_one_from_wherever_the_walk_begins() -> None:
    assert past(NOON, NOON + HOUR)[0] == next(fires(HOURLY, NOON - HOUR))
