"""What a new catalog changes: the runner applies it in portions, `plan` shows it as a whole."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from support.planning_world import NOON, request_of, seen

from runner.planning.changeover import Served, changeover, resulting_states
from runner.planning.difference import touched
from runner.planning.fires.firing import Miss, settle
from runner.planning.fires.planned_status import RequestChange
from runner.planning.states.state import RequestState
from runner.planning.views.plan import plan
from runner.requests.catalog.catalog import Catalog
from runner.requests.catalog.catalog_reader import exhausted
from runner.requests.model import ProcessRequest, RunImmediately, RunLater, Schedule
from runner.timing.parsing import parse_rule

MINUTE = timedelta(minutes=1)
LATER = NOON + 2 * MINUTE
NAMES = ("a", "b", "c", "d", "e")
TIMINGS = (
    None,
    RunImmediately(),
    RunLater(start=NOON + MINUTE, zone="UTC"),
    RunLater(start=NOON + 60 * MINUTE, zone="UTC"),
    *(
        Schedule(rule=parse_rule({"frequency": each}, default_zone="UTC"))
        for each in ("minutely", "hourly")
    ),
)
documents: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"timing": st.sampled_from(TIMINGS), "scheduled": st.booleans()},
    optional={
        "formerly": st.sampled_from(NAMES),
        "reschedule": st.just("again"),
        "description": st.just("other"),
    },
)
folders = st.dictionaries(st.sampled_from(NAMES), documents).map(
    lambda found: {name: request_of(name=name, **fields) for name, fields in found.items()}
)
Reported = dict[str, tuple[RequestChange | None, list[Miss]]]


def served_since_noon(requests: dict[str, ProcessRequest], removed: Iterable[str]) -> Served:
    """Return requests as a runner has served them since noon; some were removed before."""
    states = {name: seen(request) for name, request in requests.items()}
    return Served(
        requests={name: each for name, each in requests.items() if name not in removed},
        states={
            name: replace(state, removed=True, removed_at=NOON) if name in removed else state
            for name, state in states.items()
        },
    )


def in_portions(
    old: Served, catalog: Catalog, size: int
) -> tuple[dict[str, RequestState], Reported]:
    """Apply a catalog as the runner does: only what differs, a few requests at a time."""
    names = exhausted(touched(old.requests, catalog.requests))
    change = changeover(old, catalog, among=names)
    queue = [*sorted(names & catalog.requests.keys()), *change.difference.removed]
    requests, states = dict(old.requests), dict(old.states)
    reported: Reported = {}
    for begin in range(0, len(queue), size):
        portion = queue[begin : begin + size]
        served = Served(requests=dict(requests), states=dict(states))
        for name, found in change.registrations(served, portion, LATER):
            states |= resulting_states(name, found, states, LATER)
            reported[name] = found.change, [each for each in (found.abandoned, found.miss) if each]
        for name in portion:
            requests.pop(name, None)
            requests |= {name: catalog.requests[name] for name in {name} & catalog.requests.keys()}
    return states, reported


HOURLY, MINUTELY = (request_of(TIMINGS[-1], name="a"), request_of(TIMINGS[-2], name="a"))
RENAMED = request_of(TIMINGS[-1], name="b", formerly="a")


@example({"a": MINUTELY}, set(), {"a": HOURLY}, 1)
@example({"a": MINUTELY}, set(), {"b": RENAMED}, 1)
@example({"a": MINUTELY, "b": request_of(None, name="b")}, {"b"}, {"b": RENAMED}, 1)
@given(folders, st.sets(st.sampled_from(NAMES)), folders, st.integers(1, 5))
def test_a_changeover_in_portions_does_what_plan_shows(
    before: dict[str, ProcessRequest],
    removed: set[str],
    after: dict[str, ProcessRequest],
    size: int,
) -> None:
    old = served_since_noon(before, removed)
    catalog = Catalog(folder=Path("jobs.d"), requests=after, files=1)
    states, reported = in_portions(old, catalog, size)
    settled = {
        name: settle(after[name], state, LATER) if name in after else None
        for name, state in states.items()
    }
    steps = plan(old, catalog, LATER, {}).steps
    assert {name for name, (change, misses) in reported.items() if change or misses} <= {
        step.name for step in steps
    }
    for step in steps:
        change, misses = reported.get(step.name, (None, []))
        due = settled[step.name]
        assert step.state == (due.state if due else states[step.name])
        assert step.runs == (due.claims if due else ())
        assert step.events[:1] == ((change,) if change else step.events[:1])
        assert list(step.missed) == misses + ([due.miss] if due and due.miss else [])


def test_the_due_fires_of_a_renamed_request_with_a_new_rule_are_missed_once() -> None:
    old = served_since_noon({"a": MINUTELY}, ())
    states, reported = in_portions(old, Catalog(folder=Path(), requests={"b": RENAMED}, files=1), 1)
    miss = Miss(count=2, first=NOON + MINUTE, last=LATER)
    assert reported == {"b": (RequestChange.SCHEDULED, [miss])}
    assert (states["a"].removed, states["b"].generation) == (True, 2)


def test_an_unchanged_catalog_changes_nothing() -> None:
    old = served_since_noon({"a": HOURLY}, ())
    catalog = Catalog(folder=Path(), requests={"a": replace(HOURLY)}, files=1)
    assert in_portions(old, catalog, 1) == (old.states, {})
