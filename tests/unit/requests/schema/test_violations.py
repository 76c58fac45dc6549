"""From the library's errors to one violation for each place."""

from __future__ import annotations

from typing import Any

import pytest

from runner.requests.schema.shipped import schema_of, validator_of
from runner.requests.schema.violations import Violation, violations_in

DATES = [f"2026-01-{day:02}" for day in range(1, 32)]


def violations(document: Any) -> list[Violation]:
    return violations_in(document, validator_of("process-request"))


def request(process: dict[str, Any], **top: Any) -> dict[str, Any]:
    return {"process": {"shell": "x", **process}, **top}


@pytest.mark.parametrize(
    ("document", "path", "keyword", "expected"),
    [
        ({}, (), "required", "process"),
        (request({"nice": 99}), ("process", "nice"), "maximum", 19),
        (request({"nic": 1}), ("process", "nic"), "additionalProperties", False),
        (request({"command": ["x"]}), ("process", "command"), "not", {}),
        (request({"environment": {"A=": "1"}}), ("process", "environment", "A="), "propertyNames",
         r"^[^=]+\Z"),
        (request({}, timing={"schedule": {"frequency": "hourly", "repetitions": 2}}),
         ("timing", "schedule", "repetitions"), "dependencies", "start"),
        (request({}, timing={"schedule": {"frequency": "hourly", "at": "10:00"}}),
         ("timing", "schedule", "at"), "not", {}),
    ],
)  # fmt: skip
def test_a_violation_is_at_the_key_that_it_is_about(
    document: Any, path: tuple[str | int, ...], keyword: str, expected: Any
) -> None:
    (found,) = violations(document)
    assert (found.path, found.keyword, found.expected) == (path, keyword, expected)


def test_each_unknown_key_is_a_violation_of_its_own() -> None:
    paths = [each.path for each in violations(request({"nic": 1, "tymeout": "5s"}, ownr="x"))]
    assert paths == [("process", "nic"), ("process", "tymeout"), ("ownr",)]


def test_violations_follow_the_document_and_not_the_schema() -> None:
    """The library visits free keys in the order of a set, which differs in each process."""
    labels = {f"label-{number}": number for number in range(40)}
    document = {"labels": labels, "process": {"timeout": 3, "command": 4}, "name": 5}
    paths = [each.path for each in violations(document)]
    assert paths == [
        *(("labels", key) for key in labels),
        ("process", "timeout"),
        ("process", "command"),
        ("name",),
    ]


def test_an_entry_of_a_list_comes_after_the_entries_before_it() -> None:
    document = request({}, timing={"schedule": {"frequency": "hourly", "except": [1, *DATES, 2]}})
    assert [each.path[-1] for each in violations(document)] == [0, 32]


def test_the_examples_of_the_schema_have_no_violation() -> None:
    for example in schema_of("process-request")["examples"]:
        assert violations(example) == []


def test_a_document_with_a_hundred_thousand_mistakes_has_a_bounded_number_of_violations() -> None:
    assert len(violations(request({"command": list(range(100_000))}))) <= 1001
