"""A member that would wait for a group around itself is refused; any other one waits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from support.executions_world import ExecutionsWorld, group_of, request, world

from runner.lifecycle import OnOverlap
from runner.requests.model import ProcessRequest
from runner.service.executions.claiming.deadlock import would_wait_for_itself

QUEUE: dict[str, Any] = {"prevent_concurrent": True, "on_overlap": OnOverlap.QUEUE}


def crossed() -> ExecutionsWorld:
    """Return two groups, each of which holds a guard that a member of the other needs."""
    return world(
        request("a", group_of("step", "b-guard"), **QUEUE),
        request("b", group_of("step", "a-guard"), **QUEUE),
        request("step"),
        # A guard is named after its process, so a member can need that of a group.
        request("a-guard", None, **QUEUE),
        request("b-guard", None, **QUEUE),
    )


def test_an_execution_outside_any_group_cannot_deadlock() -> None:
    place = world(request("a", **QUEUE))
    place.claim("a", "a")
    (waiting,) = (each for each in place.in_progress if each.phase.is_before_start)
    with place.decision() as claims:
        assert not would_wait_for_itself(waiting, claims.changes)


def test_a_member_that_needs_the_guard_of_its_own_group_is_refused() -> None:
    place = world(request("outer", group_of("inner"), **QUEUE), request("inner"))
    place.requests["inner"] = renamed_process(place, "inner", "outer")
    place.claim("outer")
    assert place.phases() == {}
    assert place.finished() == [
        ("outer", "skipped", "concurrent"),
        ("outer", "error", "member_failed"),
    ]


def test_a_member_that_needs_a_guard_held_elsewhere_waits_for_it() -> None:
    place = world(request("g", group_of("a")), request("a", **QUEUE))
    place.claim("a", "g")
    assert place.phases() == {"a": ["starting"], "g": ["running"], "g › a": ["waiting"]}
    place.end("a")
    place.turn()
    assert place.phases() == {"g": ["running"], "g › a": ["starting"]}


def test_two_groups_that_need_each_others_guard_do_not_deadlock() -> None:
    place = crossed()
    for name, target in (("a-guard", "a"), ("b-guard", "b")):
        place.requests[name] = renamed_process(place, name, target)
    place.claim("a", "b")
    assert place.phases()["a › step"] == place.phases()["b › step"] == ["starting"]
    place.end("a › step")
    assert place.phases()["a › b"] == ["waiting"], "b holds the guard, and ends by itself"
    place.end("b › step")
    place.turn()
    # b's second member would wait for a, which waits for b: it is refused, so b ends.
    assert ("a", "skipped", "concurrent") in place.finished()
    assert ("b", "error", "member_failed") in place.finished()
    place.end("a › b")
    assert place.phases() == {}
    assert ("a", "success", None) in place.finished()


def renamed_process(place: ExecutionsWorld, name: str, process: str) -> ProcessRequest:
    """Return a request whose process has another name, and therefore another guard."""
    known = place.requests[name]
    changed = replace(known.process, name=process, prevent_concurrent=True)
    return replace(known, process=replace(changed, on_overlap=OnOverlap.QUEUE))
