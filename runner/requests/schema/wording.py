"""From a violation of the schema to a message that a user can act on. Pure.

The `title` of a subschema names what it expects ("a duration"), and its first example
becomes the suggestion. The library's own messages are never shown: they are jargon
and contain the whole value.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from runner.errors import RuleError
from runner.requests.dates import parse_entry
from runner.requests.findings import DataPath, Finding, listed, nearest, plain, shown, subject_of
from runner.requests.schema.hints import suggestions
from runner.requests.schema.lookup import above, alternatives_of, below, is_of_requests, schema_at
from runner.requests.schema.wrong_keys import out_of_place, unknown
from runner.timing.texts import read_clock, read_moment
from runner.values import parse_duration, parse_size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runner.requests.schema.violations import Violation

_NOUNS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "nothing",
}
_READERS: dict[str, Callable[[str], object]] = {
    "a duration": parse_duration,
    "a size": parse_size,
    **dict.fromkeys(
        ("a date or a file of dates", "a date, a file of dates, or a list of them"), parse_entry
    ),
    **dict.fromkeys(
        ("a time of day", "a time of day or a list of them"), partial(read_clock, field=())
    ),
    **dict.fromkeys(
        ("a date with a time of day", "a date, with or without a time of day"),
        partial(read_moment, field=()),
    ),
}
"""For some titles, the parser that explains best why a text is wrong."""
_NAME = "a name:"
_VARIABLE = "a variable's name"


def finding_for(violation: Violation, root: Mapping[str, Any], data: object) -> Finding:
    """Return the finding for a violation of the schema `root` in `data`."""
    path, schema = violation.path, violation.schema
    expected, value = violation.expected, violation.value
    subject = subject_of(path)
    request = data if is_of_requests(root) else None
    match violation.keyword:
        case "type":
            return _wrong_type(path, subject, value, schema, request)
        case "pattern" | "enum" | "const":
            return _wrong_value(path, subject, value, schema, root, request)
        case "required":
            return _missing(path, expected, schema, root)
        case "additionalProperties":
            return unknown(path, schema, root, data)
        case "not":
            return out_of_place(path, data, root)
        case "anyOf":
            return _none_of(path, subject, schema, root)
        case "dependencies":
            return _dependent(path, expected, root)
        case "propertyNames":
            message = f"`{plain(str(path[-1]))}` cannot be {schema.get('title', 'a key')}"
            return Finding(path=path, message=message, at_key=True)
    message = _bound(violation.keyword, expected, str(schema.get("title", "")), subject, value)
    return Finding(
        path=path, message=message, suggestion=_example(schema) or _example(above(root, path))
    )


def _none_of(
    path: DataPath, subject: str, schema: Mapping[str, Any], root: Mapping[str, Any]
) -> Finding:
    """Return the finding for a mapping with none of its alternatives."""
    keys = listed(alternatives_of(schema), "or")
    suggestion = _example(above(root, path), of=dict)
    return Finding(path=path, message=f"{subject} needs one of {keys}", suggestion=suggestion)


def _dependent(path: DataPath, needed: str, root: Mapping[str, Any]) -> Finding:
    """Return the finding for a key without the key that it requires."""
    suggestion = _example(below(schema_at(root, path[:-1]), needed), needed)
    return Finding(
        path=path,
        message=f"`{path[-1]}` requires `{needed}`",
        suggestion=suggestion,
        at_key=True,
    )


def _wrong_type(
    path: DataPath, subject: str, value: object, schema: Mapping[str, Any], data: object
) -> Finding:
    types = schema["type"]
    noun = _NOUNS[types if isinstance(types, str) else types[0]]
    expected = str(schema.get("title", noun)) if path else noun
    if value is None:
        suggestion = _example(schema) or (
            'an empty text is written ""' if "string" in types else None
        )
        return Finding(
            path=path, message=f"{subject} is empty; it should be {expected}", suggestion=suggestion
        )
    if expected in _READERS and isinstance(value, int | float) and not isinstance(value, bool):
        return _complaint(path, expected, str(value), schema)
    suggestion = (
        _meant_value(path, data) or _meant(path, value, expected, schema) or _example(schema)
    )
    return Finding(
        path=path,
        message=f"{subject} should be {expected}, not {shown(value)}",
        suggestion=suggestion,
    )


def _meant(path: DataPath, value: object, expected: str, schema: Mapping[str, Any]) -> str | None:
    """Guess the intended value behind a value of the wrong type."""
    types = schema["type"]
    match value:
        case int() if expected == "a signal's name":
            return suggestions.signal_name(value)
        case int() | float() if expected == "a cron expression":
            return "quote the whole expression"
        case bool() | int() | float() if "string" in types and _may_be(shown(value), schema):
            return f'quote it: "{shown(value)}"'
        case str() if "boolean" in types:
            return suggestions.boolean(value)
        case str() if "integer" in types:
            return suggestions.integer(value)
        case str() if "array" in types:
            return _as_list(value, schema)
        case str() if "object" in types and path[-2:-1] != ("members",):
            return suggestions.mapping(value, schema)
        case list() if "object" in types:
            return suggestions.unlisted(value, schema)
        case list() if path[-1:] == ("shell",):
            return "a list belongs in `command`"
        case dict() if (
            "string" in types
            and len(value) == 1
            and not isinstance(inner := next(iter(value.items())), dict)
        ):
            return f'quote it: "{plain(f"{inner[0]}: {inner[1]}")}"'
    return None


def _as_list(value: str, schema: Mapping[str, Any]) -> str | None:
    items = schema["items"]
    fits = (
        value in items.get("enum", [value])
        and _may_be(value, items)
        and (items.get("type") == "string" or "enum" in items)
    )
    return suggestions.write([value]) if fits else None


def _may_be(text: str, schema: Mapping[str, Any]) -> bool:
    """Report whether a text matches a schema's pattern."""
    return re.search(schema.get("pattern", ""), text) is not None


def _meant_value(path: DataPath, data: object) -> str | None:
    """Return what to write instead of another program's value."""
    # Imported late: a valid document never needs it.
    from runner.requests.schema.hints.meant_values import meant_by_value

    return meant_by_value(path, data) if path and isinstance(data, dict) else None


def _wrong_value(
    path: DataPath,
    subject: str,
    value: object,
    schema: Mapping[str, Any],
    root: Mapping[str, Any],
    data: object,
) -> Finding:
    choices = schema.get("enum", [])
    expected = str(schema.get("title", "something else"))
    if expected in _READERS and isinstance(value, str):
        complaint = _complaint(path, expected, value, schema)
        suggestion = _meant_value(path, data)
        return replace(complaint, suggestion=suggestion) if suggestion else complaint
    if 1 < len(choices) < 9:
        expected = f"one of {', '.join(choices)}" if isinstance(value, str) else expected
    suggestion = nearest(value, choices) if isinstance(value, str) else None
    if expected.startswith(_NAME) and isinstance(value, str):
        suggestion = name_suggestion(value)
    if path == ("timing",) and value == "@reboot":
        suggestion = "no timing runs at each start; run_immediately runs once, when first seen"
    suggestion = _meant_value(path, data) or suggestion
    if path[-1:] == ("days",) and isinstance(value, list):
        suggestion = suggestion or "a list of days belongs to frequency: weekly"
    if path == ("timing",):
        suggestion = suggestion or _example(above(root, path), of=dict)
    given = "its value" if expected == _VARIABLE else shown(value)  # the value may be a secret
    return Finding(
        path=path,
        message=f"{subject} should be {expected}, not {given}",
        suggestion=suggestion or _example(schema) or _example(above(root, path)),
    )


def name_suggestion(text: str) -> str | None:
    """Suggest the nearest valid request name.

    >>> name_suggestion("Nightly Posting!")
    'for example nightly-posting'
    """
    name = re.sub(r"[^a-z0-9._-]+", "-", text[:200].lower()).strip("-._")[:100]
    return f"for example {name}" if name else None


def _missing(
    path: DataPath, key: str, schema: Mapping[str, Any], root: Mapping[str, Any]
) -> Finding:
    # A subschema without a type is a branch; its title names the case ("an inline member").
    message = (
        f"`{key}` is missing"
        if "type" in schema
        else f"{schema.get('title', 'this')} needs `{key}`"
    )
    own = schema.get("properties", {}).get(key)
    of_branch = _example(own, key) if isinstance(own, dict) else None
    return Finding(
        path=path,
        message=message,
        suggestion=of_branch or _example(below(schema_at(root, path), key), key),
    )


def _bound(keyword: object, expected: object, title: str, subject: str, value: Any) -> str:
    match keyword:
        case "minimum" | "maximum" if re.search(rf"\b{expected}\b", title):
            return f"{subject} should be {title}, not {shown(value)}"
        case "minimum":
            return f"{subject} should be {expected} or more, not {shown(value)}"
        case "maximum":
            return f"{subject} should be {expected} or less, not {shown(value)}"
        case "minItems" | "minLength":
            return f"{subject} is empty"
        case "maxItems":
            return f"{subject} has {len(value)} entries; at most {expected} are possible"
        case "maxLength":
            return f"{subject} has {len(value)} characters; at most {expected} are possible"
    return f"{subject} is invalid"


def _complaint(path: DataPath, expected: str, text: str, schema: Mapping[str, Any]) -> Finding:
    """Return the error of the parser that would read the text."""
    message, suggestion = f"{shown(text)} is not {expected}", _example(schema)
    try:
        _READERS[expected](plain(text))
    except ValueError as error:
        message, _, rest = str(error).partition("; ")
        suggestion = (
            (suggestions.duration(text) if expected == "a duration" else None) or rest or suggestion
        )
    except RuleError as error:
        message, suggestion = str(error), error.suggestion or suggestion
    return Finding(path=path, message=message, suggestion=suggestion)


def _example(schema: Mapping[str, Any], key: str | None = None, *, of: type = object) -> str | None:
    """Return the first example of a schema, of type `of`, as YAML on one line."""
    for example in schema.get("examples", ()):
        if isinstance(example, of):
            text = suggestions.flow(example)
            return f"for example {key}: {text}" if key else f"for example {text}"
    return None
