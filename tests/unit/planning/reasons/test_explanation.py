"""Why a request did, or did not, run at an instant."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.planning_world import request_of

from runner.lifecycle import ExecutionStatus
from runner.planning.fires.firing import delay_of
from runner.planning.reasons.explanation import of_expression, why
from runner.planning.reasons.fire_query import FireQuery
from runner.planning.reasons.history import Downtime, History, PastChange, PastMiss, Run, StepBack
from runner.planning.reasons.why_no_fire import Explanation, fire_at, last_fire, rule_hinders
from runner.planning.states.state import RequestState
from runner.planning.transitions.presses import reschedule, unschedule
from runner.planning.transitions.registration import register, remove
from runner.requests.model import ProcessRequest, RunImmediately, RunLater, Schedule, Timing
from runner.timing.calendars import Dates
from runner.timing.parsing import parse_rule
from runner.timing.rules import Rule
from runner.timing.upcoming import next_fire

ZONE = "Europe/Madrid"
NOW = datetime(2026, 12, 30, 12, tzinfo=UTC)
FIRST_SEEN = datetime(2026, 12, 1, 12, tzinfo=UTC)
EVE = datetime(2026, 12, 24, 17, tzinfo=UTC)  # 18:00 in Madrid, a Thursday
HOUR, HALF_DAY, DAY = timedelta(hours=1), timedelta(hours=12), timedelta(days=1)


def rule_of(excepted: Any = (), **data: Any) -> Rule:
    return parse_rule(data, default_zone=ZONE, excepted=Dates(days=frozenset(excepted)))


def daily(excepted: Any = (), **data: Any) -> ProcessRequest:
    return request_of(
        Schedule(rule=rule_of(excepted, frequency="daily", **{"at": "18:00", **data}))
    )


def seen(
    request: ProcessRequest, at: datetime = FIRST_SEEN, through: datetime = NOW
) -> RequestState:
    """Return the state of a request registered then, with all fires settled."""
    return replace(register(request, None, at).state, fired_through=through)


def asked(
    request: ProcessRequest,
    at: datetime = EVE,
    *,
    state: RequestState | None = None,
    history: History | None = None,
    now: datetime = NOW,
) -> Explanation:
    known = seen(request) if state is None else state
    return why(
        FireQuery(
            request=request, state=known, at=at, now=now, history=history or History(), zone=ZONE
        )
    )


def causes(explanation: Explanation) -> list[str]:
    return [because.cause for because in explanation.because]


def words(explanation: Explanation) -> str:
    return "; ".join(because.message for because in explanation.because)


def run(status: str = "success", **fields: Any) -> Run:
    known: dict[str, Any] = {
        "execution": "e1",
        "scheduled_for": EVE,
        "status": ExecutionStatus(status),
        "reason": None,
        "started": EVE + timedelta(milliseconds=3),
        "ended": EVE + timedelta(seconds=2, milliseconds=103),
        "lateness": timedelta(milliseconds=3),
    }
    return Run(**{**known, **fields})


# --- the rule
# --------------------------------------------------------------------------------------


def test_without_a_fire_the_nearest_ones_are_named() -> None:
    explanation = asked(daily(), EVE + HOUR)
    assert causes(explanation) == ["no_fire"]
    assert (explanation.before, explanation.after) == (EVE, EVE + DAY)


def test_a_fire_within_the_second_is_meant() -> None:
    rule = rule_of(frequency="daily", at="18:00:30")
    assert fire_at(rule, EVE) is None
    assert fire_at(rule, EVE + timedelta(seconds=30)) == EVE + timedelta(seconds=30)


@pytest.mark.parametrize(
    ("request_", "cause", "message"),
    [
        (daily(excepted=[date(2026, 12, 24)]), "excepted", "2026-12-24 is an excepted date"),
        (
            daily(start="2026-12-25"),
            "before_start",
            "its start is later: 2026-12-25 00:00:00+01:00",
        ),
        (
            daily(finish="2026-12-23"),
            "after_finish",
            "its finish is earlier: 2026-12-23 23:59:59+01:00",
        ),
        (
            daily(start="2026-12-20", repetitions=3),
            "repetitions_used_up",
            "its 3 repetitions are used up by then",
        ),
        (
            daily(start="2026-12-20", repetitions=1),
            "repetitions_used_up",
            "its one repetition is used up by then",
        ),
        (daily(days="weekends"), "no_fire", "its rule has no fire at that time"),
        (request_of(None), "no_timing", "it has no timing: it runs only on demand"),
    ],
)
def test_each_reason_why_a_rule_has_no_fire(
    request_: ProcessRequest, cause: str, message: str
) -> None:
    explanation = asked(request_)
    assert causes(explanation) == [cause]
    assert words(explanation) == message


def test_an_excepted_date_takes_precedence_over_finish_and_finish_over_repetitions() -> None:
    everything = daily(
        excepted=[date(2026, 12, 24)], start="2026-12-20", finish="2026-12-22", repetitions=1
    )
    assert causes(asked(everything)) == ["excepted"]


def test_the_fires_around_an_excepted_date_are_named() -> None:
    explanation = asked(daily(excepted=[date(2026, 12, 24)]))
    assert (explanation.before, explanation.after) == (EVE - DAY, EVE + DAY)


def test_repetitions_count_from_a_reschedule_in_between() -> None:
    request = daily(start="2026-12-01", repetitions=3)
    state = reschedule(request, seen(request), EVE - HOUR, by="maria").state
    state = replace(state, fired_through=NOW)
    assert causes(asked(request, EVE + 3 * DAY, state=state)) == ["unknown"], (
        "the rule has that fire"
    )
    used_up = asked(request, EVE + 4 * DAY, state=state)
    assert causes(used_up) == ["repetitions_used_up"]
    assert (used_up.before, used_up.after) == (EVE + 3 * DAY, None)


RESCHEDULED_AT = datetime(2026, 11, 22, 23, 52, tzinfo=UTC)  # 00:52 in Madrid
HOURLY = request_of(
    Schedule(rule=rule_of(frequency="hourly", start="2026-11-22 22:00", repetitions=3)),
)


@pytest.mark.parametrize(
    ("minutes", "before", "after"),
    [(248, 188, None), (98, 68, 128), (3, -52, 8)],
)
def test_the_fires_around_count_from_a_reschedule(
    minutes: int, before: int, after: int | None
) -> None:
    """All numbers are minutes from the reschedule. Before it, the former count applies."""
    first_seen = RESCHEDULED_AT - 3 * HOUR
    state = reschedule(
        HOURLY, seen(HOURLY, first_seen, RESCHEDULED_AT), RESCHEDULED_AT, by="maria"
    ).state
    at = RESCHEDULED_AT + timedelta(minutes=minutes)
    explanation = asked(HOURLY, at, state=state, now=RESCHEDULED_AT + timedelta(minutes=1))
    assert explanation.before == RESCHEDULED_AT + timedelta(minutes=before)
    assert explanation.after == (
        None if after is None else RESCHEDULED_AT + timedelta(minutes=after)
    )


def test_a_token_that_no_runner_has_seen_counts_for_future_fires() -> None:
    pressed = replace(HOURLY, reschedule="again")
    state = seen(HOURLY, RESCHEDULED_AT - 3 * HOUR, RESCHEDULED_AT)
    at = RESCHEDULED_AT + timedelta(hours=4, minutes=8)
    explanation = asked(pressed, at, state=state, now=RESCHEDULED_AT)
    assert causes(explanation) == ["repetitions_used_up"]
    assert explanation.before == at - HOUR


RULES = st.sampled_from(
    [
        rule_of(frequency="daily", at=["02:30", "18:00"]),
        rule_of(frequency="minutely", interval=7),
        rule_of(frequency="monthly", day=31, at="10:00"),
        rule_of(frequency="cron", expression="*/20 9-17 * * 1-5"),
        rule_of(
            [date(2026, 12, 24)],
            frequency="hourly",
            start="2026-12-20 00:00:30",
            finish="2026-12-26",
        ),
        rule_of(frequency="hourly", interval=5, start="2026-12-20", repetitions=10),
    ]
)
INSTANTS = st.integers(0, 14 * 86_400).map(
    lambda seconds: datetime(2026, 12, 18, tzinfo=UTC) + timedelta(seconds=seconds)
)


@given(RULES, INSTANTS, st.booleans())
@settings(max_examples=200)
def test_a_reason_is_given_exactly_where_a_rule_has_no_fire(
    rule: Rule, at: datetime, is_at_fire: bool
) -> None:
    if is_at_fire:
        at = next_fire(rule, at) or at
    fires = next_fire(rule, at - timedelta(seconds=1)) == at
    hindered = rule_hinders(rule, at, ZONE)
    assert (hindered is None) == fires
    if hindered is not None:
        assert hindered.after == next_fire(rule, at)
        before = hindered.before
        assert before == last_fire(rule, at)
        if before is not None:
            assert before < at
            assert next_fire(rule, before) == hindered.after, "no fire lies between"


def test_last_fire_finds_rare_ones_and_ends_where_there_is_none() -> None:
    assert last_fire(rule_of(frequency="cron", expression="0 0 29 2 *"), EVE) == datetime(
        2024, 2, 28, 23, tzinfo=UTC
    )
    assert last_fire(rule_of(frequency="daily", at="10:00", start="2027-01-01"), EVE) is None
    assert (
        last_fire(rule_of(frequency="cron", expression="0 0 29 2 3", timezone="UTC"), EVE)
        is not None
    )


def test_one_time_requests_say_when_they_run() -> None:
    later = request_of(RunLater(start=EVE + HOUR, zone=ZONE))
    explanation = asked(later)
    assert words(explanation) == "it runs once, at its start: 2026-12-24 19:00:00+01:00"
    assert (explanation.before, explanation.after) == (None, EVE + HOUR)
    at_once = asked(request_of(RunImmediately()))
    assert (
        words(at_once)
        == "it runs once, when it is first seen or scheduled: 2026-12-01 13:00:00+01:00"
    )
    assert (at_once.before, at_once.after) == (FIRST_SEEN, None)


@pytest.mark.parametrize("timing", [RunImmediately(), RunLater(start=FIRST_SEEN, zone=ZONE)])
def test_a_one_time_request_that_was_rescheduled_says_so(timing: Timing) -> None:
    request = request_of(timing)
    state = reschedule(request, seen(request), EVE - HOUR, by="maria").state
    explanation = asked(request, state=state)
    assert words(explanation).startswith(
        "it runs once, when it is rescheduled: 2026-12-24 17:00:00+01:00"
    )
    assert (explanation.before, explanation.after) == (EVE - HOUR, None)


@pytest.mark.parametrize("at", [FIRST_SEEN, EVE, NOW + DAY])
def test_an_unscheduled_run_immediately_does_not_say_that_it_ran(at: datetime) -> None:
    request = replace(request_of(RunImmediately()), scheduled=False)
    explanation = asked(request, at, state=register(request, None, FIRST_SEEN).state)
    assert causes(explanation) == ["unscheduled"]
    assert words(explanation) == "it does not run: its file says `scheduled: false`"
    assert (explanation.before, explanation.after) == (None, None)


def test_a_run_immediately_that_was_unscheduled_after_it_ran_says_when_it_ran() -> None:
    request = request_of(RunImmediately())
    state = unschedule(seen(request), EVE - DAY, by="maria").state
    assert asked(request, state=state).before == FIRST_SEEN


def test_a_run_immediately_that_was_scheduled_later_names_that_instant() -> None:
    request = request_of(RunImmediately())
    held = register(replace(request, scheduled=False), None, FIRST_SEEN).state
    explanation = asked(request, state=register(request, held, EVE - HOUR).state)
    assert (
        words(explanation)
        == "it runs once, when it is first seen or scheduled: 2026-12-24 17:00:00+01:00"
    )


# --- to come
# --------------------------------------------------------------------------------------


def test_a_future_fire_says_in_how_long() -> None:
    assert words(asked(daily(), now=EVE - 2 * HOUR)) == "it is due in 2h"


def test_spread_delays_a_future_fire() -> None:
    request = request_of(Schedule(rule=rule_of(frequency="daily", at="18:00"), spread=HOUR))
    delay = delay_of(request)
    assert delay > timedelta(minutes=1), "or it shows nothing"
    explanation = asked(request, now=EVE + timedelta(seconds=1))
    assert causes(explanation) == ["to_come"]
    assert "delayed by its spread to 2026-12-24 18:" in words(explanation)


def test_an_unscheduled_request_says_who_unscheduled_it() -> None:
    request = daily()
    state = unschedule(seen(request), EVE - DAY, by="maria").state
    explanation = asked(request, state=state, now=EVE - HOUR)
    assert causes(explanation) == ["unscheduled"]
    assert (
        words(explanation) == "it will not run: unscheduled by maria at 2026-12-23 18:00:00+01:00"
    )
    by_file = asked(replace(request, scheduled=False), now=EVE - HOUR)
    assert words(by_file) == "it will not run: its file says `scheduled: false`"


# --- the records
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "cause", "message"),
    [
        (run(), "ran", "it ran at 2026-12-24 18:00:00+01:00, 3ms late, took 00:00:02.100: success"),
        (run("error", message="exit code 3"), "ran", "took 00:00:02.100: error: exit code 3"),
        (
            run("processing", ended=None),
            "running",
            "it started at 2026-12-24 18:00:00+01:00, 3ms late; its end is not",
        ),
        (
            run("error", started=None, message="no such program"),
            "ran",
            "it did not start (error): no such program",
        ),
        (
            run("skipped", started=None, reason="concurrent"),
            "skipped",
            "because its process was still running",
        ),
        (
            run("skipped", started=None, reason="unscheduled", message="the group says so"),
            "skipped",
            "it was skipped: the group says so",
        ),
        (
            run("processing", started=None, is_waiting=True, is_queued=True),
            "waiting",
            "it waits for its turn: `max_running` executions are running",
        ),
        (
            run("processing", started=None, is_waiting=True),
            "waiting",
            "it waits for its start time, or until an earlier execution of its process ends",
        ),
    ],
)
def test_an_execution_is_explained_by_its_record(found: Run, cause: str, message: str) -> None:
    explanation = asked(daily(), history=History(runs=(found,)))
    assert causes(explanation) == [cause]
    assert message in words(explanation)
    assert explanation.runs == (found,)


def test_a_record_counts_even_if_the_rule_has_changed_since() -> None:
    assert causes(asked(daily(at="19:00"), history=History(runs=(run(),)))) == ["ran"]


def test_an_execution_by_a_person_does_not_explain_the_fire() -> None:
    explanation = asked(daily(at="19:00"), history=History(runs=(run(is_direct=True),)))
    assert causes(explanation) == ["no_fire", "ran"]
    assert "a person asked for it, and it ran" in words(explanation)


MISSED = PastMiss(count=5, first=EVE - 2 * DAY, last=EVE + 2 * DAY, settled=EVE + 3 * DAY)
DOWN = Downtime(since=EVE - 3 * DAY, until=EVE + 3 * DAY, is_orderly=True)


def test_a_miss_names_its_span_and_its_cause() -> None:
    explanation = asked(daily(), history=History(missed=(MISSED,), downtime=DOWN))
    assert causes(explanation) == ["missed", "runner_down"]
    assert "one of 5 fires from 2026-12-22 18:00:00+01:00 to 2026-12-26 18:00:00+01:00" in words(
        explanation
    )
    assert (
        "no runner was running since 2026-12-21 18:00:00+01:00; the next started at 2026-12-27"
        in words(explanation)
    )


def test_a_miss_that_ran_late_names_both() -> None:
    explanation = asked(daily(), history=History(runs=(run(),), missed=(MISSED,), downtime=DOWN))
    assert causes(explanation) == ["ran", "missed", "runner_down"]


def test_a_missed_span_says_nothing_of_instants_between_its_fires() -> None:
    assert causes(asked(daily(), EVE + HOUR, history=History(missed=(MISSED,)))) == ["no_fire"]


def test_a_miss_with_a_running_runner_names_possible_causes() -> None:
    assert causes(asked(daily(), history=History(missed=(replace(MISSED, count=1),)))) == [
        "missed",
        "unknown",
    ]


def test_what_a_backfill_left_out_is_no_miss_of_its_fires() -> None:
    left = replace(MISSED, is_of_backfill=True, message="5 fires were left out of a backfill")
    explanation = asked(daily(), history=History(runs=(run(),), missed=(left,)))
    assert causes(explanation) == ["ran", "skipped"]
    assert "a backfill ended early, as recorded at 2026-12-27" in words(explanation)
    unseen = asked(daily(), history=History(missed=(left,), downtime=DOWN))
    assert causes(unseen) == ["runner_down", "skipped"]


def test_a_run_later_that_was_registered_too_late() -> None:
    request = request_of(RunLater(start=EVE, zone=ZONE))
    late = seen(request, EVE + DAY)
    missed = PastMiss(count=1, first=EVE, last=EVE, settled=EVE + DAY)
    explanation = asked(request, state=late, history=History(missed=(missed,)))
    assert causes(explanation) == ["missed", "not_registered"]
    assert words(explanation).endswith("it was first seen later: 2026-12-25 18:00:00+01:00")


# --- no record
# --------------------------------------------------------------------------------------


def test_no_runner_has_seen_the_request() -> None:
    query = FireQuery(request=daily(), state=None, at=EVE, now=NOW, history=History(), zone=ZONE)
    assert causes(why(query)) == ["not_registered"]


def test_it_was_first_seen_later() -> None:
    request = daily()
    assert causes(asked(request, state=seen(request, EVE + HOUR))) == ["not_registered"]


def test_it_was_unscheduled_by_a_person_or_by_its_file() -> None:
    changes = (
        PastChange(at=FIRST_SEEN, word="scheduled", generation=1, by=None),
        PastChange(at=EVE - DAY, word="unscheduled", generation=1, by="maria"),
        PastChange(at=EVE + DAY, word="scheduled", generation=1, by="maria"),
    )
    explanation = asked(daily(), history=History(changes=changes))
    assert causes(explanation) == ["unscheduled"]
    assert words(explanation) == "it was unscheduled at 2026-12-23 18:00:00+01:00 by maria"
    by_file = (changes[0], replace(changes[1], by=None))
    assert words(asked(daily(), history=History(changes=by_file))).endswith(", as its file says")


def test_the_state_says_who_unscheduled_it_if_the_log_does_not() -> None:
    request = daily()
    state = replace(unschedule(seen(request), EVE - DAY, by="maria").state, fired_through=NOW)
    assert causes(asked(request, state=state)) == ["unscheduled"]
    later = replace(unschedule(seen(request), EVE + DAY, by="maria").state, fired_through=NOW)
    assert causes(asked(request, state=later)) == ["unknown"]


def test_its_file_had_been_removed() -> None:
    request = daily()
    state = replace(
        register(request, remove(seen(request), NOW).state, EVE + DAY).state, fired_through=NOW
    )
    changes = (PastChange(at=EVE - DAY, word="removed", generation=1, by=None),)
    assert causes(asked(request, state=state, history=History(changes=changes))) == ["removed"]


def test_it_was_complete_then() -> None:
    changes = (PastChange(at=EVE - DAY, word="completed", generation=1, by=None),)
    assert causes(asked(daily(), history=History(changes=changes))) == ["complete"]


def test_its_rule_has_changed_since() -> None:
    before, request = daily(at="19:00"), daily()
    state = replace(register(request, seen(before), EVE + DAY).state, fired_through=NOW)
    changes = (
        PastChange(at=FIRST_SEEN, word="scheduled", generation=1, by=None),
        PastChange(at=EVE + DAY, word="scheduled", generation=2, by=None),
    )
    explanation = asked(request, state=state, history=History(changes=changes))
    assert causes(explanation) == ["rule_changed"]
    assert "its rule changed, or it was planned again, at 2026-12-25 18:00:00+01:00" in words(
        explanation
    )
    hour_later = asked(request, EVE + HOUR, state=state, history=History(changes=changes))
    assert causes(hour_later) == ["no_fire", "rule_changed"]


def test_it_was_rescheduled_since() -> None:
    request = daily()
    state = replace(
        reschedule(request, seen(request), EVE + DAY, by="maria").state, fired_through=NOW
    )
    changes = (
        PastChange(at=FIRST_SEEN, word="scheduled", generation=1, by=None),
        PastChange(at=EVE + DAY, word="rescheduled", generation=2, by="maria"),
    )
    assert "rescheduled at 2026-12-25 18:00:00+01:00 by maria" in words(
        asked(request, state=state, history=History(changes=changes))
    )


def test_a_changed_file_is_not_live_yet() -> None:
    assert causes(asked(daily(), state=seen(daily(at="19:00")))) == ["rule_changed"]


def test_no_runner_was_running_and_none_has_started() -> None:
    explanation = asked(
        daily(),
        state=seen(daily(), through=EVE - DAY),
        history=History(downtime=Downtime(since=EVE - HOUR, until=None, is_orderly=False)),
    )
    assert causes(explanation) == ["runner_down"]
    assert words(explanation) == (
        "no runner was running; a runner was last seen at 2026-12-24 17:00:00+01:00; "
        "none has started since"
    )


def test_a_due_fire_without_a_verdict_gets_one_in_a_moment() -> None:
    assert causes(asked(daily(), state=seen(daily(), through=EVE - DAY), now=EVE)) == ["to_come"]


def test_a_log_that_does_not_reach_back_says_so() -> None:
    explanation = asked(daily(), history=History(reaches_back_to=EVE + DAY))
    assert words(explanation) == "the monitor log reaches back only to 2026-12-25 18:00:00+01:00"
    assert words(asked(daily())) == "the monitor log is empty"
    assert (
        words(asked(daily(), history=History(reaches_back_to=EVE - DAY)))
        == "the monitor log has no record of it"
    )


# --- after the clock went back
# --------------------------------------------------------------------------------------

STEP = StepBack(at=EVE - HOUR, seconds=7200.0, begin=EVE - HOUR, end=EVE + HOUR)


def stepped(request: ProcessRequest, *, is_claimed: bool) -> RequestState:
    """Return the state after a clock two hours ahead, at six, went back to five."""
    state = seen(request, through=EVE - HALF_DAY)
    claimed = state.claimed.with_span(EVE, EVE) if is_claimed else state.claimed
    return replace(state, fired_through=EVE - HOUR, claimed=claimed, furthest_verdict=EVE)


def test_a_future_fire_that_ran_before_the_clock_went_back_does_not_run_again() -> None:
    state = stepped(daily(), is_claimed=True)
    explanation = asked(
        daily(), state=state, now=EVE - HOUR / 2, history=History(runs=(run(),), step=STEP)
    )
    assert causes(explanation) == ["claimed", "ran", "clock_went_back"]
    assert "the clock went back by 02:00:00.000 to 2026-12-24 17:00:00+01:00" in words(explanation)


def test_a_future_fire_that_was_recorded_as_missed_will_run() -> None:
    state = stepped(daily(), is_claimed=False)
    explanation = asked(
        daily(), state=state, now=EVE - HOUR / 2, history=History(missed=(MISSED,), step=STEP)
    )
    assert causes(explanation) == ["to_come", "missed", "clock_went_back"]


def test_a_claimed_fire_of_passing_time_will_run_again() -> None:
    hourly = request_of(Schedule(rule=rule_of(frequency="hourly")))
    state = stepped(hourly, is_claimed=True)
    assert (
        causes(asked(hourly, state=state, now=EVE - HOUR / 2, history=History(step=STEP)))[0]
        == "to_come"
    )


def test_a_run_after_the_clock_went_back_comes_before_the_miss_that_it_replaces() -> None:
    state = replace(stepped(daily(), is_claimed=True), fired_through=EVE)
    explanation = asked(
        daily(), state=state, history=History(runs=(run(),), missed=(MISSED,), step=STEP)
    )
    assert causes(explanation) == ["ran", "missed", "clock_went_back"]


def test_a_fire_with_a_verdict_that_passed_during_sleep_is_not_called_missed() -> None:
    state = replace(stepped(daily(), is_claimed=False), fired_through=EVE)
    explanation = asked(
        daily(), state=state, history=History(step=STEP, reaches_back_to=FIRST_SEEN)
    )
    assert causes(explanation) == ["clock_went_back", "clock_went_back"]
    assert "is not recorded as missed" in words(explanation)


# --- a timing alone
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("timing", "cause"),
    [
        (Schedule(rule=rule_of(frequency="daily", at="18:00")), "fires"),
        (Schedule(rule=rule_of(frequency="daily", at="19:00")), "no_fire"),
        (RunLater(start=EVE, zone=ZONE), "fires"),
        (RunLater(start=NOW, zone=ZONE), "no_fire"),
        (RunImmediately(), "fires"),
    ],
)
def test_a_timing_alone_is_explained_by_its_rule(timing: Timing, cause: str) -> None:
    assert causes(of_expression(timing, EVE, ZONE)) == [cause]
