"""States as text for the store, and the parts of a request that decide its fire times."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from functools import reduce
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.planning_world import NOON, request_of

from runner.lifecycle import Misfire, RequestStatus
from runner.planning.states.claimed_spans import NOTHING_CLAIMED
from runner.planning.states.state import RequestState, rule_of, state_from, state_text, watermark
from runner.requests.model import (
    Context,
    Process,
    ProcessRequest,
    Program,
    RunImmediately,
    RunLater,
    Schedule,
)
from runner.requests.policies import Retention
from runner.timing.parsing import parse_rule
from runner.values import EPOCH

instants = st.integers(-86_400 * 10**6, 253_402_000_000 * 10**6).map(
    lambda count: EPOCH + timedelta(microseconds=count)
)
texts = st.text(max_size=20)
claims = st.lists(instants, max_size=40).map(
    lambda found: reduce(lambda spans, each: spans.with_span(each, each), found, NOTHING_CLAIMED)
)
_spans = st.none() | st.integers(0, 10**15).map(lambda count: timedelta(microseconds=count))
_numbers = st.none() | st.integers(0, 10**15)
retentions = st.builds(
    Retention,
    keep_for=_spans,
    failures_keep_for=_spans,
    keep_count=_numbers,
    keep_size=_numbers,
)
states = st.builds(
    RequestState,
    retention=retentions,
    status=st.sampled_from(RequestStatus),
    generation=st.integers(1, 10**6),
    since=instants,
    fired_through=instants,
    rule=texts,
    counted_from=st.none() | instants,
    ran_immediately=st.booleans(),
    removed=st.booleans(),
    declared=st.booleans(),
    tokens=st.lists(texts, max_size=4).map(tuple),
    override=st.none() | st.booleans(),
    override_by=st.none() | texts,
    override_at=st.none() | instants,
    failures=st.integers(0, 100),
    claimed=claims,
    furthest_verdict=st.none() | instants,
)


def schedule_of(**data: Any) -> Schedule:
    return Schedule(rule=parse_rule(data, default_zone="Europe/Madrid"))


@given(states)
def test_a_state_is_read_as_it_was_written(state: RequestState) -> None:
    text = state_text(state)
    assert state_from(text, generation=state.generation, fired_through=watermark(state)) == state


@given(states)
def test_values_with_their_own_columns_are_not_in_the_text(state: RequestState) -> None:
    assert json.loads(state_text(state)).keys().isdisjoint({"generation", "fired_through"})


def test_the_text_of_an_ordinary_state_is_short() -> None:
    state = RequestState(
        status=RequestStatus.SCHEDULED,
        generation=1,
        since=NOON,
        fired_through=NOON,
        rule="interval 60",
    )
    assert json.loads(state_text(state)) == {
        "status": "scheduled",
        "since": "2026-03-01T12:00:00.000000Z",
        "rule": "interval 60",
    }


def test_the_watermark_is_exact_to_the_microsecond() -> None:
    state = RequestState(
        status=RequestStatus.SCHEDULED,
        generation=1,
        since=NOON,
        fired_through=NOON + timedelta(microseconds=1),
        rule="",
    )
    assert watermark(state) == 1_772_366_400_000_001


@pytest.mark.parametrize(
    ("declared", "override", "is_wanted"),
    [
        (True, None, True),
        (False, None, False),
        (True, False, False),
        (False, True, True),
    ],
)
def test_a_persons_override_takes_precedence_over_the_file(
    declared: bool, override: bool | None, is_wanted: bool
) -> None:
    state = RequestState(
        status=RequestStatus.SCHEDULED,
        generation=1,
        since=NOON,
        fired_through=NOON,
        rule="",
        declared=declared,
        override=override,
    )
    assert state.is_wanted is is_wanted


DAILY: dict[str, Any] = {"frequency": "daily", "at": "02:00"}


@pytest.mark.parametrize(
    "other",
    [
        request_of(replace(schedule_of(**DAILY), misfire=Misfire.FIRE_ALL)),
        request_of(replace(schedule_of(**DAILY), misfire_grace=timedelta(hours=1))),
        request_of(replace(schedule_of(**DAILY), spread=timedelta(minutes=5))),
        request_of(schedule_of(**DAILY, finish="2027-01-01")),
        request_of(
            schedule_of(**DAILY),
            description="other",
            owner="other",
            labels={"a": "b"},
            reschedule="7",
        ),
        request_of(schedule_of(**DAILY), context=Context(client="c"), scheduled=False),
        request_of(
            schedule_of(**DAILY),
            process=Process(name="q", action=Program(arguments=("false",)), directory="/tmp"),
        ),
    ],
)
def test_the_rule_is_without_finish_misfire_grace_spread_and_process(other: ProcessRequest) -> None:
    assert rule_of(other) == rule_of(request_of(schedule_of(**DAILY)))


def test_the_rules_of_different_timings_differ() -> None:
    later = RunLater(start=NOON, zone="UTC")
    timings = [
        None,
        RunImmediately(),
        later,
        replace(later, start=NOON + timedelta(seconds=1)),
        schedule_of(**DAILY),
    ]
    assert len({rule_of(request_of(timing)) for timing in timings}) == len(timings)


def test_a_run_laters_rule_is_its_instant_however_it_was_written() -> None:
    one = RunLater(start=NOON, zone="UTC")
    other = RunLater(
        start=NOON, zone="Europe/Madrid", misfire=Misfire.SKIP, misfire_grace=timedelta(days=1)
    )
    assert rule_of(request_of(one)) == rule_of(request_of(other))
