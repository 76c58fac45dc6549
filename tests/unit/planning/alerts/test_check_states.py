"""The machine of a check, over any history of what can happen to a request."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.lifecycle import Check
from runner.planning.alerts.alert import AlertChange, Change
from runner.planning.alerts.check_states import (
    NOTHING,
    CheckState,
    Fact,
    News,
    after_news,
    check_from,
    check_text,
    concerns,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
checks = st.sampled_from(Check)
facts = st.builds(
    lambda fact, overdue: (fact, overdue), st.sampled_from(Fact), st.sampled_from("abc")
)
histories = st.lists(facts, max_size=30)


def news_of(history: Iterable[tuple[Fact, str]]) -> list[News]:
    return [
        News(
            fact=fact,
            at=NOON + timedelta(seconds=number),
            message=f"{fact} {number}",
            execution=f"execution {number}",
            overdue=overdue,
        )
        for number, (fact, overdue) in enumerate(history)
    ]


def after_history(
    check: Check,
    history: Iterable[tuple[Fact, str]],
    *,
    after: int = 1,
    restarts: frozenset[int] = frozenset(),
) -> tuple[CheckState, list[AlertChange]]:
    state, changes = NOTHING, []
    for number, news in enumerate(news_of(history)):
        if number in restarts:
            state = check_from(check_text(state))
        state, change = after_news(("a", check), state, news, after=after)
        if change is not None:
            changes.append(change)
    return state, changes


@given(checks, histories, st.integers(1, 4))
def test_an_alert_opens_and_closes_in_turn(
    check: Check, history: list[tuple[Fact, str]], after: int
) -> None:
    state, changes = after_history(check, history, after=after)
    opened = None
    for change in changes:
        if change.change is Change.OPENED:
            assert opened is None
            opened = change.alert.id
        else:
            assert change.alert.id == opened
            if change.change is Change.CLOSED:
                opened = None
    assert (state.since is None) == (opened is None)


@given(checks, histories, st.integers(1, 4), st.frozensets(st.integers(0, 30)))
def test_a_restart_at_any_point_changes_nothing(
    check: Check, history: list[tuple[Fact, str]], after: int, restarts: frozenset[int]
) -> None:
    assert after_history(check, history, after=after, restarts=restarts) == after_history(
        check, history, after=after
    )


@given(st.lists(st.booleans(), max_size=40), st.integers(1, 5))
def test_a_failure_opens_after_enough_in_a_row_and_the_next_success_closes_it(
    results: list[bool], after: int
) -> None:
    _, changes = after_history(
        Check.FAILURE,
        [(Fact.SUCCEEDED if is_good else Fact.FAILED, "") for is_good in results],
        after=after,
    )
    expected, row = [], 0
    for is_good in results:
        if is_good and row >= after:
            expected.append((Change.CLOSED, row))
        row = 0 if is_good else row + 1
        if row >= after:
            expected.append((Change.OPENED if row == after else Change.COUNTED, row))
    assert [(change.change, change.alert.count) for change in changes] == expected


@given(st.lists(st.tuples(st.sampled_from([Fact.EXPIRED, Fact.ENDED]), st.sampled_from("abc"))))
def test_a_late_check_is_open_while_anything_is_overdue(history: list[tuple[Fact, str]]) -> None:
    overdue: set[str] = set()
    for number, (fact, name) in enumerate(history):
        overdue = overdue | {name} if fact is Fact.EXPIRED else overdue - {name}
        state, _ = after_history(Check.LATE, history[: number + 1])
        assert (state.since is not None) == bool(overdue)


@given(checks, histories)
def test_a_request_that_is_retired_leaves_only_what_still_runs_late(
    check: Check, history: list[tuple[Fact, str]]
) -> None:
    state, changes = after_history(check, [*history, (Fact.RETIRED, "")])
    assert state == replace(NOTHING, overdue=state.overdue)
    assert not changes or changes[-1].change is Change.CLOSED


@given(checks, histories)
def test_what_does_not_concern_a_check_leaves_it_alone(
    check: Check, history: list[tuple[Fact, str]]
) -> None:
    concerning = [each for each in history if concerns(check, each[0])]
    state, _ = after_history(check, history)
    counted, _ = after_history(check, concerning)
    assert state.count == counted.count


@pytest.mark.parametrize("check", [Check.ABSENT, Check.INVALID, Check.RELOAD, Check.QUEUE])
def test_the_time_of_a_check_counts_from_its_beginning(check: Check) -> None:
    state, _ = after_history(check, [(Fact.COUNTING, ""), (Fact.STARTED, ""), (Fact.COUNTING, "")])
    assert state.counted_from == NOON


def test_the_time_without_a_success_counts_from_the_last_one() -> None:
    state, changes = after_history(
        Check.ABSENT, [(Fact.COUNTING, ""), (Fact.EXPIRED, ""), (Fact.SUCCEEDED, "")]
    )
    assert state.counted_from == NOON + timedelta(seconds=2)
    assert [change.change for change in changes] == [Change.OPENED, Change.CLOSED]


def test_a_closed_alert_says_what_ended_it_and_keeps_its_count() -> None:
    _, changes = after_history(
        Check.FAILURE, [(Fact.FAILED, ""), (Fact.FAILED, ""), (Fact.SUCCEEDED, "")]
    )
    closed = changes[-1].alert
    assert (closed.message, closed.execution, closed.count) == ("succeeded 2", "execution 2", 2)
