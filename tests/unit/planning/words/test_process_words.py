"""Processes in words."""

from __future__ import annotations

import signal
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest

from runner.lifecycle import IfInterrupted, OnOverlap
from runner.planning.words.process_words import action_words, member_words, process_words
from runner.requests.model import (
    Action,
    Condition,
    Group,
    Limits,
    Process,
    Program,
    Python,
    Reference,
    Retry,
    RunAs,
    Shell,
    Success,
)

PLAIN = Process(name="plain", action=Shell(line="x"), directory="/srv")
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (Program(arguments=("echo", "a b", "")), "command: echo 'a b' ''"),
        (Shell(line="a | b\n"), "shell: a | b"),
        (Python(target="a.b:c"), "python: a.b:c"),
        (Reference(request="other"), "the process of other"),
        (
            Group(members=(PLAIN,)),
            "a group of 1 member, one after another, even if one fails",
        ),
        (
            Group(members=(PLAIN, PLAIN), stop_on_failure=True),
            "a group of 2 members, one after another, until one fails",
        ),
    ],
)
def test_each_action_is_described_in_one_line(action: Action, words: str) -> None:
    assert action_words(action) == words


SAID: dict[str, tuple[object, str, object]] = {
    "environment": ({"A": "1"}, "environment", {"A": "1"}),
    "environment_files": (("/a.env",), "environment_file", ["/a.env"]),
    "secrets": (("PW",), "secrets", ["PW"]),
    "params": ({"a": 1}, "params", {"a": 1}),
    "stdin": ("é", "stdin", "2 bytes"),
    "run_as": (RunAs(user="erp", group="7"), "run_as", "user erp, group 7"),
    "condition": (
        Condition(command=("test", "-s", "a b"), timeout=MINUTE),
        "if",
        "command: test -s 'a b', at most 1m",
    ),
    "umask": (0o7, "umask", "007"),
    "nice": (0, "nice", "0"),
    "limits": (
        Limits(memory=1 << 30, cpu=MINUTE, open_files=1, processes=2),
        "limits",
        "1GiB of memory, 1m of processor time, 1 open file, 2 processes",
    ),
    "timeout": (MINUTE, "timeout", "1m"),
    "stop_signal": (signal.SIGINT, "stop_signal", "INT"),
    "stop_grace": (timedelta(), "stop_grace", "0s"),
    "prevent_concurrent": (True, "prevent_concurrent", True),
    "on_overlap": (OnOverlap.REPLACE, "on_overlap", "replace"),
    "success": (
        Success(
            exit_codes=frozenset({2, 0}),
            fail_on_stderr=True,
            fail_on_output=("FATAL", "rolled back"),
        ),
        "success",
        "exit codes 0, 2, nothing on standard error,"
        " none of these in the output: FATAL, 'rolled back'",
    ),
    "retry": (Retry(attempts=2), "retry", "2 attempts, 1s between them"),
    "output_limit": (10**7, "output_limit", "10MB"),
    "if_interrupted": (IfInterrupted.RERUN, "if_interrupted", "rerun"),
    "scheduled": (False, "scheduled", "false"),
    "queue": ("gpu", "queue", "gpu"),
    "emptied": (("params",), "params", {}),
}


def test_defaults_are_not_described() -> None:
    assert process_words(PLAIN) == {}
    assert SAID.keys() == {field.name for field in fields(Process)} - {
        "name",
        "action",
        "directory",
    }


@pytest.mark.parametrize("field", SAID)
def test_each_setting_is_described(field: str) -> None:
    value, key, words = SAID[field]
    changes: dict[str, Any] = {field: value}
    assert process_words(replace(PLAIN, **changes)) == {key: words}


@pytest.mark.parametrize(
    ("retry", "words"),
    [
        (Retry(attempts=1), "1 attempt"),
        (Retry(attempts=2, backoff=3, max_delay=MINUTE), "2 attempts, 1s between them"),
        (
            Retry(
                attempts=9,
                delay=MINUTE,
                backoff=1.5,
                max_delay=2 * MINUTE,
                exit_codes=frozenset({75}),
            ),
            "9 attempts, 1m between them, each time 1.5 times as long, at most 2m, "
            "only after exit code 75",
        ),
    ],
)
def test_retries_are_described(retry: Retry, words: str) -> None:
    assert process_words(replace(PLAIN, retry=retry))["retry"] == words


def test_members_are_described_by_their_differences_from_the_group() -> None:
    same = replace(PLAIN, name="g/same", environment={"A": "1"}, secrets=("PW",))
    other = replace(
        same,
        name="g/other",
        directory="/x",
        environment={"B": "hidden"},
        secrets=("PW", "T"),
        nice=5,
    )
    inner = replace(same, name="g/in", action=Group(members=(replace(same, name="g/in/deep"),)))
    reference = replace(same, name="r", action=Reference(request="r"))
    group = replace(same, name="g", action=Group(members=(reference, same, other, inner)))
    assert member_words(group) == [
        "the process of r",
        "g/same: shell: x",
        "g/other: shell: x; directory /x; environment B; secrets T; nice 5",
        "g/in: a group of 1 member, one after another, even if one fails",
        "  g/in/deep: shell: x",
    ]
    assert member_words(PLAIN) == []
