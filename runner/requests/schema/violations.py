"""The library's errors for an invalid document, worded for users. Pure.

The library builds a new validator for every subschema, which takes most of its time. So
the keywords that descend are replaced by equivalents that look up a subschema's checks
once. Other checks are replaced to be stricter, or to avoid a message of a megabyte that
nobody sees.
"""

from __future__ import annotations

from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from jsonschema import Draft7Validator, ValidationError
from jsonschema.validators import extend

from runner.requests.findings import MOST_FINDINGS, DataPath, Finding
from runner.requests.schema.acceptance import Schema, compiled
from runner.requests.schema.wording import worded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    Errors = Iterator[ValidationError]
    Found = tuple[ValidationError, ...]
    Check = tuple[Callable[[Any, Any, object, Schema], Iterable[ValidationError] | None], str, Any]


def violations_in(data: object, schema: Mapping[str, Any]) -> tuple[Finding, ...]:
    """Return the violations of `schema` in a document's data, at most `MOST_FINDINGS`."""
    validator = _strict()(schema)
    errors = islice(_below(validator, data, schema), MOST_FINDINGS)
    found: dict[tuple[DataPath, str], Finding] = {}
    for finding in (worded(error, schema, data) for error in errors):
        # The same message for several keys of a mapping is one finding; for several
        # entries of a list it is several.
        is_entry = bool(finding.path) and isinstance(finding.path[-1], int)
        found.setdefault(
            (finding.path if is_entry else finding.path[:-1], finding.message), finding
        )
    return tuple(found.values())


@cache
def _strict() -> Any:
    """Return the validator class, untyped because the library's types lack what
    `extend` returns.
    """
    keywords = {
        "type": _type,
        "enum": _enum,
        "const": _const,
        "properties": _properties,
        "additionalProperties": _additional_properties,
        "propertyNames": _property_names,
        "items": _items,
        "allOf": _all_of,
        "dependencies": _dependencies,
        "anyOf": _any_of,
        "required": _required,
        "if": _if,
        "pattern": _pattern,
    }
    return extend(Draft7Validator, keywords)  # type: ignore[no-untyped-call]


_checks_made: dict[int, tuple[Schema, tuple[Check, ...]]] = {}
"""Checks by the `id` of a subschema.

The subschema is kept too, so that its `id` stays unique.
"""


def _checks(validator: Any, schema: Schema) -> tuple[Check, ...]:
    """Return the checks of a subschema, from the library or from here."""
    made = _checks_made.get(id(schema))
    if made is None:
        demands = {"false": schema} if isinstance(schema, bool) else schema
        known = {**validator.VALIDATORS, "false": _false}
        checks = tuple(
            (known[word], word, demand) for word, demand in demands.items() if word in known
        )
        made = _checks_made[id(schema)] = (schema, checks)
    return made[1]


def _below(
    validator: Any, instance: object, schema: Schema, path: str | int | None = None
) -> Errors:
    """Yield the violations of `schema` in `instance`, which is at `path`."""
    for check, keyword, demand in _checks(validator, schema):
        for error in check(validator, demand, instance, schema) or ():
            error._set(validator=keyword, validator_value=demand, instance=instance, schema=schema)  # type: ignore[attr-defined]
            if path is not None:
                error.path.appendleft(path)
            yield error


def _false(_: Any, allowed: bool, __: object, ___: Schema) -> Found:
    return () if allowed else (ValidationError(""),)


_TYPES: dict[str, Callable[[object], bool]] = {
    "string": lambda value: isinstance(value, str),
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "null": lambda value: value is None,
}


def _type(_: Any, types: str | list[str], instance: object, __: Schema) -> Found:
    """Check the type; `5.0` is not an integer here, unlike in JSON Schema."""
    names = (types,) if isinstance(types, str) else types
    return () if any(_TYPES[name](instance) for name in names) else (ValidationError(""),)


def _enum(_: Any, choices: list[str], instance: object, __: Schema) -> Found:
    return () if isinstance(instance, str) and instance in choices else (ValidationError(""),)


def _const(_: Any, constant: object, instance: object, __: Schema) -> Found:
    return (
        () if type(instance) is type(constant) and instance == constant else (ValidationError(""),)
    )


def _properties(
    validator: Any, properties: Mapping[str, Schema], instance: object, _: Schema
) -> Errors:
    if isinstance(instance, dict):
        for key, value in instance.items():
            if key in properties:
                yield from _below(validator, value, properties[key], key)


def _additional_properties(
    validator: Any, below: Schema, instance: object, schema: Mapping[str, Any]
) -> Errors:
    if isinstance(instance, dict):
        known = schema.get("properties", {})
        for key, value in instance.items():
            if key in known:
                continue
            if below is False:
                yield ValidationError("", validator="additionalProperties", path=(key,))
            else:
                yield from _below(validator, value, below, key)


def _property_names(validator: Any, below: Schema, instance: object, _: Schema) -> Errors:
    if isinstance(instance, dict):
        for key in instance:
            for error in _below(validator, key, below, key):
                error.validator = "propertyNames"
                yield error


def _items(validator: Any, below: Schema, instance: object, schema: Mapping[str, Any]) -> Errors:
    if isinstance(instance, list):
        for index, value in enumerate(instance[: schema.get("maxItems")]):
            yield from _below(validator, value, below, index)


def _all_of(validator: Any, schemas: list[Schema], instance: object, _: Schema) -> Errors:
    for schema in schemas:
        yield from _below(validator, instance, schema)


def _any_of(validator: Any, schemas: list[Schema], instance: object, _: Schema) -> Found:
    return (
        ()
        if any(_holds(validator, instance, schema) for schema in schemas)
        else (ValidationError(""),)
    )


def _required(_: Any, needed: list[str], instance: object, __: Schema) -> Found:
    if not isinstance(instance, dict):
        return ()
    missing = (key for key in needed if key not in instance)
    return tuple(ValidationError("", validator="required", validator_value=key) for key in missing)


def _dependencies(
    validator: Any, dependencies: Mapping[str, Any], instance: object, _: Schema
) -> Errors:
    if isinstance(instance, dict):
        for key in instance:
            below = dependencies.get(key)
            if isinstance(below, list):
                if any(needed not in instance for needed in below):
                    yield ValidationError("", validator="dependencies", path=(key,))
            elif below is not None:
                yield from _below(validator, instance, below)


def _if(validator: Any, condition: Schema, instance: object, schema: Mapping[str, Any]) -> Errors:
    branch = "then" if _holds(validator, instance, condition) else "else"
    if branch in schema:
        yield from _below(validator, instance, schema[branch])


def _holds(validator: Any, instance: object, schema: Schema) -> bool:
    return next(_below(validator, instance, schema), None) is None


def _pattern(_: Any, pattern: str, instance: object, __: Schema) -> Found:
    return (
        ()
        if not isinstance(instance, str) or compiled(pattern).search(instance)
        else (ValidationError(""),)
    )
