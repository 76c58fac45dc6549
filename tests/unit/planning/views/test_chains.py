"""Which requests run which, and the chains through a request."""

from __future__ import annotations

from dataclasses import replace

from support.executions_world import group_of, request

from runner.planning.views.chains import NO_CHAINS, Chains, Touched
from runner.requests.model import ProcessRequest, Reference


def chains(*requests: ProcessRequest) -> Chains:
    return Chains({each.name: each for each in requests})


STORY = chains(
    request("close", group_of("extract", "load"), on_failure="page"),
    request("extract"),
    request("load"),
    request("again", Reference(request="extract")),
    request("open", on_success="close"),
    request("page", on_failure="call"),
    request("call"),
    request("alone"),
)


def test_a_request_is_run_by_members_references_and_follow_ups() -> None:
    assert STORY.running("extract") == ["close (member)", "again (its process)"]
    assert STORY.running("close") == ["open (on_success)"]
    assert STORY.running("page") == ["close (on_failure)"]
    assert STORY.running("alone") == []


def test_chains_go_from_their_first_request_to_their_last() -> None:
    assert STORY.through("page") == Touched(
        count=1, shown=("open → close (on_success) → page (on_failure) → call (on_failure)",)
    )
    assert STORY.through("extract").shown == (
        "again → extract (its process)",
        "open → close (on_success) → extract (member)",
    )
    assert STORY.through("open").count == 3
    assert STORY.through("alone") == NO_CHAINS


def test_a_former_name_is_no_link() -> None:
    assert chains(replace(request("new"), formerly="old")).through("new") == NO_CHAINS


def test_many_chains_are_counted_and_a_few_are_shown() -> None:
    many = [request(f"r-{number}", on_failure="page") for number in range(1000)]
    touched = chains(*many, request("page", on_success="log")).through("page")
    assert touched.count == 1000
    assert touched.shown[0] == "r-0 → page (on_failure) → log (on_success)"
    assert len(touched.shown) == 5


def test_a_cycle_of_a_last_good_version_ends() -> None:
    looped = chains(request("a", on_success="b"), request("b", on_success="a"))
    assert looped.through("a") == NO_CHAINS
    assert looped.running("a") == ["b (on_success)"]
