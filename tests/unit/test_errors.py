"""Errors as users see them."""

from __future__ import annotations

import inspect

import pytest

from runner import errors
from runner.errors import (
    LogUnwritableError,
    NoRunnerError,
    Problem,
    RefusedError,
    RuleError,
    RunnerError,
    StoreError,
    StoreInUseError,
    StoreUnwritableError,
    UsageError,
)


@pytest.mark.parametrize(
    ("kind", "exit_code"),
    [
        (RunnerError, 1),
        (UsageError, 2),
        (NoRunnerError, 4),
        (RefusedError, 1),
        (StoreError, 1),
        (StoreInUseError, 1),
        (StoreUnwritableError, 1),
        (LogUnwritableError, 1),
        (RuleError, 1),
    ],
)
def test_each_error_is_its_text_and_has_the_exit_code_of_the_design(
    kind: type[RunnerError], exit_code: int
) -> None:
    assert kind.exit_code == exit_code
    assert str(kind("what is wrong")) == "what is wrong"


def test_all_errors_have_one_root() -> None:
    kinds = [
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, Exception)
    ]
    assert len(kinds) > 8
    assert all(issubclass(kind, RunnerError) for kind in kinds)


def test_a_store_that_is_in_use_or_unwritable_is_a_store_that_cannot_be_used() -> None:
    assert issubclass(StoreInUseError, StoreError)
    assert issubclass(StoreUnwritableError, StoreError)


def test_a_rule_error_says_where_and_how_to_fix_it() -> None:
    error = RuleError("no such day", field=("schedule", "at", 0), suggestion="write 02:00")
    assert (str(error), error.field, error.suggestion) == (
        "no such day",
        ("schedule", "at", 0),
        "write 02:00",
    )
    assert (RuleError("bare").field, RuleError("bare").suggestion) == ((), None)


def test_a_problem_reads_as_compilers_write_theirs() -> None:
    problem = Problem(file="jobs.d/a.yaml", line=3, column=7, path="timing", message="it is wrong")
    assert str(problem) == "jobs.d/a.yaml:3:7: it is wrong"


def test_a_problem_ends_with_its_fix() -> None:
    problem = Problem(
        file="a.yaml", line=1, column=1, path="", message="it is wrong", suggestion="do it right"
    )
    assert str(problem) == "a.yaml:1:1: it is wrong (do it right)"
