"""Which outputs and results go, against a slower account of the same rules."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.planning_world import request_of, seen

from runner.planning.retention import (
    NEWEST_RESULTS,
    EndedExecution,
    retention_in_force,
    verdicts,
)
from runner.requests.file_settings import RETENTION
from runner.requests.model import RunImmediately
from runner.requests.policies import Retention

NOW_S = 1000.0
_seconds = st.integers(0, 40).map(lambda count: timedelta(seconds=count))
_retentions = st.builds(
    Retention,
    keep_for=_seconds,
    failures_keep_for=st.none() | _seconds,
    keep_count=st.none() | st.integers(0, 8),
    keep_size=st.none() | st.integers(1, 30),
)
_ended = st.builds(
    EndedExecution,
    execution=st.uuids().map(str),
    status=st.sampled_from(["success", "error", "killed", "system_restart"]),
    ended_s=st.integers(950, 1010).map(float),
    size=st.none() | st.integers(0, 12),
)
_histories = st.lists(_ended, max_size=70).map(
    lambda found: sorted(found, key=lambda each: -each.ended_s)
)


def surviving(history: Sequence[EndedExecution], retention: Retention) -> list[EndedExecution]:
    """Return the outputs that stay: remove the oldest until everything is within bounds."""
    assert retention.keep_for is not None
    own = retention.failures_keep_for
    longest = {False: retention.keep_for, True: max(retention.keep_for, own or timedelta())}
    left = [each for each in history if each.size is not None]
    for is_failure in (False, True):
        kind = [each for each in left if own is None or (each.status != "success") is is_failure]
        while kind and (
            len(kind) > (1e9 if retention.keep_count is None else retention.keep_count)
            or sum(each.size or 0 for each in kind) > (retention.keep_size or 1e9)
            or NOW_S - kind[-1].ended_s > longest[kind[-1].status != "success"].total_seconds()
        ):
            left.remove(kind.pop())
    return left


@given(_histories, _retentions)
def test_the_oldest_outputs_go_until_all_are_within_bounds(
    history: list[EndedExecution], retention: Retention
) -> None:
    judged = list(verdicts(history, retention, now_s=NOW_S))
    assert [each.ended for each in judged] == history
    kept = [
        each.ended for each in judged if each.ended.size is not None and not each.deletes_output
    ]
    assert kept == surviving(history, retention)


@given(_histories, _retentions, st.booleans())
def test_a_result_goes_only_with_its_output_and_the_newest_never(
    history: list[EndedExecution], retention: Retention, keeps_results: bool
) -> None:
    judged = list(verdicts(history, retention, now_s=NOW_S, keeps_results=keeps_results))
    has_success = False
    for index, each in enumerate(judged):
        is_bare = each.deletes_output or each.ended.size is None
        is_last_success = each.ended.status == "success" and not has_success
        has_success = has_success or is_last_success
        is_safe = keeps_results and (index < NEWEST_RESULTS or is_last_success)
        assert each.deletes_result is (is_bare and not is_safe)


@given(_histories, _retentions)
def test_without_a_clock_nothing_is_too_old(
    history: list[EndedExecution], retention: Retention
) -> None:
    unlimited = Retention(keep_for=timedelta(0))
    assert not any(each.deletes_output for each in verdicts(history, unlimited, now_s=None))
    gone = {each.ended for each in verdicts(history, retention, now_s=None) if each.deletes_output}
    assert gone <= {
        each.ended for each in verdicts(history, retention, now_s=NOW_S) if each.deletes_output
    }


@given(_histories, _retentions)
def test_a_second_look_removes_nothing(history: list[EndedExecution], retention: Retention) -> None:
    judged = verdicts(history, retention, now_s=NOW_S)
    left = [
        each.ended._replace(size=None) if each.deletes_output else each.ended
        for each in judged
        if not each.deletes_result
    ]
    again = list(verdicts(left, retention, now_s=NOW_S))
    assert not any(each.deletes_output or each.deletes_result for each in again)


def test_what_a_request_does_not_set_comes_from_the_default() -> None:
    own = Retention(keep_count=3)
    assert own.over(RETENTION) == Retention(keep_for=timedelta(days=30), keep_count=3)
    assert Retention(keep_for=timedelta(0)).over(RETENTION).keep_for == timedelta(0)


@pytest.mark.parametrize("is_known", [True, False])
def test_a_request_in_force_comes_before_what_its_state_remembers(is_known: bool) -> None:
    request = request_of(RunImmediately(), "p")
    states = {"p": seen(request)} if is_known else {}
    assert retention_in_force("p", {"p": request}, states, RETENTION) == RETENTION
    assert retention_in_force("p", {}, states, RETENTION) == RETENTION
