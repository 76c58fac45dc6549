"""Removed requests are pruned after 90 days, unless something still refers to them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from support.decision_world import Document, World, world

from runner.planning.states.pruning import KEPT, prunable

ONCE: Document = {"process": {"shell": "true"}, "timing": "run_immediately"}
DAY = timedelta(days=1)


@pytest.fixture
def place() -> Iterator[World]:
    with world() as made:
        made.write("stays", ONCE)
        made.write("goes", ONCE)
        made.reload()
        yield made


def names(place: World, *, in_use: frozenset[str] = frozenset()) -> list[str]:
    return sorted(prunable(place.registry.states, place.registry.requests, place.at, in_use=in_use))


def test_a_removed_request_is_pruned_after_90_days_and_is_new_if_it_returns(place: World) -> None:
    place.remove("goes")
    place.reload()
    place.at += KEPT - timedelta(microseconds=1)
    assert names(place) == []
    place.at += timedelta(microseconds=1)
    assert names(place) == ["goes"]
    place.restart()
    assert names(place) == ["goes"], "the store keeps when it was removed"
    place.registry.forget(names(place))
    place.write("goes", ONCE)
    place.reload()
    assert [name for name, _ in place.claims] == ["goes"]


def test_a_request_that_came_back_starts_a_new_90_days(place: World) -> None:
    place.remove("goes")
    place.reload()
    place.at += 80 * DAY
    place.write("goes", ONCE)
    place.reload()
    assert place.claims == [], "its state was kept"
    place.at += 80 * DAY
    assert names(place) == []
    place.remove("goes")
    place.reload()
    place.at += 80 * DAY
    assert names(place) == []


def test_a_state_that_an_execution_needs_is_kept(place: World) -> None:
    place.remove("goes")
    place.reload()
    place.at += 2 * KEPT
    assert names(place, in_use=frozenset({"goes"})) == []


def test_a_former_name_is_kept_as_long_as_the_state_that_continues_it(place: World) -> None:
    place.remove("goes")
    place.write("heir", {**ONCE, "formerly": "goes"})
    place.reload()
    place.at += 2 * KEPT
    assert names(place) == []
    place.remove("heir")
    place.reload()
    place.at += KEPT
    assert names(place) == ["heir"]
    place.registry.forget(["heir"])
    assert names(place) == ["goes"]
