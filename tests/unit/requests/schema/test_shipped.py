"""The validators of the shipped schemas: the library's own, and exactly as strict as meant."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft7Validator

from runner.requests.schema.shipped import is_name, schema_of, validator_of

SCHEMAS = ("process-request", "defaults", "runner")
VALUES: list[Any] = [None, True, 0, 1, 40, -1, 1.5, "", "x", "daily", "30m", [], ["x"], [1], {}]
VALUES += [{"x": "y"}, {"shell": "x"}, {"command": ["x"], "shell": "x"}]
ANNOTATIONS = {"$schema", "$id", "$comment", "title", "description", "examples", "default"}


def subschemas(schema: Any) -> Iterator[Any]:
    """Yield a schema and every schema in it."""
    yield schema
    if isinstance(schema, bool):
        return
    for keyword, below in schema.items():
        if keyword in {"properties", "dependencies"}:
            parts = [each for each in below.values() if not isinstance(each, list)]
        elif keyword in {"allOf", "anyOf"}:
            parts = below
        elif keyword in {"if", "then", "else", "items", "propertyNames", "additionalProperties"}:
            parts = [below]
        else:
            continue
        for part in parts:
            yield from subschemas(part)


def examples_in(schema: Any) -> Iterator[Any]:
    for part in subschemas(schema):
        if isinstance(part, dict):
            yield from part.get("examples", ())


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_library_judges_with_its_own_keywords(name: str) -> None:
    Draft7Validator.check_schema(schema_of(name))
    assert validator_of(name).VALIDATORS == Draft7Validator.VALIDATORS


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_library_knows_every_keyword_of_the_schema(name: str) -> None:
    """The library ignores a misspelt keyword, and everything would be allowed."""
    parts = [part for part in subschemas(schema_of(name)) if isinstance(part, dict)]
    used = {keyword for part in parts for keyword in part}
    # The library reads `then` and `else` with `if`.
    assert used <= {*Draft7Validator.VALIDATORS, "then", "else", *ANNOTATIONS}


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_part_of_a_schema_allows_what_the_library_allows_by_the_file(name: str) -> None:
    """The schema is rewritten before the library reads it; the meaning stays."""
    ours, theirs = validator_of(name), Draft7Validator(schema_of(name))
    parts = list(zip(subschemas(ours.schema), subschemas(schema_of(name)), strict=True))
    assert len(parts) >= 10
    for rewritten, part in parts:
        for value in [*VALUES, *examples_in(part)]:
            verdicts = [
                each.evolve(schema=schema).is_valid(value)
                for each, schema in ((ours, rewritten), (theirs, part))
            ]
            assert verdicts[0] == verdicts[1], (json.dumps(part), value)


def test_a_number_with_a_point_is_not_an_integer() -> None:
    request: Any = {"process": {"shell": "x", "nice": 5.0}}
    assert Draft7Validator(schema_of("process-request")).is_valid(request)
    assert not validator_of("process-request").is_valid(request)


def test_true_is_not_an_integer() -> None:
    assert not validator_of("process-request").is_valid({"process": {"shell": "x", "nice": True}})


@pytest.mark.parametrize(("text", "verdict"), [("a.b-c", True), ("a\n", False), (1, False)])
def test_a_name_matches_its_pattern_to_the_very_end(text: object, verdict: bool) -> None:
    assert is_name(text) is verdict


def test_a_validator_is_made_once() -> None:
    assert validator_of("process-request") is validator_of("process-request")
