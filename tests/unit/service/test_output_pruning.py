"""A round of pruning on real files and a real store: what it removes, and when it may not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from support.clock_world import DAY, HOUR, NOON
from support.outputs_world import World, in_progress, outputs_world, written
from support.planning_world import seen

from runner.execution.output import member_output_path, output_path
from runner.lifecycle import RequestStatus
from runner.planning.retention import NEWEST_RESULTS
from runner.planning.transitions.registration import remove
from runner.requests.file_settings import OutputBounds
from runner.requests.policies import Retention
from runner.store.rows import Batch, ResultRow
from runner.values import new_id


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with outputs_world(tmp_path) as world:
        yield world


def test_each_request_keeps_its_outputs_as_long_as_its_own_retention_says(world: World) -> None:
    world.serve("short", keep_for=DAY)
    world.serve("long", keep_for=90 * DAY)
    world.serve("plain")
    gone = [
        world.ended(NOON - 2 * DAY, request="short"),
        world.ended(NOON - 31 * DAY, request="plain"),
        world.ended(NOON - 31 * DAY, request="forgotten"),
        world.ended(NOON - 91 * DAY, request="long"),
    ]
    kept = [
        world.ended(NOON, request="short"),
        world.ended(NOON - 29 * DAY, request="plain"),
        world.ended(NOON - 29 * DAY, request="forgotten"),
        world.ended(NOON - 89 * DAY, request="long"),
    ]
    world.prune()
    assert world.outputs() == set(kept)
    assert world.results() == {*kept, gone[0], gone[1], gone[3]}, (
        "the newest results of a known request stay"
    )


def test_the_end_counts_and_not_a_file_time_that_a_process_set(world: World) -> None:
    world.serve(keep_for=DAY)
    execution = world.ended(NOON - 2 * DAY)
    path = Path(output_path(world.settings.outputs, execution))
    os.utime(path, (4e9, 4e9))
    world.prune()
    assert not path.exists()


def test_failures_stay_longer_and_many_successes_do_not_push_them_out(world: World) -> None:
    world.serve(keep_for=DAY, failures_keep_for=90 * DAY, keep_count=2)
    failed = [world.ended(NOON - days * DAY, status="error") for days in (80, 70, 91, 60)]
    fine = [world.ended(NOON - minutes * timedelta(minutes=1)) for minutes in range(4)]
    world.prune()
    assert world.outputs() == {failed[1], failed[3], fine[0], fine[1]}


@pytest.mark.parametrize("status", ["error", "killed", "system_restart"])
def test_each_kind_of_failure_is_kept_longer(world: World, status: str) -> None:
    world.serve(keep_for=DAY, failures_keep_for=90 * DAY)
    failed = world.ended(NOON - 80 * DAY, status=status)
    world.ended(NOON - 80 * DAY)
    world.prune()
    assert world.outputs() == {failed}


def test_the_size_of_a_request_is_bounded_by_its_oldest_outputs(world: World) -> None:
    world.serve(keep_size=25)
    world.serve("other")
    ids = [world.ended(NOON - n * HOUR, size=10) for n in range(4)]
    other = world.ended(NOON - 9 * HOUR, request="other", size=1000)
    world.prune()
    assert world.outputs() == {ids[0], ids[1], other}


def test_a_wrong_clock_removes_nothing_by_age_but_count_and_size_hold(world: World) -> None:
    world.serve(keep_for=DAY, keep_count=3)
    ids = [world.ended(NOON - n * HOUR) for n in range(4)]
    world.clock.at += 365 * DAY
    pruning = world.prune(after=0 * HOUR)
    assert world.outputs() == set(ids[:3]), "at the start the clock may be a year ahead"
    pruning.distrust_clock()
    world.clock.go_on(HOUR / 2)
    pruning.distrust_clock()
    world.clock.go_on(HOUR / 2)
    world.finish(pruning)
    assert world.outputs() == set(ids[:3]), "the clock was set half an hour ago"
    world.clock.go_on(HOUR)
    world.finish(pruning)
    assert world.outputs() == set()


def test_a_step_of_the_clock_amid_a_round_ends_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.execution.kept_outputs.SLICE", 1)
    world.serve(keep_for=DAY)
    ids = [world.ended(NOON - 2 * DAY) for _ in range(5)]
    pruning = world.prune(after=0 * HOUR)
    world.clock.go_on(HOUR)
    pruning.advance()
    pruning.distrust_clock()
    for _ in range(20):
        pruning.advance()
    assert world.outputs() == set(ids)


def test_a_removed_request_keeps_its_outputs_as_its_file_said_last(world: World) -> None:
    request = world.serve(keep_for=365 * DAY)
    execution = world.ended(NOON - 300 * DAY)
    state = remove(seen(request), NOON, retention=request.retention).state
    world.registry.accept_requests({})
    world.registry.accept({"p": state})
    world.prune()
    assert (world.outputs(), world.results()) == ({execution}, {execution})
    assert state.status is RequestStatus.UNSCHEDULED
    world.registry.forget(["p"])
    world.prune()
    assert (world.outputs(), world.results()) == (set(), set())


def test_the_newest_results_and_the_last_success_stay_without_outputs(world: World) -> None:
    world.serve(keep_count=0)
    success = world.ended(NOON - 3 * DAY)
    older = [world.ended(NOON - 2 * DAY - n * HOUR, status="error") for n in range(3)]
    newest = [world.ended(NOON - n * HOUR / 10, status="error") for n in range(NEWEST_RESULTS)]
    world.prune()
    assert world.outputs() == set()
    assert world.results() == {success, *newest}
    assert not world.results() & set(older)


def test_an_output_in_progress_stays_also_one_that_began_during_the_round(world: World) -> None:
    nothing = Retention(keep_for=timedelta(0))
    world.settings = replace(world.settings, output_bounds=OutputBounds(count=0), retention=nothing)
    adopted, begun, gone = new_id(), new_id(), new_id()
    member = member_output_path(
        Path(output_path(world.settings.outputs, adopted)), sequence=1, attempt=1
    )
    written(member, NOON - 40 * DAY)
    for execution in (begun, gone):
        world.output(execution, NOON - 40 * DAY)
    world.in_progress.put(in_progress(adopted))
    pruning = world.pruning()
    world.clock.go_on(2 * HOUR)
    pruning.advance()
    world.in_progress.put(in_progress(begun))
    world.finish(pruning)
    assert world.outputs() == {adopted, begun}
    assert member.exists()


def test_outputs_without_a_result_go_by_the_default_and_the_longer_age(world: World) -> None:
    """Those of a former version, and those of executions that no runner saw end."""
    default = Retention(keep_for=DAY, failures_keep_for=10 * DAY)
    world.settings = replace(world.settings, retention=default)
    kept, gone = new_id(), new_id()
    world.output(kept, NOON - 9 * DAY)
    world.output(gone, NOON - 11 * DAY)
    world.prune()
    assert world.outputs() == {kept}


def test_the_bounds_for_all_outputs_remove_the_oldest_whatever_a_request_says(
    world: World,
) -> None:
    world.settings = replace(world.settings, output_bounds=OutputBounds(count=3, size=25))
    world.serve(keep_for=365 * DAY)
    old = world.ended(NOON - 100 * DAY)
    failed = world.ended(NOON - 50 * DAY, status="error")
    new = [world.ended(NOON - n * HOUR, request="other") for n in range(2)]
    world.prune()
    assert world.outputs() == set(new)
    assert {old, failed} <= world.results()


def test_the_output_of_a_group_is_that_of_its_members(world: World) -> None:
    world.serve(keep_count=1)
    older, newer = new_id(), new_id()
    for execution, at in ((older, NOON - HOUR), (newer, NOON)):
        path = Path(output_path(world.settings.outputs, execution))
        for sequence in (1, 2):
            written(member_output_path(path, sequence=sequence, attempt=1), at)
        world.result(execution, at)
    world.prune()
    assert world.outputs() == {newer}
    assert len(list(world.settings.outputs.glob("*/*/*.out"))) == 2


def test_the_next_round_completes_one_that_ended_before_its_commit(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runner was killed, or the store refused."""
    world.serve(keep_count=0)
    ids = [world.ended(NOON - n * HOUR) for n in range(NEWEST_RESULTS + 5)]
    with monkeypatch.context() as patch:
        patch.setattr(World, "forget", lambda self, executions: None)
        world.prune()
    assert (world.outputs(), world.results()) == (set(), set(ids))
    world.prune()
    assert world.results() == set(ids[:NEWEST_RESULTS])


def test_an_execution_that_ends_during_the_round_keeps_its_result(world: World) -> None:
    world.serve()
    for number in range(NEWEST_RESULTS):
        world.ended(NOON + 3 * HOUR + number * timedelta(seconds=1))
    pruning = world.pruning()
    world.clock.go_on(2 * HOUR)
    pruning.advance()
    late = world.ended(NOON + 2 * HOUR)
    world.finish(pruning)
    assert late in world.results()


def test_a_result_whose_row_is_damaged_ends_the_round_and_not_the_runner(world: World) -> None:
    row = ResultRow(new_id(), "p", "direct", "success", None, 0, 1, 0, 0, 0)
    world.store.commit(Batch(results=[row._replace(ended="soon")]))  # type: ignore[arg-type]
    execution = world.ended(NOON)
    world.prune()
    assert execution in world.outputs()
