"""Unknown keys and misplaced keys, worded for users. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from runner.requests.findings import (
    DID_YOU_MEAN,
    DataPath,
    Finding,
    listed,
    nearest,
    plain,
    subject_of,
    value_at,
)
from runner.requests.schema.hints import suggestions
from runner.requests.schema.lookup import (
    alternatives_of,
    homes_of,
    is_of_requests,
    owners_of,
    schema_at,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_KINDS: dict[str, Any] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
}


_RUN_LATER: DataPath = ("timing", "run_later")
_SCHEDULE = "`timing.schedule`"
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?")
_MINUTE = re.compile(r":([0-5]\d)")


def unknown(
    path: DataPath, schema: Mapping[str, Any], root: Mapping[str, Any], data: object
) -> Finding:
    """Return the finding for an unknown key."""
    key = str(path[-1])
    where = (
        subject_of(path[:-1]) if path[:-1] or "process" in root["properties"] else "the settings"
    )
    suggestion = _right_key(path, schema.get("properties", {}), root, data)
    return Finding(
        path=path,
        message=f"`{plain(key)}` is not a key of {where}",
        suggestion=suggestion,
        at_key=True,
    )


def _right_key(
    path: DataPath, known: Mapping[str, Any], root: Mapping[str, Any], data: object
) -> str | None:
    # Imported late: a valid document never needs it.
    from runner.requests.schema.hints.meant_keys import meant_by_key

    key, value = str(path[-1]), value_at(data, path)
    if not key.isascii() and any(character.isspace() for character in key):
        return "indent with ordinary spaces; these characters only look like them"
    is_request = is_of_requests(root)
    if is_request and (meant := meant_by_key(path, data)):
        return meant
    if path[:-1] == _RUN_LATER and homes_of(root, key) == (_SCHEDULE,):
        return _of_run_later(key, value, value_at(data, path[:-1]))
    if homes := homes_of(root, key):
        return f"it belongs in {' or '.join(homes)}"
    if near := nearest(key, [name for name, below in known.items() if _takes(below, value)]):
        return near
    if f"{key}_variable" in known:
        return f"write {key}_variable: NAME, with the name of the variable that holds it"
    if key == "apiVersion":
        return (
            "this looks like a manifest of Kubernetes: `runner import kubernetes` reads a CronJob"
        )
    if "process" in known and isinstance(value, dict) and "process" in value:
        return f"write name: {plain(key)}, and move the keys below it one level up"
    return f"the keys here are {listed(tuple(known), 'and')}" if 0 < len(known) < 13 else None


def _of_run_later(key: str, value: object, parent: Any) -> str:
    """Suggest a fix for a schedule's key inside `run_later`.

    It cannot move: a request with `run_later` has no schedule.
    """
    start = parent.get("start")
    if key == "at" and isinstance(value, str):
        moment = value if start is None else f"{start} {value}"
        if _MOMENT.fullmatch(moment):
            replaced = "`start` and `at`" if start else "`at`"
            return f"write {suggestions.flow({'start': moment})[1:-1]}, in place of {replaced}"
    return "leave it out: `run_later` runs once, at its `start`"


def _takes(schema: Mapping[str, Any], value: object) -> bool:
    """Report whether a key may have a value of this type; an empty value fits every key."""
    types = schema.get("type")
    if types is None or value is None:
        return True
    names = [types] if isinstance(types, str) else types
    return any(isinstance(value, _KINDS[name]) for name in names if name in _KINDS)


def out_of_place(path: DataPath, data: object, root: Mapping[str, Any]) -> Finding:
    """Return the finding for a known key that cannot stand beside its neighbours."""
    key, parent = str(path[-1]), value_at(data, path[:-1])
    assert isinstance(parent, dict)  # it has the key that is out of place
    alternatives = alternatives_of(schema_at(root, path[:-1]))
    if key in alternatives:
        here = tuple(each for each in alternatives if each in parent)
        kind = next((each for each in ("members", "receivers") if each in path), "requests")
        allowed, given = listed(alternatives, "and"), listed(here, "and")
        message = f"{subject_of(path[:-1])} takes exactly one of {allowed}; this one has {given}"
        suggestion = (
            "join them in one `shell` line"
            if path[-2] == "if"
            else f"make them {kind} of their own"
        )
        return Finding(path=path, message=message, suggestion=suggestion, at_key=True)
    if path == ("process", "scheduled"):
        suggestion = f"in the request itself, write {suggestions.flow({key: parent[key]})[1:-1]}"
        message = "`scheduled` belongs to the request, or to a member of a group"
        return Finding(path=path, message=message, suggestion=suggestion, at_key=True)
    if "request" in alternatives:
        return _excluded(path, parent)
    frequency, owners = str(parent.get("frequency")), tuple(owners_of(root, key))
    message = f"`{key}` belongs to {listed(owners, 'and', mark='')}; this is {frequency}"
    twin = {"day": "days", "days": "day"}.get(key)
    suggestion = f"leave it out, or make the frequency {listed(owners, 'or', mark='')}"
    value = parent[key]
    if twin and frequency in owners_of(root, twin):
        if _may_replace(path, twin, value, parent):
            suggestion = f"{DID_YOU_MEAN}`{twin}`?"
        elif isinstance(value, str) and _may_replace(path, twin, [value], parent):
            suggestion = f"write {suggestions.flow({twin: [value]})[1:-1]}"
    elif (
        frequency == "hourly"
        and parent.get("interval", 1) == 1
        and (found := _MINUTE.fullmatch(str(value)))
    ):
        suggestion = f'write frequency: cron, expression: "{int(found[1])} * * * *"'
    return Finding(path=path, message=message, suggestion=suggestion, at_key=True)


def _may_replace(path: DataPath, twin: str, value: object, parent: Mapping[str, Any]) -> bool:
    """Report whether a value may stand under another key."""
    # Imported late: a valid document never needs it.
    from runner.requests.schema.hints.meant_keys import fits

    rest = {key: value for key, value in parent.items() if key != path[-1]}
    return twin not in parent and fits(path[:-1], rest, {twin: value})


def _excluded(path: DataPath, parent: Mapping[str, Any]) -> Finding:
    """Return the finding for a key beside `request` or `group`.

    The setting belongs where the process is defined, or in the members.
    """
    key = str(path[-1])
    if "request" in parent:
        message, defined = f"`{key}` is not allowed beside `request`", plain(str(parent["request"]))
        suggestion = f"set it where the process is defined, in `{defined}`"
    else:
        message, suggestion = f"`{key}` is not allowed beside `group`", "set it on the members"
    return Finding(path=path, message=message, suggestion=suggestion, at_key=True)
