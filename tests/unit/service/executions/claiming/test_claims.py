"""Which claims start, wait, are skipped or replaced."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from support.executions_world import DIRECT, FIRE, ExecutionsWorld, group_of, request, world
from support.planning_world import request_of, seen

from runner.lifecycle import Channel, OnOverlap, Reason, RequestStatus
from runner.planning.fires.claims_ahead import AHEAD
from runner.requests.model import ProcessRequest, Reference, Retry
from runner.service.executions.execution import execution_of, row_of
from runner.service.executions.in_progress import InProgress
from runner.store.rows import Phase

TICK = timedelta(microseconds=1)


def guarded(name: str, on_overlap: OnOverlap = OnOverlap.REFUSE, **changes: Any) -> ProcessRequest:
    return request(name, prevent_concurrent=True, on_overlap=on_overlap, **changes)


def test_a_claim_starts_after_the_commit_and_not_before() -> None:
    place = world(request("a"))
    with place.decision() as claims:
        execution, outcome = claims.claim(
            place.requests["a"], place.requests, place.now, DIRECT, git="abc"
        )
        assert outcome is None
        assert list(place.in_progress) == []
    assert list(place.in_progress.starting) == [execution.id]
    claim = place.running("a").claim
    assert (claim.channel, claim.requested_by, claim.git_commit) == (
        Channel.DIRECT,
        "maria",
        "abc",
    )


def test_a_claim_ahead_takes_its_guard_and_its_place_and_starts_at_its_time() -> None:
    place = world(guarded("a"), request("b"), max_running=1)
    (held,) = place.claim_ahead("a")
    assert place.in_progress.claimed_ahead.next_s() == AHEAD.total_seconds()
    assert place.in_progress.occupied == 1
    place.claim("a", "b")
    assert place.finished() == [("a", "skipped", "concurrent")]
    place.go_on(AHEAD - TICK)
    assert list(place.in_progress.starting) == []
    place.go_on(TICK)
    assert list(place.in_progress.starting) == [held.id]
    assert place.phases() == {"a": ["starting"], "b": ["queued"]}


def test_only_a_fire_that_would_start_at_once_is_claimed_ahead() -> None:
    place = world(
        guarded("busy"),
        request("group", group_of("free")),
        request("lost", Reference(request="nowhere")),
        request("free"),
        request("crowded"),
        max_running=2,
    )
    place.claim("busy")
    assert [each.name for each in place.claim_ahead(*place.requests)] == ["free"]
    assert place.finished() == []


def test_a_step_of_the_clock_does_not_move_the_start_of_a_claim_ahead() -> None:
    place = world(request("a"))
    (held,) = place.claim_ahead("a")
    at_s = place.in_progress.claimed_ahead.next_s()
    with place.decision() as claims:
        claims.shift_delayed(timedelta(hours=-1))
    assert place.in_progress.claimed_ahead.next_s() == at_s
    assert place.in_progress[held.id].due == held.due


def test_a_stop_ends_an_execution_that_waits_for_its_time_and_frees_its_guard() -> None:
    place = world(guarded("a"))
    (held,) = place.claim_ahead("a")
    with place.decision() as claims:
        claims.stop(held, Reason.KILLED_BY_USER, by="maria")
    assert place.finished() == [("a", "killed", "killed_by_user")]
    assert place.records[-1].fields["message"] == "killed by maria while it waited to start"
    place.go_on(AHEAD)
    assert not place.in_progress.starting
    place.claim("a")
    assert place.phases() == {"a": ["starting"]}


def test_unscheduling_ends_an_execution_that_waits_for_its_time_and_no_other() -> None:
    place = world(request("a"), request("b"))
    place.claim("a")
    place.claim_ahead("a", "b")
    unscheduled = replace(seen(request_of(None)), status=RequestStatus.UNSCHEDULED)
    with place.decision() as claims:
        claims.withdraw({"a": unscheduled})
    assert place.finished() == [("a", "skipped", "unscheduled")]
    assert place.phases() == {"a": ["starting"], "b": ["starting"]}


def test_what_stops_or_unschedules_a_fire_in_the_turn_of_its_claim_keeps_it_from_starting() -> None:
    unscheduled = replace(seen(request_of(None)), status=RequestStatus.UNSCHEDULED)
    place = world(request("killed"), request("unscheduled"), request("runs"))
    with place.decision() as claims:
        killed, *_ = (
            claims.claim(each, place.requests, place.now + AHEAD, FIRE, git=None)[0]
            for each in place.requests.values()
        )
        claims.stop(killed, Reason.KILLED_BY_USER, by="maria")
        claims.withdraw({"unscheduled": unscheduled})
    assert place.finished() == [
        ("killed", "killed", "killed_by_user"),
        ("unscheduled", "skipped", "unscheduled"),
    ]
    place.go_on(AHEAD)
    assert list(place.in_progress.starting) == [place.running("runs").id]


def test_a_newcomer_replaces_a_fire_in_the_turn_of_its_claim() -> None:
    place = world(guarded("a", OnOverlap.REPLACE))
    with place.decision() as claims:
        claims.claim(place.requests["a"], place.requests, place.now + AHEAD, FIRE, git=None)
        newcomer, _ = claims.claim(place.requests["a"], place.requests, place.now, DIRECT, git=None)
    assert place.finished() == [("a", "killed", "replaced")]
    place.go_on(AHEAD)
    assert list(place.in_progress.starting) == [newcomer.id]


def test_a_claim_by_a_person_is_not_retried_and_has_no_process_on_failure() -> None:
    place = world(
        request("a", retry=Retry(attempts=3), on_failure="b", on_success="b"), request("b")
    )
    place.claim("a", ask=DIRECT)
    place.end("a", exit_code=1)
    assert place.phases() == {}


def test_an_unguarded_request_runs_twice_at_a_time() -> None:
    place = world(request("a"))
    place.claim("a", "a")
    assert place.phases() == {"a": ["starting", "starting"]}


def test_a_held_guard_refuses_a_second_claim() -> None:
    place = world(guarded("a"))
    place.claim("a", "a")
    assert place.phases() == {"a": ["starting"]}
    assert place.finished() == [("a", "skipped", "concurrent")]


def test_a_guard_queues_one_claim_and_refuses_the_next() -> None:
    place = world(guarded("a", OnOverlap.QUEUE))
    place.claim("a")
    place.claim("a", "a")
    assert place.phases() == {"a": ["starting", "waiting"]}
    assert place.finished() == [("a", "skipped", "concurrent")]
    place.end("a")
    place.turn()
    assert place.phases() == {"a": ["starting"]}


def test_a_newcomer_replaces_the_holder_and_the_queued_one() -> None:
    place = world(guarded("a", OnOverlap.REPLACE))
    (first,) = place.claim("a")
    with place.decision() as claims:
        ask = DIRECT
        claims.claim(place.requests["a"], place.requests, place.now, ask, git=None)
        claims.claim(place.requests["a"], place.requests, place.now, ask, git=None)
        assert claims.stops == {first.id: Reason.REPLACED}
    assert place.phases() == {"a": ["starting", "waiting"]}
    assert place.finished() == [("a", "killed", "replaced")]
    assert place.running("a").stopped_for is Reason.REPLACED


def test_newcomers_wait_while_others_use_up_max_running() -> None:
    place = world(request("a"), request("b"), request("c"), max_running=2)
    place.claim("a", "b", "c")
    assert place.phases() == {"a": ["starting"], "b": ["starting"], "c": ["queued"]}
    place.end("a")
    place.turn()
    assert place.phases() == {"b": ["starting"], "c": ["starting"]}


def test_an_execution_that_waits_for_max_running_goes_before_a_newcomer() -> None:
    place = world(request("a"), request("b"), request("c"), max_running=1)
    place.claim("a", "b")
    place.in_progress.leave(place.running("a").id)
    place.claim("c")
    assert place.phases() == {"b": ["starting"], "c": ["queued"]}


def test_a_waiting_execution_whose_guard_is_held_does_not_block_those_behind_it() -> None:
    place = world(guarded("a", OnOverlap.QUEUE), request("b"), request("c"), max_running=2)
    place.claim("a", "b")
    place.claim("a", "c")
    assert place.phases() == {
        "a": ["starting", "waiting"],
        "b": ["starting"],
        "c": ["queued"],
    }
    place.end("b")
    place.turn()
    assert place.phases() == {"a": ["starting", "waiting"], "c": ["starting"]}


def test_nothing_starts_while_the_runner_closes() -> None:
    place = world(request("a"))
    with place.decision(is_closing=True) as claims:
        claims.claim(place.requests["a"], place.requests, place.now, DIRECT, git=None)
    assert place.phases() == {"a": ["queued"]}
    assert not place.in_progress.starting


def test_a_delayed_attempt_is_queued_once_only_a_free_place_is_missing() -> None:
    retry = Retry(attempts=2, delay=timedelta(minutes=5))
    place = world(request("a", retry=retry), request("b"), max_running=1)
    place.claim("a")
    place.end("a", exit_code=1)
    place.turn()
    place.claim("b")
    assert place.phases() == {"a": ["waiting"], "b": ["starting"]}
    place.go_on(timedelta(minutes=5))
    assert place.phases() == {"a": ["queued"], "b": ["starting"]}
    (row,) = place.batch.executions.values()
    assert (row.phase, row.attempt) == (Phase.QUEUED, 2)
    place.turn()
    assert not place.batch.executions, "the row is written once"
    place.end("b")
    place.turn()
    assert place.phases() == {"a": ["starting"]}


def test_a_program_that_serves_one_command_leaves_inherited_executions_waiting() -> None:
    place = world(request("a", retry=Retry(attempts=2)))
    former = world(*place.requests.values())
    with former.decision(is_closing=True) as claims:
        claims.claim(former.requests["a"], former.requests, former.now, DIRECT, git=None)
    for row in former.batch.executions.values():
        place.in_progress.put(execution_of(row, place.settings.outputs))
    with place.decision(starts_inherited=False) as claims:
        claims.release_waiting()
    assert place.phases() == {"a": ["queued"]}
    place.turn()
    assert place.phases() == {"a": ["starting"]}


def test_follow_ups_of_an_inherited_execution_are_inherited() -> None:
    place = world(request("a", retry=Retry(attempts=2, delay=timedelta())))
    (claimed,) = place.claim("a")
    place.in_progress.leave(claimed.id)
    place.in_progress.put(execution_of(row_of(claimed), place.settings.outputs))
    place.end("a", exit_code=1)
    (again,) = place.in_progress
    assert (again.claim.attempt, again.is_inherited) == (2, True)


def test_a_stop_ends_a_waiting_execution_at_once_and_records_who_asked() -> None:
    place = world(request("a"), max_running=0)
    (waiting,) = place.claim("a")
    with place.decision() as claims:
        claims.stop(waiting, Reason.KILLED_BY_USER, by="maria")
    assert place.phases() == {}
    assert place.finished() == [("a", "killed", "killed_by_user")]
    assert place.batch.ended == [waiting.id]
    assert place.batch.executions == {}


def test_a_stop_keeps_its_first_reason_in_the_row() -> None:
    place = world(request("a"))
    (execution,) = place.claim("a")
    for reason in (Reason.KILLED_BY_USER, Reason.REPLACED):
        with place.decision() as claims:
            claims.stop(execution, reason, by=None)
        assert claims.stops == {execution.id: reason}
    row = place.batch.executions[execution.id]
    assert row.stopped_for == Reason.KILLED_BY_USER


def test_a_group_is_stopped_together_with_its_member() -> None:
    place = world(request("g", group_of("a", "b")), request("a"), request("b"))
    (group,) = place.claim("g")
    member = place.running("g › a")
    with place.decision() as claims:
        claims.stop(group, Reason.KILLED_BY_USER, by="maria")
    assert claims.stops == dict.fromkeys((group.id, member.id), Reason.KILLED_BY_USER)


def test_a_step_of_the_clock_shifts_the_start_of_a_delayed_attempt() -> None:
    place = world(request("a", retry=Retry(attempts=2, delay=timedelta(minutes=5))))
    place.claim("a")
    place.end("a", exit_code=1)
    back = timedelta(hours=-1)
    place.now += back
    with place.decision() as claims:
        claims.shift_delayed(back)
    place.go_on(timedelta(minutes=4))
    assert place.phases() == {"a": ["waiting"]}
    place.go_on(timedelta(minutes=1))
    assert place.phases() == {"a": ["starting"]}


NAMES = ("free", "refuse", "queue", "replace", "retried", "group")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("claim"), st.sampled_from(NAMES)),
        st.tuples(st.just("ahead"), st.sampled_from(NAMES)),
        st.tuples(st.just("end"), st.integers(0, 5)),
        st.tuples(st.just("fail"), st.integers(0, 5)),
        st.tuples(st.just("kill"), st.integers(0, 5)),
    ),
    max_size=25,
)


def law_world(max_running: int | None) -> ExecutionsWorld:
    return world(
        request("free"),
        guarded("refuse"),
        guarded("queue", OnOverlap.QUEUE),
        guarded("replace", OnOverlap.REPLACE),
        guarded("retried", OnOverlap.QUEUE, retry=Retry(attempts=3, delay=timedelta())),
        request("group", group_of("free", "queue", "retried"), prevent_concurrent=True),
        max_running=max_running,
    )


@settings(max_examples=60, deadline=None)
@given(STEPS, st.sampled_from([None, 1, 3]))
def test_after_any_claims_stops_and_ends_the_limits_hold_and_no_execution_is_lost(
    steps: list[tuple[str, object]], max_running: int | None
) -> None:
    place, claimed = law_world(max_running), 0
    for step, what in steps:
        if step == "claim":
            claimed += len(place.claim(str(what)))
        elif step == "ahead":
            claimed += len(place.claim_ahead(str(what)))
        else:
            take_step(place, step, int(str(what)))
        check_limits(place, max_running)
        check_that_a_restart_restores_guards(place)
    recorded = [
        fields["execution"]
        for event, fields in place.records
        if event == "execution.finished" and fields["channel"] == "process_scheduler"
    ]
    known = [*place.exited, *place.in_progress]
    fired = [each.id for each in known if each.claim.channel is Channel.PROCESS_SCHEDULER]
    verdicts = Counter([*recorded, *fired])
    assert (len(verdicts), set(verdicts.values())) == (claimed, {1} if claimed else set())


def take_step(place: ExecutionsWorld, step: str, number: int) -> None:
    processes = [
        each for each in place.in_progress if not each.phase.is_before_start and not each.is_group
    ]
    if not processes:
        place.turn()
        return
    execution = processes[number % len(processes)]
    if step == "kill":
        with place.decision() as claims:
            claims.stop(execution, Reason.KILLED_BY_USER, by="maria")
    else:
        place.end_execution(execution, exit_code=int(step == "fail"))


def check_limits(place: ExecutionsWorld, max_running: int | None) -> None:
    begun = [each for each in place.in_progress if not each.phase.is_before_start]
    processes = [each for each in begun if not each.is_group]
    assert place.in_progress.occupied == len(processes)
    assert max_running is None or len(processes) <= max_running
    holders = Counter(each.guard for each in begun if each.guard is not None)
    assert set(holders.values()) <= {1}, "two executions run under one guard"


def check_that_a_restart_restores_guards(place: ExecutionsWorld) -> None:
    restored = InProgress()
    for row in map(row_of, place.in_progress):
        restored.put(execution_of(row, place.settings.outputs))
    for execution in place.in_progress:
        if not execution.phase.is_before_start and execution.guard is not None:
            assert restored.holder(execution.guard) == execution
