"""`formerly`: a request continues under another name with its whole state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.decision_world import NOON, Document, World, world

from runner.commands import CommandKind as Button
from runner.lifecycle import RequestStatus
from runner.monitor.records import Event
from runner.planning.states.renaming import current_name, renamings
from runner.planning.states.state import RequestState, state_from, state_text, watermark

SECOND, MINUTE, HOUR, DAY = (
    timedelta(seconds=1),
    timedelta(minutes=1),
    timedelta(hours=1),
    timedelta(days=1),
)
PROCESS: Document = {"process": {"shell": "true"}}
ONCE: Document = {**PROCESS, "timing": "run_immediately"}
HOURLY: Document = {**PROCESS, "timing": {"schedule": {"frequency": "hourly"}}}


@pytest.fixture
def place() -> Iterator[World]:
    with world() as made:
        made.write("stays", PROCESS)
        yield made


def rename(place: World, old: str, new: str, document: Document, **keys: object) -> None:
    """Rename a request in one commit."""
    place.remove(old)
    place.write(new, {**document, "formerly": old, **keys})
    place.reload()


def reported(place: World) -> dict[str, list[tuple[str, str | None]]]:
    return {name: events for name in ("old", "new", "newest") if (events := place.events(name))}


def state(place: World, name: str) -> RequestState:
    return place.registry.states[name]


def test_the_whole_state_moves_with_one_record(place: World) -> None:
    place.write("old", HOURLY)
    place.reload()
    place.at += 90 * MINUTE
    place.fire()
    place.press(Button.RESCHEDULE, "old")
    before = state(place, "old")
    rename(place, "old", "new", HOURLY)
    assert state(place, "new") == before
    assert reported(place) == {"new": [("scheduled", "renamed from old")]}
    assert (state(place, "old").renamed_to, state(place, "old").status) == (
        "new",
        RequestStatus.UNSCHEDULED,
    )
    assert not place.claims


@pytest.mark.parametrize(
    ("document", "event"),
    [(ONCE, "completed"), ({**HOURLY, "scheduled": False}, "unscheduled")],
)
def test_a_renamed_request_at_rest_is_recorded_by_its_status(
    place: World, document: Document, event: str
) -> None:
    place.write("old", document)
    place.reload()
    rename(place, "old", "new", document)
    assert reported(place) == {"new": [(event, "renamed from old")]}
    assert not place.claims


def test_a_renamed_definition_has_no_record(place: World) -> None:
    place.write("old", PROCESS)
    place.reload()
    rename(place, "old", "new", PROCESS)
    assert reported(place) == {}
    assert state(place, "old").renamed_to == "new"


def test_a_change_together_with_a_new_name_is_recorded_once(place: World) -> None:
    place.write("old", ONCE)
    place.reload()
    rename(place, "old", "new", ONCE, reschedule="1")
    last = "the last fire is due now"
    assert reported(place) == {"new": [("rescheduled", "renamed from old"), ("completed", last)]}
    assert place.claims == [("new", NOON)]


def test_a_persons_override_is_kept(place: World) -> None:
    place.write("old", HOURLY)
    place.reload()
    place.press(Button.UNSCHEDULE, "old")
    rename(place, "old", "new", HOURLY)
    assert (state(place, "new").override, state(place, "new").override_by) == (False, "maria")


def test_a_fire_that_is_due_during_the_renaming_runs_under_the_new_name(place: World) -> None:
    place.write("old", HOURLY)
    place.reload()
    place.at += HOUR
    rename(place, "old", "new", HOURLY)
    assert place.claims == [("new", NOON + HOUR)]


def test_a_fire_that_the_new_rule_abandons_is_missed_under_the_old_name(place: World) -> None:
    place.write("old", HOURLY)
    place.reload()
    place.at += HOUR
    rename(
        place,
        "old",
        "new",
        {**PROCESS, "timing": {"schedule": {"frequency": "daily", "at": "00:00"}}},
    )
    (missed,) = [fields for event, fields in place.records if event is Event.EXECUTION_FINISHED]
    assert (missed["request"], missed["missed_from"]) == ("old", NOON + HOUR)
    assert not place.claims


def test_leaving_a_branch_brings_the_old_name_back_with_its_state(
    place: World,
) -> None:
    place.write("old", ONCE)
    place.reload()
    for _ in range(2):
        rename(place, "old", "new", ONCE)
        moved = state(place, "new")
        assert not place.claims
        place.remove("new")
        place.write("old", ONCE)
        place.reload()
        assert state(place, "old") == moved
        assert reported(place) == {"old": [("completed", "renamed from new")]}
        assert not place.claims


def test_renaming_back_by_formerly_works_too(place: World) -> None:
    place.write("old", HOURLY)
    place.reload()
    before = state(place, "old")
    rename(place, "old", "new", HOURLY)
    rename(place, "new", "old", HOURLY)
    assert state(place, "old") == before
    assert reported(place) == {"old": [("scheduled", "renamed from new")]}


def test_between_branches_the_state_follows_from_name_to_name(place: World) -> None:
    place.write("old", ONCE)
    place.reload()
    rename(place, "old", "new", ONCE)
    place.remove("new")
    place.write("newest", {**ONCE, "formerly": "old"})
    place.reload()
    assert reported(place) == {"newest": [("completed", "renamed from new")]}
    assert current_name("old", place.registry.states) == "newest"
    assert not place.claims


def test_a_file_that_keeps_its_formerly_brings_no_stale_state_back(place: World) -> None:
    place.write("old", HOURLY)
    place.reload()
    rename(place, "old", "new", HOURLY)
    place.at += DAY
    place.fire()
    place.remove("new")
    place.reload()
    assert reported(place) == {"new": [("removed", None)]}
    through = state(place, "new").fired_through
    place.write("new", {**HOURLY, "formerly": "old"})
    place.reload()
    assert reported(place) == {"new": [("scheduled", None)]}
    assert state(place, "new").fired_through >= through


def test_a_request_that_was_removed_first_is_found_by_formerly_later(place: World) -> None:
    place.write("old", ONCE)
    place.reload()
    place.remove("old")
    place.reload()
    assert reported(place) == {"old": [("removed", None)]}
    place.write("new", {**ONCE, "formerly": "old"})
    place.reload()
    assert reported(place) == {"new": [("completed", "renamed from old")]}
    assert not place.claims


def test_a_request_with_a_state_keeps_it_and_the_other_one_is_removed(place: World) -> None:
    place.write("old", ONCE)
    place.write("new", HOURLY)
    place.reload()
    own = state(place, "new")
    rename(place, "old", "new", HOURLY)
    assert state(place, "new") == own
    assert reported(place) == {"old": [("removed", None)]}


def test_a_new_request_with_a_former_name_runs_nothing_again_and_takes_no_state(
    place: World,
) -> None:
    place.write("old", ONCE)
    place.reload()
    rename(place, "old", "new", ONCE)
    place.write("new", ONCE)
    place.write("old", ONCE)
    place.reload()
    assert not place.claims
    assert current_name("old", place.registry.states) == "old"
    assert current_name("new", place.registry.states) == "new"


def test_a_button_finds_the_state_under_a_new_name_that_no_runner_has_seen(
    place: World,
) -> None:
    place.write("old", ONCE)
    place.reload()
    place.remove("old")
    place.write("new", {**ONCE, "formerly": "old"})
    force = place.fresh_reader().read()
    place.registry.requests = force.requests
    place.press(Button.UNSCHEDULE, "new")
    assert state(place, "new").override is False
    place.press(Button.SCHEDULE, "new")
    place.reload()
    assert not place.claims


def test_the_store_remembers_the_new_name(place: World) -> None:
    place.write("old", ONCE)
    place.reload()
    rename(place, "old", "new", ONCE)
    left = state(place, "old")
    assert (
        state_from(state_text(left), generation=left.generation, fired_through=watermark(left))
        == left
    )
    assert replace(left, renamed_to=None) != left


# --- the law: names make no difference
# --------------------------------------------------------------------------------

schedules = st.fixed_dictionaries(
    {
        "frequency": st.sampled_from(["minutely", "hourly"]),
        "start": st.just("2026-03-01 12:00"),
        "misfire": st.sampled_from(["skip", "fire_once", "fire_all"]),
    },
    optional={"repetitions": st.integers(0, 5), "finish": st.just("2026-03-01 15:00")},
)
timings = st.just({"timing": "run_immediately"}) | schedules.map(
    lambda each: {"timing": {"schedule": each}}
)
lives = st.lists(
    st.tuples(
        st.sampled_from([timedelta(), SECOND, MINUTE, 20 * MINUTE, 3 * HOUR]),
        st.sampled_from(["", "rename", "back", "restart", "press", "hang"]),
    ),
    max_size=8,
)


def lived(document: Document, life: list[tuple[timedelta, str]], *, is_renaming: bool) -> list[Any]:
    """Return the executions and the missed fires under any name."""
    found: list[Any] = []
    with world() as place:
        place.write("stays", PROCESS)
        place.write("n0", document)
        name, number = "n0", 0
        place.reload()
        found += [fire for _, fire in place.claims]
        for duration, what in life:
            place.records, place.claims = [], []
            place.at += duration
            if what == "restart":
                place.restart()
            elif what == "press":
                place.press(Button.RESCHEDULE, name)
            elif what in ("rename", "back") and is_renaming:
                place.remove(name)
                number += 1 if what == "rename" else -1
                former, name = name, f"n{abs(number)}"
                place.write(
                    name, {**document, "formerly": former} if what == "rename" else document
                )
            if what != "hang":
                place.reload()
            found += [fire for _, fire in place.claims]
            found += [
                (fields["missed_count"], fields["missed_from"], fields["missed_until"])
                for event, fields in place.records
                if event is Event.EXECUTION_FINISHED
            ]
    return found


def is_left_as_it_came(life: list[tuple[timedelta, str]]) -> bool:
    """Return whether each name that returns is the direct predecessor."""
    depth = 0
    for _, what in life:
        depth += {"rename": 1, "back": -1}.get(what, 0)
        if depth < 0:
            return False
    return True


@settings(max_examples=25)
@given(
    st.one_of(
        st.just({"timing": "run_immediately"}),
        schedules.map(lambda each: {"timing": {"schedule": each}}),
    ),
    lives,
)
def test_many_renamings_give_the_same_life_as_none(
    timing: Document, life: list[tuple[timedelta, str]]
) -> None:
    document = {**PROCESS, **timing}
    life = (
        life
        if is_left_as_it_came(life)
        else [(duration, what.replace("back", "rename")) for duration, what in life]
    )
    assert lived(document, life, is_renaming=True) == lived(document, life, is_renaming=False)


class _Compared(str):
    """A name that counts how often it is compared with another."""

    made = 0

    def __eq__(self, other: object) -> bool:
        _Compared.made += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def test_renaming_costs_grow_linearly(place: World) -> None:
    def comparisons(count: int) -> int:
        place.write("old", HOURLY)
        place.reload()
        states: dict[str, RequestState] = {
            _Compared(f"old-{n}"): state(place, "old") for n in range(count)
        }
        request = place.registry.requests["old"]
        requests = {
            f"new-{n}": replace(request, formerly=_Compared(f"old-{n}")) for n in range(count)
        }
        _Compared.made = 0
        assert len(renamings(requests, requests, states)) == count
        return _Compared.made

    assert comparisons(400) <= 3 * comparisons(200), "and not four times"
