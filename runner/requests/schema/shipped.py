"""The shipped schemas and the library's validators of them, made once each.

Reads package resources. The library is imported with the first validator: a command
that checks no document does not pay for it.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any

from runner.resources import schema_text

if TYPE_CHECKING:
    from jsonschema.protocols import Validator


def is_request(data: Any) -> bool:
    """Report whether a document's data satisfies the schema of process requests."""
    return validator_of("process-request").is_valid(data)


def is_name(text: Any) -> bool:
    """Report whether a text is a valid request name."""
    return _name_validator().is_valid(text)


@cache
def keys_excluded_by(key: str) -> frozenset[str]:
    """Return the keys that a process cannot have beside `key`."""
    process = schema_of("process-request")["properties"]["process"]
    others = process["dependencies"][key]["properties"]
    return frozenset(other for other, demand in others.items() if demand is False)


@cache
def schema_of(name: str) -> dict[str, Any]:
    """Return a shipped schema by its name."""
    schema: dict[str, Any] = json.loads(schema_text(name))
    return schema


@cache
def validator_of(name: str) -> Validator:
    """Return the validator of a shipped schema.

    JSON Schema accepts 5.0 as an integer; a request does not, because a value is stored
    and shown as it is written.
    """
    from jsonschema import Draft7Validator
    from jsonschema.validators import extend

    checker = Draft7Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
    strict: type[Validator] = extend(Draft7Validator, type_checker=checker)  # type: ignore[no-untyped-call]
    return strict(_library_schema(name))


@cache
def _name_validator() -> Validator:
    name = _library_schema("process-request")["properties"]["name"]
    return validator_of("process-request").evolve(schema=name)


@cache
def _library_schema(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(schema_text(name), object_hook=_for_the_library)
    return schema


def _for_the_library(part: dict[str, Any]) -> dict[str, Any]:
    """Rewrite a part of a schema so that the library reads it as the standard says.

    Python's `$` also matches before a final line break. And an error of a key whose
    schema is `false` lacks the key in its path; one of `{"not": {}}`, which allows as
    little, has it.
    """
    if isinstance(pattern := part.get("pattern"), str):
        part["pattern"] = re.sub(r"\$$", r"\\Z", pattern)
    if isinstance(properties := part.get("properties"), dict):
        part["properties"] = {
            key: {"not": {}} if below is False else below for key, below in properties.items()
        }
    return part
