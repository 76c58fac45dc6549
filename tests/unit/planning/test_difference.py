"""The difference between two catalogs."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import planning_world

from runner.planning.difference import Difference, changed_fields, difference, touched
from runner.requests.catalog.catalog_reader import exhausted
from runner.requests.model import Context, ProcessRequest, RunImmediately, Schedule, Source
from runner.requests.policies import Expect, Retention
from runner.timing.parsing import parse_rule


def request_of(name: str = "p", **changes: Any) -> ProcessRequest:
    return replace(planning_world.request_of(RunImmediately(), name), **changes)


PLAIN = request_of()
CHANGES: dict[str, Any] = {
    "name": "q",
    "process": replace(PLAIN.process, timeout=timedelta(seconds=1)),
    "timing": None,
    "description": "other",
    "owner": "other",
    "labels": {"a": "b"},
    "context": Context(client="c"),
    "scheduled": False,
    "reschedule": "2",
    "formerly": "o",
    "on_success": "o",
    "on_failure": "o",
    "unschedule_after": 3,
    "expect": Expect(duration=timedelta(minutes=1)),
    "notify": (),
    "retention": Retention(keep_count=1),
    "ping": "URL",
}


def test_nothing_changed_is_false() -> None:
    assert not difference({}, {})
    assert not difference({"p": PLAIN}, {"p": request_of()})
    assert changed_fields(PLAIN, PLAIN) == ()


def test_added_removed_and_changed_names_are_sorted() -> None:
    old = {name: request_of(name) for name in "dcba"}
    new = {name: request_of(name) for name in "zyba"}
    new["b"] = request_of("b", owner="other", description="other")
    new["a"] = request_of("a", scheduled=False)
    assert difference(old, new) == Difference(
        added=("y", "z"),
        removed=("c", "d"),
        changed=(("a", ("scheduled",)), ("b", ("description", "owner"))),
    )
    assert difference(old, new)


def test_every_field_counts() -> None:
    assert CHANGES.keys() | {"source"} == {field.name for field in fields(ProcessRequest)}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_field_is_reported_by_its_name(name: str) -> None:
    assert changed_fields(PLAIN, replace(PLAIN, **{name: CHANGES[name]})) == (name,)


def test_a_changed_finish_is_a_change_of_the_timing() -> None:
    hourly = {"frequency": "hourly"}
    old, new = (
        request_of(timing=Schedule(rule=parse_rule(data, default_zone="UTC")))
        for data in (hourly, {**hourly, "finish": "2030-01-01"})
    )
    assert changed_fields(old, new) == ("timing",)


def test_the_position_of_a_definition_counts_only_as_its_file() -> None:
    touched = replace(
        PLAIN, source=Source(file="p.yaml", line=9, sha256="touched", definition="{}")
    )
    moved = replace(PLAIN, source=Source(file="moved/p.yaml", line=1, sha256=""))
    assert changed_fields(PLAIN, touched) == ()
    assert changed_fields(PLAIN, moved) == ("file",)


versions = st.sampled_from(
    [PLAIN, *(replace(PLAIN, **{name: value}) for name, value in CHANGES.items())]
)
catalogs = st.dictionaries(st.sampled_from("abcdef"), versions)


@given(catalogs, catalogs)
def test_a_difference_is_exactly_what_separates_two_catalogs(
    old: dict[str, ProcessRequest], new: dict[str, ProcessRequest]
) -> None:
    found = difference(old, new)
    rebuilt = {name: request for name, request in old.items() if name not in found.removed}
    rebuilt |= {name: new[name] for name in found.added}
    rebuilt |= {name: new[name] for name, _ in found.changed}
    assert rebuilt == new
    assert len(found.added) + len(found.changed) == sum(old.get(name) != new[name] for name in new)


@given(catalogs, catalogs)
def test_the_reverse_difference_swaps_added_and_removed(
    old: dict[str, ProcessRequest], new: dict[str, ProcessRequest]
) -> None:
    there, back = difference(old, new), difference(new, old)
    assert (there.added, there.removed, there.changed) == (back.removed, back.added, back.changed)


VALUES = [request_of(), request_of(), request_of(description="other")]
NAMED = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from(VALUES))


@given(old=NAMED, new=NAMED)
def test_the_touched_names_are_all_that_need_to_be_compared(
    old: dict[str, ProcessRequest], new: dict[str, ProcessRequest]
) -> None:
    names = exhausted(touched(old, new))
    assert names == {name for name in old.keys() | new.keys() if old.get(name) is not new.get(name)}
    assert difference(old, new, among=names) == difference(old, new)
