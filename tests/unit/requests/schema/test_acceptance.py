"""The fast verdict on a document, compared with the library's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft7Validator

from runner.requests.schema import acceptance
from runner.requests.schema.acceptance import acceptor
from runner.requests.schema.violations import violations_in
from runner.resources import schema_text

SCHEMA: dict[str, Any] = json.loads(schema_text("process-request"))
VALUES = [
    None,
    True,
    0,
    1,
    40,
    -1,
    1.5,
    "",
    "x",
    "daily",
    "30m",
    [],
    ["x"],
    [1],
    {},
    {"x": "y"},
    {"shell": "x"},
]


def examples_in(schema: Any) -> Iterator[Any]:
    if isinstance(schema, dict):
        yield from schema.get("examples", ())
        for below in schema.values():
            yield from examples_in(below)
    elif isinstance(schema, list):
        for below in schema:
            yield from examples_in(below)


def subschemas(schema: Any) -> Iterator[Any]:
    """Yield every mapping of the schema that constrains a value."""
    if isinstance(schema, dict):
        if (
            schema.keys() & {"type", "enum", "const", "if", "anyOf", "properties"}
            and "$ref" not in schema
        ):
            yield schema
        for below in schema.values():
            yield from subschemas(below)
    elif isinstance(schema, list):
        for below in schema:
            yield from subschemas(below)


def is_of_json(value: Any) -> bool:
    return not isinstance(
        value, float
    )  # the library accepts 5.0 as an integer; this schema does not


def test_each_part_of_the_schema_accepts_what_the_library_accepts() -> None:
    parts = [part for part in subschemas(SCHEMA) if "members" not in json.dumps(part)]
    assert len(parts) > 50
    for part in parts:
        accepts, theirs = acceptor(part), Draft7Validator(part)
        for value in filter(is_of_json, [*VALUES, *examples_in(part)]):
            assert accepts(value) == theirs.is_valid(value), (part, value)


def test_nested_groups_are_checked() -> None:
    accepts = acceptor(SCHEMA)

    def nested(inner: dict[str, object]) -> dict[str, object]:
        return {"process": {"group": {"members": [{"name": "a", "group": {"members": [inner]}}]}}}

    assert accepts(nested({"name": "b", "shell": "x"}))
    assert not accepts(nested({"name": "b", "shell": 1}))


def test_each_part_of_the_schema_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every runner process compiles the schema when it first reads a document."""
    made, make = [], acceptance._Making._new

    def counted(self: acceptance._Making, schema: dict[str, Any]) -> acceptance.Accepts:
        made.append(id(schema))
        return make(self, schema)

    monkeypatch.setattr(acceptance._Making, "_new", counted)
    assert all(map(acceptor(SCHEMA), SCHEMA["examples"]))
    assert len(made) > 100
    assert len(made) == len(set(made))


def test_the_library_finds_nothing_in_an_accepted_document() -> None:
    accepts = acceptor(SCHEMA)
    for document in [*SCHEMA["examples"], *VALUES]:
        assert accepts(document) == (not violations_in(document, SCHEMA)), document


def test_an_unknown_keyword_raises() -> None:
    with pytest.raises(NotImplementedError, match="multipleOf"):
        acceptor({"type": "integer", "multipleOf": 2})
