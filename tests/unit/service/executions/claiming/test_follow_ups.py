"""What follows the end of an execution: a retry, the next member, another request."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.executions_world import ExecutionsWorld, group_of, process, request, world

from runner.lifecycle import Channel, ExecutionStatus, IfInterrupted, OnOverlap, Reason
from runner.requests.model import Group, Retry
from runner.service.executions.outcomes import LOST, OUTLIVED, Outcome

MINUTE = timedelta(minutes=1)
KILLED = ExecutionStatus.KILLED
NOT_MET = Outcome(status=ExecutionStatus.SKIPPED, reason=Reason.CONDITION, message="no")
CONDITION_FAILED = Outcome(status=ExecutionStatus.ERROR, reason=Reason.CONDITION, message="oh")


def test_a_failed_attempt_is_followed_by_the_next_one_after_its_delay() -> None:
    place = world(request("a", retry=Retry(attempts=3, delay=MINUTE, backoff=2)))
    place.claim("a")
    for attempt, delay in ((2, MINUTE), (3, 2 * MINUTE)):
        place.end("a", exit_code=1)
        assert place.phases() == {"a": ["waiting"]}
        place.go_on(delay)
        claim = place.running("a").claim
        assert (claim.attempt, claim.channel) == (attempt, Channel.RETRY)
    place.end("a", exit_code=1)
    assert place.phases() == {}


def test_a_success_is_not_retried() -> None:
    place = world(request("a", retry=Retry(attempts=3)))
    place.claim("a")
    place.end("a")
    assert place.phases() == {}


def test_a_retry_keeps_the_guard_while_it_waits() -> None:
    place = world(
        request(
            "a",
            prevent_concurrent=True,
            on_overlap=OnOverlap.REFUSE,
            retry=Retry(attempts=2, delay=MINUTE),
        )
    )
    place.claim("a")
    place.end("a", exit_code=1)
    place.claim("a")
    assert place.phases() == {"a": ["waiting"]}
    assert place.finished() == [("a", "skipped", "concurrent")]


def test_on_failure_runs_and_gets_the_record() -> None:
    place = world(request("a", on_failure="b", on_success="c"), request("b"), request("c"))
    (failed,) = place.claim("a")
    place.end("a", exit_code=1)
    claim = place.running("b").claim
    assert (claim.requested_by, claim.channel) == ("on_failure of a", Channel.DIRECT)
    assert (claim.follows, claim.chain) == (failed.id, ("a",))
    assert claim.extra_variables.keys() == {"RUNNER_RECORD", "RUNNER_FAILED_RECORD"}
    place.end("b", exit_code=1)
    assert place.phases() == {}


def test_on_success_runs_and_gets_the_record() -> None:
    place = world(request("a", on_success="b", on_failure="c"), request("b"), request("c"))
    (done,) = place.claim("a")
    place.end("a")
    claim = place.running("b").claim
    assert (claim.requested_by, claim.follows) == ("on_success of a", done.id)
    assert claim.extra_variables.keys() == {"RUNNER_RECORD"}
    place.end("b")
    assert place.phases() == {}


def test_a_follow_up_has_follow_ups_of_its_own() -> None:
    place = world(
        request("a", on_success="b"),
        request("b", on_failure="c", on_success="a", retry=Retry(attempts=2)),
        request("c", on_success="d"),
        request("d"),
    )
    place.claim("a")
    place.end("a")
    place.end("b", exit_code=1)
    place.go_on(MINUTE)
    place.end("b", exit_code=1)
    place.end("c")
    assert place.running("d").claim.chain == ("a", "b", "c")


def test_a_chain_that_a_reload_closes_ends_with_a_failure() -> None:
    place = world(request("a", on_success="b"), request("b", on_success="a"))
    place.claim("a")
    place.end("a")
    place.end("b")
    assert place.phases() == {}
    assert place.finished() == [("a", "error", "spawn_failed")]
    (record,) = place.records[-1:]
    assert record.fields["message"] == "it would follow itself without end: a → b → a"


@pytest.mark.parametrize("reason", [Reason.KILLED_BY_USER, Reason.REPLACED, Reason.RUNNER_STOPPED])
def test_a_killed_execution_has_failed(reason: Reason) -> None:
    place = world(request("a", on_failure="b", on_success="c"), request("b"), request("c"))
    place.claim("a")
    place.end_as(place.running("a"), Outcome(status=KILLED, reason=reason, message=None))
    assert place.phases() == {"b": ["starting"]}


def test_on_failure_waits_for_the_last_attempt() -> None:
    place = world(request("a", retry=Retry(attempts=2, delay=MINUTE), on_failure="b"), request("b"))
    place.claim("a")
    place.end("a", exit_code=1)
    assert place.phases() == {"a": ["waiting"]}
    place.go_on(MINUTE)
    place.end("a", exit_code=1)
    assert place.phases() == {"b": ["starting"]}


def test_a_success_has_no_process_on_failure() -> None:
    place = world(request("a", on_failure="b"), request("b"))
    place.claim("a")
    place.end("a")
    assert place.phases() == {}


def test_a_missing_request_for_on_failure_is_recorded_as_a_failed_start() -> None:
    place = world(request("a", on_failure="gone"))
    place.claim("a")
    place.end("a", exit_code=1)
    assert place.finished() == [("gone", "error", "spawn_failed")]


def chain(*, stop_on_failure: bool = False) -> ExecutionsWorld:
    return world(
        request("g", group_of("a", "b", "c", stop_on_failure=stop_on_failure)),
        *(request(name) for name in "abc"),
    )


def test_members_run_one_after_another_and_the_group_succeeds() -> None:
    place = chain()
    (group,) = place.claim("g")
    for sequence, name in enumerate("abc", 1):
        member = place.running(f"g › {name}")
        assert (member.claim.group, member.claim.sequence) == (group.id, sequence)
        assert place.in_progress.member(group.id) == member
        place.end(f"g › {name}")
    assert place.phases() == {}
    assert place.finished() == [("g", "success", None)]


def test_a_group_continues_after_a_failed_member_and_is_an_error() -> None:
    place = chain()
    place.claim("g")
    place.end("g › a", exit_code=1)
    place.end("g › b")
    place.end("g › c")
    assert place.finished() == [("g", "error", "member_failed")]


def test_a_group_that_stops_on_failure_ends_with_its_first_failed_member() -> None:
    place = chain(stop_on_failure=True)
    place.claim("g")
    place.end("g › a", exit_code=1)
    assert place.phases() == {}
    assert place.finished() == [("g", "error", "member_failed")]


def test_a_stopped_group_ends_with_its_member() -> None:
    place = chain()
    (group,) = place.claim("g")
    with place.decision() as claims:
        claims.stop(group, Reason.KILLED_BY_USER, by="maria")
    place.end("g › a", exit_code=1)
    assert place.phases() == {}
    assert place.finished() == [("g", "killed", "killed_by_user")]


def test_a_member_of_a_stopped_group_is_not_retried() -> None:
    place = world(request("g", group_of("a")), request("a", retry=Retry(attempts=3)))
    (group,) = place.claim("g")
    with place.decision() as claims:
        claims.stop(group, Reason.KILLED_BY_USER, by="maria")
    place.end("g › a", exit_code=1)
    assert place.phases() == {}


def test_a_group_whose_members_end_is_unknown_ends_as_interrupted() -> None:
    place = chain()
    place.claim("g")
    place.end_as(place.running("g › a"), LOST)
    assert place.phases() == {}
    assert place.finished() == [("g", "system_restart", "runner_lost")]


def test_an_unscheduled_member_is_skipped_and_does_not_fail_its_group() -> None:
    skipped = process("x", scheduled=False)
    place = world(request("g", Group(members=(skipped, process("y")), stop_on_failure=True)))
    place.claim("g")
    place.end("g › y")
    assert place.finished() == [("x", "skipped", "unscheduled"), ("g", "success", None)]


@pytest.mark.parametrize(
    ("outcome", "ends"),
    [(NOT_MET, [("g", "success", None)]), (CONDITION_FAILED, [("g", "error", "member_failed")])],
    ids=["not met", "failed"],
)
def test_a_member_whose_condition_is_not_met_does_not_fail_its_group(
    outcome: Outcome, ends: list[tuple[str, str, str | None]]
) -> None:
    place = world(request("g", group_of("a")), request("a", retry=Retry(attempts=1)))
    place.claim("g")
    place.end_as(place.running("g › a"), outcome)
    assert place.finished() == ends


def test_a_condition_is_tried_again_only_if_it_failed() -> None:
    place = world(request("a", retry=Retry(attempts=2, delay=MINUTE)))
    place.claim("a")
    place.end_as(place.running("a"), CONDITION_FAILED)
    assert place.phases() == {"a": ["waiting"]}
    place.go_on(MINUTE)
    place.end_as(place.running("a"), NOT_MET)
    assert place.phases() == {}


def test_a_condition_that_is_not_met_is_neither_a_failure_nor_a_success() -> None:
    place = world(request("a", on_failure="b", on_success="b"), request("b"))
    place.claim("a")
    place.end_as(place.running("a"), NOT_MET)
    assert place.phases() == {}


def test_a_group_that_has_come_to_contain_itself_fails() -> None:
    place = world(request("g", group_of("a")), request("a"))
    place.requests["a"] = request("a", group_of("g"))
    place.claim("g")
    assert place.phases() == {}
    assert ("g", "error", "member_failed") in place.finished()


@pytest.mark.parametrize(
    ("outcome", "phases"), [(LOST, {"a": ["starting"]}), (OUTLIVED, {})], ids=["lost", "outlived"]
)
def test_an_interrupted_execution_runs_again_unless_it_may_have_completed(
    outcome: Outcome, phases: dict[str, list[str]]
) -> None:
    place = world(request("a", if_interrupted=IfInterrupted.RERUN))
    place.claim("a")
    place.end_as(place.running("a"), outcome)
    place.turn()
    assert place.phases() == phases
