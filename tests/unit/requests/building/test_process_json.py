"""The JSON text of a process for the store: reading it is the exact inverse of writing it."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.lifecycle import IfInterrupted, OnOverlap
from runner.requests.building.process_json import process_from, process_text
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

words = st.text(st.characters(codec=None, exclude_categories=()), max_size=8)
counts = st.integers(1, 1 << 40)
spans = st.timedeltas(timedelta(), timedelta(days=36525))
codes = st.frozensets(st.integers(0, 255), min_size=1, max_size=4)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | words,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=2),
    max_leaves=4,
)
simple: st.SearchStrategy[Action] = (
    st.builds(Program, arguments=st.lists(words, min_size=1, max_size=3).map(tuple))
    | st.builds(Shell, line=words)
    | st.builds(Python, target=words)
    | st.builds(Reference, request=words)
)


def processes(actions: st.SearchStrategy[Action]) -> st.SearchStrategy[Process]:
    limits = st.builds(
        Limits,
        memory=st.none() | counts,
        cpu=st.none() | spans,
        open_files=st.none() | counts,
        processes=st.none() | counts,
    )
    retry = st.builds(
        Retry,
        attempts=counts,
        delay=spans,
        backoff=st.floats(1, 1e9),
        max_delay=st.none() | spans,
        exit_codes=st.none() | codes,
    )
    optional = {
        "environment": st.dictionaries(words, words, max_size=3),
        "environment_files": st.lists(words, max_size=2).map(tuple),
        "secrets": st.lists(words, max_size=2).map(tuple),
        "params": st.dictionaries(words, values, max_size=2),
        "condition": st.builds(
            Condition, command=st.lists(words, max_size=2).map(tuple), shell=words, timeout=spans
        ),
        "stdin": words,
        "run_as": st.builds(RunAs, user=words, group=st.none() | words),
        "umask": st.integers(0, 0o777),
        "nice": st.integers(-20, 19),
        "limits": limits,
        "timeout": spans,
        "stop_signal": st.integers(1, 64),
        "stop_grace": spans,
        "prevent_concurrent": st.booleans(),
        "on_overlap": st.sampled_from(OnOverlap),
        "success": st.builds(
            Success,
            exit_codes=codes,
            fail_on_stderr=st.booleans(),
            fail_on_output=st.lists(words, max_size=2).map(tuple),
        ),
        "retry": retry,
        "output_limit": counts,
        "if_interrupted": st.sampled_from(IfInterrupted),
        "queue": words,
        "scheduled": st.booleans(),
        "emptied": st.lists(words, max_size=2).map(tuple),
    }
    required: dict[str, st.SearchStrategy[Any]] = {
        "name": words,
        "directory": words,
        "action": actions,
    }
    assert {*required, *optional} == {field.name for field in fields(Process)}
    return st.fixed_dictionaries(required, optional=optional).map(lambda given: Process(**given))


groups = st.builds(
    Group,
    members=st.lists(processes(simple), min_size=1, max_size=2).map(tuple),
    stop_on_failure=st.booleans(),
)


@settings(max_examples=100)
@given(processes(simple | groups))
def test_reading_is_the_inverse_of_writing(process: Process) -> None:
    text = process_text(process)
    again = process_from(text)
    assert again == process
    assert process_text(again) == text  # `==` cannot distinguish 1, 1.0 and true; the text can
    assert text.isascii()
    assert "\n" not in text


PLAIN = Process(name="a", action=Program(arguments=("ls", "-l")), directory="/srv")


def test_a_plain_process_is_a_short_text() -> None:
    assert process_text(PLAIN) == '{"name":"a","directory":"/srv","command":["ls","-l"]}'


def test_a_value_equal_to_its_default_is_left_out() -> None:
    explicit = replace(
        PLAIN,
        success=Success(exit_codes=frozenset({0})),
        stop_grace=timedelta(seconds=10),
        environment={},
    )
    assert process_text(explicit) == process_text(PLAIN)


def test_every_field_but_three_is_optional() -> None:
    """A field that a later version adds needs a default, because an earlier text lacks it."""
    needed = {
        each.name
        for each in fields(Process)
        if each.default is MISSING and each.default_factory is MISSING
    }
    assert needed == {"name", "action", "directory"}


def test_keys_of_a_later_version_are_ignored() -> None:
    text = process_text(replace(PLAIN, run_as=RunAs(user="erp")))
    data = json.loads(text)
    data["colour"] = "blue"
    data["run_as"]["hat"] = 5
    assert process_text(process_from(json.dumps(data))) == text


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"name":"a","directory":"/"}', '{"name":"a","command":["x"]}']
)
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        process_from(text)
