"""From what the schema's validator objects to, to what a person can act on. Pure.

A subschema's `title` says in words what is expected there ("a duration"), its first example what would be right; the
validator's own messages are never shown: they are jargon, and contain the whole value.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from runner.errors import RuleError
from runner.requests import guesses
from runner.requests.excepted import parse_date
from runner.requests.findings import DID_YOU_MEAN, DataPath, Finding, nearest, plain, shown, value_at
from runner.requests.lookup import above, alternatives_of, below, homes_of, owners_of, schema_at
from runner.timing.texts import read_clock, read_moment
from runner.values import parse_duration, parse_size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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
_KINDS: dict[str, Any] = {
    "string": str, "integer": int, "number": (int, float), "boolean": bool, "array": list, "object": dict,
}  # fmt: skip


def worded(error: ValidationError, root: Mapping[str, Any], data: object) -> Finding:
    """Return what a validation error of `data` against the schema `root` means for people."""
    path: DataPath = tuple(error.path)
    schema = error.schema if isinstance(error.schema, dict) else {}
    expected: Any = error.validator_value
    subject, value = _subject(path), error.instance
    match error.validator:
        case "type":
            return _wrong_type(path, subject, value, schema, data)
        case "pattern" | "enum" | "const":
            return _wrong_value(path, subject, value, schema, root, data)
        case "required":
            return _missing(path, str(expected), schema, root)
        case "additionalProperties":
            return _unknown(path, schema, root, data)
        case "false":
            return _out_of_place(path, data, root)
        case "anyOf":
            keys = _listed(alternatives_of(schema), "or")
            suggestion = _example(above(root, path), of=dict)
            return Finding(path=path, message=f"{subject} needs one of {keys}", suggestion=suggestion)
        case "dependencies":
            key, (needed, *_) = str(path[-1]), expected[path[-1]]
            suggestion = _example(below(schema_at(root, path[:-1]), needed), needed)
            return Finding(path=path, message=f"`{key}` requires `{needed}`", suggestion=suggestion, at_key=True)
        case "propertyNames":
            message = f"`{plain(str(path[-1]))}` cannot be {schema.get('title', 'a key')}"
            return Finding(path=path, message=message, at_key=True)
    message = _bound(error.validator, expected, str(schema.get("title", "")), subject, value)
    return Finding(path=path, message=message, suggestion=_example(schema) or _example(above(root, path)))


def _wrong_type(path: DataPath, subject: str, value: object, schema: Mapping[str, Any], data: object) -> Finding:
    types = schema["type"]
    noun = _NOUNS[types if isinstance(types, str) else types[0]]
    expected = str(schema.get("title", noun)) if path else noun
    if value is None:
        suggestion = _example(schema) or ('an empty text is written ""' if "string" in types else None)
        return Finding(path=path, message=f"{subject} is empty; it should be {expected}", suggestion=suggestion)
    if expected in _READERS and isinstance(value, int | float) and not isinstance(value, bool):
        return _complaint(path, expected, str(value), schema)
    suggestion = _meant_value(path, data) or _meant(path, value, expected, schema) or _example(schema)
    return Finding(path=path, message=f"{subject} should be {expected}, not {shown(value)}", suggestion=suggestion)


def _meant(path: DataPath, value: object, expected: str, schema: Mapping[str, Any]) -> str | None:
    """Guess what a value of a wrong type was meant to be."""
    types = schema["type"]
    match value:
        case int() if expected == "a signal's name":
            return guesses.signal_name(value)
        case int() | float() if expected == "a cron expression":
            return "quote the whole of it"
        case bool() | int() | float() if "string" in types and _may_be(shown(value), schema):
            return f'quote it: "{shown(value)}"'
        case str() if "boolean" in types:
            return guesses.boolean(value)
        case str() if "integer" in types:
            return guesses.integer(value)
        case str() if "array" in types:
            return _as_list(value, schema)
        case str() if "object" in types and path[-2:-1] != ("members",):
            return guesses.mapping(value, schema)
        case list() if "object" in types:
            return guesses.unlisted(value, schema)
        case list() if path[-1:] == ("shell",):
            return "a list belongs in `command`"
        case dict() if (
            "string" in types and len(value) == 1 and not isinstance(inner := next(iter(value.items())), dict)
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
    return guesses.write([value]) if fits else None


def _may_be(text: str, schema: Mapping[str, Any]) -> bool:
    """Tell whether a text keeps a schema's pattern."""
    return re.search(schema.get("pattern", ""), text) is not None


def _meant_value(path: DataPath, data: object) -> str | None:
    """Say what to write in place of a value that other programs have."""
    from runner.requests.meant_values import meant_by_value  # of most documents nobody asks

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
        suggestion = "nothing runs at each start of the runner; run_immediately runs once, when first seen"
    suggestion = _meant_value(path, data) or suggestion
    if path[-1:] == ("days",) and isinstance(value, list):
        suggestion = suggestion or "a list of days belongs to frequency: weekly"
    if path == ("timing",):
        suggestion = suggestion or _example(above(root, path), of=dict)
    message = f"{subject} should be {expected}, not {shown(value)}"
    return Finding(path=path, message=message, suggestion=suggestion or _example(schema) or _example(above(root, path)))


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
    of_branch = _example(own, key) if isinstance(own, dict) else None
    return Finding(path=path, message=message, suggestion=of_branch or _example(below(schema_at(root, path), key), key))


def _unknown(path: DataPath, schema: Mapping[str, Any], root: Mapping[str, Any], data: object) -> Finding:
    key = str(path[-1])
    where = _subject(path[:-1]) if path[:-1] or "process" in root["properties"] else "the settings"
    suggestion = _right_key(path, schema.get("properties", {}), root, data)
    return Finding(path=path, message=f"`{plain(key)}` is not a key of {where}", suggestion=suggestion, at_key=True)


def _right_key(path: DataPath, known: Mapping[str, Any], root: Mapping[str, Any], data: object) -> str | None:
    from runner.requests.aliases import meant_by_key  # of most documents nobody asks

    key, value = str(path[-1]), value_at(data, path)
    if not key.isascii() and any(character.isspace() for character in key):
        return "indent with ordinary blanks; these are others that look alike"
    is_request = "process" in root["properties"]
    if is_request and (meant := meant_by_key(path, data)):
        return meant
    if is_request and (homes := homes_of(root, key)):
        return f"it belongs in {' or '.join(homes)}"
    if near := nearest(key, [name for name, below in known.items() if _takes(below, value)]):
        return near
    if key == "apiVersion":
        return "this looks like a manifest of Kubernetes: `runner import kubernetes` reads a CronJob"
    if "process" in known and isinstance(value, dict) and "process" in value:
        return f"write name: {plain(key)}, and what is below it beside that"
    return f"the keys here are {_listed(tuple(known), 'and')}" if 0 < len(known) < 13 else None


def _takes(schema: Mapping[str, Any], value: object) -> bool:
    """Tell whether a key may have a value of this kind; an empty one says nothing."""
    types = schema.get("type")
    if types is None or value is None:
        return True
    names = [types] if isinstance(types, str) else types
    return any(isinstance(value, _KINDS[name]) for name in names if name in _KINDS)


def _out_of_place(path: DataPath, data: object, root: Mapping[str, Any]) -> Finding:
    """Word a key that is known and has no place beside its neighbours."""
    key, parent = str(path[-1]), value_at(data, path[:-1])
    assert isinstance(parent, dict)  # it has the key that is out of place
    alternatives = alternatives_of(schema_at(root, path[:-1]))
    if key in alternatives:
        here = tuple(each for each in alternatives if each in parent)
        kind = "members" if "members" in path else "requests"
        message = (
            f"{_subject(path[:-1])} has exactly one of {_listed(alternatives, 'and')}; here are {_listed(here, 'and')}"
        )
        return Finding(path=path, message=message, suggestion=f"make them {kind} of their own", at_key=True)
    if path == ("process", "scheduled"):
        suggestion = f"in the request itself, write {guesses.flow({key: parent[key]})[1:-1]}"
        message = "`scheduled` belongs to the request, or to a member of a group"
        return Finding(path=path, message=message, suggestion=suggestion, at_key=True)
    if "request" in alternatives:
        return _not_beside(path, parent)
    frequency, owners = str(parent.get("frequency")), tuple(owners_of(root, key))
    message = f"`{key}` belongs to {_listed(owners, 'and', mark='')}; this is {frequency}"
    twin = {"day": "days", "days": "day"}.get(key)
    suggestion = f"leave it out, or make the frequency {_listed(owners, 'or', mark='')}"
    if twin and frequency in owners_of(root, twin) and _may_replace(path, twin, parent):
        suggestion = f"{DID_YOU_MEAN}`{twin}`?"
    return Finding(path=path, message=message, suggestion=suggestion, at_key=True)


def _may_replace(path: DataPath, twin: str, parent: Mapping[str, Any]) -> bool:
    """Tell whether a value may stand under another key."""
    from runner.requests.aliases import fits  # of most documents nobody asks

    rest = {key: value for key, value in parent.items() if key != path[-1]}
    return twin not in parent and fits(path[:-1], rest, {twin: value_at(parent, path[-1:])})


def _not_beside(path: DataPath, parent: Mapping[str, Any]) -> Finding:
    """Word what would be said of a process that is defined elsewhere, or of a group where its members say it."""
    key = str(path[-1])
    if "request" in parent:
        message, defined = f"`{key}` has no place beside `request`", plain(str(parent["request"]))
        suggestion = f"say it where the process is defined, in `{defined}`"
    else:
        message, suggestion = f"`{key}` has no place beside `group`", "say it at the members"
    return Finding(path=path, message=message, suggestion=suggestion, at_key=True)


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
    return f"{subject} is not as it should be"


def _complaint(path: DataPath, expected: str, text: str, schema: Mapping[str, Any]) -> Finding:
    """Let the one that will read a text say what is wrong with it."""
    message, suggestion = f"{shown(text)} is not {expected}", _example(schema)
    try:
        _READERS[expected](plain(text))
    except ValueError as error:
        message, _, rest = str(error).partition("; ")
        suggestion = (guesses.duration(text) if expected == "a duration" else None) or rest or suggestion
    except RuleError as error:
        message, suggestion = str(error), error.suggestion or suggestion
    return Finding(path=path, message=message, suggestion=suggestion)


def _example(schema: Mapping[str, Any], key: str | None = None, *, of: type = object) -> str | None:
    """Return the first example of a schema (and of a type) as YAML on one line."""
    for example in schema.get("examples", ()):
        if isinstance(example, of):
            text = guesses.flow(example)
            return f"for example {key}: {text}" if key else f"for example {text}"
    return None


def _subject(path: DataPath) -> str:
    if not path:
        return "a request"
    if isinstance(path[-1], int):
        return f"`{plain(str(path[-2]))}[{path[-1]}]`" if len(path) > 1 else f"entry {path[-1]}"
    return f"`{plain(path[-1])}`"


def _listed(words: tuple[str, ...], conjunction: str, mark: str = "`") -> str:
    marked = [f"{mark}{word}{mark}" for word in words]
    return f" {conjunction} ".join([", ".join(marked[:-1]), marked[-1]]) if len(marked) > 1 else "".join(marked)
