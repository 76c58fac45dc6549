"""The table of executions in progress: guards, places and start times."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from support.executions_world import NOON, request

from runner.lifecycle import Channel, OnOverlap
from runner.planning.overlap import Guard
from runner.requests.model import Group
from runner.service.executions.execution import Claim, Execution, execution_for
from runner.service.executions.in_progress import InProgress, named_among
from runner.store.rows import Phase
from runner.values import new_id

MINUTE = timedelta(minutes=1)
GUARD = Guard(process="a", client=None, organization=None)


def execution(
    name: str = "a",
    phase: Phase = Phase.STARTING,
    *,
    delay: timedelta = timedelta(),
    group: str | None = None,
    is_group: bool = False,
    is_guarded: bool = False,
    attempt: int = 1,
) -> Execution:
    made = request(
        name,
        Group(members=()) if is_group else None,
        prevent_concurrent=is_guarded,
        on_overlap=OnOverlap.QUEUE,
    )
    claim = Claim(
        id=new_id(),
        request=name,
        process=made.process,
        channel=Channel.DIRECT,
        scheduled_for=NOON,
        generation=None,
        source=made.source,
        output_file="/out",
        group=group,
        attempt=attempt,
    )
    return execution_for(claim, due=NOON + delay, phase=phase)


def test_an_execution_is_found_from_its_entry_to_its_end() -> None:
    table, known = InProgress(), execution()
    assert table.put(known)
    assert known.id in table
    assert list(table) == [table[known.id]] == [known]
    table.leave(known.id)
    assert table.get(known.id) is None
    table.leave(known.id)  # an execution that is lost at a start was never in the table


def test_a_place_is_occupied_from_the_start_of_a_process_to_its_end() -> None:
    table, known, group = InProgress(), execution(phase=Phase.WAITING), execution(is_group=True)
    assert not table.put(known)
    table.put(group)
    assert table.occupied == 0
    assert table.put(replace(known, phase=Phase.STARTING))
    assert not table.put(replace(known, phase=Phase.RUNNING))
    assert table.occupied == 1
    table.leave(known.id)
    assert table.occupied == 0


def test_only_an_execution_with_a_process_is_spawned() -> None:
    table = InProgress()
    starting, running = execution(), execution(phase=Phase.RUNNING)
    for each in (starting, running, execution(phase=Phase.WAITING)):
        table.put(each)
    assert list(table.starting) == [starting.id]


def test_a_delayed_execution_waits_for_its_start_time() -> None:
    table, known = InProgress(), execution(phase=Phase.WAITING, delay=MINUTE)
    table.put(known)
    assert table.delayed() == [known]
    assert table.next_due_s() == (NOON + MINUTE).timestamp()
    table.look_at_delayed(NOON)
    assert not table.is_release_due(NOON)
    table.look_at_delayed(NOON + MINUTE)
    assert table.is_release_due(NOON + MINUTE)
    assert list(table.waiting) == [known.id]
    table.leave(known.id)
    assert not table.waiting


def test_a_guard_has_one_holder_and_one_that_is_queued() -> None:
    table = InProgress()
    holder = execution(is_guarded=True)
    queued = execution(is_guarded=True, phase=Phase.WAITING)
    table.put(holder)
    table.put(queued)
    assert (table.holder(GUARD), table.queued(GUARD)) == (holder, queued)
    table.leave(holder.id)
    assert (table.holder(GUARD), table.queued(GUARD)) == (None, queued)
    released = replace(queued, phase=Phase.STARTING)
    table.put(released)
    assert (table.holder(GUARD), table.queued(GUARD)) == (released, None)


def test_a_queued_execution_goes_before_a_newcomer() -> None:
    table = InProgress()
    holder, queued, newcomer = (
        execution(is_guarded=True, phase=phase)
        for phase in (Phase.STARTING, Phase.WAITING, Phase.WAITING)
    )
    table.put(holder)
    table.put(queued)
    table.leave(holder.id)
    table.put(newcomer)
    assert (table.holder(GUARD), table.queued(GUARD)) == (queued, newcomer)


def test_a_retry_keeps_the_guard_of_the_attempt_before_it() -> None:
    table = InProgress()
    first, queued = (
        execution(is_guarded=True, phase=phase) for phase in (Phase.STARTING, Phase.WAITING)
    )
    again = execution(is_guarded=True, phase=Phase.WAITING, attempt=2)
    table.put(first)
    table.put(queued)
    table.leave(first.id)
    table.put(again)
    assert (table.holder(GUARD), table.queued(GUARD)) == (again, queued)


def test_the_next_attempt_takes_over_the_guard() -> None:
    table = InProgress()
    first, again = (execution(is_guarded=True, attempt=attempt) for attempt in (1, 2))
    table.put(first)
    table.leave(first.id)
    table.put(again)
    table.leave(first.id)
    assert table.holder(GUARD) == again


def test_a_group_has_one_member_at_a_time() -> None:
    table, group = InProgress(), execution("g", is_group=True)
    first, second = (execution(group=group.id) for _ in range(2))
    table.put(group)
    table.put(first)
    assert table.member(group.id) == first
    table.leave(first.id)
    assert table.member(group.id) is None
    table.put(second)
    assert table.member(group.id) == second


@pytest.mark.parametrize("target", ["a", "g/m", "the id", "its last part"])
def test_a_person_names_an_execution_by_request_member_or_part_of_an_id(target: str) -> None:
    table, group = InProgress(), execution("g", is_group=True)
    table.put(group)
    plain = execution("a")
    member = execution("g", group=group.id)
    member = replace(
        member, claim=replace(member.claim, process=replace(member.process, name="g/m"))
    )
    table.put(plain)
    table.put(member)
    asked = {"the id": plain.id, "its last part": plain.id[-6:].upper()}.get(target, target)
    assert named_among(table, asked) == [member if target == "g/m" else plain]
    assert named_among(table, "g") == [group]
    assert named_among(table, plain.id[-3:]) == []
