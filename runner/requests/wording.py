"""From what the schema's validator objects to, to what a person can act on. Pure.

A subschema's `title` says in words what is expected there ("a duration"), its first example what would be right; the
validator's own messages are never shown: they are jargon, and contain the whole value.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

import yaml

from runner.errors import RuleError
from runner.requests.excepted import parse_date
from runner.requests.findings import DataPath, Finding, nearest, plain, shown, value_at
from runner.timing.texts import read_clock, read_moment
from runner.values import parse_duration, parse_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from jsonschema import ValidationError

_NOUNS = {
    "string": "text", "integer": "a whole number", "number": "a number", "boolean": "true or false",
    "array": "a list", "object": "a mapping", "null": "nothing",
}  # fmt: skip
_READERS: dict[str, Callable[[str], object]] = {
    "a duration": parse_duration,
    "a size": parse_size,
    "a date": parse_date,
    **dict.fromkeys(("a time of day", "a time of day or a list of them"), partial(read_clock, field=())),
    **dict.fromkeys(
        ("a date with a time of day", "a date, with or without a time of day"), partial(read_moment, field=())
    ),
}
"""What knows best why a text is not what a title says."""
_NAME = "a name:"


def worded(error: ValidationError, root: Mapping[str, Any], data: object) -> Finding:
    """Return what a validation error of `data` against the schema `root` means for people."""
    path: DataPath = tuple(error.path)
    schema = error.schema if isinstance(error.schema, dict) else {}
    expected: Any = error.validator_value
    subject, value = _subject(path), error.instance
    match error.validator:
        case "type":
            return _wrong_type(path, subject, value, schema)
        case "pattern" | "enum" | "const":
            return _wrong_value(path, subject, value, schema)
        case "required":
            return _missing(path, str(expected), schema, root)
        case "additionalProperties":
            return _unknown(path, schema, root)
        case "false":
            return _out_of_place(path, data, root)
        case "anyOf":
            keys = _listed(_alternatives(schema), "or")
            return Finding(path=path, message=f"{subject} needs one of {keys}")
        case "dependencies":
            key = str(path[-1])
            missing = _listed(tuple(expected[key]), "and")
            return Finding(path=path, message=f"`{key}` requires {missing}", at_key=True)
        case "propertyNames":
            message = f"`{plain(str(path[-1]))}` cannot be {schema.get('title', 'a key')}"
            return Finding(path=path, message=message, at_key=True)
    return Finding(path=path, message=_bound(error.validator, expected, subject, value), suggestion=_example(schema))


def _wrong_type(path: DataPath, subject: str, value: object, schema: Mapping[str, Any]) -> Finding:
    types = schema["type"]
    noun = _NOUNS[types if isinstance(types, str) else types[0]]
    expected = str(schema.get("title", noun)) if path else noun
    if value is None:
        return Finding(path=path, message=f"{subject} is empty; it should be {expected}", suggestion=_example(schema))
    if expected in ("a duration", "a size") and isinstance(value, int | float) and not isinstance(value, bool):
        return _complaint(path, expected, str(value), schema)
    suggestion = _example(schema)
    if "string" in types and isinstance(value, bool | int | float):
        suggestion = f'quote it: "{shown(value)}"'
    elif "array" in types and isinstance(value, str) and value in schema["items"].get("enum", [value]):
        suggestion = f"write it as a list: [{plain(value)}]"
    return Finding(path=path, message=f"{subject} should be {expected}, not {shown(value)}", suggestion=suggestion)


def _wrong_value(path: DataPath, subject: str, value: object, schema: Mapping[str, Any]) -> Finding:
    choices = schema.get("enum", [])
    expected = str(schema.get("title", "something else"))
    if expected in _READERS and isinstance(value, str):
        return _complaint(path, expected, value, schema)
    if 1 < len(choices) < 9:
        expected = f"one of {', '.join(choices)}" if isinstance(value, str) else expected
    suggestion = nearest(value, choices) if isinstance(value, str) else None
    if expected.startswith(_NAME) and isinstance(value, str):
        suggestion = name_suggestion(value)
    message = f"{subject} should be {expected}, not {shown(value)}"
    return Finding(path=path, message=message, suggestion=suggestion or _example(schema))


def name_suggestion(text: str) -> str | None:
    """Suggest the nearest name a request may have.

    >>> name_suggestion("Nightly Posting!")
    'for example nightly-posting'
    """
    name = re.sub(r"[^a-z0-9._-]+", "-", text[:200].lower()).strip("-._")[:100]
    return f"for example {name}" if name else None


def _missing(path: DataPath, key: str, schema: Mapping[str, Any], root: Mapping[str, Any]) -> Finding:
    # A subschema without a type is a branch for some case; its title names the case.
    message = f"`{key}` is missing" if "type" in schema else f"{schema.get('title', 'this')} needs `{key}`"
    own = schema.get("properties", {}).get(key)
    example = _example(own if isinstance(own, dict) else _below(_schema_at(root, path), key), key)
    return Finding(path=path, message=message, suggestion=example)


def _unknown(path: DataPath, schema: Mapping[str, Any], root: Mapping[str, Any]) -> Finding:
    key = str(path[-1])
    homes = _homes(root, key)
    if homes:
        suggestion: str | None = f"it belongs in {' or '.join(homes)}"
    else:
        suggestion = nearest(key, schema.get("properties", {}))
    where = "a request" if len(path) == 1 else f"`{plain(str(path[-2]))}`"
    message = f"`{plain(key)}` is not a key of {where}"
    return Finding(path=path, message=message, suggestion=suggestion, at_key=True)


def _out_of_place(path: DataPath, data: object, root: Mapping[str, Any]) -> Finding:
    """Word a key that is known and has no place beside its neighbours."""
    key, parent = str(path[-1]), value_at(data, path[:-1])
    assert isinstance(parent, dict)  # it has the key that is out of place
    alternatives = _alternatives(_schema_at(root, path[:-1]))
    if key in alternatives:
        here = tuple(each for each in alternatives if each in parent)
        message = (
            f"{_subject(path[:-1])} has exactly one of {_listed(alternatives, 'and')}; here are {_listed(here, 'and')}"
        )
        return Finding(path=path, message=message, suggestion="make them requests of their own", at_key=True)
    frequency = str(parent.get("frequency"))
    owners = _listed(tuple(_owners(root, key)), "and", mark="")
    return Finding(path=path, message=f"`{key}` belongs to {owners}; this is {frequency}", at_key=True)


def _bound(keyword: object, expected: object, subject: str, value: Any) -> str:
    match keyword:
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
    return f"{subject} is not as it should be"


def _complaint(path: DataPath, expected: str, text: str, schema: Mapping[str, Any]) -> Finding:
    """Let the one that will read a text say what is wrong with it."""
    message, suggestion = f"{shown(text)} is not {expected}", _example(schema)
    try:
        _READERS[expected](plain(text))
    except ValueError as error:
        message = str(error)
    except RuleError as error:
        message, suggestion = str(error), error.suggestion or suggestion
    return Finding(path=path, message=message, suggestion=suggestion)


def _example(schema: Mapping[str, Any], key: str | None = None) -> str | None:
    examples = schema.get("examples")
    if not examples:
        return None
    text = yaml.safe_dump(examples[0], default_flow_style=True, width=1000, allow_unicode=True)
    text = text.removesuffix("...\n").strip()
    return f"for example {key}: {text}" if key else f"for example {text}"


def _subject(path: DataPath) -> str:
    if not path:
        return "a request"
    if isinstance(path[-1], int):
        return f"`{plain(str(path[-2]))}[{path[-1]}]`" if len(path) > 1 else f"entry {path[-1]}"
    return f"`{plain(path[-1])}`"


def _listed(words: tuple[str, ...], conjunction: str, mark: str = "`") -> str:
    marked = [f"{mark}{word}{mark}" for word in words]
    return f" {conjunction} ".join([", ".join(marked[:-1]), marked[-1]]) if len(marked) > 1 else "".join(marked)


def _alternatives(schema: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(key for choice in schema.get("anyOf", ()) for key in choice["required"])


def _below(schema: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = schema.get("properties", schema.get("else", {}).get("properties", {})).get(key, {})
    return found if isinstance(found, dict) else {}


def _schema_at(root: Mapping[str, Any], path: DataPath) -> Mapping[str, Any]:
    """Return the subschema of a path of mappings; of an alternative, the one for mappings."""
    schema = root
    for part in path:
        schema = _below(schema, str(part))
    return schema if "properties" in schema else schema.get("else", schema)


def _owners(root: Mapping[str, Any], key: str) -> Iterator[str]:
    """Yield the frequencies to which a key of a schedule belongs: those whose branch does not forbid it."""
    for branch in _schema_at(root, ("timing", "schedule"))["allOf"]:
        condition = branch["if"]["properties"]["frequency"]
        if branch["then"]["properties"].get(key) is not False:
            yield from condition.get("enum", [condition.get("const")])


_MAPPINGS: tuple[tuple[str, ...], ...] = (
    (), ("process",), ("timing",), ("timing", "run_later"), ("timing", "schedule"),
)  # fmt: skip


def _homes(root: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """Return the mappings that have a key, as dotted paths."""
    having = (path for path in _MAPPINGS if key in _schema_at(root, path).get("properties", {}))
    return tuple(f"`{'.'.join(path)}`" if path else "the request itself" for path in having)
