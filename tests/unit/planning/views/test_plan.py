"""What `plan` shows is what the runner then does, for random changes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.decision_world import NOON, Document, World, world

from runner.commands import CommandKind as Button
from runner.monitor.records import Event
from runner.planning.coming_fires import first_fires
from runner.planning.fires.firing import Miss
from runner.planning.fires.planned_status import RequestChange
from runner.planning.views.alterations import Alteration
from runner.planning.views.plan import Plan, PlanStep, StepKind, newly_served, plan

SECOND, MINUTE, HOUR, DAY = (
    timedelta(seconds=1),
    timedelta(minutes=1),
    timedelta(hours=1),
    timedelta(days=1),
)


# --- the law
# --------------------------------------------------------------------------------------

NAMES = ("a", "b", "c", "d")
NEAR = [NOON - DAY, NOON - SECOND, NOON, NOON + 30 * SECOND, NOON + MINUTE, NOON + HOUR, NOON + DAY]
moments = st.sampled_from([f"{each:%Y-%m-%d %H:%M:%S}" for each in NEAR])
misfires = st.sampled_from(["skip", "fire_once", "fire_all"])
schedules = st.fixed_dictionaries(
    {"frequency": st.sampled_from(["secondly", "minutely", "hourly"]), "start": moments},
    optional={
        "interval": st.sampled_from([1, 30]),
        "repetitions": st.sampled_from([0, 2]),
        "misfire": misfires,
        "misfire_grace": st.sampled_from(["1s", "1h"]),
        "spread": st.just("40s"),
        "except": st.just(["2026-03-01"]),
    },
) | st.fixed_dictionaries(
    {"frequency": st.just("daily"), "at": st.sampled_from(["12:00", "12:01"])}
)
timings = (
    st.just("run_immediately")
    | st.fixed_dictionaries(
        {"run_later": st.fixed_dictionaries({"start": moments}, optional={"misfire": misfires})}
    )
    | st.fixed_dictionaries({"schedule": schedules})
)
documents = st.fixed_dictionaries(
    {"process": st.fixed_dictionaries({"shell": st.sampled_from(["true", "false"])})},
    optional={
        "timing": timings,
        "scheduled": st.booleans(),
        "reschedule": st.sampled_from(["1", "2"]),
        "formerly": st.sampled_from(NAMES),
        "description": st.just("other"),
    },
)
names = st.sampled_from(NAMES)
edits = st.one_of(
    st.tuples(st.just("put"), names, documents),
    st.tuples(st.just("put"), names, documents),
    st.tuples(st.just("edit"), names, documents),
    st.tuples(st.just("remove"), names),
    st.tuples(st.just("rename"), names, names),
    st.tuples(st.just("break"), names),
)
between = st.one_of(
    st.tuples(st.just("pass"), st.sampled_from([SECOND, 45 * SECOND, HOUR, 3 * DAY])),
    st.tuples(
        st.just("press"),
        st.sampled_from([Button.SCHEDULE, Button.UNSCHEDULE, Button.RESCHEDULE]),
        names,
    ),
    st.just(("restart",)),
    st.just(("hang", 2 * MINUTE)),
)
commits = st.tuples(st.lists(edits, min_size=1, max_size=5), st.lists(between, max_size=2))


def do(place: World, files: dict[str, Document | str], step: tuple[Any, ...]) -> None:
    match step:
        case ("put", name, document):
            files[name] = document
        case ("edit", name, document):
            former = files.get(name)
            files[name] = {**former, **document} if isinstance(former, dict) else document
        case ("remove", name):
            files.pop(name, None)
        case ("rename", old, new) if old != new and isinstance(former := files.get(old), dict):
            del files[old]
            files[new] = {**former, "formerly": old}
        case ("break", name):
            files[name] = "process: ["
        case ("pass", duration):
            place.at += duration
            place.fire()
        case ("hang", duration):
            place.at += duration
        case ("press", button, name):
            place.press(button, name)
        case ("restart",):
            place.restart()
    for name in NAMES:
        place.remove(name)
    for name, document in files.items():
        place.write(name, document)


def check_plan(place: World) -> None:
    """Make a plan, carry it out, and compare."""
    states = dict(place.registry.states)
    planned = place.plan()
    again = place.plan()
    assert again == planned
    change = place.reload()
    steps = {step.name: step for step in planned.steps}

    assert {fire for step in planned.steps for fire in claims_of(step)} == set(place.claims)
    assert sum(len(step.runs) for step in planned.steps) == len(place.claims)
    assert events_planned(planned) == events_recorded(place)
    assert missed_planned(planned) == missed_recorded(place)
    assert {
        step.name: step.renamed_from for step in planned.steps if step.renamed_from
    } == change.changeover.renamed
    for kind, found in (
        (StepKind.ADDED, change.changeover.difference.added),
        (StepKind.REMOVED, change.changeover.difference.removed),
    ):
        moved = {*change.changeover.renamed, *change.changeover.renamed.values()}
        assert {step.name for step in planned.steps if step.kind is kind} == set(found) - moved
    assert planned.requests == place.registry.requests
    assert [each.file for each in planned.rejections] == [
        each.file for each in place.registry.rejections
    ]
    assert planned.differs == bool(change.changeover.difference)
    for name, state in place.registry.states.items():
        if name in steps:
            check_step(place, steps[name])
        elif state != states.get(name):
            assert state.renamed_to in steps, f"nothing was said of {name}"
    assert not place.plan().steps, "nothing is left to be done"


def claims_of(step: PlanStep) -> list[tuple[str, datetime]]:
    return [(step.name, fire) for fire in step.runs]


def check_step(place: World, step: PlanStep) -> None:
    state, request = place.registry.states[step.name], place.registry.requests.get(step.name)
    assert state == step.state
    if step.after is not None:
        assert request is not None
        assert step.after.status is state.status
        assert list(step.after.fires) == first_fires(request, state, place.at, 3)
    else:
        assert request is None


def events_planned(planned: Plan) -> dict[str, list[str]]:
    return {
        step.name: [f"request.{change}" for change in step.events]
        for step in planned.steps
        if step.events
    }


def events_recorded(place: World) -> dict[str, list[str]]:
    reported = defaultdict(list)
    for event, fields in place.records:
        if event.startswith("request.") and event is not Event.REQUEST_REJECTED:
            reported[fields["request"]].append(str(event))
    return reported


def missed_planned(planned: Plan) -> list[tuple[str, Miss]]:
    return sorted(
        ((step.renamed_from or step.name, miss) for step in planned.steps for miss in step.missed),
        key=lambda each: (each[0], each[1].first),
    )


def missed_recorded(place: World) -> list[tuple[str, Miss]]:
    former = {
        name: fields["message"][len("renamed from ") :]
        for name, fields in renamed_recorded(place).items()
    }
    reported = [
        (
            former.get(fields["request"], fields["request"]),
            Miss(
                count=fields["missed_count"],
                first=fields["missed_from"],
                last=fields["missed_until"],
            ),
        )
        for event, fields in place.records
        if event is Event.EXECUTION_FINISHED and fields["status"] == "misfired"
    ]
    return sorted(reported, key=lambda each: (each[0], each[1].first))


def renamed_recorded(place: World) -> dict[str, Mapping[str, Any]]:
    return {
        fields["request"]: fields
        for event, fields in place.records
        if event.startswith("request.") and "renamed from" in (fields.get("message") or "")
    }


def check_history(history: list[Any]) -> None:
    with world() as place:
        files: dict[str, Document | str] = {}
        for changes, meanwhile in history:
            for step in changes:
                do(place, files, step)
            check_plan(place)
            for step in meanwhile:
                do(place, files, step)


EVERY_MINUTE = {"process": {"shell": "true"}, "timing": {"schedule": {"frequency": "minutely"}}}
EVERY_HOUR = {"process": {"shell": "true"}, "timing": {"schedule": {"frequency": "hourly"}}}
ABANDONED = [
    ([("put", name, EVERY_MINUTE) for name in NAMES], [("hang", 2 * MINUTE)]),
    (
        [
            ("remove", "a"),
            ("rename", "b", "a"),
            ("edit", "c", EVERY_HOUR),
            ("edit", "d", {"scheduled": False}),
        ],
        [],
    ),
]
RENAMED = [
    ([("put", "a", EVERY_MINUTE), ("put", "d", EVERY_HOUR)], [("hang", 2 * MINUTE)]),
    ([("rename", "a", "b")], [("restart",), ("hang", MINUTE)]),
    ([("rename", "b", "c"), ("edit", "c", EVERY_HOUR)], []),
]


@settings(max_examples=30)
@example(ABANDONED)
@example(RENAMED)
@given(st.lists(commits, min_size=1, max_size=4))
def test_the_runner_does_what_plan_says(history: list[Any]) -> None:
    check_history(history)


@pytest.mark.campaign
@pytest.mark.timeout(1200)
@settings(max_examples=4000)
@given(st.lists(commits, min_size=1, max_size=8))
def test_campaign_the_runner_does_what_plan_says(history: list[Any]) -> None:
    check_history(history)


# --- by example
# --------------------------------------------------------------------------------------

TRUE: Document = {"process": {"shell": "true"}}
AT_TWO: Document = {"schedule": {"frequency": "daily", "at": "02:00"}}


@pytest.fixture
def place() -> Iterator[World]:
    with world() as made:
        yield made


def steps(planned: Plan) -> dict[str, PlanStep]:
    return {step.name: step for step in planned.steps}


def test_nothing_differs_from_itself(place: World) -> None:
    place.write("a", {**TRUE, "timing": AT_TWO})
    assert place.plan().differs
    place.reload()
    assert not place.plan().steps
    assert not place.plan().differs


def test_a_change_is_shown_by_the_keys_that_its_author_wrote(place: World) -> None:
    before = {
        "process": {"command": ["sync", "--all"], "environment": {"A": "1", "B": "2"}},
        "timing": AT_TWO,
    }
    place.write("a", before)
    place.reload()
    command = {"command": ["sync"], "environment": {"A": "1", "C": "x\ny"}, "timeout": "5m"}
    place.write(
        "a",
        {
            "process": command,
            "timing": {"schedule": {"frequency": "daily", "at": "03:00"}},
            "owner": "fin",
        },
    )
    (step,) = place.plan().steps
    assert step.alterations == (
        Alteration(path="process.command", before='["sync", "--all"]', after='["sync"]'),
        Alteration(path="process.environment.B", before="2"),
        Alteration(path="process.environment.C", after='"x\\ny"'),
        Alteration(path="process.timeout", after="5m"),
        Alteration(path="timing.schedule.at", before="02:00", after="03:00"),
        Alteration(path="owner", after="fin"),
    )
    assert (step.before and step.before.fires[0].hour, step.after and step.after.fires[0].hour) == (
        2,
        3,
    )


def test_an_equivalent_document_is_no_change(place: World) -> None:
    place.write("a", {**TRUE, "timing": AT_TWO})
    place.reload()
    place.write(
        "a",
        {
            "timing": {"schedule": {"at": ["02:00"], "frequency": "daily"}},
            **TRUE,
            "scheduled": True,
        },
    )
    assert not place.plan().steps


def test_a_moved_file_shows_what_changes_with_it(place: World) -> None:
    place.write("a", {**TRUE, "name": "a"})
    place.reload()
    (place.jobs / "sub").mkdir()
    (place.jobs / "a.yaml").rename(place.jobs / "sub" / "a.yaml")
    (step,) = place.plan().steps
    assert step.alterations == (
        Alteration(path="process.directory", before=str(place.jobs), after=str(place.jobs / "sub")),
        Alteration(path="file", before="a.yaml", after="sub/a.yaml"),
    )


def test_a_renaming_shows_its_consequences_and_the_other_changes(place: World) -> None:
    place.write("a", TRUE)
    place.reload()
    place.remove("a")
    place.write("b", {"process": {"shell": "false"}, "formerly": "a"})
    (step,) = place.plan().steps
    assert (step.kind, step.renamed_from) == (StepKind.RENAMED, "a")
    assert step.alterations == (
        Alteration(path="process.shell", before="true", after="false"),
        Alteration(path="process.name", before="a", after="b"),
        Alteration(path="file", before="a.yaml", after="b.yaml"),
    )


def test_plan_shows_what_runs_at_once_and_why(place: World) -> None:
    place.write("again", {**TRUE, "timing": "run_immediately"})
    place.write(
        "late", {**TRUE, "timing": {"schedule": {"frequency": "hourly", "misfire": "skip"}}}
    )
    place.reload()
    place.at += DAY
    place.write("again", {**TRUE, "timing": "run_immediately", "reschedule": "1"})
    place.write("first", {**TRUE, "timing": "run_immediately"})
    place.write(
        "late", {**TRUE, "timing": {"schedule": {"frequency": "hourly", "misfire": "fire_all"}}}
    )
    place.write("past", {**TRUE, "timing": {"run_later": {"start": "2026-02-01 00:00"}}})
    found = steps(place.plan())
    assert found["again"].runs == found["first"].runs == (place.at,)
    assert found["again"].events == (RequestChange.RESCHEDULED, RequestChange.COMPLETED)
    assert found["late"].runs == tuple(NOON + number * HOUR for number in range(1, 25))
    assert found["late"].due_anyway == {place.at}
    assert (
        found["past"].runs,
        found["past"].events,
        [miss.count for miss in found["past"].missed],
    ) == (
        (),
        (RequestChange.COMPLETED,),
        [1],
    )


def test_only_new_collisions_are_shown(place: World) -> None:
    guarded = {
        "process": {"shell": "true", "name": "post", "prevent_concurrent": True},
        "timing": AT_TWO,
    }
    place.write("a", guarded)
    place.reload()
    place.write("b", guarded)
    place.write("c", {**TRUE, "timing": AT_TWO})
    crowding = place.plan().crowding
    (collision,) = crowding.collisions
    assert (collision.request, collision.process, collision.others) == ("b", "post", ("a",))
    assert (collision.before, collision.skipped) == (0, 7)
    assert (
        crowding.before and crowding.before.starts,
        crowding.after and crowding.after.starts,
    ) == (1, 3)
    place.reload()
    place.remove("b")
    place.write("heir", {**guarded, "formerly": "b"})
    assert steps(place.plan())["heir"].kind is StepKind.RENAMED
    assert not place.plan().crowding.collisions, "they came in each other's way before"


def test_a_rejected_document_changes_nothing_and_its_last_good_version_stays(place: World) -> None:
    place.write("a", {**TRUE, "timing": AT_TWO})
    place.write("b", TRUE)
    place.reload()
    place.write("a", "process: [")
    planned = place.plan()
    assert (planned.steps, [each.file for each in planned.rejections]) == ((), ["a.yaml"])
    assert planned.kept == {"a": planned.rejections[0]}
    for name in "ab":
        place.remove(name)
    assert place.plan().is_kept_whole


def test_a_served_request_has_run_its_immediate_execution(place: World) -> None:
    place.write("once", {**TRUE, "timing": "run_immediately"})
    place.write("daily", {**TRUE, "timing": AT_TWO})
    catalog = place.fresh_reader().read()
    assert not plan(newly_served(catalog.requests, NOON), catalog, NOON, {}).steps


def _looks(place: World) -> dict[str, str | None]:
    return {step.name: step.looks_like for step in place.plan().steps}


def test_an_added_request_with_the_definition_of_a_removed_one_looks_renamed(
    place: World,
) -> None:
    body: Document = {"process": {"shell": "true"}, "timing": "run_immediately"}
    place.write("a", body)
    place.reload()
    place.remove("a")
    place.write("b", body)
    assert _looks(place) == {"a": None, "b": "a"}
    assert [step.kind for step in place.plan().steps] == [StepKind.REMOVED, StepKind.ADDED]
    place.write("b", {**body, "formerly": "a"})
    assert _looks(place) == {"b": None}, "nothing to point out"
    place.write("b", {**body, "description": "another"})
    assert _looks(place) == {"a": None, "b": None}


def test_of_several_alike_requests_none_looks_renamed(place: World) -> None:
    body: Document = {"process": {"shell": "true"}, "timing": "run_immediately"}
    place.write("a", body)
    place.write("keeper", {"process": {"shell": "true"}})
    place.reload()
    place.remove("a")
    for name in ("b", "c"):
        place.write(name, body)
    assert set(_looks(place).values()) == {None}
