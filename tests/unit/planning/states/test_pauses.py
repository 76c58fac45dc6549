"""Pauses: what they hold, how they end, and the verdicts of the fires that they held."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import groupby, takewhile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.planning_world import NOON, request_of, seen

from runner.lifecycle import Misfire, RequestStatus
from runner.planning.coming_fires import coming_fires
from runner.planning.fires.claims_ahead import AHEAD, claimable_at
from runner.planning.fires.firing import (
    CATCH_UP_LIMIT,
    Miss,
    Settlement,
    delay_of,
    due_at,
    settle,
)
from runner.planning.states.pauses import (
    KEY,
    NO_PAUSES,
    Held,
    Pause,
    Pauses,
    begun,
    elapsed,
    pauses_in,
    renamed,
    resumed,
    stepped_back,
)
from runner.requests.model import ProcessRequest, RunImmediately, RunLater, Schedule
from runner.timing.parsing import parse_rule
from runner.timing.upcoming import fires

SECOND, MINUTE, HOUR, DAY = (
    timedelta(seconds=1),
    timedelta(minutes=1),
    timedelta(hours=1),
    timedelta(days=1),
)
TICK = timedelta(microseconds=1)


def every(minutes: int, misfire: Misfire = Misfire.SKIP, **fields: Any) -> ProcessRequest:
    rule = parse_rule({"frequency": "minutely", "interval": minutes}, default_zone="UTC")
    return request_of(Schedule(rule=rule, misfire=misfire, **fields))


def pause_of(*names: str, begin: datetime = NOON, end: datetime | None = None) -> Pause:
    only = frozenset(names) if names else None
    return Pause(begin=begin, end=end, reason="moving", by="maria", names=only)


def held(begin: timedelta, end: timedelta) -> Held:
    return Held(spans=((NOON + begin, NOON + end),))


A, B = request_of(None, "a"), request_of(None, "b")
ALL, OF_BOTH = Pauses(known=(pause_of(),)), Pauses(known=(pause_of("a", "b"),))


# --- which requests, and until when
# --------------------------------------------------------------------------------------


def test_the_store_keeps_a_pause_as_it_was() -> None:
    pauses = Pauses(known=(pause_of("a", end=NOON + HOUR), pause_of()))
    pauses, _ = resumed(pauses, [B], NOON + MINUTE)
    assert pauses_in({KEY: pauses.text()}) == pauses
    assert pauses_in({}) == NO_PAUSES


def test_a_pause_of_all_requests_holds_any_request_and_one_of_names_only_these() -> None:
    assert ALL.held(A).until == ALL.held(request_of(None, "new")).until > NOON + 3000 * DAY
    named = Pauses(known=(pause_of("a"),))
    assert (named.held(A).covers(NOON), named.held(B).covers(NOON)) == (True, False)


def test_a_renamed_request_keeps_its_pause() -> None:
    new = request_of(None, "new", formerly="a")
    assert OF_BOTH.held(new).covers(NOON)
    pauses = renamed(OF_BOTH, "a", "new")
    assert pauses.held(request_of(None, "new")).covers(NOON)
    assert renamed(ALL, "a", "new") == ALL
    without_a, _ = resumed(ALL, [A], NOON)
    later = request_of(None, "new")
    assert without_a.held(later).covers(NOON)
    assert not renamed(without_a, "a", "new").held(later).covers(NOON)


def test_a_pause_holds_from_its_begin_until_just_before_its_end() -> None:
    spans = Pauses(known=(pause_of(end=NOON + HOUR),)).held(A)
    instants = (NOON - TICK, NOON, NOON + HOUR - TICK, NOON + HOUR)
    assert [spans.covers(each) for each in instants] == [False, True, True, False]


def test_overlapping_pauses_are_one_span() -> None:
    pauses = Pauses(
        known=(
            pause_of(end=NOON + 2 * HOUR),
            pause_of("a", begin=NOON + HOUR, end=NOON + 3 * HOUR),
            pause_of(begin=NOON + 4 * HOUR, end=NOON + 5 * HOUR),
        )
    )
    assert pauses.held(A).spans == (
        (NOON, NOON + 3 * HOUR),
        (NOON + 4 * HOUR, NOON + 5 * HOUR),
    )


def test_a_resume_of_all_ends_every_pause() -> None:
    pauses, ended = resumed(Pauses(known=(pause_of(), pause_of("a"))), None, NOON + HOUR)
    assert [each.end for each in ended] == [NOON + HOUR] * 2
    assert pauses.active == ()
    assert pauses.held(A).until == NOON + HOUR


@pytest.mark.parametrize("pauses", [ALL, OF_BOTH])
def test_a_resume_of_one_request_leaves_the_others_paused(pauses: Pauses) -> None:
    pauses, ended = resumed(pauses, [A], NOON + HOUR)
    assert [each.names for each in ended] == [frozenset("a")]
    assert (pauses.held(A).until, pauses.held(B).covers(NOON + DAY)) == (NOON + HOUR, True)
    assert (pauses.at(NOON + HOUR, A), len(pauses.at(NOON + HOUR, B))) == ((), 1)
    again, nothing = resumed(pauses, [A], NOON + 2 * HOUR)
    assert (again, nothing) == (pauses, ())


def test_a_pause_is_over_once_all_of_its_requests_are_resumed() -> None:
    pauses, _ = resumed(OF_BOTH, [A], NOON + HOUR)
    pauses, (ended,) = resumed(pauses, [B], NOON + 2 * HOUR)
    assert (ended.names, pauses.active) == (frozenset("b"), ())
    assert (pauses.held(A).until, pauses.held(B).until) == (NOON + HOUR, NOON + 2 * HOUR)


def test_a_pause_with_an_end_is_over_at_that_time() -> None:
    pauses = Pauses(known=(pause_of(end=NOON + HOUR), pause_of("a")))
    assert pauses.next_end == NOON + HOUR
    assert elapsed(pauses, NOON + HOUR - TICK) == (pauses, ())
    pauses, (ended,) = elapsed(pauses, NOON + DAY)
    assert (ended.end, pauses.active, pauses.next_end) == (NOON + HOUR, (pause_of("a"),), None)
    assert elapsed(pauses, NOON + DAY) == (pauses, ())


def test_pauses_that_ended_long_ago_are_forgotten() -> None:
    pauses, _ = resumed(ALL, None, NOON + HOUR)
    assert len(begun(pauses, pause_of(begin=NOON + 29 * DAY)).known) == 2
    assert len(begun(pauses, pause_of(begin=NOON + 40 * DAY)).known) == 1
    assert len(begun(ALL, pause_of(begin=NOON + 400 * DAY)).known) == 2, "the first goes on"


def test_after_a_step_back_an_active_pause_goes_on_and_an_ended_one_does_not_return() -> None:
    for pauses in (ALL, Pauses(known=(pause_of(end=NOON + HOUR),))):
        assert stepped_back(pauses, NOON - DAY).held(A).covers(NOON - DAY)
        ended, _ = resumed(pauses, None, NOON + HOUR)
        back = stepped_back(ended, NOON + MINUTE)
        assert not back.held(A).covers(NOON + MINUTE)
        assert back.held(A).covers(NOON + MINUTE - TICK)


# --- verdicts
# --------------------------------------------------------------------------------------


def test_during_a_pause_no_fire_has_a_verdict() -> None:
    request = every(5)
    state = seen(request)
    for spans in (ALL.held(request), held(timedelta(), HOUR)):
        assert settle(request, state, NOON + 50 * MINUTE, held=spans) == Settlement(state=state)
    assert due_at(request, state, ALL.held(request)) is None
    assert due_at(request, state, held(timedelta(), HOUR)) == NOON + HOUR


def test_a_fire_that_was_due_before_the_pause_has_no_verdict_during_it_either() -> None:
    request = every(5)
    state = seen(request)
    spans = held(7 * MINUTE, HOUR)
    assert settle(request, state, NOON + 8 * MINUTE, held=spans) == Settlement(state=state)
    assert due_at(request, state, spans) == NOON + HOUR


def test_at_the_resume_the_held_fires_are_one_span_and_a_later_fire_runs() -> None:
    request = every(5)
    result = settle(request, seen(request), NOON + 15 * MINUTE, held=held(MINUTE, 14 * MINUTE))
    assert result.misses == (
        Miss(count=2, first=NOON + 5 * MINUTE, last=NOON + 10 * MINUTE, is_paused=True),
    )
    assert result.claims == (NOON + 15 * MINUTE,)


def test_a_held_fire_is_not_on_time_just_after_the_pause() -> None:
    request = every(5)
    result = settle(
        request,
        seen(request),
        NOON + 5 * MINUTE + 2 * SECOND,
        held=held(MINUTE, 5 * MINUTE + SECOND),
    )
    fire = NOON + 5 * MINUTE
    assert result.misses == (Miss(count=1, first=fire, last=fire, is_paused=True),)
    assert result.claims == ()


def test_misfire_says_which_held_fires_run_at_the_resume() -> None:
    spans, now = held(timedelta(), 17 * MINUTE), NOON + 17 * MINUTE
    once = every(5, Misfire.FIRE_ONCE)
    result = settle(once, seen(once), now, held=spans)
    assert result.claims == (NOON + 15 * MINUTE,)
    assert [each.count for each in result.misses] == [3]
    each = every(5, Misfire.FIRE_ALL)
    result = settle(each, seen(each), now, held=spans)
    assert result.claims == tuple(NOON + minute * MINUTE for minute in (5, 10, 15))
    assert result.misses == ()


def test_of_very_many_held_fires_fire_all_runs_the_latest_hundred() -> None:
    request = every(1, Misfire.FIRE_ALL)
    result = settle(request, seen(request), NOON + DAY, held=held(timedelta(), DAY - SECOND))
    # The fire at the end of the day is on time, beside the hundred.
    assert len(result.claims) == CATCH_UP_LIMIT + 1
    (paused,) = result.misses
    assert paused.is_paused
    assert paused.count + len(result.claims) == DAY // MINUTE


def test_fires_of_a_downtime_around_a_pause_are_missed() -> None:
    request = every(10)
    result = settle(request, seen(request), NOON + 59 * MINUTE, held=held(15 * MINUTE, 35 * MINUTE))
    fires = [NOON + minute * MINUTE for minute in (10, 20, 30, 40, 50)]
    assert result.misses == (
        Miss(count=1, first=fires[0], last=fires[0]),
        Miss(count=2, first=fires[1], last=fires[2], is_paused=True),
        Miss(count=2, first=fires[3], last=fires[4]),
    )


def test_a_one_time_request_waits_for_the_end_of_the_pause_and_is_then_on_time() -> None:
    spans = held(timedelta(), DAY)
    at_once = request_of(RunImmediately())
    later = request_of(RunLater(start=NOON + HOUR, zone="UTC", misfire=Misfire.SKIP))
    for request, fire in ((at_once, NOON), (later, NOON + HOUR)):
        state = seen(request)
        assert settle(request, state, NOON + 2 * HOUR, held=spans) == Settlement(state=state)
        result = settle(request, state, NOON + DAY + MINUTE, held=spans)
        assert (result.claims, result.misses) == ((fire,), ())
        assert result.state.status is RequestStatus.COMPLETE
    late = settle(later, seen(later), NOON + DAY + 2 * MINUTE, held=spans)
    assert late.miss == Miss(count=1, first=NOON + HOUR, last=NOON + HOUR), "no runner then"


def test_the_end_of_a_pause_is_no_fire_that_is_claimed_ahead() -> None:
    request = every(5)
    state = seen(request)
    assert claimable_at(request, state) == NOON + 5 * MINUTE - AHEAD
    assert claimable_at(request, state, held(MINUTE, HOUR - SECOND)) == NOON + HOUR - SECOND
    assert claimable_at(request, state, held(MINUTE, 2 * MINUTE)) == NOON + 5 * MINUTE - AHEAD


def test_upcoming_fires_are_those_after_the_pause() -> None:
    request = every(5)
    state = seen(request)
    assert list(coming_fires(request, state, NOON, ALL.held(request))) == []
    coming = coming_fires(request, state, NOON, held(timedelta(), HOUR))
    assert next(coming) == NOON + HOUR
    later = request_of(RunLater(start=NOON + HOUR, zone="UTC"))
    for now in (NOON, NOON + 2 * HOUR):
        assert list(coming_fires(later, seen(later), now, held(timedelta(), DAY))) == [NOON + HOUR]


@st.composite
def paused_spans(draw: st.DrawFn) -> Held:
    """Draw up to three spans in the first four hours after noon."""
    bounds = draw(st.sets(st.integers(0, 4 * 3600), min_size=0, max_size=6).map(sorted))
    pairs = zip(bounds[::2], bounds[1::2], strict=False)
    return Held(spans=tuple((NOON + a * SECOND, NOON + b * SECOND) for a, b in pairs))


@settings(max_examples=150)
@given(
    paused_spans(),
    st.integers(1, 20),
    st.sampled_from(Misfire),
    st.sampled_from([timedelta(), 7 * MINUTE]),
    st.integers(0, 6 * 3600),
)
def test_each_fire_is_held_if_it_falls_due_in_a_pause_and_missed_otherwise(
    spans: Held, minutes: int, misfire: Misfire, spread: timedelta, after_s: int
) -> None:
    request, now = every(minutes, misfire, spread=spread), NOON + after_s * SECOND
    timing, delay, state = request.timing, delay_of(request), seen(request)
    assert isinstance(timing, Schedule)
    result = settle(request, state, now, held=spans)
    due = list(takewhile(lambda fire: fire + delay <= now, fires(timing.rule, NOON)))
    if not due or now < spans.until:
        assert result == Settlement(state=state)
        return
    held_ones = [fire for fire in due if spans.covers(fire + delay)]
    is_on_time = now - due[-1] - delay <= timing.misfire_grace and due[-1] not in held_ones
    rest = due[:-1] if is_on_time else due
    caught_up = {
        Misfire.SKIP: [],
        Misfire.FIRE_ONCE: [] if is_on_time else rest[-1:],
        Misfire.FIRE_ALL: rest[-CATCH_UP_LIMIT:],
    }[misfire]
    assert list(result.claims) == caught_up + due[-1:] * is_on_time
    recorded = rest[:-CATCH_UP_LIMIT] if misfire is Misfire.FIRE_ALL else rest
    grouped = [
        (is_held, list(group)) for is_held, group in groupby(recorded, held_ones.__contains__)
    ]
    assert result.misses == tuple(
        Miss(count=len(group), first=group[0], last=group[-1], is_paused=is_held)
        for is_held, group in grouped
    )
